"""Named numbers by day: what a group, a statistic and a value are, and the rules that they keep.

Numbers are `Decimal` throughout, and all arithmetic is exact: DynamoDB keeps 38 digits, and a value has at most 19
before its point and 18 behind it.
"""

import re
from calendar import monthrange
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_EVEN, Context, Decimal
from enum import StrEnum
from itertools import groupby
from typing import NamedTuple

from . import ids
from .errors import Invalid, Taken

BOUND = Decimal(10) ** 19
"""Every value is nearer to 0 than this (statistics contract, rule 3)."""
DECIMALS = 18
LONGEST_NAME = 200
NEWEST = 366
"""How many days' values an answer holds if no range is asked for."""
LARGEST_BATCH = 500
EXACT = Context(prec=100)
"""Precise enough for every sum, difference and bound that appears here."""
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
GROUP, STATISTIC = "grp_", "sta_"
_GROUP_ID = re.compile(rf"{GROUP}[{ids.ALPHABET}]{{{ids.LENGTH}}}")
_STATISTIC_ID = re.compile(rf"{STATISTIC}[{ids.ALPHABET}]{{{2 * ids.LENGTH}}}")


class Method(StrEnum):
    """What an update does to the value of its day (statistics contract, rule 1)."""

    SET = "set"
    INCREMENT = "increment"
    DECREMENT = "decrement"
    ADD = "add"
    SUBTRACT = "subtract"
    CREATE = "create"
    """As `set`, for a day that must have no value yet."""


class Dated(NamedTuple):
    """The value of a day."""

    day: str
    """`YYYY-MM-DD`."""
    value: Decimal


@dataclass(frozen=True, slots=True)
class Group:
    """A group of statistics. Times are Unix seconds."""

    id: str
    name: str
    statistics: int
    """How many it has."""
    created_at: int
    updated_at: int


@dataclass(frozen=True, slots=True)
class Statistic:
    """A statistic, with as much of its values as was asked for. Times are Unix seconds."""

    id: str
    group: str
    """The group's name."""
    name: str
    created_at: int
    updated_at: int
    """When the newest of the values that were read for this was written, or the statistic made."""
    shown: Dated | None = None
    """The day that a call wrote, or the newest one; None if no day has a value."""
    values: tuple[Dated, ...] | None = None
    """By date; None if nobody asked for them."""


@dataclass(frozen=True, slots=True)
class Update:
    """One change of one day's value. `group` and `statistic` are names, or ids of what is there already."""

    group: str
    statistic: str
    method: Method
    value: Decimal
    """Of no meaning to `INCREMENT` and `DECREMENT`."""
    day: str

    @property
    def delta(self) -> Decimal | None:
        """By how much it moves the value; None if it replaces it."""
        match self.method:
            case Method.INCREMENT:
                return Decimal(1)
            case Method.DECREMENT:
                return Decimal(-1)
            case Method.ADD:
                return self.value
            case Method.SUBTRACT:
                return EXACT.minus(self.value)
            case _:
                return None


@dataclass(frozen=True, slots=True)
class Once:
    """Makes an update count once, however often it is sent within a day."""

    key: str
    """Stands for whoever sends it and the idempotency key: 64 hexadecimal digits."""
    request: str
    """Stands for what is asked for: the same key with another request is refused."""


@dataclass(frozen=True, slots=True)
class Span:
    """The days that are asked for, both included; None leaves an end open."""

    first: str | None = None
    last: str | None = None


Row = tuple[str, str, str, str, str, str]
"""A value as exports tell it: id and name of its group, id and name of its statistic, day, and number in digits."""


class Rows(NamedTuple):
    """Some rows of an export, in the order of storage. Where one batch ends and the next begins is for the data
    alone to say, so that a reader who goes on after any of them meets the same batches.
    """

    after: str
    """Names the last that the batch holds: where to go on."""
    rows: list[Row]


# Names, days and numbers


def name(field: str, given: object) -> str:
    """A name, trimmed.

    Raises:
        Invalid: it is no name (statistics contract, rule 5).
    """
    if not isinstance(given, str):
        raise Invalid(f"{field}: must be a string")
    found = given.strip()
    if not found:
        raise Invalid(f"{field}: must not be empty")
    if len(found) > LONGEST_NAME:
        raise Invalid(f"{field}: must have at most {LONGEST_NAME} characters")
    if "/" in found:
        raise Invalid(f'{field}: must not contain "/"')
    if _CONTROL.search(found):
        raise Invalid(f"{field}: must not contain control characters")
    return found


def day(field: str, given: object) -> str:
    """A day as `YYYY-MM-DD`.

    Raises:
        Invalid: it is none that the calendar has.
    """
    if isinstance(given, str) and _DATE.fullmatch(given):
        try:
            return date.fromisoformat(given).isoformat()
        except ValueError:
            raise Invalid(f"{field}: there is no such day") from None
    raise Invalid(f"{field}: must be a day, as YYYY-MM-DD")


