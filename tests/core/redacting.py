"""Redactions for tests: asks for them, works on them through crashes, and looks for what was to go in all that is
stored.
"""

import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from botocore.exceptions import BotoCoreError, ClientError

from chalicelib import wiring
from chalicelib.aws import clients
from chalicelib.aws.redactions import Books
from chalicelib.core.errors import Conflict, Unavailable
from chalicelib.core.events import Bot
from chalicelib.core.log import tail
from chalicelib.core.names import Names
from chalicelib.core.redaction import READ
from chalicelib.core.redactions import LEASE, STALE, Done, Outcome, Ports, Redactions, Worker
from chalicelib.core.segments import Kind, Segment, unpack
from chalicelib.core.wishes import Act
from tests.core.world import Crash, Universe


@dataclass
class Elsewhere:
    """`sealing.Outside` with the real bots; of exports and bodies it is only known that somebody looked."""

    withdrawn: list[str] = field(default_factory=list)

    def drop_bots(self, stream: str, goes: Callable[[Bot], bool] | None) -> None:
        wiring.rollups().drop_bots(stream, goes)

    def drop_bodies(self, stream: str, counted: Callable[[int, int], bool] | None) -> None:
        assert stream
        if counted is not None:
            counted(1, 0)

    def withdraw(self, stream: str) -> None:
        self.withdrawn.append(stream)


@dataclass
class Asked:
    """`redactions.Queue` that remembers."""

    streams: list[tuple[str, int]] = field(default_factory=list)

    def ask(self, stream: str, delay: int = 0) -> None:
        self.streams.append((stream, delay))


class Row(NamedTuple):
    """An event, as a person would write it down."""

    id: int
    at: int
    path: str
    ref: tuple[str, str]
    browser: tuple[str, str]
    session: int
    flags: int


class Redactor:
    """Redacts the stream of a universe."""

    def __init__(self, universe: Universe, *, read: int = READ, names_at_once: int | None = None) -> None:
        self.universe = universe
        self.outside = Elsewhere()
        self.queue = Asked()
        books = Books(clients.dynamodb(), wiring.settings().rollups_table)
        self.ports = Ports(wiring.log(), wiring.rollups(), books, self.outside, self.queue, lambda: float(universe.now))
        self.redactions = Redactions(self.ports)
        self._worker = Worker(self.ports, read=read, names_at_once=names_at_once)

    def __call__(self, act: Act, **what: Any) -> Done:
        """Asks for a redaction, and has it done whatever it takes."""
        with self.universe.faults.spared():
            wish = self.redactions.begin(self.universe.stream, act, **what)
        self.universe.now += 1  # what was accepted in the second of the wish goes as well
        self.work()
        with self.universe.faults.spared():
            done = self.redactions.done(self.universe.stream, wish.id)
        assert done is not None
        return done

    def work(self, most: int = 60) -> None:
        """Works until nothing is left to do now; who dies leaves its lease behind."""
        for attempt in range(most):
            try:
                if self._worker.work(self.universe.stream, lambda: 100.0) is Outcome.DONE:
                    return
                self.universe.now += LEASE + 1
            except Crash:
                self.universe.now += LEASE + 1
            except (BotoCoreError, ClientError, Unavailable, Conflict):
                assert self.universe.faults.enabled, "a redaction fails though nothing else does"
                self.universe.now += LEASE + 1 if attempt % 2 else 1
        raise AssertionError("the redaction does not come to an end")

    def tidy(self) -> None:
        """Lets the time pass after which what folds left behind is deleted, and has that done."""
        self.universe.now += STALE + 1
        self.work()

    # --- what there is ----------------------------------------------------------------------------------------

    def path(self, name: str) -> int:
        """The id of a path that is in use."""
        return next(i for i, text in self.names().live(Kind.PATH) if text.partition("\0")[0] == name)

    def names(self) -> Names:
        """Every name, as the log has them."""
        names = Names()
        for segment in self.universe.segments():
            names.replay(segment)
        return names

    def rows(self) -> dict[int, Row]:
        """Every event of the log by id, in words."""
        names = self.names()
        return {row.id: row for segment in self.universe.segments() for row in _rows(segment, names)}

    def stored(self) -> Iterator[bytes]:
        """Everything that the tables hold of the stream, decompressed: the log, originals of merged segments, the
        manifest, every part, bots, the book.
        """
        stream = self.universe.stream
        for item in wiring.log().read(stream, 0):
            yield zlib.decompress(item.data[6:])
        manifest = wiring.rollups().manifest(stream)
        if manifest:
            yield zlib.decompress(manifest[1][6:])
        parts = wiring.rollups().stored(stream)
        for data in wiring.rollups().get(stream, parts).values():
            yield zlib.decompress(data[6:])
        for bot in wiring.rollups().bots(stream):
            yield repr(bot).encode()
        yield repr(self.ports.books.get(stream)).encode()

    def holds(self, text: str) -> bool:
        """Whether anything that is stored holds a text."""
        return any(text.encode() in data for data in self.stored())

    def session_keys(self) -> set[int]:
        """The session keys that log and checkpoint hold."""
        stream = self.universe.stream
        found = set()
        for item in wiring.log().read(stream, 0):
            segment = unpack(item.data)
            found |= {key for touched in segment.sessions for key in (touched.key, touched.previous)}
            found |= set(segment.orders.forgotten) if segment.orders else set()
        from chalicelib.core.sessions import Window  # noqa: PLC0415

        for data in wiring.rollups().get(stream, wiring.rollups().stored(stream)).values():
            if data[:1] == b"W":
                window = Window()
                window.load(data)
                found |= set(window.keys()) | set(_dead(data))
        return found - {0}


def _dead(data: bytes) -> list[int]:
    """The keys that a checkpoint says lead nowhere any more."""
    from chalicelib.core.columns import Reader  # noqa: PLC0415

    reader = Reader(data, b"W", 1)
    for column in ("column", "deltas", "column", "column", "column", "column"):
        getattr(reader, column)()
    return reader.column()


def _rows(segment: Segment, names: Names) -> Iterator[Row]:
    events = segment.events
    for i, at, path, ref, browser, session, flags in zip(
        events.id, events.at, events.path, events.ref, events.browser, events.session, events.flags, strict=True
    ):
        number = segment.sessions[session - 1].number if session else 0
        agent = names.agent(Kind.BROWSER, browser) if browser else ("", "")
        yield Row(i, at, names.path(path)[0], names.ref(ref), agent, number, flags)


def segments_of(universe: Universe) -> list[Segment]:
    """The log, leftovers not included."""
    return [segment for segment, _ in tail(wiring.log().read(universe.stream, 0), 0)]
