"""The endpoints: operations of OpenAPI 2.0, by path and method (page-view contract, sections 2 to 5)."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from chalicelib.core.accounts import Permission
from chalicelib.core.keys import named

from .schemas import DAY, INT32, Schema, ref

Parameter = dict[str, Any]

_MOMENT = r"^([0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?(Z|[+-][0-9]{2}:[0-9]{2}))?)?$"
_PAGES = ["browsers", "systems", "locations", "languages", "sizes", "campaigns", "toprefs"]
_JSON = "application/json"
_PAGE_TYPES = ["text/html;charset=utf-8", "text/plain; charset=utf-8"]
"""Of what is said to people who are refused."""
_LIMIT_HEADERS = {
    "X-Rate-Limit-Limit": {"type": "integer", "description": "Requests a period."},
    "X-Rate-Limit-Remaining": {"type": "integer", "description": "How many of them are left."},
    "X-Rate-Limit-Reset": {"type": "integer", "description": "Seconds until the next period."},
}
_RETRY = {"Retry-After": {"type": "integer", "description": "Seconds to wait."}}


STATUS = "/status"
"""The one path that is about the whole service and has no spelling below a site's code."""


class _Answer(NamedTuple):
    """What comes back if all is well."""

    description: str
    schema: Schema | None = None
    headers: Mapping[str, Schema] = {}


def _query(name: str, kind: str, description: str, **more: Any) -> Parameter:  # noqa: ANN401 - whatever it may say
    return {"name": name, "in": "query", "type": kind, "description": description, **more}


def _within(name: str, kind: str, description: str, **more: Any) -> Parameter:  # noqa: ANN401
    return {"name": name, "in": "path", "required": True, "type": kind, "description": description, **more}


def _body(name: str, *, required: bool = True) -> Parameter:
    return {"name": "body", "in": "body", "required": required, "schema": ref(name)}


_START = _query(
    "start",
    "string",
    "From when on: a day, which begins at midnight UTC, or a moment, RFC 3339. Seven days ago, if it is not said.",
    pattern=_MOMENT,
)
_END = _query(
    "end",
    "string",
    "Until when, as `start`; a day is its first moment here, so say `2026-01-31T23:59:59Z` for the whole of it. The "
    "end of today, if it is not said.",
    pattern=_MOMENT,
)
_INCLUDE = _query(
    "include_paths",
    "array",
    "Only these paths: ids, or names if `path_by_name` is true.",
    items={"type": "string"},
    collectionFormat="csv",
)
_BY_NAME = _query("path_by_name", "boolean", "Whether paths are given by name.", default=False)
_OFFSET = _query("offset", "integer", "How many rows to skip.", minimum=0, default=0)


def _limit(most: int = 100) -> Parameter:
    return _query(
        "limit",
        "integer",
        f"How many rows at most. Less than 1 is as good as 1, more than {most} as {most}.",
        minimum=1,
        maximum=most,
        default=20,
    )


_RANGED = [_START, _END, _INCLUDE, _BY_NAME]
_PAGE = _within("page", "string", "Which statistic.", enum=_PAGES)
_DETAILED = _within("page", "string", "Which statistic.", enum=[page for page in _PAGES if page != "languages"])
_FOLDER = {
    "export": _within("id", "integer", "The export.", minimum=1, maximum=INT32),
    "site": _within("id", "integer", "The site.", minimum=1, maximum=INT32),
}


def _operation(  # noqa: PLR0913 - an operation has as many sides
    tag: str,
    name: str,
    summary: str,
    answers: Mapping[int, _Answer],
    *,
    permission: Permission | None = Permission(0),  # noqa: B008 - a number
    parameters: "list[Parameter] | None" = None,
    description: str = "",
    error: str = "Error",
    refusals: Mapping[int, str] | None = None,
) -> dict[str, Any]:
    """An operation of the API. `permission` of None: no key is asked for; of 0: any key will do."""
    parameters = parameters or []
    needs = " or ".join(f"`{flag}`" for flag in named(permission)) if permission else ""
    said = [description] if description else []
    if needs:
        said.append(f"The key needs the permission {needs}.")
    has_body = any(parameter["in"] == "body" for parameter in parameters)
    errors = {400: "The request is wrong: what is, and where."} | dict(refusals or {})
    if permission is not None:
        errors |= {401: "No key, or none that is known.", 403: "The key may not do this, or not to this site."}
        errors |= {404: "There is no such thing, or it is somebody else's."}
    if has_body:
        errors |= {413: "The body is too large.", 415: ""}
    errors |= {
        429: "Too many requests.",
        500: "Something went wrong here.",
        503: "Something that is needed does not answer: try again.",
    }
    responses = {str(status): _answered(answer) for status, answer in answers.items()}
    for status in sorted(errors):
        if status == 415:
            responses["415"] = {"description": "The body is not JSON. This answer has no body."}
            continue
        responses[str(status)] = {"description": errors[status], "schema": ref(error)}
    responses["429"]["headers"] = {**_LIMIT_HEADERS, **_RETRY}
    if permission is not None:
        challenge = {"type": "string", "description": "`Basic realm=GoatCounter`, unless the key is known."}
        responses["401"]["headers"] = {"WWW-Authenticate": challenge}
    operation: dict[str, Any] = {"tags": [tag], "operationId": name, "summary": summary}
    if said:
        operation["description"] = " ".join(said)
    if has_body:
        operation["consumes"] = [_JSON]
    operation |= {"produces": [_JSON], "parameters": parameters, "responses": responses}
    operation["security"] = [] if permission is None else [{"bearer": []}, {"basic": []}]
    return operation


