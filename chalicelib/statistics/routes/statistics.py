"""Statistics and their values: `/v1/api/statistics`."""

from typing import TYPE_CHECKING

from chalicelib import observability, wiring
from chalicelib.core import statistics
from chalicelib.core.accounts import Scope
from chalicelib.core.errors import Invalid, NotFound, Unavailable, Uncertain
from chalicelib.core.statistics import Span, Update
from chalicelib.statistics import requests, responses
from chalicelib.statistics.requests import Change
from chalicelib.statistics.responses import Said
from chalicelib.statistics.versions import PREFIX
from chalicelib.web import Holder, Request

from .surface import LIMITS, READ, WRITE, api, listed, named, scope_of, today

if TYPE_CHECKING:
    from chalicelib.core.statistics import Once

BATCH = "batch"

_statistics = api.path(f"{PREFIX}/statistics", limits=LIMITS)
_one = api.path(f"{PREFIX}/statistics/{{group}}", limits=LIMITS)
_statistic = api.path(f"{PREFIX}/statistics/{{group}}/{{statistic}}", limits=LIMITS)


@_statistics.keyed("GET", permission=READ)
def list_statistics(request: Request, caller: Holder) -> Said:
    """The statistics of the domain, or of one of its groups, each with its newest value."""
    scope = scope_of(caller)
    asked = requests.decode_paging(request.query, requests.STATISTIC_IDS, "group")
    group = requests.decode_group(request.query)
    page = wiring.statistics().statistics(scope, asked.limit, asked.after, group)
    return listed(request, "/statistics", [responses.statistic(found) for found in page.entries], page.after)


@_statistics.keyed("POST", permission=WRITE)
def create_statistic(request: Request, caller: Holder) -> Said:
    """A new statistic, or another day of one that is there; a missing group is made on the way."""
    scope = scope_of(caller)
    update = requests.decode_creation(request.body, today())
    made = wiring.statistics().update(scope, update, _once(request, caller))
    return responses.said(responses.statistic(made), 201)


@_one.keyed("GET", permission=READ)
def show_statistic_by_id(request: Request, caller: Holder) -> Said:
    """A statistic with its values, by its id."""
    return _show(request, scope_of(caller), "", _numbered(request))


@_one.keyed("POST", permission=WRITE)
def change_statistic_by_id_or_several(request: Request, caller: Holder) -> Said:
    """Changes a statistic, by its id; or as many as a batch names."""
    if request.parameters["group"] == BATCH:
        return _batch(request, caller)
    return _change(request, caller, "", _numbered(request))


@_one.keyed("PUT", permission=WRITE)
def change_statistic_by_id(request: Request, caller: Holder) -> Said:
    """Changes a statistic, by its id."""
    return _change(request, caller, "", _numbered(request))


@_one.keyed("DELETE", permission=WRITE)
def delete_statistic_by_id(request: Request, caller: Holder) -> Said:
    """Deletes a day of a statistic, or all of it, by its id."""
    return _delete(request, scope_of(caller), "", _numbered(request))


@_statistic.keyed("GET", permission=READ)
def show_statistic(request: Request, caller: Holder) -> Said:
    """A statistic with its values."""
    return _show(request, scope_of(caller), named(request, "group"), named(request, "statistic"))


@_statistic.keyed("POST", "PUT", permission=WRITE)
def change_statistic(request: Request, caller: Holder) -> Said:
    """Changes a statistic's value of one day; statistic and group are made if they are not there."""
    return _change(request, caller, request.parameters["group"], request.parameters["statistic"])


@_statistic.keyed("DELETE", permission=WRITE)
def delete_statistic(request: Request, caller: Holder) -> Said:
    """Deletes a day of a statistic, or all of it."""
    return _delete(request, scope_of(caller), named(request, "group"), named(request, "statistic"))


def _show(request: Request, scope: Scope, group: str, statistic: str) -> Said:
    asked, store = requests.decode_asked(request.query), wiring.statistics()
    found = store.statistic(scope, group, statistic, asked.span)
    if asked.interval is None:
        return responses.said(responses.statistic(found))
    intervals = statistics.buckets(found.values or (), asked.interval)
    if asked.span is None and intervals and found.values and intervals[0].first < found.values[0].day:
        # The newest values may begin within an interval, which is to be told whole.
        found = store.statistic(scope, group, statistic, Span(intervals[0].first))
        intervals = statistics.buckets(found.values or (), asked.interval)
    return responses.said(responses.statistic(found, intervals))


def _change(request: Request, caller: Holder, group: str, statistic: str) -> Said:
    scope = scope_of(caller)
    change = requests.decode_change(request.body, group, statistic, today())
    once = _once(request, caller)
    _agree(scope, change)
    return responses.said(responses.statistic(wiring.statistics().update(scope, change.update, once)))


def _agree(scope: Scope, change: Change) -> None:
    """Passes if the body names what the path names. Only if one does so by an id does it take a look.

    Raises:
        Invalid: it names another group or statistic.
        NotFound: the path names nothing, by an id.
    """
    update, store = change.update, wiring.statistics()
    if change.group not in (None, update.group):
        called = {update.group, change.group}
        if update.group and not any(map(statistics.is_group_id, filter(None, called))):
            raise _another("group")
        found = store.group(scope, update.group or statistics.group_of(update.statistic))
        if change.group not in (found.id, found.name):
            raise _another("group")
    if change.name not in (None, update.statistic):
        if not any(map(statistics.is_statistic_id, filter(None, (update.statistic, change.name)))):
            raise _another("name")
        one = store.statistic(scope, update.group, update.statistic, Span(update.day, update.day))
        if change.name not in (one.id, one.name):
            raise _another("name")


def _another(field: str) -> Invalid:
    return Invalid(f"{field}: is not what the path names")


def _delete(request: Request, scope: Scope, group: str, statistic: str) -> Said:
    day = requests.decode_removal(request.query)
    if day is not None:
        return responses.said(responses.statistic(wiring.statistics().delete_day(scope, group, statistic, day)))
    purged = wiring.statistics().purge(scope, group, statistic)
    wiring.removals().ask(scope, purged.id)
    return responses.said(responses.statistic(purged))


def _batch(request: Request, caller: Holder) -> Said:
    scope = scope_of(caller)
    entries = requests.decode_batch(request.body, today())
    updates = [entry for entry in entries if isinstance(entry, Update)]
    done = iter(wiring.statistics().batch(scope, updates, _once(request, caller)) if updates else ())
    found = [next(done) if isinstance(entry, Update) else entry for entry in entries]
    for error in dict.fromkeys(one for one in found if isinstance(one, Unavailable | Uncertain)):
        observability.failed("updates of a batch failed", error)
    return responses.said(responses.results(found))


def _numbered(request: Request) -> str:
    """The id of a statistic in `/statistics/{id}`.

    Raises:
        NotFound: it can be no such id.
    """
    given = request.parameters["group"]
    if not statistics.is_statistic_id(given):
        raise NotFound("statistic")
    return given


def _once(request: Request, caller: Holder) -> "Once | None":
    path = request.path.removesuffix("/")
    return requests.decode_once(request.headers, caller.key.id, request.method, path, request.body)
