"""Surfaces: protocols with their paths, the checks that come before their views, and their words for errors."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from chalice.app import Blueprint, Chalice, Response

from chalicelib import observability
from chalicelib.core import deadlines
from chalicelib.core.accounts import Permission
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

from .answers import Answer, Reply, Words, response
from .requests import Request, path_of, read, without_code

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")
_ANYTHING = Permission(0)
"""What a view asks of a key that only needs to be somebody's."""
_REFUSALS = (Unauthenticated, Forbidden, NotFound, Invalid, Taken, TooLarge, RateLimited)
"""What is the caller's to mend. Everything else that is raised is ours."""

C = TypeVar("C")
"""Who asks, as a surface's views want to know it."""
Public = Callable[[Request], Answer]
P = TypeVar("P", bound=Public)
Identify = Callable[[Request, Permission], C]
"""Says who asks, or raises what stands against it."""
Visit = Callable[[Request], C | None]
"""Says who asks without a key, if what is asked for is open to them; None for everybody else."""


class Path(Generic[C]):
    """A path of a surface, with a view for each method that it knows."""

    def __init__(
        self,
        identify: Identify[C],
        limits: Sequence[str],
        absent: CountlessError | None = None,
        sound: Callable[[Request], None] | None = None,
        visit: Visit[C] | None = None,
    ) -> None:
        self._identify = identify
        self._sound = sound
        self._visit = visit
        self.limits = tuple(limits)
        """The windows that requests are charged to; the last is the one that headers speak of."""
        self.absent = absent or NotFound("path")
        """What is wrong with a request to a path that has no views."""
        self.views: dict[str, Public] = {}
        """By method. There is none for HEAD: it is GET's."""

    def view(self, method: str) -> Public | None:
        """The view that answers a method, if one does. HEAD is answered as GET is; its body is left out later."""
        return self.views.get("GET" if method == "HEAD" else method)

    @property
    def methods(self) -> set[str]:
        """The methods that a view answers."""
        return {*self.views, "HEAD"} if "GET" in self.views else set(self.views)

    def public(self, *methods: str) -> Callable[[P], P]:
        """Registers a view that asks for no credential."""

        def register(view: P) -> P:
            self.views.update(dict.fromkeys(methods, view))
            return view

        return register

    def keyed(
        self, *methods: str, permission: Permission = _ANYTHING, viewers: bool = False
    ) -> Callable[[Callable[[Request, C], Answer]], Callable[[Request, C], Answer]]:
        """Registers a view for callers with a key that has this permission, if one is named; and, with `viewers`, for
        those without a key whom the site lets see its figures.

        The surface's own `identify` and `visit` say who they are.
        """

        def register(view: Callable[[Request, C], Answer]) -> Callable[[Request, C], Answer]:
            def checked(request: Request) -> Answer:
                if self._sound is not None:
                    self._sound(request)
                visitor = self._visit(request) if viewers and self._visit else None
                return view(request, self._identify(request, permission) if visitor is None else visitor)

            self.views.update(dict.fromkeys(methods, checked))
            return view

        return register


Check = Callable[[Request, Path[Any]], Answer | None]


def preflight(request: Request, path: Path[Any]) -> Answer | None:  # noqa: ARG001 - as every check
    """Answers OPTIONS, whether or not there is such a path."""
    return Reply(200) if request.method == "OPTIONS" else None


