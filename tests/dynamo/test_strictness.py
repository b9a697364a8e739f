"""The stand-in is as strict as AWS where moto is not: what it refuses, what it counts, what it does only once."""

import random
from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest
from botocore.exceptions import ClientError

from chalicelib import wiring
from chalicelib.aws import clients
from chalicelib.aws.accounts import Accounts
from chalicelib.core.errors import NotFound
from infrastructure.bench.units import ITEM_LIMIT

from . import Dynamo, moto, routed, standing_in

TABLE, LIMITS, LOG = "countless-statistics", "countless-limits", "countless-log"
pytestmark = pytest.mark.usefixtures("world")
_tokens = count(1)


@pytest.fixture
def dynamo() -> Iterator[Dynamo]:
    with standing_in() as found:
        yield found


def key(sort: str = "s", owner: str = "p") -> dict[str, Any]:
    return {"pk": {"S": owner}, "sk": {"S": sort}}


def put(sort: str = "s", **attributes: Any) -> None:
    clients.dynamodb().put_item(TableName=TABLE, Item=key(sort) | attributes)


def get(sort: str = "s") -> Any:
    return clients.dynamodb().get_item(TableName=TABLE, Key=key(sort), ConsistentRead=True).get("Item")


def update(text: str, sort: str = "s", **rest: Any) -> Any:
    return clients.dynamodb().update_item(TableName=TABLE, Key=key(sort), UpdateExpression=text, **rest)


def query(text: str = "pk = :p", *, table: str = TABLE, values: dict[str, Any] | None = None, **rest: Any) -> Any:
    given = {":p": {"S": "p"}} | (values or {})
    return clients.dynamodb().query(
        TableName=table, KeyConditionExpression=text, ExpressionAttributeValues=given, **rest
    )


def transact(*members: Any, token: str = "") -> Any:
    return clients.dynamodb().transact_write_items(
        TransactItems=list(members), ClientRequestToken=token or f"token{next(_tokens)}"
    )


def adding(number: int = 1, sort: str = "s") -> Any:
    return {
        "Update": {
            "TableName": TABLE,
            "Key": key(sort),
            "UpdateExpression": "ADD a :n",
            "ExpressionAttributeValues": {":n": {"N": str(number)}},
        }
    }


N, S = {"N": "1"}, {"S": "x"}


@pytest.mark.usefixtures("dynamo")
@pytest.mark.parametrize(
    ("text", "rest"),
    [
        ("SET value = :v", {"ExpressionAttributeValues": {":v": N}}),
        ("SET #a = :v", {"ExpressionAttributeValues": {":v": N}}),
        ("SET a = :v", {}),
        ("SET a = :v", {"ExpressionAttributeValues": {":v": N, ":unused": N}}),
        ("SET a = :v", {"ExpressionAttributeValues": {":v": N}, "ExpressionAttributeNames": {"#unused": "b"}}),
        ("SET a = :v, a = :v", {"ExpressionAttributeValues": {":v": N}}),
        ("SET a = :v REMOVE #a", {"ExpressionAttributeValues": {":v": N}, "ExpressionAttributeNames": {"#a": "a"}}),
        ("SET a.b = :v REMOVE a", {"ExpressionAttributeValues": {":v": N}}),
        ("SET a = :v SET b = :v", {"ExpressionAttributeValues": {":v": N}}),
        ("SET a = :v + :v + :v", {"ExpressionAttributeValues": {":v": N}}),
        ("SET a = missing", {}),
        ("SET a = missing + :v", {"ExpressionAttributeValues": {":v": N}}),
        ("SET a = :v + :v", {"ExpressionAttributeValues": {":v": S}}),
        ("ADD a :v", {"ExpressionAttributeValues": {":v": S}}),
        ("SET sk = :v", {"ExpressionAttributeValues": {":v": S}}),
        ("REMOVE pk", {}),
        ("SET a = nonsense(b)", {}),
        ("SET", {}),
        ("SET a = :v;", {"ExpressionAttributeValues": {":v": N}}),
        ("SET a = :v", {"ExpressionAttributeValues": {":v": {"N": "1" * 39}}}),
        ("SET a = :v", {"ExpressionAttributeValues": {":v": {"N": "1e126"}}}),
        ("SET a = :v", {"ExpressionAttributeValues": {":v": {"S": "x" * ITEM_LIMIT}}}),
        ("SET a = :v", {"ExpressionAttributeValues": {":v": N}, "ConditionExpression": "((a = :v))"}),
        ("SET a = :v", {"ExpressionAttributeValues": {":v": N}, "ConditionExpression": "a = a"}),
        ("SET a = :v", {"ExpressionAttributeValues": {":v": N}, "ConditionExpression": "begins_with(a, :v)"}),
        ("SET a = :v", {"ExpressionAttributeValues": {":v": {"BOOL": True}}, "ConditionExpression": "a < :v"}),
        ("SET a = :v", {"ExpressionAttributeValues": {":v": N}, "ConditionExpression": "NOT"}),
        ("SET a = :v", {"ExpressionAttributeValues": {":v": N}, "ConditionExpression": "a = :v AND"}),
        (f"SET {', '.join(f'a{at} = :v' for at in range(500))}", {"ExpressionAttributeValues": {":v": N}}),
    ],
)
def test_an_update_that_aws_would_not_take_is_refused(text: str, rest: dict[str, Any]) -> None:
    put()
    with pytest.raises(ClientError, match="ValidationException"):
        update(text, **rest)
    assert get() == key()


