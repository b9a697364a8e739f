"""Exports: `/v1/api/exports`, and the files that they lead to."""

import re
from typing import TYPE_CHECKING, Any

from chalicelib import wiring
from chalicelib.core import links
from chalicelib.core.accounts import Scope
from chalicelib.core.errors import Forbidden, NotFound, Taken
from chalicelib.core.exports import Job, State
from chalicelib.statistics import requests, responses
from chalicelib.statistics.exports import SURFACE
from chalicelib.statistics.responses import Said
from chalicelib.statistics.versions import PREFIX
from chalicelib.web import Holder, Request, charge_key, holder

from .surface import LIMITS, NO_DOMAIN, READ, api, listed, own_domain, today

if TYPE_CHECKING:
    from chalicelib.core.accounts import StatisticsDomain

_NOT_IN_NAMES = re.compile(r"[^\w.-]+")

_exports = api.path(f"{PREFIX}/exports", limits=LIMITS)
_export = api.path(f"{PREFIX}/exports/{{export}}", limits=LIMITS)
_download = api.path(f"{PREFIX}/exports/{{export}}/download", limits=LIMITS)


@_exports.keyed("GET", permission=READ)
def list_exports(request: Request, caller: Holder) -> Said:
    """The domain's exports."""
    scope = _opened(caller).scope
    asked = requests.decode_paging(request.query, requests.EXPORT_IDS)
    page = wiring.exports().jobs(scope.account, SURFACE, asked.limit, asked.after, {"domain": scope.domain})
    return listed(request, "/exports", [_shown_domain(job) for job in page.entries], page.after)


@_exports.keyed("POST", permission=READ)
def create_export(request: Request, caller: Holder) -> Said:
    """Asks for a file of all values of the domain, or of one of its groups."""
    domain, ref = _opened(caller), requests.decode_export(request.body)
    scope = domain.scope
    parameters = {"domain": scope.domain}
    if ref:
        group = wiring.statistics().group(scope, ref)
        parameters |= {"group": group.id, "name": group.name}
    if requests.decode_safe(request.query):
        parameters["safe"] = "1"
    charge_key(request, (responses.EXPORTS,))
    job = wiring.exports().begin(scope.account, SURFACE, _file(domain.name), parameters, wiring.now())
    return responses.said(_shown_domain(job), 201)


@_export.keyed("GET", permission=READ)
def show_export(request: Request, caller: Holder) -> Said:
    """How far an export is, and where it can be downloaded."""
    return responses.said(_shown_domain(_job(_opened(caller).scope, request.parameters["export"])))


@_export.keyed("DELETE", permission=READ)
def delete_export(request: Request, caller: Holder) -> Said:
    """Deletes an export's file, or stops it from being made; links to it lead nowhere from now on."""
    job = _job(_opened(caller).scope, request.parameters["export"])
    return responses.said(_shown_domain(wiring.exports().end(job.account, job.id)))


@_download.public("GET")
def download_export(request: Request) -> Said:
    """Sends on to the file: whoever has a link of ours, for as long as that holds, or a key of the domain."""
    ref = request.parameters["export"]
    last = {name: values[-1] for name, values in request.query.items() if values}
    if links.holds(wiring.secrets().signing(), responses.download_path(ref), last, wiring.now()):
        job = _linked(ref)
    elif "signature" in last and "authorization" not in request.headers:
        raise Forbidden("this link does not hold, or not any more")
    else:
        job = _job(_opened(holder(request, READ)).scope, ref)
    if job.state is State.EXPIRED:
        raise NotFound("export any more: it has expired")
    if job.state is not State.FINISHED:
        raise Taken(f"the export is not finished: it is {job.state}")
    url = wiring.exports().download(job, request.method)
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
    own = own_domain(caller)
    if own is None:
        raise Forbidden(NO_DOMAIN)
    return own


def _shown_domain(job: Job) -> dict[str, Any]:
    path = responses.download_path(job.id)
    query = links.sign(wiring.secrets().signing()[0], path, job.expires_at)
    return responses.export(job, f"{wiring.settings().url}{path}?{query}")


def _file(domain: str) -> str:
    """What the file of an export is called where somebody saves it."""
    name = _NOT_IN_NAMES.sub("-", domain)[:100].strip("-.")
    return f"countless-{name or 'domain'}-{today()}.csv.gz"
