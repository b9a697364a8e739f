"""Messages that nobody can read, and messages that come back from the dead-letter queue."""

import secrets
import signal
import time
import uuid

from chalicelib.core.events import Hit
from chalicelib.core.messages import Message
from tests.clients.stack import Aws, Service, until


def message(service: Service, *paths: str) -> Message:
    """A message as the service makes them, for its site."""
    now = int(time.time())
    hits = tuple(Hit(path, "", False, "", "o", "", "", "", "", "", 0, now, 0, 0) for path in paths)
    return Message(secrets.randbits(63), now, service.stream, derived=False, hits=hits)


def counted(service: Service, *paths: str) -> list[int]:
    """Visits of each path."""
    asked = [{"path_by_name": "true", "include_paths": path} for path in paths]
    return [service.total(**query) for query in asked]


def test_poison_is_parked_and_keeps_nothing_else_from_being_counted(aws: Aws, beside: Service) -> None:
    """Garbage before, between and behind good messages of one batch; all others count, once."""
    queue, parked = aws.queue("INGEST"), aws.queue("PARKED")
    paths = [f"/{uuid.uuid4().hex}" for _ in range(4)]
    good = [message(beside, path).encode() for path in paths]
    garbage = ["garbage", good[0][:-30], "s3:bodies/that/is/gone", "bm8gbWVzc2FnZQ==", "\N{SNOWMAN}"]
    mixed = [garbage[0], good[0], garbage[1], good[1], garbage[2], good[2], good[2], garbage[3], good[3], garbage[4]]
    assert beside.process is not None
    beside.process.signal(signal.SIGSTOP)  # so that one batch takes them all
    try:
        for body in mixed:
            aws.sqs.send_message(QueueUrl=queue, MessageBody=body)
    finally:
        beside.process.signal(signal.SIGCONT)
    aws.settle()
    assert counted(beside, *paths) == [1, 1, 1, 1]
    received = aws.sqs.receive_message(QueueUrl=parked, MaxNumberOfMessages=10)["Messages"]
    assert sorted(message["Body"] for message in received) == sorted(garbage)
    for found in received:
        aws.sqs.delete_message(QueueUrl=parked, ReceiptHandle=found["ReceiptHandle"])
    assert not any(aws.settle().values())
    aws.audit(beside.stream)


def test_a_redriven_message_counts_once(aws: Aws, beside: Service) -> None:
    """If it was never counted it is now; if it was, nothing changes, not even after a fold."""
    paths = [f"/{uuid.uuid4().hex}" for _ in range(3)]
    body = message(beside, *paths).encode()
    for round_ in range(2):
        assert counted(beside, *paths) == [round_] * 3
        aws.sqs.send_message(QueueUrl=aws.queue("PARKED"), MessageBody=body)
        assert aws.redrive("ingest") == "ingest: 1 messages moved\n"
        until("it is counted", lambda: counted(beside, *paths) == [1] * 3)
        aws.sweep(beside.stream)
    assert counted(beside, *paths) == [1] * 3
    aws.audit(beside.stream)


def test_poison_among_imports_does_not_block_those_behind_it(aws: Aws, beside: Service) -> None:
    """The FIFO queue waits for what fails, but not for what can never succeed."""
    path = f"/{uuid.uuid4().hex}"
    aws.sqs.send_message(
        QueueUrl=aws.queue("IMPORTS"),
        MessageBody="garbage",
        MessageGroupId=beside.stream,
        MessageDeduplicationId=uuid.uuid4().hex,
    )
    beside.count({"path": path, "created_at": "2002-02-02T02:02:02Z"})
    beside.imports_arrived()
    query = {"start": "2002-02-02", "end": "2002-02-03", "path_by_name": "true", "include_paths": path}
    assert beside.total(**query) == 1
    assert aws.settle() == {"PARKED": 0, "PARKED_IMPORTS": 1, "PARKED_FOLD": 0}
    aws.sqs.purge_queue(QueueUrl=aws.queue("PARKED_IMPORTS"))
