"""Redactions as jobs: one after the other for each stream, whoever crashes meanwhile.

A stream's `Book` says what is being done, what waits and what became of the last. It is only ever swapped for its next
version, so whoever works on an old one finds out.
"""

import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any, NamedTuple, Protocol

from . import ids, sealing
from .errors import Conflict, Invalid, Unavailable
from .ports import Held, LogStore, RollupStore
from .redaction import READ, Redaction, remove_unnamed
from .sealing import Outside
from .wishes import DELETED, Act, Gone, Notes, Wish

PREFIX = "red_"
WAITING = 50
"""So many wait for a stream at most."""
LEASE = 300
"""Seconds for which whoever last wrote the book is believed to be alive."""
MARGIN = 40.0
"""Seconds before its end at which a function hands over."""
STALE = 1200
"""Seconds after which no function that began before a redaction was through can still run: Lambda allows 900."""
LONGEST_DELAY = 900
"""Seconds for which a queue may hold a message back; what is due later, the hourly schedule asks for."""
LATE = 2 * 86400
"""Seconds after which a redaction that is not through is a case for an operator."""
REMEMBERED = 20
"""Of so many that are done it is known what became of them."""
_LOOKS = 10


class Done(NamedTuple):
    """What became of a redaction."""

    id: str
    act: str
    at: int
    removed: int
    """Events that went."""
    moved: int
    """Events that got another path."""
    error: str = ""
    """Why nothing was done, in a sentence; empty if all was."""


@dataclass(frozen=True, slots=True)
class Book:
    """What there is to redact of a stream."""

    version: int = 0
    worker: str = ""
    until: float = 0.0
    """When the worker's lease ends, in Unix seconds."""
    running: Wish | None = None
    notes: Notes = field(default_factory=Notes)
    """Of the running one."""
    waiting: tuple[Wish, ...] = ()
    done: tuple[Done, ...] = ()
    swept: int = 0
    """When the last one was through, if what folds left behind is still to be deleted; else 0."""

    @property
    def idle(self) -> bool:
        """Whether nothing is to be done, now or later."""
        return self.running is None and not self.waiting and not self.swept

    def due(self, now: float) -> bool:
        """Whether something is to be done now."""
        return self.running is not None or bool(self.waiting) or bool(self.swept and self.swept + STALE <= now)

    def asked(self, act: Act) -> bool:
        """Whether something of this kind runs or waits."""
        return any(wish is not None and wish.act is act for wish in (self.running, *self.waiting))

    def dump(self) -> dict[str, Any]:
        """As JSON has it, but for the version."""
        return {
            "worker": self.worker,
            "until": self.until,
            "running": self.running,
            "notes": self.notes.dump() if self.running else None,
            "waiting": self.waiting,
            "done": self.done,
            "swept": self.swept,
        }

    @classmethod
    def load(cls, version: int, said: dict[str, Any]) -> "Book":
        """What `dump` said."""
        return cls(
            version,
            said["worker"],
            said["until"],
            _wish(said["running"]) if said["running"] else None,
            Notes.load(said["notes"]) if said["notes"] else Notes(),
            tuple(map(_wish, said["waiting"])),
            tuple(Done(*done) for done in said["done"]),
            said["swept"],
        )


def _wish(said: dict[str, Any]) -> Wish:
    return Wish(**said | {"act": Act(said["act"]), "paths": tuple(said["paths"]), "keys": tuple(said["keys"])})


class BookStore(Protocol):
    """Where the books are."""

    def get(self, stream: str) -> Book | None:
        """Consistently reads a stream's book."""

    def swap(self, stream: str, book: Book) -> None:
        """Writes a book over the version before it; if this very call did so already, that is fine.

        Raises:
            Conflict: another version is there.
        """

    def forget(self, stream: str) -> None:
        """Deletes a stream's book, of a site that is deleted."""


class Queue(Protocol):
    """Where redactions are asked for."""

    def ask(self, stream: str, delay: int = 0) -> None:
        """Asks for work on a stream's book in so many seconds; asking twice is harmless."""


class Outcome(Enum):
    """How a piece of work ended."""

    DONE = "nothing is left to do now"
    MORE = "time was up"
    BUSY = "somebody else is at it"


