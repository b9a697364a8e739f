"""Takes queued messages into the log: the functions `append` (live) and `append_imports` (history, in order).

Each message is acknowledged by itself. What can never be processed goes to the dead-letter queue at once, so that it
neither blocks its batch nor, in the FIFO queue, drags its successors along; what failed for now comes again. What there
is no time for is handed back before the function ends, so that each batch makes progress however many sites it is of.

What to be told of, with the threshold of an alarm:

MessagesParked      any      somebody has to look why, and send them back
MessagesHandedBack  an hour  batches are longer than the function runs: nothing is lost, but it falls behind
StreamsCrowded      any      strangers have made as many names of a site as they may
ViewsAlone          any      a site has as many sessions as it may: it counts more visits than its visitors make
BotsLost            any      what robots sent could not be kept
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from chalice.app import Blueprint, SQSEvent

from chalicelib import wiring
from chalicelib.core import drops
from chalicelib.core.errors import Poison
from chalicelib.core.log import Appended, Foreseen, Late
from chalicelib.core.messages import BodyGone, Message
from chalicelib.observability import count, event_function, logger

from . import queued

blueprint = Blueprint(__name__)

QUEUE = "arn:aws:sqs:us-east-1:123456789012:"
"""Where queues are, until deployment puts the real ones in their place."""

WINDOW = 5
"""Seconds for which a poller gathers messages: what is counted shows within ten, and a segment holds what came."""
POLLERS = 2
"""So many batches at once, the fewest that SQS offers: each would cut the traffic into smaller segments, which cost
more, and race the others for a hot stream. Under load batches grow instead."""
WORKERS = 8
"""So many streams at once: a stream's calls wait for DynamoDB, not for the processor."""
TOGETHER = 50
"""So many streams are read of together: a thread then has 100 keys to ask for, as many as one call takes."""
AT_ONCE = 50_000
"""Hits that are unpacked before they are appended: a batch of the queue may hold far more than fits into memory."""
SPARE = 20.0
"""Seconds that must be left to begin with a stream: as long as its calls may take while DynamoDB hardly answers, and
then what is left is handed back."""
APPENDING = 20.0
"""Seconds besides these that are left to append what was opened: bodies in the bucket may take long to come."""
ENDING = 5.0
"""Seconds that must be left to go on handing back."""
RENEWED = 5
"""What was received so often, and there was no time for again, is sent anew: it is slow, not faulty, and the queue
parks what was received twenty times."""

Record = dict[str, Any]
Batch = list[tuple[Record, Message]]
T = TypeVar("T")
R = TypeVar("R")


@blueprint.on_sqs_message(
    queue_arn=f"{QUEUE}ingest",
    batch_size=5000,
    maximum_batching_window_in_seconds=WINDOW,
    maximum_concurrency=POLLERS,
    name="append",
)
@event_function
def append(event: SQSEvent) -> dict[str, list[dict[str, str]]]:
    """Appends live messages, those first that were received most often: what was handed back is not overtaken."""
    records = sorted(event.to_dict()["Records"], key=queued.receives, reverse=True)
    given = wiring.settings()
    return _Append(given.ingest_queue, given.parked_queue, event.context).run(records)


@blueprint.on_sqs_message(queue_arn=f"{QUEUE}imports", batch_size=10, name="append_imports")
@event_function
def append_imports(event: SQSEvent) -> dict[str, list[dict[str, str]]]:
    """Appends imported messages, in the order in which they were accepted."""
    given = wiring.settings()
    return _Append(given.imports_queue, given.parked_imports_queue, event.context).run(event.to_dict()["Records"])


@dataclass(slots=True)
class _Done:
    """What became of the messages of one stream in a batch."""

    stream: str
    batch: Batch
    appended: Appended | None = None
    """None if they have to come again."""
    tried: bool = True
    lost: int = 0
    """How many hits of bots could not be kept."""


