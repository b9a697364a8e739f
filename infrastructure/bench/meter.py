"""Prices every request to DynamoDB, whoever answers it: moto behind botocore, or tables in memory.

The meter remembers the size of every item that it saw written, since what a write or a query costs depends on it.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from infrastructure import storage

from .units import Item, attribute_size, item_size, read_units, write_units

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

Fields = Mapping[str, Any]
Schema = Mapping[str, tuple[str, str]]
"""For each table, the names of its partition key and its sort key."""

KINDS = {
    b"S": "segments",
    b"M": "manifest",
    b"P": "counts",
    b"N": "names",
    b"W": "sessions",
    b"I": "ids",
    b"\x78": "bots",
}
"""What an item of log or rollups holds, by the first byte of its data."""
_SET = re.compile(r"SET (\S+) = (\S+?)(?: REMOVE (\S+))?")
_ADDED = re.compile(r"(#\w+)( =)? (:\w+)")
_PARTITION = re.compile(r"(\S+) = (\S+)")


def changes(asked: Fields) -> Iterator[tuple[str, Any, bool]]:
    """What an update that begins with ADD does to which attributes, and whether it adds that or sets it."""
    for name, sets, value in _ADDED.findall(asked["UpdateExpression"]):
        yield asked["ExpressionAttributeNames"][name], asked["ExpressionAttributeValues"][value], not sets


def schema(prefix: str = storage.PREFIX) -> Schema:
    """The keys of log and rollups, as the one definition of storage has them."""
    found = {}
    for logical in ("LogTable", "RollupsTable"):
        properties = storage.resources(prefix)[logical]["Properties"]
        partition, sort = (key["AttributeName"] for key in properties["KeySchema"])
        found[str(properties["TableName"])] = (partition, sort)
    return found


@dataclass
class Bill:
    """What was asked for: calls by operation, units and items by what they held, and what was in vain."""

    calls: Counter[str] = field(default_factory=Counter)
    writes: Counter[str] = field(default_factory=Counter)
    written: Counter[str] = field(default_factory=Counter)
    """Items."""
    reads: dict[str, float] = field(default_factory=dict)
    wasted: int = 0
    """Write units, counted in `writes` too, of writes whose condition failed."""
    largest: Counter[str] = field(default_factory=Counter)
    """Bytes of the largest item of a kind."""

    def __sub__(self, before: "Bill") -> "Bill":
        """What was asked for since then; the largest items are those of all time."""
        reads = {kind: units - before.reads.get(kind, 0) for kind, units in self.reads.items()}
        return Bill(
            self.calls - before.calls,
            self.writes - before.writes,
            self.written - before.written,
            {kind: units for kind, units in reads.items() if units},
            self.wasted - before.wasted,
            Counter(self.largest),
        )

    def copy(self) -> "Bill":
        """The same, to compare with later."""
        return self - Bill()

    @property
    def write_units(self) -> int:
        """All of them."""
        return self.writes.total()

    @property
    def read_units(self) -> float:
        """All of them."""
        return sum(self.reads.values())


@dataclass(frozen=True, slots=True)
class _Known:
    """An item as the meter remembers it."""

    kind: str
    attributes: Mapping[str, int]

    @property
    def size(self) -> int:
        return sum(self.attributes.values())


_NOTHING = _Known("", {})


class Meter:
    """Adds up a bill. Requests to tables that it was not told of are free."""

    def __init__(self, tables: Schema) -> None:
        self.bill = Bill()
        self._tables = tables
        self._known: dict[tuple[str, str, str], _Known] = {}

    def charge(self, operation: str, asked: Fields, answer: Fields, *, refused: bool = False) -> None:
        """Prices a request that was answered, or refused since its condition did not hold.

        Raises:
            NotImplementedError: nobody has taught the meter what this costs.
        """
        tables = {asked["TableName"]} if "TableName" in asked else set(asked.get("RequestItems", ()))
        if not tables & self._tables.keys():
            return
        price: Callable[[Fields, Fields, bool], None] | None = getattr(self, f"_{operation}", None)
        if price is None:
            raise NotImplementedError(f"what {operation} costs")
        self.bill.calls[operation] += 1
        price(asked, answer, refused)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """While this is open, everything is free."""
        bill, self.bill = self.bill, Bill()
        try:
            yield
        finally:
            self.bill = bill

    # --- writes -----------------------------------------------------------------------------------------------

    def _PutItem(self, asked: Fields, _answer: Fields, refused: bool) -> None:  # noqa: FBT001, N802 - AWS's names
        self._put(asked["TableName"], asked["Item"], refused=refused)

    def _BatchWriteItem(self, asked: Fields, answer: Fields, _refused: bool) -> None:  # noqa: FBT001, N802
        for table, requests in asked["RequestItems"].items():
            undone = answer.get("UnprocessedItems", {}).get(table, [])
            for request in requests:
                if request in undone:
                    continue
                if "DeleteRequest" in request:
                    self._DeleteItem({"TableName": table, "Key": request["DeleteRequest"]["Key"]}, {}, False)
                else:
                    self._put(table, request["PutRequest"]["Item"])

    def _put(self, table: str, item: Item, *, refused: bool = False) -> None:
        key = self._key(table, item)
        old = self._known.get(key, _NOTHING)
        new = _Known(_kind(item), {name: attribute_size(name, value) for name, value in item.items()})
        self._wrote(new.kind, write_units(old.size, new.size), refused=refused)
        if not refused:
            self._known[key] = new
            self.bill.largest[new.kind] = max(self.bill.largest[new.kind], new.size)

    def _UpdateItem(self, asked: Fields, _answer: Fields, refused: bool) -> None:  # noqa: FBT001, N802
        key = self._key(asked["TableName"], asked["Key"])
        old = self._known.get(key, _NOTHING)
        if asked["UpdateExpression"].startswith("ADD "):
            self._add(key, old, asked)
            return
        change = _SET.fullmatch(asked["UpdateExpression"])
        if change is None:
            raise NotImplementedError(asked["UpdateExpression"])
        names = asked.get("ExpressionAttributeNames", {})
        name = names.get(change[1], change[1])
        added = {name: attribute_size(name, asked["ExpressionAttributeValues"][change[2]])}
        keys = {name: attribute_size(name, value) for name, value in asked["Key"].items()}
        new = _Known(old.kind, {k: v for k, v in {**keys, **old.attributes, **added}.items() if k != change[3]})
        self._wrote(old.kind or "nothing", write_units(old.size, new.size), refused=refused)
        if not refused:
            self._known[key] = new

    def _add(self, key: tuple[str, str, str], old: _Known, asked: Fields) -> None:
        """Prices an update that adds to figures, of which no item here but those of drops has any."""
        given = {**asked["Key"], **{name: value for name, value, _ in changes(asked)}}
        sizes = {name: attribute_size(name, value) for name, value in given.items()}
        new = self._known[key] = _Known("drops", {**old.attributes, **sizes})
        self._wrote(new.kind, write_units(old.size, new.size), refused=False)

    def _DeleteItem(self, asked: Fields, _answer: Fields, refused: bool) -> None:  # noqa: FBT001, N802
        key = self._key(asked["TableName"], asked["Key"])
        old = self._known.get(key, _NOTHING)
        self._wrote(old.kind or "nothing", write_units(old.size), refused=refused)
        if not refused:
            self._known.pop(key, None)

    def _wrote(self, kind: str, units: int, *, refused: bool) -> None:
        self.bill.writes[kind] += units
        if refused:
            self.bill.wasted += units
        else:
            self.bill.written[kind] += 1

    # --- reads ------------------------------------------------------------------------------------------------

    def _GetItem(self, asked: Fields, answer: Fields, _refused: bool) -> None:  # noqa: FBT001, N802
        found = answer.get("Item", {})
        self._read(_kind(found), item_size(found), consistent=asked.get("ConsistentRead", False))

    def _BatchGetItem(self, asked: Fields, answer: Fields, _refused: bool) -> None:  # noqa: FBT001, N802
        for table, request in asked["RequestItems"].items():
            consistent = request.get("ConsistentRead", False)
            found = answer["Responses"].get(table, [])
            for item in found:
                self._read(_kind(item), item_size(item), consistent=consistent)
            unread = answer.get("UnprocessedKeys", {}).get(table, {}).get("Keys", [])
            for _ in range(len(request["Keys"]) - len(unread) - len(found)):
                self._read("nothing", 0, consistent=consistent)

    def _Query(self, asked: Fields, answer: Fields, _refused: bool) -> None:  # noqa: FBT001, N802
        """A page costs what its items weigh, whatever was projected: their keys say which they are."""
        if "FilterExpression" in asked or "IndexName" in asked:
            raise NotImplementedError("what a filter or an index costs")
        table = asked["TableName"]
        partition, sort = self._tables[table]
        condition = _PARTITION.match(asked["KeyConditionExpression"])
        owner = asked["ExpressionAttributeValues"][condition[2]] if condition else {}
        found = [self._known[self._key(table, {partition: owner, sort: row[sort]})] for row in answer["Items"]]
        kind = found[0].kind if found else "nothing"
        self._read(kind, sum(known.size for known in found), consistent=asked.get("ConsistentRead", False))

    def _read(self, kind: str, size: int, *, consistent: bool) -> None:
        self.bill.reads[kind] = self.bill.reads.get(kind, 0) + read_units(size, consistent=consistent)

    def _key(self, table: str, item: Item) -> tuple[str, str, str]:
        partition, sort = (next(iter(item[name].values())) for name in self._tables[table])
        return table, partition, sort


def _kind(item: Item) -> str:
    if item.get("sk", {}).get("S") == "swept":
        return "sweeps"
    data = item.get("data", {}).get("B", b"")
    return KINDS.get(bytes(data[:1]), "other") if item else "nothing"


@contextmanager
def metered(client: "DynamoDBClient", meter: Meter) -> Iterator[None]:
    """While this is open, the meter prices what a real client asks; what botocore repeats counts once."""

    def asking(params: Fields, context: dict[str, Any], **_: Any) -> None:  # noqa: ANN401 - botocore's own
        context["bench"] = dict(params)

    def answered(parsed: Fields, model: Any, context: dict[str, Any], **_: Any) -> None:  # noqa: ANN401
        code = parsed.get("Error", {}).get("Code")
        if code in (None, "ConditionalCheckFailedException"):
            meter.charge(model.name, context["bench"], parsed, refused=code is not None)

    events = client.meta.events
    events.register("before-parameter-build.dynamodb", asking, unique_id="bench-asking")
    events.register("after-call.dynamodb", answered, unique_id="bench-answered")
    try:
        yield
    finally:
        events.unregister("before-parameter-build.dynamodb", unique_id="bench-asking")
        events.unregister("after-call.dynamodb", unique_id="bench-answered")
