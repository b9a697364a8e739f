"""The simulated AWS is exact where moto alone is not."""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Any

import pytest
from moto.dynamodb.models.dynamo_type import DynamoType, Item

from infrastructure.local import simulation
from tests.conftest import World

THREADS, EACH = 8, 60
pytestmark = pytest.mark.usefixtures("moto_tables")


@pytest.fixture
def eager_threads() -> Iterator[None]:
    """Switch threads as often as Python can, so that a race that exists is lost."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


def _together(work: Callable[[int], None]) -> None:
    threads = [threading.Thread(target=work, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@pytest.mark.usefixtures("eager_threads")
def test_no_addition_is_lost(world: World) -> None:
    """Eight threads adding to one counter arrive at the exact sum."""
    dynamodb, table = world.client("dynamodb"), world.environment["COUNTLESS_LIMITS_TABLE"]

    def add(_: int) -> None:
        for _ in range(EACH):
            dynamodb.update_item(
                TableName=table,
                Key={"pk": {"S": "exact"}},
                UpdateExpression="ADD n :one",
                ExpressionAttributeValues={":one": {"N": "1"}},
            )

    _together(add)
    found = dynamodb.get_item(TableName=table, Key={"pk": {"S": "exact"}})["Item"]
    assert found["n"] == {"N": str(THREADS * EACH)}


@pytest.mark.usefixtures("eager_threads")
def test_a_conditional_put_has_one_winner(world: World) -> None:
    """Of eight threads that put the same new item, one succeeds, for each item."""
    dynamodb, table = world.client("dynamodb"), world.environment["COUNTLESS_LIMITS_TABLE"]
    wins: list[int] = []

    def put(_: int) -> None:
        for number in range(EACH):
            try:
                dynamodb.put_item(
                    TableName=table,
                    Item={"pk": {"S": f"winner-{number}"}},
                    ConditionExpression="attribute_not_exists(pk)",
                )
            except dynamodb.exceptions.ConditionalCheckFailedException:
                continue
            wins.append(number)

    _together(put)
    assert sorted(wins) == list(range(EACH))


@pytest.mark.usefixtures("eager_threads")
def test_no_message_vanishes_between_senders_and_receivers(world: World) -> None:
    """What is sent while others receive and delete is received, each exactly once."""
    sqs = world.client("sqs")
    url = sqs.create_queue(QueueName="exact", Attributes={"VisibilityTimeout": "300"})["QueueUrl"]
    received: list[str] = []
    sent = threading.Event()

    def receive_and_delete() -> int:
        messages = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
        for message in messages:
            received.append(message["Body"])
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return len(messages)

    def send(number: int) -> None:
        for count in range(EACH // 2):
            sqs.send_message(QueueUrl=url, MessageBody=f"{number}/{count}")

    def receive() -> None:
        while receive_and_delete() or not sent.is_set():
            pass

    receivers = [threading.Thread(target=receive) for _ in range(2)]
    senders = [threading.Thread(target=send, args=(number,)) for number in (1, 3, 5)]
    for thread in receivers + senders:
        thread.start()
    for thread in senders:
        thread.join()
    sent.set()
    for thread in receivers:
        thread.join()
    assert sorted(received) == sorted(f"{n}/{c}" for n in (1, 3, 5) for c in range(EACH // 2))


def test_waiting_for_messages_keeps_nobody_from_sending(world: World) -> None:
    """A long poll gets the message that is sent while it waits, long before it would have given up."""
    sqs = world.client("sqs")
    url = sqs.create_queue(QueueName="waiting")["QueueUrl"]
    polling = threading.Event()
    found: list[str] = []

    def wait() -> None:
        polling.set()
        messages = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=20).get("Messages", [])
        found.extend(message["Body"] for message in messages)

    thread = threading.Thread(target=wait)
    thread.start()
    polling.wait()
    begun = time.monotonic()
    sqs.send_message(QueueUrl=url, MessageBody="soon")
    thread.join()
    assert found == ["soon"]
    assert time.monotonic() - begun < 10


def test_items_go_when_their_time_to_live_has_passed(world: World) -> None:
    """Expired items go; others stay, as do those that expired so long ago that DynamoDB suspects a mistake."""
    dynamodb, table = world.client("dynamodb"), world.environment["COUNTLESS_LOG_TABLE"]
    now = 2_000_000_000
    lives = {"1": now - 1, "2": now + 1, "3": now - simulation.FIVE_YEARS - 1, "4": None}
    for number, expires in lives.items():
        item = {"stream": {"S": "expiring"}, "number": {"N": number}}
        dynamodb.put_item(
            TableName=table, Item=item | ({"expires": {"N": str(expires)}} if expires is not None else {})
        )
    simulation.expire(now)
    left = dynamodb.query(
        TableName=table,
        KeyConditionExpression="stream = :s",
        ExpressionAttributeValues={":s": {"S": "expiring"}},
    )["Items"]
    assert [item["number"]["N"] for item in left] == ["2", "3", "4"]


def _transaction(table: str, *, fails: bool) -> list[dict[str, Any]]:
    """Changes, deletes and makes items of a table with sorted items; and asks for one that is not there."""
    key = {number: {"stream": {"S": "transacting"}, "number": {"N": str(number)}} for number in range(5)}
    changed = {"UpdateExpression": "SET n = :n", "ExpressionAttributeValues": {":n": {"N": "2"}}}
    return [
        {"Update": {"TableName": table, "Key": key[1], **changed}},
        {"Delete": {"TableName": table, "Key": key[2]}},
        {"Put": {"TableName": table, "Item": key[3]}},
        {
            "ConditionCheck": {
                "TableName": table,
                "Key": key[4],
                "ConditionExpression": f"attribute_{'' if fails else 'not_'}exists(n)",
            }
        },
    ]


@pytest.mark.parametrize("fails", [True, False])
def test_a_transaction_does_all_or_leaves_all_as_it_was(world: World, *, fails: bool) -> None:
    dynamodb, table = world.client("dynamodb"), world.environment["COUNTLESS_LOG_TABLE"]
    for number in range(4):
        item = {"stream": {"S": "transacting"}, "number": {"N": str(number)}, "n": {"N": "1"}}
        if number == 3:
            dynamodb.delete_item(TableName=table, Key={name: item[name] for name in ("stream", "number")})
        else:
            dynamodb.put_item(TableName=table, Item=item)

    def standing() -> list[tuple[str, str]]:
        found = dynamodb.query(
            TableName=table,
            KeyConditionExpression="stream = :s",
            ExpressionAttributeValues={":s": {"S": "transacting"}},
        )["Items"]
        return [(item["number"]["N"], item.get("n", {"N": ""})["N"]) for item in found]

    begun = [("0", "1"), ("1", "1"), ("2", "1")]
    assert standing() == begun
    with pytest.raises(dynamodb.exceptions.TransactionCanceledException) if fails else nullcontext():
        dynamodb.transact_write_items(TransactItems=_transaction(table, fails=fails))
    assert standing() == (begun if fails else [("0", "1"), ("1", "2"), ("3", "")])


def test_a_transaction_copies_what_it_touches_however_much_the_table_holds(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    dynamodb, table = world.client("dynamodb"), world.environment["COUNTLESS_LOG_TABLE"]
    for number in range(50):
        dynamodb.put_item(TableName=table, Item={"stream": {"S": f"beside-{number}"}, "number": {"N": "1"}})
    copied: list[Item] = []
    original = Item.__deepcopy__

    def copying(item: Item, memo: dict[int, Any]) -> Item:
        copied.append(item)
        return original(item, memo)

    monkeypatch.setattr(Item, "__deepcopy__", copying)
    dynamodb.transact_write_items(TransactItems=_transaction(table, fails=False))
    assert len(copied) <= 8


def test_a_query_looks_at_its_own_partition_however_much_the_table_holds(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    dynamodb, table = world.client("dynamodb"), world.environment["COUNTLESS_LOG_TABLE"]
    for number in range(60):
        for stream in (f"queried-{number}", "queried"):
            dynamodb.put_item(TableName=table, Item={"stream": {"S": stream}, "number": {"N": str(number % 3)}})
    compared: list[DynamoType] = []
    original = DynamoType.__lt__

    def comparing(one: DynamoType, other: DynamoType) -> bool:
        compared.append(one)
        return original(one, other)

    monkeypatch.setattr(DynamoType, "__lt__", comparing)
    asked = {"KeyConditionExpression": "stream = :s", "ExpressionAttributeValues": {":s": {"S": "queried"}}}
    found = dynamodb.query(TableName=table, **asked)
    assert [item["number"]["N"] for item in found["Items"]] == ["0", "1", "2"]
    assert len(compared) <= 8
    asked["ExpressionAttributeValues"] = {":s": {"S": "queried by nobody"}}
    assert dynamodb.query(TableName=table, **asked)["Items"] == []
    assert "Item" in dynamodb.get_item(TableName=table, Key={"stream": {"S": "queried-7"}, "number": {"N": "1"}})
