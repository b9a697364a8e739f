"""A client of the page-view API that waits when told to and repeats what got lost, without counting twice."""

import json
import math
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from types import MappingProxyType, TracebackType
from typing import Any, Literal, NamedTuple, NotRequired, Self, TypedDict

import httpx

from countless.errors import (
    BY_STATUS,
    BadRequestError,
    RateLimitedError,
    RefusedError,
    UnexpectedError,
    UnreachableError,
)

MAXIMUM_HITS = 500
"""What one request may carry."""

PATIENCE = 300.0
"""Seconds for which a request without an answer is repeated, unless the caller says otherwise."""

LONGEST_WAIT = 3700
"""Seconds: the longest window of the service is an hour; who asks for more is not waited for."""

_TIMEOUT = 30.0
_LONGEST_PAUSE = 30.0
_ID_CHARACTERS = 6000
"""How many characters of path ids go into one address: gateways refuse addresses of more than about 8,000."""

_PAGE_OF_HITS = 100
_PAGE_OF_PATHS = 200


class Hit(TypedDict):
    """One page view or event, as the service takes it (page-view contract, section 3.1)."""

    path: str
    title: NotRequired[str]
    event: NotRequired[bool]
    ref: NotRequired[str]
    size: NotRequired[str]
    query: NotRequired[str]
    bot: NotRequired[int]
    user_agent: NotRequired[str]
    location: NotRequired[str]
    language: NotRequired[str]
    ip: NotRequired[str]
    created_at: NotRequired[str]
    session: NotRequired[str]


class Day(TypedDict):
    """Visits of one day: 24 hourly figures and their sum."""

    day: str
    hourly: list[int]
    daily: int
    weekly: NotRequired[int]
    monthly: NotRequired[int]


class Total(TypedDict):
    """Visits of a range, over all paths."""

    total: int
    total_events: int
    total_utc: int
    stats: list[Day]


class PathHits(TypedDict):
    """Visits of one path in a range."""

    count: int
    path_id: int
    path: str
    event: bool
    title: str
    max: int
    stats: list[Day]


class Path(TypedDict):
    """A path that was ever recorded."""

    id: int
    path: str
    title: str
    event: bool


class Counted(NamedTuple):
    """What became of a batch; both refer to positions in it. Every hit that neither names was accepted."""

    filtered: frozenset[int]
    """Dropped because the site ignores their address."""
    refused: dict[int, str]
    """Not valid, and why."""
    repeated: bool = False
    """Whether the service had taken the same hits with the same idempotency key before this call: nothing of them
    counts again."""
    uncounted: Mapping[str, int] = MappingProxyType({})
    """How many were accepted and are not counted, by reason: `robot`, `spam`, `localhost`, `ignored path`."""


class Wait(NamedTuple):
    """Why and for how long (seconds) the client is about to pause."""

    reason: str
    seconds: float
    failures: int = 0
    """How often this request has failed by now; 0 for a wait that a rate limit asks for."""
    limit: float = 0.0
    """Seconds for which the request is repeated altogether; 0 likewise."""


