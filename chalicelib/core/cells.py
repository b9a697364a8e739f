"""What events add up to: counts in cells of path, time and value, for one stretch of days.

`Cells` are built from segments, merged with each other, packed into parts of the rollups and read back by column. Only
visits count, but for `views`, which are all page views, so that nothing accepted is ever unaccounted for.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from functools import partial
from itertools import compress, repeat
from operator import itemgetter
from typing import NamedTuple

from . import fitting
from .columns import Reader, Writer
from .segments import EVENT, FIRST, Columns, Segment

HOUR = 3600
DAY = 86400
WHOLE = 64 * 1024
"""Bytes up to which a period is one part."""
SPLIT = 192 * 1024
"""Bytes up to which one kind of a period is one part; beyond, it is cut into ranges of paths."""


class Dimension(IntEnum):
    """What visits are counted by, besides path and hour. Values are ids of names, or pixels for `WIDTH`.

    A value of `CAMPAIGN` is the campaign and the referrer of the visit: `campaign << 32 | referrer`.
    """

    BROWSER = 0
    SYSTEM = 1
    LOCATION = 2
    LANGUAGE = 3
    WIDTH = 4
    CAMPAIGN = 5


SUMMARY = 1
"""Bit of a part that holds the totals by hour, and for each dimension by value and day."""
VISITS = 2
"""Bit of a part that holds visits by path, hour and referrer."""
ALL_KINDS = (1 << len(Dimension) + 2) - 1


def dimension_bit(dimension: Dimension) -> int:
    """Bit of a part that holds visits by path, value and day of one dimension."""
    return 4 << dimension


class Packed(NamedTuple):
    """A part of a period, ready to be written: which kinds it holds, for which paths."""

    kinds: int
    low: int
    high: int
    data: bytes


class Hours(NamedTuple):
    """Totals by hour, as columns of one length."""

    hour: list[int]
    views: list[int]
    visits: list[int]
    events: list[int]


class Counts(NamedTuple):
    """Counts by path, time and value, as columns of one length; sorted by path.

    For visits, `time` is an hour and `value` a referrer; for a dimension, `time` is a day. Both count from 1970.
    Sums over all paths have a path of 0.
    """

    path: list[int]
    time: list[int]
    value: list[int]
    visits: list[int]


Key = tuple[int, int, int]


@dataclass(slots=True)
class Cells:
    """Counts that can grow. Keys are (path, hour, referrer) for visits and (path, day, value) for dimensions."""

    views: Counter[int] = field(default_factory=Counter)
    firsts: Counter[int] = field(default_factory=Counter)
    events: Counter[int] = field(default_factory=Counter)
    visits: Counter[Key] = field(default_factory=Counter)
    values: list[Counter[Key]] = field(default_factory=lambda: [Counter() for _ in Dimension])

    def __bool__(self) -> bool:
        return bool(self.views)

    def add(self, segment: Segment) -> None:
        """Counts a segment's events."""
        columns = segment.events
        hours = [at // HOUR for at in columns.at]
        first = [flag & FIRST for flag in columns.flags]
        self.views.update(hours)
        hours = list(compress(hours, first))
        self.firsts.update(hours)
        flags = compress(columns.flags, first)
        self.events.update(hour for hour, flag in zip(hours, flags, strict=True) if flag & EVENT)
        paths = list(compress(columns.path, first))
        self.visits.update(zip(paths, hours, compress(columns.ref, first), strict=True))
        days = [hour // 24 for hour in hours]
        for counter, values, always in zip(self.values, _dimensions(columns), _ALWAYS, strict=True):
            chosen = zip(paths, days, compress(values, first), strict=True)
            counter.update(chosen if always else (key for key in chosen if key[2]))

    def update(self, other: "Cells") -> None:
        """Adds other cells to these."""
        self.views.update(other.views)
        self.firsts.update(other.firsts)
        self.events.update(other.events)
        self.visits.update(other.visits)
        for mine, theirs in zip(self.values, other.values, strict=True):
            mine.update(theirs)

    def by_day(self) -> dict[int, "Cells"]:
        """The same cells, apart for each day (from 1970)."""
        days = {hour // 24 for hour in self.views}
        if len(days) == 1:
            return {days.pop(): self}
        apart = {day: Cells() for day in days}
        for name in ("views", "firsts", "events"):
            for hour, count in getattr(self, name).items():
                getattr(apart[hour // 24], name)[hour] = count
        for key, count in self.visits.items():
            apart[key[1] // 24].visits[key] = count
        for dimension, counter in enumerate(self.values):
            for key, count in counter.items():
                apart[key[1]].values[dimension][key] = count
        return apart

    def sums(self, dimension: Dimension) -> Counter[Key]:
        """Counts of a dimension over all paths: keys are (0, day, value)."""
        sums: Counter[Key] = Counter()
        for (_, day, value), count in self.values[dimension].items():
            sums[0, day, value] += count
        return sums

    def hours(self) -> Hours:
        """Totals by hour, in order."""
        hours = sorted(self.views)
        return Hours(
            hours,
            [self.views[hour] for hour in hours],
            [self.firsts[hour] for hour in hours],
            [self.events[hour] for hour in hours],
        )

    def pack(self) -> list[Packed]:
        """The parts that hold these cells: one if they are few, else one a kind, else several of a kind, by path."""
        hours, sums = self.hours(), [_rows(self.sums(dimension)) for dimension in Dimension]
        visits, values = _rows(self.visits), [_rows(counter) for counter in self.values]
        whole = _pack(ALL_KINDS, hours=hours, sums=sums, visits=visits, values=values)
        if len(whole) <= WHOLE:
            ends = [rows[at][0][0] for rows in (visits, *values) if rows for at in (0, -1)]
            return [Packed(ALL_KINDS, min(ends, default=0), max(ends, default=0), whole)]
        parts = [Packed(SUMMARY, 0, 0, _pack(SUMMARY, hours=hours))]
        for dimension in Dimension:
            parts += _split(sums[dimension], partial(_pack_sums, dimension), SUMMARY)
        parts += _split(visits, _pack_visits, VISITS)
        for dimension in Dimension:
            parts += _split(values[dimension], partial(_pack_values, dimension), dimension_bit(dimension))
        return parts

    def load(self, part: "Part") -> None:
        """Adds what a part holds."""
        if part.hours is not None:
            for totals, column in zip((self.views, self.firsts, self.events), part.hours[1:], strict=True):
                for hour, count in zip(part.hours.hour, column, strict=True):
                    if count:
                        totals[hour] += count
        if part.visits is not None:
            _load(self.visits, part.visits)
        for counter, counts in zip(self.values, part.values, strict=True):
            if counts is not None:
                _load(counter, counts)


_ALWAYS = (False, False, True, True, True, False)
"""Whether a dimension counts the value 0: not if 0 says that there is nothing to count."""


def _dimensions(columns: Columns) -> Iterator[Iterable[int]]:
    yield columns.browser
    yield columns.system
    yield columns.location
    yield columns.language
    yield columns.width
    if any(columns.campaign):
        yield [c and c << 32 | r for c, r in zip(columns.campaign, columns.ref, strict=True)]
    else:
        yield repeat(0, len(columns.campaign))


Rows = Sequence[tuple[Key, int]]
_NO_HOURS = Hours([], [], [], [])


_NO_ROWS: Sequence[Rows] = [[] for _ in Dimension]


def _rows(counts: Counter[Key]) -> list[tuple[Key, int]]:
    """Counts in order of their keys. Those differ, so that nobody need look beyond them."""
    return sorted(counts.items(), key=itemgetter(0))


def _pack_sums(dimension: Dimension, rows: Rows) -> bytes:
    return _pack(SUMMARY, sums=[rows if each is dimension else [] for each in Dimension])


def _pack_visits(rows: Rows) -> bytes:
    return _pack(VISITS, visits=rows)


def _pack_values(dimension: Dimension, rows: Rows) -> bytes:
    return _pack(dimension_bit(dimension), values=[rows if each is dimension else [] for each in Dimension])


def _split(rows: Rows, pack: Callable[[Rows], bytes], kinds: int) -> list[Packed]:
    return [Packed(kinds, piece[0][0][0], piece[-1][0][0], data) for piece, data in fitting.pieces(rows, pack, SPLIT)]


def _pack(
    kinds: int,
    *,
    hours: Hours = _NO_HOURS,
    sums: Sequence[Rows] = _NO_ROWS,
    visits: Rows = (),
    values: Sequence[Rows] = _NO_ROWS,
) -> bytes:
    out = Writer()
    out.uint(kinds)
    if kinds & SUMMARY:
        out.deltas(hours.hour)
        for column in hours[1:]:
            out.column(column)
        for rows in sums:
            _put(out, rows)
    if kinds & VISITS:
        _put(out, visits)
    for dimension in Dimension:
        if kinds & dimension_bit(dimension):
            _put(out, values[dimension])
    return out.frame(b"P", 1)


def _put(out: Writer, items: Rows) -> None:
    out.deltas([key[0] for key, _ in items])
    out.column([key[1] for key, _ in items])
    out.column([key[2] for key, _ in items])
    out.column([count for _, count in items])


def _get(reader: Reader) -> Counts:
    return Counts(reader.deltas(), reader.column(), reader.column(), reader.column())


def _load(counter: Counter[Key], counts: Counts) -> None:
    for key, count in zip(zip(counts.path, counts.time, counts.value, strict=True), counts.visits, strict=True):
        counter[key] += count


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the rollups, read back. What it does not hold is None."""

    kinds: int
    hours: Hours | None
    sums: Sequence[Counts | None]
    visits: Counts | None
    values: Sequence[Counts | None]

    @property
    def size(self) -> int:
        """Roughly the bytes of memory that it takes."""
        held = [counts for counts in (self.visits, *self.sums, *self.values) if counts is not None]
        return 2000 + 100 * sum(len(counts.visits) for counts in held)


def unpack(data: bytes) -> Part:
    """The part that `Cells.pack` packed.

    Raises:
        BrokenLog: the bytes are damaged, or of another format.
    """
    reader = Reader(data, b"P", 1)
    kinds = reader.uint()
    hours: Hours | None = None
    sums: list[Counts | None] = [None for _ in Dimension]
    if kinds & SUMMARY:
        hours = Hours(reader.deltas(), reader.column(), reader.column(), reader.column())
        sums = [_get(reader) for _ in Dimension]
    visits = _get(reader) if kinds & VISITS else None
    values = [_get(reader) if kinds & dimension_bit(dimension) else None for dimension in Dimension]
    return Part(kinds, hours, sums, visits, values)


def as_part(cells: Cells) -> Part:
    """Cells in memory as a part that holds everything."""
    return Part(
        ALL_KINDS,
        cells.hours(),
        [_counts(_rows(cells.sums(dimension))) for dimension in Dimension],
        _counts(_rows(cells.visits)),
        [_counts(_rows(counter)) for counter in cells.values],
    )


def _counts(items: Rows) -> Counts:
    return Counts(
        [key[0] for key, _ in items],
        [key[1] for key, _ in items],
        [key[2] for key, _ in items],
        [count for _, count in items],
    )
