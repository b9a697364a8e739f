"""Takes queued messages into the log: the functions `append` (live) and `append_imports` (history, in order).

Each message is acknowledged by itself. What can never be processed goes to the dead-letter queue at once, so that it
neither blocks its batch nor, in the FIFO queue, drags its successors along; what failed for now comes again.
"""

from typing import Any

from chalice.app import Blueprint, SQSEvent

from chalicelib import wiring
from chalicelib.core.errors import Poison
from chalicelib.core.messages import BodyGone, Message
from chalicelib.observability import event_function, logger, metrics

from . import queued

blueprint = Blueprint(__name__)

QUEUE = "arn:aws:sqs:us-east-1:123456789012:"
"""Where queues are, until deployment puts the real ones in their place."""

WINDOW = 5
"""Seconds for which a poller gathers messages: what is counted shows within ten, and a segment holds what came."""
POLLERS = 2
"""So many batches at once, the fewest that SQS offers: each would cut the traffic into smaller segments, which cost
more, and race the others for a hot stream. Under load batches grow instead."""

Record = dict[str, Any]
Streams = dict[str, list[tuple[Record, Message]]]
AT_ONCE = 50_000
"""Hits that are unpacked before they are appended: a batch of the queue may hold far more than fits into memory."""


@blueprint.on_sqs_message(
    queue_arn=f"{QUEUE}ingest",
    batch_size=5000,
    maximum_batching_window_in_seconds=WINDOW,
    maximum_concurrency=POLLERS,
    name="append",
)
@event_function
def append(event: SQSEvent) -> dict[str, list[dict[str, str]]]:
    """Appends live messages."""
    return _append(event.to_dict()["Records"], wiring.settings().parked_queue)


@blueprint.on_sqs_message(queue_arn=f"{QUEUE}imports", batch_size=10, name="append_imports")
@event_function
def append_imports(event: SQSEvent) -> dict[str, list[dict[str, str]]]:
    """Appends imported messages, in the order in which they were accepted."""
    return _append(event.to_dict()["Records"], wiring.settings().parked_imports_queue)


def _append(records: list[Record], parked: str) -> dict[str, list[dict[str, str]]]:
    failed: set[str] = set()
    waiting: set[str] = set()
    streams: Streams = {}
    held = 0
    for record in records:
        group = record["attributes"].get("MessageGroupId")  # in the FIFO queue alone
        if group in waiting:
            failed.add(record["messageId"])  # it must not overtake what comes again
            continue
        message = _open(record, parked, failed)
        if message is not None:
            streams.setdefault(message.stream, []).append((record, message))
            held += len(message.hits) + len(message.bots)
        elif group is not None and record["messageId"] in failed:
            waiting.add(group)
        if held >= AT_ONCE:
            late = _append_all(streams, parked)
            failed |= late
            waiting.update(_groups(streams, late))
            streams, held = {}, 0
    failed |= _append_all(streams, parked)
    return {"batchItemFailures": [{"itemIdentifier": name} for name in sorted(failed)]}


def _append_all(streams: Streams, parked: str) -> set[str]:
    return {name for stream, batch in streams.items() for name in _append_to(stream, batch, parked)}


def _groups(streams: Streams, failed: set[str]) -> set[str]:
    """The FIFO groups of which a message failed."""
    records = [record for batch in streams.values() for record, _ in batch]
    groups = {record["attributes"].get("MessageGroupId") for record in records if record["messageId"] in failed}
    return groups - {None}


def _open(record: Record, parked: str, failed: set[str]) -> Message | None:
    try:
        try:
            return wiring.ingest().open(record["body"])
        except BodyGone as gone:  # as happens to bodies once they are counted, if what they hold is redacted
            if not wiring.appender().has(gone.stream, gone.message, gone.accepted):
                raise
    except Poison as error:
        _park(record, parked, error, failed)
    except Exception:
        logger.exception("a message could not be opened", extra={"sqs_message": record["messageId"]})
        failed.add(record["messageId"])
    return None


def _append_to(stream: str, batch: list[tuple[Record, Message]], parked: str) -> set[str]:
    """Appends the messages of one stream; answers with the ids of the records that have to come again."""
    failed: set[str] = set()
    messages = [message for _, message in batch]
    try:
        refused = wiring.appender().append(stream, messages)
    except Exception:
        # Some may be in the log already. They are recognised when they come again.
        logger.exception("messages could not be appended", extra={"stream": stream, "messages": len(batch)})
        return {record["messageId"] for record, _ in batch}
    if wiring.appender().sealed(stream):
        logger.warning("messages of a deleted site are dropped", extra={"stream": stream, "messages": len(batch)})
        return failed
    for record, message in batch:
        if message.id in refused:
            _park(record, parked, refused[message.id], failed)
    for kind in wiring.appender().crowded(stream):
        logger.warning("a stream has too many names", extra={"stream": stream, "kind": kind.name})
        metrics.add_metric(name="StreamsCrowded", unit="Count", value=1)
    metrics.add_metric(name="EventsAppended", unit="Count", value=sum(len(message.hits) for message in messages))
    _keep_bots(stream, messages)
    return failed


def _keep_bots(stream: str, messages: list[Message]) -> None:
    """Keeps what bots sent, to look into: nobody's figures wait for it."""
    try:
        wiring.rollups().keep_bots(stream, messages)
    except Exception:
        logger.exception("bots could not be kept", extra={"stream": stream})
        metrics.add_metric(name="BotsLost", unit="Count", value=sum(len(message.bots) for message in messages))


def _park(record: Record, parked: str, reason: Poison, failed: set[str]) -> None:
    """Puts a message into the dead-letter queue; what cannot be put there has to come again."""
    if not queued.park(parked, record, str(reason)):
        failed.add(record["messageId"])
