"""A world in which everything may go wrong: processes die, calls fail, messages come twice, clocks jump.

The handlers and event functions are the real ones, and so is botocore with its retries; faults strike between it and
moto, before or after a call takes effect.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.exceptions import BotoCoreError, ClientError, ConnectionClosedError, ReadTimeoutError

from chalicelib import wiring
from chalicelib.core import log as log_module
from chalicelib.core import sessions
from chalicelib.core.errors import Unavailable
from chalicelib.core.events import Hit
from chalicelib.core.log import Appender
from chalicelib.core.messages import LIVE, Message
from chalicelib.core.reading import Reader, Snapshot
from chalicelib.core.reports import Reports
from chalicelib.core.segments import FIRST, Segment
from chalicelib.core.writer import Bounds
from chalicelib.functions import append as append_module
from chalicelib.functions import fold as fold_module
from tests.dynamo import Aws, moto, response, routed

START = 1_763_700_000


class Crash(BaseException):
    """The process is gone, between two instructions."""


BEFORE, AFTER, THROTTLE, CRASH_BEFORE, CRASH_AFTER, INTERLEAVE = range(6)
KINDS = 6
RETRIED = 4
"""So many attempts botocore makes: a fault has to last as long to be noticed."""


@dataclass
class Faults:
    """Strikes calls to AWS by a plan: after so many calls, a fault of a kind, for so many calls in a row."""

    plan: list[tuple[int, int, bool]] = field(default_factory=list)
    meanwhile: Callable[[], None] | None = None
    enabled: bool = True
    aws: Aws = moto
    """What answers the calls that are let through."""
    _left: int = 0
    _calls: int = 0
    _kind: int = 0

    def __call__(self, request: AWSPreparedRequest, **_: Any) -> AWSResponse | None:
        kind = self._next()
        if kind is None:
            return self.aws(request)
        if kind == INTERLEAVE:
            self._interleave()
            return self.aws(request)
        if kind in (CRASH_AFTER, AFTER):
            self.aws(request)
        if kind in (CRASH_BEFORE, CRASH_AFTER):
            raise Crash
        if kind == THROTTLE:
            error = {"__type": "com.amazonaws#ProvisionedThroughputExceededException", "message": "slow"}
            return response(request, 400, error)
        if kind == AFTER:
            raise ReadTimeoutError(endpoint_url=str(request.url))
        raise ConnectionClosedError(endpoint_url=str(request.url))

    def _next(self) -> int | None:
        if not self.enabled:
            return None
        if self._left:
            self._left -= 1
            return self._kind
        if not self.plan:
            return None
        skip, kind, lasting = self.plan[0]
        self._calls += 1
        if self._calls <= skip:
            return None
        self.plan.pop(0)
        self._calls = 0
        self._kind = kind
        if lasting and kind in (BEFORE, AFTER, THROTTLE):
            self._left = RETRIED - 1
        return kind

    def _interleave(self) -> None:
        if self.meanwhile is not None:
            with self.spared():
                self.meanwhile()

    @contextmanager
    def spared(self) -> Iterator[None]:
        """While this is open, nothing fails."""
        before, self.enabled = self.enabled, False
        try:
            yield
        finally:
            self.enabled = before


@contextmanager
def struck(faults: Faults) -> Iterator[None]:
    """While this is open, `faults` stand between DynamoDB's clients and moto; nobody waits for anything."""
    with routed(faults), pytest.MonkeyPatch.context() as patch:
        patch.setattr("chalicelib.core.deadlines.sleep", lambda _: None)
        yield


