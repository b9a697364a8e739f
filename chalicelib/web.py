"""Between Chalice and the views: who asks, for which site, whether they may, how often, and in whose words we refuse.

A `Surface` is one protocol with its own words for errors. Its paths are registered with Chalice for every method and
for both of their spellings (`/api/v0/me` and `/s/CODE/api/v0/me`), so that a wrong method is answered in the
surface's words and not in the gateway's. `catch_all` does the same for paths that nobody knows.

Of a request only the gateway's own context is believed, unless the CDN's function proves itself by the shared secret.
"""

import base64
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar
from urllib.parse import quote, unquote, urlencode

from chalice.app import Blueprint, Chalice, Response

from . import observability, wiring
from .core import keys
from .core.accounts import Permission, Roster, Site, User
from .core.errors import (
    CountlessError,
    Forbidden,
    Invalid,
    NotFound,
    RateLimited,
    Unauthenticated,
    Unavailable,
)
from .core.keys import Key
from .core.limits import Standing

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")
LARGEST_BODY = 4_500_000
"""Bytes of a body: in base64, and with the rest of its event, Lambda takes no more."""
_CODED = re.compile(r"/s/([^/]+)(/.*)", re.DOTALL)
_NOT_PRINTABLE = re.compile(r"[^\x20-\x7e]")
_ANYTHING = Permission(0)
"""What a view asks of a key that only needs to be somebody's."""


class Answer(Protocol):
    """What a view gives back."""

    @property
    def status(self) -> int:
        """The HTTP status."""

    @property
    def body(self) -> str | bytes:
        """Text, or bytes for what is none."""

    @property
    def headers(self) -> Mapping[str, str]:
        """At least the content type, if there is a body."""


@dataclass(frozen=True, slots=True)
class Reply:
    """The plainest `Answer`."""

    status: int
    body: str | bytes = ""
    headers: Mapping[str, str] = field(default_factory=dict)


class Words(Protocol):
    """How a surface says what went wrong."""

    def failure(self, error: CountlessError) -> Answer:
        """A problem of the core's."""

    def wrong_method(self) -> Answer:
        """The path exists, but not for this method."""

    def wrong_type(self) -> Answer:
        """A body of another type than the surface takes."""

    def too_large(self) -> Answer:
        """A body above `LARGEST_BODY`."""

    def unexpected(self, status: int, code: str) -> Answer:
        """An error of ours, to be found in the logs by this code."""


@dataclass(slots=True)
class Request:
    """A request, as views see it."""

    method: str
    path: str
    """Without `/s/CODE`, still with a trailing slash if it came with one."""
    code: str | None
    """The site's code, if the path names one."""
    prefix: str
    """The `/s/CODE` that was taken off the path, or nothing."""
    parameters: Mapping[str, str]
    query: Mapping[str, Sequence[str]]
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes
    address: str
    host: str
    """Lower case, without a port."""
    country: str
    """ISO 3166-1 alpha-2, if the CDN says so; else empty."""
    said: dict[str, str] = field(default_factory=dict)
    """Headers for whatever answer there will be."""

    @property
    def media_type(self) -> str:
        """The body's type, without its parameters and in lower case."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()


@dataclass(frozen=True, slots=True)
class Caller:
    """Whoever holds the key of a request, and the site that the request is about."""

    key: Key
    user: User
    roster: Roster
    site: Site


Public = Callable[[Request], Answer]
Keyed = Callable[[Request, Caller], Answer]
P = TypeVar("P", bound=Public)
K = TypeVar("K", bound=Keyed)


class Path:
    """A path of a surface, with a view for each method that it knows."""

    def __init__(self, limits: Sequence[str]) -> None:
        self.limits = limits
        self.views: dict[str, Public] = {}

    def public(self, *methods: str) -> Callable[[P], P]:
        """Registers a view that asks for no credential."""

        def register(view: P) -> P:
            self.views.update(dict.fromkeys(methods, view))
            return view

        return register

    def keyed(self, *methods: str, permission: Permission = _ANYTHING) -> Callable[[K], K]:
        """Registers a view for callers with a key that has this permission, if one is named."""

        def register(view: K) -> K:
            def checked(request: Request) -> Answer:
                return view(request, identify(request, permission))

            self.views.update(dict.fromkeys(methods, checked))
            return view

        return register


Check = Callable[[Request, Path], Answer | None]


class Surface:
    """A protocol: its paths, the checks that come before its views in this order, and its words."""

    def __init__(self, blueprint: Blueprint, words: Words, checks: Callable[["Surface"], Sequence[Check]]) -> None:
        self._blueprint = blueprint
        self.words = words
        self._checks = checks(self)
        self.paths: dict[str, Path] = {}

    def path(self, pattern: str, *, limits: Sequence[str] = ()) -> Path:
        """Registers a path in both spellings; `limits` name the windows that its requests are charged to."""
        path = self.paths[pattern] = Path(limits)

        def view(**parameters: str) -> Response:
            return self.respond(path, _event(self._blueprint), parameters)

        for spelling in (pattern, f"/s/{{code}}{pattern}"):
            route = self._blueprint.route(spelling, methods=list(METHODS), content_types=["*/*"], name=_name(spelling))
            route(view)
        return path

    def answer(self, request: Request, path: Path) -> Answer:
        """The answer to a request; never an exception."""
        try:
            for check in self._checks:
                if (refusal := check(request, path)) is not None:
                    return refusal
            if not path.views:
                return self.words.failure(NotFound("path"))
            view = path.views.get(request.method)
            return view(request) if view else self.words.wrong_method()
        except Unavailable as error:
            return self.words.unexpected(503, observability.failed("unavailable", error))
        except CountlessError as error:
            return self.words.failure(error)
        except Exception as error:
            return self.words.unexpected(500, observability.failed("view failed", error))

    def respond(self, path: Path, event: Mapping[str, Any], parameters: Mapping[str, str]) -> Response:
        """Chalice's response to an API Gateway event."""
        try:
            request = read(event, parameters)
        except Exception as error:
            return _response(self.words.unexpected(500, observability.failed("unreadable request", error)))
        try:
            return _response(self.answer(request, path), request)
        finally:
            observability.flush()