class Surface(Generic[C]):
    """A protocol: its paths, the checks that come before its views in this order, and its words."""

    def __init__(  # noqa: PLR0913 - what a surface is
        self,
        blueprint: Blueprint,
        words: Words,
        checks: Callable[["Surface[Any]"], Sequence[Check]],
        *,
        identify: Identify[C],
        visit: Visit[C] | None = None,
        coded: bool = True,
    ) -> None:
        """`coded` says that every path has a second spelling, `/s/CODE` and the path, which names a site."""
        self._blueprint = blueprint
        self._identify = identify
        self._visit = visit
        self.words = words
        self.coded = coded
        self._checks = checks(self)
        self.paths: dict[str, Path[C]] = {}

    def path(
        self, pattern: str, *, limits: Sequence[str] = (), sound: Callable[[Request], None] | None = None
    ) -> Path[C]:
        """Registers a path in all of its spellings; `limits` name the windows that its requests are charged to.

        `sound` raises what is wrong with a path, to be said before anybody is asked for a credential. A last parameter
        such as `{id+}` takes all that is left of the path, slashes too.
        """
        path = self.paths[pattern] = Path(self._identify, limits, sound=sound, visit=self._visit)

        def view(**_: str) -> Response:
            # Chalice passes over parameters that take several segments.
            event = _event(self._blueprint)
            return self.respond(path, event, _parameters(event))

        for spelling in (pattern, f"/s/{{code}}{pattern.rstrip('/')}") if self.coded else (pattern,):
            route = self._blueprint.route(spelling, methods=list(METHODS), content_types=["*/*"], name=_name(spelling))
            route(view)
        return path

    def nowhere(self, limits: Sequence[str], absent: CountlessError) -> Path[C]:
        """What stands for paths that are not registered: requests to them are charged, and refused like this."""
        return Path(self._identify, limits, absent=absent)

    def answer(self, request: Request, path: Path[C]) -> Answer:
        """The answer to a request; never an exception."""
        try:
            return self._answer(request, path)
        except Unavailable as error:
            return self.words.unexpected(503, observability.failed("unavailable", error))
        except Uncertain as error:
            observability.failed("the answer of a write was lost", error)
            return self.words.failure(error)
        except _REFUSALS as error:
            return self.words.failure(error)
        except Exception as error:
            return self.words.unexpected(500, observability.failed("view failed", error))

    def _answer(self, request: Request, path: Path[C]) -> Answer:
        for check in self._checks:
            if (refusal := check(request, path)) is not None:
                return refusal
        if not path.views:
            return self.words.failure(path.absent)
        if (view := path.view(request.method)) is not None:
            return view(request)
        answered = {"OPTIONS"} if preflight in self._checks else set[str]()
        request.said["Allow"] = ", ".join(sorted(path.methods | answered))
        return self.words.wrong_method()

    def respond(self, path: Path[C], event: Mapping[str, Any], parameters: Mapping[str, str]) -> Response:
        """Chalice's response to an API Gateway event."""
        method = _method(event)
        try:
            with deadlines.within(deadlines.REQUEST):  # reading asks for the secret of the CDN
                try:
                    request = read(event, parameters)
                except Unavailable as error:
                    said = self.words.unexpected(503, observability.failed("unavailable", error))
                    return response(said, {}, method)
                except Exception as error:
                    said = self.words.unexpected(500, observability.failed("unreadable request", error))
                    return response(said, {}, method)
                return response(self.answer(request, path), request.said, method)
        finally:
            observability.flush()


@dataclass(frozen=True, slots=True)
class Unknown:
    """Paths that no route has, and the surface in whose words they are refused."""

    pattern: str
    """A regular expression that the whole path fits; for a surface whose paths have a code, the path without it."""
    surface: Surface[Any]
    limits: Sequence[str] = ()
    """The windows that these requests are charged to."""
    error: CountlessError = field(default_factory=lambda: NotFound("path"))
    """What the surface's words are asked for."""


def catch_all(app: Chalice, unknown: Sequence[Unknown]) -> None:
    """Answers every path that no route has, by the first of these that fits; with a plain 404 if none does."""
    table = [
        (re.compile(entry.pattern, re.DOTALL), entry.surface, entry.surface.nowhere(entry.limits, entry.error))
        for entry in unknown
    ]

    def view() -> Response:
        event = _event(app)
        path = path_of(event)
        for pattern, surface, nowhere in table:
            if pattern.fullmatch(without_code(path) if surface.coded else path):
                return surface.respond(nowhere, event, {})
        nothing = Reply(404, "not found\n", {"Content-Type": "text/plain; charset=utf-8"})
        return response(nothing, {}, _method(event))

    for pattern in [pattern for pattern in ("/", "/{proxy+}") if pattern not in app.routes]:
        app.route(pattern, methods=list(METHODS), content_types=["*/*"], name="unknown")(view)


def prepare(app: Chalice) -> Chalice:
    """Tells Chalice that bytes are ours to encode (`answers`), without which it wants an Accept header for them; and
    has methods that no route is registered for, such as PROPFIND, answered by the path's surface as any wrong one.
    """
    app.api.binary_types = []

    def of_any_method(request: Any, respond: Callable[[Any], Any]) -> Any:  # noqa: ANN401 - as Chalice has them
        if request.method in METHODS:
            return respond(request)
        entries = app.routes[request.context["resourcePath"]]
        return next(iter(entries.values())).view_function()

    app.register_middleware(of_any_method, "http")
    return app


def _event(app: Chalice | Blueprint) -> Mapping[str, Any]:
    request = app.current_request
    return request.to_original_event() if request else {}


def _method(event: Mapping[str, Any]) -> str:
    return str(event["requestContext"]["httpMethod"]).upper()


def _parameters(event: Mapping[str, Any]) -> dict[str, str]:
    """What stands in the path, by name, as the gateway decoded it."""
    found = event.get("pathParameters") or {}
    return {str(name).removesuffix("+"): str(value) for name, value in found.items()}


def _name(pattern: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", pattern).strip("_")
