"""A segment: some of a stream's events, packed into the bytes of one item of the log.

A segment stands alone: it holds the names that it is the first to use, the sessions that it touches, and which range
of which message it took in. Format 1 is the order of `pack`; format 2, which only a redaction's marker has, goes on
with what it orders, format 3 with the names that there was no room for, and format 4, which a marker keeps once it is
carried out, with tombstones. A reader refuses any other.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from typing import NamedTuple

from . import tombstones
from .columns import Reader, Writer
from .tombstones import Tombstone

_KIND, _PLAIN, _MARKER, _CROWDED, _ENDURING = b"S", 1, 2, 3, 4

GONE = "\0"
"""What stands in place of a name that was redacted: its id is never given again. Texts hold no NUL."""


class Kind(IntEnum):
    """What a name is a name of. Ids are given in each kind by first appearance, from 1; 0 stands for no name."""

    PATH = 0
    REF = 1
    CAMPAIGN = 2
    BROWSER = 3
    SYSTEM = 4
    LOCATION = 5
    LANGUAGE = 6


class Taken(NamedTuple):
    """The range of a message that a segment holds: `held` of its `total` hits, from index `start`."""

    id: int
    accepted: int
    derived: bool
    start: int
    held: int
    total: int


class Touched(NamedTuple):
    """A session that a segment touches: its number, the key it is found by, and the key before a change of salt."""

    number: int
    key: int
    previous: int


class Retitle(NamedTuple):
    """A path's title was replaced, as seen at this event of the segment, counted from 0."""

    event: int
    path: int
    title: str


class Renamed(NamedTuple):
    """A redaction drops a name (`GONE`), or gives a path another text; its title stays."""

    kind: int
    id: int
    name: str


@dataclass(slots=True)
class Orders:
    """What a redaction's marker tells whoever writes after it.

    The names are the writers' business at once, so that nobody uses again what is about to go. Readers and rollups go
    on with the old names until the redaction swings the manifest, so that they see all of it or nothing.
    """

    sealed: bool = False
    """Nothing is to be written any more: the stream's site is deleted."""
    renamed: list[Renamed] = field(default_factory=list)
    forgotten: list[int] = field(default_factory=list)
    """The keys of sessions that are over, whoever comes again."""


@dataclass(slots=True)
class Columns:
    """The events of a segment, a list for each property, all of one length."""

    id: list[int] = field(default_factory=list)
    at: list[int] = field(default_factory=list)
    path: list[int] = field(default_factory=list)
    ref: list[int] = field(default_factory=list)
    campaign: list[int] = field(default_factory=list)
    browser: list[int] = field(default_factory=list)
    system: list[int] = field(default_factory=list)
    location: list[int] = field(default_factory=list)
    language: list[int] = field(default_factory=list)
    width: list[int] = field(default_factory=list)
    flags: list[int] = field(default_factory=list)
    """`FIRST`, `EVENT` and `LISTED`."""
    session: list[int] = field(default_factory=list)
    """1 + the index in the segment's sessions; 0 for no session."""
    title: list[int] = field(default_factory=list)
    """Checksum of a title that differs from the path's; 0 if it does not."""

    def all(self) -> Iterator[list[int]]:
        """Every column, in the order of the format."""
        for name in self.__slots__:
            yield getattr(self, name)

    def named(self) -> Iterator[tuple[Kind, list[int]]]:
        """The columns that hold ids of names, with the kind of each."""
        yield Kind.PATH, self.path
        yield Kind.REF, self.ref
        yield Kind.CAMPAIGN, self.campaign
        yield Kind.BROWSER, self.browser
        yield Kind.SYSTEM, self.system
        yield Kind.LOCATION, self.location
        yield Kind.LANGUAGE, self.language


FIRST = 1
"""The event is its session's first on this path: a visit."""
EVENT = 2
"""The path is an event's name."""
LISTED = 4
"""Exports may list the event by itself."""


