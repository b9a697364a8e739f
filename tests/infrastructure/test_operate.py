"""Parked messages go back to their queues as they were."""

import uuid
from typing import TYPE_CHECKING, Any

import pytest

from infrastructure import operate
from tests.conftest import World

if TYPE_CHECKING:
    from types_boto3_sqs import SQSClient


@pytest.fixture
def sqs(world: World) -> "SQSClient":
    """A client for queues of a test's own."""
    client: SQSClient = world.client("sqs")
    return client


def _pair(sqs: "SQSClient", kind: Any) -> tuple[str, str]:
    end = ".fifo" if kind else ""
    name = uuid.uuid4().hex
    urls = [sqs.create_queue(QueueName=f"{name}{n}{end}", Attributes=kind)["QueueUrl"] for n in ("p", "q")]
    return urls[0], urls[1]


def _all(sqs: "SQSClient", url: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    while more := sqs.receive_message(
        QueueUrl=url, MaxNumberOfMessages=10, MessageSystemAttributeNames=["All"], MessageAttributeNames=["All"]
    ).get("Messages", []):
        found.extend(dict(message) for message in more)
    return found


def test_all_parked_messages_move_with_their_attributes(sqs: "SQSClient") -> None:
    """Bodies and attributes are the same; the dead-letter queue is empty after it."""
    parked, target = _pair(sqs, {})
    for number in range(25):
        sqs.send_message(
            QueueUrl=parked,
            MessageBody=f"body {number}",
            MessageAttributes={"kind": {"DataType": "String", "StringValue": str(number)}},
        )
    assert operate.redrive(sqs, parked, target) == 25
    moved = {m["Body"]: m["MessageAttributes"]["kind"]["StringValue"] for m in _all(sqs, target)}
    assert moved == {f"body {number}": str(number) for number in range(25)}
    assert operate.redrive(sqs, parked, target) == 0


def test_fifo_messages_keep_their_group_and_get_a_fresh_deduplication_id(sqs: "SQSClient") -> None:
    """SQS would silently drop a message with the id that it saw minutes ago."""
    parked, target = _pair(sqs, {"FifoQueue": "true"})
    for number in range(3):
        sqs.send_message(
            QueueUrl=parked, MessageBody=str(number), MessageGroupId="g", MessageDeduplicationId=f"old-{number}"
        )
    assert operate.redrive(sqs, parked, target) == 3
    moved = _all(sqs, target)
    assert [message["Body"] for message in moved] == ["0", "1", "2"]
    assert {message["Attributes"]["MessageGroupId"] for message in moved} == {"g"}
    ids = {message["Attributes"]["MessageDeduplicationId"] for message in moved}
    assert len(ids) == 3
    assert not any(name.startswith("old") for name in ids)


def test_what_is_parked_meanwhile_stays_parked(sqs: "SQSClient") -> None:
    """Messages that fail again at once do not keep a redrive busy for ever."""
    parked, target = _pair(sqs, {})
    sqs.send_message(QueueUrl=parked, MessageBody="later")
    assert operate.redrive(sqs, parked, target, clock=lambda: 1_000_000_000) == 0
    assert _all(sqs, target) == []
