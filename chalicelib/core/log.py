"""Appends messages to a stream's log: exactly once, in dense numbers, whatever fails on the way.

The only write that matters is one conditional put of the next segment. Whoever loses the race for a number reads what
the winner wrote and drafts again; an answer that was lost is found out in the same way, since a writer recognises
its own messages in the log.
"""

import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from . import accepted, names, segments, tombstones
from . import manifest as manifests
from .caches import Shelf
from .errors import BrokenLog, Conflict, Poison
from .fitting import ITEM_BYTES
from .lifetimes import HORIZON, LOOK
from .manifest import Manifest, Ref
from .messages import Message
from .ports import Folds, Item, LogStore, RollupStore
from .segments import Kind, Segment
from .tombstones import Tombstone
from .writer import Bounds, Stream

SEGMENT_HITS = 20_000
"""Hits that are drafted at once; if they do not fit, half of them are."""
TAIL_SEGMENTS = 256
TAIL_BYTES = 256 * 1024
TAIL_SHARE = 50
"""A fold is asked for when the tail has more segments, or more bytes than these and a fiftieth of today's parts."""
MEMORY = 64 * 1024 * 1024
"""Bytes of streams that a writer keeps warm."""
FORESEEN = 64_000
"""Bytes of a stream's parts up to which they are read together with those of other streams."""
DEFAULT = Bounds()
LARGE = 1_000_000
"""Bytes of parts beyond which streams are written one after the other, whatever threads there are: in memory they are
about ten times as large."""


class Late(Exception):
    """A large stream had to wait for another one, and there is no time left to begin with it. Nothing was done."""


class Foreseen(NamedTuple):
    """What was read of a stream together with others, for a writer that knows nothing of it yet."""

    manifest: tuple[int, bytes] | None
    parts: Mapping[str, bytes]


class Appended(NamedTuple):
    """What became of messages that were appended."""

    refused: dict[int, Poison]
    """By id, those that can never be in, and why."""
    sealed: bool = False
    """Whether the stream takes nothing any more, for its site is deleted; then it has dropped them all."""
    crowded: tuple[Kind, ...] = ()
    """The kinds of names of which the stream has as many as it may have."""
    alone: int = 0
    """Hits that became visits of their own, since the stream has as many sessions as it may have."""
    bots: tuple[Message, ...] = ()
    """The messages with bots' hits that may be kept, with these alone: what was taken out stays out of them too."""


@dataclass(slots=True)
class _Tail:
    """A segment that no fold has taken in yet, as far as this writer knows."""

    number: int
    size: int
    messages: list[int]


@dataclass(slots=True)
class _Warm:
    """A stream that a writer keeps between batches."""

    state: Stream
    manifest: Manifest
    tail: list[_Tail] = field(default_factory=list)
    blocks: dict[str, Sequence[int]] = field(default_factory=dict)
    alone: int = 0
    """Hits, of those that were taken in at last, for which there was no room among the sessions."""
    asked: int = 0
    """The size of the tail, in segments, at which a fold was asked for last."""

    @property
    def size(self) -> int:
        return self.state.size + sum(8 * len(block) for block in self.blocks.values())

    def took(self, segment: Segment, size: int) -> None:
        self.tail.append(_Tail(segment.number, size, [taken.id for taken in segment.taken]))


