"""What a site's page views add up to: `/api/v0/me`, `/paths` and `/stats`."""

from chalicelib import web, wiring
from chalicelib.core.accounts import Permission
from chalicelib.core.errors import Invalid
from chalicelib.pageviews import responses
from chalicelib.pageviews.requests_query import hits_query, paths_query, total_query
from chalicelib.pageviews.responses import Said

from .surface import LIMITS, api

_ROWS_TIMES_DAYS = 150_000
"""As many days of series as fit into a function's memory."""

_help = api.path("/api", limits=LIMITS)
_me = api.path("/api/v0/me", limits=LIMITS)
_paths = api.path("/api/v0/paths", limits=LIMITS)
_total = api.path("/api/v0/stats/total", limits=LIMITS)
_hits = api.path("/api/v0/stats/hits", limits=LIMITS)


@_help.public("GET")
def show_help(request: web.Request) -> Said:  # noqa: ARG001 - as every view
    """Where people find the words for all this."""
    return Said(301, "", {"Location": "/help/api"})


@_me.keyed("GET")
def show_me(request: web.Request, caller: web.Caller) -> Said:  # noqa: ARG001
    """Whose key it is, and what it may do."""
    return responses.said(responses.me(caller.user, caller.key, next(caller.roster.sites())))


@_paths.keyed("GET", permission=Permission.STATS)
def list_paths(request: web.Request, caller: web.Caller) -> Said:
    """Lists every path that the site has ever had."""
    asked = paths_query(request.query)
    found, more = wiring.reports().paths(caller.site.stream, asked.after, asked.limit)
    return responses.said(responses.paths(found, more))


@_total.keyed("GET", permission=Permission.STATS)
def show_total(request: web.Request, caller: web.Caller) -> Said:
    """How many visits there were, by hour and day."""
    now = wiring.now()
    asked = total_query(request.query, now, caller.user.offset(now))
    found = wiring.reports().total(caller.site.stream, asked.when, asked.include)
    return responses.large(responses.total(found), request.headers.get("accept-encoding", ""))


@_hits.keyed("GET", permission=Permission.STATS)
def list_hits(request: web.Request, caller: web.Caller) -> Said:
    """The most visited paths, each with its visits by hour and day."""
    now = wiring.now()
    asked = hits_query(request.query, now, caller.user.offset(now))
    first, last = asked.when.days
    if (last - first + 1) * asked.limit > _ROWS_TIMES_DAYS:
        raise Invalid("invalid query parameters: too many days for this limit; ask for fewer of either")
    found = wiring.reports().hits(
        caller.site.stream,
        asked.when,
        include=asked.include,
        exclude=asked.exclude,
        limit=asked.limit,
        group=asked.group,
    )
    return responses.large(responses.hits(found), request.headers.get("accept-encoding", ""))
