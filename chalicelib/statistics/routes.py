"""The endpoints of the statistics API: `/v1/api`.

A position in a path has one variable, whatever stands there: API Gateway allows no other, and a fixed word beside it
would hide a group of that name. So `/statistics/{group}` is a statistic by its id, and, for POST, the word `batch`.
"""

import re
from typing import TYPE_CHECKING, Any

from chalice.app import Blueprint

from chalicelib import observability, wiring
from chalicelib.core import keys, links, statistics
from chalicelib.core.accounts import STATISTICS, Permission, Scope
from chalicelib.core.errors import (
    Forbidden,
    Invalid,
    NotFound,
    Taken,
    Unauthenticated,
    Unavailable,
    Uncertain,
)
from chalicelib.core.exports import Job, State
from chalicelib.core.statistics import Span, Update
from chalicelib.web import (
    Check,
    Holder,
    Request,
    Surface,
    Unknown,
    body_within,
    charge_key,
    holder,
    limited_by_key,
)

from . import requests, responses
from .exports import SURFACE
from .requests import Change
from .responses import Said
from .versions import PREFIX

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chalicelib.core.accounts import StatisticsDomain
    from chalicelib.core.statistics import Once

READ, WRITE, DOMAINS = Permission.STATISTICS_READ, Permission.STATISTICS_WRITE, Permission.DOMAINS
LIMITS = ("statistics",)
"""What every request is charged to."""
BATCH = "batch"
_NO_DOMAIN = "this key opens no domain of statistics"
_NOT_IN_NAMES = re.compile(r"[^\w.-]+")

blueprint = Blueprint(__name__)


def _client_has_a_key(request: Request, path: object) -> None:  # noqa: ARG001 - as every check
    """Stops a client that was never told its key, before whatever else is wrong (statistics contract, rule 10).

    Raises:
        Unauthenticated: with what to do about it.
    """
    if request.headers.get("authorization", "").split() == ["Bearer", "None"] and request.path.rstrip("/") != PREFIX:
        raise Unauthenticated(responses.NOT_SET)


def _checks(surface: "Surface[Any]") -> "Sequence[Check]":
    return (limited_by_key, body_within(surface), _client_has_a_key)


api = Surface(blueprint, responses.ApiWords(), _checks, identify=holder, coded=False)
_about = api.path(PREFIX, limits=LIMITS)
_domains = api.path(f"{PREFIX}/domains", limits=LIMITS)
_domain = api.path(f"{PREFIX}/domains/{{domain}}", limits=LIMITS)
_groups = api.path(f"{PREFIX}/statistic-groups", limits=LIMITS)
_group = api.path(f"{PREFIX}/statistic-groups/{{group}}", limits=LIMITS)
_statistics = api.path(f"{PREFIX}/statistics", limits=LIMITS)
_one = api.path(f"{PREFIX}/statistics/{{group}}", limits=LIMITS)
_statistic = api.path(f"{PREFIX}/statistics/{{group}}/{{statistic}}", limits=LIMITS)
_exports = api.path(f"{PREFIX}/exports", limits=LIMITS)
_export = api.path(f"{PREFIX}/exports/{{export}}", limits=LIMITS)
_download = api.path(f"{PREFIX}/exports/{{export}}/download", limits=LIMITS)
UNKNOWN = (
    Unknown(f"{PREFIX}/(statistics|statistic-groups)/.*", api, LIMITS, NotFound(responses.SLASHES)),
    Unknown(f"{PREFIX}(/.*)?", api, LIMITS),
    Unknown("/v[^/]*/api(/.*)?", api, LIMITS, NotFound(responses.VERSION)),
)
"""What the rest of `/v1/api`, and other versions of it, are answered."""


@_about.public("GET")
def describe(request: Request) -> Said:  # noqa: ARG001 - as every view
    """What this is, which versions there are, what changed, and whom to ask."""
    given = wiring.settings()
    return responses.said(responses.description(given.url, given.support))


# Domains