class Appender:
    """Writes streams, and keeps what it knows of those that it wrote to last.

    Threads may share it: each stream that it knows belongs to one of them at a time. Two that write one stream at once
    do no harm, but each has to read what the other wrote.
    """

    def __init__(  # noqa: PLR0913 - the world, and what tests turn
        self,
        log: LogStore,
        rollups: RollupStore,
        folds: Folds,
        *,
        now: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
        memory: int = MEMORY,
        segment_hits: int = SEGMENT_HITS,
        bounds: Bounds = DEFAULT,
    ) -> None:
        self._log = log
        self._rollups = rollups
        self._folds = folds
        self._now = now
        self._sleep = sleep
        self._segment_hits = segment_hits
        self._bounds = bounds
        self._warm: Shelf[str, _Warm] = Shelf(memory, LOOK, now)
        self._large = threading.Lock()

    def foresee(self, streams: Iterable[str]) -> dict[str, Foreseen]:
        """Reads what `append` has to know of streams that it does not know, in few calls for many of them.

        It is left to `append` to read the parts of those that have many.

        Raises:
            Exception: whatever the stores raise. `append` can do without.
        """
        cold = [stream for stream in streams if stream not in self._warm]
        if not cold:
            return {}
        found = self._rollups.manifests(cold)
        wanted: dict[str, set[str]] = {}
        for stream, (version, data) in found.items():
            refs = _loaded(manifests.unpack(version, data))
            if refs and sum(ref.size for ref in refs) <= FORESEEN:
                wanted[stream] = {ref.id for ref in refs}
        parts = self._rollups.get_all(wanted) if wanted else {}
        return {stream: Foreseen(found.get(stream), parts.get(stream, {})) for stream in cold}

    def append(
        self,
        stream: str,
        messages: Sequence[Message],
        foreseen: Foreseen | None = None,
        late: Callable[[], bool] = lambda: False,
    ) -> Appended:
        """Takes messages of one stream into its log, each exactly once, in order of acceptance.

        When it returns, every message is in, but for those that it says can never be. A stream that was sealed, since
        its site is deleted, drops them all. `foreseen` is what `foresee` read of the stream a moment ago.

        Raises:
            Late: it had to wait for another large stream, and then it was `late`.
            Exception: whatever the stores raise. Then some messages may be in and some not; all may be handed over
                again.
        """
        unique: dict[int, Message] = {}
        for message in sorted(messages, key=lambda message: message.accepted):
            if message.hits:
                unique.setdefault(message.id, message)
        refused = {
            message.id: Poison(f"accepted more than {HORIZON // 86400} days ago: it may have been counted")
            for message in unique.values()
            if self._now() - message.accepted > HORIZON
        }
        pending = [message for message in unique.values() if message.id not in refused]
        if not pending and not any(message.bots for message in messages):
            return Appended(refused)
        known = self._warm.take(stream)
        if known is None and foreseen is None:
            foreseen = Foreseen(self._rollups.manifest(stream), {})
        with self._alone(known.manifest if known else _manifest(foreseen and foreseen.manifest)) as waited:
            if waited and late():  # who did not wait goes on: something is always done
                if known is not None:
                    self._warm.put(stream, known, known.size)
                raise Late
            try:
                warm = self._append(stream, pending, known, foreseen)
            except BrokenLog:  # perhaps a part is gone since the manifest was read, as happens once it is redacted
                warm = self._append(stream, pending)
            self._warm.put(stream, warm, warm.size)
        crowded = tuple(kind for kind in Kind if len(warm.state.ids[kind]) >= self._bounds.open)
        bots = () if warm.state.sealed else self._bots(warm.state.tombstones, messages)
        return Appended(refused, warm.state.sealed, crowded, warm.alone, bots)

    def has(self, stream: str, message: int, accepted_at: int) -> bool:
        """Whether a message is in as a whole, or dropped since its stream is sealed, as far as is remembered.

        Raises:
            Exception: whatever the stores raise.
        """
        known = Message(message, accepted_at, stream, derived=True, hits=())
        warm = self._catch_up(stream, self._warm.take(stream))
        done, total = warm.state.taken.get(message, (0, 1))
        found = warm.state.sealed or done >= total or message in self._known(stream, warm, [known])
        self._warm.put(stream, warm, warm.size)
        return found

    def _bots(self, stones: Sequence[Tombstone], messages: Iterable[Message]) -> tuple[Message, ...]:
        """The bots' hits that may be kept. Those of messages that are too old would end at once."""
        oldest = self._now() - HORIZON
        recent = (message for message in messages if message.bots and message.accepted >= oldest)
        kept = (replace(m, hits=(), bots=tombstones.kept_bots(stones, m.bots, m.accepted)) for m in recent)
        return tuple(message for message in kept if message.bots)

    @contextmanager
    def _alone(self, manifest: Manifest) -> Iterator[bool]:
        """Has large streams wait for one another, so that they are not in memory side by side; whether it did wait."""
        if sum(ref.size for ref in _loaded(manifest)) <= LARGE:
            yield False
            return
        waited = not self._large.acquire(blocking=False)
        if waited:
            self._large.acquire()
        try:
            yield waited
        finally:
            self._large.release()

    def _append(
        self, stream: str, pending: list[Message], warm: _Warm | None = None, foreseen: Foreseen | None = None
    ) -> _Warm:
        """What the writer knows of the stream once they are in. After an error it knows nothing of it any more."""
        warm = self._catch_up(stream, warm, foreseen)
        warm.alone = 0
        known = self._known(stream, warm, pending)
        at_most = self._segment_hits
        while not warm.state.sealed:
            pending = [m for m in pending if m.id not in known and warm.state.outstanding(m) is not None]
            if not pending:
                break
            draft = warm.state.draft(pending, at_most)
            data = draft.segment.pack()
            if len(data) > ITEM_BYTES and len(draft.segment) > 1:
                at_most = len(draft.segment) // 2
                continue
            try:
                self._log.put(stream, draft.segment.number, data, None)
            except Conflict:
                self._sleep(random.random() * 0.05)  # noqa: S311 - jitter
                warm = self._catch_up(stream, warm)
                known |= self._known(stream, warm, pending)
            else:
                warm.state.commit(draft)
                warm.alone += draft.alone
                warm.took(draft.segment, len(data))
        self._ask(stream, warm)
        return warm

    # --- what is known ----------------------------------------------------------------------------------------

    def _catch_up(self, stream: str, warm: _Warm | None, foreseen: Foreseen | None = None) -> _Warm:
        """The stream with everything that was written by now."""
        return warm if warm is not None and self._read(stream, warm) else self._load(stream, foreseen)

    def _load(self, stream: str, foreseen: Foreseen | None = None) -> _Warm:
        while True:
            manifest = read_manifest(self._rollups, stream) if foreseen is None else _manifest(foreseen.manifest)
            try:
                state = load(self._rollups, stream, manifest, self._bounds, foreseen.parts if foreseen else {})
            except BrokenLog:
                foreseen = None
                if moved(self._rollups, stream, manifest):
                    continue  # to another one, whose parts are there: those of this one were deleted meanwhile
                raise
            warm = _Warm(state, manifest)
            self._read(stream, warm, fresh=True)
            if state.epoch == manifest.epoch or not moved(self._rollups, stream, manifest):
                return warm
            foreseen = None

    def _read(self, stream: str, warm: _Warm, *, fresh: bool = False) -> bool:
        """Reads on from where the writer stands; false if the stream was redacted since: then it has to load anew."""
        for segment, item in tail(self._log.read(stream, after=warm.state.head), warm.state.head):
            if segment.epoch != warm.state.epoch and not fresh:
                return False
            warm.state.replay(segment)
            warm.took(segment, len(item.data))
        return True

    def _known(self, stream: str, warm: _Warm, messages: Sequence[Message]) -> set[int]:
        """Which of the messages the blocks of accepted ids hold; what stands in the tail, the stream knows itself."""
        wanted: dict[int, list[Ref]] = {}
        for message in messages:
            if message.id not in warm.state.taken:
                refs = accepted.candidates(warm.manifest.ids, message.accepted, derived=message.derived)
                if refs:
                    wanted[message.id] = refs
        missing = {ref.id for refs in wanted.values() for ref in refs} - warm.blocks.keys()
        if missing:
            for name, data in require(self._rollups, stream, missing).items():
                warm.blocks[name] = accepted.unpack(data)
        return {
            message
            for message, refs in wanted.items()
            if any(accepted.holds(warm.blocks[ref.id], message) for ref in refs)  # type: ignore[arg-type]
        }

    # --- housekeeping -----------------------------------------------------------------------------------------

    def _ask(self, stream: str, warm: _Warm) -> None:
        """Asks for a fold if the tail is long; looks first whether one has been, and asks again for a longer one."""
        if not self._long(warm) or len(warm.tail) < warm.asked:
            return
        found = self._rollups.manifest(stream)
        if found and found[0] != warm.manifest.version:
            warm.manifest = manifests.unpack(*found)
            warm.asked = 0
            folded = [item for item in warm.tail if item.number <= warm.manifest.watermark]
            warm.tail = [item for item in warm.tail if item.number > warm.manifest.watermark]
            opened = {message for message, _, _ in warm.manifest.open}
            for item in folded:
                for message in item.messages:
                    if message not in opened:
                        warm.state.taken.pop(message, None)
            names_of_blocks = {ref.id for ref in warm.manifest.ids}
            warm.blocks = {name: block for name, block in warm.blocks.items() if name in names_of_blocks}
            warm.state.window.evict()
        if self._long(warm):
            self._folds.ask(stream, warm.state.head)
            warm.asked = len(warm.tail) + TAIL_SEGMENTS // 4

    def _long(self, warm: _Warm) -> bool:
        size = sum(item.size for item in warm.tail)
        today = int(self._now()) // 86400
        runs = (run for period, runs in warm.manifest.periods.items() if period.last >= today for run in runs)
        share = sum(run.size for run in runs) // TAIL_SHARE
        return len(warm.tail) > TAIL_SEGMENTS or size > max(TAIL_BYTES, share)


