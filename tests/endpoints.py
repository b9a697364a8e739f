"""Every endpoint that asks for a key, in one table: method, path, permission, and what it takes for all to be well.

A new surface adds its rows here, and its words for refusals; `test_credentials.py` does the rest, and fails for every
route that is registered and not in the table.
"""

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from urllib.parse import quote

from chalicelib import wiring
from chalicelib.core.accounts import Permission
from chalicelib.core.statistics import Method, Statistic, Update
from chalicelib.functions.export import SOURCES
from chalicelib.pageviews import routes as pageviews
from chalicelib.statistics import routes as statistics
from chalicelib.web import Surface
from tests.front import Reply
from tests.people import Person, address

Parameters = Mapping[str, str]
DAY = "2026-11-20"


@dataclass(frozen=True)
class Protocol:
    """How a surface is reached, and what it says to whoever may not."""

    surface: Surface[Any]
    challenge: str
    """What `WWW-Authenticate` says with a 401."""
    unknown: Callable[[str], Any]
    """The body of a 401, by the core's reason."""
    lacking: Callable[[str], Any]
    """The body of a 403, by the permissions' names as a message lists them."""
    missing: Callable[[str], Any]
    """The body of a 404, by what there is not."""
    prefix: Callable[[Person], str] = lambda person: person.prefix
    """What stands before the path for somebody's things to be meant."""


_SAID = {
    "no Authorization header": 'no domain key: send it as "Authorization: Bearer <domain key>"',
    "wrong format for Authorization header": 'the Authorization header must be "Bearer <domain key>"',
    "unknown token": "this domain key is not known, or not any more",
}


def _problem(code: str, message: str) -> Any:
    return {"error": {"code": code, "message": message}}


PAGEVIEWS = Protocol(
    surface=pageviews.api,
    challenge="Basic realm=GoatCounter",
    unknown=lambda reason: {"error": reason},
    lacking=lambda names: {"error": f"requires {names} permissions"},
    missing=lambda _: {"error": "not found"},
)
STATISTICS = Protocol(
    surface=statistics.api,
    challenge="Bearer",
    unknown=lambda reason: _problem("UNAUTHORIZED", _SAID[reason]),
    lacking=lambda names: _problem("FORBIDDEN", f"requires {names} permissions"),
    missing=lambda what: _problem("NOT_FOUND", f"there is no such {what}"),
    prefix=lambda _: "",
)


@dataclass(frozen=True)
class Endpoint:
    """A method of a path, and how to ask for it."""

    protocol: Protocol
    method: str
    path: str
    """As it is registered."""
    permission: Permission
    """Any of these opens it; a key needs none where there are none."""
    status: int
    """If all is well."""
    body: Any = None
    query: str = ""
    parameters: Callable[[Person], Parameters] = lambda _: {}
    """Makes, of somebody's, what stands in the path; anew at each call, so that it can be deleted."""
    absent: Parameters | None = None
    """What stands in the path for something that nobody has."""
    what: str = ""
    """What there is not then."""

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    def url(self, parameters: Parameters, prefix: str) -> str:
        """Where it is."""
        path = self.path
        for name, value in parameters.items():
            path = path.replace(f"{{{name}}}", quote(value)).replace(f"{{{name}+}}", quote(value))
        assert "{" not in path
        return f"{prefix}{path}{'?' if self.query else ''}{self.query}"

    def ask(self, person: Person, authorization: str | None, parameters: Parameters, **more: Any) -> Reply:
        """A request for somebody's things, from a new address."""
        headers = {} if authorization is None else {"authorization": authorization}
        headers |= more.pop("headers", {})
        url = self.url(parameters, more.pop("prefix", self.protocol.prefix(person)))
        more.setdefault("json_body", self.body)
        return person.front.request(self.method, url, headers=headers, client=address(), **more)


# What stands in paths


def _domain(person: Person) -> Parameters:
    account, owner = person.created.account.id, person.created.user.id
    name = f"domain {secrets.token_hex(6)}"
    made, _ = wiring.domains().create(account, name, Permission.STATISTICS_READ, owner, name)
    return {"domain": made.scope.domain}


def _update(person: Person) -> Statistic:
    update = Update(f"group {secrets.token_hex(6)}", "a b", Method.INCREMENT, Decimal(1), DAY)
    return wiring.statistics().update(person.scope, update)


