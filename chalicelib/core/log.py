"""Appends messages to a stream's log: exactly once, in dense numbers, whatever fails on the way.

The only write that matters is one conditional put of the next segment. Whoever loses the race for a number reads what
the winner wrote and drafts again; an answer that was lost is found out in the same way, since a writer recognises
its own messages in the log.
"""

import random
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from . import accepted, names, segments
from . import manifest as manifests
from .accepted import HORIZON
from .errors import BrokenLog, Conflict, Poison
from .fitting import ITEM_BYTES
from .manifest import Manifest, Ref
from .messages import Message
from .ports import Folds, Item, LogStore, RollupStore
from .segments import Kind, Segment
from .writer import Stream

SEGMENT_HITS = 20_000
"""Hits that are drafted at once; if they do not fit, half of them are."""
SEGMENT_LIFE = 60 * 86400
"""Seconds after which a small segment ends by itself. The sweep merges it into a large one at `COMPACT_AGE`."""
TAIL_SEGMENTS = 256
TAIL_BYTES = 256 * 1024
TAIL_SHARE = 50
"""A fold is asked for when the tail has more segments, or more bytes than these and a fiftieth of today's parts."""
MEMORY = 64 * 1024 * 1024
"""Bytes of streams that a writer keeps warm."""
IDLE = 60.0
"""Seconds after which a stream that was not written to is forgotten."""


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
    used: float
    tail: list[_Tail] = field(default_factory=list)
    blocks: dict[str, Sequence[int]] = field(default_factory=dict)
    asked: int = 0
    """The size of the tail, in segments, at which a fold was asked for last."""

    @property
    def size(self) -> int:
        return self.state.size + sum(8 * len(block) for block in self.blocks.values())

    def took(self, segment: Segment, size: int) -> None:
        self.tail.append(_Tail(segment.number, size, [taken.id for taken in segment.taken]))


class Appender:
    """Writes streams. One for each process; not to be shared by threads."""

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
        name_limit: int = names.LIMIT,
    ) -> None:
        self._log = log
        self._rollups = rollups
        self._folds = folds
        self._now = now
        self._sleep = sleep
        self._memory = memory
        self._segment_hits = segment_hits
        self._name_limit = name_limit
        self._warm: OrderedDict[str, _Warm] = OrderedDict()

    def append(self, stream: str, messages: Iterable[Message]) -> dict[int, Poison]:
        """Takes messages of one stream into its log, each exactly once, in order of acceptance.

        When it returns, every message is in, but for those it answers with (by id) that can never be. A stream that
        was sealed, since its site is deleted, drops them all.

        Raises:
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
        if pending:
            try:
                self._append(stream, pending)
            except BrokenLog:  # perhaps a part is gone since the manifest was read, as happens once it is redacted
                self._warm.pop(stream, None)
                self._append(stream, pending)
            except BaseException:
                self._warm.pop(stream, None)
                raise
        return refused

    def has(self, stream: str, message: int, accepted_at: int) -> bool:
        """Whether a message is in as a whole, or dropped since its stream is sealed, as far as is remembered.

        Raises:
            Exception: whatever the stores raise.
        """
        known = Message(message, accepted_at, stream, derived=True, hits=())
        try:
            warm = self._catch_up(stream)
            done, total = warm.state.taken.get(message, (0, 1))
            return warm.state.sealed or done >= total or message in self._known(stream, warm, [known])
        except BaseException:
            self._warm.pop(stream, None)
            raise

    def sealed(self, stream: str) -> bool:
        """Whether a stream that was just appended to takes nothing any more, for its site is deleted."""
        return stream in self._warm and self._warm[stream].state.sealed

    def crowded(self, stream: str) -> list[Kind]:
        """The kinds of names of which a stream that was just appended to has more than it may have."""
        state = self._warm[stream].state if stream in self._warm else Stream()
        return [kind for kind in Kind if len(state.ids[kind]) > self._name_limit]

    def _append(self, stream: str, pending: list[Message]) -> None:
        warm = self._catch_up(stream)
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
                self._log.put(
                    stream, draft.segment.number, data, max(int(self._now()), draft.segment.clock) + SEGMENT_LIFE
                )
            except Conflict:
                self._sleep(random.random() * 0.05)  # noqa: S311 - jitter
                warm = self._catch_up(stream)
                known |= self._known(stream, warm, pending)
            else:
                warm.state.commit(draft)
                warm.took(draft.segment, len(data))
        self._ask(stream, warm)
        self._forget(keep=stream)

    # --- what is known ----------------------------------------------------------------------------------------

    def _catch_up(self, stream: str) -> _Warm:
        """The stream with everything that was written by now."""
        warm = self._warm.pop(stream, None)
        if warm is None or self._now() - warm.used > IDLE or not self._read(stream, warm):
            warm = self._load(stream)
        warm.used = self._now()
        self._warm[stream] = warm
        return warm

    def _load(self, stream: str) -> _Warm:
        while True:
            manifest, state = load(self._rollups, stream, self._name_limit)
            warm = _Warm(state, manifest, self._now())
            self._read(stream, warm, fresh=True)
            if state.epoch == manifest.epoch or not moved(self._rollups, stream, manifest):
                return warm

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

    def _forget(self, keep: str) -> None:
        idle = [name for name, warm in self._warm.items() if self._now() - warm.used > IDLE]
        for name in idle:
            del self._warm[name]
        while len(self._warm) > 1 and sum(warm.size for warm in self._warm.values()) > self._memory:
            name = next(iter(self._warm))
            if name == keep:
                break
            del self._warm[name]


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
    found = rollups.manifest(stream)
    return manifests.unpack(*found) if found else Manifest()


def moved(rollups: RollupStore, stream: str, manifest: Manifest) -> bool:
    """Whether another manifest is there than this one.

    A redaction rewrites what lies below its marker, and lets go of what the marker orders, once a manifest has taken
    the marker in. Whoever met the marker in the tail of a manifest that is still there has read all of the tail before
    that; anyone else has to begin anew.
    """
    found = rollups.manifest(stream)
    return (found[0] if found else 0) != manifest.version


def load(rollups: RollupStore, stream: str, name_limit: int = names.LIMIT) -> tuple[Manifest, Stream]:
    """What a writer has to know at the watermark: from the manifest, the names and the checkpoint of sessions."""
    manifest = read_manifest(rollups, stream)
    wanted = {ref.id for ref in (*manifest.names, *manifest.sessions)}
    found = rollups.get(stream, wanted) if wanted else {}
    state = Stream(
        name_limit=name_limit,
        head=manifest.watermark,
        epoch=manifest.epoch,
        next_event=manifest.next_event,
        next_session=manifest.next_session,
    )
    state.learn_names(load_names(manifest, found).texts)
    state.rename(manifest.pending)
    state.window.clock = manifest.clock
    for ref in manifest.sessions:
        if ref.id in found:  # sessions that ended long ago end by themselves; those that may live must be there
            state.window.load(found[ref.id])
    state.window.evict()
    state.titles.waiting.update(((path, title), (seen, since)) for path, title, seen, since in manifest.titles)
    state.taken.update((message, (done, total)) for message, done, total in manifest.open)
    return manifest, state


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
