"""Periods of reports: every moment belongs to one, and each is reported once, whenever anybody looks."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from chalicelib.core.accounts import EmailReports, User
from chalicelib.pageviews.report_periods import Period, containing, due

ZONES = [
    "UTC",
    "Europe/Amsterdam",
    "America/New_York",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",  # half an hour of summer time
    "America/Sao_Paulo",  # summer time began at midnight
    "America/St_Johns",  # and ended a minute after midnight
    "America/Havana",  # where midnight comes twice
    "Africa/Cairo",
    "Pacific/Apia",  # which left a day out
    "Pacific/Kiritimati",
    "Nowhere/Atlantis",
]
WANTED = [EmailReports.DAILY, EmailReports.WEEKLY, EmailReports.FORTNIGHTLY, EmailReports.MONTHLY]
MOMENTS = st.integers(946_684_800, 2_208_988_800)  # the years 2000 to 2039
USERS = st.builds(
    User,
    id=st.just(1),
    account=st.just("a"),
    name=st.just("ann"),
    email=st.just("ann@example.com"),
    timezone=st.sampled_from(ZONES),
    email_reports=st.sampled_from(WANTED),
    sunday_starts_week=st.booleans(),
    last_report_at=MOMENTS,
)


def user(reports: EmailReports, zone: str = "UTC", since: int = 0, *, sunday: bool = False) -> User:
    return User(
        1,
        "a",
        "ann",
        "ann@example.com",
        timezone=zone,
        email_reports=reports,
        last_report_at=since,
        sunday_starts_week=sunday,
    )


def at(text: str, zone: str = "UTC") -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp())


@settings(max_examples=300, deadline=None)
@given(USERS, MOMENTS)
@example(user(EmailReports.DAILY, "America/St_Johns"), at("2010-11-07T00:00:30", "America/St_Johns"))
@example(user(EmailReports.DAILY, "America/St_Johns"), at("2010-11-07T00:00:30", "America/St_Johns") + 60)
@example(user(EmailReports.DAILY, "Pacific/Apia"), at("2011-12-29T23:59:59", "Pacific/Apia"))
@example(user(EmailReports.DAILY, "Pacific/Apia"), at("2011-12-31T00:00:00", "Pacific/Apia"))
def test_every_moment_belongs_to_exactly_one_period(ann: User, moment: int) -> None:
    """The one that ends where the next begins, and begins where the last ended."""
    period = containing(moment, ann)
    assert period.start <= moment < period.end
    after = containing(period.end, ann)
    assert after.start == period.end
    assert after.before().range == period.range or period.last + timedelta(days=1) != after.first
    if ann.email_reports is not EmailReports.FORTNIGHTLY:  # whose periods are counted from a week of the user's
        for other in (period.start, (period.start + period.end) // 2, period.end - 1):
            assert containing(other, ann) == period


@settings(max_examples=60, deadline=None)
@given(USERS, st.lists(st.integers(1, 40), min_size=1, max_size=60), st.integers(0, 3599))
def test_a_period_is_reported_once_whatever_hours_the_schedule_runs_at(
    ann: User, steps: list[int], second: int
) -> None:
    """Each as soon as it is over, never before, never twice; of what was missed only the last."""
    now, told = ann.last_report_at + second, list[Period]()
    started = ann.last_report_at
    for step in steps:
        now += step * 7200
        period = due(ann, now)
        if period is not None:
            assert period.end <= now < containing(period.end, ann).end
            told.append(period)
            ann = User(**{name: getattr(ann, name) for name in User.__slots__} | {"last_report_at": period.end})
        assert due(ann, now) is None
        assert containing(ann.last_report_at, ann).end > now
    assert all(a.end <= b.start for a, b in pairwise(told))
    if told and ann.email_reports is EmailReports.FORTNIGHTLY:
        first = containing(started, ann).first
        assert all((period.first - first).days % 14 == 0 for period in told)
        assert all((period.last - period.first).days == 13 for period in told)


@pytest.mark.parametrize(
    ("ann", "now", "first", "last"),
    [
        (user(EmailReports.DAILY, since=at("2026-03-10T09:00")), "2026-03-11T00:00", "2026-03-10", "2026-03-10"),
        (user(EmailReports.DAILY, since=at("2026-03-10T09:00")), "2026-03-14T07:00", "2026-03-13", "2026-03-13"),
        (user(EmailReports.WEEKLY, since=at("2026-03-11T09:00")), "2026-03-16T00:00", "2026-03-09", "2026-03-15"),
        (
            user(EmailReports.WEEKLY, since=at("2026-03-11T09:00"), sunday=True),
            "2026-03-15T00:00",
            "2026-03-08",
            "2026-03-14",
        ),
        (user(EmailReports.FORTNIGHTLY, since=at("2026-03-11T09:00")), "2026-03-23T00:00", "2026-03-09", "2026-03-22"),
        (user(EmailReports.FORTNIGHTLY, since=at("2026-03-11T09:00")), "2026-04-14T00:00", "2026-03-23", "2026-04-05"),
        (user(EmailReports.MONTHLY, since=at("2026-01-31T09:00")), "2026-02-01T00:00", "2026-01-01", "2026-01-31"),
        (user(EmailReports.MONTHLY, since=at("2026-01-31T09:00")), "2026-03-02T00:00", "2026-02-01", "2026-02-28"),
    ],
)
def test_what_is_due(ann: User, now: str, first: str, last: str) -> None:
    period = due(ann, at(now))
    assert period is not None
    assert (period.first.isoformat(), period.last.isoformat()) == (first, last)


@pytest.mark.parametrize(
    ("ann", "now"),
    [
        (user(EmailReports.DAILY, since=at("2026-03-10T09:00")), "2026-03-10T23:59:59"),
        (user(EmailReports.WEEKLY, since=at("2026-03-11T09:00"), sunday=True), "2026-03-14T23:59:59"),
        (user(EmailReports.FORTNIGHTLY, since=at("2026-03-11T09:00")), "2026-03-22T23:59:59"),
        (user(EmailReports.MONTHLY, since=at("2026-01-01T00:00")), "2026-01-31T23:59:59"),
        (user(EmailReports.NEVER, since=at("2020-01-01T00:00")), "2026-01-31T23:59:59"),
    ],
)
def test_nothing_is_due_before_a_period_is_over(ann: User, now: str) -> None:
    assert due(ann, at(now)) is None


def test_days_are_those_of_the_users_zone() -> None:
    """Of 23 and 25 hours where clocks change."""
    zone = "Europe/Amsterdam"
    ann = user(EmailReports.DAILY, zone, at("2026-03-29T12:00", zone))
    assert due(ann, at("2026-03-29T23:59", zone)) is None
    spring = due(ann, at("2026-03-30T00:00", zone))
    assert spring is not None
    assert spring.end - spring.start == 23 * 3600
    autumn = containing(at("2026-10-25T12:00", zone), ann)
    assert autumn.end - autumn.start == 25 * 3600
    assert autumn.start == at("2026-10-24T22:00")


@pytest.mark.parametrize(
    ("first", "last", "before"),
    [
        ("2026-03-10", "2026-03-10", ("2026-03-09", "2026-03-09")),
        ("2026-03-09", "2026-03-15", ("2026-03-02", "2026-03-08")),
        ("2026-03-09", "2026-03-22", ("2026-02-23", "2026-03-08")),
        ("2026-03-01", "2026-03-31", ("2026-02-01", "2026-02-28")),
        ("2026-01-01", "2026-01-31", ("2025-12-01", "2025-12-31")),
    ],
)
def test_growth_is_against_the_period_before(first: str, last: str, before: tuple[str, str]) -> None:
    found = Period(date.fromisoformat(first), date.fromisoformat(last), UTC).before()
    assert (found.first.isoformat(), found.last.isoformat()) == before


def test_who_wants_no_reports_has_no_periods() -> None:
    with pytest.raises(ValueError, match="no reports"):
        containing(0, user(EmailReports.NEVER))