def catch_all(app: Chalice, surfaces: Mapping[str, Surface], limits: Sequence[str]) -> None:
    """Answers every path that no route has: below a surface's prefix in its words, elsewhere with a plain 404."""
    nowhere = Path(limits)

    def unknown() -> Response:
        for prefix, surface in surfaces.items():
            path = _path(_event(app))
            if path == prefix or path.startswith(f"{prefix}/"):
                return surface.respond(nowhere, _event(app), {})
        return _response(Reply(404, "not found\n", {"Content-Type": "text/plain; charset=utf-8"}))

    for pattern in ("/", "/{proxy+}"):
        app.route(pattern, methods=list(METHODS), content_types=["*/*"], name="unknown")(unknown)


# Checks


def no_trailing_slash(request: Request, path: Path) -> Answer | None:  # noqa: ARG001 - as every check
    """Sends `/api/v0/me/` to `/api/v0/me`, query and all."""
    if not request.path.endswith("/"):
        return None
    query = urlencode([(name, value) for name, values in request.query.items() for value in values])
    # The path begins with a surface's prefix, so this cannot lead to another host.
    target = quote(request.prefix + request.path.rstrip("/")) + (f"?{query}" if query else "")
    return Reply(301, "", {"Location": target})


def cross_origin(request: Request, path: Path) -> Answer | None:  # noqa: ARG001
    """Lets scripts of every origin read the answer, if one asks (page-view contract, section 1.4)."""
    if "origin" in request.headers:
        request.said["Access-Control-Allow-Origin"] = "*"
        request.said["Access-Control-Allow-Credentials"] = "true"
        if request.method == "OPTIONS":
            allowed = ", ".join(sorted(METHODS))
            request.said["Access-Control-Allow-Headers"] = "Authorization, Content-Type"
            request.said["Access-Control-Allow-Methods"] = allowed
            request.said["Allow"] = allowed
    return None


def json_body(surface: Surface) -> Check:
    """Refuses bodies that are too large or, but for GET, which reads none, no JSON."""

    def check(request: Request, path: Path) -> Answer | None:  # noqa: ARG001
        if len(request.body) > LARGEST_BODY:
            return surface.words.too_large()
        if request.body and request.method != "GET" and request.media_type != "application/json":
            return surface.words.wrong_type()
        return None

    return check


def limited(request: Request, path: Path) -> Answer | None:
    """Charges the request to its caller's windows, and says in the headers what is left.

    The caller is the address alone. Nothing of what a request claims to be about goes into it: whoever may choose
    a part of the key would get windows without end. It is the first thing that asks DynamoDB.

    Raises:
        RateLimited: one of the windows is used up.
    """
    plans = wiring.plans()
    windows = [plans[name] for name in path.limits if name in plans]
    if not windows:
        return None
    limiter = wiring.limiter()
    try:
        standing = limiter.take(limiter.caller(request.address), windows)
    except RateLimited as refusal:
        tell(request, Standing(refusal.limit, 0, refusal.reset))
        raise
    if not standing.charged:
        observability.count("LimiterUnavailable")
    tell(request, standing)
    return None


def preflight(request: Request, path: Path) -> Answer | None:  # noqa: ARG001
    """Answers OPTIONS, whether or not there is such a path."""
    return Reply(200) if request.method == "OPTIONS" else None


def tell(request: Request, standing: Standing) -> None:
    """Puts where a caller stands into the headers of the answer."""
    request.said["X-Rate-Limit-Limit"] = str(standing.limit)
    request.said["X-Rate-Limit-Remaining"] = str(standing.remaining)
    request.said["X-Rate-Limit-Reset"] = str(round(standing.reset))


# Who asks