def tail(items: Iterable[Item], after: int) -> Iterator[tuple[Segment, Item]]:
    """Unpacks what follows a segment, in order; what a merged segment covers already is passed over.

    Raises:
        BrokenLog: a number is missing.
    """
    head = after
    for item in items:
        if item.number <= head:
            continue
        segment = segments.unpack(item.data)
        if segment.first != head + 1 or segment.first != item.number:
            raise BrokenLog(f"segment {segment.first}, stored as {item.number}, follows {head}")
        head = segment.number
        yield segment, item


def require(rollups: RollupStore, stream: str, ids: Iterable[str]) -> dict[str, bytes]:
    """Parts that must be there.

    Raises:
        BrokenLog: one of them is not.
    """
    wanted = set(ids)
    found = rollups.get(stream, wanted) if wanted else {}
    if len(found) < len(wanted):
        raise BrokenLog(f"{len(wanted) - len(found)} parts of {stream} are missing")
    return found


def read_manifest(rollups: RollupStore, stream: str) -> Manifest:
    """The stream's manifest; an empty one if there is none yet."""
    return _manifest(rollups.manifest(stream))


def _manifest(found: tuple[int, bytes] | None) -> Manifest:
    return manifests.unpack(*found) if found else Manifest()


def moved(rollups: RollupStore, stream: str, manifest: Manifest) -> bool:
    """Whether another manifest is there than this one.

    A redaction rewrites what lies below its marker, and lets go of what the marker orders, once a manifest has taken
    the marker in. Whoever met the marker in the tail of a manifest that is still there has read all of the tail before
    that; anyone else has to begin anew.
    """
    found = rollups.manifest(stream)
    return (found[0] if found else 0) != manifest.version