def _answered(answer: _Answer) -> dict[str, Any]:
    said: dict[str, Any] = {"description": answer.description}
    if answer.schema is not None:
        said["schema"] = answer.schema
    return {**said, "headers": {**_LIMIT_HEADERS, **answer.headers}}


_UNCOUNTED = {
    "X-Countless": {
        "type": "string",
        "description": "Why it is not counted: `not counted: robot`; of a batch, which: `not counted: robot: 0, 3`.",
    }
}
_FILE = {"type": "file"}
_DISPOSITION = {"Content-Disposition": {"type": "string", "description": "The file's name."}}
_PIXEL = [
    _query("p", "string", "The page's path, or the event's name.", maxLength=2048),
    _query("t", "string", "The page's title.", maxLength=1024),
    _query("r", "string", "Where the visitor came from.", maxLength=2048),
    _query("e", "boolean", "Whether this is an event."),
    _query("q", "string", "The page's query string: campaigns are found in it."),
    _query("s", "string", "The screen's width; or width, height and scale, joined by commas."),
    _query("b", "integer", "What kind of robot the script takes the browser for: 0 for none, 150 and more for others."),
    _query("ns", "boolean", "Count a visit, whoever it is."),
    _query("rnd", "string", "Anything: so that no cache answers. Other parameters are ignored as well."),
]


def _pixel(method: str) -> dict[str, Any]:
    reason = {"X-Goatcounter": {"type": "string", "description": "What is wrong with it."}}
    answers = {
        "200": "Taken. If it is not counted, the header says why.",
        "202": "Not counted: the address is one that the site ignores.",
        "400": "Something is wrong with the parameters: the header says what.",
    }
    responses: dict[str, Any] = {
        status: {
            "description": what,
            "schema": _FILE,
            "headers": {**_LIMIT_HEADERS, **_UNCOUNTED, **({} if status == "200" else reason)},
        }
        for status, what in answers.items()
    }
    responses["429"] = {
        "description": "Too many requests from this browser; a line of text says until when.",
        "headers": {**_LIMIT_HEADERS, **_RETRY},
    }
    for status, what in (("500", "Something went wrong here."), ("503", "Something that is needed does not answer.")):
        responses[status] = {"description": what, "schema": _FILE}
    return {
        "tags": ["Browsers"],
        "operationId": f"view_{method}",
        "summary": "Count a page view",
        "description": (
            "What the script on a page asks for. The answer is a GIF of one pixel, whatever comes of it"
            + (". A body is not read." if method == "post" else ".")
        ),
        "produces": ["image/gif", "text/plain; charset=utf-8"],
        "parameters": _PIXEL,
        "responses": responses,
        "security": [],
    }


def _counter(name: str, types: list[str], shown: Schema, *parameters: Parameter) -> dict[str, Any]:
    return {
        "tags": ["Browsers"],
        "operationId": name,
        "summary": "How often a page was visited, to be shown on it",
        "description": (
            "Only for sites that allow it. The path's slashes may be encoded or not: `/counter//a.html.json` and "
            "`/counter/%2Fa.html.json` are both of `/a.html`; `/counter/TOTAL.json` is of the whole site. Unknown "
            "parameters are ignored. Answers may be four hours old."
        ),
        "produces": types,
        "parameters": [
            _within("path", "string", "The page's path, an event's name, or `TOTAL`.", minLength=1),
            *parameters,
            _query("start", "string", "From when on: a day, or `week`, `month` or `year` for that long until now."),
            _query("end", "string", "Until the beginning of this day.", format="date", pattern=DAY),
        ],
        "responses": {
            "200": {"description": "Visits.", "schema": shown},
            "400": {"description": "The path's extension or a date is wrong."},
            "403": {"description": "The site does not allow it."},
            "404": {"description": "There are no visits: the same, with 0.", "schema": shown},
            "429": {"description": "Too many requests."},
            "500": {"description": "Something went wrong here."},
            "503": {"description": "Something that is needed does not answer."},
        },
        "security": [],
    }