@pytest.mark.usefixtures("dynamo")
@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("pk = :p AND sk BETWEEN :b AND :a", {":a": {"S": "a"}, ":b": {"S": "b"}}),
        ("pk = :p AND sk = :a", {":a": {"S": ""}}),
        ("pk = :p AND sk = :a", {":a": N}),
        ("pk = :p AND a = :a", {":a": N}),
        ("pk > :p", {}),
        ("pk = :p OR sk = :a", {":a": S}),
        ("pk = :p AND sk <> :a", {":a": S}),
        ("sk = :p", {}),
    ],
)
def test_a_query_that_aws_would_not_take_is_refused(text: str, values: dict[str, Any]) -> None:
    with pytest.raises(ClientError, match="ValidationException"):
        query(text, values=values)


@pytest.mark.usefixtures("dynamo")
@pytest.mark.parametrize(
    "item",
    [
        key(""),
        key("x" * 1025),
        key(owner="x" * 2049),
        {"pk": {"S": "p"}},
        {"pk": {"S": "p"}, "sk": N},
        key() | {"a": {"S": "x" * ITEM_LIMIT}},
        key() | {"a": {"N": "nan"}},
        key() | {"a": {"SS": []}},
        key() | {"a": {"SS": ["x", "x"]}},
    ],
)
def test_an_item_that_aws_would_not_take_is_refused(item: Any) -> None:
    with pytest.raises(ClientError, match="ValidationException"):
        clients.dynamodb().put_item(TableName=TABLE, Item=item)


@pytest.mark.usefixtures("dynamo")
def test_numbers_are_exact_to_38_digits_and_come_back_plain() -> None:
    put(a={"N": "9999999999999999999.999999999999999998"})
    update("ADD a :n", ExpressionAttributeValues={":n": {"N": "0.000000000000000001"}})
    assert get()["a"] == {"N": "9999999999999999999.999999999999999999"}
    update("SET a = a - :n", ExpressionAttributeValues={":n": {"N": "9999999999999999999"}})
    assert get()["a"] == {"N": "0.999999999999999999"}
    update("SET a = :n", ExpressionAttributeValues={":n": {"N": "-1.50E2"}})
    assert get()["a"] == {"N": "-150"}


@pytest.mark.usefixtures("dynamo")
def test_an_update_makes_the_item_unless_it_only_removes() -> None:
    """So it is on AWS, though not on moto."""
    update("REMOVE a", "removing")
    assert get("removing") is None
    update("SET b = :n REMOVE a", "setting", ExpressionAttributeValues={":n": N})
    assert get("setting") == key("setting") | {"b": N}


