"""Results and errors in the statistics API's words (statistics contract, sections Transport and Objects)."""

import math
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

import orjson

from chalicelib.core import keys, statistics
from chalicelib.core.accounts import StatisticsDomain
from chalicelib.core.errors import (
    CountlessError,
    Forbidden,
    Invalid,
    NotFound,
    RateLimited,
    Taken,
    TooLarge,
    Unauthenticated,
    Unavailable,
    Uncertain,
)
from chalicelib.core.exports import Job, State
from chalicelib.core.periods import time_text
from chalicelib.core.statistics import Bucket, Group, Statistic

from .versions import CALLS, CHANGELOG, PREFIX, VERSIONS

JSON = "application/json"
EXPORTS = "statistics-export"
"""The plan that exports are charged to besides that of every request."""
NOT_SET = (
    "no domain key is set: call ossit.set_domain_key('YOUR_SECRET_KEY'); assigning ossit.domain_key sets a name that "
    "the client never reads, so that it sends 'Bearer None'"
)
SLASHES, VERSION = "path below statistics", "version"
"""What `NotFound` names where a name with a slash leads nowhere, and where another version is asked for."""
_KNOWN = ", ".join(f"{name} ({path})" for name, path in VERSIONS.items())
_NOWHERE = {
    SLASHES: 'there is no such path: names of groups and statistics may not contain "/"',
    VERSION: f"there is no such version of this API; versions: {_KNOWN}",
}
_LATER = "the service cannot answer now; try again later"
_LOST = (
    "the answer of the database was lost: the update was counted once or not at all; "
    "with an Idempotency-Key header it is safe to repeat a request"
)
_REASONS = {
    keys.NO_HEADER: 'no domain key: send it as "Authorization: Bearer <domain key>"',
    keys.WRONG_FORMAT: 'the Authorization header must be "Bearer <domain key>"',
    keys.UNKNOWN: "this domain key is not known, or not any more",
}


class Said(NamedTuple):
    """An answer."""

    status: int
    body: str | bytes
    headers: Mapping[str, str]


class Problem(NamedTuple):
    """What went wrong, as a caller is told."""

    status: int
    code: str
    message: str

    @property
    def shown(self) -> dict[str, str]:
        """The value of `error`."""
        # What a message quotes may be no text that UTF-8 can hold.
        return {"code": self.code, "message": self.message.encode(errors="replace").decode()}


