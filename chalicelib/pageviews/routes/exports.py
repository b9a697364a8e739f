"""Exports: `/api/v0/export`, and the files that they lead to."""

from datetime import UTC, datetime

from chalicelib import web, wiring
from chalicelib.core import links
from chalicelib.core.accounts import Permission, Site
from chalicelib.core.errors import Forbidden, Invalid, NotFound
from chalicelib.core.exports import Job, State
from chalicelib.pageviews import responses, responses_export
from chalicelib.pageviews.requests_export import SURFACE, Format, Wanted, decode_export, decode_safe, export_number
from chalicelib.pageviews.responses import Said

from .surface import LIMITS, api, undeclared

EXPORT = "export"
"""The window that new exports are charged to."""
LARGEST = 4_400_000
"""Bytes of a file that are sent as they are: in base64, Lambda lets no more through."""

_exports = api.path("/api/v0/export", limits=LIMITS)
_export = api.path("/api/v0/export/{id}", limits=LIMITS)
_download = api.path("/api/v0/export/{id}/download", limits=LIMITS)
_file = api.path("/api/v0/export/{id}/file", limits=LIMITS)


@_exports.keyed("POST", permission=Permission.EXPORT)
def create_export(request: web.Request, caller: web.Caller) -> Said:
    """Asks for a file of what was counted until now.

    Only what is begun is charged to the window of exports (quirk 18).
    """
    if refusal := undeclared(request):
        return refusal
    wanted, site, now = decode_export(request.body), caller.site, wiring.now()
    parameters = {"site": str(site.id), "format": str(wanted.format)}
    if decode_safe(request.query):
        if wanted.format is not Format.CSV:
            raise Invalid("safe is only valid for CSV exports")
        parameters["safe"] = "1"
    if wanted.start is not None:
        parameters["start"] = str(wanted.start)
    if wanted.day is not None:
        parameters["day"] = str(wanted.day)
    if wanted.format is Format.JSON:
        parameters |= {"host": site.cname or request.host, "user": f"user_id={caller.user.id} {caller.user.email}"}

    def begin() -> Job:
        end = wiring.listing_place(site.stream)
        given = parameters | {"head": str(end.head), "event": str(end.event)}
        return wiring.exports().begin(site.account, SURFACE, _name(site, wanted, now), given, now, numbered=True)

    job = web.charge_if_done(request, (EXPORT,), begin, wiring.exports().take_back)
    return responses.said(responses_export.export(job), 202)


@_export.keyed("GET", permission=Permission.EXPORT)
def show_export(request: web.Request, caller: web.Caller) -> Said:
    """How far an export is, and what it came to."""
    return responses.said(responses_export.export(_job(request, caller)))


@_download.keyed("GET", permission=Permission.EXPORT)
def download_export(request: web.Request, caller: web.Caller) -> Said:
    """The file of an export; a large one by a link of ours, which holds as long as the file is kept.

    While there is none, the answer is a 202. The reference has its words in `error`; but no answer of success ever
    holds an error, as its documentation says, so here they are a `status`.
    """
    job = _job(request, caller)
    if decode_safe(request.query) and "safe" not in job.parameters:
        raise Invalid("this file is as it was counted: ask for a safe one with POST /api/v0/export?safe=1")
    if not job.over:
        return responses.said({"status": responses_export.PENDING}, 202, {"Retry-After": "1"})
    if job.state is State.FAILED:
        raise Invalid(job.error or "")
    if job.state is State.FINISHED and (job.size or 0) > LARGEST:
        path = _file_path(job.id)
        query = links.sign(wiring.secrets().signing()[0], path, job.expires_at)
        return Said(302, "", {"Location": f"{request.prefix}{path}?{query}"})
    try:
        return responses_export.file(job, wiring.exports().read(job))
    except NotFound:
        raise Invalid(responses_export.DELETED) from None


@_file.public("GET")
def send_file(request: web.Request) -> Said:
    """Sends whoever has a link of ours on to the file, by an address that holds for a minute."""
    ref = request.parameters["id"]
    last = {name: values[-1] for name, values in request.query.items() if values}
    if not links.holds(wiring.secrets().signing(), _file_path(ref), last, wiring.now()):
        raise Forbidden("this link does not hold, or not any more")
    try:
        url = wiring.exports().download(wiring.exports().linked(ref), request.method)
    except NotFound:
        raise Invalid(responses_export.DELETED) from None
    return Said(302, "", {"Location": url})


def _file_path(job: str) -> str:
    return f"/api/v0/export/{job}/file"


def _job(request: web.Request, caller: web.Caller) -> Job:
    """The export of the caller's site that the path names."""
    job = wiring.exports().numbered(caller.site.account, export_number(request.parameters["id"]))
    if job.surface != SURFACE or job.parameters["site"] != str(caller.site.id):
        raise NotFound("export")
    return job


def _name(site: Site, wanted: Wanted, now: float) -> str:
    """What the file is called where somebody saves it."""
    name = f"goatcounter-export-{site.code}-{datetime.fromtimestamp(now, UTC):%Y%m%dT%H%M%SZ}"
    return f"{name}.zip" if wanted.format is Format.JSON else f"{name}-{wanted.start or 0}.csv.gz"