@pytest.mark.usefixtures("dynamo")
def test_what_an_update_reads_is_as_it_was_before_it() -> None:
    put(a={"N": "1"}, b={"N": "2"}, m={"M": {"x": N}}, l={"L": [N, S]})
    update(
        "SET a = b, b = a, m.#y = :n REMOVE l[0]",
        ExpressionAttributeNames={"#y": "y"},
        ExpressionAttributeValues={":n": {"N": "7"}},
    )
    assert get() == key() | {
        "a": {"N": "2"},
        "b": {"N": "1"},
        "m": {"M": {"x": N, "y": {"N": "7"}}},
        "l": {"L": [S]},
    }


@pytest.mark.usefixtures("dynamo")
def test_a_refused_write_shows_what_stands_there_if_it_is_asked_to() -> None:
    put(a=N)
    rest: dict[str, Any] = {
        "ExpressionAttributeValues": {":n": N},
        "ConditionExpression": "attribute_not_exists(a) OR a > :n",
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    }
    with pytest.raises(clients.dynamodb().exceptions.ConditionalCheckFailedException) as caught:
        update("ADD a :n", **rest)
    shown: Any = caught.value.response
    assert shown["Item"] == key() | {"a": N}


# Transactions


@pytest.mark.usefixtures("dynamo")
def test_a_transaction_is_all_or_nothing_and_says_which_condition_failed() -> None:
    put("there", a=N)
    check = {"TableName": TABLE, "Key": key("there"), "ConditionExpression": "attribute_not_exists(pk)"}
    check["ReturnValuesOnConditionCheckFailure"] = "ALL_OLD"
    other = {"Put": {"TableName": LIMITS, "Item": {"pk": {"S": "p"}}}}
    with pytest.raises(clients.dynamodb().exceptions.TransactionCanceledException) as caught:
        transact(adding(), {"ConditionCheck": check}, other)
    response: Any = caught.value.response
    first, second, third = response["CancellationReasons"]
    assert (first, third) == ({"Code": "None"}, {"Code": "None"})
    assert (second["Code"], second["Item"]) == ("ConditionalCheckFailed", key("there") | {"a": N})
    assert get() is None
    transact(adding(), {"ConditionCheck": check | {"ConditionExpression": "attribute_exists(pk)"}}, other)
    assert get() == key() | {"a": N}
    assert clients.dynamodb().get_item(TableName=LIMITS, Key={"pk": {"S": "p"}})["Item"] == {"pk": {"S": "p"}}


def test_a_token_makes_a_transaction_count_once_for_ten_minutes() -> None:
    """And is refused with another request; one that did nothing may be sent again."""
    now = 1000.0
    with standing_in(now=lambda: now):
        failing = adding()
        failing["Update"]["ConditionExpression"] = "attribute_exists(pk)"
        with pytest.raises(ClientError, match="TransactionCanceled"):
            transact(failing, token="t")
        put(a={"N": "0"})
        transact(failing, token="t")
        transact(failing, token="t")
        now += 600
        transact(failing, token="t")
        assert get()["a"] == N
        with pytest.raises(ClientError, match="IdempotentParameterMismatch"):
            transact(adding(), token="t")
        now += 1
        transact(adding(), token="t")
        assert get()["a"] == {"N": "2"}


@pytest.mark.usefixtures("dynamo")
def test_a_transaction_has_at_most_a_hundred_members_each_about_another_item() -> None:
    transact(*(adding(sort=f"{at}") for at in range(100)))
    for members in ([adding(sort=f"{at}") for at in range(101)], [adding(), adding()]):
        with pytest.raises(ClientError, match="ValidationException"):
            transact(*members)
    assert len(query(Select="COUNT", ConsistentRead=True).get("Items", [])) == 0
    assert query(Select="COUNT")["Count"] == 100


