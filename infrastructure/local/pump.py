"""Lambda's event source mappings in a local run: messages go from SQS queues to the functions that declare them.

Records have the shape that Lambda gives them, and its rules hold: what a function names in `batchItemFailures`
stays in the queue, after an exception everything does, and the queue's redrive policy parks what fails too often.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from chalice.app import Chalice, SQSEventConfig

from infrastructure.local.context import REGION, LambdaContext

if TYPE_CHECKING:
    from types_boto3_sqs import SQSClient
    from types_boto3_sqs.type_defs import MessageTypeDef

LOG = logging.getLogger(__name__)

Handler = Callable[[dict[str, Any], LambdaContext], Any]

RECEIVE_MOST = 10
"""SQS never gives more at once."""
POLL = 1
"""Seconds of a long poll: as long as a stop may take to be noticed."""
PATIENT_POLL = 20
"""Seconds of a long poll, as long as SQS has them, of queues that end with this process: who has nothing to do is to
cost nothing, and nobody misses what a poll receives after a stop."""
LONGEST_WINDOW = 0.25
"""Seconds for which a batch is gathered, at most: on AWS a window saves invocations, here it only delays."""
LARGEST_BATCH = 6 * 1024 * 1024
"""Bytes of bodies in one invocation: Lambda takes no more."""
AFTER_AN_OUTAGE = 1.0
"""Seconds until queues are asked again after AWS did not answer."""


@dataclass(frozen=True, slots=True)
class Source:
    """A queue and the function that it feeds."""

    function: str
    url: str
    arn: str
    batch_size: int
    window: float


def sources(app: Chalice, environment: Mapping[str, str], sqs: SQSClient) -> list[Source]:
    """The queues that the app's functions declare.

    A function names its queue by a placeholder ARN, the same that the deployment's template replaces: its last
    part, `ingest` say, stands for the queue whose URL is in `COUNTLESS_INGEST_QUEUE`.
    """
    found = []
    for declared in app.event_sources:
        if not isinstance(declared, SQSEventConfig):
            continue
        name = str(declared.queue_arn or declared.queue).rpartition(":")[2].removesuffix(".fifo")
        variable = f"COUNTLESS_{name.upper().replace('-', '_')}_QUEUE"
        if variable not in environment:
            raise LookupError(f"function {declared.name} reads the queue {name!r}, but {variable} names none")
        url = environment[variable]
        arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        window = min(LONGEST_WINDOW, declared.maximum_batching_window_in_seconds)
        found.append(Source(declared.name, url, arn, declared.batch_size, window))
    return found


def record(message: MessageTypeDef, arn: str) -> dict[str, Any]:
    """A received message as Lambda shows it to a function."""
    return {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": dict(message.get("Attributes", {})),
        "messageAttributes": {
            name: {
                "stringValue": value.get("StringValue"),
                "stringListValues": [],
                "binaryListValues": [],
                "dataType": value["DataType"],
            }
            for name, value in message.get("MessageAttributes", {}).items()
        },
        "md5OfBody": message["MD5OfBody"],
        "eventSource": "aws:sqs",
        "eventSourceARN": arn,
        "awsRegion": arn.split(":")[3] or REGION,
    }


def failed(said: object, ids: Sequence[str]) -> set[str]:
    """Which of the messages the function's answer leaves in the queue.

    Lambda's rule: those named in `batchItemFailures`; all of them if what is named makes no sense; none if there
    is no such list.
    """
    named = said.get("batchItemFailures") if isinstance(said, dict) else None
    if not named:
        return set()
    if not isinstance(named, list) or not all(isinstance(item, dict) for item in named):
        return set(ids)
    found = {item.get("itemIdentifier") for item in named}
    return cast("set[str]", found) if found <= set(ids) else set(ids)


class Pump:
    """Feeds functions from their queues: in threads with `start`, or step by step with `deliver` and `settle`."""

    def __init__(self, sqs: SQSClient, handlers: Mapping[str, Handler], feeds: Sequence[Source]) -> None:
        self._sqs = sqs
        self._handlers = handlers
        self._feeds = feeds
        self._stop = threading.Event()
        self._poll = POLL
        self._invoking: set[str] = set()
        self._threads: list[threading.Thread] = []

    @classmethod
    def of(cls, app: Chalice, environment: Mapping[str, str], sqs: SQSClient) -> Pump:
        """A pump for all the queues that the app's functions declare."""
        return cls(sqs, app.handler_map, sources(app, environment, sqs))

    def start(self, poll: int = POLL) -> None:
        """Poll each queue in a thread of its own until `stop`, for so many seconds at a time."""
        self._poll = poll
        for feed in self._feeds:
            thread = threading.Thread(target=self._run, args=(feed,), name=f"pump-{feed.function}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def stop(self, patience: float = 3.0) -> None:
        """Receive nothing more, and wait `patience` seconds at most for the batches under way; and for polls, if they
        are short.
        """
        self._stop.set()
        until = time.monotonic() + patience
        for thread in self._threads if self._poll <= POLL else ():
            thread.join(max(0.0, until - time.monotonic()))
        while self._invoking and time.monotonic() < until:
            time.sleep(0.01)

    def settle(self, most: int = 10_000) -> int:
        """Deliver until no queue has a visible message, in the calling thread; how many were delivered.

        Failures come back when they become visible again, so they do not keep this from ending.
        """
        total = 0
        while (delivered := sum(self.deliver(feed.function) for feed in self._feeds)) > 0:
            total += delivered
            if total > most:
                raise RuntimeError(f"the queues do not come to rest: {total} messages were delivered")
        return total

    def deliver(self, function: str) -> int:
        """Give the function one batch of what its queue has now; how many messages that were."""
        return sum(
            self._invoke(feed, self._gather(feed, wait=0, window=0.0))
            for feed in self._feeds
            if feed.function == function
        )

    def _run(self, feed: Source) -> None:
        answering = True
        while not self._stop.is_set():
            try:
                messages = self._gather(feed, self._poll, feed.window)
                self._invoking.add(feed.function)
                try:
                    if self._stop.is_set():
                        self._give_back(feed, messages)
                    else:
                        self._invoke(feed, messages)
                finally:
                    self._invoking.discard(feed.function)
                answering = True
            except Exception as error:  # whatever it was, the queue must go on being read
                if answering and not self._stop.is_set():
                    LOG.warning("the queue of %s does not answer: %s", feed.function, type(error).__name__)
                answering = False
                self._stop.wait(AFTER_AN_OUTAGE)

    def _gather(self, feed: Source, wait: int, window: float) -> list[MessageTypeDef]:
        found = self._receive(feed, feed.batch_size, wait)
        until = time.monotonic() + window
        while found and len(found) < feed.batch_size:
            more = self._receive(feed, feed.batch_size - len(found), 0)
            found += more
            if not more and (time.monotonic() >= until or self._stop.wait(min(window, 0.05))):
                break
        return found

    def _receive(self, feed: Source, room: int, wait: int) -> list[MessageTypeDef]:
        received = self._sqs.receive_message(
            QueueUrl=feed.url,
            MaxNumberOfMessages=min(RECEIVE_MOST, room),
            WaitTimeSeconds=wait,
            MessageSystemAttributeNames=["All"],
            MessageAttributeNames=["All"],
        )
        return received.get("Messages", [])

    def _give_back(self, feed: Source, messages: Sequence[MessageTypeDef]) -> None:
        for message in messages:
            self._sqs.change_message_visibility(
                QueueUrl=feed.url, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=0
            )

    def _invoke(self, feed: Source, messages: Sequence[MessageTypeDef]) -> int:
        for batch in _payloads(messages):
            records = [record(message, feed.arn) for message in batch]
            try:
                said = self._handlers[feed.function]({"Records": records}, LambdaContext(feed.function))
            except Exception as error:  # as for Lambda: all of the batch will come again
                LOG.warning("%s failed on %d messages: %s", feed.function, len(batch), type(error).__name__)
                continue
            kept = failed(said, [message["MessageId"] for message in batch])
            if kept:
                LOG.warning("%s gave back %d of %d messages", feed.function, len(kept), len(batch))
            self._delete(feed, [message for message in batch if message["MessageId"] not in kept])
        return len(messages)

    def _delete(self, feed: Source, messages: Sequence[MessageTypeDef]) -> None:
        for start in range(0, len(messages), RECEIVE_MOST):
            chunk = messages[start : start + RECEIVE_MOST]
            self._sqs.delete_message_batch(
                QueueUrl=feed.url,
                Entries=[{"Id": str(i), "ReceiptHandle": m["ReceiptHandle"]} for i, m in enumerate(chunk)],
            )


def _payloads(messages: Sequence[MessageTypeDef]) -> Iterator[list[MessageTypeDef]]:
    """The messages in as few invocations as Lambda's payload limit allows, in order."""
    batch: list[MessageTypeDef] = []
    size = 0
    for message in messages:
        if batch and size + len(message["Body"]) > LARGEST_BATCH:
            yield batch
            batch, size = [], 0
        batch.append(message)
        size += len(message["Body"])
    if batch:
        yield batch
