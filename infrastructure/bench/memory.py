"""DynamoDB in dictionaries, in the shape of boto3's client: as fast as a day of a million requests needs.

It knows the operations and expressions that the log and the rollups use, and refuses any other.
"""

import re
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError

from .meter import Meter, Schema, changes
from .units import BATCH, ITEM_LIMIT, PAGE, item_size

Fields = dict[str, Any]
Sort = int | str

_CONDITION = re.compile(r"(attribute_exists|attribute_not_exists)\((\S+)\)|(\S+) = (\S+)")
_CHANGE = re.compile(r"SET (\S+) = (\S+?)(?: REMOVE (\S+))?")
_RANGE = re.compile(r"\S+ = (\S+?)(?: AND \S+ (?:>= (\S+)|BETWEEN (\S+) AND (\S+)))?")


@dataclass(slots=True)
class _Partition:
    """The items under one partition key, in order."""

    order: list[Any] = field(default_factory=list)
    items: dict[Sort, Fields] = field(default_factory=dict)

    def put(self, key: Sort, item: Fields) -> None:
        if key not in self.items:
            insort(self.order, key)
        self.items[key] = item

    def remove(self, key: Sort) -> None:
        if self.items.pop(key, None) is not None:
            del self.order[bisect_left(self.order, key)]


class Tables:
    """Some tables and the meter that prices every call. Not for threads that run at the same time."""

    def __init__(self, schema: Schema, meter: Meter) -> None:
        self._schema = schema
        self._meter = meter
        self._tables: dict[str, dict[str, _Partition]] = {name: {} for name in schema}

    def put_item(self, **asked: Any) -> Fields:  # noqa: ANN401 - as boto3 has it
        """As DynamoDB's PutItem."""
        return self._write("PutItem", asked, asked["Item"], lambda _: asked["Item"])

    def update_item(self, **asked: Any) -> Fields:  # noqa: ANN401
        """As DynamoDB's UpdateItem."""
        return self._write("UpdateItem", asked, asked["Key"], lambda old: _changed(old or asked["Key"], asked))

    def delete_item(self, **asked: Any) -> Fields:  # noqa: ANN401
        """As DynamoDB's DeleteItem."""
        return self._write("DeleteItem", asked, asked["Key"], lambda _: None)

    def batch_write_item(self, **asked: Any) -> Fields:  # noqa: ANN401
        """As DynamoDB's BatchWriteItem; nothing is ever left undone."""
        for table, requests in asked["RequestItems"].items():
            for request in requests:
                if "DeleteRequest" in request:
                    partition, key = self._find(table, request["DeleteRequest"]["Key"])
                    partition.remove(key)
                    continue
                partition, key = self._find(table, request["PutRequest"]["Item"])
                partition.put(key, _checked(request["PutRequest"]["Item"]))
        return self._answer("BatchWriteItem", asked, {})

    def get_item(self, **asked: Any) -> Fields:  # noqa: ANN401
        """As DynamoDB's GetItem."""
        partition, key = self._find(asked["TableName"], asked["Key"])
        return self._answer("GetItem", asked, {"Item": partition.items[key]} if key in partition.items else {})

    def batch_get_item(self, **asked: Any) -> Fields:  # noqa: ANN401
        """As DynamoDB's BatchGetItem: what is beyond 16 MB is left unread."""
        found: dict[str, list[Fields]] = {}
        unread: dict[str, Fields] = {}
        size = 0
        for table, request in asked["RequestItems"].items():
            for key in request["Keys"]:
                partition, place = self._find(table, key)
                item = partition.items.get(place)
                size += item_size(item) if item else 0
                if size > BATCH:
                    unread.setdefault(table, {"Keys": []})["Keys"].append(key)
                elif item:
                    found.setdefault(table, []).append(item)
        return self._answer("BatchGetItem", asked, {"Responses": found, "UnprocessedKeys": unread})

    def query(self, **asked: Any) -> Fields:  # noqa: ANN401
        """As DynamoDB's Query, page by page."""
        condition = _RANGE.fullmatch(asked["KeyConditionExpression"])
        if condition is None:
            raise NotImplementedError(asked["KeyConditionExpression"])
        values, (name, sort) = asked["ExpressionAttributeValues"], self._schema[asked["TableName"]]
        owner, after, low, high = (values[group] if group else None for group in condition.groups())
        partition = self._tables[asked["TableName"]].get(_plain(owner), _Partition())
        start = bisect_left(partition.order, _plain(after or low)) if after or low else 0
        end = bisect_right(partition.order, _plain(high)) if high else len(partition.order)
        if "ExclusiveStartKey" in asked:
            start = bisect_right(partition.order, _plain(asked["ExclusiveStartKey"][sort]))
        rows: list[Fields] = []
        size = 0
        for key in partition.order[start:end]:
            size += item_size(partition.items[key])
            rows.append(partition.items[key])
            if size >= PAGE:
                last = {name: owner, sort: rows[-1][sort]}
                return self._answer("Query", asked, {"Items": rows, "LastEvaluatedKey": last})
        return self._answer("Query", asked, {"Items": rows})

    def expire(self, now: float) -> int:
        """Removes what has lived its time, which DynamoDB does within days and for nothing; how much it was."""
        gone = 0
        for table in self._tables.values():
            for partition in table.values():
                old = [key for key, item in partition.items.items() if _ends(item) < now]
                for key in old:
                    partition.remove(key)
                gone += len(old)
        return gone

    def _write(self, operation: str, asked: Fields, key: Fields, change: Callable[[Fields | None], Any]) -> Fields:
        partition, place = self._find(asked["TableName"], key)
        old = partition.items.get(place)
        if not _holds(asked, old):
            self._meter.charge(operation, asked, {}, refused=True)
            raise ClientError({"Error": {"Code": "ConditionalCheckFailedException", "Message": ""}}, operation)
        new = change(old)
        if new is None:
            partition.remove(place)
        else:
            partition.put(place, _checked(new))
        return self._answer(operation, asked, {})

    def _find(self, table: str, key: Fields) -> tuple[_Partition, Sort]:
        owner, place = (_plain(key[name]) for name in self._schema[table])
        return self._tables[table].setdefault(str(owner), _Partition()), place

    def _answer(self, operation: str, asked: Fields, answer: Fields) -> Fields:
        self._meter.charge(operation, asked, answer)
        return answer