_COUNT = _operation(
    "Count",
    "count",
    "Count up to 500 page views",
    {
        202: _Answer(
            "Accepted, whole; they are in the figures within seconds.",
            ref("Accepted"),
            {
                "X-Goatcounter-Filter": {"type": "string", "description": "Which `hits` the filter left out: `0, 4`."},
                **_UNCOUNTED,
            },
        )
    },
    permission=Permission.COUNT,
    parameters=[
        {
            "name": "Idempotency-Key",
            "in": "header",
            "type": "string",
            "description": "The same body under the same key counts once within a day, however often it is sent.",
        },
        _body("Batch"),
    ],
    description=(
        "Each needs `session`, or both `user_agent` and `ip`, unless `no_sessions` is true. Page views that the answer "
        "names as wrong were not counted; all others were."
    ),
    error="CountError",
)
_SITE_CHANGE = [_FOLDER["site"], _body("SiteChange")]
_ONE_SITE = {200: _Answer("The site as it is now.", ref("Site"))}

PATHS: dict[str, dict[str, Any]] = {
    "/api/v0/count": {"post": _COUNT},
    "/api/v0/export": {
        "post": _operation(
            "Exports",
            "export",
            "Ask for an export",
            {202: _Answer("It is being made: ask for it until `finished_at` is set.", ref("Export"))},
            permission=Permission.EXPORT,
            parameters=[
                _query("safe", "boolean", "Whether cells of CSV that a spreadsheet would run are defused."),
                _body("ExportRequest", required=False),
            ],
            description="One an hour. CSV has page views only from when the site collected them (256 in `collect`) on.",
        )
    },
    "/api/v0/export/{id}": {
        "get": _operation(
            "Exports",
            "show_export",
            "How far an export is",
            {200: _Answer("The export.", ref("Export"))},
            permission=Permission.EXPORT,
            parameters=[_FOLDER["export"]],
        )
    },
    "/api/v0/export/{id}/download": {
        "get": _operation(
            "Exports",
            "download_export",
            "An export's file",
            {
                200: _Answer("The file.", _FILE, _DISPOSITION),
                202: _Answer("It is still being made.", ref("Running")),
                302: _Answer(
                    "The file is too large for one answer and waits elsewhere: follow the link, soon.",
                    None,
                    {"Location": {"type": "string", "description": "Where the file is."}},
                ),
            },
            permission=Permission.EXPORT,
            parameters=[_FOLDER["export"]],
            description="Files are kept for 24 hours.",
        )
        | {"produces": ["application/gzip", "application/zip", _JSON]}
    },
    "/api/v0/export/{id}/file": {
        "get": _operation(
            "Exports",
            "load_file",
            "A large export's file, by the link that the download leads to",
            {
                302: _Answer(
                    "Where the file is, for a minute.",
                    None,
                    {"Location": {"type": "string", "description": "Where the file is."}},
                )
            },
            permission=None,
            parameters=[
                _within("id", "string", "The export, as the link names it.", minLength=1),
                _query("expires", "integer", "Until when the link holds, in Unix seconds.", required=True),
                _query("signature", "string", "What proves that the link is ours.", required=True),
            ],
            description="Whoever has the link needs no key. It holds for as long as the file is kept.",
            refusals={403: "The link does not hold, or not any more."},
        )
    },
    "/api/x/drops": {
        "get": _operation(
            "Statistics",
            "drops",
            "Page views that were taken and not counted, by day and reason",
            {200: _Answer("The days on which there were any, for ninety days.", ref("Drops"))},
            permission=Permission.STATS,
            parameters=[_START, _END],
            description="Days are those of UTC. What is sent or delivered again is in these figures again.",
        )
    },
    "/api/v0/me": {
        "get": _operation(
            "Users", "me", "Whose key it is, and what it may do", {200: _Answer("User and key.", ref("Me"))}
        )
    },
    "/api/v0/paths": {
        "get": _operation(
            "Paths",
            "paths",
            "Every path that there ever was",
            {200: _Answer("Paths, by id.", ref("Paths"))},
            permission=Permission.STATS,
            parameters=[
                _limit(200),
                _query("after", "integer", "Only paths with a larger id.", minimum=0, maximum=INT32, default=0),
            ],
        )
    },
    "/api/v0/sites": {
        "get": _operation(
            "Sites",
            "sites",
            "The site, and those made from it",
            {200: _Answer("Sites; this one first, then by code.", ref("Sites"))},
            permission=Permission.SITE_READ,
        ),
        "put": _operation(
            "Sites",
            "create_site",
            "Make a new site",
            {200: _Answer("The new site.", ref("Site"))},
            permission=Permission.SITE_CREATE,
            parameters=[_body("NewSite")],
            refusals={409: "Somebody else does the same at this moment."},
        ),
    },
    "/api/v0/sites/{id}": {
        "get": _operation(
            "Sites",
            "show_site",
            "A site",
            {200: _Answer("The site.", ref("Site"))},
            permission=Permission.SITE_READ,
            parameters=[_FOLDER["site"]],
        ),
        "post": _operation(
            "Sites",
            "replace_site",
            "Set what can be set of a site",
            _ONE_SITE,
            permission=Permission.SITE_UPDATE,
            parameters=_SITE_CHANGE,
            description="What is not said becomes blank, or its default.",
            refusals={409: "Somebody else does the same at this moment."},
        ),
        "patch": _operation(
            "Sites",
            "change_site",
            "Change a site",
            _ONE_SITE,
            permission=Permission.SITE_UPDATE,
            parameters=_SITE_CHANGE,
            description="What is not said stays as it is, single settings too.",
            refusals={409: "Somebody else does the same at this moment."},
        ),
    },
    "/api/v0/stats/total": {
        "get": _operation(
            "Statistics",
            "total",
            "All visits, by day and hour",
            {200: _Answer("Sums.", ref("Total"))},
            permission=Permission.STATS,
            parameters=_RANGED,
        )
    },
    "/api/v0/stats/hits": {
        "get": _operation(
            "Statistics",
            "hits",
            "The most visited paths",
            {200: _Answer("Paths, the most visited first.", ref("Hits"))},
            permission=Permission.STATS,
            parameters=[
                *_RANGED,
                _query(
                    "exclude_paths",
                    "array",
                    "Not these paths; as `include_paths`. This is how to get the next rows.",
                    items={"type": "string"},
                    collectionFormat="csv",
                ),
                _query("group", "string", "What `max` is of.", enum=["hour", "day", "week", "month"], default="hour"),
                _query("daily", "boolean", "The same as `group=day`.", default=False),
                _limit(),
            ],
        )
    },
    "/api/v0/stats/hits/{path_id}": {
        "get": _operation(
            "Statistics",
            "refs",
            "Where a path's visitors came from",
            {200: _Answer("Referrers, the most frequent first.", ref("Refs"))},
            permission=Permission.STATS,
            parameters=[
                _within("path_id", "integer", "The path.", minimum=1, maximum=INT32),
                _START,
                _END,
                _limit(),
                _OFFSET,
            ],
        )
    },
    "/api/v0/stats/{page}": {
        "get": _operation(
            "Statistics",
            "stats",
            "Visits by browser, system, location, language, size of the screen, campaign or referrer",
            {200: _Answer("Rows, the most frequent first; of `sizes` always the same five.", ref("Stats"))},
            permission=Permission.STATS,
            parameters=[_PAGE, *_RANGED, _limit(), _OFFSET],
        )
    },
    "/api/v0/stats/{page}/{id}": {
        "get": _operation(
            "Statistics",
            "details",
            "The same for one row: versions, regions, widths, sources, or the paths that a referrer led to",
            {200: _Answer("Rows, the most frequent first.", ref("Details"))},
            permission=Permission.STATS,
            parameters=[
                _DETAILED,
                _within("id", "string", "The row's `id`, or its `name` where it has none.", minLength=1),
                *_RANGED,
                _limit(),
                _OFFSET,
            ],
        )
    },
    "/count": {"get": _pixel("get"), "post": _pixel("post")},
    "/counter/{path}.json": {"get": _counter("counter", [_JSON, *_PAGE_TYPES], ref("Counter"))},
    "/counter/{path}.{extension}": {
        "get": _counter(
            "show_counter",
            [*_PAGE_TYPES, "image/svg+xml", "image/png"],
            _FILE,
            _within("extension", "string", "What to show it as.", enum=["html", "svg", "png"]),
            _query("no_branding", "string", "Anything leaves out who made the counter."),
            _query("style", "string", "CSS for HTML and SVG."),
        )
    },
    "/count.js": {
        "get": {
            "tags": ["Browsers"],
            "operationId": "script",
            "summary": "The script for pages, which counts their views",
            "produces": ["text/javascript; charset=utf-8"],
            "parameters": [
                {"name": "If-None-Match", "in": "header", "type": "string", "description": "A known `ETag`."}
            ],
            "responses": {
                "200": {"description": "The script.", "schema": _FILE},
                "304": {"description": "It is known."},
            },
            "security": [],
        }
    },
    STATUS: {
        "get": {
            "tags": ["Browsers"],
            "operationId": "status",
            "summary": "Whether the service answers",
            "produces": [_JSON],
            "parameters": [],
            "responses": {"200": {"description": "It does.", "schema": ref("Status")}},
            "security": [],
        }
    },
}
"""Every endpoint, by path and method in lower case."""
