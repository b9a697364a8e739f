"""The session window: who was here during the last eight hours, and which paths they have seen.

A session slides: it lives while hits come at most eight hours apart. Live hits are judged by the moment of acceptance,
imported ones by their own time (page-view contract, section 6 and quirk 24). The window's clock is the latest
acceptance that the stream has seen, so that what is forgotten depends on the log alone, never on who keeps the window.

A visitor whose live hits alone are seen has one session at most. Imports make several: the log of a second server
begins at its first day again, and its hits belong to sessions that the first log's later ones must not have replaced.
"""

import struct
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Collection, Iterable, Mapping

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

TOGETHER = 60_000
"""Bytes that the sessions of one visitor may take together: 2,500 of a path each, three a day for two years. They stay
small enough for an item of a checkpoint, which never parts them. The sessions with the earliest hits are forgotten."""

_HEAD = struct.Struct("<QIq")  # number, touched, last
_SIZE = _HEAD.size
_SEEN = struct.Struct("<I")


Entry = bytes
"""A session as the window holds it: its number, the stream's clock at its last hit, the time of that hit (of acceptance
for live hits, its own for imported ones), and the ids of the paths that it has seen, four bytes each. Some fifty bytes,
where objects would take three hundred."""

Sessions = Entry | tuple[Entry, ...]
"""What a visitor's key leads to: a session; or two and more, in the order of the times of their last hits."""


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


def _touched(entry: Entry) -> int:
    """The stream's clock at the session's last hit."""
    found: int = _HEAD.unpack_from(entry)[1]
    return found


def _last(entry: Entry) -> int:
    """The time of the session's last hit."""
    found: int = _HEAD.unpack_from(entry)[2]
    return found


def _order(entry: Entry) -> tuple[int, int]:
    """Where a session stands among those of its visitor: the same whoever puts them in order."""
    number, _, last = _HEAD.unpack_from(entry)
    return last, number


def each(held: Sessions | None) -> tuple[Entry, ...]:
    """The sessions that a key leads to."""
    if held is None:
        return ()
    return (held,) if isinstance(held, bytes) else held


def numbered(held: Sessions | None, wanted: int) -> Entry | None:
    """The session of this number."""
    return next((entry for entry in each(held) if number(entry) == wanted), None)


def find(held: Sessions | None, clock: int, moment: int) -> Entry | None:
    """The session that a hit at `moment`, accepted when the stream's clock stands at `clock`, belongs to.

    It goes on if both lie within eight hours of its last hit. Of several the nearest is taken, of two as near the
    later.
    """
    if held is None:
        return None
    if isinstance(held, bytes):
        _, touched, last = _HEAD.unpack_from(held)
        return held if clock - touched <= SESSION and -SESSION <= moment - last <= SESSION else None
    high = bisect_left(held, moment, key=_last)
    low = high - 1
    while True:
        after = _last(held[high]) - moment if high < len(held) else SESSION + 1
        before = moment - _last(held[low]) if low >= 0 else SESSION + 1
        if min(after, before) > SESSION:
            return None
        if after <= before:
            entry, high = held[high], high + 1
        else:
            entry, low = held[low], low - 1
        if clock - _touched(entry) <= SESSION:
            return entry