@pytest.mark.usefixtures("dynamo")
def test_batches_are_as_small_as_aws_has_them_and_touch_an_item_once() -> None:
    for keys in ([key(f"{at}") for at in range(101)], [key(), key()]):
        with pytest.raises(ClientError, match="ValidationException"):
            clients.dynamodb().batch_get_item(RequestItems={TABLE: {"Keys": keys}})
    for items in ([key(f"{at}") for at in range(26)], [key(), key()]):
        with pytest.raises(ClientError, match="ValidationException"):
            clients.dynamodb().batch_write_item(
                RequestItems={TABLE: [{"PutRequest": {"Item": item}} for item in items]}
            )


# Costs


def test_calls_and_units_are_counted_as_aws_counts_them(dynamo: Dynamo) -> None:
    """By the started 1 KB and 4 KB; transactions twice, reads that need not be consistent half; refusals too."""
    with dynamo.metered() as bill:
        put(a={"S": "x" * 2000})
    assert (bill.calls, bill.writes, bill.write_units) == ({"PutItem": 1}, {"statistics": 2}, 2)
    with dynamo.metered() as bill:
        update("REMOVE a")
        transact(adding())
    assert (bill.write_units, bill.written.total()) == (2 + 2, 2)
    with dynamo.metered() as bill, pytest.raises(ClientError):
        update("SET b = :n", ExpressionAttributeValues={":n": N}, ConditionExpression="attribute_exists(b)")
    assert (bill.wasted, bill.written.total()) == (1, 0)
    put("t", a={"S": "x" * 5000})
    with dynamo.metered() as bill:
        query(ConsistentRead=True)
        query()
        get("nothing")
        clients.dynamodb().batch_get_item(RequestItems={TABLE: {"Keys": [key(), key("t")], "ConsistentRead": True}})
    assert bill.read_units == 2 + 1 + 1 + (1 + 2)
    token = "the same"
    transact(adding(), token=token)
    with dynamo.metered() as bill:
        transact(adding(), token=token)
    assert (bill.write_units, bill.read_units) == (0, 2)


# Pages, and replicas that are late


@pytest.mark.usefixtures("dynamo")
def test_a_page_ends_at_its_limit_or_at_a_megabyte() -> None:
    for at in range(6):
        put(f"{at}", a={"B": b"x" * 390_000})
    page = query()
    assert [item["sk"]["S"] for item in page["Items"]] == ["0", "1", "2"]
    assert page["LastEvaluatedKey"] == key("2")
    back = query(ScanIndexForward=False, ExclusiveStartKey=key("2"), Limit=1)
    assert [item["sk"]["S"] for item in back["Items"]] == ["1"]
    assert query(Limit=6, Select="COUNT")["Count"] == 3


def test_a_late_replica_shows_once_what_was_there_before_the_last_write() -> None:
    with standing_in(late=True):
        put(a=N)
        assert "Item" not in clients.dynamodb().get_item(TableName=TABLE, Key=key())
        assert clients.dynamodb().get_item(TableName=TABLE, Key=key())["Item"] == key() | {"a": N}
        put(a={"N": "2"})
        assert get()["a"] == {"N": "2"}
        assert query()["Items"][0]["a"] == N
        clients.dynamodb().delete_item(TableName=TABLE, Key=key())
        assert query(ConsistentRead=True)["Items"] == []
        assert query()["Items"][0]["a"] == {"N": "2"}
        assert query()["Items"] == []


def test_a_late_service_leaves_a_part_of_batches_undone() -> None:
    with standing_in(late=True):
        requests: Any = [{"PutRequest": {"Item": key(f"{at}")}} for at in range(3)]
        left = clients.dynamodb().batch_write_item(RequestItems={TABLE: requests})["UnprocessedItems"]
        assert left == {TABLE: requests[1:]}
        keys = [key(f"{at}") for at in range(3)]
        asked: Any = {TABLE: {"Keys": keys, "ConsistentRead": True}}
        found = clients.dynamodb().batch_get_item(RequestItems=asked)
        assert found["Responses"] == {TABLE: [key("0")]}
        assert found["UnprocessedKeys"][TABLE]["Keys"] == keys[1:]


