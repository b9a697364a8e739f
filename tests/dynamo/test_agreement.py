"""The stand-in and moto, which we did not write, answer the same sequences of operations alike."""

from decimal import Decimal
from itertools import count
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chalicelib import wiring
from chalicelib.aws import clients

from . import Dynamo, routed

Draw = Any
_partitions = count(1)
_ATTRIBUTES = ("a", "b", "c", "value", "d01")  # `value` is reserved
_SORTS = ("", "a", "a#1", "a#2", "ab", "b", "é", "\U0001f600", "\uffff")
numbers = st.sampled_from(("0", "1", "-1", "12", "0.5", "-0.25", "9999999999999999999"))
texts = st.sampled_from(("", "a", "ab", "b", "é")).map(lambda text: {"S": text})
_TYPES: dict[str, st.SearchStrategy[Any]] = {
    "a": numbers.map(lambda text: {"N": text}),
    "value": numbers.map(lambda text: {"N": text}),
    "d01": numbers.map(lambda text: {"N": text}),
    "b": texts,
    "c": st.sampled_from((b"", b"a", b"ab", b"\xff")).map(lambda held: {"B": held}),
}
"""Each attribute is of one type: moto dies of comparing others, where DynamoDB says that they are not equal."""
_NUMBERS = ("a", "value", "d01")
attributes = st.fixed_dictionaries({}, optional=_TYPES)
sorts = st.sampled_from(_SORTS[1:])