@dataclass
class Universe:
    """Some processes, one stream, the messages that were accepted for it, and a clock."""

    stream: str
    segment_hits: int = 20_000
    now: int = START
    accepted: dict[int, Message] = field(default_factory=dict)
    acknowledged: set[int] = field(default_factory=set)
    processes: list[SimpleNamespace] = field(default_factory=list)
    seen: list[int] = field(default_factory=list)
    parked: list[str] = field(default_factory=list)
    """Bodies of messages that ended in the dead-letter queue."""
    faults: Faults = field(default_factory=lambda: Faults(enabled=False))
    bounds: Bounds = field(default_factory=Bounds)

    def __post_init__(self) -> None:
        self.processes = [self._process() for _ in range(3)]
        self.seen = [0 for _ in self.processes]

    def _clock(self) -> float:
        return float(self.now)

    def _process(self) -> SimpleNamespace:
        log, rollups = wiring.log(), wiring.rollups()
        folds = SimpleNamespace(ask=lambda _stream, _head: None)
        appender = Appender(
            log,
            rollups,
            folds,
            now=self._clock,
            sleep=lambda _: None,
            segment_hits=self.segment_hits,
            bounds=self.bounds,
        )
        return SimpleNamespace(appender=appender, reports=Reports(Reader(log, rollups, now=self._clock)))

    # --- what may happen --------------------------------------------------------------------------------------

    def crash(self, process: int) -> None:
        """The process loses all that it knew."""
        self.processes[process] = self._process()

    def accept(self, message: Message) -> None:
        """The message waits in the queue."""
        self.accepted.setdefault(message.id, message)

    def fill(self, batches: Sequence[Sequence[Hit]], every: int) -> None:
        """Counts each batch as a message; after every so many of them a fold, which for even ones is a sweep."""
        for number, chosen in enumerate(batches, 1):
            message = Message(number << 40, START + number, self.stream, False, tuple(chosen))
            self.accept(message)
            self.deliver(0, [message])
            if number % every == 0:
                self.fold(1, sweep=number % 2 == 0)

    def deliver(self, process: int, messages: list[Message]) -> None:
        """The queue hands messages to a process, which may die of it."""
        records = [
            {"messageId": str(i), "body": message.encode(), "attributes": {}, "eventSourceARN": "arn:aws:sqs:::ingest"}
            for i, message in enumerate(messages)
        ]
        with self._as(process) as alive:
            answer = append_module.append({"Records": records}, SimpleNamespace(function_name="append"))
            failed = {int(failure["itemIdentifier"]) for failure in answer["batchItemFailures"]}
            assert self.faults.enabled or not failed, "a delivery fails though nothing else does"
            self.acknowledged.update(m.id for i, m in enumerate(messages) if i not in failed)
        if not alive:
            self.crash(process)

    def fold(self, process: int, *, sweep: bool) -> None:
        """A process folds or sweeps the stream."""
        body = json.dumps({"stream": self.stream, "sweep": sweep})
        record = {"messageId": "0", "body": body, "attributes": {}, "eventSourceARN": "arn:aws:sqs:::fold"}
        with self._as(process) as alive:
            answer = fold_module.fold({"Records": [record]}, SimpleNamespace(function_name="fold"))
            assert self.faults.enabled or not answer["batchItemFailures"], "a fold fails though nothing else does"
        if not alive:
            self.crash(process)

    def drop(self) -> None:
        """The rollups are lost; the sweep builds them again."""
        with self.faults.spared():
            found = wiring.rollups().manifest(self.stream)
            if found:
                wiring.rollups().drop(self.stream, found[0])
            for i in range(len(self.processes)):
                self.crash(i)

    @contextmanager
    def _as(self, process: int) -> Iterator[list[bool]]:
        """Runs as one of the processes; the list is empty afterwards if it died."""
        alive = [True]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(wiring, "_threads", [self.processes[process]])
            patch.setattr(wiring, "now", self._clock)
            patch.setattr(wiring, "park", lambda _, record: self.parked.append(record["body"]))
            try:
                yield alive
            except Crash:
                alive.clear()

    # --- what must hold ---------------------------------------------------------------------------------------

    def segments(self) -> list[Segment]:
        """The log, read as plainly as can be."""
        return [segment for segment, _ in log_module.tail(wiring.log().read(self.stream, 0), 0)]

    def look(self, process: int) -> None:
        """A reader sees everything that was acknowledged, nothing that was not accepted, and never less than before."""
        try:
            snapshot = self.processes[process].reports._reader.snapshot(self.stream)
        except Crash:
            self.crash(process)
            return
        except (BotoCoreError, ClientError, Unavailable):
            assert self.faults.enabled, "a read fails though nothing else does"
            return
        with self.faults.spared():
            self._compare(process, snapshot)

    def _compare(self, process: int, snapshot: Snapshot) -> None:
        figures = snapshot.parts(1, -(10**9), 10**9)
        views = sum(sum(part.hours.views) for part in figures if part.hours)
        log = [segment for segment in self.segments() if segment.number <= snapshot.head]
        assert views == sum(map(len, log)), "a snapshot that no prefix of the log explains"
        assert views >= sum(len(self.accepted[message].hits) for message in self.acknowledged)
        assert views <= sum(len(message.hits) for message in self.accepted.values())
        assert views >= self.seen[process], "a figure went back"
        self.seen[process] = views
        visits = sum(sum(part.visits.visits) for part in snapshot.parts(2, -(10**9), 10**9) if part.visits)
        assert visits == sum(flag & FIRST for segment in log for flag in segment.events.flags)