def said(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Said:  # noqa: ANN401
    """An answer in JSON. It is never empty: the client parses every body."""
    return Said(status, orjson.dumps(value).decode(), {"Content-Type": JSON, **(headers or {})})


def problem(error: CountlessError) -> Problem:  # noqa: PLR0911 - one for each kind
    """What a problem of the core's is called here."""
    match error:
        case Invalid():
            message = error.message or "; ".join(f"{name}: {', '.join(said)}" for name, said in error.fields.items())
            return Problem(400, "BAD_REQUEST", message)
        case Unauthenticated():
            return Problem(401, "UNAUTHORIZED", _REASONS.get(error.reason, error.reason))
        case Forbidden():
            return Problem(403, "FORBIDDEN", error.reason)
        case NotFound():
            return Problem(404, "NOT_FOUND", _NOWHERE.get(str(error)) or f"there is no such {error}")
        case Taken():
            return Problem(409, "CONFLICT", error.message)
        case TooLarge():
            return Problem(413, "PAYLOAD_TOO_LARGE", error.message)
        case RateLimited():
            what = "exports" if error.name == EXPORTS else "requests"
            message = f"{error.limit} {what} are used up; try again in {math.ceil(error.reset)} seconds"
            return Problem(429, "TOO_MANY_REQUESTS", message)
        case Unavailable():
            return Problem(503, "UNAVAILABLE", _LATER)
        case Uncertain():
            return Problem(500, "INTERNAL_ERROR", _LOST)
        case _:
            return Problem(500, "INTERNAL_ERROR", "something unexpected went wrong")


class ApiWords:
    """What `/v1/api` says when something is wrong: always `{"error": {"code", "message"}}` and nothing else."""

    def failure(self, error: CountlessError) -> Said:
        """A problem of the core's."""
        return _refused(problem(error), {"WWW-Authenticate": "Bearer"} if isinstance(error, Unauthenticated) else {})

    def wrong_method(self) -> Said:
        """The path exists, but not for this method."""
        return _refused(Problem(405, "METHOD_NOT_ALLOWED", "this path does not know this method"))

    def wrong_type(self) -> Said:
        """Never said: a body is JSON whatever its type is called."""
        return _refused(Problem(400, "BAD_REQUEST", "body: must be JSON"))

    def too_large(self) -> Said:
        """A body larger than a function can be given."""
        return _refused(Problem(413, "PAYLOAD_TOO_LARGE", "the request's body is too large"))

    def unexpected(self, status: int, code: str) -> Said:
        """An error of ours."""
        if status == 503:
            return _refused(Problem(503, "UNAVAILABLE", f"{_LATER} (code {code})"))
        message = f"unexpected error code {code}; this has been reported for investigation"
        return _refused(Problem(status, "INTERNAL_ERROR", message))


def _refused(found: Problem, headers: Mapping[str, str] | None = None) -> Said:
    return said({"error": found.shown}, found.status, headers)


# Objects


def domain(found: StatisticsDomain, key: str | None = None) -> dict[str, Any]:
    """A domain; with its key only when that was just made."""
    return {
        "id": found.scope.domain,
        "object": "domain",
        "name": found.name,
        **({} if key is None else {"key": key}),
        "created_at": time_text(found.created_at),
        "updated_at": time_text(found.updated_at),
    }


def group(found: Group) -> dict[str, Any]:
    """A statistic group."""
    return {
        "id": found.id,
        "object": "statistic_group",
        "name": found.name,
        "statistics": found.statistics,
        "created_at": time_text(found.created_at),
        "updated_at": time_text(found.updated_at),
    }


def statistic(found: Statistic, intervals: Iterable[Bucket] | None = None) -> dict[str, Any]:
    """A statistic with the values that it holds; with `intervals` in their place, if there are any."""
    shown = found.shown
    values: dict[str, Any] = {}
    if intervals is not None:
        values["intervals"] = [_bucket(bucket) for bucket in intervals]
    elif found.values is not None:
        values["values"] = [{"reference_date": day, "value": _number(value)} for day, value in found.values]
    return {
        "id": found.id,
        "object": "statistic",
        "group": found.group,
        "name": found.name,
        "value": None if shown is None else _number(shown.value),
        "reference_date": None if shown is None else shown.day,
        **values,
        "created_at": time_text(found.created_at),
        "updated_at": time_text(found.updated_at),
    }


def export(job: Job, url: str) -> dict[str, Any]:
    """An export; `url` is where it can be downloaded once it is finished."""
    return {
        "id": job.id,
        "object": "export",
        "state": job.state.value,
        "format": "csv",
        "group": job.parameters.get("name"),
        "rows": job.rows,
        "size": job.size,
        "sha256": job.sha256,
        "error": job.error,
        "download_url": url if job.state is State.FINISHED else None,
        "created_at": time_text(job.created_at),
        "updated_at": time_text(job.updated_at),
        "expires_at": time_text(job.expires_at),
    }


def download_path(export: str) -> str:
    """Where an export can be downloaded: the path that links sign."""
    return f"{PREFIX}/exports/{export}/download"


def results(found: Sequence[Statistic | CountlessError]) -> dict[str, Any]:
    """What a batch came to, in its order."""
    return {
        "results": [
            {"error": problem(one).shown} if isinstance(one, CountlessError) else {"statistic": statistic(one)}
            for one in found
        ]
    }


def description(url: str, support: str) -> dict[str, Any]:
    """The body of `GET /v1/api`. `url` is where the deployment is, `support` whom its operator names."""
    return {
        "object": "api",
        "name": "Countless statistics",
        "version": next(iter(VERSIONS)),
        "versions": [{"version": name, "url": f"{url}{path}"} for name, path in VERSIONS.items()],
        "support": support or None,
        "documentation": [
            {"method": method, "path": f"{PREFIX}{path}", "summary": summary} for method, path, summary in CALLS
        ],
        "changelog": [
            {"version": release.version, "date": release.released, "summary": list(release.summary)}
            for release in CHANGELOG
        ],
    }


def link(url: str, path: str, query: Sequence[tuple[str, str]]) -> dict[str, str]:
    """The header that names the next page of a list."""
    asked = urlencode(query, quote_via=quote, safe="", errors="replace")
    return {"Link": f'<{url}{PREFIX}{path}?{asked}>; rel="next"'}


def _number(value: Decimal) -> orjson.Fragment:
    return orjson.Fragment(statistics.text(value))


def _bucket(bucket: Bucket) -> dict[str, Any]:
    return {
        "from": bucket.first,
        "to": bucket.last,
        "sum": _number(bucket.sum),
        "min": _number(bucket.min),
        "max": _number(bucket.max),
        "mean": _number(bucket.mean),
        "count": bucket.days,
    }
