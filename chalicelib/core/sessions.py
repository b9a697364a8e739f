"""The session window: who was here during the last eight hours, and which paths they have seen.

A session slides: it lives while hits come at most eight hours apart. Live hits are judged by the moment of acceptance,
imported ones by their own time (page-view contract, section 6 and quirk 24). The window's clock is the latest
acceptance that the stream has seen, so that what is forgotten depends on the log alone, never on who keeps the window.
"""

import struct
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from .columns import Reader, Writer

LIFETIME = 8 * 3600
"""Seconds after its last hit that a session ends."""

_HEAD = struct.Struct("<QIq")  # number, touched, last
_SEEN = struct.Struct("<I")


class Session(NamedTuple):
    """One session, unpacked."""

    number: int
    touched: int
    """The stream's clock at its last hit."""
    last: int
    """The time of its last hit: of acceptance for live ones, its own for imported ones."""
    seen: bytes
    """The ids of the paths that it has seen, four bytes each."""

    def pack(self) -> bytes:
        """As the window holds it: some fifty bytes, where objects would take three hundred."""
        return _HEAD.pack(self.number, self.touched, self.last) + self.seen


def unpack(entry: bytes) -> Session:
    """The session that `Session.pack` packed."""
    number, touched, last = _HEAD.unpack_from(entry)
    return Session(number, touched, last, entry[_HEAD.size :])


def has_seen(seen: bytes, path: bytes) -> bool:
    """Whether a path (four bytes) is among those seen."""
    at = seen.find(path)
    while at > 0 and at % 4:
        at = seen.find(path, at + 1)
    return at >= 0


def path_key(path: int) -> bytes:
    """A path's id as `seen` holds it."""
    return _SEEN.pack(path)


class Window:
    """Sessions by key, of one stream. Lookups see only what is alive."""

    __slots__ = ("_entries", "clock")

    def __init__(self) -> None:
        self._entries: dict[int, bytes] = {}
        self.clock = 0

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def size(self) -> int:
        """Roughly the bytes of memory that it takes."""
        return 190 * len(self._entries)

    def get(self, key: int) -> bytes | None:
        """The packed session under a key, alive or not: `alive` decides."""
        return self._entries.get(key)

    def apply(self, changes: Mapping[int, bytes | None], clock: int) -> None:
        """Takes in what a segment changed; None removes a key that a session is no longer found by."""
        for key, entry in changes.items():
            if entry is None:
                self._entries.pop(key, None)
            else:
                self._entries[key] = entry
        self.clock = max(self.clock, clock)

    def evict(self) -> None:
        """Forgets what has ended. It changes no answer: what has ended is never alive again."""
        oldest = self.clock - LIFETIME
        self._entries = {key: entry for key, entry in self._entries.items() if _HEAD.unpack_from(entry)[1] >= oldest}

    def pack(self, keys: Iterable[int]) -> bytes:
        """The sessions under these keys, for a checkpoint; and which of the keys lead to none any more."""
        keys = list(keys)
        found = sorted((key, unpack(self._entries[key])) for key in keys if key in self._entries)
        by_number = sorted(found, key=lambda item: item[1].number)
        out = Writer()
        out.column([key for key, _ in by_number])
        out.deltas([session.number for _, session in by_number])
        out.column([session.touched for _, session in by_number])
        out.column([session.last - session.touched for _, session in by_number])
        out.column([len(session.seen) // 4 for _, session in by_number])
        seen = b"".join(session.seen for _, session in by_number)
        out.column(list(memoryview(seen).cast("I")) if seen else [])
        out.column(sorted({key for key in keys if key not in self._entries}))
        return out.frame(b"W", 1)

    def load(self, data: bytes) -> None:
        """Takes in what `pack` packed, over what is there."""
        reader = Reader(data, b"W", 1)
        keys, numbers, touched, lasts, counts, seen = (
            reader.column(),
            reader.deltas(),
            reader.column(),
            reader.column(),
            reader.column(),
            reader.column(),
        )
        at = 0
        for key, number, touch, last, count in zip(keys, numbers, touched, lasts, counts, strict=True):
            paths = seen[at : at + count]
            at += count
            packed = struct.pack(f"<{count}I", *paths)
            self._entries[key] = Session(number, touch, touch + last, packed).pack()
        for key in reader.column():
            self._entries.pop(key, None)


def alive(session: Session, clock: int, moment: int) -> bool:
    """Whether a hit at `moment`, accepted when the stream's clock stands at `clock`, belongs to the session."""
    return clock - session.touched <= LIFETIME and abs(moment - session.last) <= LIFETIME