def identify(request: Request, permission: Permission) -> Caller:
    """Who holds the request's key, if the key may do this to the site that is meant.

    What the request names only selects among what belongs to the key's account.

    Raises:
        Unauthenticated: no credential, none that is known, or its owner may not use keys any more.
        Forbidden: the key does not cover the site, or lacks the permission.
        NotFound: the path's code is not one of the account's, or the key's owner is gone.
        Invalid: the account has no site at all.
    """
    accounts = wiring.accounts()
    key = accounts.key(keys.credential(request.headers))
    roster = accounts.roster(key.account)
    site = _site(request, roster)
    if not key.covers(site.id):
        raise Forbidden("this token does not have access to this site")
    user = roster.user(key.owner)
    if user is None:
        raise NotFound("user")
    if not user.role.administers:
        raise Unauthenticated(keys.ONLY_ADMINS)
    key.require(permission)
    try:
        accounts.note_use(key)
    except Unavailable as error:
        observability.failed("last use not noted", error)
    return Caller(key, user, roster, site)


def _site(request: Request, roster: Roster) -> Site:
    site = roster.site(request.code, request.host)
    if site is not None:
        return site
    if request.code is not None:
        raise NotFound("site")
    raise no_site(request)


def no_site(request: Request) -> Invalid:
    """What to say where no site is meant."""
    return Invalid(f'no site at this domain ("{request.host}")')


def target_length(request: Request) -> int:
    """Bytes of the request's target: as good as known, since gateways hand queries over decoded."""
    query = urlencode([(name, value) for name, values in request.query.items() for value in values])
    return len(request.prefix) + len(request.path) + (len(query) + 1 if query else 0)


# Chalice


def _event(app: Chalice | Blueprint) -> Mapping[str, Any]:
    request = app.current_request
    return request.to_original_event() if request else {}


def _path(event: Mapping[str, Any]) -> str:
    """The path without `/s/CODE`."""
    path = str(event.get("path") or event["requestContext"].get("path") or "/")
    coded = _CODED.fullmatch(path)
    return coded[2] if coded else path


def read(event: Mapping[str, Any], parameters: Mapping[str, str]) -> Request:
    """The request that an API Gateway event holds, as AWS, our gateway or Chalice's own make it."""
    context = event["requestContext"]
    headers = {str(name).lower(): str(value) for name, value in (event.get("headers") or {}).items()}
    path = str(event.get("path") or context.get("path") or "/")
    coded = _CODED.fullmatch(path)
    address, host, country = _viewer(context, headers)
    return Request(
        method=str(context["httpMethod"]).upper(),
        path=coded[2] if coded else path,
        code=unquote(coded[1]).lower() if coded else None,
        prefix=f"/s/{coded[1]}" if coded else "",
        parameters=parameters,
        query=event.get("multiValueQueryStringParameters") or {},
        headers=headers,
        body=_body(event),
        address=address,
        host=re.sub(r":\d+\Z", "", host).lower(),
        country=country,
    )


def _viewer(context: Mapping[str, Any], headers: Mapping[str, str]) -> tuple[str, str, str]:
    """Address, host and country of whoever asks.

    `X-Forwarded-For` and its kind are not looked at: anybody can send them. The CDN's function overwrites the three
    headers of ours and adds the secret, which never reaches a viewer.
    """
    secret = wiring.settings().edge_secret
    if secret and keys.same(headers.get("x-countless-edge", ""), secret):
        return (
            headers.get("x-countless-address", ""),
            headers.get("x-countless-host", ""),
            headers.get("x-countless-country", ""),
        )
    return str((context.get("identity") or {}).get("sourceIp") or ""), headers.get("host", ""), ""


def _body(event: Mapping[str, Any]) -> bytes:
    body = event.get("body") or b""
    if event.get("isBase64Encoded"):
        return base64.b64decode(body)
    return body if isinstance(body, bytes) else str(body).encode("utf-8", "surrogatepass")


class _Encoded(Response):
    """A response whose bytes travel in base64 whatever their type is, and text as text.

    Chalice decides by the content type, and refuses images to clients that send no Accept header.
    """

    def to_dict(self, binary_types: list[str] | None = None) -> dict[str, Any]:  # noqa: ARG002
        """What Lambda gives back."""
        binary = isinstance(self.body, bytes)
        return {
            "statusCode": self.status_code,
            "headers": self.headers,
            "multiValueHeaders": {},
            "body": base64.b64encode(self.body).decode("ascii") if binary else self.body,
            "isBase64Encoded": binary,
        }


def _response(answer: Answer, request: Request | None = None) -> Response:
    said = {"Cache-Control": "no-store,no-cache", **(request.said if request else {}), **answer.headers}
    headers: dict[str, str | list[str]] = {
        # Some values quote the request: nothing of it may end a header, or begin another.
        name: _NOT_PRINTABLE.sub("?", value)
        for name, value in said.items()
    }
    body = "" if request and request.method == "HEAD" else answer.body
    return _Encoded(body, headers, answer.status)


def _name(pattern: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", pattern).strip("_")


def prepare(app: Chalice) -> Chalice:
    """Tells Chalice that bytes are ours to encode (`_Encoded`); without this it wants an Accept header for them."""
    app.api.binary_types = []
    return app
