"""What an operator does now and then: put parked messages back into their queues."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types_boto3_sqs import SQSClient
    from types_boto3_sqs.type_defs import MessageTypeDef

PARKED: Mapping[str, tuple[str, str]] = {
    "ingest": ("COUNTLESS_PARKED_QUEUE", "COUNTLESS_INGEST_QUEUE"),
    "imports": ("COUNTLESS_PARKED_IMPORTS_QUEUE", "COUNTLESS_IMPORTS_QUEUE"),
    "fold": ("COUNTLESS_PARKED_FOLD_QUEUE", "COUNTLESS_FOLD_QUEUE"),
    "removals": ("COUNTLESS_PARKED_REMOVALS_QUEUE", "COUNTLESS_REMOVALS_QUEUE"),
    "exports": ("COUNTLESS_PARKED_EXPORTS_QUEUE", "COUNTLESS_EXPORTS_QUEUE"),
    "redactions": ("COUNTLESS_PARKED_REDACTIONS_QUEUE", "COUNTLESS_REDACTIONS_QUEUE"),
}
"""For each queue the variables with the URLs of its dead-letter queue and of itself."""

HIDDEN = 60
"""Seconds in which a batch must be moved; after that it can be received again, and doubles are counted once."""


def redrive(sqs: SQSClient, parked: str, target: str, clock: Callable[[], float] = time.time) -> int:
    """Move every message of the dead-letter queue `parked` to `target`; how many were moved.

    Bodies and attributes stay as they are. In a FIFO queue a message keeps its group and gets a fresh
    deduplication id, lest SQS take it for the one that failed. A message is deleted only once it was sent, so a
    crash between the two sends it twice. What is parked while this runs stays parked, so it ends.
    """
    started = clock() * 1000
    moved = 0
    while messages := _receive(sqs, parked):
        old = [m for m in messages if int(m.get("Attributes", {}).get("SentTimestamp", "0")) <= started]
        for message in old:
            sqs.send_message(QueueUrl=target, **_again(message))
            sqs.delete_message(QueueUrl=parked, ReceiptHandle=message["ReceiptHandle"])
        moved += len(old)
        if len(old) < len(messages):
            break
    return moved


def _receive(sqs: SQSClient, url: str) -> list[MessageTypeDef]:
    """Some messages; none only if there are none: a long poll asks all of SQS's servers."""
    received = sqs.receive_message(
        QueueUrl=url,
        MaxNumberOfMessages=10,
        WaitTimeSeconds=1,
        VisibilityTimeout=HIDDEN,
        MessageSystemAttributeNames=["All"],
        MessageAttributeNames=["All"],
    )
    return received.get("Messages", [])


def _again(message: MessageTypeDef) -> dict[str, Any]:
    """The arguments that send the same message once more."""
    said: dict[str, Any] = {
        "MessageBody": message["Body"],
        "MessageAttributes": {
            name: {key: value for key, value in attribute.items() if key in ("DataType", "StringValue", "BinaryValue")}
            for name, attribute in message.get("MessageAttributes", {}).items()
        },
    }
    group = message.get("Attributes", {}).get("MessageGroupId")
    if group is not None:
        said["MessageGroupId"] = group
        said["MessageDeduplicationId"] = uuid.uuid4().hex
    return said
