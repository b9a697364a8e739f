"""Folds the tail of a stream's log into its rollups, and sweeps: closes days, merges runs, removes what nobody names.

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
from .cells import DAY, Cells
from .compaction import merge, plan
from .errors import BrokenLog, Conflict
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
RUN_LIFE = 60 * DAY
"""Seconds that a run of today's lives: the sweep replaces it within two days, unless somebody has to mend it first."""
SESSION_LIFE = 16 * DAY
"""Seconds that a piece of the checkpoint lives: its sessions end after eight hours of the stream's own clock, which a
queue may hold back for two weeks."""
ID_LIFE = accepted.HORIZON + 4 * DAY
SMALL_BLOCK = 16_000
"""Bytes below which the blocks of ids of one day are joined."""
ATTEMPTS = 5
"""So many swings may be lost to others."""
ORPHANS_EVERY = 7
"""Days after which parts are looked for that nobody names: to list them costs as much as to read them."""
REPLACED_LIFE = 3600
"""Seconds that a replaced part stays for readers who hold the manifest before."""
PART_BYTES = 300_000
"""A part is one item, which DynamoDB limits to 400 KB."""
NAMES_BYTES = 150_000
"""Runs of names beyond this size are not merged any more."""
LATE_SHARE = 8
"""What is closed is written again once what came late makes up more than an eighth of it, …"""
LATE_RUNS = 8
"""… or came in more runs than these."""
CHECKPOINT_KEYS = 16_000
"""Sessions that are packed at once: as a rule they fit into a part, so that few are packed twice."""
CHECKPOINT_BYTES = 4_000_000
"""Bytes of the checkpoint up to which a session may stand in it as often as folds touched it. Beyond, it is written
anew once it takes twice what its sessions do: so a fold writes at most twice what it would, and what is written at once
has the bound that sessions have."""
MERGE_BYTES = 4_000_000
"""What is larger is not merged any more: it would not fit into a function's memory at ease."""
CLOSE_BYTES = 8_000_000
"""Roughly the bytes that one step of closing writes."""