class _Append:
    """A batch on its way into the log. Threads do what waits for AWS; what they found is told here, by one."""

    def __init__(self, queue: str, parked: str, context: object) -> None:
        self._queue = queue
        self._parked = parked
        self._remaining = queued.remaining(context)
        self._appender = wiring.appender()
        self._failed: set[str] = set()
        self._untried: list[Record] = []
        self._waiting: set[str] = set()
        """FIFO groups of which a message comes again: those behind it must not overtake it."""
        self._begun = False
        self._dead = False
        self._events = 0

    def run(self, records: Sequence[Record]) -> dict[str, list[dict[str, str]]]:
        """Appends the records' messages. Says which have to come again."""
        with ThreadPoolExecutor(WORKERS) as pool:
            self._pool = pool
            streams: dict[str, Batch] = {}
            held = 0
            for window in _chunks(records, WORKERS):
                for record, message in self._open_all(window):
                    streams.setdefault(message.stream, []).append((record, message))
                    held += len(message.hits) + len(message.bots)
                if held >= AT_ONCE or (streams and self._remaining() < SPARE + APPENDING):
                    self._append_all(streams)
                    streams, held = {}, 0
            self._append_all(streams)
            self._hand_back()
        if self._events:
            count("EventsAppended", self._events)
        return {"batchItemFailures": [{"itemIdentifier": name} for name in sorted(self._failed)]}

    def _late(self) -> bool:
        """Whether nothing more is begun. Something always is: whatever time is left, a batch makes progress."""
        return self._dead or (self._begun and self._remaining() < SPARE)

    def _side_by_side(self, work: Callable[[T], R], items: Sequence[T]) -> list[R]:
        return list(map(work, items)) if len(items) < 2 else list(self._pool.map(work, items))

    # --- from records to messages -----------------------------------------------------------------------------

    def _open_all(self, window: Sequence[Record]) -> Iterator[tuple[Record, Message]]:
        late = self._late()
        opened = [None] * len(window) if late else self._side_by_side(self._open, window)
        broken: list[tuple[Record, Poison]] = []
        for record, found in zip(window, opened, strict=True):
            group = queued.group(record)
            if late or group in self._waiting:
                self._leave(record)
            elif isinstance(found, Message):
                yield record, found
            elif isinstance(found, Poison):
                broken.append((record, found))
            else:
                self._come_again(record)
        self._park(broken)

    def _open(self, record: Record) -> Message | Poison | None:
        """None if it cannot be opened now."""
        try:
            try:
                return wiring.ingest().open(record["body"])
            except BodyGone as gone:  # as happens to bodies once they are counted, if what they hold is redacted
                if self._appender.has(gone.stream, gone.message, gone.accepted):
                    return Message(gone.message, gone.accepted, gone.stream, derived=False, hits=())
                raise
        except Poison as error:
            return error
        except Exception:
            logger.exception("a message could not be opened", extra={"sqs_message": record["messageId"]})
            return None

    # --- from messages to the log -----------------------------------------------------------------------------

    def _append_all(self, streams: dict[str, Batch]) -> None:
        size = max(1, min(TOGETHER, -(-len(streams) // WORKERS)))
        groups = list(_chunks(list(streams.items()), size))
        for done in self._side_by_side(self._append_some, groups):
            for each in done:
                self._tell(each)

    def _append_some(self, streams: Sequence[tuple[str, Batch]]) -> list[_Done]:
        """Appends to some streams, one after the other."""
        try:
            foreseen = self._foresee([stream for stream, _ in streams])
            return [self._append_to(stream, batch, foreseen.get(stream)) for stream, batch in streams]
        except BaseException:  # the process ends: the other threads must not go on
            self._dead = True
            raise

    def _foresee(self, streams: Sequence[str]) -> dict[str, Foreseen]:
        if len(streams) < 2 or self._late():
            return {}
        try:
            return self._appender.foresee(streams)
        except Exception:
            logger.exception("streams could not be read together", extra={"streams": len(streams)})
            return {}

    def _append_to(self, stream: str, batch: Batch, foreseen: Foreseen | None) -> _Done:
        if self._late():
            return _Done(stream, batch, tried=False)
        self._begun = True
        messages = [message for _, message in batch]
        try:
            appended = self._appender.append(stream, messages, foreseen, self._late)
        except Late:
            return _Done(stream, batch, tried=False)
        except Exception:
            # Some may be in the log already. They are recognised when they come again.
            logger.exception("messages could not be appended", extra={"stream": stream, "messages": len(batch)})
            return _Done(stream, batch)
        if not appended.sealed:
            _keep_drops(stream, messages)
        return _Done(stream, batch, appended, lost=_keep_bots(stream, appended.bots))

    def _tell(self, done: _Done) -> None:
        """Notes what became of the messages of a stream."""
        for record, _ in done.batch:
            if not done.tried:
                self._leave(record)
            elif done.appended is None:
                self._come_again(record)
        if done.appended is None:
            return
        if done.appended.sealed:
            logger.warning(
                "messages of a deleted site are dropped", extra={"stream": done.stream, "messages": len(done.batch)}
            )
            return
        refused = done.appended.refused
        self._park([(record, refused[message.id]) for record, message in done.batch if message.id in refused])
        for kind in done.appended.crowded:
            logger.warning("a stream has too many names", extra={"stream": done.stream, "kind": kind.name})
            count("StreamsCrowded")
        if done.appended.alone:
            logger.warning("a stream has too many sessions", extra={"stream": done.stream})
            count("ViewsAlone", done.appended.alone)
        if done.lost:
            count("BotsLost", done.lost)
        self._events += sum(len(message.hits) for _, message in done.batch)

    # --- what is not in ---------------------------------------------------------------------------------------

    def _come_again(self, record: Record) -> None:
        """Leaves a record in its queue, to come again when that says so."""
        self._failed.add(record["messageId"])
        if group := queued.group(record):
            self._waiting.add(group)

    def _leave(self, record: Record) -> None:
        """Leaves a record that was not tried, to come again at once."""
        self._untried.append(record)
        self._come_again(record)

    def _park(self, broken: Sequence[tuple[Record, Poison]]) -> None:
        """Puts messages into the dead-letter queue; what cannot be put there has to come again."""
        parked = self._side_by_side(lambda each: queued.parked(self._parked, each[0], str(each[1])), broken)
        if broken:
            count("MessagesParked", len(broken))
        for (record, _), there in zip(broken, parked, strict=True):
            if not there:
                self._come_again(record)

    def _hand_back(self) -> None:
        """Has what was not tried come again at once, without being parked for it in the end."""
        if not self._untried:
            return
        count("MessagesHandedBack", len(self._untried))
        renewed: list[Record] = []
        shown: list[Record] = []
        for record in self._untried:
            (renewed if queued.receives(record) >= RENEWED and not queued.group(record) else shown).append(record)
        for sent in self._side_by_side(self._while_time(partial(queued.renew, self._queue)), _tens(renewed)):
            self._failed -= sent or set()
        self._side_by_side(self._while_time(partial(queued.show, self._queue)), _tens(shown))

    def _while_time(self, work: Callable[[Sequence[Record]], R]) -> Callable[[Sequence[Record]], R | None]:
        return lambda records: work(records) if self._remaining() >= ENDING else None


def _keep_bots(stream: str, messages: Sequence[Message]) -> int:
    """Keeps what bots sent, to look into: nobody's figures wait for it. How many hits could not be kept."""
    try:
        if messages:
            wiring.rollups().keep_bots(stream, messages)
    except Exception:
        logger.exception("bots could not be kept", extra={"stream": stream})
        return sum(len(message.bots) for message in messages)
    return 0


def _keep_drops(stream: str, messages: list[Message]) -> None:
    """Adds to the figures of what was not counted, once for all of these messages."""
    try:
        if found := drops.of(messages):
            wiring.drops().add(stream, found)
    except Exception:
        logger.exception("drops could not be added up", extra={"stream": stream})


def _chunks(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    return (items[start : start + size] for start in range(0, len(items), size))


def _tens(records: Sequence[Record]) -> list[Sequence[Record]]:
    return list(_chunks(records, queued.AT_ONCE))
