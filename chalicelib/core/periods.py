"""Hours, days and ranges: what a question about time means in a caller's own time zone."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

HOUR = 3600
DAY = 86400
YOUNG = 2
"""Days after its end for which a month's days are kept one by one: most late hits have come by then."""
OLD = 3653
"""Days after its end for which a month is kept by itself."""
_EPOCH = date(1970, 1, 1)
_EPOCH_TIME = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST, _LAST = (date.min - _EPOCH).days, (date.max - _EPOCH).days


@dataclass(frozen=True, slots=True)
class Range:
    """From `start` to `end`, both included, in Unix seconds; `offset` is how many seconds the caller's clock is ahead
    of UTC now, `ahead` how many it was, or will be, at start and end, if these differ.

    An hour belongs to it if it begins in it: nothing is rounded (page-view contract, section 2).
    """

    start: int
    end: int
    offset: int = 0
    ahead: tuple[int, int] | None = None

    @property
    def hours(self) -> tuple[int, int]:
        """The first and the last hour, from 1970. The last may come before the first: then there are none."""
        return -(-self.start // HOUR), self.end // HOUR

    @property
    def days(self) -> tuple[int, int]:
        """The first and the last day of a series, from 1970: by the caller's clock as it is now."""
        return (self.start + self.offset) // DAY, (self.end + self.offset) // DAY

    @property
    def clock(self) -> "Range":
        """Start and end as the caller's clock showed them then, read as times of UTC."""
        before, after = self.ahead or (self.offset, self.offset)
        return Range(self.start + before, self.end + after)

    @property
    def dates(self) -> tuple[int, int]:
        """The first and the last calendar day of the caller, as they were called then, from 1970."""
        return self.clock.days

    def place(self, hour: int) -> tuple[int, int]:
        """Where an hour falls for the caller: which of the range's days, and which hour of it."""
        local = hour * HOUR + self.offset
        return local // DAY - self.days[0], local % DAY // HOUR


def day_text(day: int) -> str:
    """A day from 1970 as `YYYY-MM-DD`."""
    return (_EPOCH + timedelta(days=day)).isoformat()


def time_text(seconds: int) -> str:
    """A moment in Unix seconds as RFC 3339 has it, such as `2026-11-20T09:00:00Z`.

    Its years are 1 to 9999, with four digits: what lies before or after is shown as the first or last second of them.
    """
    moment = _EPOCH_TIME + timedelta(seconds=min(max(seconds, _FIRST * DAY), _LAST * DAY + DAY - 1))
    return moment.replace(tzinfo=None).isoformat() + "Z"


def first_of_month(day: int) -> bool:
    """Whether a day from 1970 is the first of its month."""
    return (_EPOCH + timedelta(days=day)).day == 1


def month_of(day: int) -> tuple[int, int]:
    """The first and the last day of a day's month, all from 1970. Beyond the calendar each day stands alone.

    A caller's clock may say the first of January of the year 1 in a zone that is ahead of UTC.
    """
    if not _FIRST <= day <= _LAST:
        return day, day
    start = (_EPOCH + timedelta(days=day)).replace(day=1)
    last = _EPOCH.max if (start.year, start.month) == (9999, 12) else _next_month(start) - timedelta(days=1)
    return (start - _EPOCH).days, (last - _EPOCH).days


def span_of(day: int, today: int) -> tuple[int, int]:
    """The days that are kept as one: the day itself while its month is young, then its month, after years its year.

    So the number of spans stays small, whatever days anybody imports.
    """
    month = month_of(day)
    if today - month[1] <= YOUNG:
        return day, day
    if today - month[1] <= OLD or not _FIRST <= day <= _LAST:
        return month
    year = (_EPOCH + timedelta(days=day)).year
    return (date(year, 1, 1) - _EPOCH).days, (date(year, 12, 31) - _EPOCH).days


def _next_month(start: date) -> date:
    return start.replace(year=start.year + start.month // 12, month=start.month % 12 + 1)


def default_range(now: float) -> tuple[int, int]:
    """From midnight UTC seven days before today to the last second of today: eight days."""
    today = int(now) // DAY
    return (today - 7) * DAY, today * DAY + DAY - 1
