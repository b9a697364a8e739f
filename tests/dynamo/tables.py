"""Tables in memory: partitions whose keys stay sorted, so that a page of a large one costs as much as the page."""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from infrastructure import storage
from infrastructure.bench import units

from .expressions import Range
from .values import Item, Value, checked, invalid, kind, ordered, weighed

LONGEST_PARTITION_KEY, LONGEST_SORT_KEY = 2048, 1024
Key = tuple[Any, Any]
"""The partition key and the sort key, each as it sorts; () where a table has no sort key."""


@dataclass(frozen=True, slots=True)
class Stored:
    """An item and what it weighs. Items are never changed, only replaced."""

    item: Item
    size: int


@dataclass
class Partition:
    """Items by sort key."""

    items: dict[Any, Stored] = field(default_factory=dict)
    order: list[Any] = field(default_factory=list)
    before: dict[Any, Stored | None] = field(default_factory=dict)
    """What a replica that is late still has: items as they were before the last write."""

    def put(self, sort: Any, stored: Stored) -> None:
        """Keeps an item."""
        if sort not in self.items:
            insort(self.order, sort)
        self.items[sort] = stored

    def remove(self, sort: Any) -> None:
        """Drops an item, if it is there."""
        if self.items.pop(sort, None) is not None:
            del self.order[bisect_left(self.order, sort)]

    def between(self, wanted: Range | None, *, late: bool) -> list[Any]:
        """The sort keys in a range, in order."""
        order = self.order
        if late and self.before:
            order = sorted({*order, *self.before})
        if wanted is None:
            return order
        first = ordered(wanted.values[0])
        begin, end = 0, len(order)
        match wanted.operator:
            case "=":
                begin, end = bisect_left(order, first), bisect_right(order, first)
            case "<":
                end = bisect_left(order, first)
            case "<=":
                end = bisect_right(order, first)
            case ">":
                begin = bisect_right(order, first)
            case ">=":
                begin = bisect_left(order, first)
            case "BETWEEN":
                begin, end = bisect_left(order, first), bisect_right(order, ordered(wanted.values[1]))
            case _:
                begin = bisect_left(order, first)
                end = bisect_right(order, first, lo=begin, key=lambda key: key[: len(first)])
        return order[begin:end] if (begin, end) != (0, len(order)) else order

    def copy(self) -> "Partition":
        """The same, apart."""
        return Partition(dict(self.items), list(self.order), dict(self.before))


class Table:
    """A table with its keys."""

    def __init__(self, name: str, keys: Mapping[str, str]) -> None:
        """`keys` are the names of partition and sort key with their types."""
        self.name = name
        self.keys = dict(keys)
        self.partition, self.sort = [*keys, None][:2]
        self.partitions: dict[Any, Partition] = {}

    def copy(self) -> "Table":
        """The same, apart."""
        made = Table(self.name, self.keys)
        made.partitions = {owner: partition.copy() for owner, partition in self.partitions.items()}
        return made

    def items(self) -> Iterator[Item]:
        """Everything."""
        for partition in self.partitions.values():
            for sort in partition.order:
                yield partition.items[sort].item

    # Keys

    def key(self, given: Item) -> Key:
        """The key of an item, or a key by itself.

        Raises:
            Refused: it is none of this table.
        """
        sort = () if self.sort is None else self.part(self.sort, given.get(self.sort))
        return self.part(str(self.partition), given.get(str(self.partition))), sort

    def lone_key(self, given: Item) -> Key:
        """As `key`, of what holds nothing but the key."""
        if given.keys() != self.keys.keys():
            raise invalid("The provided key element does not match the schema")
        return self.key(given)

    def named(self, item: Item) -> Item:
        """The key of an item, as DynamoDB writes it."""
        return {name: item[name] for name in self.keys}

    def part(self, name: str, value: Value | None) -> Any:
        """A partition key or sort key as it sorts.

        Raises:
            Refused: this cannot be its value.
        """
        if value is None:
            raise invalid(f"One or more parameter values were invalid: Missing the key {name} in the item")
        if kind(value) != self.keys[name]:
            raise invalid(
                f"One or more parameter values were invalid: Type mismatch for key {name} "
                f"expected: {self.keys[name]} actual: {kind(value)}"
            )
        found = ordered(checked(value))
        if found in ("", b""):
            raise invalid(
                "One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain "
                f"an empty string value. Key: {name}"
            )
        longest = LONGEST_SORT_KEY if name == self.sort else LONGEST_PARTITION_KEY
        if kind(value) != "N" and len(found.encode() if isinstance(found, str) else found) > longest:
            raise invalid(f"One or more parameter values were invalid: Size of {name} has exceeded {longest} bytes")
        return found

    # Items

    def get(self, key: Key) -> Stored | None:
        """The item at a key."""
        partition = self.partitions.get(key[0])
        return None if partition is None else partition.items.get(key[1])

    def stored(self, item: Item) -> Stored:
        """An item as the table would keep it.

        Raises:
            Refused: it is too large, or holds what is no value.
        """
        self.key(item)
        found = {name: checked(value) for name, value in item.items()}
        size = weighed(found)
        if size > units.ITEM_LIMIT:
            raise invalid("Item size has exceeded the maximum allowed size")
        return Stored(found, size)

    def write(self, key: Key, stored: Stored | None, *, late: bool) -> None:
        """Keeps an item at its key, or drops it."""
        partition = self.partitions.setdefault(key[0], Partition())
        if late:
            partition.before[key[1]] = partition.items.get(key[1])
        if stored is None:
            partition.remove(key[1])
        else:
            partition.put(key[1], stored)

    def read(self, key: Key, *, late: bool) -> Stored | None:
        """The item at a key; `late` gives what it was before the last write, once."""
        partition = self.partitions.get(key[0])
        if partition is None:
            return None
        if late and key[1] in partition.before:
            return partition.before.pop(key[1])
        return partition.items.get(key[1])

    def expire(self, now: float, attribute: str) -> None:
        """Drops the items whose time is over."""
        for partition in self.partitions.values():
            ended = [
                sort
                for sort, stored in partition.items.items()
                if kind(stored.item.get(attribute, {"NULL": True})) == "N" and int(stored.item[attribute]["N"]) < now
            ]
            for sort in ended:
                partition.remove(sort)


def defined(prefix: str = storage.PREFIX) -> dict[str, Table]:
    """The tables of `infrastructure/storage.py`, empty, by name."""
    found: dict[str, Table] = {}
    for resource in storage.resources(prefix).values():
        if resource["Type"] == "AWS::DynamoDB::Table":
            properties = resource["Properties"]
            types = {entry["AttributeName"]: entry["AttributeType"] for entry in properties["AttributeDefinitions"]}
            keys = {entry["AttributeName"]: types[entry["AttributeName"]] for entry in properties["KeySchema"]}
            found[properties["TableName"]] = Table(properties["TableName"], keys)
    return found
