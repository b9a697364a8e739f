"""Folds the tail of a stream's log into its rollups.

A fold is computed from the manifest and the log alone, and takes effect by one conditional write of the next manifest.
Whoever loses that race throws the work away. Folding twice, late or in other pieces gives the same answers.
"""

import secrets
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from . import accepted, fitting, names
from . import cells as counting
from . import manifest as manifests
from . import tombstones as stones
from .cells import DAY, Cells
from .errors import BrokenLog, Conflict
from .lifetimes import HORIZON, ID_BLOCK, REPLACED
from .log import candidates, moved, read_manifest, require, tail
from .manifest import CLOSED, Manifest, Period, Ref, Run
from .numbering import replay_candidates
from .periods import span_of
from .ports import LogStore, RollupStore
from .segments import GONE, Kind, Renamed, Segment, Taken
from .sessions import SLICE, Window, oldest
from .tracking import replay_sessions
from .writer import Titles, replay_titles

FOLD_BYTES = 4_000_000
"""Bytes of segments that one step takes in at most: what a function's memory holds at ease."""
MERGE = 4
"""So many runs of a level merge into one of the next."""
PART_BYTES = 300_000
"""A part is one item, which DynamoDB limits to 400 KB."""
NAMES_BYTES = 150_000
"""Runs of names beyond this size are not merged by folds any more, but by the sweep, once there are enough of them."""
TIDY = 99
"""The level of runs of names that a sweep made of all there was: they hold each path's last title alone."""
CHECKPOINT_KEYS = 16_000
"""Sessions that are packed at once: as a rule they fit into a part, so that few are packed twice."""
CHECKPOINT_BYTES = 4_000_000
"""Bytes of the checkpoint up to which a session may stand in it as often as folds touched it. Beyond, it is written
anew once it takes twice what its sessions do: so a fold writes at most twice what it would, and what is written at once
has the bound that sessions have."""
MERGE_BYTES = 4_000_000
"""What is larger is not merged any more: it would not fit into a function's memory at ease."""


Periods = dict[Period, tuple[Run, ...]]


def minute_of(part: str) -> int:
    """When a part was written, in minutes from 1970: its id begins with it."""
    return int(part.partition("-")[0], 16)


class Redacted(NamedTuple):
    """What a redaction found when it counted again."""

    epoch: int
    events: int
    """How many there are now, up to the manifest's watermark."""
    periods: Periods
    renamed: Sequence[Renamed]
    sessions: Collection[int]
    """The numbers of those of which nothing is left."""


@dataclass(slots=True)
class Changes:
    """Parts to be written, and those that nobody will name afterwards."""

    minute: int
    written: dict[int | None, dict[str, bytes]] = field(default_factory=dict)
    replaced: set[str] = field(default_factory=set)

    def write(self, data: bytes, expires: int | None) -> str:
        name = f"{self.minute:x}-{secrets.token_hex(4)}"
        self.written.setdefault(expires, {})[name] = data
        return name

    @property
    def size(self) -> int:
        """Bytes of the parts that are to be written."""
        return sum(len(data) for parts in self.written.values() for data in parts.values())

    def find(self, names_of_parts: Iterable[str]) -> dict[str, bytes]:
        """Those of the parts that are to be written."""
        return {n: parts[n] for n in names_of_parts for parts in self.written.values() if n in parts}

    def replace(self, refs: Iterable[Ref]) -> None:
        """These parts are not needed any more; what was not written yet never will be."""
        for ref in refs:
            if not any(parts.pop(ref.id, None) for parts in self.written.values()):
                self.replaced.add(ref.id)


