"""What the API says of itself: `/api.json` for programs, `/api2.html` for people."""

from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from chalicelib import web, wiring
from chalicelib.pageviews import assets, responses
from chalicelib.pageviews.responses import Said

from .public import limited_quietly, of_a_site
from .surface import blueprint

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chalicelib.pageviews.assets import Asset
    from chalicelib.pageviews.description import Where

_HOUR = 3600
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    # Both name the host that the service was reached at; the path, which names the rest, is part of every key.
    "Vary": "Host, X-Countless-Host",
}
LOCAL = frozenset({"localhost", "127.0.0.1", "[::1]"})
_VERSION = "0"
"""Of the API, not of the service: GoatCounter's has no other."""
_REMEMBERED = 8
"""Places for which a process keeps each of the two, of about 130 KB."""


def _checks(surface: "web.Surface[Any]") -> "Sequence[web.Check]":  # noqa: ARG001 - as every surface's
    limited = limited_quietly("pages")
    return (web.no_trailing_slash, limited, of_a_site, _scripts_may_ask, web.preflight)


def _scripts_may_ask(request: web.Request, path: "web.Path[Any]") -> "web.Answer | None":
    """Lets scripts of every origin ask. What they then get has the same headers for all of them, so that one copy of it
    serves all.
    """
    return web.cross_origin(request, path) if request.method == "OPTIONS" else None


described = web.Surface(blueprint, responses.ApiWords(), _checks, identify=web.identify)
_json = described.path("/api.json")
_html = described.path("/api2.html")


@_json.public("GET")
def describe(request: web.Request) -> Said:
    """Every endpoint in OpenAPI 2.0, for scripts of every origin."""
    headers = {**_HEADERS, "Content-Type": responses.JSON, "Access-Control-Allow-Origin": "*"}
    return assets.served(_document(where(request)), _condition(request), _HOUR, headers)


@_html.public("GET")
def show(request: web.Request) -> Said:
    """The same as a page."""
    shown, policy = _page(where(request))
    headers = {
        **_HEADERS,
        "Content-Type": "text/html; charset=utf-8",
        "Content-Security-Policy": policy,
        "Referrer-Policy": "no-referrer",
    }
    return assets.served(shown, _condition(request), _HOUR, headers)


def _condition(request: web.Request) -> str:
    return request.headers.get("if-none-match", "")


@lru_cache(maxsize=_REMEMBERED)
def _document(place: "Where") -> "Asset":
    from chalicelib.pageviews.description import document  # noqa: PLC0415 - loaded by those who are asked for it

    return assets.asset(responses.dumps(document(place, _VERSION)))


@lru_cache(maxsize=_REMEMBERED)
def _page(place: "Where") -> "tuple[Asset, str]":
    """The page, and what it has to be allowed to do."""
    from chalicelib.pageviews.description import document, page  # noqa: PLC0415 - as above

    made = page(document(place, _VERSION), f"{place.base}/api.json")
    return assets.asset(made.html), made.policy


def where(request: web.Request) -> "Where":
    """How the service was reached: as the operator says, where that is the host that was asked for."""
    from chalicelib.pageviews.description import Where  # noqa: PLC0415 - as above

    given = urlsplit(wiring.settings().url)
    if given.hostname and given.hostname == request.host:
        return Where(given.scheme, given.netloc.lower(), given.path.rstrip("/") + request.prefix)
    host = request.headers.get("host", "").lower()
    if host.rpartition(":")[0] != request.host:  # the CDN's function knows better, and no port
        host = request.host
    return Where("http" if request.host in LOCAL else "https", host, request.prefix)
