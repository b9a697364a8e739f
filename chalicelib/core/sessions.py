"""The session window: who was here during the last eight hours, and which paths they have seen.

A session slides: it lives while hits come at most eight hours apart. Live hits are judged by the moment of acceptance,
imported ones by their own time (page-view contract, section 6 and quirk 24). The window's clock is the latest
acceptance that the stream has seen, so that what is forgotten depends on the log alone, never on who keeps the window.
"""

import struct
from collections.abc import Collection, Iterable, Mapping

from .columns import Reader, Writer

LIFETIME = 8 * 3600
"""Seconds after its last hit that a session ends."""

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


def number(entry: Entry) -> int:
    """The session's number."""
    found: int = _HEAD.unpack_from(entry)[0]
    return found


def alive(entry: Entry, clock: int, moment: int) -> bool:
    """Whether a hit at `moment`, accepted when the stream's clock stands at `clock`, belongs to the session."""
    _, touched, last = _HEAD.unpack_from(entry)
    return bool(clock - touched <= LIFETIME and -LIFETIME <= moment - last <= LIFETIME)


def has_seen(entry: Entry, path: bytes) -> bool:
    """Whether the session has seen a path."""
    at = entry.find(path, _SIZE)
    while at > 0 and at % 4:
        at = entry.find(path, at + 1)
    return at >= 0


path_key = _SEEN.pack
"""A path's id as an entry holds it."""


class Window:
    """Sessions by key, of one stream. Lookups see only what is alive."""

    __slots__ = ("_bytes", "_entries", "clock")

    def __init__(self) -> None:
        self._bytes = 0
        self._entries: dict[int, Entry] = {}
        self.clock = 0

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def size(self) -> int:
        """Roughly the bytes of memory that it takes."""
        return 170 * len(self._entries) + self._bytes

    def get(self, key: int) -> Entry | None:
        """The packed session under a key, alive or not: `alive` decides."""
        return self._entries.get(key)

    def apply(self, changes: Mapping[int, Entry | None], clock: int) -> None:
        """Takes in what a segment changed; None removes a key that a session is no longer found by."""
        for key, entry in changes.items():
            self._bytes -= len(self._entries.pop(key, b""))
            if entry is not None:
                self._entries[key] = entry
                self._bytes += len(entry)
        self.clock = max(self.clock, clock)

    def keys(self) -> list[int]:
        """What sessions are found by."""
        return list(self._entries)

    def numbers(self) -> set[int]:
        """Of the sessions."""
        return set(map(number, self._entries.values()))

    def drop(self, numbers: Collection[int]) -> None:
        """Forgets sessions by number."""
        self._entries = {key: entry for key, entry in self._entries.items() if number(entry) not in numbers}
        self._bytes = sum(map(len, self._entries.values()))

    def evict(self) -> None:
        """Forgets what has ended. It changes no answer: what has ended is never alive again."""
        oldest = self.clock - LIFETIME
        self._entries = {key: entry for key, entry in self._entries.items() if _HEAD.unpack_from(entry)[1] >= oldest}
        self._bytes = sum(map(len, self._entries.values()))

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
            self._entries[key] = start(number, touch, touch + last, struct.pack(f"<{count}I", *paths))
        for key in reader.column():
            self._entries.pop(key, None)
        self._bytes = sum(map(len, self._entries.values()))
