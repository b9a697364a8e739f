"""Answers to questions about a stream: totals, lists of paths, series by hour and day.

Every number is a number of visits: first views of a path in a session (page-view contract, sections 0.1 and 2).
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from .cells import SUMMARY, VISITS
from .errors import Invalid
from .names import OTHER, Names
from .periods import DAY, Range, day_text, first_of_month
from .reading import Reader, Snapshot
from .segments import Kind
from .sums import add, by_path, within

SERIES = 150_000
"""As many days, of all paths that are listed, as fit into a function's memory."""
Group = Literal["hour", "day", "week", "month"]


class Path(NamedTuple):
    """A path of a site, or an event's name."""

    id: int
    path: str
    title: str
    event: bool


class Day(NamedTuple):
    """One day of a series: 24 hours and their sum. `weekly` and `monthly` are 0 but on the entries that carry them."""

    day: str
    hourly: list[int]
    daily: int
    weekly: int
    monthly: int


class Total(NamedTuple):
    """Visits in a range, events included; `total_utc` reads the bounds, as the caller's clock shows them, as UTC."""

    total: int
    total_events: int
    total_utc: int
    days: list[Day]


@dataclass(frozen=True, slots=True)
class HitList:
    """The visits of one path. `max` is the greatest sum of the group that was asked for."""

    count: int
    path_id: int
    path: str
    event: bool
    title: str
    max: int
    days: list[Day]


class HitLists(NamedTuple):
    """The most visited paths; `total` is the sum of those listed."""

    hits: list[HitList]
    total: int
    more: bool


@dataclass(frozen=True, slots=True)
class PathFilter:
    """Which paths are meant: by id, by name regardless of case, or all if both are None."""

    ids: frozenset[int] | None = None
    names: tuple[str, ...] | None = None

    def resolve(self, names: Names) -> frozenset[int] | None:
        """The ids that are meant; None for all."""
        if self.names is None:
            return self.ids
        wanted = {name.lower() for name in self.names}
        return frozenset(i for i, name in names.live(Kind.PATH) if name.partition("\0")[0].lower() in wanted)


EVERY_PATH = PathFilter()


def is_event(path: str) -> bool:
    """Whether a path is an event's name: normalised pages begin with a slash, events never do."""
    return not path.startswith("/") and path != OTHER


