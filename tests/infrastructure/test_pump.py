"""The pump feeds functions as Lambda's event source mappings do."""

import threading
import time
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from chalice.app import Chalice, SQSEvent
from moto.sqs.models import sqs_backends

from infrastructure.local.context import ACCOUNT
from infrastructure.local.pump import LARGEST_BATCH, PATIENT_POLL, POLL, Pump, failed, sources
from tests.conftest import World

if TYPE_CHECKING:
    from types_boto3_sqs import SQSClient

Answer = Callable[[list[dict[str, Any]]], Any]


class Rig:
    """A queue of its own, with a dead-letter queue after two receives, and a function that records its calls."""

    def __init__(self, sqs: "SQSClient", answer: Answer, *, fifo: bool = False, batch_size: int = 10) -> None:
        self.sqs = sqs
        self.calls: list[list[dict[str, Any]]] = []
        end = ".fifo" if fifo else ""
        kind: Any = {"FifoQueue": "true"} if fifo else {}
        name = uuid.uuid4().hex
        self.parked = sqs.create_queue(QueueName=f"{name}-parked{end}", Attributes=kind)["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=self.parked, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        policy = f'{{"deadLetterTargetArn": "{arn}", "maxReceiveCount": 2}}'
        self.queue = sqs.create_queue(
            QueueName=f"{name}{end}", Attributes={**kind, "RedrivePolicy": policy, "VisibilityTimeout": "300"}
        )["QueueUrl"]
        app = Chalice("rig")

        @app.on_sqs_message(queue_arn="arn:aws:sqs:eu-central-1:123456789012:rig", batch_size=batch_size, name="work")
        def work(event: SQSEvent) -> Any:
            records = event.to_dict()["Records"]
            self.calls.append(records)
            return answer(records)

        self.pump = Pump.of(app, {"COUNTLESS_RIG_QUEUE": self.queue}, sqs)

    def send(self, *bodies: str, group: str | None = None) -> None:
        for body in bodies:
            order = {"MessageGroupId": group, "MessageDeduplicationId": uuid.uuid4().hex} if group else {}
            self.sqs.send_message(QueueUrl=self.queue, MessageBody=body, **order)  # type: ignore[arg-type]

    def time_out(self) -> None:
        """Let the visibility timeout of everything in flight pass."""
        for message in sqs_backends[ACCOUNT]["eu-central-1"].queues[self.queue.rpartition("/")[2]]._messages:
            message.visible_at = 0.0

    def bodies(self) -> list[list[str]]:
        """What each call got."""
        return [[record["body"] for record in call] for call in self.calls]

    def left(self, url: str) -> list[str]:
        """What is visible in a queue."""
        messages = self.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=0)
        return [message["Body"] for message in messages.get("Messages", [])]


def _failing(poison: set[str]) -> Answer:
    return lambda records: {
        "batchItemFailures": [{"itemIdentifier": r["messageId"]} for r in records if r["body"] in poison]
    }


@pytest.fixture
def sqs(world: World) -> "SQSClient":
    """A client for queues of a test's own."""
    client: SQSClient = world.client("sqs")
    return client


def test_records_have_the_shape_that_lambda_gives_them(sqs: "SQSClient") -> None:
    """Ids, body, checksum, counts, attributes and the queue's ARN."""
    rig = Rig(sqs, lambda _: None)
    sqs.send_message(
        QueueUrl=rig.queue,
        MessageBody="text",
        MessageAttributes={"kind": {"DataType": "String", "StringValue": "x"}},
    )
    assert rig.pump.deliver("work") == 1
    (record,) = rig.calls[0]
    assert record["body"] == "text"
    assert record["md5OfBody"] == "1cb251ec0d568de6a929b520c4aed8d1"
    assert record["attributes"]["ApproximateReceiveCount"] == "1"
    assert record["attributes"]["SentTimestamp"].isdigit()
    assert record["messageAttributes"]["kind"]["stringValue"] == "x"
    assert (record["eventSource"], record["awsRegion"]) == ("aws:sqs", "eu-central-1")
    assert record["eventSourceARN"].endswith(rig.queue.rpartition("/")[2])
    assert record["messageId"]
    assert record["receiptHandle"]


def test_fifo_records_say_their_group_and_order(sqs: "SQSClient") -> None:
    """Group, deduplication id and sequence number are among the attributes."""
    rig = Rig(sqs, lambda _: None, fifo=True)
    rig.send("a", group="g")
    rig.pump.deliver("work")
    attributes = rig.calls[0][0]["attributes"]
    assert attributes["MessageGroupId"] == "g"
    assert attributes["MessageDeduplicationId"]
    assert attributes["SequenceNumber"].isdigit()


def test_what_is_not_named_as_failed_is_deleted(sqs: "SQSClient") -> None:
    """A poison message comes again alone, ends in the dead-letter queue and blocks nobody."""
    rig = Rig(sqs, _failing({"bad"}))
    rig.send("a", "bad", "b")
    for _ in range(3):
        rig.pump.deliver("work")
        rig.time_out()
    assert rig.bodies() == [["a", "bad", "b"], ["bad"]]
    assert rig.left(rig.queue) == []
    assert rig.left(rig.parked) == ["bad"]


