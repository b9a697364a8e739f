"""Cuts what is to be stored into pieces that fit an item each: nobody else chooses how much there is of anything."""

from collections.abc import Callable, Sequence
from typing import TypeVar

Row = TypeVar("Row")
ITEM_BYTES = 380_000
"""What may stand in one item: DynamoDB takes 400 KB, names of attributes and keys included."""


def pieces(
    rows: Sequence[Row], pack: Callable[[Sequence[Row]], bytes], limit: int
) -> list[tuple[Sequence[Row], bytes]]:
    """The rows in consecutive pieces of at most so many packed bytes, each with its bytes; none for no rows.

    A single row is never cut: whoever makes rows sees to it that each is small.
    """
    if not rows:
        return []
    packed = pack(rows)
    if len(packed) <= limit or len(rows) == 1:
        return [(rows, packed)]
    middle = len(rows) // 2
    return pieces(rows[:middle], pack, limit) + pieces(rows[middle:], pack, limit)
