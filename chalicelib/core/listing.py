"""What exports list: a stream's events in order, and its visits counted in order of time.

Both are as of a place in the log that was fixed beforehand (`place`), and a function of the log up to there alone: so
whoever makes a file anew, after any crash, gets the same bytes, whatever was appended, folded or merged meanwhile.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from . import cells as counting
from .cells import SUMMARY, VISITS, Cells, Counts, Dimension, Part, dimension_bit
from .errors import BrokenLog
from .log import load_names, read_manifest, require, tail
from .manifest import Manifest, Ref
from .names import Names
from .ports import LogStore, RollupStore
from .segments import Segment

STEP = 1_000_000
"""Bytes of the log that are read at once: DynamoDB gives no more."""
CELLS = 500_000
"""So many counts are sorted at once: some 60 MB. All parts of a stretch of days are read for each time."""
PARTS = 4
"""So many parts are read at once."""
_PATHS = 2**31
_EACH = 5_000
_RANGES = [*((low, low + _EACH) for low in range(0, 100_000, _EACH)), (100_000, _PATHS)]
"""Ranges of paths, if those of a single hour or day are too many."""


class Place(NamedTuple):
    """A place in a stream's log: behind a segment, with its last event."""

    head: int
    event: int
    """The last event's id; ids below it are all in. 0 if there is none."""


def place(log: LogStore, rollups: RollupStore, stream: str) -> Place:
    """The end of a stream's log as it is now."""
    manifest = read_manifest(rollups, stream)
    head, following = manifest.watermark, manifest.next_event
    for segment, _ in tail(log.read(stream, after=head), head):
        head, following = segment.number, segment.next_event
    return Place(head, following - 1)


def segments(log: LogStore, stream: str, head: int, after: int = 0) -> Iterator[Segment]:
    """A stream's segments in order up to the one with the number `head`, in steps of flat memory.

    Raises:
        BrokenLog: one is missing.
    """
    while after < head:
        items = log.read(stream, after=after, up_to=head, at_most=STEP)
        if not items:
            raise BrokenLog(f"{stream} ends at {after}, before {head}")
        for segment, _ in tail(items, after):
            yield segment
            after = segment.number


class Row(NamedTuple):
    """Visits of a path at a time with a value: an hour and a referrer, or a day and a value of a dimension."""

    time: int
    """Hours or days from 1970."""
    path: int
    value: int
    visits: int