def _plain(value: Any) -> Any:  # noqa: ANN401 - a text or a number, as DynamoDB orders them
    ((kind, held),) = value.items()
    return int(held) if kind == "N" else held


def _ends(item: Fields) -> float:
    return float(item["expires"]["N"]) if "expires" in item else float("inf")


def _checked(item: Fields) -> Fields:
    if item_size(item) > ITEM_LIMIT:
        raise ClientError({"Error": {"Code": "ValidationException", "Message": "Item size has exceeded"}}, "PutItem")
    return item


def _holds(asked: Fields, item: Fields | None) -> bool:
    if "ConditionExpression" not in asked:
        return True
    condition = _CONDITION.fullmatch(asked["ConditionExpression"])
    if condition is None:
        raise NotImplementedError(asked["ConditionExpression"])
    names = asked.get("ExpressionAttributeNames", {})
    exists, name, left, right = condition.groups()
    if exists:
        return (names.get(name, name) in (item or {})) == (exists == "attribute_exists")
    return item is not None and item.get(names.get(left, left)) == asked["ExpressionAttributeValues"][right]


def _plus(old: Fields | None, value: Fields, *, add: bool) -> Fields:
    return {"N": str(int((old or {"N": "0"})["N"]) + int(value["N"]))} if add else value


def _changed(item: Fields, asked: Fields) -> Fields:
    if asked["UpdateExpression"].startswith("ADD "):
        return item | {name: _plus(item.get(name), value, add=add) for name, value, add in changes(asked)}
    change = _CHANGE.fullmatch(asked["UpdateExpression"])
    if change is None:
        raise NotImplementedError(asked["UpdateExpression"])
    names = asked.get("ExpressionAttributeNames", {})
    changed = item | {names.get(change[1], change[1]): asked["ExpressionAttributeValues"][change[2]]}
    if change[3]:
        changed.pop(names.get(change[3], change[3]), None)
    return changed
