"""The daily sweep of a stream: folds what there is, closes what is over, merges old segments, and deletes what nobody
needs any more. Each step takes effect by one swing of the manifest, and may be done again by anyone at any time.
"""

from collections.abc import Callable, Iterator, Sequence

from . import accepted
from .cells import DAY
from .compaction import merge, originals, plan
from .errors import BrokenLog, Conflict
from .folding import MERGE, MERGE_BYTES, NAMES_BYTES, PART_BYTES, TIDY, Changes, Folder, minute_of
from .lifetimes import HORIZON, ID_BLOCK, KEY_REACH, ORIGINAL, ORPHAN
from .log import load_names, moved, read_manifest
from .manifest import CLOSED, Manifest, Period, Ref, Run
from .names import Names, NamesRun
from .periods import span_of
from .ports import Held, LogStore, RollupStore

SMALL_BLOCK = 16_000
"""Bytes below which the blocks of ids of one day are joined."""
ATTEMPTS = 5
"""So many swings may be lost to others."""
ORPHANS_EVERY = 7
"""Days after which parts are looked for that nobody names: to list them costs as much as to read them."""
LATE_SHARE = 8
"""What is closed is written again once what came late makes up more than an eighth of it, …"""
LATE_RUNS = 8
"""… or came in more runs than these."""
CLOSE_BYTES = 8_000_000
"""Roughly the bytes that one step of closing writes."""


class Sweeper(Folder):
    """Keeps the rollups and the log of streams in order."""

    def __init__(
        self,
        log: LogStore,
        rollups: RollupStore,
        *,
        held: Callable[[str], Held | None] = lambda _: None,
        **options: object,
    ) -> None:
        """`held` says what a redaction of a stream needs that is under way, if one is; `options` are `Folder`'s."""
        super().__init__(log, rollups, **options)  # type: ignore[arg-type]
        self._held = held

    def sweep(self, stream: str) -> None:
        """Folds what there is, closes what is over and merges old segments; to be called once a day.

        Raises:
            Conflict: somebody else kept swinging the manifest; the next sweep will do.
        """
        self.fold(stream)
        self._step_by_step(stream, self._close)
        self._step_by_step(stream, self._tidy)
        self._step_by_step(stream, self._compact)
        self._step_by_step(stream, self._clean)
        if int(self._now()) // DAY % ORPHANS_EVERY == 0:
            self._remove_orphans(stream)

    def settle(self, stream: str) -> None:
        """Merges the segments whose merging was announced; while a redaction is under way, no other is."""
        self._step_by_step(stream, self._compact)

    def _step_by_step(self, stream: str, step: Callable[[str, Manifest, Changes], Manifest]) -> None:
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

    # --- what is over is closed -------------------------------------------------------------------------------

    def _close(self, stream: str, manifest: Manifest, changes: Changes) -> Manifest:
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
            if sum(run.size for run in runs) > MERGE_BYTES and not any(run.open for run in runs):
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

    def _closed(self, stream: str, runs: Sequence[Run], span: Period, changes: Changes) -> Iterator[Run]:
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

    def _close_ids(self, stream: str, manifest: Manifest, changes: Changes) -> tuple[Ref, ...]:
        """Blocks without those that are past the horizon, and small ones of one day joined."""
        oldest = accepted.minute(int(self._now()) - HORIZON - KEY_REACH)
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
            changes.replace(small)
            kept = [ref for ref in kept if ref not in small]
            low, high = min(ref.low for ref in small), max(ref.high for ref in small)
            expires = high * 60 + ID_BLOCK
            for start in range(0, len(joined), accepted.BLOCK):
                data = accepted.pack(joined[start : start + accepted.BLOCK])
                kept.append(Ref(changes.write(data, expires), low, high, 0, len(data)))
        return tuple(kept)

    def _tidy(self, stream: str, manifest: Manifest, changes: Changes) -> Manifest:
        """The runs of names as one, without the titles that others took the place of, once those may be the most.

        Paths whose titles alternate, as those of a page in two languages do, would add a title for ever.
        """
        tidy = sum(ref.size for ref in manifest.names if ref.low == TIDY)
        fresh = sum(ref.size for ref in manifest.names if ref.low != TIDY)
        if fresh <= max(tidy, NAMES_BYTES):
            return manifest
        known = load_names(manifest, self._get(stream, manifest.names, changes))
        first = [count + 1 for count in Names().counts()]  # what every stream begins with is in no run
        texts = [texts[start - 1 :] for start, texts in zip(first, known.texts, strict=True)]
        packed = NamesRun(first, texts, {}).pieces(PART_BYTES)
        changes.replace(manifest.names)
        refs = tuple(Ref(changes.write(data, None), TIDY, TIDY, 0, len(data)) for data in packed)
        return manifest.swung(names=refs)

    # --- old segments, and what nobody names --------------------------------------------------------------

    def _compact(self, stream: str, manifest: Manifest, _: Changes) -> Manifest:
        """First it is written down what will be merged, then it is: see `compaction.plan`."""
        for first, last in manifest.compacting:
            merge(self._log, stream, first, last)
        if manifest.compacting:
            up_to = manifest.compacting[-1][1]
            return manifest.swung(compacted=up_to, compacting=(), merged=(*manifest.merged, (up_to, int(self._now()))))
        if manifest.redacting:
            return manifest
        runs = plan(self._log, stream, manifest.compacted, manifest.watermark, self._now())
        return manifest.swung(compacting=runs) if runs else manifest

    def _clean(self, stream: str, manifest: Manifest, _: Changes) -> Manifest:
        """Deletes originals of segments that were merged long enough ago. A redaction may hold a place among them."""
        due = [up_to for up_to, at in manifest.merged if at + ORIGINAL <= self._now()]
        if not due or manifest.redacting or self._held(stream) is not None:
            return manifest
        numbers, cleaned = originals(self._log, stream, manifest.cleaned, due[-1])
        self._log.remove(stream, numbers)
        return manifest.swung(cleaned=cleaned, merged=tuple(each for each in manifest.merged if each[0] > cleaned))

    def _remove_orphans(self, stream: str) -> None:
        """Lets parts end that a fold left behind when it lost its race or its life: unnamed for more than a day.

        What there is, is listed before it is read what is named: what is named later was written later.
        """
        stored = self._rollups.lasting(stream)
        held = self._held(stream)  # before the manifest: a swing moves them from the book to there
        named = read_manifest(self._rollups, stream).parts()
        spared = named | held.parts if held else named
        old = (int(self._now()) - ORPHAN) // 60
        orphans = [name for name in stored if name not in spared and minute_of(name) < old]
        if orphans:
            self._rollups.expire(stream, orphans, int(self._now()))


def _worth_merging(runs: Sequence[Run]) -> bool:
    """Whether a period that is over should be written as one: not for every hit that comes late."""
    closed = sum(run.size for run in runs if run.level == CLOSED)
    late = sum(run.size for run in runs if run.level != CLOSED)
    return any(run.open for run in runs) or late * LATE_SHARE > closed or len(runs) > LATE_RUNS