def _group(person: Person) -> Parameters:
    return {"group": wiring.statistics().group(person.scope, _update(person).group).id}


def _by_id(person: Person) -> Parameters:
    return {"group": _update(person).id}


def _statistic(person: Person) -> Parameters:
    made = _update(person)
    return {"group": wiring.statistics().group(person.scope, made.group).id, "statistic": made.id}


def _export(person: Person) -> Parameters:
    scope = person.scope
    job = wiring.exports().begin(scope.account, "statistics", "x.csv.gz", {"domain": scope.domain}, wiring.now())
    wiring.exporter().run(job, SOURCES["statistics"], lambda: 600.0)
    return {"export": job.id}


def _file_of_views(person: Person) -> Parameters:
    site = person.created.site
    wanted = {"site": str(site.id), "format": "csv", "head": "0", "event": "0"}
    job = wiring.exports().begin(site.account, "pageviews", "x.csv.gz", wanted, wiring.now(), numbered=True)
    wiring.exporter().run(job, SOURCES["pageviews"], lambda: 600.0)
    return {"id": str(job.number)}


def _site(person: Person) -> Parameters:
    return {"id": str(person.created.site.id)}


# The table

READ, WRITE, DOMAINS = Permission.STATISTICS_READ, Permission.STATISTICS_WRITE, Permission.DOMAINS
NOTHING = Permission(0)
_V1 = "/v1/api"
_HITS = {"no_sessions": True, "hits": [{"path": "/a"}]}
_NAME = {"name": "a name that nobody has"}
_VALUE = {"value": 2, "reference_date": DAY}
_NO_DOMAIN = {"domain": "dom_0123456789abcdef"}
_NO_GROUP = {"group": "grp_0123456789abcdef"}
_NO_STATISTIC = "sta_0123456789abcdef0123456789abcdef"
_NO_EXPORT = {"export": "exp_0123456789abcdef"}


def _pageviews(
    method: str, path: str, permission: Permission, status: int, body: Any = None, **parameters: str
) -> Endpoint:
    """`parameters` stand in the path."""
    return Endpoint(PAGEVIEWS, method, path, permission, status, body, parameters=lambda _: parameters)


def _listed(path: str, permission: Permission, make: Permission, body: Any) -> list[Endpoint]:
    return [
        Endpoint(STATISTICS, "GET", path, permission, 200),
        Endpoint(STATISTICS, "POST", path, make, 201, body),
    ]


def _single(path: str, parameters: Callable[[Person], Parameters], absent: Parameters, what: str) -> Any:
    def row(method: str, permission: Permission, body: Any = None, query: str = "", status: int = 200) -> Endpoint:
        # Who updates names what may be made, but for a statistic by an id that there is not.
        missing = "statistic" if body is not None and "statistic" in absent else what
        return Endpoint(STATISTICS, method, path, permission, status, body, query, parameters, absent, missing)

    return row


def _one_site(method: str, permission: Permission, body: Any = None) -> Endpoint:
    path, absent = "/api/v0/sites/{id}", {"id": "999999999"}
    return Endpoint(PAGEVIEWS, method, path, permission, 200, body, parameters=_site, absent=absent, what="site")


def _views(suffix: str = "") -> Endpoint:
    path, absent = f"/api/v0/export/{{id}}{suffix}", {"id": "999999999"}
    return Endpoint(
        PAGEVIEWS, "GET", path, Permission.EXPORT, 200, parameters=_file_of_views, absent=absent, what="export"
    )


_a_domain = _single(f"{_V1}/domains/{{domain}}", _domain, _NO_DOMAIN, "domain")
_a_group = _single(f"{_V1}/statistic-groups/{{group}}", _group, _NO_GROUP, "group")
_one = _single(f"{_V1}/statistics/{{group}}", _by_id, {"group": _NO_STATISTIC}, "statistic")
_a_statistic = _single(
    f"{_V1}/statistics/{{group}}/{{statistic}}", _statistic, {**_NO_GROUP, "statistic": _NO_STATISTIC}, "group"
)
_an_export = _single(f"{_V1}/exports/{{export}}", _export, _NO_EXPORT, "export")
_a_file = _single(f"{_V1}/exports/{{export}}/download", _export, _NO_EXPORT, "export")
_BATCH = [{"group": "g", "name": "s", "value": 1}]

