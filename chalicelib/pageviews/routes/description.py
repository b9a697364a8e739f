"""What the API says of itself: `/api.json` for programs, `/api2.html` for people."""

from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from chalicelib import web, wiring
from chalicelib.pageviews import responses
from chalicelib.pageviews.responses import Said

from .surface import api

if TYPE_CHECKING:
    from chalicelib.pageviews.description import Page, Where

_CACHED = {"Cache-Control": "public, max-age=3600", "X-Content-Type-Options": "nosniff"}
_LOCAL = frozenset({"localhost", "127.0.0.1", "[::1]"})
_VERSION = "0"
"""Of the API, not of the service: GoatCounter's has no other."""

_json = api.path("/api.json")
_html = api.path("/api2.html")


@_json.public("GET")
def describe(request: web.Request) -> Said:
    """Every endpoint in OpenAPI 2.0, for scripts of every origin."""
    from chalicelib.pageviews.description import document  # noqa: PLC0415 - loaded by those who are asked for it

    said = document(_where(request), _VERSION)
    return responses.said(said, 200, {**_CACHED, "Access-Control-Allow-Origin": "*"})


@_html.public("GET")
def show(request: web.Request) -> Said:
    """The same as a page."""
    where = _where(request)
    shown = _page(where)
    headers = {
        "Content-Type": "text/html; charset=utf-8",
        "Content-Security-Policy": shown.policy,
        "Referrer-Policy": "no-referrer",
    }
    return Said(200, shown.html, {**_CACHED, **headers})


@lru_cache(maxsize=16)
def _page(where: "Where") -> "Page":
    from chalicelib.pageviews.description import document, page  # noqa: PLC0415 - as above

    return page(document(where, _VERSION), f"{where.base}/api.json")


def _where(request: web.Request) -> "Where":
    """How the service was reached: as the operator says, where that is the host that was asked for."""
    from chalicelib.pageviews.description import Where  # noqa: PLC0415 - as above

    given = urlsplit(wiring.settings().url)
    if given.hostname and given.hostname == request.host:
        return Where(given.scheme, given.netloc.lower(), given.path.rstrip("/") + request.prefix)
    host = request.headers.get("host", "").lower()
    if host.rpartition(":")[0] != request.host:  # the CDN's function knows better, and no port
        host = request.host
    return Where("http" if request.host in _LOCAL else "https", host, request.prefix)