class Reports:
    """Answers questions about streams."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def paths(self, stream: str, after: int, limit: int) -> tuple[list[Path], bool]:
        """Paths with ids above `after`, by id, `limit` at most; and whether there are more."""
        return self._reader.answer(stream, lambda snapshot: _paths(snapshot, after, limit))

    def total(self, stream: str, when: Range, paths: PathFilter = EVERY_PATH) -> Total:
        """How many visits there were."""
        return self._reader.answer(stream, lambda snapshot: _total(snapshot, when, paths))

    def hits(  # noqa: PLR0913 - the question has that many sides
        self,
        stream: str,
        when: Range,
        *,
        include: PathFilter = EVERY_PATH,
        exclude: PathFilter | None = None,
        limit: int = 20,
        group: Group = "hour",
    ) -> HitLists:
        """The most visited paths, those with the greatest id first where visits are equal.

        Raises:
            Invalid: there are so many that their days would be more than `SERIES`.
        """
        return self._reader.answer(
            stream, lambda snapshot: _hits(snapshot, when, include=include, exclude=exclude, limit=limit, group=group)
        )


def _paths(snapshot: Snapshot, after: int, limit: int) -> tuple[list[Path], bool]:
    found: list[Path] = []
    for i in snapshot.names.ids(Kind.PATH, max(after, 0)):
        if len(found) == limit:
            return found, True
        path, title = snapshot.names.path(i)
        found.append(Path(i, path, title, is_event(path)))
    return found, False


def _total(snapshot: Snapshot, when: Range, paths: PathFilter) -> Total:
    utc = when.clock
    wanted = paths.resolve(snapshot.names)
    visits, events = Counter[int](), Counter[int]()
    first = min(when.start // DAY, utc.start // DAY)
    last = max(when.end // DAY, utc.end // DAY)
    if wanted is None:
        for part in snapshot.parts(SUMMARY, first, last):
            if part.hours is not None:
                add(visits, part.hours.hour, part.hours.visits)
                add(events, part.hours.hour, part.hours.events)
    else:
        named_events = {path for path in wanted if _is_known_event(snapshot, path)}
        for part in snapshot.parts(VISITS, first, last, wanted):
            for path, counts in by_path(part.visits, wanted):
                add(visits, counts.time, counts.visits)
                if path in named_events:
                    add(events, counts.time, counts.visits)
    series = _series({hour: count for hour, count in visits.items() if _within(hour, when)}, when)
    return Total(
        sum(day.daily for day in series),
        sum(count for hour, count in events.items() if _within(hour, when)),
        sum(count for hour, count in visits.items() if _within(hour, utc)),
        series,
    )


def _is_known_event(snapshot: Snapshot, path: int) -> bool:
    return snapshot.names.has(Kind.PATH, path) and is_event(snapshot.names.path(path)[0])


def _hits(  # noqa: PLR0913 - as above
    snapshot: Snapshot,
    when: Range,
    *,
    include: PathFilter,
    exclude: PathFilter | None,
    limit: int,
    group: Group,
) -> HitLists:
    wanted = include.resolve(snapshot.names)
    unwanted = (exclude.resolve(snapshot.names) if exclude else None) or frozenset()
    parts = snapshot.parts(VISITS, when.start // DAY, when.end // DAY, wanted)
    tables = [part.visits for part in parts if part.visits is not None]
    counts = Counter[int]()
    for table in tables:
        add(counts, *within(table, table.path, *when.hours))
    ranked = sorted(
        (
            (count, path)
            for path, count in counts.items()
            if count > 0 and path not in unwanted and (wanted is None or path in wanted)
        ),
        reverse=True,
    )
    chosen = {path for _, path in ranked[:limit]}
    first, last = when.days
    if len(chosen) * (last - first + 1) > SERIES:
        raise Invalid("too many days of too many paths: ask for fewer of either")
    series: dict[int, Counter[int]] = {path: Counter() for path in chosen}
    for table in tables:
        for path, found in by_path(table, chosen):
            add(series[path], found.time, found.visits)
    hits = [_hit_list(snapshot, path, series[path], when, group) for _, path in ranked[:limit]]
    return HitLists(hits, sum(hit.count for hit in hits), len(ranked) > limit)


def _hit_list(snapshot: Snapshot, path: int, visits: Counter[int], when: Range, group: Group) -> HitList:
    text, title = snapshot.names.path(path)
    days = _series({hour: number for hour, number in visits.items() if _within(hour, when)}, when)
    return HitList(sum(day.daily for day in days), path, text, is_event(text), title, _greatest(days, group), days)


def _within(hour: int, when: Range) -> bool:
    first, last = when.hours
    return first <= hour <= last


def _series(visits: dict[int, int], when: Range) -> list[Day]:
    first, last = when.days
    if last < first:
        return []
    hourly = [[0] * 24 for _ in range(last - first + 1)]
    for hour, count in visits.items():
        day, of_day = when.place(hour)
        hourly[day][of_day] += count
    daily = [sum(hours) for hours in hourly]
    return [
        Day(
            day_text(first + i),
            hours,
            daily[i],
            sum(daily[i : i + 7]) if i % 7 == 0 else 0,
            _month_sum(daily, i, first),
        )
        for i, hours in enumerate(hourly)
    ]


def _month_sum(daily: Sequence[int], i: int, first: int) -> int:
    """The sum from an entry that carries a month to the next that does; 0 for others."""
    if i and not first_of_month(first + i):
        return 0
    end = i + 1
    while end < len(daily) and not first_of_month(first + end):
        end += 1
    return sum(daily[i:end])


def _greatest(days: Sequence[Day], group: Group) -> int:
    sums: dict[Group, Iterable[int]] = {
        "hour": (max(day.hourly) for day in days),
        "day": (day.daily for day in days),
        "week": (day.weekly for day in days),
        "month": (day.monthly for day in days),
    }
    return max(sums[group], default=0)