def test_an_exception_brings_the_whole_batch_back(sqs: "SQSClient") -> None:
    """Nothing is deleted, and after the last allowed try all of it is parked."""

    def fail(_: list[dict[str, Any]]) -> None:
        raise RuntimeError

    rig = Rig(sqs, fail)
    rig.send("a", "b")
    for _ in range(3):
        rig.pump.deliver("work")
        rig.time_out()
    assert rig.bodies() == [["a", "b"], ["a", "b"]]
    assert rig.left(rig.parked) == ["a", "b"]


def test_a_failure_in_a_fifo_group_is_delivered_before_its_successors(sqs: "SQSClient") -> None:
    """What failed, and what the function gave back behind it, comes again in order; other groups go on."""
    failing = {"2", "3"}
    rig = Rig(sqs, _failing(failing), fifo=True)
    rig.send("1", "2", "3", group="g")
    rig.send("x", group="other")
    rig.pump.deliver("work")
    rig.send("4", group="g")
    failing.clear()
    assert rig.pump.deliver("work") == 0
    rig.time_out()
    rig.pump.settle()
    order = [body for call in rig.bodies()[1:] for body in call]
    assert rig.bodies()[0] == ["1", "2", "3", "x"]
    assert order == ["2", "3", "4"]


def test_a_message_in_flight_holds_up_its_fifo_group(sqs: "SQSClient") -> None:
    """While another worker has the group's first message, the rest is delivered to nobody."""
    rig = Rig(sqs, lambda _: None, fifo=True)
    rig.send("1", "2", group="g")
    taken = sqs.receive_message(QueueUrl=rig.queue, MaxNumberOfMessages=1, VisibilityTimeout=100)["Messages"]
    assert rig.pump.deliver("work") == 0
    sqs.delete_message(QueueUrl=rig.queue, ReceiptHandle=taken[0]["ReceiptHandle"])
    rig.pump.settle()
    assert rig.bodies() == [["2"]]


def test_batches_are_gathered_up_to_their_size(sqs: "SQSClient") -> None:
    """More than SQS gives at once, not more than the function takes."""
    rig = Rig(sqs, lambda _: None, batch_size=25)
    rig.send(*(str(number) for number in range(30)))
    rig.pump.settle()
    assert [len(call) for call in rig.calls] == [25, 5]
    assert sorted(int(body) for call in rig.bodies() for body in call) == list(range(30))


def test_no_invocation_is_larger_than_lambdas_payload(sqs: "SQSClient") -> None:
    """Ten messages of 900 KB come in two invocations, and none is lost."""
    rig = Rig(sqs, lambda _: None, batch_size=10)
    rig.send(*(f"{number}" + "x" * 900_000 for number in range(10)))
    rig.pump.settle()
    assert [len(call) for call in rig.calls] == [6, 4]
    assert all(sum(map(len, call)) <= LARGEST_BATCH for call in rig.bodies())


@pytest.mark.parametrize(
    ("said", "left"),
    [
        (None, set()),
        ("anything", set()),
        ({}, set()),
        ({"batchItemFailures": None}, set()),
        ({"batchItemFailures": []}, set()),
        ({"batchItemFailures": [{"itemIdentifier": "a"}]}, {"a"}),
        ({"batchItemFailures": [{"itemIdentifier": "unknown"}]}, {"a", "b"}),
        ({"batchItemFailures": [{"itemIdentifier": ""}]}, {"a", "b"}),
        ({"batchItemFailures": [{"itemIdentifier": None}]}, {"a", "b"}),
        ({"batchItemFailures": [{"wrong": "a"}]}, {"a", "b"}),
        ({"batchItemFailures": ["a"]}, {"a", "b"}),
        ({"batchItemFailures": "a"}, {"a", "b"}),
    ],
)
def test_an_answer_that_makes_no_sense_fails_the_whole_batch(said: object, left: set[str]) -> None:
    """Lambda's rules for `batchItemFailures`."""
    assert failed(said, ["a", "b"]) == left


def test_a_function_without_a_queue_is_named(sqs: "SQSClient") -> None:
    """A queue that the environment does not know is an error that says which variable is missing."""
    app = Chalice("lost")

    @app.on_sqs_message(queue_arn="arn:aws:sqs:eu-central-1:123456789012:lost", name="work")
    def work(event: SQSEvent) -> None: ...

    with pytest.raises(LookupError, match="COUNTLESS_LOST_QUEUE"):
        sources(app, {}, sqs)


@pytest.mark.parametrize("poll", [POLL, PATIENT_POLL])
def test_the_threads_deliver_until_they_are_stopped(sqs: "SQSClient", poll: int) -> None:
    """What is sent while the pump runs arrives, and a batch under way is ended; after `stop` nothing is begun."""
    arrived, done = threading.Event(), threading.Event()

    def work(_: object) -> None:
        arrived.set()
        time.sleep(0.3)
        done.set()

    rig = Rig(sqs, work)
    rig.pump.start(poll)
    rig.send("a")
    assert arrived.wait(10)
    begun = time.monotonic()
    rig.pump.stop()
    assert done.is_set()
    assert time.monotonic() - begun < 3
    rig.send("b")
    assert rig.left(rig.queue) == ["b"]
    assert rig.bodies() == [["a"]]
