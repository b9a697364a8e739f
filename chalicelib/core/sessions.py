"""The session window: who was here during the last eight hours, and which paths they have seen.

A session slides: it lives while hits come at most eight hours apart. Live hits are judged by the moment of acceptance,
imported ones by their own time (page-view contract, section 6 and quirk 24). The window's clock is the latest
acceptance that the stream has seen, so that what is forgotten depends on the log alone, never on who keeps the window.
"""

import struct
from collections.abc import Collection, Iterable, Mapping

from .columns import Reader, Writer
from .lifetimes import SESSION

BYTES = 128_000_000
"""Bytes of memory that the sessions of a stream may take, as `cost` reckons them (a setting): 650,000 that have seen a
page each, hence two million visitors a day, and those that are about to be forgotten. A function that appends has
1,024 MB, and keeps one large stream at a time. What would make them more is a visit of its own."""

SLICE = 300
"""Sessions are forgotten by spans of so many seconds, so that to know how many live nobody has to look at each."""

PATHS = 5_000
"""So many paths a session remembers to have seen: no person sees more, and a program that does shall not slow us."""

_HEAD = struct.Struct("<QIq")  # number, touched, last
_SIZE = _HEAD.size
_SEEN = struct.Struct("<I")


Entry = bytes
"""A session as the window holds it: its number, the stream's clock at its last hit, the time of that hit (of acceptance
for live hits, its own for imported ones), and the ids of the paths that it has seen, four bytes each. Some fifty bytes,
where objects would take three hundred."""


def start(number: int, clock: int, moment: int, seen: bytes) -> Entry:
    """A new session."""
    return _HEAD.pack(number, clock, moment) + seen


def follow(entry: Entry, clock: int, moment: int, seen: bytes) -> Entry:
    """The session after another hit, on a path that it had not seen if `seen` is not empty.

    Of more than `PATHS` paths it forgets the oldest.
    """
    number, _, last = _HEAD.unpack_from(entry)
    if seen and len(entry) >= _SIZE + 4 * PATHS:
        entry = entry[4:]  # the head is packed anew
    return _HEAD.pack(number, clock, max(moment, last)) + entry[_SIZE:] + seen


def cost(entry: Entry) -> int:
    """Roughly the bytes of memory that a session takes with the key that it is found by."""
    return 170 + len(entry)


GROWTH = 170 + _SIZE + 4
"""What a session costs that has seen a path: no hit makes sessions cost more than this."""


def slice_of(entry: Entry) -> int:
    """The span of the stream's clock in which the session's last hit came."""
    touched: int = _HEAD.unpack_from(entry)[1]
    return touched // SLICE


def oldest(clock: int) -> int:
    """The span of which sessions count as living, and all later ones. Some that have just ended are among them."""
    return (clock - SESSION) // SLICE


def number(entry: Entry) -> int:
    """The session's number."""
    found: int = _HEAD.unpack_from(entry)[0]
    return found


def alive(entry: Entry, clock: int, moment: int) -> bool:
    """Whether a hit at `moment`, accepted when the stream's clock stands at `clock`, belongs to the session."""
    _, touched, last = _HEAD.unpack_from(entry)
    return bool(clock - touched <= SESSION and -SESSION <= moment - last <= SESSION)


def has_seen(entry: Entry, path: bytes) -> bool:
    """Whether the session has seen a path."""
    at = entry.find(path, _SIZE)
    while at > 0 and at % 4:
        at = entry.find(path, at + 1)
    return at >= 0


path_key = _SEEN.pack
"""A path's id as an entry holds it."""


_EVICTED_FROM = 4_000_000
"""Bytes by which a window grows before it forgets what has ended, or a quarter of what it had."""


class Window:
    """Sessions by key, of one stream. Lookups see only what is alive."""

    __slots__ = ("_entries", "_evict_at", "_size", "_slices", "clock")

    def __init__(self) -> None:
        self._size = 0
        self._entries: dict[int, Entry] = {}
        self._slices: dict[int, int] | None = None
        self._evict_at = _EVICTED_FROM
        self.clock = 0

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def size(self) -> int:
        """Roughly the bytes of memory that it takes."""
        return self._size

    @property
    def packed(self) -> int:
        """Roughly the bytes that all of it takes in a checkpoint."""
        paths = (self._size - (GROWTH - 4) * len(self._entries)) // 4
        return 16 * len(self._entries) + 2 * paths

    def slices(self) -> dict[int, int]:
        """What the sessions cost whose last hit came in each span. Counted when it is first asked for."""
        if self._slices is None:
            self._slices = {}
            for entry in self._entries.values():
                at = slice_of(entry)
                self._slices[at] = self._slices.get(at, 0) + cost(entry)
        return self._slices

    def get(self, key: int) -> Entry | None:
        """The packed session under a key, alive or not: `alive` decides."""
        return self._entries.get(key)

    def apply(self, changes: Mapping[int, Entry | None], clock: int) -> None:
        """Takes in what a segment changed; None removes a key that a session is no longer found by."""
        for key, entry in changes.items():
            self._count(self._entries.pop(key, None), -1)
            if entry is not None:
                self._entries[key] = entry
                self._count(entry, 1)
        self.clock = max(self.clock, clock)
        if self._size > self._evict_at:
            self.evict()

    def _count(self, entry: Entry | None, sign: int) -> None:
        if entry is not None:
            self._size += sign * cost(entry)
            if self._slices is not None:
                at = slice_of(entry)
                self._slices[at] = self._slices.get(at, 0) + sign * cost(entry)

    def keys(self) -> list[int]:
        """What sessions are found by."""
        return list(self._entries)

    def numbers(self) -> set[int]:
        """Of the sessions."""
        return set(map(number, self._entries.values()))

    def drop(self, numbers: Collection[int]) -> None:
        """Forgets sessions by number."""
        self._entries = {key: entry for key, entry in self._entries.items() if number(entry) not in numbers}
        self._measure()

    def evict(self) -> None:
        """Forgets what has ended. It changes no answer: what has ended is never alive again, nor does it count."""
        since = oldest(self.clock) * SLICE
        self._entries = {key: entry for key, entry in self._entries.items() if _HEAD.unpack_from(entry)[1] >= since}
        self._measure()

    def _measure(self) -> None:
        self._slices = None
        self._size = sum(map(cost, self._entries.values()))
        self._evict_at = self._size + max(self._size // 4, _EVICTED_FROM)

    def pack(self, keys: Iterable[int]) -> bytes:
        """The sessions under these keys, for a checkpoint; and which of the keys lead to none any more."""
        keys = list(keys)
        found = sorted((number(self._entries[key]), key) for key in keys if key in self._entries)
        entries = [self._entries[key] for _, key in found]
        heads = [_HEAD.unpack_from(entry) for entry in entries]
        out = Writer()
        out.column([key for _, key in found])
        out.deltas([number for number, _, _ in heads])
        out.column([touched for _, touched, _ in heads])
        out.column([last - touched for _, touched, last in heads])
        out.column([(len(entry) - _SIZE) // 4 for entry in entries])
        seen = b"".join(entry[_SIZE:] for entry in entries)
        out.column([path for (path,) in _SEEN.iter_unpack(seen)])
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
            self._count(self._entries.get(key), -1)
            self._entries[key] = entry = start(number, touch, touch + last, struct.pack(f"<{count}I", *paths))
            self._count(entry, 1)
        for key in reader.column():
            self._count(self._entries.pop(key, None), -1)
        self._evict_at = self._size + max(self._size // 4, _EVICTED_FROM)