class Words:
    """Placeholders as they are needed."""

    def __init__(self) -> None:
        self.names: dict[str, str] = {}
        self.values: dict[str, Any] = {}

    def name(self, name: str) -> str:
        self.names[f"#{name}"] = name
        return f"#{name}"

    def value(self, value: Any) -> str:
        word = f":v{len(self.values)}"
        self.values[word] = value
        return word

    def given(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        if self.names:
            found["ExpressionAttributeNames"] = self.names
        if self.values:
            found["ExpressionAttributeValues"] = self.values
        return found


def condition(draw: Draw, words: Words, depth: int = 2) -> str:  # noqa: PLR0911 - one for each kind
    """A condition that AWS takes; what it says of an item is for the two to find."""
    kinds = ("exists", "missing", "compare", "between", "in", "begins", "size", "and", "or", "not")
    of = draw(st.sampled_from(kinds if depth else kinds[:7]))
    name = draw(st.sampled_from(_NUMBERS if of in ("between", "compare") else _ATTRIBUTES))
    name = "b" if of in ("begins", "size") else name
    path, of_type = words.name(name), _TYPES[name]
    match of:
        case "exists":
            return f"attribute_exists({path})"
        case "missing":
            return f"attribute_not_exists({path})"
        case "compare":
            operator = draw(st.sampled_from(("=", "<>", "<", "<=", ">", ">=")))
            return f"{path} {operator} {words.value(draw(of_type))}"
        case "between":
            return f"{path} BETWEEN {words.value({'N': '-1'})} AND {words.value({'N': '2'})}"
        case "in":
            return f"{path} IN ({words.value(draw(of_type))}, {words.value(draw(of_type))})"
        case "begins":
            return f"begins_with({path}, {words.value({'S': 'a'})})"
        case "size":
            return f"attribute_exists({path}) AND size({path}) >= {words.value({'N': '1'})}"
        case "not":
            return f"NOT ({condition(draw, words, 0)})"
        case _:
            return f"({condition(draw, words, depth - 1)}) {of.upper()} ({condition(draw, words, 0)})"


def update(draw: Draw, words: Words, *, alone: bool) -> str:
    """An update that sets something, and may add and remove. In transactions it reads nothing that may be missing: it
    is then a reason to cancel, where moto refuses the request.
    """
    path, other = (words.name(draw(st.sampled_from(_NUMBERS))) for _ in range(2))
    one, two = (words.value({"N": draw(numbers)}) for _ in range(2))
    text = draw(st.sampled_from(("b", "c", "")))
    forms = (
        f"SET {path} = {other} - {one}",
        f"SET {path} = {one}",
        f"SET {path} = if_not_exists({path}, {one}) + {two}",
        f"SET {path} = if_not_exists({other}, {one})",
        f"ADD {path} {one}",
    )
    found: str = draw(st.sampled_from(forms if alone else forms[1:]))
    if text and draw(st.booleans()):
        return f"{found} REMOVE {words.name(text)}"
    if text and found.startswith("SET"):
        return f"{found}, {words.name(text)} = {words.value(draw(_TYPES[text]))}"
    return found


@st.composite
def operations(draw: Draw) -> tuple[str, dict[str, Any]]:
    """The name of a client's method, and its arguments without table and partition."""
    words = Words()
    name = draw(st.sampled_from(("put", "delete", "update", "update", "get", "query", "read", "write", "transact")))
    asked: dict[str, Any] = {"sk": draw(sorts)}
    match name:
        case "put" | "delete" | "update":
            asked |= _change(draw, words, name, alone=True)
            allowed = ("NONE", "ALL_OLD", "ALL_NEW") if name == "update" else ("NONE", "ALL_OLD")
            asked["ReturnValues"] = draw(st.sampled_from(allowed))
        case "get":
            asked["ProjectionExpression"] = ", ".join(words.name(n) for n in _ATTRIBUTES[:2])
        case "query":
            asked |= _query(draw, words)
        case "read" | "write":
            asked["keys"] = draw(st.lists(sorts, min_size=1, max_size=4, unique=True))
            asked["attributes"] = draw(attributes)
            asked["put"] = draw(st.booleans())
        case _:
            members = []
            for sort in draw(st.lists(sorts, min_size=1, max_size=4)):
                inner = Words()
                kind = draw(st.sampled_from(("put", "delete", "update", "check")))
                members.append((kind, {"sk": sort} | _change(draw, inner, kind, alone=False) | inner.given()))
            asked["members"] = members
    return name, asked | words.given()


def _change(draw: Draw, words: Words, name: str, *, alone: bool) -> dict[str, Any]:
    asked: dict[str, Any] = {}
    if name == "put":
        asked["attributes"] = draw(attributes)
    if name == "update":
        asked["UpdateExpression"] = update(draw, words, alone=alone)
    if name == "check" or draw(st.booleans()):
        asked["ConditionExpression"] = condition(draw, words)
    if "ConditionExpression" in asked and draw(st.booleans()):
        asked["ReturnValuesOnConditionCheckFailure"] = "ALL_OLD"
    # What an alternative left unsaid must go: AWS takes no name or value that nothing uses.
    text = f"{asked.get('UpdateExpression', '')} {asked.get('ConditionExpression', '')} "
    for given_words in (words.names, words.values):
        for word in [word for word in given_words if not _says(text, word)]:
            del given_words[word]
    return asked


def _says(text: str, word: str) -> bool:
    return any(f"{word}{end}" in text for end in (" ", ")", ","))


def _query(draw: Draw, words: Words) -> dict[str, Any]:
    asked: dict[str, Any] = {
        "ScanIndexForward": draw(st.booleans()),
        "ConsistentRead": True,
    }
    low, high = sorted((draw(sorts), draw(sorts)))
    form = draw(st.sampled_from(("", "=", "<", "<=", ">", ">=", "BETWEEN", "begins_with")))
    match form:
        case "":
            asked["sort"] = ""
        case "BETWEEN":
            asked["sort"] = f" AND sk BETWEEN {words.value({'S': low})} AND {words.value({'S': high})}"
        case "begins_with":
            asked["sort"] = f" AND begins_with(sk, {words.value({'S': low})})"
        case _:
            asked["sort"] = f" AND sk {form} {words.value({'S': low})}"
    if draw(st.booleans()):
        asked["Limit"] = draw(st.integers(1, 4))
    if draw(st.booleans()):
        asked["FilterExpression"] = condition(draw, words, 1)
    return asked


def perform(partition: str, name: str, asked: dict[str, Any]) -> Any:  # noqa: PLR0911 - one for each operation
    """What the service answers, as plainly as can be compared."""
    table = wiring.settings().statistics_table
    client: Any = clients.dynamodb()
    rest = {key: value for key, value in asked.items() if key[0].isupper()}

    def key(sort: str) -> dict[str, Any]:
        return {"pk": {"S": partition}, "sk": {"S": sort}}

    try:
        match name:
            case "put":
                return client.put_item(TableName=table, Item=key(asked["sk"]) | asked["attributes"], **rest)
            case "delete":
                return client.delete_item(TableName=table, Key=key(asked["sk"]), **rest)
            case "update":
                return client.update_item(TableName=table, Key=key(asked["sk"]), **rest)
            case "get":
                return client.get_item(TableName=table, Key=key(asked["sk"]), **rest)
            case "query":
                return _pages(client, table, partition, asked["sort"], rest)
            case "read":
                keys = [key(sort) for sort in asked["keys"]]
                found = client.batch_get_item(RequestItems={table: {"Keys": keys, "ConsistentRead": True}})
                return sorted(found["Responses"][table], key=lambda item: str(item["sk"]["S"]))
            case "write":
                puts = [{"PutRequest": {"Item": key(sort) | asked["attributes"]}} for sort in asked["keys"]]
                deletes = [{"DeleteRequest": {"Key": key(sort)}} for sort in asked["keys"]]
                return client.batch_write_item(RequestItems={table: puts if asked["put"] else deletes})
            case _:
                members = [_member(table, key(of["sk"]), kind, of) for kind, of in asked["members"]]
                return client.transact_write_items(TransactItems=members)
    except ClientError as error:
        answer: Any = error.response
        reasons = [(reason.get("Code"), reason.get("Item")) for reason in answer.get("CancellationReasons", [])]
        return answer["Error"]["Code"], answer.get("Item"), reasons


def _member(table: str, key: dict[str, Any], kind: str, of: dict[str, Any]) -> dict[str, Any]:
    rest = {"TableName": table} | {name: value for name, value in of.items() if name[0].isupper()}
    if kind == "put":
        return {"Put": rest | {"Item": key | of["attributes"]}}
    return {{"delete": "Delete", "update": "Update", "check": "ConditionCheck"}[kind]: rest | {"Key": key}}


def _pages(client: Any, table: str, partition: str, sort: str, rest: dict[str, Any]) -> Any:
    owner = {":pk": {"S": partition}}
    query = rest | {
        "TableName": table,
        "KeyConditionExpression": f"pk = :pk{sort}",
        "ExpressionAttributeValues": rest.get("ExpressionAttributeValues", {}) | owner,
    }
    pages = []
    while True:
        page = client.query(**query)
        pages.append((page["Items"], page["Count"], page["ScannedCount"]))
        if "LastEvaluatedKey" not in page:
            break
        query["ExclusiveStartKey"] = page["LastEvaluatedKey"]
    return [page for page in pages if page[2]]


def plain(answer: Any) -> Any:
    """Without what tells one service from another; numbers as numbers."""
    match answer:
        case {"N": str(text)}:
            return Decimal(text)
        case dict():
            return {
                key: plain(value)
                for key, value in answer.items()
                if key not in ("ResponseMetadata", "ConsumedCapacity", "UnprocessedItems", "ItemCollectionMetrics")
            }
        case list() | tuple():
            return [plain(entry) for entry in answer]
        case _:
            return answer


@pytest.mark.usefixtures("world")
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(operations(), min_size=1, max_size=15))
def test_the_same_operations_have_the_same_answers(script: list[tuple[str, dict[str, Any]]]) -> None:
    """Answers, refusals and what their reasons show; in the end, the same items."""
    partition = f"agreement{next(_partitions)}"
    dynamo = Dynamo()
    for name, asked in [*script, ("query", {"sort": "", "ConsistentRead": True})]:
        with routed(dynamo):
            ours = plain(perform(partition, name, asked))
        theirs = plain(perform(partition, name, asked))
        assert ours == theirs, (name, asked)
