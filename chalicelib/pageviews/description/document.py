"""The description as a whole, for the place that it is asked for at."""

import re
from typing import Any, NamedTuple

from .operations import PATHS, STATUS
from .schemas import DEFINITIONS

_HOST = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?(:[0-9]{1,5})?|\[[0-9a-f:.]{2,45}\](:[0-9]{1,5})?")
_CODED = re.compile(r"/s/[^/]+$")
_ABOUT = """\
Counts page views and events, and says what they add up to. It speaks GoatCounter's API, version 0.

Send a key as `Authorization: Bearer KEY`, or as the password of HTTP Basic, whose user may be anything. Bodies are
JSON, with `Content-Type: application/json`; so are answers, unless it is said otherwise. Unknown keys and unknown
parameters are errors.

An answer in the 2xx range holds no error. One in the 4xx or 5xx range holds either `error`, a text, or `errors`, texts
by field, and never both; only that of 415 is empty.

Every number is of visits: the first view of a path in a session, which ends after 8 hours without a view.
"""
_TAGS = {
    "Count": "Page views from backends.",
    "Exports": "Files of all there is.",
    "Statistics": (
        "Ranges hold both of their ends. Statistics of referrers, paths and totals go by the hour; all others by the "
        "day in UTC, and of `start` and `end` only the days count for them."
    ),
    "Sites": "What is counted where.",
    "Users": "Who asks.",
    "Paths": "What was visited.",
    "Browsers": "What browsers ask for, without a key.",
}


class Where(NamedTuple):
    """How somebody has reached the service."""

    scheme: str = "https"
    host: str = ""
    """With a port, if it takes one; empty if it is not known."""
    base: str = ""
    """What stands before all paths: `/s/CODE`, or nothing."""


def document(where: Where, version: str) -> dict[str, Any]:
    """The description in OpenAPI 2.0; `version` is the service's release.

    A host that is none is left out: readers then take the one that they have the description from.
    """
    placed: dict[str, Any] = {"host": where.host} if _HOST.fullmatch(where.host) else {}
    return {
        "swagger": "2.0",
        "info": {"title": "Countless: page views", "description": _ABOUT, "version": version},
        **placed,
        "basePath": where.base or "/",
        "schemes": [where.scheme],
        "consumes": ["application/json"],
        "produces": ["application/json"],
        "securityDefinitions": {
            "bearer": {
                "type": "apiKey",
                "in": "header",
                "name": "Authorization",
                "description": "`Bearer`, a space, and the key.",
            },
            "basic": {"type": "basic", "description": "Any user; the key is the password."},
        },
        "tags": [{"name": name, "description": description} for name, description in _TAGS.items()],
        "paths": {path: methods for path, methods in PATHS.items() if path != STATUS or not _CODED.search(where.base)},
        "definitions": DEFINITIONS,
    }