def number(field: str, given: object) -> Decimal:
    """A value, rounded half to even where it has more than 18 decimals, else exactly as it was written.

    `given` is what a JSON parser made of it: an int or a Decimal. Binary fractions such as 1/300 are written with more
    decimals than are kept, and clients that ignore errors would lose what is refused.

    Raises:
        Invalid: it is no number, or rounded it lies outside the range (statistics contract, rule 3).
    """
    if isinstance(given, bool) or not isinstance(given, int | Decimal):
        raise Invalid(f"{field}: must be a number")
    found = Decimal(given)
    if not found.is_finite():
        raise Invalid(f"{field}: must be a finite number")
    if found.copy_abs() < BOUND:
        found = found.quantize(_SMALLEST, rounding=ROUND_HALF_EVEN, context=EXACT)
    if found.copy_abs() >= BOUND:
        raise Invalid(f"{field}: must be between -10^19 and 10^19")
    return tidy(found)


_SMALLEST = Decimal(1).scaleb(-DECIMALS)


def tidy(value: Decimal) -> Decimal:
    """The same number without trailing zeros, and without a sign if it is 0."""
    return value.normalize(EXACT) if value else Decimal(0)


def text(value: Decimal) -> str:
    """A number in digits, without an exponent: valid in JSON, in CSV and for DynamoDB."""
    return format(tidy(value), "f")


def moved(value: Decimal | None, update: Update) -> Decimal:
    """A day's value after an update; `value` is what it was, None if there was none.

    Raises:
        Invalid: it would leave the range.
        Taken: the day has a value, and the update is to create it.
    """
    delta = update.delta
    if delta is None:
        if update.method is Method.CREATE and value is not None:
            raise already(update)
        return update.value
    found = EXACT.add(value or Decimal(0), delta)
    if found.copy_abs() >= BOUND:
        raise beyond()
    return tidy(found)


def already(update: Update) -> Taken:
    """What to say of a day that has a value already."""
    return Taken(f'statistic "{update.statistic}" has a value for {update.day} already')


def beyond() -> Invalid:
    """What to say of a sum that would leave the range."""
    return Invalid("value: the sum would not be between -10^19 and 10^19")


# Ids


def group_id(now: float) -> str:
    """A new group's id; ids made later are greater."""
    return GROUP + ids.ordered(now)


def statistic_id(group: str, now: float) -> str:
    """A new statistic's id. It begins as its group's does, so that a group's statistics stand side by side."""
    return STATISTIC + group.removeprefix(GROUP) + ids.ordered(now)


def group_of(statistic: str) -> str:
    """The id of the group that a statistic is in, from its own."""
    return GROUP + statistic[len(STATISTIC) : len(STATISTIC) + ids.LENGTH]


def is_group_id(given: str) -> bool:
    """Whether this may be a group's id."""
    return _GROUP_ID.fullmatch(given) is not None


def is_statistic_id(given: str) -> bool:
    """Whether this may be a statistic's id."""
    return _STATISTIC_ID.fullmatch(given) is not None


# Plots


class Interval(StrEnum):
    """How days are put together."""

    DAY = "day"
    WEEK = "week"
    """Monday to Sunday, as ISO 8601 has it."""
    MONTH = "month"


class Bucket(NamedTuple):
    """What the days of an interval come to. Days without a value are not counted."""

    first: str
    """The interval's first day, whether it has a value or not."""
    last: str
    sum: Decimal
    min: Decimal
    max: Decimal
    mean: Decimal
    """Rounded to 18 decimals, half to even."""
    days: int
    """How many days have a value."""


def buckets(values: Iterable[Dated], interval: Interval) -> list[Bucket]:
    """The intervals that have values, by date; `values` are in that order."""
    found: list[Bucket] = []
    for bounds, members in groupby(values, key=lambda dated: _bounds(dated.day, interval)):
        numbers = [dated.value for dated in members]
        total = Decimal(0)
        for value in numbers:
            total = EXACT.add(total, value)
        mean = EXACT.divide(total, Decimal(len(numbers))).quantize(_SMALLEST, context=EXACT)
        found.append(
            Bucket(*bounds, tidy(total), min(numbers), max(numbers), tidy(mean), len(numbers)),
        )
    return found


def _bounds(day: str, interval: Interval) -> tuple[str, str]:
    if interval is Interval.DAY:
        return day, day
    if interval is Interval.MONTH:
        year, month = int(day[:4]), int(day[5:7])
        return f"{day[:8]}01", f"{day[:8]}{monthrange(year, month)[1]:02}"
    number = date.fromisoformat(day).toordinal()
    monday = number - (number - 1) % 7
    # The calendar's first day is a Monday; its last, in the year 9999, is a Friday.
    return date.fromordinal(monday).isoformat(), date.fromordinal(min(monday + 6, date.max.toordinal())).isoformat()
