"""Names, days, numbers, ids and plots of statistics: the rules by themselves."""

import re
from datetime import date, timedelta
from decimal import Decimal, localcontext
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core import statistics
from chalicelib.core.errors import Invalid, Taken
from chalicelib.core.statistics import Bucket, Dated, Interval, Method, Update, buckets

LARGEST = Decimal("9999999999999999999.999999999999999999")
LOWEST = Decimal("-9999999999999999999.999999999999999999")
SMALLEST = Decimal("0.000000000000000001")
scaled = st.one_of(
    st.integers(-(10**37) + 1, 10**37 - 1),
    st.sampled_from((0, 1, -1, 10**18, 10**37 - 1, 1 - 10**37, 2**63 - 1, -(2**63))),
)
"""Values as whole numbers of 10^-18."""
days = st.dates().map(date.isoformat)


def decimal(units: int) -> Decimal:
    with localcontext(prec=60):
        return Decimal(units) / 10**18


def update(method: Method, value: Decimal = Decimal(0)) -> Update:
    return Update("g", "s", method, value, "2026-01-01")


# Numbers


@given(scaled)
def test_a_number_comes_back_as_it_was_given(units: int) -> None:
    """Whatever zeros and exponents it was written with; in digits, and never with a sign before 0."""
    given_number = decimal(units)
    for written in (given_number, Decimal(f"{given_number:f}"), Decimal(f"{given_number:e}")):
        found = statistics.number("value", written)
        said = statistics.text(found)
        assert Fraction(said) == Fraction(units, 10**18)
        assert re.fullmatch(r"0|-?(0|[1-9]\d*)(\.\d*[1-9])?", said)
        assert statistics.text(Decimal(said)) == said


@pytest.mark.parametrize("given_number", [10**19, -(10**19), Decimal(10**19), Decimal("1e300"), Decimal("-1e19")])
def test_a_number_beyond_the_bounds_is_refused(given_number: Decimal | int) -> None:
    with pytest.raises(Invalid, match=r"value: must be between"):
        statistics.number("value", given_number)


@given(st.floats(allow_nan=False, allow_infinity=False, max_value=9.9e18, min_value=-9.9e18))
def test_any_float_in_the_range_is_taken_and_rounded_half_to_even(given_number: float) -> None:
    """As JSON writes it: to the nearest whole number of 10^-18, and of two that are as near, to the even one."""
    written = Decimal(repr(given_number))
    found = statistics.number("value", written)
    assert Fraction(statistics.text(found)) == Fraction(round(Fraction(written) * 10**18), 10**18)


@given(st.integers(-(10**38) + 1, 10**38 - 1), st.integers(1, 30))
def test_what_rounds_to_the_bounds_is_refused_and_nothing_nearer(units: int, places: int) -> None:
    """Rounding comes before the range: no value that is kept is as large as 10^19."""
    with localcontext(prec=100):
        written = Decimal(units).scaleb(-18 - places)
    kept = round(Fraction(units, 10**places))
    if abs(kept) >= 10**37:
        with pytest.raises(Invalid, match=r"value: must be between"):
            statistics.number("value", written)
    else:
        assert Fraction(statistics.text(statistics.number("value", written))) == Fraction(kept, 10**18)


@pytest.mark.parametrize("given_number", [SMALLEST / 2, -SMALLEST / 2, Decimal("1e-300"), Decimal("1e-999999999")])
def test_what_is_smaller_than_half_of_the_smallest_part_is_nothing(given_number: Decimal) -> None:
    assert statistics.text(statistics.number("value", given_number)) == "0"


@pytest.mark.parametrize("given_number", [None, True, False, "1", 1.0, [], {}, Decimal("nan"), Decimal("-inf")])
def test_what_is_no_number_is_refused(given_number: object) -> None:
    with pytest.raises(Invalid, match=r"value: must be a"):
        statistics.number("value", given_number)