@_domains.keyed("GET", permission=DOMAINS)
def list_domains(request: Request, caller: Holder) -> Said:
    """The account's domains."""
    _own(caller)
    asked = requests.decode_paging(request.query, requests.DOMAIN_IDS)
    page = wiring.domains().list(caller.key.account, asked.limit, asked.after)
    return _listed(request, "/domains", [responses.domain(found) for found in page.entries], page.after)


@_domains.keyed("POST", permission=DOMAINS)
def create_domain(request: Request, caller: Holder) -> Said:
    """A new domain with a key, which may do with it what the caller's own may do, and as often, and is shown here
    alone.
    """
    _own(caller)
    name = requests.decode_name(request.body)
    made, token = wiring.domains().create(
        caller.key.account,
        name,
        caller.key.permissions & STATISTICS,
        caller.user.id,
        name,
        limits=caller.key.limits,
    )
    return responses.said(responses.domain(made, token), 201)


@_domain.keyed("GET", permission=READ | DOMAINS)
def show_domain(request: Request, caller: Holder) -> Said:
    """A domain, by its key or id."""
    return responses.said(responses.domain(_meant(request, caller)))


@_domain.keyed("POST", "PUT", permission=WRITE | DOMAINS)
def rename_domain(request: Request, caller: Holder) -> Said:
    """Gives a domain another name."""
    found = _meant(request, caller)
    renamed = wiring.domains().rename(found.scope, requests.decode_name(request.body))
    return responses.said(responses.domain(renamed))


@_domain.keyed("DELETE", permission=DOMAINS)
def delete_domain(request: Request, caller: Holder) -> Said:
    """Deletes a domain with all that is in it, and its keys."""
    found = _meant(request, caller)
    deleted = wiring.domains().delete(found.scope)
    wiring.removals().ask(found.scope, found.scope.domain)
    return responses.said(responses.domain(deleted))


def _own(caller: Holder) -> "StatisticsDomain | None":
    """The domain that the caller's key opens, if it is one that does.

    Raises:
        Unauthenticated: the domain was deleted, and the key with it, though not every process knows that yet.
    """
    if not caller.key.domain:
        return None
    try:
        return wiring.domains().get(caller.key.account, caller.key.domain)
    except NotFound:
        raise Unauthenticated(keys.UNKNOWN) from None


def _meant(request: Request, caller: Holder) -> "StatisticsDomain":
    """The domain that the path means: the caller's own, or with the permission another one of the account.

    Raises:
        NotFound: there is none, or none that is the caller's concern.
    """
    own, ref = _own(caller), request.parameters["domain"]
    if own is not None and ref == own.scope.domain:
        return own
    found = wiring.domains().get(caller.key.account, ref)
    if found.scope.domain != caller.key.domain and not caller.key.permissions & DOMAINS:
        raise NotFound("domain")
    return found


# Groups


@_groups.keyed("GET", permission=READ)
def list_groups(request: Request, caller: Holder) -> Said:
    """The domain's groups."""
    scope = _scope(caller)
    asked = requests.decode_paging(request.query, requests.GROUP_IDS)
    page = wiring.statistics().groups(scope, asked.limit, asked.after)
    return _listed(request, "/statistic-groups", [responses.group(found) for found in page.entries], page.after)


@_groups.keyed("POST", permission=WRITE)
def create_group(request: Request, caller: Holder) -> Said:
    """A new group."""
    scope = _scope(caller)
    made = wiring.statistics().create_group(scope, requests.decode_name(request.body))
    return responses.said(responses.group(made), 201)


@_group.keyed("GET", permission=READ)
def show_group(request: Request, caller: Holder) -> Said:
    """A group, by its name or id."""
    found = wiring.statistics().group(_scope(caller), _named(request, "group"))
    return responses.said(responses.group(found))


@_group.keyed("POST", "PUT", permission=WRITE)
def rename_group(request: Request, caller: Holder) -> Said:
    """Gives a group another name; its statistics move with it."""
    scope = _scope(caller)
    ref = statistics.name("group", request.parameters["group"])
    renamed = wiring.statistics().update_group(scope, ref, requests.decode_name(request.body))
    return responses.said(responses.group(renamed))