@dataclass
class Naive:
    """Sessions by the words of the contract, over the messages in the order of the log: slow, and plain to see."""

    limit: int = sessions.BYTES
    clock: int = 0
    numbers: int = 0
    sessions: list[dict[str, Any]] = field(default_factory=list)
    visits: dict[tuple[str, int], int] = field(default_factory=dict)
    firsts: list[bool] = field(default_factory=list)

    def take(self, message: Message, start: int, held: int) -> None:
        """Counts a range of a message."""
        for hit in message.hits[start : start + held]:
            self.clock = max(self.clock, message.accepted)
            moment = message.accepted if message.accepted - hit.at <= LIVE else hit.at
            first = True
            if hit.session:
                first = self._touch(hit, moment)
            self.firsts.append(first)
            if first:
                key = (hit.path.lower(), hit.at // 3600)
                self.visits[key] = self.visits.get(key, 0) + 1

    def _touch(self, hit: Hit, moment: int) -> bool:
        """Whether a hit is its session's first on its path. One that there is no room for is a visit of its own."""
        path = hit.path.lower()
        session = self._find(hit.session, moment) or self._find(hit.previous, moment)
        growth = sessions.GROWTH if session is None else 4 * (path not in session["seen"])
        if growth and self._living() + growth > self.limit:
            return True
        if session is None or session["key"] != hit.session:
            self.sessions = [each for each in self.sessions if each["key"] != hit.session or self._goes_on(each)]
        if session is None:
            session = {"seen": set(), "last": moment}
            self.sessions.append(session)
        first = path not in session["seen"]
        session["seen"].add(path)
        session["last"] = max(session["last"], moment)
        session["touched"] = self.clock
        session["key"] = hit.session
        return first

    def _living(self) -> int:
        """Bytes of the sessions that may still go on, or have just ended."""
        since = sessions.oldest(self.clock)
        return sum(
            sessions.GROWTH - 4 + 4 * len(session["seen"])
            for session in self.sessions
            if session["touched"] // sessions.SLICE >= since
        )

    def _find(self, key: int, moment: int) -> dict[str, Any] | None:
        """The visitor's session that a hit belongs to: the nearest in time, of two as near the later."""
        found = [
            session
            for session in self.sessions
            if session["key"] == key and self._goes_on(session) and abs(moment - session["last"]) <= 8 * 3600
        ]
        return min(found, key=lambda session: (abs(moment - session["last"]), -session["last"]), default=None)

    def _goes_on(self, session: dict[str, Any]) -> bool:
        return bool(self.clock - session["touched"] <= 8 * 3600)