ENDPOINTS = [
    _pageviews("GET", "/api/v0/me", NOTHING, 200),
    _pageviews("POST", "/api/v0/count", Permission.COUNT, 202, _HITS),
    _pageviews("GET", "/api/v0/paths", Permission.STATS, 200),
    _pageviews("GET", "/api/x/drops", Permission.STATS, 200),
    _pageviews("GET", "/api/v0/stats/total", Permission.STATS, 200),
    _pageviews("GET", "/api/v0/stats/hits", Permission.STATS, 200),
    _pageviews("GET", "/api/v0/stats/hits/{path_id}", Permission.STATS, 200, path_id="999999"),
    _pageviews("GET", "/api/v0/stats/{page}", Permission.STATS, 200, page="browsers"),
    _pageviews("GET", "/api/v0/stats/{page}/{id+}", Permission.STATS, 200, page="toprefs", id="example.com/a"),
    _pageviews("GET", "/api/v0/sites", Permission.SITE_READ, 200),
    _pageviews("PUT", "/api/v0/sites", Permission.SITE_CREATE, 200, {"cname": "a-host-that-nobody-has.example"}),
    _one_site("GET", Permission.SITE_READ),
    _one_site("POST", Permission.SITE_UPDATE, {"link_domain": "www.example.com"}),
    _one_site("PATCH", Permission.SITE_UPDATE, {"settings": {"ignore_ips": "1.1.1.1"}}),
    _pageviews("POST", "/api/v0/export", Permission.EXPORT, 202, {}),
    _views(),
    _views("/download"),
    Endpoint(STATISTICS, "GET", f"{_V1}/domains", DOMAINS, 200),
    Endpoint(STATISTICS, "POST", f"{_V1}/domains", DOMAINS, 201, _NAME),
    _a_domain("GET", READ | DOMAINS),
    _a_domain("POST", WRITE | DOMAINS, _NAME),
    _a_domain("PUT", WRITE | DOMAINS, _NAME),
    _a_domain("DELETE", DOMAINS),
    *_listed(f"{_V1}/statistic-groups", READ, WRITE, _NAME),
    _a_group("GET", READ),
    _a_group("POST", WRITE, _NAME),
    _a_group("PUT", WRITE, _NAME),
    _a_group("DELETE", WRITE),
    *_listed(f"{_V1}/statistics", READ, WRITE, {"group": "g", "name": "new", **_VALUE}),
    Endpoint(
        STATISTICS, "POST", f"{_V1}/statistics/{{group}}", WRITE, 200, _BATCH, parameters=lambda _: {"group": "batch"}
    ),
    _one("GET", READ),
    _one("POST", WRITE, _VALUE),
    _one("PUT", WRITE, _VALUE),
    _one("DELETE", WRITE, query=f"reference_date={DAY}"),
    _one("DELETE", WRITE, query="purge=true"),
    _a_statistic("GET", READ),
    _a_statistic("POST", WRITE, _VALUE),
    _a_statistic("PUT", WRITE, _VALUE),
    _a_statistic("DELETE", WRITE, query=f"reference_date={DAY}"),
    _a_statistic("DELETE", WRITE, query="purge=true"),
    *_listed(f"{_V1}/exports", READ, READ, {}),
    _an_export("GET", READ),
    _an_export("DELETE", READ),
    _a_file("GET", READ, status=302),
]
"""Every endpoint that asks for a key."""

PUBLIC = {
    ("GET", "/"),
    ("HEAD", "/"),
    ("GET", "/api"),
    ("GET", "/api.json"),
    ("GET", "/api2.html"),
    ("GET", "/api/v0/export/{id}/file"),
    ("GET", "/count"),
    ("POST", "/count"),
    ("GET", "/count.js"),
    ("GET", "/counter/{proxy+}"),
    ("GET", "/reports/{account}/{user}/stop"),
    ("POST", "/reports/{account}/{user}/stop"),
    ("GET", "/robots.txt"),
    ("GET", "/status"),
    ("GET", "/v1/api"),
}
"""Every endpoint that asks for none."""
SURFACES = (
    pageviews.api,
    pageviews.pixels,
    pageviews.assets.scripts,
    pageviews.assets.monitors,
    pageviews.counters.shown,
    pageviews.stopping.links,
    pageviews.description.described,
    pageviews.start.start,
    statistics.api,
)
ELSEWHERE = {"/{proxy+}", "/s/{code}"}
"""The route that answers what no other does, and the root of a site that the path names."""
