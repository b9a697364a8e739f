"""Messages on their way: into SQS in one piece, by way of S3 if they are too large for it."""

import json
import logging
from collections.abc import Sequence
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from chalicelib.core import messages
from chalicelib.core.errors import Poison, Unavailable
from chalicelib.core.exports import Job
from chalicelib.core.messages import BodyGone, Message
from chalicelib.core.walking import Stage

from . import sending

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client
    from types_boto3_sqs import SQSClient

LARGEST = 900_000
"""Characters of a queue message: SQS takes 1 MiB, attributes included."""
BODIES = "bodies/"
"""How the keys of bodies in the bucket begin."""
POINTER = "s3:"
"""How a queue message begins whose body is in the bucket."""


class SqsIngest:
    """Where accepted requests go. Live hits to one queue; imports, whose order matters, to a FIFO queue by stream."""

    def __init__(self, sqs: "SQSClient", s3: "S3Client", *, live: str, imports: str, bucket: str) -> None:
        self._sqs = sqs
        self._s3 = s3
        self._live = live
        self._imports = imports
        self._bucket = bucket

    def accept(self, message: Message) -> None:
        """Hands a message over; when it returns, it will be counted.

        Raises:
            Unavailable: it may or may not be counted. Handing it over again counts it once, by its id.
        """
        try:
            self._send(message, self._body(message))
        except (ClientError, BotoCoreError) as error:
            raise Unavailable("the queue did not take the request") from error

    def tell(self, message: Message) -> None:
        """Hands over a message that counts nothing and only tells of drops.

        Raises:
            Unavailable: it may or may not have arrived.
        """
        try:
            self._sqs.send_message(QueueUrl=self._live, MessageBody=message.encode())
        except (ClientError, BotoCoreError) as error:
            raise Unavailable("the queue did not take a message") from error

    def _body(self, message: Message) -> str:
        body = message.encode()
        if len(body) <= LARGEST:
            return body
        key = f"{BODIES}{message.stream}/{message.accepted}-{message.id:016x}"
        self._s3.put_object(Bucket=self._bucket, Key=key, Body=body.encode())
        return f"{POINTER}{key}"

    def _send(self, message: Message, body: str) -> None:
        if message.historic:
            # The log tells copies apart. SQS only needs an id that a retried call shares and another request does not.
            self._sqs.send_message(
                QueueUrl=self._imports,
                MessageBody=body,
                MessageGroupId=message.stream,
                MessageDeduplicationId=f"{message.id:016x}-{message.accepted}",
            )
        else:
            self._sqs.send_message(QueueUrl=self._live, MessageBody=body)

    def open(self, body: str) -> Message:
        """The message of a queue message's body.

        Raises:
            Poison: there is none, and never will be.
            BodyGone: it was deleted: once its message is counted, by a redaction; else only long after.
        """
        if not body.startswith(POINTER):
            return messages.decode(body)
        key = body.removeprefix(POINTER)
        try:
            found = self._s3.get_object(Bucket=self._bucket, Key=key)
        except self._s3.exceptions.NoSuchKey as error:
            raise _gone(key) from error
        return messages.decode(found["Body"].read().decode(errors="replace"))


def message_of(key: str) -> tuple[int, int]:
    """Id and moment of acceptance of the message whose body stands under a key."""
    accepted, _, message = key.rpartition("/")[2].partition("-")
    return int(message, 16), int(accepted)


def _gone(key: str) -> Poison:
    try:
        message, accepted = message_of(key)
    except ValueError:
        return Poison("there is no such body in the bucket")
    return BodyGone(key.removeprefix(BODIES).rpartition("/")[0], accepted, message)


class SqsFolds:
    """Asks for folds by a FIFO queue grouped by stream, so that one fold of a stream runs at a time."""

    def __init__(self, sqs: "SQSClient", queue: str) -> None:
        self._sqs = sqs
        self._queue = queue

    def ask(self, stream: str, head: int) -> None:
        """As `Folds.ask`: the same request within five minutes is one. If SQS refuses it, the next append asks."""
        try:
            self._send(stream, {"stream": stream}, f"fold-{head}")
        except (ClientError, BotoCoreError):
            logging.getLogger(__name__).warning("a fold could not be asked for")

    def ask_sweeps(self, streams: Sequence[str], day: int) -> list[int]:
        """Asks for the sweep of some streams, ten in a call; the indexes of those that could not be asked for."""
        asked = [_fold(stream, {"stream": stream, "sweep": True}, f"sweep-{day}") for stream in streams]
        return sending.send(self._sqs, self._queue, asked)

    def _send(self, stream: str, body: dict[str, object], once: str) -> None:
        self._sqs.send_message(QueueUrl=self._queue, **_fold(stream, body, once))


def _fold(stream: str, body: dict[str, object], once: str) -> dict[str, Any]:
    """What the queue of folds takes."""
    return {
        "MessageBody": json.dumps(body),
        "MessageGroupId": stream,
        "MessageDeduplicationId": sha256(f"{stream} {once}".encode()).hexdigest(),
    }


class SqsWalks:
    """Where pages of walks wait."""

    def __init__(self, sqs: "SQSClient", queue: str) -> None:
        self._sqs = sqs
        self._queue = queue

    def send(self, stages: Sequence[Stage]) -> None:
        """Hands stages over, ten in a call.

        Raises:
            Unavailable: the queue did not take all of them.
        """
        if sending.send(self._sqs, self._queue, [{"MessageBody": stage.encode()} for stage in stages]):
            raise Unavailable("the queue did not take all pages of a walk")


class SqsExports:
    """Where exports are asked for (`exports.Queue`). Every method may raise `Unavailable`."""

    def __init__(self, sqs: "SQSClient", queue: str, parked: str) -> None:
        self._sqs = sqs
        self._queue = queue
        self._parked = parked

    def ask(self, job: Job) -> None:
        """As `Queue.ask`."""
        self._send(self._queue, {"account": job.account, "export": job.id})

    def park(self, job: Job) -> None:
        """As `Queue.park`. Sent back from there, the message has the job begun anew."""
        self._send(self._parked, {"account": job.account, "export": job.id, "again": True})

    def _send(self, queue: str, body: dict[str, object]) -> None:
        try:
            self._sqs.send_message(QueueUrl=queue, MessageBody=json.dumps(body))
        except (ClientError, BotoCoreError) as error:
            raise Unavailable("the queue did not take the request for an export") from error


def park(sqs: "SQSClient", queue: str, record: dict[str, Any]) -> None:
    """Puts a received message, as the queue function got it, into a dead-letter queue."""
    ordered: dict[str, Any] = {}
    if queue.endswith(".fifo"):
        attributes = record["attributes"]
        ordered = {
            "MessageGroupId": attributes["MessageGroupId"],
            "MessageDeduplicationId": f"parked-{record['messageId']}",
        }
    sqs.send_message(QueueUrl=queue, MessageBody=record["body"], **ordered)


def postpone(sqs: "SQSClient", queue: str, record: dict[str, Any], seconds: int) -> None:
    """Has a received message that is not acknowledged come again after so many seconds, whatever its queue says."""
    sqs.change_message_visibility(QueueUrl=queue, ReceiptHandle=record["receiptHandle"], VisibilityTimeout=seconds)