class Folder:
    """Keeps the rollups of streams."""

    def __init__(
        self,
        log: LogStore,
        rollups: RollupStore,
        *,
        now: Callable[[], float] = time.time,
        step: int = FOLD_BYTES,
    ) -> None:
        self._log = log
        self._rollups = rollups
        self._now = now
        self._step = step

    def fold(self, stream: str) -> int:
        """Takes the whole tail in, step by step. Returns how many segments it took in."""
        taken = 0
        while True:
            manifest = read_manifest(self._rollups, stream)
            items = self._log.read(stream, after=manifest.watermark, at_most=self._step)
            if not items:
                return taken
            changes = self._changes()
            try:
                found = [segment for segment, _ in tail(items, manifest.watermark)]
                if any(segment.sealed for segment in found):
                    return taken  # all of it is about to go
                following = self._take(stream, manifest, found, changes)
            except BrokenLog:
                if moved(self._rollups, stream, manifest):
                    continue  # to the parts of another manifest: those of this one are gone
                raise
            if self._swing(stream, following, changes):
                taken += len(found)

    # --- for redactions ---------------------------------------------------------------------------------------

    def sessions(self, stream: str, manifest: Manifest) -> set[int]:
        """The numbers of the sessions that the checkpoint holds and that may still go on."""
        window = self._window(stream, manifest, self._changes())
        window.evict()
        return window.numbers()

    def recount(
        self, stream: str, periods: Periods, found: Sequence[Segment], days: Callable[[int], bool]
    ) -> tuple[Periods, set[str]]:
        """Counts segments into periods that no manifest names yet, as far as they are of certain days.

        The parts are written; what it gives says which of those before are not needed any more.
        """
        counted = Cells()
        for segment in found:
            counted.add(segment)
        changes = self._changes()
        apart = counted.by_day() if counted else {}
        chosen = {day: cells for day, cells in apart.items() if days(day)}
        following = self._periods(stream, periods, chosen, changes)
        self._write(stream, changes)
        return following, changes.replaced

    def redacted(self, stream: str, manifest: Manifest, redaction: Redacted) -> Manifest:
        """The manifest that follows once a redaction is through. Its parts are written."""
        changes = self._changes()
        pending = {(kind, i): name for kind, i, name in redaction.renamed}
        known = tuple(self._renamed(stream, manifest.names, pending, changes)) if pending else manifest.names
        held = self._window(stream, manifest, changes)
        held.evict()
        held.drop(redaction.sessions)
        sessions: tuple[Ref, ...] = ()
        if len(held):
            sessions = tuple(self._sessions(held, held.keys(), changes))
        gone = {i for (kind, i), name in pending.items() if kind == Kind.PATH and name == GONE}
        following = manifest.swung(
            epoch=max(manifest.epoch, redaction.epoch),
            events=redaction.events,
            names=known,
            sessions=sessions,
            titles=tuple(row for row in manifest.titles if row[0] not in gone),
            periods=redaction.periods,
            redacting=0,
            pending=(),
        )
        self._write(stream, changes)
        return following

    def swing(self, stream: str, manifest: Manifest) -> bool:
        """Has a manifest follow that all parts are written of; false if another one does."""
        return self._swing(stream, manifest, self._changes())

    def _renamed(
        self, stream: str, refs: Sequence[Ref], pending: dict[tuple[int, int], str], changes: Changes
    ) -> Iterator[Ref]:
        for ref in refs:
            run = names.unpack_run(self._get(stream, [ref], changes)[ref.id])
            if not run.redacted(pending):
                yield ref
                continue
            for data in run.pieces(PART_BYTES):
                yield ref._replace(id=changes.write(data, None), size=len(data))

    # --- one step ---------------------------------------------------------------------------------------------

    def _changes(self) -> Changes:
        return Changes(int(self._now()) // 60)

    def _get(self, stream: str, refs: Iterable[Ref], changes: Changes) -> dict[str, bytes]:
        wanted = {ref.id for ref in refs}
        found = changes.find(wanted)
        return found | require(self._rollups, stream, wanted - found.keys())

    def _write(self, stream: str, changes: Changes) -> None:
        for expires, parts in changes.written.items():
            if parts:
                self._rollups.put(stream, parts, expires)

    def _swing(self, stream: str, manifest: Manifest, changes: Changes) -> bool:
        """Has a manifest follow; false if another one does.

        If a later one is there, nobody can say whether this one was before it: then its parts are left to the search
        for parts that nobody names.
        """
        self._write(stream, changes)
        data = manifest.pack()
        try:
            self._rollups.swing(stream, manifest.version, data)
        except Conflict:
            current = self._rollups.manifest(stream)
            if current != (manifest.version, data):
                if current is not None and current[0] == manifest.version:
                    lost = {name for parts in changes.written.values() for name in parts}
                    self._rollups.expire(stream, lost, int(self._now()))
                return False
        if changes.replaced:
            self._rollups.expire(stream, changes.replaced, int(self._now()) + REPLACED)
        return True

    def _take(self, stream: str, manifest: Manifest, found: Sequence[Segment], changes: Changes) -> Manifest:
        """The manifest that follows once these segments are folded."""
        last = found[-1]
        whole, opened = accepted.settle(manifest.open, found)
        sessions, titles = self._checkpoint(stream, manifest, found, changes)
        run = names.run_of([known + 1 for known in manifest.counts], found)
        markers = [segment for segment in found if segment.orders is not None]
        pending = [renamed for marker in markers if marker.orders is not None for renamed in marker.orders.renamed]
        fresh = Cells()
        for segment in found:
            fresh.add(segment)
        return manifest.swung(
            watermark=last.number,
            epoch=max(manifest.epoch, last.epoch),
            next_event=last.next_event,
            next_session=last.next_session,
            clock=max(manifest.clock, last.clock),
            events=manifest.events + sum(map(len, found)),
            counts=tuple(known + len(added) for known, added in zip(manifest.counts, run.names, strict=True)),
            names=self._names(stream, manifest.names, run, changes),
            sessions=sessions,
            titles=titles,
            candidates=_candidates(manifest, found),
            ids=(*manifest.ids, *self._ids(whole, changes)),
            tombstones=self._tombstones(stream, manifest, found, changes),
            open=tuple(opened),
            periods=self._periods(stream, manifest.periods, fresh.by_day() if fresh else {}, changes),
            redacting=max((marker.number for marker in markers), default=manifest.redacting),
            pending=(*manifest.pending, *pending),
        )

    def _names(self, stream: str, refs: tuple[Ref, ...], run: names.NamesRun, changes: Changes) -> tuple[Ref, ...]:
        if not run:
            return refs
        runs = list(refs)
        runs.extend(Ref(changes.write(data, None), 1, 1, 0, len(data)) for data in run.pieces(PART_BYTES))
        while len(runs) >= MERGE and {ref.low for ref in runs[-MERGE:]} == {runs[-1].low} - {TIDY}:
            last = runs[-MERGE:]
            if sum(ref.size for ref in last) > NAMES_BYTES:
                break
            parts = self._get(stream, last, changes)
            joined = names.unpack_run(parts[last[0].id])
            for ref in last[1:]:
                joined.join(names.unpack_run(parts[ref.id]))
            changes.replace(last)
            level = last[0].low + 1
            runs[-MERGE:] = [
                Ref(changes.write(data, None), level, level, 0, len(data)) for data in joined.pieces(PART_BYTES)
            ]
        return tuple(runs)

    def _checkpoint(
        self, stream: str, manifest: Manifest, found: Sequence[Segment], changes: Changes
    ) -> tuple[tuple[Ref, ...], tuple[tuple[int, int, int, int], ...]]:
        window = self._window(stream, manifest, changes)
        titles = Titles({(p, t): (seen, since) for p, t, seen, since in manifest.titles})
        touched: dict[int, None] = {}
        for segment in found:
            replay_titles(titles, segment, window.clock)
            window.apply(replay_sessions(window, segment), segment.clock)
            if segment.orders is not None:
                touched.update(dict.fromkeys(segment.orders.forgotten))
            for session in segment.sessions:
                touched[session.key] = None
                if session.previous:
                    touched[session.previous] = None
        window.evict()
        refs = [ref for ref in manifest.sessions if ref.high // SLICE >= oldest(window.clock)]
        changes.replace(ref for ref in manifest.sessions if ref.high // SLICE < oldest(window.clock))
        refs.extend(self._sessions(window, list(touched), changes))
        if sum(ref.size for ref in refs) > CHECKPOINT_BYTES + 2 * window.packed:
            changes.replace(refs)
            refs = list(self._sessions(window, window.keys(), changes))
        waiting = tuple((path, title, seen, since) for (path, title), (seen, since) in titles.waiting.items())
        return tuple(refs), waiting

    def _sessions(self, window: Window, keys: Sequence[int], changes: Changes) -> Iterator[Ref]:
        """The sessions under these keys, as pieces of a checkpoint."""
        for start in range(0, len(keys), CHECKPOINT_KEYS):
            for _, data in fitting.pieces(keys[start : start + CHECKPOINT_KEYS], window.pack, PART_BYTES):
                yield Ref(changes.write(data, None), 0, window.clock, 0, len(data))

    def _window(self, stream: str, manifest: Manifest, changes: Changes) -> Window:
        """The sessions of the checkpoint."""
        window = Window()
        window.clock = manifest.clock
        parts = self._get(stream, manifest.sessions, changes)
        for ref in manifest.sessions:
            window.load(parts[ref.id])
        return window

    def _tombstones(
        self, stream: str, manifest: Manifest, found: Sequence[Segment], changes: Changes
    ) -> tuple[Ref, ...]:
        """Those that may still be needed, in few parts."""
        added = [tombstone for segment in found for tombstone in segment.tombstones]
        if not added:
            return manifest.tombstones
        refs, oldest = manifest.tombstones, manifest.clock - HORIZON
        if any(ref.high < oldest for ref in refs) or len(refs) >= MERGE:
            parts = self._get(stream, refs, changes)
            known = [tombstone for ref in refs for tombstone in stones.unpack(parts[ref.id])]
            added = [tombstone for tombstone in known if tombstone.at >= oldest] + added
            changes.replace(refs)
            refs = ()
        packed = fitting.pieces(added, stones.pack, PART_BYTES)
        fresh = (Ref(changes.write(data, None), 0, max(t.at for t in some), 0, len(data)) for some, data in packed)
        return (*refs, *fresh)

    def _ids(self, whole: Sequence[Taken], changes: Changes) -> Iterator[Ref]:
        for start in range(0, len(whole), accepted.BLOCK):
            block = whole[start : start + accepted.BLOCK]
            minutes = [accepted.minute(taken.accepted) for taken in block]
            data = accepted.pack(taken.id for taken in block)
            expires = max(int(self._now()), max(minutes) * 60) + ID_BLOCK
            yield Ref(changes.write(data, expires), min(minutes), max(minutes), 0, len(data))

    def _periods(self, stream: str, before: Periods, by_day: dict[int, Cells], changes: Changes) -> Periods:
        today = int(self._now()) // DAY
        periods = dict(before)
        grouped: dict[Period, Cells] = {}
        for day, counted in by_day.items():
            period = Period(*span_of(day, today))
            if period in grouped:
                grouped[period].update(counted)
            else:
                grouped[period] = counted
        for period, counted in grouped.items():
            runs = periods.get(period, ())
            level = 0 if runs or period.last >= today else CLOSED
            fresh = self._run(period, level, counted, changes)
            periods[period] = self._merged(stream, [*runs, fresh], period, changes)
        return periods

    def _merged(self, stream: str, runs: list[Run], period: Period, changes: Changes) -> tuple[Run, ...]:
        """The runs, with four of a level made into one of the next as long as there are four."""
        level = 0
        while len(same := [run for run in runs if run.level == level]) >= MERGE:
            if sum(run.size for run in same) > MERGE_BYTES:
                break
            runs = [run for run in runs if run.level != level]
            level += 1
            runs.append(self._merge(stream, same, period, level, changes))
        return tuple(runs)

    def _run(self, period: Period, level: int, counted: Cells, changes: Changes) -> Run:
        """What is counted, as a run."""
        parts = (manifests.ref_of(changes.write(packed.data, None), packed) for packed in counted.pack())
        return Run(level, tuple(parts), open=level != CLOSED and period.last >= int(self._now()) // DAY)

    def _merge(self, stream: str, runs: Sequence[Run], period: Period, level: int, changes: Changes) -> Run:
        refs = [ref for run in runs for ref in run.parts]
        parts = self._get(stream, refs, changes)
        merged = Cells()
        for ref in refs:
            merged.load(counting.unpack(parts[ref.id]))
        for run in runs:
            changes.replace(run.parts)
        return self._run(period, level, merged, changes)


def _candidates(
    manifest: Manifest, found: Sequence[Segment]
) -> tuple[tuple[int, int, int, tuple[tuple[int, int], ...]], ...]:
    """The names that there was no room for, as the manifest has them, once these segments are folded."""
    known = candidates(manifest)
    for segment in found:
        replay_candidates(known, segment)
    return tuple(
        (int(kind), each.day, each.earned, tuple(sorted(each.counts.items())))
        for kind, each in zip(Kind, known, strict=True)
        if each.counts or each.earned
    )