@dataclass(frozen=True, slots=True)
class Ports:
    """The world of redactions."""

    log: LogStore
    rollups: RollupStore
    books: BookStore
    outside: Outside
    queue: Queue
    clock: Callable[[], float] = time.time


class Redactions:
    """Asks for redactions, and says what became of them."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports

    def begin(self, stream: str, act: Act, **what: Any) -> Wish:  # noqa: ANN401 - the fields of `Wish`
        """Asks for a redaction. If the queue does not hear of it, the hourly schedule asks again.

        Raises:
            Invalid: too many wait already.
            Unavailable: it could not be written down.
        """
        now = self._ports.clock()
        wish = Wish(PREFIX + ids.ordered(now), act, int(now), **what)
        for _ in range(_LOOKS):
            book = self._ports.books.get(stream) or Book()
            if len(book.waiting) >= WAITING and act is not Act.SEAL:
                raise Invalid(f"{WAITING} changes wait for this site already. Please try again later.")
            with suppress(Conflict):
                self._ports.books.swap(stream, replace(book, version=book.version + 1, waiting=(*book.waiting, wish)))
                with suppress(Unavailable):
                    self._ports.queue.ask(stream)
                return wish
        raise Unavailable("the book of redactions changes all the time")

    def done(self, stream: str, wish: str) -> Done | None:
        """What became of a redaction; None while it waits or runs, and long after it."""
        book = self._ports.books.get(stream) or Book()
        return next((done for done in book.done if done.id == wish), None)

    def book(self, stream: str) -> Book:
        """All that is known of a stream's redactions."""
        return self._ports.books.get(stream) or Book()

    def held(self, stream: str) -> Held | None:
        """What the redaction that is under way needs of its stream; None if there is none."""
        book = self.book(stream)
        if book.running is None:
            return None
        runs = (run for period in book.notes.periods.values() for run in period)
        return Held(frozenset(part.id for run in runs for part in run.parts))

    def ask(self, stream: str) -> None:
        """Asks for work on a stream's book to go on.

        Raises:
            Unavailable: the queue did not hear of it. The hourly schedule asks again.
        """
        self._ports.queue.ask(stream)

    def tend(self, stream: str) -> bool:
        """Asks again for what is due, if nobody is at it.

        Whether the one that runs has been under way for so long that somebody has to look why. Meanwhile no old
        segments of the stream are merged, and no originals of merged ones deleted.
        """
        now = self._ports.clock()
        book = self._ports.books.get(stream) or Book()
        if book.due(now) and book.until <= now:
            self._ports.queue.ask(stream)
        return book.running is not None and book.running.asked_at + LATE < now

    def forget(self, stream: str) -> None:
        """Forgets all about the redactions of a stream whose site is gone."""
        self._ports.books.forget(stream)


class Worker:
    """Does what the books say."""

    def __init__(self, ports: Ports, *, read: int = READ, names_at_once: int | None = None) -> None:
        self._ports = ports
        self._read = read
        self._sizes: dict[str, int] = {} if names_at_once is None else {"names_at_once": names_at_once}

    def work(self, stream: str, remaining: Callable[[], float]) -> Outcome:
        """Works on a stream's book for as long as there is time.

        Raises:
            Exception: whatever the stores raise. Then the lease is given back, if that can be done, so that the next
                may go on.
        """
        book = self._ports.books.get(stream)
        now = self._ports.clock()
        if book is None or not book.due(now):
            return Outcome.DONE
        if book.until > now:
            return Outcome.BUSY
        desk = _Desk(self._ports, stream, book)
        try:
            desk.write()
            while desk.book.due(self._ports.clock()):
                if remaining() < MARGIN:
                    desk.leave()
                    return Outcome.MORE
                self._step(desk)
                desk.write()
            desk.leave()
        except _Superseded:
            return Outcome.BUSY
        except Exception:
            with suppress(Exception):
                desk.leave()
            raise
        return Outcome.DONE

    def _step(self, desk: "_Desk") -> None:
        book, ports = desk.book, self._ports
        if any(wish.act is Act.SEAL for wish in book.waiting):
            desk.seal()
            return
        if book.running is None and book.waiting:
            desk.book = replace(book, running=book.waiting[0], notes=Notes(), waiting=book.waiting[1:])
            return
        if book.running is None:
            if self._swept(desk.stream, book.swept):
                desk.book = replace(book, swept=0)
            return
        redaction = Redaction(
            ports.log,
            ports.rollups,
            ports.outside,
            ports.clock,
            desk.stream,
            book.running,
            book.notes,
            desk.write,
            self._read,
            **self._sizes,
        )
        try:
            if redaction.step():
                desk.finish("")
        except Gone as gone:
            desk.finish(str(gone))

    def _swept(self, stream: str, since: int) -> bool:
        """Deletes a piece of what was left behind by those who were at work; whether nothing is left."""
        ports = self._ports
        mark = sealing.seal_of(ports.log, stream)
        if mark:
            return sealing.empty(ports.log, ports.rollups, ports.outside, stream, mark, ports.clock(), self._read)
        remove_unnamed(ports.rollups, stream, since)
        return True


