"""What GoatCounter's endpoints share: the surface of `/api/v0`, with its checks and limits."""

from typing import TYPE_CHECKING, Any

from chalice.app import Blueprint

from chalicelib import web
from chalicelib.pageviews.responses import ApiWords

if TYPE_CHECKING:
    from collections.abc import Sequence

blueprint = Blueprint("pageviews")

LIMITS = ("api2", "api")
"""What every request to the API is charged to, but for those that count."""


def _api_checks(surface: "web.Surface[Any]") -> "Sequence[web.Check]":
    return (
        web.no_trailing_slash,
        web.cross_origin,
        web.json_body(surface),
        web.limited,
        web.preflight,
    )


api = web.Surface(blueprint, ApiWords(), _api_checks, identify=web.identify, visit=web.visit)