@_group.keyed("DELETE", permission=WRITE)
def delete_group(request: Request, caller: Holder) -> Said:
    """Deletes a group with its statistics."""
    scope = _scope(caller)
    deleted = wiring.statistics().delete_group(scope, _named(request, "group"))
    wiring.removals().ask(scope, deleted.id)
    return responses.said(responses.group(deleted))


# Statistics


@_statistics.keyed("GET", permission=READ)
def list_statistics(request: Request, caller: Holder) -> Said:
    """The statistics of the domain, or of one of its groups, each with its newest value."""
    scope = _scope(caller)
    asked = requests.decode_paging(request.query, requests.STATISTIC_IDS, "group")
    group = requests.decode_group(request.query)
    page = wiring.statistics().statistics(scope, asked.limit, asked.after, group)
    return _listed(request, "/statistics", [responses.statistic(found) for found in page.entries], page.after)


@_statistics.keyed("POST", permission=WRITE)
def create_statistic(request: Request, caller: Holder) -> Said:
    """A new statistic, or another day of one that is there; a missing group is made on the way."""
    scope = _scope(caller)
    update = requests.decode_creation(request.body, _today())
    made = wiring.statistics().update(scope, update, _once(request, caller))
    return responses.said(responses.statistic(made), 201)


@_one.keyed("GET", permission=READ)
def show_statistic_by_id(request: Request, caller: Holder) -> Said:
    """A statistic with its values, by its id."""
    return _show(request, _scope(caller), "", _numbered(request))


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
    return _delete(request, _scope(caller), "", _numbered(request))


@_statistic.keyed("GET", permission=READ)
def show_statistic(request: Request, caller: Holder) -> Said:
    """A statistic with its values."""
    return _show(request, _scope(caller), _named(request, "group"), _named(request, "statistic"))


@_statistic.keyed("POST", "PUT", permission=WRITE)
def change_statistic(request: Request, caller: Holder) -> Said:
    """Changes a statistic's value of one day; statistic and group are made if they are not there."""
    return _change(request, caller, request.parameters["group"], request.parameters["statistic"])


@_statistic.keyed("DELETE", permission=WRITE)
def delete_statistic(request: Request, caller: Holder) -> Said:
    """Deletes a day of a statistic, or all of it."""
    return _delete(request, _scope(caller), _named(request, "group"), _named(request, "statistic"))


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
    scope = _scope(caller)
    change = requests.decode_change(request.body, group, statistic, _today())
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
    scope = _scope(caller)
    entries = requests.decode_batch(request.body, _today())
    updates = [entry for entry in entries if isinstance(entry, Update)]
    done = iter(wiring.statistics().batch(scope, updates, _once(request, caller)) if updates else ())
    found = [next(done) if isinstance(entry, Update) else entry for entry in entries]
    for error in dict.fromkeys(one for one in found if isinstance(one, Unavailable | Uncertain)):
        observability.failed("updates of a batch failed", error)
    return responses.said(responses.results(found))


# Exports


@_exports.keyed("GET", permission=READ)
def list_exports(request: Request, caller: Holder) -> Said:
    """The domain's exports."""
    scope = _opened(caller).scope
    asked = requests.decode_paging(request.query, requests.EXPORT_IDS)
    page = wiring.exports().jobs(scope.account, SURFACE, asked.limit, asked.after, {"domain": scope.domain})
    return _listed(request, "/exports", [_shown(job) for job in page.entries], page.after)


@_exports.keyed("POST", permission=READ)
def create_export(request: Request, caller: Holder) -> Said:
    """Asks for a file of all values of the domain, or of one of its groups."""
    domain, ref = _opened(caller), requests.decode_export(request.body)
    scope = domain.scope
    parameters = {"domain": scope.domain}
    if ref:
        group = wiring.statistics().group(scope, ref)
        parameters |= {"group": group.id, "name": group.name}
    charge_key(request, (responses.EXPORTS,))
    job = wiring.exports().begin(scope.account, SURFACE, _file(domain.name), parameters, wiring.now())
    return responses.said(_shown(job), 201)


