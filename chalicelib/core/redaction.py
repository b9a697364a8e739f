"""Takes events and names out of a stream for good, while it is written and read: what retention, purge, merge, rename
and erasure stand on.

    find      whose sessions an erasure is about
    scan      what is concerned: how many events, of which days, and which names are in use afterwards
    mark      a marker of the next epoch joins the log: whoever writes after it uses no name that is about to go
    fold      until the rollups have the marker in, so that nobody reads what lies below it any more
    rewrite   segments up to the marker, under their own numbers; the periods concerned are counted again on the way
    swing     one conditional write: readers see all of it, or nothing
    clean     what held the old state is deleted: parts, merged segments' originals, bots' hits, exports, bodies

Each step may be repeated, by anyone and at any time: what it writes depends on the log and on `Notes` alone, and is
either conditional or under a name that nobody else has. Event ids stay, and so do the ids of names.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields, replace
from itertools import compress
from typing import Any

from . import accepted as blocks
from . import names as naming
from . import sealing
from .cells import DAY, HOUR, SUMMARY
from .cells import unpack as unpack_part
from .errors import BrokenLog, Conflict
from .events import Bot
from .folding import Periods, Redacted, minute_of
from .log import load_names, read_manifest, require, tail
from .manifest import Manifest, Period
from .names import Names
from .periods import month_of, span_of
from .ports import Item, LogStore, RollupStore
from .sealing import WRITES, Outside
from .segments import GONE, Kind, Orders, Renamed, Segment
from .segments import unpack as unpack_segment
from .sweeping import Sweeper
from .tombstones import ALWAYS, Tombstone, agent_key, hashed
from .wishes import DELETED, Act, Gone, Notes, Plan, Wish

READ = 4_000_000
"""Bytes of segments in one step: what a function's memory holds at ease."""
NAMES_AT_ONCE = 20_000
"""So many names go with one marker, which is one item; the others go with another."""


