"""Messages into SQS by the ten, the most that it takes at once: what it refuses for now is sent again."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from .calls import pause

if TYPE_CHECKING:
    from types_boto3_sqs import SQSClient

AT_ONCE = 10
"""Entries that SQS takes in one call."""
BYTES_AT_ONCE = 1_000_000
"""Bytes that it takes in one call are 1 MiB, attributes included."""
TRIES = 4
"""How often what SQS refused is sent, waiting longer each time: a second in all."""

Entry = Mapping[str, Any]
"""What `SendMessage` takes besides the queue: `MessageBody`, for FIFO queues the group, perhaps a delay."""


def send(sqs: "SQSClient", queue: str, entries: Sequence[Entry]) -> list[int]:
    """Sends messages, in order; the indexes of those that SQS did not take, or of which nobody can say."""
    left = list(enumerate(entries))
    for attempt in range(TRIES):
        if attempt:
            pause(attempt + 3)
        left = [each for chunk in _chunks(left) for each in _send(sqs, queue, chunk)]
        if not left:
            return []
    return [index for index, _ in left]


def _send(sqs: "SQSClient", queue: str, chunk: Sequence[tuple[int, Entry]]) -> list[tuple[int, Entry]]:
    """Sends what one call takes; gives what is left to be sent."""
    entries: list[Any] = [{**entry, "Id": str(index)} for index, entry in chunk]
    try:
        answer = sqs.send_message_batch(QueueUrl=queue, Entries=entries)
    except (ClientError, BotoCoreError):
        return list(chunk)
    refused = {failure["Id"] for failure in answer.get("Failed", [])}
    return [(index, entry) for index, entry in chunk if str(index) in refused]


def show(sqs: "SQSClient", queue: str, receipts: Sequence[str]) -> None:
    """Has received messages come again at once. Those that SQS does not do it for come when their queue says so."""
    for start in range(0, len(receipts), AT_ONCE):
        entries: list[Any] = [
            {"Id": str(number), "ReceiptHandle": receipt, "VisibilityTimeout": 0}
            for number, receipt in enumerate(receipts[start : start + AT_ONCE])
        ]
        sqs.change_message_visibility_batch(QueueUrl=queue, Entries=entries)


def _chunks(entries: Sequence[tuple[int, Entry]]) -> Iterator[list[tuple[int, Entry]]]:
    chunk: list[tuple[int, Entry]] = []
    size = 0
    for index, entry in entries:
        length = len(entry["MessageBody"].encode(errors="replace"))
        if chunk and (len(chunk) == AT_ONCE or size + length > BYTES_AT_ONCE):
            yield chunk
            chunk, size = [], 0
        chunk.append((index, entry))
        size += length
    if chunk:
        yield chunk
