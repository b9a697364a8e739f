"""The page at `/` and at `/s/CODE`, for whoever opens the address in a browser."""

from functools import lru_cache
from typing import TYPE_CHECKING

from chalicelib import observability, web
from chalicelib.core.errors import Unavailable
from chalicelib.pageviews import assets
from chalicelib.pageviews.responses import Said

from .description import LOCAL, where
from .public import limited_quietly, of_a_site
from .surface import blueprint

if TYPE_CHECKING:
    from chalicelib.pageviews.assets import Asset
    from chalicelib.pageviews.start import Start, State

_FRESH = 60
"""Seconds for which browsers and those between keep it: as long as it may be wrong about how things stand."""
_HEADERS = {
    "Content-Type": "text/html; charset=utf-8",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Vary": "Host, X-Countless-Host",
}
_REMEMBERED = 64
"""Pages that a process keeps, of about 2 KB each."""

_limited = limited_quietly("pages")
start = web.Surface(blueprint, assets.PlainWords(), lambda _: (_limited, of_a_site), identify=web.identify)
_start = start.path("/")


@_start.public("GET", "HEAD")
def show_start(request: web.Request) -> Said:
    """What this is, how a page counts with it, and where its APIs are described. A service that cannot reach what it
    keeps says so, with 503.
    """
    from chalicelib.pageviews.start import Start, State  # noqa: PLC0415 - loaded by those who are asked for it

    code, state = _meant(request)
    place = where(request)
    root = f"{place.scheme}://{place.host}{place.base.removesuffix(request.prefix)}"
    said = Start(root, request.host in LOCAL, code, state, assets.VERSION)
    shown, policy = _page(said)
    headers = {**_HEADERS, assets.POLICY: policy}
    if state is State.AWAY:
        return Said(503, shown.text, {**headers, "Retry-After": str(_FRESH)})
    return assets.served(shown, request.headers.get("if-none-match", ""), _FRESH, headers)


def _meant(request: web.Request) -> "tuple[str, State]":
    """The code of the site that the path names, if it does, and how things stand at this address."""
    from chalicelib.pageviews.start import State  # noqa: PLC0415

    try:
        site = web.public_site(request)
    except Unavailable as error:
        observability.failed("nobody can say which site is meant", error)
        return "", State.AWAY
    if site is None:
        return "", State.SEVERAL
    return (site.code if request.code is not None else ""), State.COUNTS


@lru_cache(maxsize=_REMEMBERED)
def _page(said: "Start") -> "tuple[Asset, str]":
    from chalicelib.pageviews.start import show  # noqa: PLC0415

    shown = show(said)
    return assets.asset(shown.html), shown.policy