class PageViews:
    """One site's page views over HTTP.

    `url` is the site's base: `https://host`, or `https://host/s/CODE` where a host serves several sites.
    Requests obey the service's rate limits: a 429 is waited out, and when the last answer said that nothing
    remains, the next request waits for the window first. Network errors and 5xx are repeated with
    quadratically growing pauses for `patience` seconds, then raise `UnreachableError`; connections that fail
    before there ever was an answer only for `first_patience` seconds, if that is less: the address may be
    wrong. Other refusals raise a `RefusedError`. `transport` replaces the network, `sleep` and `clock` the time;
    `on_wait` hears of every pause before it begins.
    """

    def __init__(  # noqa: PLR0913 - all after the second are for tests and unusual needs
        self,
        url: str,
        token: str,
        transport: httpx.BaseTransport | None = None,
        *,
        patience: float = PATIENCE,
        first_patience: float = math.inf,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
        on_wait: Callable[[Wait], None] | None = None,
    ) -> None:
        self._http = httpx.Client(
            base_url=f"{_base(url)}/api/v0/",
            headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
            transport=transport,
            timeout=_TIMEOUT,
        )
        self._site = httpx.URL(_base(url)).copy_with(userinfo=b"")
        self._patience = patience
        self._first_patience = min(patience, first_patience)
        self._answered = False
        self._sleep = sleep
        self._clock = clock
        self._on_wait = on_wait
        self._open_at = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the connections."""
        self._http.close()

    def count(
        self,
        hits: Sequence[Hit],
        *,
        no_sessions: bool = False,
        filter: Sequence[Literal["ip"]] | None = None,  # noqa: A002 - the protocol's name
        idempotency_key: str = "",
    ) -> Counted:
        """Record up to 500 hits in one request, exactly once however often it has to be repeated.

        `filter=None` leaves the service's default, which drops hits from addresses that the site ignores;
        `[]` keeps them. The same hits with the same `idempotency_key` in a later call, within a day, count nothing
        new; other hits count, whatever their key, and so does each call without one.
        """
        body = json.dumps({"no_sessions": no_sessions, "filter": filter, "hits": list(hits)}).encode()
        headers = {"Idempotency-Key": idempotency_key or uuid.uuid4().hex}
        answer = self._request("POST", "count", content=body, headers=headers)
        repeated = _was_taken(answer)
        if answer.is_success:
            return Counted(_positions(answer), {}, repeated, _uncounted(answer))
        refused = _refused_hits(answer)
        if refused is None or any(position >= len(hits) for position in refused):
            raise _refusal(answer)
        return Counted(_positions(answer), refused, repeated, _uncounted(answer))

    def me(self) -> dict[str, Any]:
        """Who the token belongs to and what it may do: keys `user` and `token`."""
        return self._get("me", {})

    def total(self, start: datetime | str, end: datetime | str) -> Total:
        """Visits between two moments, both included, for each day and together."""
        answer: Any = self._get("stats/total", {"start": _moment(start), "end": _moment(end)})
        return answer  # type: ignore[no-any-return]

    def hits(
        self, start: datetime | str, end: datetime | str, *, include_paths: Sequence[int] = ()
    ) -> Iterator[PathHits]:
        """Visits of every path that has some in the range; of `include_paths` only, if there are any.

        The most visited come first for as long as the ids of those seen fit an address (some 1,000 paths);
        the rest follows in groups by id.
        """
        window = {"start": _moment(start), "end": _moment(end), "limit": str(_PAGE_OF_HITS)}
        if include_paths:
            yield from self._hits_of(window, include_paths)
            return
        seen: list[int] = []
        while len(_joined(seen)) <= _ID_CHARACTERS:
            page = self._get("stats/hits", window | ({"exclude_paths": _joined(seen)} if seen else {}))
            yield from page["hits"]
            seen += [row["path_id"] for row in page["hits"]]
            if not page["more"]:
                return
        known = set(seen)
        yield from self._hits_of(window, [path["id"] for path in self.paths() if path["id"] not in known])

    def paths(self) -> Iterator[Path]:
        """Every path ever recorded, by id."""
        after = 0
        while True:
            page = self._get("paths", {"limit": str(_PAGE_OF_PATHS), "after": str(after)})
            yield from page["paths"]
            if not page["more"] or not page["paths"]:
                return
            after = page["paths"][-1]["id"]

    def _hits_of(self, window: dict[str, str], ids: Sequence[int]) -> Iterator[PathHits]:
        """The same, asked for by id, as many at a time as one answer holds."""
        for first in range(0, len(ids), _PAGE_OF_HITS):
            chosen = _joined(ids[first : first + _PAGE_OF_HITS])
            yield from self._get("stats/hits", window | {"include_paths": chosen})["hits"]

    def _get(self, path: str, query: Mapping[str, str]) -> dict[str, Any]:
        answer = self._request("GET", path, params=dict(query))
        if not answer.is_success:
            raise _refusal(answer)
        body = _json(answer)
        if not isinstance(body, dict):
            raise UnexpectedError(answer.status_code, "the answer is not what the protocol says")
        return body

    def _request(
        self,
        method: str,
        path: str,
        **arguments: Any,  # noqa: ANN401 - httpx types them
    ) -> httpx.Response:
        """An answer that is neither 429 nor 5xx. What is repeated is the same request, byte for byte."""
        request = self._http.build_request(method, path, **arguments)
        failures, first_failure = 0, 0.0
        while True:
            self._wait_for_window()
            try:
                answer = self._http.send(request)
            except httpx.UnsupportedProtocol as error:
                raise UnreachableError(str(error)) from error
            except httpx.TransportError as error:
                problem = f"no answer from {self._site} ({type(error).__name__})"
                unconnected = isinstance(error, httpx.ConnectError) and not self._answered
                limit = self._first_patience if unconnected else self._patience
            else:
                self._answered = True
                self._note_window(answer)
                if answer.status_code == httpx.codes.TOO_MANY_REQUESTS:
                    self._wait_out(answer)
                    continue
                if not answer.is_server_error:
                    answer.extensions["failures"] = failures
                    return answer
                problem, limit = f"{self._site} answered {answer.status_code}", self._patience
            failures += 1
            first_failure = first_failure or self._clock()
            pause = min(failures**2 * 0.1, _LONGEST_PAUSE)
            if self._clock() + pause - first_failure > limit:
                raise UnreachableError(f"{problem}, {'once' if failures == 1 else f'{failures} times'}")
            self._pause(Wait(problem, pause, failures, limit))

    def _note_window(self, answer: httpx.Response) -> None:
        """Remember when the window opens again if this answer used it up."""
        if _whole(answer.headers.get("X-Rate-Limit-Remaining")) == 0:
            self._open_at = self._clock() + (_whole(answer.headers.get("X-Rate-Limit-Reset")) or 0)

    def _wait_for_window(self) -> None:
        """Spare the service a request that it would refuse."""
        left = self._open_at - self._clock()
        self._open_at = 0.0
        if 0 < left <= LONGEST_WAIT:
            self._pause(Wait("the rate limit is used up", left))

    def _wait_out(self, answer: httpx.Response) -> None:
        """Sleep for as long as a 429 asks, at least a second: 0 is a rounded fraction.

        Raises `RateLimitedError` if it asks for more than any window of the service lasts.
        """
        self._open_at = 0.0
        seconds = _whole(answer.headers.get("Retry-After"))
        if seconds is None:
            seconds = _whole(answer.headers.get("X-Rate-Limit-Reset"))
        if (seconds or 0) > LONGEST_WAIT:
            raise RateLimitedError(answer.status_code, _message(answer), seconds or 0)
        self._pause(Wait("the rate limit is used up", max(1, seconds or 0)))

    def _pause(self, wait: Wait) -> None:
        if self._on_wait is not None:
            self._on_wait(wait)
        self._sleep(wait.seconds)


def _base(url: str) -> str:
    """A site's base; the two addresses that people paste by mistake are understood."""
    return url.strip().rstrip("/").removesuffix("/count").removesuffix("/api/v0")