def _loaded(manifest: Manifest) -> list[Ref]:
    """The parts that a writer has to read."""
    return [*manifest.names, *manifest.sessions, *manifest.tombstones]


def load(
    rollups: RollupStore,
    stream: str,
    manifest: Manifest,
    bounds: Bounds = DEFAULT,
    foreseen: Mapping[str, bytes] | None = None,
) -> Stream:
    """What a writer has to know at the watermark: from the manifest, the names and the checkpoint of sessions.

    `foreseen` are parts that were read already.

    Raises:
        BrokenLog: a part is missing: the manifest was replaced since it was read, or the rollups are damaged.
    """
    found = dict(foreseen or {})
    found |= require(rollups, stream, {ref.id for ref in _loaded(manifest)} - found.keys())
    state = Stream(
        bounds=bounds,
        head=manifest.watermark,
        epoch=manifest.epoch,
        next_event=manifest.next_event,
        next_session=manifest.next_session,
    )
    state.learn_names(load_names(manifest, found).texts)
    state.rename(manifest.pending)
    state.window.clock = manifest.clock
    for ref in manifest.sessions:
        state.window.load(found[ref.id])
    state.window.evict()
    for ref in manifest.tombstones:
        state.tombstones += tombstones.unpack(found[ref.id])
    state.titles.waiting.update(((path, title), (seen, since)) for path, title, seen, since in manifest.titles)
    state.candidates = candidates(manifest)
    state.taken.update((message, (done, total)) for message, done, total in manifest.open)
    return state


def candidates(manifest: Manifest) -> list[names.Candidates]:
    """For each kind, the names that there was no room for."""
    found = [names.Candidates() for _ in Kind]
    for kind, day, earned, rows in manifest.candidates:
        found[kind] = names.Candidates(dict(rows), day, earned)
    return found


def load_names(manifest: Manifest, found: dict[str, bytes]) -> names.Names:
    """Every name that the manifest's runs hold.

    Raises:
        BrokenLog: a run is missing.
    """
    known = names.Names()
    for ref in manifest.names:
        if ref.id not in found:
            raise BrokenLog(f"the names {ref.id} are missing")
        run = names.unpack_run(found[ref.id])
        known.extend(run.first, run.names, run.titles)
    return known
