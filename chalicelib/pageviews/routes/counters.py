"""Visitor counters: `/counter/PATH.EXT`, for pages that show how often they were seen (contract, section 5)."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from chalicelib import web, wiring
from chalicelib.core.accounts import Site
from chalicelib.core.errors import Forbidden, Invalid
from chalicelib.pageviews import assets
from chalicelib.pageviews.responses import Said

from .public import by_address, limited_here
from .surface import blueprint

if TYPE_CHECKING:
    from chalicelib.pageviews.counters import Question

_PREFIX = "/counter/"
_FRESH = 4 * 3600
_OFF = "Need to enable the ‘allow using the visitor counter’ setting"  # noqa: RUF001 - as clients know it
_HEADERS = {
    **assets.HEADERS,
    # Pages of any host frame it, and style it by the query: nothing in it may run, or load.
    assets.POLICY: "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors *",
}

_limited = limited_here(("counter", by_address))
shown = web.Surface(blueprint, assets.PlainWords(), lambda _: (_limited,), identify=web.identify)
_counter = shown.path("/counter/{proxy+}")


@_counter.public("GET")
def show_counter(request: web.Request) -> Said:
    """How often a page was seen, in the format that the extension names.

    What nobody has seen, or not in the range asked for, is a 404 that shows 0. The path is read from the whole URL's:
    what a greedy variable holds differs between gateways where slashes are doubled.
    """
    from chalicelib.pageviews import counters  # noqa: PLC0415 - most functions show none

    try:
        site = web.public_site(request)
        if site is None:
            raise web.no_site(request)
        if not site.allow_counter:
            return _refused(request, Forbidden(_OFF))
        now = wiring.now()
        asked = counters.decode(request.path.removeprefix(_PREFIX), request.query, now)
        return _shown(site, asked, now)
    except (Forbidden, Invalid) as error:
        return _refused(request, error)


def _shown(site: Site, asked: "Question", now: float) -> Said:
    from chalicelib.pageviews import counters, thousands  # noqa: PLC0415

    key = (site.stream, asked.span, *asked.spellings)
    found, at = wiring.counters().get(key, lambda: _tally(site, asked))
    look = counters.show(asked, thousands.grouped(found, counters.separator(site)))
    expires = datetime.fromtimestamp(now + _FRESH, UTC)
    return Said(
        200 if found or not asked.spellings else 404,
        look.body,
        {
            **_HEADERS,
            "Content-Type": look.media_type,
            "Cache-Control": "public",
            "Expires": expires.strftime("%a, %d %b %Y %H:%M:%S +0000"),
            "Age": str(max(0, int(now - at))),
        },
    )


def _tally(site: Site, asked: "Question") -> int:
    from chalicelib.core.tallies import since  # noqa: PLC0415 - what reads streams is loaded with the first question

    when = since(asked.start, asked.end)
    if not asked.spellings:
        return wiring.tallies().site(site.stream, when)
    return wiring.tallies().path(site.stream, when, asked.spellings) or 0


def _refused(request: web.Request, error: Forbidden | Invalid) -> Said:
    status, sentence = (403, error.reason) if isinstance(error, Forbidden) else (400, error.message)
    if request.media_type == "application/json":
        return assets.as_json(status, sentence)
    return assets.page(status, sentence)
