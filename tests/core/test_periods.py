"""Months, up to and beyond the ends of the calendar."""

import calendar
from datetime import date, timedelta

from hypothesis import example, given
from hypothesis import strategies as st

from chalicelib.core.periods import month_of, span_of

EPOCH = date(1970, 1, 1)
FIRST, LAST = (date.min - EPOCH).days, (date.max - EPOCH).days


@given(st.dates())
@example(date.min)
@example(date.max)
@example(date(2024, 2, 29))
def test_a_day_lies_in_its_month(day: date) -> None:
    """From the first to as many days later as the calendar says."""
    first, last = month_of((day - EPOCH).days)
    assert EPOCH + timedelta(days=first) == day.replace(day=1)
    assert last - first + 1 == calendar.monthrange(day.year, day.month)[1]


@given(st.one_of(st.integers(max_value=FIRST - 1), st.integers(min_value=LAST + 1)))
@example(FIRST - 1)
@example(LAST + 1)
def test_beyond_the_calendar_each_day_stands_alone(day: int) -> None:
    """A view that a strange clock put there must not keep the others' days from being closed."""
    assert month_of(day) == (day, day)


@given(st.integers(FIRST - 2, LAST + 2), st.integers((date(2026, 1, 1) - EPOCH).days, (date(2030, 1, 1) - EPOCH).days))
@example(FIRST - 1, 20_000)
def test_a_day_lies_in_its_span_and_so_does_the_spans_first_day(day: int, today: int) -> None:
    """Days while they are young, then months, then years: what grows old is merged into what was there."""
    first, last = span_of(day, today)
    assert first <= day <= last
    assert span_of(first, today) == (first, last)
    assert last - first < 366
    if day > today - 2:
        assert first == last