@dataclass(slots=True)
class Segment:
    """One link of a stream's log.

    `first` to `number` are the numbers that it covers: one number as appended, a run once old segments are merged.
    The log holds it under `first`, so that whoever reads in order knows what to pass over.
    `epoch` counts the redactions of the stream: whoever holds older knowledge has to look again.
    """

    number: int
    first: int
    epoch: int = 0
    next_event: int = 1
    """The id that the event after this segment gets: ids stay dense where redaction left a segment empty."""
    next_session: int = 1
    clock: int = 0
    """The latest moment of acceptance in the stream so far, in Unix seconds."""
    taken: list[Taken] = field(default_factory=list)
    names: list[list[str]] = field(default_factory=lambda: [[] for _ in Kind])
    first_names: list[int] = field(default_factory=lambda: [1 for _ in Kind])
    """For each kind, the id of the first of its names here."""
    sessions: list[Touched] = field(default_factory=list)
    retitles: list[Retitle] = field(default_factory=list)
    events: Columns = field(default_factory=Columns)
    refused: list[list[int]] = field(default_factory=lambda: [[] for _ in Kind])
    """For each kind, the checksums of names that there was no room for, in the order of the events that had them."""
    orders: Orders | None = None
    """Only in the marker of a redaction that is not through yet, and in a seal."""
    tombstones: list[Tombstone] = field(default_factory=list)
    """What the redaction took out, of which this is or was the marker: for messages that come later."""

    def __len__(self) -> int:
        return len(self.events.id)

    @property
    def merged(self) -> bool:
        """Whether it was made of old segments: without the messages that it took in, and without session keys."""
        return len(self) > 0 and not self.taken

    @property
    def youngest(self) -> int:
        """The latest moment of acceptance that anything in it is about."""
        return max([self.clock, *(tombstone.at for tombstone in self.tombstones)])

    @property
    def sealed(self) -> bool:
        """Whether nothing may follow it."""
        return self.orders is not None and self.orders.sealed

    def pack(self) -> bytes:
        """The segment's bytes."""
        out = Writer()
        for value in (self.number, self.first, self.epoch, self.next_event, self.next_session, self.clock):
            out.uint(value)
        _put_taken(out, self.taken)
        for first, names in zip(self.first_names, self.names, strict=True):
            out.uint(first)
            out.texts(names)
        out.deltas([session.number for session in self.sessions])
        out.column([session.key for session in self.sessions])
        out.column([session.previous for session in self.sessions])
        out.column([retitle.event for retitle in self.retitles])
        out.column([retitle.path for retitle in self.retitles])
        out.texts([retitle.title for retitle in self.retitles])
        columns = self.events.all()
        out.deltas(next(columns))  # ids
        out.deltas(next(columns))  # times
        for column in columns:
            out.column(column)
        if self.tombstones:
            tombstones.put(out, self.tombstones)
            out.uint(self.orders is not None)
        if self.orders is not None:
            out.uint(self.orders.sealed)
            put_renamed(out, self.orders.renamed)
            out.column(self.orders.forgotten)
        if self.tombstones or self.orders is not None:
            return out.frame(_KIND, _ENDURING if self.tombstones else _MARKER)
        if not any(self.refused):
            return out.frame(_KIND, _PLAIN)
        for refused in self.refused:
            out.column(refused)
        return out.frame(_KIND, _CROWDED)


def unpack(data: bytes) -> Segment:
    """The segment that `Segment.pack` packed.

    Raises:
        BrokenLog: the bytes are damaged, or of another format.
    """
    version = next((known for known in (_MARKER, _CROWDED, _ENDURING) if data[1:2] == bytes((known,))), _PLAIN)
    reader = Reader(data, _KIND, version)
    head = [reader.uint() for _ in range(6)]
    number, first, epoch, next_event, next_session, clock = head
    segment = Segment(number, first, epoch, next_event, next_session, clock, _get_taken(reader))
    for kind in Kind:
        segment.first_names[kind] = reader.uint()
        segment.names[kind] = reader.texts()
    numbers = reader.deltas()
    segment.sessions = list(map(Touched, numbers, reader.column(), reader.column()))
    segment.retitles = list(map(Retitle, reader.column(), reader.column(), reader.texts()))
    ids, times = reader.deltas(), reader.deltas()
    segment.events = Columns(ids, times, *(reader.column() for _ in range(len(Columns.__slots__) - 2)))
    if version == _ENDURING:
        segment.tombstones = tombstones.get(reader)
    if version == _MARKER or (version == _ENDURING and reader.uint()):
        segment.orders = Orders(bool(reader.uint()), get_renamed(reader), reader.column())
    if version == _CROWDED:
        segment.refused = [reader.column() for _ in Kind]
    return segment


def put_renamed(out: Writer, renamed: list[Renamed]) -> None:
    """Writes what happens to names; `get_renamed` reads it."""
    out.column([each.kind for each in renamed])
    out.deltas([each.id for each in renamed])
    out.texts([each.name for each in renamed])


def get_renamed(reader: Reader) -> list[Renamed]:
    """What `put_renamed` wrote."""
    return list(map(Renamed, reader.column(), reader.deltas(), reader.texts()))


def _put_taken(out: Writer, taken: list[Taken]) -> None:
    out.column([message.id for message in taken])
    out.deltas([message.accepted for message in taken])
    out.column([message.derived for message in taken])
    out.column([message.start for message in taken])
    out.column([message.held for message in taken])
    out.column([message.total - message.held for message in taken])


def _get_taken(reader: Reader) -> list[Taken]:
    ids, accepted = reader.column(), reader.deltas()
    derived, starts, counts = reader.column(), reader.column(), reader.column()
    rest = reader.column()
    return [
        Taken(i, a, bool(d), s, c, c + r)
        for i, a, d, s, c, r in zip(ids, accepted, derived, starts, counts, rest, strict=True)
    ]