Periods = dict[Period, tuple[Run, ...]]


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
class _Changes:
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

    def replace(self, refs: Iterable[Ref], *, ends_anyway: bool) -> None:
        """These parts are not needed any more; what was not written yet never will be.

        Those that end by themselves are left to it: to say so earlier would cost as much as to write them.
        """
        for ref in refs:
            unwritten = any(parts.pop(ref.id, None) for parts in self.written.values())
            if not unwritten and not ends_anyway:
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

    def sweep(self, stream: str) -> None:
        """Folds what there is, closes what is over and merges old segments; to be called once a day.

        Raises:
            Conflict: somebody else kept swinging the manifest; the next sweep will do.
        """
        self.fold(stream)
        self._step_by_step(stream, self._close)
        self._step_by_step(stream, self._compact)
        if int(self._now()) // DAY % ORPHANS_EVERY == 0:
            self._remove_orphans(stream)

    def _step_by_step(self, stream: str, step: Callable[[str, Manifest, _Changes], Manifest]) -> None:
        """Repeats a step, each with a swing of its own, until it finds nothing to do."""
        lost = 0
        while lost < ATTEMPTS:
            manifest = read_manifest(self._rollups, stream)
            changes = self._changes()
            try:
                following = step(stream, manifest, changes)
            except BrokenLog:
                if moved(self._rollups, stream, manifest):
                    lost += 1
                    continue
                raise
            if following == manifest:
                return
            lost += not self._swing(stream, following, changes)
        raise Conflict(f"others kept changing the rollups of {stream}")

    # --- for redactions ---------------------------------------------------------------------------------------

    def settle(self, stream: str) -> None:
        """Merges the segments whose merging was announced; while a redaction is under way, no other is."""
        self._step_by_step(stream, self._compact)

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
        for expires, parts in changes.written.items():
            if parts:
                self._rollups.put(stream, parts, expires)
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
        for lasting, parts in changes.written.items():
            if parts:
                self._rollups.put(stream, parts, lasting)
        return following

    def swing(self, stream: str, manifest: Manifest) -> bool:
        """Has a manifest follow that all parts are written of; false if another one does."""
        return self._swing(stream, manifest, self._changes())

    def _renamed(
        self, stream: str, refs: Sequence[Ref], pending: dict[tuple[int, int], str], changes: _Changes
    ) -> Iterator[Ref]:
        for ref in refs:
            run = names.unpack_run(self._get(stream, [ref], changes)[ref.id])
            if not run.redacted(pending):
                yield ref
                continue
            for data in run.pieces(PART_BYTES):
                yield ref._replace(id=changes.write(data, None), size=len(data))

    # --- one step ---------------------------------------------------------------------------------------------

    def _changes(self) -> _Changes:
        return _Changes(int(self._now()) // 60)

    def _get(self, stream: str, refs: Iterable[Ref], changes: _Changes) -> dict[str, bytes]:
        wanted = {ref.id for ref in refs}
        found = changes.find(wanted)
        return found | require(self._rollups, stream, wanted - found.keys())

    def _swing(self, stream: str, manifest: Manifest, changes: _Changes) -> bool:
        for expires, parts in changes.written.items():
            if parts:
                self._rollups.put(stream, parts, expires)
        data = manifest.pack()
        try:
            self._rollups.swing(stream, manifest.version, data)
        except Conflict:
            current = self._rollups.manifest(stream)
            if current != (manifest.version, data):
                named = manifests.unpack(*current).parts() if current else set()
                lost = {name for parts in changes.written.values() for name in parts} - named
                self._rollups.expire(stream, lost, int(self._now()))
                return False
        if changes.replaced:
            self._rollups.expire(stream, changes.replaced, int(self._now()) + REPLACED_LIFE)
        return True

    def _take(self, stream: str, manifest: Manifest, found: Sequence[Segment], changes: _Changes) -> Manifest:
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
            open=tuple(opened),
            periods=self._periods(stream, manifest.periods, fresh.by_day() if fresh else {}, changes),
            redacting=max((marker.number for marker in markers), default=manifest.redacting),
            pending=(*manifest.pending, *pending),
        )

    def _names(self, stream: str, refs: tuple[Ref, ...], run: names.NamesRun, changes: _Changes) -> tuple[Ref, ...]:
        if not run:
            return refs
        runs = list(refs)
        runs.extend(Ref(changes.write(data, None), 1, 1, 0, len(data)) for data in run.pieces(PART_BYTES))
        while len(runs) >= MERGE and len({ref.low for ref in runs[-MERGE:]}) == 1:
            last = runs[-MERGE:]
            if sum(ref.size for ref in last) > NAMES_BYTES:
                break
            parts = self._get(stream, last, changes)
            joined = names.unpack_run(parts[last[0].id])
            for ref in last[1:]:
                joined.join(names.unpack_run(parts[ref.id]))
            changes.replace(last, ends_anyway=False)
            level = last[0].low + 1
            runs[-MERGE:] = [
                Ref(changes.write(data, None), level, level, 0, len(data)) for data in joined.pieces(PART_BYTES)
            ]
        return tuple(runs)

    def _checkpoint(
        self, stream: str, manifest: Manifest, found: Sequence[Segment], changes: _Changes
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
        refs.extend(self._sessions(window, list(touched), changes))
        if sum(ref.size for ref in refs) > CHECKPOINT_BYTES + 2 * window.packed:
            changes.replace(refs, ends_anyway=True)
            refs = list(self._sessions(window, window.keys(), changes))
        waiting = tuple((path, title, seen, since) for (path, title), (seen, since) in titles.waiting.items())
        return tuple(refs), waiting

    def _sessions(self, window: Window, keys: Sequence[int], changes: _Changes) -> Iterator[Ref]:
        """The sessions under these keys, as pieces of a checkpoint."""
        expires = int(self._now()) + SESSION_LIFE
        for start in range(0, len(keys), CHECKPOINT_KEYS):
            for _, data in fitting.pieces(keys[start : start + CHECKPOINT_KEYS], window.pack, PART_BYTES):
                yield Ref(changes.write(data, expires), 0, window.clock, 0, len(data))

    def _window(self, stream: str, manifest: Manifest, changes: _Changes) -> Window:
        """The sessions of the checkpoint. Those that ended long ago have ended by themselves."""
        window = Window()
        window.clock = manifest.clock
        local = changes.find(ref.id for ref in manifest.sessions)
        stored = {ref.id for ref in manifest.sessions} - local.keys()
        parts = local | (self._rollups.get(stream, stored) if stored else {})
        for ref in manifest.sessions:
            if ref.id in parts:
                window.load(parts[ref.id])
        return window

    def _ids(self, whole: Sequence[Taken], changes: _Changes) -> Iterator[Ref]:
        expires = int(self._now()) + ID_LIFE
        for start in range(0, len(whole), accepted.BLOCK):
            block = whole[start : start + accepted.BLOCK]
            minutes = [accepted.minute(taken.accepted) for taken in block]
            data = accepted.pack(taken.id for taken in block)
            yield Ref(changes.write(data, expires), min(minutes), max(minutes), 0, len(data))

    def _periods(self, stream: str, before: Periods, by_day: dict[int, Cells], changes: _Changes) -> Periods:
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

    def _merged(self, stream: str, runs: list[Run], period: Period, changes: _Changes) -> tuple[Run, ...]:
        """The runs, with four of a level made into one of the next as long as there are four."""
        level = 0
        while len(same := [run for run in runs if run.level == level]) >= MERGE:
            if sum(run.size for run in same) > MERGE_BYTES:
                break
            runs = [run for run in runs if run.level != level]
            level += 1
            runs.append(self._merge(stream, same, period, level, changes))
        return tuple(runs)

    def _run(self, period: Period, level: int, counted: Cells, changes: _Changes) -> Run:
        """What is counted, as a run. One of a period that is not over ends by itself once the sweep has replaced it."""
        now = int(self._now())
        ends = level != CLOSED and period.last >= now // DAY
        expires = max(now, (period.last + 1) * DAY) + RUN_LIFE if ends else None
        parts = (manifests.ref_of(changes.write(packed.data, expires), packed) for packed in counted.pack())
        return Run(level, tuple(parts), ends)

    def _merge(self, stream: str, runs: Sequence[Run], period: Period, level: int, changes: _Changes) -> Run:
        refs = [ref for run in runs for ref in run.parts]
        parts = self._get(stream, refs, changes)
        merged = Cells()
        for ref in refs:
            merged.load(counting.unpack(parts[ref.id]))
        for run in runs:
            changes.replace(run.parts, ends_anyway=run.ends)
        return self._run(period, level, merged, changes)

    # --- the daily sweep --------------------------------------------------------------------------------------

    def _close(self, stream: str, manifest: Manifest, changes: _Changes) -> Manifest:
        """The manifest with some more of what is over closed, and the blocks of ids tidied."""
        today = int(self._now()) // DAY
        periods = dict(manifest.periods)
        spans: dict[Period, list[Period]] = {}
        for period in sorted(periods):
            if period.last < today:
                spans.setdefault(Period(*span_of(period.first, today)), []).append(period)
        for span, members in spans.items():
            runs = [run for member in members for run in periods[member]]
            if not _worth_merging(runs) and members == [span]:
                continue
            if sum(run.size for run in runs) > MERGE_BYTES and not any(run.ends for run in runs):
                continue
            for member in members:
                del periods[member]
            periods[span] = tuple(self._closed(stream, runs, span, changes))
            if changes.size > CLOSE_BYTES:
                break
        else:
            ids = self._close_ids(stream, manifest, changes)
            if ids != manifest.ids:
                return manifest.swung(periods=periods, ids=ids)
        return manifest if periods == manifest.periods else manifest.swung(periods=periods)

    def _closed(self, stream: str, runs: Sequence[Run], span: Period, changes: _Changes) -> Iterator[Run]:
        """The runs as one that stays; as several if they are too large to be merged at once."""
        batch: list[Run] = []
        for run in sorted(runs, key=lambda run: run.size):
            if batch and sum(each.size for each in batch) + run.size > MERGE_BYTES:
                yield self._merge(stream, batch, span, CLOSED, changes)
                batch = []
            batch.append(run)
        if len(batch) == 1 and batch[0].level == CLOSED:
            yield batch[0]
        elif batch:
            yield self._merge(stream, batch, span, CLOSED, changes)

    def _compact(self, stream: str, manifest: Manifest, _: _Changes) -> Manifest:
        """First it is written down what will be merged, then it is: see `compaction.plan`."""
        for first, last in manifest.compacting:
            merge(self._log, stream, first, last)
        if manifest.compacting:
            return manifest.swung(compacted=manifest.compacting[-1][1], compacting=())
        if manifest.redacting:
            return manifest
        runs = plan(self._log, stream, manifest.compacted, manifest.watermark, self._now())
        return manifest.swung(compacting=runs) if runs else manifest

    def _close_ids(self, stream: str, manifest: Manifest, changes: _Changes) -> tuple[Ref, ...]:
        """Blocks without those that are past the horizon, and small ones of one day joined."""
        oldest = accepted.minute(int(self._now()) - accepted.HORIZON - DAY)
        kept = [ref for ref in manifest.ids if ref.high >= oldest]
        by_day: dict[tuple[int, int], list[Ref]] = {}
        for ref in kept:
            if ref.size < SMALL_BLOCK:
                by_day.setdefault((ref.low // 1440, ref.high // 1440), []).append(ref)
        for small in by_day.values():
            if len(small) < MERGE:
                continue
            parts = self._get(stream, small, changes)
            joined = [message for ref in small for message in accepted.unpack(parts[ref.id])]
            changes.replace(small, ends_anyway=True)
            kept = [ref for ref in kept if ref not in small]
            low, high = min(ref.low for ref in small), max(ref.high for ref in small)
            expires = high * 60 + ID_LIFE
            for start in range(0, len(joined), accepted.BLOCK):
                data = accepted.pack(joined[start : start + accepted.BLOCK])
                kept.append(Ref(changes.write(data, expires), low, high, 0, len(data)))
        return tuple(kept)

    def _remove_orphans(self, stream: str) -> None:
        """Lets parts end that a fold left behind when it lost its race or its life: unnamed for more than a day."""
        stored = self._rollups.lasting(stream)
        old = int(self._now()) // 60 - 1440
        named = read_manifest(self._rollups, stream).parts()
        orphans = [name for name in stored if name not in named and int(name.partition("-")[0], 16) < old]
        if orphans:
            self._rollups.expire(stream, orphans, int(self._now()))


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


def _worth_merging(runs: Sequence[Run]) -> bool:
    """Whether a period that is over should be written as one: not for every hit that comes late."""
    closed = sum(run.size for run in runs if run.level == CLOSED)
    late = sum(run.size for run in runs if run.level != CLOSED)
    return any(run.ends for run in runs) or late * LATE_SHARE > closed or len(runs) > LATE_RUNS
