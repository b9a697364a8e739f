"""Months, up to and beyond the ends of the calendar."""

import calendar
from datetime import date, timedelta

from hypothesis import example, given
from hypothesis import strategies as st

from chalicelib.core.periods import month_of

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
