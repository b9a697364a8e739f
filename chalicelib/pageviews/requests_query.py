"""What callers ask for: the query strings of the statistics endpoints (page-view contract, sections 1.6 and 2)."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple, NoReturn

from chalicelib.core.errors import Invalid
from chalicelib.core.periods import DAY, Range, default_range, time_text

from . import scalars

if TYPE_CHECKING:
    # Loaded with the first question: what answers them would be a third of what a cold start imports of ours.
    from chalicelib.core.reports import Group, PathFilter

Query = Mapping[str, Sequence[str]]
Zone = Callable[[float], int]
"""How many seconds a clock is ahead of UTC at a moment."""
LONGEST = 36_600
"""Days of a range: a century. Every day is listed in the answer, empty ones too."""
_TRUE = frozenset({"true", "on", "1", "checked"})
_GROUPS: tuple[Group, ...] = ("hour", "day", "week", "month")
_INT32 = 2**31
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_TIME = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})T([0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.([0-9]{1,32}))?(?:Z|([+-])([0-9]{2}):([0-9]{2}))",
    re.ASCII,
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST = (datetime(1, 1, 2, tzinfo=UTC) - _EPOCH).days * DAY
_LAST = (datetime(9999, 12, 31, tzinfo=UTC) - _EPOCH).days * DAY - 1
"""The calendar but for its first and last day: they would leave it in some time zones."""


class PathsQuery(NamedTuple):
    """The query of `GET /paths`."""

    after: int
    limit: int


class TotalQuery(NamedTuple):
    """The query of `GET /stats/total`."""

    when: Range
    include: PathFilter


class HitsQuery(NamedTuple):
    """The query of `GET /stats/hits`."""

    when: Range
    include: PathFilter
    exclude: PathFilter | None
    limit: int
    group: Group


class RefsQuery(NamedTuple):
    """The query of `GET /stats/hits/{path_id}`."""

    when: Range
    limit: int
    offset: int


class BreakdownQuery(NamedTuple):
    """The query of `GET /stats/{page}` and `GET /stats/{page}/{id}`."""

    when: Range
    include: PathFilter
    limit: int
    offset: int


def paths_query(query: Query) -> PathsQuery:
    """What `GET /paths` is asked for.

    Raises:
        Invalid: an unknown parameter, or one that cannot be read.
    """
    given = _Given(query, ("limit", "after"))
    return PathsQuery(given.number("after", 0), _clamped(given.number("limit", 20), 200))


def total_query(query: Query, now: float, zone: Zone) -> TotalQuery:
    """What `GET /stats/total` is asked for; `zone` says how far the user's clock is ahead of UTC.

    Raises:
        Invalid: as above, or the range is longer than a century.
    """
    given = _Given(query, ("start", "end", "include_paths", "path_by_name"))
    when = given.range(now, zone)
    return TotalQuery(when, given.paths("include_paths", by_name=given.flag("path_by_name")) or _filter())


def hits_query(query: Query, now: float, zone: Zone) -> HitsQuery:
    """What `GET /stats/hits` is asked for.

    Raises:
        Invalid: as `total_query`.
    """
    given = _Given(
        query,
        ("start", "end", "group", "daily", "include_paths", "exclude_paths", "path_by_name", "limit"),
    )
    by_name = given.flag("path_by_name")
    group = given.group("group")
    return HitsQuery(
        when=given.range(now, zone),
        include=given.paths("include_paths", by_name=by_name) or _filter(),
        exclude=given.paths("exclude_paths", by_name=by_name),
        limit=_clamped(given.number("limit", 20), 100),
        group="day" if group == "hour" and given.flag("daily") else group,
    )


def drops_query(query: Query, now: float) -> tuple[int, int]:
    """The days in UTC, from 1970, that `GET /api/x/drops` is asked for, both included.

    Raises:
        Invalid: as `total_query`.
    """
    when = _Given(query, ("start", "end")).range(now, lambda _: 0)
    return when.days


def refs_query(query: Query, now: float, zone: Zone) -> RefsQuery:
    """What `GET /stats/hits/{path_id}` is asked for.

    Raises:
        Invalid: as `total_query`.
    """
    given = _Given(query, ("start", "end", "limit", "offset"))
    return RefsQuery(given.range(now, zone), *given.piece())


def breakdown_query(query: Query, now: float, zone: Zone) -> BreakdownQuery:
    """What `GET /stats/{page}` and `GET /stats/{page}/{id}` are asked for.

    Raises:
        Invalid: as `total_query`.
    """
    given = _Given(query, ("start", "end", "include_paths", "path_by_name", "limit", "offset"))
    include = given.paths("include_paths", by_name=given.flag("path_by_name")) or _filter()
    return BreakdownQuery(given.range(now, zone), include, *given.piece())


class _Given:
    """The parameters of a query under their own names, each with all of its values."""

    def __init__(self, query: Query, known: Sequence[str]) -> None:
        spellings = {spelling: name for name in known for spelling in _spellings(name)}
        self._values: dict[str, list[str]] = {}
        for key, values in query.items():
            if key not in spellings:
                raise Invalid(f"unknown parameter: {_quoted(key)}")
            self._values.setdefault(spellings[key], []).extend(values)

    def _first(self, name: str) -> str | None:
        return next(iter(self._values.get(name, ())), None)

    def number(self, name: str, default: int) -> int:
        text = self._first(name)
        if text is None:
            return default
        number = scalars.integer(text)
        if number is None:
            _refuse(name, text, "a number")
        return number

    def piece(self) -> tuple[int, int]:
        """How many rows are wanted, and how many to pass over before them."""
        return _clamped(self.number("limit", 20), 100), max(self.number("offset", 0), 0)

    def flag(self, name: str) -> bool:
        return self._first(name) in _TRUE

    def group(self, name: str) -> Group:
        text = self._first(name)
        if text is None:
            return "hour"
        if text in _GROUPS:
            return text
        if text not in {"0", "1", "2", "3"}:
            _refuse(name, text, "one of hour, day, week, month")
        return _GROUPS[int(text)]

    def range(self, now: float, zone: Zone) -> Range:
        """The range that is asked for. Where one bound is not given, it is the one of the last eight days.

        Raises:
            Invalid: the end is before the start; but behind an end that was not given nothing can have happened yet.
        """
        begin, stop = self._time("start"), self._time("end")
        default = default_range(now)
        first, last = begin or _Moment(default[0]), stop or _Moment(default[1])
        if stop is not None and last < first:
            shown = [_quoted(self._first(name) or "") for name in ("start", "end")]
            if begin is None:
                shown[0] = f"{time_text(first.seconds)}, which it is unless given"
            raise Invalid(f"invalid query parameters: end: {shown[1]} is before start: {shown[0]}")
        # A fraction is rounded up or down: both ends belong to the range.
        start, end = _within(first.seconds + bool(first.fraction)), _within(last.seconds)
        if (end - start) // DAY >= LONGEST:
            raise Invalid(f"invalid query parameters: more than {LONGEST} days from start to end")
        return Range(start, end, zone(now), (zone(start), zone(end)))

    def _time(self, name: str) -> _Moment | None:
        """A moment that is given; clients also send the first of all moments for one that is not (quirk 28)."""
        text = self._first(name)
        if not text:
            return None
        moment = _moment(text)
        if moment is None:
            _refuse(name, text, "a date or an RFC 3339 time")
        return None if moment == _UNSET else moment

    def paths(self, name: str, *, by_name: bool) -> PathFilter | None:
        """The paths that are named; None if none are."""
        words = [word for value in self._values.get(name, ()) for word in _words(value)]
        if not words:
            return None
        if by_name:
            return _filter(names=tuple(words))
        ids = set()
        for word in words:
            number = scalars.integer(word)
            if number is None or not -_INT32 <= number < _INT32:
                raise Invalid(f"invalid number in {name}: {_quoted(word)}")
            ids.add(number)
        return _filter(ids=frozenset(ids))


def _filter(ids: frozenset[int] | None = None, names: tuple[str, ...] | None = None) -> PathFilter:
    from chalicelib.core.reports import PathFilter  # noqa: PLC0415 - as above

    return PathFilter(ids, names)


def _spellings(name: str) -> tuple[str, ...]:
    camel = "".join(word.capitalize() for word in name.split("_"))
    return (name, camel, f"{name}[]", f"{camel}[]") if name.endswith("_paths") else (name, camel)


def _words(text: str) -> list[str]:
    words = text.split(",") if "," in text else text.split(" ")
    return [word.strip() for word in words if word.strip()]


def _clamped(number: int, cap: int) -> int:
    return min(max(number, 1), cap)


class _Moment(NamedTuple):
    """A moment as exactly as it is given. Of two, the earlier is the less."""

    seconds: int
    """From 1970."""
    fraction: str = ""
    """The digits of what is left of a second, without zeros at their end."""


_UNSET = _Moment(int(scalars.ZERO_TIME))


def _within(seconds: int) -> int:
    return min(max(seconds, _FIRST), _LAST)


def _moment(text: str) -> _Moment | None:
    if _DATE.fullmatch(text):
        midnight = _seconds(f"{text}T00:00:00")
        return None if midnight is None else _Moment(midnight)
    match = _TIME.fullmatch(text)
    seconds = _seconds(f"{match[1]}T{match[2]}") if match else None
    if match is None or seconds is None:
        return None
    if match[4]:
        hours, minutes = int(match[5]), int(match[6])
        if hours > 23 or minutes > 59:
            return None
        seconds -= (hours * 3600 + minutes * 60) * (1 if match[4] == "+" else -1)
    return _Moment(seconds, (match[3] or "").rstrip("0"))


def _seconds(text: str) -> int | None:
    try:
        return int((datetime.fromisoformat(text).replace(tzinfo=UTC) - _EPOCH).total_seconds())
    except ValueError:
        return None


def _refuse(name: str, text: str, kind: str) -> NoReturn:
    raise Invalid(f"invalid query parameters: {name}: {_quoted(text)} is not {kind}")


def _quoted(text: str) -> str:
    shown = text[:100].encode(errors="replace").decode()
    return json.dumps(shown, ensure_ascii=not shown.isprintable())