class Redaction:
    """Carries out one wish, step by step. Whoever calls writes `notes` down after each."""

    def __init__(  # noqa: PLR0913, PLR0917 - the world, and what tests turn
        self,
        log: LogStore,
        rollups: RollupStore,
        outside: Outside,
        now: Callable[[], float],
        stream: str,
        wish: Wish,
        notes: Notes,
        write_down: Callable[[], None],
        read: int = READ,
        names_at_once: int = NAMES_AT_ONCE,
    ) -> None:
        self._log = log
        self._rollups = rollups
        self._outside = outside
        self._now = now
        self._folder = Sweeper(log, rollups, now=now, step=read)
        self._stream = stream
        self._wish = wish
        self.notes = notes
        self._write_down = write_down
        self._read_bytes = read
        self._names_at_once = names_at_once
        self._hashes: frozenset[int] = frozenset()

    def step(self) -> bool:
        """Does a piece of the work; true once all of it is done.

        Raises:
            Gone: it cannot be done any more, and nothing was.
            Conflict: others kept changing the stream; the step may be done again.
        """
        if self._wish.act is Act.SEAL:
            return self._seal()
        steps: dict[str, Callable[[], bool]] = {
            "scan": self._scan,
            "mark": self._mark,
            "fold": self._fold,
            "rewrite": self._rewrite,
            "swing": self._swing,
            "clean": self._clean,
        }
        if self._wish.act is Act.ERASE and not self.notes.found:
            return self._find()
        return steps[self.notes.phase]()

    def _seal(self) -> bool:
        notes, now = self.notes, self._now()
        if not notes.marker:
            notes.marker = sealing.seal(self._log, self._rollups, self._stream, now)
            return False
        return sealing.empty(self._log, self._rollups, self._outside, self._stream, notes.marker, now, self._read_bytes)

    # --- what is concerned ------------------------------------------------------------------------------------

    def _read(self, up_to: int | None = None) -> Sequence[Item]:
        return self._log.read(self._stream, after=self.notes.cursor, up_to=up_to, at_most=self._read_bytes)

    def _pass(self, items: Sequence[Item]) -> Iterable[tuple[Segment, Item]]:
        """Moves on through the segments of these items."""
        notes = self.notes
        for segment, item in tail(items, notes.head):
            yield segment, item
            notes.head = segment.number
        notes.cursor = max(notes.head, items[-1].number) if items else notes.cursor

    def _restart(self, **kept: Any) -> None:  # noqa: ANN401 - notes of any type
        """Begins anew, with some of what is known."""
        for each in fields(Notes):
            fresh: Any = kept.get(each.name, getattr(Notes(), each.name))
            setattr(self.notes, each.name, fresh)

    def _find(self) -> bool:
        """Whose sessions it is about: they go as a whole, under whichever of the keys they were found."""
        items = self._read()
        for segment, _ in self._pass(items):
            self.notes.sessions |= self._erased(segment)
            self.notes.last = (segment.epoch, segment.next_event, segment.next_session, segment.clock)
        if not items:
            self._restart(sessions=self.notes.sessions, found=self.notes.last[2])
        return False

    def _erased(self, segment: Segment) -> set[int]:
        keys = frozenset(self._wish.keys)
        return {touched.number for touched in segment.sessions if touched.key in keys or touched.previous in keys}

    def _scan(self) -> bool:
        if not self.notes.cursor and self._wish.paths:
            self._resolve(self._names())
        items = self._read()
        for segment, _ in self._pass(items):
            self._look(segment)
        if not items:
            self.notes.phase = "mark"
        return False

    def _look(self, segment: Segment) -> None:
        if segment.sealed:
            raise Gone(DELETED)
        notes, plan = self.notes, Plan(self._wish, self.notes)
        events = segment.events
        kept, moved = plan.kept(segment), plan.moved(segment)
        stays: Sequence[bool] = kept if kept is not None else [True] * len(segment)
        paths = moved if moved is not None else events.path
        for kind, column in replace(events, path=paths).named():
            notes.used[kind].update(compress(column, stays))
        today = int(self._now()) // DAY
        for day in {at // DAY for at, stay in zip(events.at, stays, strict=True) if not stay}:
            self._touch(*_span(day, today))
        if moved is not None:
            changed = [before != after for before, after in zip(events.path, moved, strict=True)]
            for day in {at // DAY for at in compress(events.at, changed)}:
                self._touch(*_span(day, today))
            notes.moved += sum(changed)
        notes.removed += len(stays) - sum(stays)
        for kind in Kind:
            first, texts = segment.first_names[kind], segment.names[kind]
            notes.gone[kind].update(i for i, text in enumerate(texts, first) if text == GONE)
            notes.counts[kind] = max(notes.counts[kind], first - 1 + len(texts))
        notes.last = (segment.epoch, segment.next_event, segment.next_session, segment.clock)

    def _touch(self, first: int, last: int) -> None:
        """These days have to be counted again; spans that overlap become one."""
        spans = self.notes.spans
        if any(low <= first and last <= high for low, high in spans):
            return
        apart = [span for span in spans if span[1] < first or last < span[0]]
        joined = [span for span in spans if span not in apart]
        spans[:] = sorted(
            [*apart, (min([first, *(low for low, _ in joined)]), max([last, *(high for _, high in joined)]))]
        )

    def _names(self) -> Names:
        """Every name up to now, what writers were told of them included."""
        manifest = read_manifest(self._rollups, self._stream)
        names = load_names(manifest, require(self._rollups, self._stream, [ref.id for ref in manifest.names]))
        names.rename(manifest.pending)
        for segment, _ in tail(self._log.read(self._stream, after=manifest.watermark), manifest.watermark):
            names.replay(segment)
            if segment.orders is not None:
                names.rename(segment.orders.renamed)
        return names

    def _resolve(self, names: Names) -> None:
        """Which path a name means now: to give a path a name that another one has is to merge the two.

        Raises:
            Gone: a path is not there any more.
        """
        wish = self._wish
        present = [path for path in wish.paths if names.has(Kind.PATH, path)]
        if not present or (wish.act in (Act.MERGE, Act.RENAME) and len(present) < len(wish.paths)):
            raise Gone("The path is not there any more.")
        texts = [names.path(path)[0] for path in present]
        self.notes.texts = texts if wish.act is Act.RENAME else []
        self.notes.hashes = sorted(hashed(naming.identity(Kind.PATH, text)) for text in texts)
        target = wish.target
        if wish.act is Act.RENAME:
            wanted = naming.identity(Kind.PATH, wish.name)
            same = (i for i, name in names.live(Kind.PATH) if naming.identity(Kind.PATH, name) == wanted)
            target = next((i for i in same if i != wish.paths[0]), 0)
        if target and not names.has(Kind.PATH, target):
            raise Gone("The path that others are to be merged into is not there any more.")
        self.notes.target = target

    # --- the marker -------------------------------------------------------------------------------------------

    def _mark(self) -> bool:
        """Appends the marker behind all there is; whoever crashed after that finds it again by its epoch."""
        notes = self.notes
        epoch = notes.last[0]
        for segment, _ in tail(self._log.read(self._stream, after=notes.cursor), notes.head):
            if segment.epoch > epoch:
                if segment.orders is None:
                    raise BrokenLog(f"segment {segment.number} is of another redaction")
                self._renames()  # says whether there are more
                notes.renamed = segment.orders.renamed
                return self._marked(segment.number)
            fresh = {n for n in self._erased(segment) - notes.sessions if n < notes.found}
            if fresh:
                self._restart(sessions=notes.sessions | fresh, found=notes.found)
                return False
            notes.sessions |= self._erased(segment)
            self._look(segment)
            notes.head = notes.cursor = segment.number
        if self._wish.paths:
            target = notes.target
            self._resolve(self._names())
            if notes.target != target:
                self._restart()
                return False
        notes.renamed = self._renames()
        tombstones = self._tombstones()
        if not (notes.renamed or notes.removed or notes.moved or tombstones):
            notes.phase = "clean"  # as far as the log goes: a bot's hits may still be there
            return False
        number = notes.head + 1
        epoch, next_event, next_session, clock = notes.last
        marker = Segment(
            number=number,
            first=number,
            epoch=epoch + 1,
            next_event=next_event,
            next_session=next_session,
            clock=clock,
            first_names=[known + 1 for known in notes.counts],
            orders=Orders(renamed=notes.renamed, forgotten=sorted(self._wish.keys)),
            tombstones=tombstones,
        )
        try:
            self._log.put(self._stream, number, marker.pack(), None)
        except Conflict:
            return False  # somebody appended meanwhile, or this very call did
        return self._marked(number)

    def _tombstones(self) -> list[Tombstone]:
        """What stays out of whatever was accepted before this was asked for. Retention needs none: it is daily."""
        wish = self._wish
        if wish.act is Act.ERASE:
            keys = tuple(sorted(hashed(str(key)) for key in wish.keys))
            return [Tombstone(wish.asked_at, keys=keys, agents=(hashed(wish.agent),) if wish.agent else ())]
        if wish.act is not Act.PURGE:
            return []
        start = -ALWAYS if wish.start is None else wish.start
        end = ALWAYS if wish.end is None else wish.end
        return [Tombstone(wish.asked_at, start, end, tuple(self.notes.hashes))]

    def _marked(self, number: int) -> bool:
        self.notes.marker = number
        self.notes.phase = "fold"
        return False

    def _renames(self) -> list[Renamed]:
        """What happens to names: those that no event uses any more go."""
        notes, wish = self.notes, self._wish
        found: list[Renamed] = []
        renamed = wish.paths[0] if wish.act is Act.RENAME and not notes.target else 0
        notes.more = False
        for kind in Kind:
            always = {1} if kind is Kind.REF else {renamed, notes.target} if kind is Kind.PATH else set()
            free = set(range(1, notes.counts[kind] + 1)) - notes.used[kind] - notes.gone[kind] - always
            if kind is Kind.PATH:  # the wish's own first
                mine = sorted(free & set(wish.paths))
                free -= set(mine)
                found.extend(Renamed(kind, i, GONE) for i in mine)
            room = self._names_at_once - len(found)
            notes.more = notes.more or len(free) > room
            found.extend(Renamed(kind, i, GONE) for i in sorted(free)[: max(room, 0)])
        if renamed and notes.texts != [wish.name]:
            found.append(Renamed(Kind.PATH, renamed, wish.name))
        return found

    def _fold(self) -> bool:
        """Has the rollups take in the marker, and old merging done: from then on only rewriting changes segments."""
        notes = self.notes
        manifest = read_manifest(self._rollups, self._stream)
        if manifest.watermark < notes.marker:
            self._folder.fold(self._stream)
            return False
        self._folder.settle(self._stream)
        manifest = read_manifest(self._rollups, self._stream)
        for period in manifest.periods:
            if _straddles(period, notes.spans):
                self._touch(*period)
        notes.floor = min(self._folder.sessions(self._stream, manifest), default=manifest.next_session)
        notes.cursor = notes.head = notes.events = 0
        notes.periods, notes.kept = {}, set()
        notes.phase = "rewrite"
        return False

    # --- the change -------------------------------------------------------------------------------------------

    def _rewrite(self) -> bool:
        notes, plan = self.notes, Plan(self._wish, self.notes)
        items = self._read(up_to=notes.marker)
        found: list[Segment] = []
        head, writes = notes.head, 0
        for item in items:
            if writes == WRITES:
                break
            notes.cursor = item.number
            segment = unpack_segment(item.data)
            less = plan.rewritten(segment)
            writes += less is not segment
            if item.number <= head:
                if less is not segment:  # an original, waiting for its end, of a merged segment
                    self._log.remove(self._stream, [item.number])
                continue
            if segment.first != head + 1:
                raise BrokenLog(f"segment {segment.first} follows {head}")
            if less is not segment:
                self._log.replace(self._stream, item.number, item.data, less.pack())
            found.append(less)
            head = segment.number
        self._count(found)
        notes.head = head
        if not items:
            if head < notes.marker:
                raise BrokenLog(f"the log ends at {head}, before the marker {notes.marker}")
            notes.phase = "swing"
        return False

    def _count(self, found: Sequence[Segment]) -> None:
        notes = self.notes
        spans = notes.spans
        notes.periods, _ = self._folder.recount(
            self._stream, notes.periods, found, lambda day: any(first <= day <= last for first, last in spans)
        )
        for segment in found:
            notes.events += len(segment)
            notes.kept.update(touched.number for touched in segment.sessions if touched.number >= notes.floor)

    def _swing(self) -> bool:
        """Counts what came meanwhile too, and has the manifest follow; again if another one came first."""
        notes = self.notes
        manifest = read_manifest(self._rollups, self._stream)
        if manifest.watermark < notes.marker:  # the rollups were lost
            self._folder.fold(self._stream)
            return False
        if manifest.redacting != notes.marker:
            notes.phase = "clean"
            return False
        straddling = [period for period in manifest.periods if _straddles(period, notes.spans)]
        if straddling:
            for period in straddling:
                self._touch(*period)
            notes.phase = "fold"
            return False
        if notes.head < manifest.watermark:
            found = [segment for segment, _ in tail(self._read(up_to=manifest.watermark), notes.head)]
            self._count(found)
            notes.head = notes.cursor = found[-1].number
            return False
        if self._rollups.missing(self._stream, _parts(notes.periods)):
            notes.phase = "fold"  # begins to count anew: somebody has deleted what was counted
            return False
        inside = [period for period in manifest.periods if _touched(period, notes.spans)]
        outside = {period: runs for period, runs in manifest.periods.items() if period not in inside}
        periods = outside | {p: (*outside.get(p, ()), *runs) for p, runs in notes.periods.items()}
        lost = self._folder.sessions(self._stream, manifest) - notes.kept
        following = self._folder.redacted(
            self._stream,
            manifest,
            Redacted(notes.last[0] + 1, notes.events, periods, notes.renamed, lost),
        )
        notes.doomed = sorted(set(notes.doomed) | (manifest.parts() - following.parts()))
        self._write_down()
        if self._folder.swing(self._stream, following):
            notes.phase = "clean"
        return False

    # --- what else held it ------------------------------------------------------------------------------------

    def _clean(self) -> bool:
        notes, wish = self.notes, self._wish
        manifest = read_manifest(self._rollups, self._stream)
        self._rollups.remove(self._stream, set(notes.doomed) - manifest.parts())
        if wish.agent or notes.hashes:
            self._hashes = frozenset(notes.hashes)
            self._outside.drop_bots(self._stream, self._goes)
        if notes.removed or notes.moved or notes.renamed:
            self._outside.withdraw(self._stream)
            self._drop_bodies(manifest)
        return True

    def _goes(self, bot: Bot) -> bool:
        wish = self._wish
        if wish.agent and agent_key(bot.user_agent) == wish.agent:
            return True
        within = (wish.start is None or bot.at >= wish.start) and (wish.end is None or bot.at <= wish.end)
        return within and hashed(naming.identity(Kind.PATH, bot.path)) in self._hashes

    def _drop_bodies(self, manifest: Manifest) -> None:
        """Bodies of messages that the log has taken in as a whole are of no more use."""
        held: dict[str, Any] = {}

        def counted(message: int, moment: int) -> bool:
            for ref in blocks.candidates(manifest.ids, moment, derived=True):
                if ref.id not in held:
                    found = self._rollups.get(self._stream, [ref.id])  # those past the horizon end by themselves
                    held[ref.id] = blocks.unpack(found[ref.id]) if found else None
                if held[ref.id] is not None and blocks.holds(held[ref.id], message):
                    return True
            return False

        self._outside.drop_bodies(self._stream, counted)


def remove_unnamed(rollups: RollupStore, stream: str, before: int) -> None:
    """Deletes parts that nobody names and that were written before a moment in Unix seconds.

    To be called when no fold that began before that moment can be under way any more: what it wrote, and lost with the
    race for the manifest, holds the old state.
    """
    named = read_manifest(rollups, stream).parts()
    minute = before // 60
    rollups.remove(stream, [part for part in rollups.stored(stream) if part not in named and minute_of(part) <= minute])


def overdue(rollups: RollupStore, stream: str, cutoff: int) -> bool:
    """Whether the rollups count anything from before a moment, which is the start of a day."""
    reaching = [(period, runs) for period, runs in read_manifest(rollups, stream).periods.items()]
    reaching = [(period, runs) for period, runs in reaching if period.first * DAY < cutoff]
    if any((period.last + 1) * DAY <= cutoff for period, _ in reaching):
        return True
    refs = {ref.id for _, runs in reaching for run in runs for ref in run.parts if ref.kinds & SUMMARY}
    for data in require(rollups, stream, refs).values():
        hours = unpack_part(data).hours
        if hours is not None and any(hour * HOUR < cutoff for hour in hours.hour):
            return True
    return False


def _parts(periods: Periods) -> set[str]:
    return {part.id for runs in periods.values() for run in runs for part in run.parts}


def _span(day: int, today: int) -> tuple[int, int]:
    """What may be one period with a day, now or soon."""
    month, now = month_of(day), span_of(day, today)
    return min(month[0], now[0]), max(month[1], now[1])


def _touched(period: Period, spans: Sequence[tuple[int, int]]) -> bool:
    return any(period.first <= last and period.last >= first for first, last in spans)


def _straddles(period: Period, spans: Sequence[tuple[int, int]]) -> bool:
    inside = any(first <= period.first and period.last <= last for first, last in spans)
    return _touched(period, spans) and not inside
