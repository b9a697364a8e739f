"""What a site's page views add up to: `/api/v0/me`, `/paths` and `/stats`."""

from typing import TYPE_CHECKING, Any

from chalicelib import web, wiring
from chalicelib.core.accounts import Permission
from chalicelib.pageviews import responses
from chalicelib.pageviews.requests_query import (
    breakdown_query,
    drops_query,
    hits_query,
    paths_query,
    refs_query,
    total_query,
)
from chalicelib.pageviews.responses import Said

from .surface import LIMITS, api

if TYPE_CHECKING:
    from chalicelib.pageviews.breakdowns import Pages

_help = api.path("/api", limits=LIMITS)
_me = api.path("/api/v0/me", limits=LIMITS)
_drops = api.path("/api/x/drops", limits=LIMITS)
_paths = api.path("/api/v0/paths", limits=LIMITS)
_total = api.path("/api/v0/stats/total", limits=LIMITS)
_hits = api.path("/api/v0/stats/hits", limits=LIMITS)
_refs = api.path("/api/v0/stats/hits/{path_id}", limits=LIMITS)


def _large(request: web.Request, body: dict[str, Any]) -> Said:
    """An answer that may be too large for those who do not take gzip."""
    return responses.large(body, request.headers.get("accept-encoding", ""))


@_help.public("GET")
def show_help(request: web.Request) -> Said:  # noqa: ARG001 - as every view
    """Where people find the words for all this."""
    return Said(301, "", {"Location": "/help/api"})


@_me.keyed("GET")
def show_me(request: web.Request, caller: web.Caller) -> Said:  # noqa: ARG001
    """Whose key it is, and what it may do."""
    return responses.said(responses.me(caller.user, caller.key, next(caller.roster.sites())))


@_paths.keyed("GET", permission=Permission.STATS, viewers=True)
def list_paths(request: web.Request, caller: web.Caller) -> Said:
    """Lists every path that the site has ever had."""
    asked = paths_query(request.query)
    found, more = wiring.reports().paths(caller.site.stream, asked.after, asked.limit)
    return _large(request, responses.paths(found, more))


@_total.keyed("GET", permission=Permission.STATS, viewers=True)
def show_total(request: web.Request, caller: web.Caller) -> Said:
    """How many visits there were, by hour and day."""
    asked = total_query(request.query, wiring.now(), caller.user.offset)
    found = wiring.reports().total(caller.site.stream, asked.when, asked.include)
    return _large(request, responses.total(found))


@_hits.keyed("GET", permission=Permission.STATS, viewers=True)
def list_hits(request: web.Request, caller: web.Caller) -> Said:
    """The most visited paths, each with its visits by hour and day."""
    asked = hits_query(request.query, wiring.now(), caller.user.offset)
    found = wiring.reports().hits(
        caller.site.stream,
        asked.when,
        include=asked.include,
        exclude=asked.exclude,
        limit=asked.limit,
        group=asked.group,
    )
    return _large(request, responses.hits(found))


@_drops.keyed("GET", permission=Permission.STATS)
def show_drops(request: web.Request, caller: web.Caller) -> Said:
    """How many page views were taken and not counted: by day, and why."""
    first, last = drops_query(request.query, wiring.now())
    return responses.said(responses.dropped(wiring.drops().read(caller.site.stream, first, last)))


def _is_page(request: web.Request) -> None:
    """Whether there is such a page is said to everybody (page-view contract, section 2.8)."""
    from chalicelib.pageviews import breakdowns  # noqa: PLC0415 - with the first question, as all that answers them

    pages = breakdowns.DETAILED if "id" in request.parameters else breakdowns.PAGES
    breakdowns.page_name(request.parameters["page"], pages)


def _pages(caller: web.Caller) -> "Pages":
    from chalicelib.pageviews.breakdowns import Pages  # noqa: PLC0415

    return Pages(wiring.breakdowns(), caller.site)


_breakdown = api.path("/api/v0/stats/{page}", limits=LIMITS, sound=_is_page)
_detail = api.path("/api/v0/stats/{page}/{id+}", limits=LIMITS, sound=_is_page)
"""An id may be a referrer, with slashes in it, and gateways take them as such even where they are encoded."""
api.path("/api/v0/stats/hits/{path_id}/{rest+}", limits=LIMITS)
"""There is no such thing; the path would else be a detail of a page `hits`."""


@_refs.keyed("GET", permission=Permission.STATS, viewers=True)
def list_referrers(request: web.Request, caller: web.Caller) -> Said:
    """Where the visitors of one path came from."""
    from chalicelib.pageviews.breakdowns import whole_number  # noqa: PLC0415

    path = whole_number("path_id", request.parameters["path_id"])
    asked = refs_query(request.query, wiring.now(), caller.user.offset)
    return responses.said(responses.referrers(_pages(caller).referrers_of(path, asked)))


@_breakdown.keyed("GET", permission=Permission.STATS, viewers=True)
def show_breakdown(request: web.Request, caller: web.Caller) -> Said:
    """Visits by browser, system, place, language, size of screen, campaign or referrer."""
    asked = breakdown_query(request.query, wiring.now(), caller.user.offset)
    return responses.said(responses.breakdown(_pages(caller).listed(request.parameters["page"].lower(), asked)))


@_detail.keyed("GET", permission=Permission.STATS, viewers=True)
def show_detail(request: web.Request, caller: web.Caller) -> Said:
    """What one of a breakdown's rows is made of: versions, regions, widths, sources, paths."""
    page, value = request.parameters["page"].lower(), request.parameters["id"]
    asked = breakdown_query(request.query, wiring.now(), caller.user.offset)
    return responses.said(responses.breakdown(_pages(caller).detailed(page, value, asked)))