def swap(held: Sessions | None, old: Entry | None, new: Entry | None, clock: int) -> Sessions | None:
    """What a key leads to once `new` stands for `old`, which it led to; either may be none.

    Where a session is added, those that have ended are forgotten.
    """
    if held is None or held is old:
        return new
    entries = [entry for entry in each(held) if entry is not old]
    if old is None:
        entries = [entry for entry in entries if clock - _touched(entry) <= SESSION]
    if new is not None:
        entries.insert(bisect_right(entries, _order(new), key=_order), new)
    while len(entries) > 1 and sum(map(len, entries)) > TOGETHER:
        del entries[0]
    return tuple(entries) if len(entries) > 1 else entries[0]


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
    """Sessions by their visitors' keys, of one stream."""

    __slots__ = ("_evict_at", "_held", "_size", "_slices", "_total", "clock")

    def __init__(self) -> None:
        self._size = 0
        self._total = 0
        self._held: dict[int, Sessions] = {}
        self._slices: dict[int, int] | None = None
        self._evict_at = _EVICTED_FROM
        self.clock = 0

    def __len__(self) -> int:
        return self._total

    @property
    def size(self) -> int:
        """Roughly the bytes of memory that it takes."""
        return self._size

    @property
    def packed(self) -> int:
        """Roughly the bytes that all of it takes in a checkpoint."""
        paths = (self._size - (GROWTH - 4) * self._total) // 4
        return 16 * self._total + 2 * paths

    def slices(self) -> dict[int, int]:
        """What the sessions cost whose last hit came in each span. Counted when it is first asked for."""
        if self._slices is None:
            self._slices = {}
            for held in self._held.values():
                for entry in each(held):
                    at = slice_of(entry)
                    self._slices[at] = self._slices.get(at, 0) + cost(entry)
        return self._slices

    def get(self, key: int) -> Sessions | None:
        """The sessions that a key leads to, alive or not: `find` decides."""
        return self._held.get(key)

    def apply(self, changes: Mapping[int, Sessions | None], clock: int) -> None:
        """Takes in what a segment changed; None removes a key that leads to no session any more."""
        for key, held in changes.items():
            self._put(key, held)
        self.clock = max(self.clock, clock)
        if self._size > self._evict_at:
            self.evict()

    def _put(self, key: int, held: Sessions | None) -> None:
        self._count(self._held.pop(key, None), -1)
        if held is not None:
            self._held[key] = held
            self._count(held, 1)

    def _count(self, held: Sessions | None, sign: int) -> None:
        if held is None:
            return
        if not isinstance(held, bytes):
            for entry in held:
                self._count(entry, sign)
            return
        self._total += sign
        self._size += sign * cost(held)
        if self._slices is not None:
            at = slice_of(held)
            self._slices[at] = self._slices.get(at, 0) + sign * cost(held)

    def keys(self) -> list[int]:
        """What sessions are found by."""
        return list(self._held)

    def numbers(self) -> set[int]:
        """Of the sessions."""
        return {number(entry) for held in self._held.values() for entry in each(held)}

    def drop(self, numbers: Collection[int]) -> None:
        """Forgets sessions by number."""
        self._keep(lambda entry: number(entry) not in numbers)

    def evict(self) -> None:
        """Forgets what has ended. It changes no answer: what has ended is never alive again, nor does it count."""
        since = oldest(self.clock) * SLICE
        self._keep(lambda entry: _HEAD.unpack_from(entry)[1] >= since)

    def _keep(self, wanted: Callable[[Entry], bool]) -> None:
        """Forgets all sessions but these."""
        going = [
            (key, held)
            for key, held in self._held.items()
            if not (wanted(held) if isinstance(held, bytes) else all(map(wanted, held)))
        ]
        for key, held in going:
            kept = tuple(filter(wanted, each(held)))
            self._put(key, kept if len(kept) > 1 else next(iter(kept), None))
        self._evict_at = self._size + max(self._size // 4, _EVICTED_FROM)

    def pack(self, keys: Iterable[int]) -> bytes:
        """All sessions under these keys, for a checkpoint; and which of the keys lead to none any more."""
        keys = list(keys)
        found = sorted((number(entry), key, entry) for key in keys for entry in each(self._held.get(key)))
        entries = [entry for _, _, entry in found]
        heads = [_HEAD.unpack_from(entry) for entry in entries]
        out = Writer()
        out.column([key for _, key, _ in found])
        out.deltas([number for number, _, _ in heads])
        out.column([touched for _, touched, _ in heads])
        out.column([last - touched for _, touched, last in heads])
        out.column([(len(entry) - _SIZE) // 4 for entry in entries])
        seen = b"".join(entry[_SIZE:] for entry in entries)
        out.column([path for (path,) in _SEEN.iter_unpack(seen)])
        out.column(sorted({key for key in keys if key not in self._held}))
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
        loaded: dict[int, Sessions] = {}
        for key, number, touch, last, count in zip(keys, numbers, touched, lasts, counts, strict=True):
            paths = seen[at : at + count]
            at += count
            entry = start(number, touch, touch + last, struct.pack(f"<{count}I", *paths))
            others = loaded.get(key)
            loaded[key] = entry if others is None else tuple(sorted((*each(others), entry), key=_order))
        for key, held in loaded.items():
            self._put(key, held)
        for key in reader.column():
            self._put(key, None)
        self._evict_at = self._size + max(self._size // 4, _EVICTED_FROM)