class _Superseded(Exception):
    """Somebody else has taken the book over."""


class _Desk:
    """A book that somebody works on."""

    def __init__(self, ports: Ports, stream: str, book: Book) -> None:
        self._ports = ports
        self.stream = stream
        self._token = secrets.token_hex(8)
        self._written = book
        self.book = book

    def write(self) -> None:
        """Writes down how far it is, and that somebody is at it. What was asked for meanwhile is taken in.

        Raises:
            _Superseded: somebody else has taken it over.
        """
        self._write(self._ports.clock() + LEASE)

    def leave(self) -> None:
        """Gives the lease back. What was not written down is done again by whoever comes next.

        If only what folds left behind is still to be deleted, that is asked for.

        Raises:
            _Superseded: somebody else has taken it over.
        """
        found = self._ports.books.get(self.stream)  # a step that failed may have changed the notes at hand
        if found is None or found.worker != self._token:
            raise _Superseded
        self.book = self._written = found
        self._write(0.0)
        if self.book.running is None and not self.book.waiting and self.book.swept:
            with suppress(Unavailable):
                self._ports.queue.ask(self.stream, LONGEST_DELAY)

    def seal(self) -> None:
        """Goes on with the seal that waits: all else is of no use any more."""
        book, now = self.book, int(self._ports.clock())
        wishes = [wish for wish in (book.running, *book.waiting) if wish is not None]
        (first, *_) = (wish for wish in wishes if wish.act is Act.SEAL)
        others = (Done(w.id, str(w.act), now, 0, 0, DELETED) for w in wishes if w.act is not Act.SEAL)
        notes = book.notes if first is book.running else Notes()
        done = (*book.done, *others)[-REMEMBERED:]
        self.book = replace(book, running=first, notes=notes, waiting=(), done=done)

    def finish(self, error: str) -> None:
        """The running one is done, or cannot be done."""
        book, now = self.book, int(self._ports.clock())
        wish, notes = book.running, book.notes
        if wish is None:
            return
        removed, moved = (0, 0) if error else (notes.removed, notes.moved)
        done = Done(wish.id, str(wish.act), now, removed, moved, error)
        rest = (replace(wish, act=Act.TIDY, paths=(), keys=(), agent=""),) if notes.more and not error else ()
        self.book = replace(
            book,
            running=None,
            notes=Notes(),
            waiting=(*rest, *book.waiting),
            done=(*book.done, done)[-REMEMBERED:],
            swept=now if notes.marker else book.swept,
        )

    def _write(self, until: float) -> None:
        for _ in range(_LOOKS):
            book = replace(self.book, version=self._written.version + 1, worker=self._token, until=until)
            try:
                self._ports.books.swap(self.stream, book)
            except Conflict:
                self._take_in()
                continue
            self._written = self.book = book
            return
        raise Conflict("the book of redactions changes all the time")

    def _take_in(self) -> None:
        """Takes in what others asked for: nobody else may write a book whose lease is not theirs."""
        found = self._ports.books.get(self.stream)
        if found is None or found.worker != self._token or found.until != self._written.until:
            raise _Superseded
        fresh = found.waiting[len(self._written.waiting) :]
        self.book = replace(self.book, waiting=(*self.book.waiting, *fresh))
        self._written = found
