"""AWS's published rules for what DynamoDB charges: item sizes, write units, read units.

From the DynamoDB developer guide, "Item sizes and formats" and "Read and write operations".
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

KB = 1024
ITEM_LIMIT = 400 * KB
PAGE = KB * KB
"""Bytes of items after which Query ends a page."""
BATCH = 16 * KB * KB
"""Bytes of items that BatchGetItem answers with at most."""
_CONTAINER, _ELEMENT = 3, 1

Value = Mapping[str, Any]
"""An attribute's value with its type: `{"S": "text"}`."""
Item = Mapping[str, Value]


def item_size(item: Item) -> int:
    """Bytes of an item: of its attributes' names and values."""
    return sum(attribute_size(name, value) for name, value in item.items())


def attribute_size(name: str, value: Value) -> int:
    """Bytes of an attribute, its name included."""
    return len(name.encode()) + value_size(value)


def value_size(value: Value) -> int:  # noqa: PLR0911 - one for each type
    """Bytes of a value.

    Raises:
        ValueError: it is of a type that DynamoDB does not have.
    """
    ((kind, held),) = value.items()
    match kind:
        case "S":
            return len(held.encode())
        case "B":
            return len(held)
        case "N":
            return _number_size(held)
        case "BOOL" | "NULL":
            return 1
        case "SS" | "BS" | "NS":
            return sum(value_size({kind[0]: member}) for member in held)
        case "L":
            return _CONTAINER + sum(value_size(member) + _ELEMENT for member in held)
        case "M":
            return _CONTAINER + sum(attribute_size(name, member) + _ELEMENT for name, member in held.items())
        case _:
            raise ValueError(f"no type of DynamoDB: {kind}")


def _number_size(text: str) -> int:
    """One byte for two significant digits, and one more; AWS calls it an approximation."""
    digits = "".join(map(str, Decimal(text).as_tuple().digits)).strip("0")
    return -(-len(digits) // 2) + 1


def write_units(*sizes: int, transaction: bool = False) -> int:
    """What it costs to write an item: the larger of its sizes, such as those before and after, by the started KB.

    Whatever is written costs a unit at least, also where there is nothing to delete or a condition fails.
    """
    return max(1, -(-max(sizes, default=0) // KB)) * (2 if transaction else 1)


def read_units(size: int, *, consistent: bool) -> float:
    """What it costs to read an item, or a page of a query as a whole, by the started 4 KB; to find nothing as well."""
    blocks = max(1, -(-size // (4 * KB)))
    return blocks if consistent else blocks / 2