def test_the_bounds_themselves_are_exact() -> None:
    assert statistics.text(statistics.number("value", LARGEST)) == "9999999999999999999.999999999999999999"
    assert statistics.text(statistics.number("value", LOWEST)) == "-9999999999999999999.999999999999999999"
    assert statistics.text(statistics.number("value", 2**63 - 1)) == str(2**63 - 1)
    assert statistics.text(statistics.number("value", Decimal("-0.00"))) == "0"
    assert statistics.text(statistics.number("value", Decimal("0e500"))) == "0"


@given(st.none() | scaled, st.sampled_from(list(Method)), scaled)
def test_an_update_moves_a_value_as_whole_numbers_would(before: int | None, method: Method, operand: int) -> None:
    """Exactly, or it is refused: where the sum leaves the range, or the day that is to be created has a value."""
    whole = 10**18
    expected = {
        Method.SET: operand,
        Method.CREATE: operand,
        Method.INCREMENT: (before or 0) + whole,
        Method.DECREMENT: (before or 0) - whole,
        Method.ADD: (before or 0) + operand,
        Method.SUBTRACT: (before or 0) - operand,
    }[method]
    old = None if before is None else statistics.tidy(decimal(before))
    asked = update(method, statistics.tidy(decimal(operand)))
    if method is Method.CREATE and before is not None:
        with pytest.raises(Taken):
            statistics.moved(old, asked)
    elif abs(expected) >= 10**37:
        with pytest.raises(Invalid, match="sum"):
            statistics.moved(old, asked)
    else:
        assert Fraction(statistics.text(statistics.moved(old, asked))) == Fraction(expected, whole)


def test_a_tenth_added_ten_times_is_one() -> None:
    value: Decimal | None = None
    for _ in range(10):
        value = statistics.moved(value, update(Method.ADD, Decimal("0.1")))
    assert value is not None
    assert statistics.text(value) == "1"


def test_a_sum_may_reach_the_bounds_but_not_pass_them() -> None:
    for bound, method in ((LARGEST, Method.ADD), (LOWEST, Method.SUBTRACT)):
        nearly = Decimal(f"{str(bound)[:-1]}8")
        assert statistics.moved(nearly, update(method, SMALLEST)) == bound
    for value, method in ((LARGEST, Method.ADD), (LOWEST, Method.SUBTRACT)):
        with pytest.raises(Invalid):
            statistics.moved(value, update(method, SMALLEST))
    with pytest.raises(Invalid):
        statistics.moved(LARGEST, update(Method.INCREMENT))


# Names and days


@given(st.text(max_size=220))
def test_a_name_is_trimmed_and_kept_as_it_is_or_refused(text: str) -> None:
    """One to 200 characters that are no controls, none of them a slash."""
    trimmed = text.strip()
    bad = [c for c in trimmed if c == "/" or ord(c) < 32 or 127 <= ord(c) < 160 or 0xD800 <= ord(c) < 0xE000]
    if 0 < len(trimmed) <= 200 and not bad:
        assert statistics.name("name", text) == trimmed
    else:
        with pytest.raises(Invalid, match=r"^name: must"):
            statistics.name("name", text)


@pytest.mark.parametrize("text", ["ä", "a b", "a%2Fb", "?#", "..", "x" * 200, "\U0001f600", "a\u00a0b"])
def test_unusual_names_are_names(text: str) -> None:
    assert statistics.name("name", f"  {text} ") == text


@pytest.mark.parametrize("text", ["", "  ", "a/b", "x" * 201, "a\nb", "\x7f", "a\x85b", "\ud800", None, 1, ["a"]])
def test_what_is_no_name_is_refused(text: object) -> None:
    with pytest.raises(Invalid, match=r"^group: must"):
        statistics.name("group", text)


@given(days)
def test_every_day_of_the_calendar_is_a_day(text: str) -> None:
    assert statistics.day("reference_date", text) == text


@pytest.mark.parametrize(
    "text",
    [
        *("2026-02-30", "2025-02-29", "2026-13-01", "2026-00-10", "0000-01-01", "2026-1-1", "20260101", "2026-01-01 "),
        *("2026-01-01T00:00:00", "٢٠٢٦-01-01", "10000-01-01", "", "today", None, 20260101, True),
    ],
)
def test_what_is_no_day_is_refused(text: object) -> None:
    with pytest.raises(Invalid, match=r"^reference_date: "):
        statistics.day("reference_date", text)