class Tables:
    """A stream's visits up to a place, counted.

    They are read from the rollups as these are now, and then from the log what the rollups lack, or have too much:
    counts can be taken away again.
    """

    def __init__(self, log: LogStore, rollups: RollupStore, stream: str, end: Place) -> None:
        self._log = log
        self._rollups = rollups
        self._stream = stream
        self._end = end
        self._manifest = read_manifest(rollups, stream)
        low, high = sorted((end.head, self._manifest.watermark))
        self._sign = 1 if high == end.head else -1
        self._rest = Cells()
        for segment in segments(log, stream, high, low):
            self._rest.add(segment)

    def visits(self, first: int | None = None) -> Iterator[Row]:
        """Visits by hour, path and referrer, in this order, from the day `first` on, if one is named."""
        return self._rows(VISITS, 24, first, lambda part: part.visits, self._rest.visits)

    def values(self, dimension: Dimension, first: int | None = None) -> Iterator[Row]:
        """Visits by day, path and value of a dimension, in this order, from the day `first` on, if one is named."""
        return self._rows(
            dimension_bit(dimension), 1, first, lambda part: part.values[dimension], self._rest.values[dimension]
        )

    def names(self) -> Iterator[Names | None]:
        """Every name up to the place, with the titles that paths had there: the last thing that comes.

        What comes before it are signs of life. If the rollups go further, the log is read for titles that changed.
        """
        if self._manifest.watermark <= self._end.head:
            names = load_names(self._manifest, self._get(self._manifest.names))
            after = self._manifest.watermark
        else:
            names, after = Names(), 0
        for segment in segments(self._log, self._stream, self._end.head, after):
            names.replay(segment)
            yield None
        yield names

    def _get(self, refs: Iterable[Ref]) -> dict[str, bytes]:
        return require(self._rollups, self._stream, [ref.id for ref in refs])

    def _rows(
        self,
        kind: int,
        units: int,
        first: int | None,
        pick: Callable[[Part], Counts | None],
        rest: Counter[tuple[int, int, int]],
    ) -> Iterator[Row]:
        """Rows whose times are `units` to the day."""
        for span in _spans(self._manifest, self._rest):
            since = span.first if first is None else max(first, span.first)
            if span.last < since:
                continue
            refs = [ref for ref in span.refs if ref.kinds & kind]
            for window in _windows(self._load(span), units, since * units):
                found: Counter[int] = Counter()
                for part in self._parts(refs):
                    counts = pick(part)
                    if counts is not None:
                        _collect(found, window, zip(*counts, strict=True))
                here = ((*key, self._sign * count) for key, count in rest.items())
                _collect(found, window, here)
                for key in sorted(found):
                    if found[key]:
                        yield Row(key >> 64, key >> 32 & 0xFFFFFFFF, key & 0xFFFFFFFF, found[key])

    def _parts(self, refs: list[Ref]) -> Iterator[Part]:
        for start in range(0, len(refs), PARTS):
            for data in self._get(refs[start : start + PARTS]).values():
                yield counting.unpack(data)

    def _load(self, span: "_Span") -> Counter[int]:
        """How many visits there were in each hour of a span: there are never more rows."""
        hours: Counter[int] = Counter()
        for part in self._parts([ref for ref in span.refs if ref.kinds & SUMMARY]):
            if part.hours is not None:
                for hour, visits in zip(part.hours.hour, part.hours.visits, strict=True):
                    hours[hour] += visits
        if self._sign > 0:
            for hour, visits in self._rest.firsts.items():
                if span.first <= hour // 24 <= span.last:
                    hours[hour] += visits
        return hours


class _Span(NamedTuple):
    """Days that some parts are about, and no other parts."""

    first: int
    last: int
    refs: list[Ref]


def _spans(manifest: Manifest, rest: Cells) -> list[_Span]:
    days = {hour // 24 for hour in rest.views}
    found = [(period.first, period.last, runs) for period, runs in manifest.periods.items()]
    found += [(day, day, ()) for day in days]
    spans: list[_Span] = []
    for first, last, runs in sorted(found, key=lambda each: each[:2]):
        refs = [part for run in runs for part in run.parts]
        if spans and first <= spans[-1].last:
            before = spans.pop()
            spans.append(_Span(before.first, max(before.last, last), before.refs + refs))
        else:
            spans.append(_Span(first, last, refs))
    return spans


class _Window(NamedTuple):
    """Times and paths, the first of each included, the last not."""

    since: int
    until: int
    low: int
    high: int


def _windows(hours: Counter[int], units: int, first: int) -> Iterator[_Window]:
    """Windows that follow each other in the order of rows, none with many more than `CELLS` of them.

    A single hour, or day, with more is cut by paths.
    """
    visits: Counter[int] = Counter()
    for hour, count in hours.items():
        visits[hour * units // 24] += count
    since, total = first, 0
    for time in sorted(time for time in visits if time >= first):
        if total and total + visits[time] > CELLS:
            yield _Window(since, time, 0, _PATHS)
            since, total = time, 0
        if visits[time] > CELLS:
            yield from (_Window(since, time + 1, low, high) for low, high in _RANGES)
            since = time + 1
        else:
            total += visits[time]
    if total:
        yield _Window(since, max(visits) + 1, 0, _PATHS)


def _collect(found: Counter[int], window: _Window, rows: Iterable[tuple[int, int, int, int]]) -> None:
    since, until, low, high = window
    for path, time, value, visits in rows:
        if since <= time < until and low <= path < high:
            found[time << 64 | path << 32 | value] += visits
