"""What GoatCounter's endpoints share: the surface of `/api/v0`, with its checks and limits."""

from typing import TYPE_CHECKING, Any

from chalice.app import Blueprint

from chalicelib import web
from chalicelib.pageviews import responses
from chalicelib.pageviews.responses import ApiWords, Said

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


def undeclared(request: "web.Request") -> Said | None:
    """What to say to a body of nothing that is not called JSON: it is no empty object (contract, section 1.4)."""
    if request.body or request.media_type == "application/json":
        return None
    return responses.said({"error": f'unable to handle Content-Type "{request.media_type}"'}, 415)