# Ids


@given(st.lists(st.integers(0, 10**11), min_size=2, max_size=20, unique=True))
def test_ids_made_later_are_greater_and_say_their_group(milliseconds: list[int]) -> None:
    times = sorted(at / 1000 for at in milliseconds)
    groups = [statistics.group_id(at) for at in times]
    assert groups == sorted(groups)
    assert all(statistics.is_group_id(one) and not statistics.is_statistic_id(one) for one in groups)
    members = [statistics.statistic_id(groups[0], at) for at in times]
    assert members == sorted(members)
    assert all(statistics.is_statistic_id(one) and not statistics.is_group_id(one) for one in members)
    assert {statistics.group_of(one) for one in members} == {groups[0]}
    later = [statistics.statistic_id(group, times[0]) for group in groups]
    assert later == sorted(later), "statistics stand by their groups"


@pytest.mark.parametrize("text", ["", "grp_", "grp_x", "sta_" + "0" * 31, "grp_" + "0" * 17, "grp_" + "i" * 16, "G"])
def test_names_are_hardly_taken_for_ids(text: str) -> None:
    assert not statistics.is_group_id(text)
    assert not statistics.is_statistic_id(text)


# Plots


def _interval(day: date, interval: Interval) -> tuple[date, date]:
    """Day by day: as far back and forth as it is still the same week or month."""

    def label(of: date) -> object:
        week = tuple(of.isocalendar())[:2]
        return {Interval.DAY: of, Interval.WEEK: week, Interval.MONTH: (of.year, of.month)}[interval]

    first = last = day
    while first > date.min and label(first - timedelta(1)) == label(day):
        first -= timedelta(1)
    while last < date.max and label(last + timedelta(1)) == label(day):
        last += timedelta(1)
    return first, last


calendar = st.one_of(
    st.dates(date(2024, 12, 1), date(2025, 3, 10)),
    st.dates(date(2024, 12, 1), date(2025, 3, 10)),
    st.dates(),
    st.sampled_from((date.min, date.max, date(2024, 2, 29), date(2026, 1, 1), date(2020, 12, 31))),
)


@given(st.dictionaries(calendar, scaled, max_size=12), st.sampled_from(list(Interval)))
def test_plots_say_of_each_interval_what_its_days_come_to(values: dict[date, int], interval: Interval) -> None:
    """Each interval that has values, in order, against sums of whole numbers."""
    dated = [Dated(day.isoformat(), statistics.tidy(decimal(values[day]))) for day in sorted(values)]
    expected: dict[tuple[date, date], list[int]] = {}
    for day in sorted(values):
        expected.setdefault(_interval(day, interval), []).append(values[day])
    found = buckets(dated, interval)
    assert [(bucket.first, bucket.last) for bucket in found] == [(a.isoformat(), b.isoformat()) for a, b in expected]
    for bucket, numbers in zip(found, expected.values(), strict=True):
        assert _units(bucket.sum) == sum(numbers)
        assert [_units(bucket.min), _units(bucket.max)] == [Fraction(min(numbers)), Fraction(max(numbers))]
        assert _units(bucket.mean) == round(Fraction(sum(numbers), len(numbers)))  # half to even, as Python rounds
        assert bucket.days == len(numbers)


def _units(value: Decimal) -> Fraction:
    return Fraction(statistics.text(value)) * 10**18


def test_a_mean_has_eighteen_decimals() -> None:
    days_given = [Dated("2026-01-01", Decimal(1)), Dated("2026-01-02", Decimal(1)), Dated("2026-01-03", Decimal(0))]
    assert buckets(days_given, Interval.MONTH) == [
        Bucket("2026-01-01", "2026-01-31", Decimal(2), Decimal(0), Decimal(1), Decimal("0.666666666666666667"), 3)
    ]
