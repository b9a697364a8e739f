"""Schedules are due when EventBridge would say so."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from chalice.app import Chalice, CloudWatchEvent, Cron, Rate

from infrastructure.local.schedules import Schedules, following

NOON = datetime(2026, 1, 30, 12, 0, tzinfo=UTC)  # a Friday


@pytest.mark.parametrize(
    ("expression", "moment"),
    [
        ("rate(1 minute)", datetime(2026, 1, 30, 12, 1, tzinfo=UTC)),
        ("rate(6 hours)", datetime(2026, 1, 30, 18, 0, tzinfo=UTC)),
        ("rate(2 days)", datetime(2026, 2, 1, 12, 0, tzinfo=UTC)),
        ("cron(30 0 * * ? *)", datetime(2026, 1, 31, 0, 30, tzinfo=UTC)),
        ("cron(0 12 * * ? *)", datetime(2026, 1, 31, 12, 0, tzinfo=UTC)),
        ("cron(*/20 * * * ? *)", datetime(2026, 1, 30, 12, 20, tzinfo=UTC)),
        ("cron(15 12-14 * * ? *)", datetime(2026, 1, 30, 12, 15, tzinfo=UTC)),
        ("cron(0 0 1 * ? *)", datetime(2026, 2, 1, tzinfo=UTC)),
        ("cron(0 0 31 * ? *)", datetime(2026, 1, 31, tzinfo=UTC)),
        ("cron(0 0 ? * MON *)", datetime(2026, 2, 2, tzinfo=UTC)),
        ("cron(0 0 ? * 1 *)", datetime(2026, 2, 1, tzinfo=UTC)),
        ("cron(0 0 29 FEB ? *)", datetime(2028, 2, 29, tzinfo=UTC)),
        ("cron(0 8,20 * * ? 2026)", datetime(2026, 1, 30, 20, tzinfo=UTC)),
    ],
)
def test_a_schedule_is_next_due(expression: str, moment: datetime) -> None:
    """Rates count from creation, crons go by UTC and are due strictly after the moment asked about."""
    assert following(expression, NOON) == moment


@pytest.mark.parametrize("expression", ["rate(1 week)", "cron(0 0 * *)", "daily", "cron(0 0 30 2 ? *)"])
def test_what_is_no_schedule_is_refused(expression: str) -> None:
    """Also a date that never comes."""
    with pytest.raises(ValueError, match=r"schedule|never"):
        following(expression, NOON)


def test_due_functions_are_called_with_eventbridges_event() -> None:
    """Each at its time, once for all the times that were missed, and one's failure does not stop the others."""
    app = Chalice("timed")
    events: list[dict[str, Any]] = []

    @app.schedule(Rate(1, unit=Rate.HOURS), name="failing")
    def failing(event: CloudWatchEvent) -> None:  # noqa: ARG001
        raise RuntimeError

    @app.schedule(Cron(30, 12, "*", "*", "?", "*"), name="daily")
    def daily(event: CloudWatchEvent) -> None:
        events.append(event.to_dict())

    schedules = Schedules.of(app, NOON)
    assert schedules.due(NOON + timedelta(minutes=29)) == []
    assert schedules.due(NOON + timedelta(minutes=30)) == ["daily"]
    assert schedules.due(NOON + timedelta(minutes=59)) == []
    assert sorted(schedules.due(NOON + timedelta(days=3, hours=1))) == ["daily", "failing"]
    assert schedules.due(NOON + timedelta(days=3, hours=1)) == []
    assert [event["time"] for event in events] == ["2026-01-30T12:30:00Z", "2026-01-31T12:30:00Z"]
    assert (events[0]["source"], events[0]["detail-type"]) == ("aws.events", "Scheduled Event")
    assert events[0]["resources"][0].endswith(":rule/daily")
