"""The manifest: one item a stream that says which parts make up its rollups, and up to which segment they reach.

Parts never change. A fold writes new parts and swings the manifest from one version to the next in one conditional
write; until then nothing has happened, after it everything has.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from .cells import Packed
from .columns import Reader, Writer
from .segments import Kind, Renamed


class Ref(NamedTuple):
    """A part, named. `low` and `high` are what it spans: paths, minutes of acceptance, or moments of a session."""

    id: str
    low: int
    high: int
    kinds: int = 0
    size: int = 0


class Run(NamedTuple):
    """Parts of a period that were written together. Runs of a level merge into one of the next."""

    level: int
    parts: tuple[Ref, ...]
    open: bool = False
    """Whether it was written before its period was over: the sweep makes a closed one of it."""

    @property
    def size(self) -> int:
        """Bytes of its parts."""
        return sum(part.size for part in self.parts)


class Period(NamedTuple):
    """Consecutive days, both from 1970 and both included: a day, or a month of closed days."""

    first: int
    last: int


CLOSED = 99
"""The level of a run that a sweep made of all there was: it stays for good."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What the rollups of a stream are made of, up to and including the segment `watermark`."""

    version: int = 0
    """Of the manifest; 0 before the first is written."""
    watermark: int = 0
    epoch: int = 0
    next_event: int = 1
    next_session: int = 1
    clock: int = 0
    events: int = 0
    """How many events the parts hold."""
    counts: tuple[int, ...] = field(default_factory=lambda: tuple(int(kind is Kind.REF) for kind in Kind))
    """How many names of each kind there are."""
    names: tuple[Ref, ...] = ()
    """Runs of names, oldest first; `low` and `high` are both the level of the run."""
    sessions: tuple[Ref, ...] = ()
    """The checkpoint: sessions, later runs over earlier; `high` is the clock of the newest session."""
    titles: tuple[tuple[int, int, int, int], ...] = ()
    """Titles in waiting: path, checksum, sightings, since."""
    candidates: tuple[tuple[int, int, int, tuple[tuple[int, int], ...]], ...] = ()
    """Names that there was no room for: kind, day, names earned on it, and checksums with how often each was seen."""
    ids: tuple[Ref, ...] = ()
    """Blocks of accepted message ids; `low` and `high` are the minutes of acceptance that they span."""
    tombstones: tuple[Ref, ...] = ()
    """What was taken out, for messages that come later; `high` is the moment up to which the latest counts."""
    open: tuple[tuple[int, int, int], ...] = ()
    """Messages of which a part is still to come: id, hits taken in, hits in all."""
    periods: dict[Period, tuple[Run, ...]] = field(default_factory=dict)
    compacted: int = 0
    """Up to which segment the log was merged into large segments."""
    compacting: tuple[tuple[int, int], ...] = ()
    """Runs of segments, first and last, that are being merged: whoever comes next merges them, if they are not yet."""
    merged: tuple[tuple[int, int], ...] = ()
    """Up to which segment the log was merged, and when that was: until their originals are deleted."""
    cleaned: int = 0
    """Up to which segment the originals of merged segments are deleted."""
    redacting: int = 0
    """The marker of a redaction that these rollups know nothing of yet, but for its `pending` names; 0 for none.
    Meanwhile no other segments are merged, so that none comes back that was rewritten."""
    pending: tuple[Renamed, ...] = ()
    """What writers must do to the names; readers, not before the redaction is through."""

    def parts(self) -> set[str]:
        """The ids of every part that it names."""
        runs = (run for period in self.periods.values() for run in period)
        counted = (part for run in runs for part in run.parts)
        return {part.id for part in (*self.names, *self.sessions, *self.ids, *self.tombstones, *counted)}

    def pack(self) -> bytes:
        """The manifest's bytes; its version stands beside them, for the condition to name."""
        out = Writer()
        body: dict[str, object] = {
            "watermark": self.watermark,
            "epoch": self.epoch,
            "next_event": self.next_event,
            "next_session": self.next_session,
            "clock": self.clock,
            "events": self.events,
            "counts": self.counts,
            "names": self.names,
            "sessions": self.sessions,
            "titles": self.titles,
            "ids": self.ids,
            "open": self.open,
            "periods": periods_to(self.periods),
            "compacted": self.compacted,
            "cleaned": self.cleaned,
        }
        if self.candidates:
            body["candidates"] = self.candidates
        if self.merged:
            body["merged"] = self.merged
        if self.tombstones:
            body["tombstones"] = self.tombstones
        if self.compacting:
            body["compacting"] = self.compacting
        if self.redacting:
            body |= {"redacting": self.redacting, "pending": self.pending}
        out.raw(json.dumps(body, separators=(",", ":")).encode())
        return out.frame(b"M", 1)

    def swung(self, **changes: object) -> "Manifest":
        """The manifest that follows this one."""
        return replace(self, version=self.version + 1, **changes)  # type: ignore[arg-type]


def unpack(version: int, data: bytes) -> Manifest:
    """The manifest that `Manifest.pack` packed, of this version."""
    body = json.loads(Reader(data, b"M", 1).raw())
    return Manifest(
        version=version,
        watermark=body["watermark"],
        epoch=body["epoch"],
        next_event=body["next_event"],
        next_session=body["next_session"],
        clock=body["clock"],
        events=body["events"],
        counts=tuple(body["counts"]),
        names=_refs(body["names"]),
        sessions=_refs(body["sessions"]),
        titles=tuple(map(tuple, body["titles"])),
        candidates=tuple(
            (kind, day, earned, tuple((name, seen) for name, seen in rows))
            for kind, day, earned, rows in body.get("candidates", ())
        ),
        ids=_refs(body["ids"]),
        open=tuple(map(tuple, body["open"])),
        periods=periods_from(body["periods"]),
        compacted=body["compacted"],
        compacting=tuple(map(tuple, body.get("compacting", ()))),
        merged=tuple(map(tuple, body.get("merged", ()))),
        tombstones=_refs(body.get("tombstones", ())),
        cleaned=body.get("cleaned", 0),
        redacting=body.get("redacting", 0),
        pending=tuple(Renamed(*each) for each in body.get("pending", ())),
    )


def periods_to(periods: Mapping[Period, tuple[Run, ...]]) -> list[tuple[int, int, tuple[Run, ...]]]:
    """Periods as JSON has them."""
    return [(*period, runs) for period, runs in sorted(periods.items())]


def periods_from(rows: Iterable[Any]) -> dict[Period, tuple[Run, ...]]:
    """The periods that `periods_to` wrote."""
    return {
        Period(first, last): tuple(Run(level, _refs(parts), still) for level, parts, still in runs)
        for first, last, runs in rows
    }


def _refs(rows: Iterable[list[int | str]]) -> tuple[Ref, ...]:
    return tuple(Ref(*row) for row in rows)  # type: ignore[arg-type]


def ref_of(part_id: str, packed: Packed) -> Ref:
    """The reference to a part of a period under an id."""
    return Ref(part_id, packed.low, packed.high, packed.kinds, len(packed.data))
