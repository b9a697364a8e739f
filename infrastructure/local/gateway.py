"""API Gateway's part of a local run: an HTTP request becomes a proxy event, the function's answer a response.

It behaves as a deployed REST API with the binary media type `*/*` does: bodies travel in base64, path parameters
decoded, the most specific route wins, and what the function gives back must be what Lambda could send.
"""

from __future__ import annotations

import base64
import logging
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote

from chalice.app import Chalice

from chalicelib.pageviews.texts import NO_UTF8, spelt
from infrastructure.local.context import ACCOUNT, LambdaContext

LOG = logging.getLogger(__name__)

LARGEST_REQUEST = 10 * 1024 * 1024
"""Bytes of a body that API Gateway takes."""
LARGEST_EVENT = 6 * 1024 * 1024
"""Bytes that Lambda takes in one call; a body counts a third more than its size, for base64."""
EVENT_OVERHEAD = 4 * 1024
"""Room in the event for what is neither header nor body."""
TIMEOUT = 29.0
"""Seconds after which API Gateway gives up; told to the function, not enforced."""
JSON = ("content-type", "application/json")


@dataclass(frozen=True, slots=True)
class Request:
    """An HTTP request as it came over the wire."""

    method: str
    path: str
    """Still percent-encoded, without the query."""
    query: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    client: str = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back; header names in lower case."""

    status: int
    headers: tuple[tuple[str, str], ...]
    """Without `Content-Length`, which belongs to whoever sends it."""
    body: bytes
    length: int | None = None
    """Bytes that the body would have, where it has none because it was asked for by HEAD."""


MISSING_ROUTE = Answer(403, (JSON,), b'{"message":"Missing Authentication Token"}')
"""API Gateway's words for a path that no route matches."""
TOO_LONG = Answer(413, (JSON,), b'{"message":"Request Too Long"}')
FAILED = Answer(502, (JSON,), b'{"message":"Internal server error"}')
"""API Gateway's words when a function raises or gives back what cannot be sent."""


@dataclass(slots=True)
class _Node:
    """A segment of the routes' tree."""

    fixed: dict[str, _Node] = field(default_factory=dict)
    variable: dict[str, _Node] = field(default_factory=dict)
    """Children by the name of the variable; `proxy+` takes all the segments that are left."""
    route: str | None = None


class Router:
    """Which of an app's routes a path belongs to, as API Gateway decides it: the most specific one."""

    def __init__(self, routes: Iterator[str]) -> None:
        self._root = _Node()
        for route in routes:
            node = self._root
            for part in _segments(route):
                if part.startswith("{") and part.endswith("}"):
                    node = node.variable.setdefault(part[1:-1], _Node())
                else:
                    node = node.fixed.setdefault(part, _Node())
            node.route = route

    def match(self, path: str) -> tuple[str, dict[str, str]] | None:
        """The route of the percent-encoded `path`, and its decoded parameters."""
        return self._match(self._root, _segments(path))

    def _match(self, node: _Node, parts: list[str]) -> tuple[str, dict[str, str]] | None:
        if not parts:
            return (node.route, {}) if node.route is not None else None
        head, rest = parts[0], parts[1:]
        if (fixed := node.fixed.get(unquote(head))) and (found := self._match(fixed, rest)):
            return found
        for name, child in node.variable.items():
            if not name.endswith("+") and head and (found := self._match(child, rest)):
                return found[0], {name: unquote(head), **found[1]}
        for name, child in node.variable.items():
            if name.endswith("+") and child.route is not None:
                return child.route, {name[:-1]: unquote("/".join(parts))}
        return None


def _segments(path: str) -> list[str]:
    """The parts of a path; one trailing slash means nothing, as at API Gateway."""
    trimmed = path.removeprefix("/").removesuffix("/")
    return trimmed.split("/") if trimmed else []


class _PerThread:
    """Mixed into a running Chalice app: what belongs to one request is kept for each thread of its own."""

    _OWN = threading.local()

    @property
    def current_request(self) -> Any:  # noqa: ANN401 - Chalice's request, or None
        return getattr(self._OWN, "current_request", None)

    @current_request.setter
    def current_request(self, value: object) -> None:
        self._OWN.current_request = value

    @property
    def lambda_context(self) -> Any:  # noqa: ANN401 - a context of any kind
        return getattr(self._OWN, "lambda_context", None)

    @lambda_context.setter
    def lambda_context(self, value: object) -> None:
        self._OWN.lambda_context = value


