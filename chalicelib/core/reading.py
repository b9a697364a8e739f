"""Reads a stream as one snapshot: what the manifest names, and the tail of the log above its watermark.

A reader keeps what it has read, since parts and segments do not change: a warm one asks the log once for what is new.
So an answer is never behind the log, and never a mixture of two moments.
"""

import time
from collections import OrderedDict
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import TypeVar

from . import cells as counting
from .cells import Cells, Part
from .errors import BrokenLog
from .log import load_names, moved, read_manifest, require, tail
from .manifest import Manifest, Ref
from .names import Names
from .ports import LogStore, RollupStore
from .segments import Segment

Answer = TypeVar("Answer")

FRESH = 60.0
"""Seconds after which a manifest is read again: replaced parts stay for an hour."""
LONG_TAIL = 1024
"""Segments of tail after which a manifest is read again in haste, in the hope of a fold: after …"""
HASTE = 5.0
"""… so many seconds."""
NAMES_MEMORY = 64 * 1024 * 1024
"""Bytes of names that a reader keeps."""
MEMORY = 96 * 1024 * 1024
"""Bytes of parts that a reader keeps."""


@dataclass(slots=True)
class Snapshot:
    """A stream at one moment."""

    stream: str
    manifest: Manifest
    names: Names
    head: int
    tail: Cells
    """What the segments above the watermark add up to."""
    read: float
    """When the manifest was read."""
    _parts: "Parts"
    epoch: int = 0
    """Of the last segment."""
    _tail_part: Part | None = None

    def replay(self, segment: Segment) -> None:
        """Moves on by a segment."""
        self.names.replay(segment)
        self.tail.add(segment)
        self.head = segment.number
        self._tail_part = None

    def parts(self, kinds: int, first: int, last: int, paths: Collection[int] | None = None) -> list[Part]:
        """Everything that counts the days from `first` to `last` (from 1970, both included), of these kinds.

        If `paths` are given, parts that hold none of them may be left out. Parts may hold more than was asked for.
        """
        refs: list[Ref] = []
        for period, runs in self.manifest.periods.items():
            if period.first <= last and period.last >= first:
                refs.extend(
                    ref for run in runs for ref in run.parts if ref.kinds & kinds and _overlaps(ref, kinds, paths)
                )
        if self._tail_part is None:
            self._tail_part = counting.as_part(self.tail)
        return [*self._parts.get(self.stream, refs), self._tail_part]


def _overlaps(ref: Ref, kinds: int, paths: Collection[int] | None) -> bool:
    if paths is None or ref.kinds & kinds & counting.SUMMARY:
        return True
    return any(ref.low <= path <= ref.high for path in paths)


@dataclass(slots=True)
class Parts:
    """Parts that were read, the last used last."""

    rollups: RollupStore
    memory: int = MEMORY
    held: int = 0
    cache: OrderedDict[str, Part] = field(default_factory=OrderedDict)

    def get(self, stream: str, refs: Collection[Ref]) -> list[Part]:
        """Parts, read if they are not held.

        Raises:
            BrokenLog: a part is gone.
        """
        missing = [ref.id for ref in refs if f"{stream} {ref.id}" not in self.cache]
        if missing:
            for name, data in require(self.rollups, stream, missing).items():
                part = counting.unpack(data)
                self.cache[f"{stream} {name}"] = part
                self.held += part.size
        found = []
        for ref in refs:
            key = f"{stream} {ref.id}"
            self.cache.move_to_end(key)
            found.append(self.cache[key])
        while self.held > self.memory and len(self.cache) > 1:
            self.held -= self.cache.popitem(last=False)[1].size
        return found


class Reader:
    """Reads streams. One for each process; not to be shared by threads."""

    def __init__(
        self, log: LogStore, rollups: RollupStore, *, now: Callable[[], float] = time.time, streams: int = 64
    ) -> None:
        self._log = log
        self._rollups = rollups
        self._now = now
        self._streams = streams
        self._warm: OrderedDict[str, Snapshot] = OrderedDict()
        self._parts = Parts(rollups)

    def snapshot(self, stream: str) -> Snapshot:
        """The stream as it is now. The next call for the same stream moves it on."""
        warm = self._warm.pop(stream, None)
        if warm is None or self._replaced(warm) or not self._read(warm):
            warm = self._load(stream)
        self._warm[stream] = warm
        while len(self._warm) > 1 and (
            len(self._warm) > self._streams or sum(other.names.size for other in self._warm.values()) > NAMES_MEMORY
        ):
            self._warm.popitem(last=False)
        return warm

    def answer(self, stream: str, question: Callable[[Snapshot], Answer]) -> Answer:
        """Asks a snapshot. If its parts have been replaced for so long that they are gone, asks a newer one."""
        try:
            return question(self.snapshot(stream))
        except BrokenLog:
            self._warm.pop(stream, None)
            return question(self.snapshot(stream))

    def _replaced(self, warm: Snapshot) -> bool:
        """Whether there is a newer manifest; looks only once in a while, more often if a fold is overdue."""
        age = self._now() - warm.read
        if 0 <= age <= (HASTE if warm.head - warm.manifest.watermark > LONG_TAIL else FRESH):
            return False
        found = self._rollups.manifest(warm.stream)
        warm.read = self._now()
        return (found[0] if found else 0) != warm.manifest.version

    def _load(self, stream: str) -> Snapshot:
        while True:
            manifest = read_manifest(self._rollups, stream)
            names = load_names(manifest, self._rollups.get(stream, {ref.id for ref in manifest.names}))
            read = self._now()
            snapshot = Snapshot(stream, manifest, names, manifest.watermark, Cells(), read, self._parts, manifest.epoch)
            self._read(snapshot, fresh=True)
            if snapshot.epoch == manifest.epoch or not moved(self._rollups, stream, manifest):
                return snapshot

    def _read(self, snapshot: Snapshot, *, fresh: bool = False) -> bool:
        """Reads on; false if the stream was redacted since the manifest was read."""
        for segment, _ in tail(self._log.read(snapshot.stream, after=snapshot.head), snapshot.head):
            if segment.epoch > snapshot.epoch and not fresh:
                return False
            snapshot.replay(segment)
            snapshot.epoch = max(snapshot.epoch, segment.epoch)
        return True
