"""EventBridge's schedules in a local run: functions are called on their rate or at their cron's minutes, in UTC."""

from __future__ import annotations

import calendar
import logging
import re
import threading
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from chalice.app import Chalice, ScheduledEventConfig

from infrastructure.local.context import ACCOUNT, REGION, LambdaContext

LOG = logging.getLogger(__name__)

Handler = Callable[[dict[str, Any], LambdaContext], Any]

TICK = 1.0
SEARCHED_DAYS = 4 * 366 + 1
"""As far as a cron can be from its next minute: 29 February."""
MONTHS = {name.upper(): number for number, name in enumerate(calendar.month_abbr) if name}
WEEKDAYS = {"SUN": 1, "MON": 2, "TUE": 3, "WED": 4, "THU": 5, "FRI": 6, "SAT": 7}


def following(expression: str, after: datetime) -> datetime:
    """When a schedule that was created or fired at `after` fires next. What is no schedule is a ValueError."""
    if matched := re.fullmatch(r"rate\((\d+) (minute|hour|day)s?\)", expression):
        unit = f"{matched[2]}s"
        return after + timedelta(**{unit: int(matched[1])})
    if matched := re.fullmatch(r"cron\((\S+) (\S+) (\S+) (\S+) (\S+) (\S+)\)", expression):
        return _following_cron(matched.groups(), after)
    raise ValueError(f"no schedule expression: {expression!r}")


def _following_cron(fields: tuple[str, ...], after: datetime) -> datetime:
    minutes = _field(fields[0], 0, 59)
    hours = _field(fields[1], 0, 23)
    days = _field(fields[2], 1, 31)
    months = _field(fields[3], 1, 12, MONTHS)
    weekdays = _field(fields[4], 1, 7, WEEKDAYS)
    years = _field(fields[5], 1970, 2199)
    midnight = after.replace(hour=0, minute=0, second=0, microsecond=0)
    for ahead in range(SEARCHED_DAYS):
        day = midnight + timedelta(days=ahead)
        fits = day.day in days and day.month in months and day.year in years
        if not fits or day.isoweekday() % 7 + 1 not in weekdays:
            continue
        moments = (day.replace(hour=hour, minute=minute) for hour in sorted(hours) for minute in sorted(minutes))
        if (moment := next((found for found in moments if found > after), None)) is not None:
            return moment
    raise ValueError(f"never due: cron({' '.join(fields)})")


def _field(text: str, low: int, high: int, names: Mapping[str, int] | None = None) -> set[int]:
    """The values of one field of a cron expression: `*`, `?`, `5`, `1-5`, `*/10`, `MON,WED`."""
    found: set[int] = set()
    for part in text.split(","):
        span, _, step = part.partition("/")
        if span in ("*", "?"):
            first, last = low, high
        else:
            start, _, end = span.partition("-")
            first = _number(start, names)
            last = _number(end, names) if end else (high if step else first)
        found.update(range(first, last + 1, int(step or 1)))
    return found


def _number(text: str, names: Mapping[str, int] | None) -> int:
    return (names or {}).get(text.upper()) or int(text)


def event(name: str, moment: datetime) -> dict[str, Any]:
    """What EventBridge sends when the schedule of function `name` fires."""
    return {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": "Scheduled Event",
        "source": "aws.events",
        "account": ACCOUNT,
        "time": moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "region": REGION,
        "resources": [f"arn:aws:events:{REGION}:{ACCOUNT}:rule/{name}"],
        "detail": {},
    }


class Schedules:
    """The timed functions of an app; `due` calls those whose time has come, `start` does so every second."""

    def __init__(self, handlers: Mapping[str, Handler], expressions: Mapping[str, str], now: datetime) -> None:
        """`expressions` by function name; `now` is when they were created."""
        self._handlers = handlers
        self._expressions = expressions
        self._next = {name: following(expression, now) for name, expression in expressions.items()}
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    @classmethod
    def of(cls, app: Chalice, now: datetime) -> Schedules:
        """All the schedules that the app's functions declare."""
        declared = [source for source in app.event_sources if isinstance(source, ScheduledEventConfig)]
        texts = {
            source.name: expression if isinstance(expression, str) else expression.to_string()
            for source in declared
            for expression in [source.schedule_expression]
        }
        return cls(app.handler_map, texts, now)

    def due(self, now: datetime) -> list[str]:
        """Call what is due at `now`, once even if its time came several times; the names of what was called."""
        called = [name for name, moment in self._next.items() if moment <= now]
        for name in called:
            moment = self._next[name]
            while self._next[name] <= now:
                self._next[name] = following(self._expressions[name], self._next[name])
            try:
                self._handlers[name](event(name, moment), LambdaContext(name))
            except Exception as error:  # one job's failure must not stop the others
                LOG.warning("%s failed: %s", name, type(error).__name__)
        return called

    def start(self) -> None:
        """Look every second, in a thread, until `stop`."""
        self._thread = threading.Thread(target=self._run, name="schedules", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.wait(TICK):
            self.due(datetime.now(UTC))

    def stop(self, patience: float = 3.0) -> None:
        """Call nothing more, and wait `patience` seconds at most for a job under way."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(patience)