def _moment(when: datetime | str) -> str:
    """RFC 3339 in UTC; text goes as it is."""
    if isinstance(when, str):
        return when
    return when.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _joined(ids: Sequence[int]) -> str:
    return ",".join(map(str, ids))


def _whole(text: str | None) -> int | None:
    """A header's whole number; None if it is absent or something else."""
    return int(text) if text is not None and text.isascii() and text.isdigit() else None


def _json(answer: httpx.Response) -> Any:  # noqa: ANN401 - JSON is anything
    try:
        return answer.json()
    except ValueError:
        return None


def _was_taken(answer: httpx.Response) -> bool:
    """Whether the service had taken the request before this call, as far as anybody can say: of one whose answers were
    lost in between, it may have been this call.
    """
    return not answer.extensions["failures"] and answer.headers.get("X-Countless-Repeated", "") == "yes"


def _positions(answer: httpx.Response) -> frozenset[int]:
    """The hits that the service filtered, by their position in the request."""
    header = answer.headers.get("X-Goatcounter-Filter", "")
    return frozenset(int(word) for word in header.replace(",", " ").split() if word.isdigit())


def _uncounted(answer: httpx.Response) -> dict[str, int]:
    """How many hits the service accepted and does not count, by its reason; those that it filtered are not among them.

    The header reads `not counted: robot: 0, 3; spam: 7`.
    """
    said = answer.headers.get("X-Countless", "").partition("not counted: ")[2]
    parts = (part.rpartition(": ") for part in said.split(";"))
    found = {reason.strip(): len(places.split(",")) for reason, _, places in parts if reason}
    found.pop("ignored address", None)
    return found


def _refused_hits(answer: httpx.Response) -> dict[int, str] | None:
    """The hits that are not valid, by position; None if the answer refuses the request as a whole."""
    body = _json(answer) if answer.status_code == httpx.codes.BAD_REQUEST else None
    errors = body.get("errors") if isinstance(body, dict) else None
    if not isinstance(errors, dict) or not errors or not all(position.isdigit() for position in errors):
        return None
    return {int(position): str(text).strip() for position, text in errors.items()}


def _message(answer: httpx.Response) -> str:
    """What the service said, for people."""
    body = _json(answer)
    if isinstance(body, dict) and isinstance(body.get("error"), str):
        return str(body["error"])
    if isinstance(body, dict) and body.get("errors"):
        return json.dumps(body["errors"], ensure_ascii=False)
    return answer.reason_phrase or "no reason given"


def _refusal(answer: httpx.Response) -> RefusedError:
    kind = BY_STATUS.get(answer.status_code, BadRequestError if answer.is_client_error else UnexpectedError)
    return kind(answer.status_code, _message(answer))
