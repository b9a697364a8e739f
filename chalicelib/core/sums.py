"""Sums over the columns of counts, as far as possible at the speed of C: a year may have a million rows."""

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from itertools import compress

from .cells import Counts


def add(sums: Counter[int], keys: Sequence[int], counts: Sequence[int]) -> None:
    """Adds counts by key. Most rows count 1, and those take half the time."""
    sums.update(keys)
    for key, count in compress(zip(keys, counts, strict=True), map((1).__ne__, counts)):
        sums[key] += count - 1


def within(table: Counts, keys: Sequence[int], first: int, last: int) -> tuple[Sequence[int], Sequence[int]]:
    """Of a table's rows the keys and counts whose time lies in between, without a look at each where all do."""
    if not table.time or (min(table.time) >= first and max(table.time) <= last):
        return keys, table.visits
    inside = [first <= time <= last for time in table.time]
    return list(compress(keys, inside)), list(compress(table.visits, inside))


def by_path(table: Counts | None, paths: Collection[int]) -> Iterable[tuple[int, Counts]]:
    """The rows of some paths, for each that has any: tables are sorted by path."""
    if table is None:
        return
    for path in paths:
        start, end = bisect_left(table.path, path), bisect_right(table.path, path)
        if start < end:
            yield path, Counts(*(column[start:end] for column in table))