def make_threadsafe(app: Chalice) -> None:
    """Let several threads call the app at once; a plain one would mix up their requests."""
    if not isinstance(app, _PerThread):
        app.__class__ = type("ThreadsafeChalice", (_PerThread, app.__class__), {})


class Gateway:
    """Answers requests by calling the app's API function; usable from many threads."""

    def __init__(self, app: Chalice) -> None:
        make_threadsafe(app)
        self._app = app
        self._router = Router(iter(app.routes))

    def answer(self, request: Request) -> Answer:
        """The response to one request. Never raises: what goes wrong is logged and answered as a 502."""
        matched = self._router.match(request.path)
        if matched is None:
            return MISSING_ROUTE
        route, parameters = matched
        if request.method == "OPTIONS" and (preflight := self._preflight(route)) is not None:
            return preflight
        event = proxy_event(request, route, parameters)
        if _size(event) > LARGEST_EVENT:
            return TOO_LONG
        context = LambdaContext("api", timeout=TIMEOUT)
        try:
            return _answer(self._app(event, context))
        except Exception:
            LOG.exception("the API function failed on %s", route)
            return FAILED

    def _preflight(self, route: str) -> Answer | None:
        """The answer that API Gateway would give itself, for routes that leave CORS to it."""
        entries: Mapping[str, Any] = self._app.routes[route]
        methods = [method for method, entry in entries.items() if entry.cors]
        if "OPTIONS" in entries or not methods:
            return None
        headers: dict[str, str] = entries[methods[0]].cors.get_access_control_headers()
        headers["Access-Control-Allow-Methods"] = ",".join([*methods, "OPTIONS"])
        return Answer(200, (JSON, *((name.lower(), value) for name, value in headers.items())), b"")


def proxy_event(request: Request, route: str, parameters: Mapping[str, str]) -> dict[str, Any]:
    """The event of API Gateway's Lambda proxy integration (format 1.0) for a request."""
    many: dict[str, list[str]] = {}
    for name, value in request.headers:
        many.setdefault(name, []).append(value)
    query = _query(request.query)
    now = time.time()
    context = LambdaContext("gateway")
    return {
        "resource": route,
        "path": unquote(request.path),
        "httpMethod": request.method,
        "headers": {name: values[-1] for name, values in many.items()},
        "multiValueHeaders": many,
        "queryStringParameters": {name: values[-1] for name, values in query.items()} or None,
        "multiValueQueryStringParameters": query or None,
        "pathParameters": dict(parameters) or None,
        "stageVariables": None,
        "requestContext": {
            "accountId": ACCOUNT,
            "apiId": "local",
            "domainName": many.get("host", [""])[-1],
            "httpMethod": request.method,
            "identity": {"sourceIp": request.client, "userAgent": many.get("user-agent", [None])[-1]},
            "path": request.path,
            "protocol": "HTTP/1.1",
            "requestId": context.aws_request_id,
            "requestTime": time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(now)),
            "requestTimeEpoch": int(now * 1000),
            "resourcePath": route,
            "stage": "local",
        },
        "body": base64.b64encode(request.body).decode("ascii") if request.body else None,
        "isBase64Encoded": bool(request.body),
    }


def _query(text: str) -> dict[str, list[str]]:
    """The parameters of a query, decoded but for the escapes that are no UTF-8."""
    found = parse_qs(text, keep_blank_values=True, errors=NO_UTF8)
    return {spelt(name): [spelt(value) for value in values] for name, values in found.items()}


def _size(event: Mapping[str, Any]) -> int:
    headers = sum(len(name) + len(value) for name, value in event["headers"].items())
    return len(event["body"] or "") + 2 * headers + EVENT_OVERHEAD


def _answer(said: Mapping[str, Any]) -> Answer:
    """The function's answer over the wire; what Lambda could not have sent is an error."""
    body = said["body"]
    if not isinstance(body, str):
        raise TypeError(f"a body of type {type(body).__name__} cannot leave Lambda: its answers are JSON")
    headers = [(name.lower(), str(value)) for name, value in said["headers"].items()]
    length = next((int(value) for name, value in headers if name == "content-length"), None)
    headers = [header for header in headers if header[0] != "content-length"]
    for name, values in said["multiValueHeaders"].items():
        headers += [(name.lower(), str(value)) for value in values]
    if not any(name == "content-type" for name, _ in headers):
        headers.append(JSON)
    content = base64.b64decode(body) if said.get("isBase64Encoded") else body.encode("utf-8")
    return Answer(said["statusCode"], tuple(headers), content, length)