@_export.keyed("GET", permission=READ)
def show_export(request: Request, caller: Holder) -> Said:
    """How far an export is, and where it can be downloaded."""
    return responses.said(_shown(_job(_opened(caller).scope, request.parameters["export"])))


@_export.keyed("DELETE", permission=READ)
def delete_export(request: Request, caller: Holder) -> Said:
    """Deletes an export's file, or stops it from being made; links to it lead nowhere from now on."""
    job = _job(_opened(caller).scope, request.parameters["export"])
    return responses.said(_shown(wiring.exports().end(job.account, job.id)))


@_download.public("GET")
def download_export(request: Request) -> Said:
    """Sends on to the file: whoever has a link of ours, for as long as that holds, or a key of the domain."""
    ref = request.parameters["export"]
    last = {name: values[-1] for name, values in request.query.items() if values}
    if links.holds(wiring.secrets().own().signing, responses.download_path(ref), last, wiring.now()):
        job = _linked(ref)
    elif "signature" in last and "authorization" not in request.headers:
        raise Forbidden("this link does not hold, or not any more")
    else:
        job = _job(_opened(holder(request, READ)).scope, ref)
    if job.state is State.EXPIRED:
        raise NotFound("export any more: it has expired")
    if job.state is not State.FINISHED:
        raise Taken(f"the export is not finished: it is {job.state}")
    url = wiring.exports().download(job)
    return responses.said({"object": "download", "url": url}, 302, {"Location": url})


def _linked(ref: str) -> Job:
    """An export that a link leads to, unless its domain is gone."""
    job = wiring.exports().linked(ref)
    wiring.domains().get(job.account, job.parameters["domain"])
    return job


def _job(scope: Scope, ref: str) -> Job:
    """An export of this domain."""
    if not requests.EXPORT_IDS.fullmatch(ref):
        raise NotFound("export")
    job = wiring.exports().job(scope.account, ref)
    if job.surface != SURFACE or job.parameters.get("domain") != scope.domain:
        raise NotFound("export")
    return job


def _opened(caller: Holder) -> "StatisticsDomain":
    """The caller's domain, as it is now.

    Raises:
        Forbidden: the key opens none.
        Unauthenticated: it was deleted.
    """
    own = _own(caller)
    if own is None:
        raise Forbidden(_NO_DOMAIN)
    return own


def _shown(job: Job) -> dict[str, Any]:
    path = responses.download_path(job.id)
    query = links.sign(wiring.secrets().own().signing, path, job.expires_at)
    return responses.export(job, f"{wiring.settings().url}{path}?{query}")


def _file(domain: str) -> str:
    """What the file of an export is called where somebody saves it."""
    name = _NOT_IN_NAMES.sub("-", domain)[:100].strip("-.")
    return f"countless-{name or 'domain'}-{_today()}.csv.gz"


# Within


def _scope(caller: Holder) -> Scope:
    """Whose statistics the caller's key opens.

    Raises:
        Forbidden: nobody's.
    """
    if not caller.key.domain:
        raise Forbidden(_NO_DOMAIN)
    return Scope(caller.key.account, caller.key.domain)


def _named(request: Request, parameter: str) -> str:
    """What the path calls something that must be there.

    Raises:
        NotFound: nothing is called so.
    """
    try:
        return statistics.name(parameter, request.parameters[parameter])
    except Invalid:
        raise NotFound(parameter) from None


def _numbered(request: Request) -> str:
    """The id of a statistic in `/statistics/{id}`.

    Raises:
        NotFound: it can be no such id.
    """
    given = request.parameters["group"]
    if not statistics.is_statistic_id(given):
        raise NotFound("statistic")
    return given


def _today() -> str:
    return responses.time(int(wiring.now()))[:10]


def _once(request: Request, caller: Holder) -> "Once | None":
    path = request.path.removesuffix("/")
    return requests.decode_once(request.headers, caller.key.id, request.method, path, request.body)


def _listed(request: Request, path: str, entries: list[dict[str, Any]], after: str | None) -> Said:
    """A page of a list, and where the next one is."""
    if after is None:
        return responses.said(entries)
    query = requests.following(request.query, after)
    return responses.said(entries, 200, responses.link(wiring.settings().url, path, query))