def test_a_hostile_service_refuses_at_random_and_then_does_nothing() -> None:
    made = 0
    with standing_in(hostile=random.Random(1)):
        for _ in range(200):
            try:
                clients.dynamodb_once().transact_write_items(TransactItems=[adding()])
            except ClientError:
                continue
            made += 1
        assert 120 < made < 199
    with standing_in() as dynamo:
        assert dynamo.items(TABLE) == []


def test_a_large_partition_is_as_quick_as_a_small_one(dynamo: Dynamo) -> None:
    """A page looks at its own items alone."""
    for at in range(10_000):
        dynamo.answer("PutItem", {"TableName": TABLE, "Item": key(f"{at * 7919 % 10_000:05}")})
    asked: dict[str, Any] = {
        "TableName": TABLE,
        "KeyConditionExpression": "pk = :p AND sk >= :s",
        "ExpressionAttributeValues": {":p": {"S": "p"}, ":s": {"S": "00500"}},
        "Limit": 1,
    }
    with dynamo.metered() as bill:
        for _ in range(2000):
            assert dynamo.answer("Query", asked)["Items"] == [key("00500")]
    assert bill.read_units == 1000


# Where calls come from


def test_every_client_of_the_process_is_led_here(dynamo: Dynamo) -> None:
    """Those of boto3 and PynamoDB's own, for accounts; moto's tables do not change."""
    made = wiring.accounts().create_account(
        name="a", username="a", email="a@example.com", password="correct horse", domain="d", cname=None
    )
    assert dynamo.items("countless-documents")
    assert dynamo.holding(made.account.id)
    assert wiring.accounts().roster(made.account.id).account.name == "a"
    assert dynamo.bill.calls["TransactWriteItems"] == 1
    with pytest.raises(NotFound):
        _elsewhere(made.account.id)


def _elsewhere(account: str) -> None:
    """Asks moto, as a process does that knows nothing yet."""
    with routed(moto):
        Accounts(wiring.settings(), wiring.now).roster(account)


def test_a_copy_changes_by_itself(dynamo: Dynamo) -> None:
    put(a=N)
    other = dynamo.copy()
    with routed(other):
        update("ADD a :n", ExpressionAttributeValues={":n": N})
        put("t")
    assert (len(dynamo.items(TABLE)), get()["a"]) == (1, N)
    assert [item["a"] for item in other.items(TABLE) if "a" in item] == [{"N": "2"}]
    for table, item in ((TABLE, key("u")), (LIMITS, {"pk": {"S": "p"}})):
        other.answer("PutItem", {"TableName": table, "Item": item | {"expires": {"N": "9"}}})
    other.expire(10)
    assert (len(other.items(TABLE)), other.items(LIMITS)) == (2, [])


@pytest.mark.usefixtures("dynamo")
def test_what_was_updated_lists_what_became_another_and_nothing_else() -> None:
    """AWS lists what the expression names, moto only what changed: who reads it there fails here."""
    put(a=N, b=N)
    two = {":two": {"N": "2"}, ":one": N}
    changed = update("SET a = :two, b = :one", ExpressionAttributeValues=two, ReturnValues="UPDATED_NEW")
    assert changed["Attributes"] == {"a": {"N": "2"}}
    for values in ("UPDATED_OLD", "UPDATED_NEW"):
        again = update("SET a = :two, b = :one", ExpressionAttributeValues=two, ReturnValues=values)
        assert "Attributes" not in again
    whole = update("SET a = :two, b = :one", ExpressionAttributeValues=two, ReturnValues="ALL_NEW")
    assert whole["Attributes"] == key() | {"a": {"N": "2"}, "b": N}


@pytest.mark.usefixtures("dynamo")
def test_what_is_not_known_is_no_answer_at_all() -> None:
    """Rather than one that AWS would not give."""
    with pytest.raises(NotImplementedError):
        clients.dynamodb().scan(TableName=TABLE)
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        clients.dynamodb().get_item(TableName="nowhere", Key=key())
