"""Which days a report by mail is about, in the user's own zone (page-view contract, section 12.3).

Every moment belongs to exactly one period of each kind. Periods begin and end where the user's calendar says that a day
begins, so that a day on which clocks change has 23 or 25 hours.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

from chalicelib.core.accounts import EmailReports, User
from chalicelib.core.periods import Range

_MONDAY, _SUNDAY = 0, 6
_WEEKS = {EmailReports.WEEKLY: 1, EmailReports.FORTNIGHTLY: 2}


@dataclass(frozen=True, slots=True)
class Period:
    """Calendar days from `first` to `last`, both included."""

    first: date
    last: date
    zone: tzinfo = UTC

    @property
    def start(self) -> int:
        """Its first second, in Unix seconds."""
        return _midnight(self.first, self.zone)

    @property
    def end(self) -> int:
        """The second after its last one: the next period's first."""
        return _midnight(self.last + timedelta(days=1), self.zone)

    @property
    def range(self) -> Range:
        """What reports are asked for. An hour that begins before the period and ends in it is the last period's."""
        return Range(self.start, self.end - 1)

    def before(self) -> "Period":
        """The period of the same kind that ends where this one begins; a whole month's is the month before."""
        last = self.first - timedelta(days=1)
        if self.first.day == 1 and (self.last + timedelta(days=1)).day == 1:
            return Period(last.replace(day=1), last, self.zone)
        return Period(self.first - (self.last - self.first) - timedelta(days=1), last, self.zone)


def zone_of(user: User) -> tzinfo:
    """The user's zone; UTC if nobody knows the one that is stored."""
    try:
        return ZoneInfo(user.timezone)
    except (KeyError, ValueError, OSError):
        return UTC


def containing(moment: int, user: User) -> Period:
    """The period that a moment belongs to, of the user's kind; for every two weeks, the moment's week and the next.

    Raises:
        ValueError: the user wants no reports.
    """
    zone = zone_of(user)
    day = _day(moment, zone)
    match user.email_reports:
        case EmailReports.DAILY:
            return Period(day, day, zone)
        case EmailReports.WEEKLY | EmailReports.FORTNIGHTLY as kind:
            begins = _SUNDAY if user.sunday_starts_week else _MONDAY
            first = day - timedelta(days=(day.weekday() - begins) % 7)
            return Period(first, first + timedelta(days=7 * _WEEKS[kind] - 1), zone)
        case EmailReports.MONTHLY:
            first = day.replace(day=1)
            return Period(first, (first + timedelta(days=31)).replace(day=1) - timedelta(days=1), zone)
        case _:
            raise ValueError("no reports are wanted")


def due(user: User, now: float) -> Period | None:
    """The period that a report should be about now; None if none is over yet.

    That is the one that `last_report_at` belongs to, once it has ended. If more have ended since, because nobody
    visited or the service stood still, it is the last of them alone: a report of old is news to nobody, and a heap of
    reports to nobody's taste. Every two weeks are counted from the week of `last_report_at`.
    """
    if user.email_reports is EmailReports.NEVER:
        return None
    period = containing(user.last_report_at or user.created_at, user)
    if period.end > now:
        return None
    if user.email_reports is EmailReports.FORTNIGHTLY:
        today = _day(int(now), period.zone)
        ahead = timedelta(days=((today - period.first).days // 14 - 1) * 14)
        return Period(period.first + ahead, period.last + ahead, period.zone)
    return containing(containing(int(now), user).start - 1, user)


def _day(moment: int, zone: tzinfo) -> date:
    """The calendar day that a moment belongs to. Where clocks are set back over midnight, it is the later one for good:
    days do not come twice.
    """
    day = datetime.fromtimestamp(moment, zone).date()
    while _midnight(day + timedelta(days=1), zone) <= moment:
        day += timedelta(days=1)
    return day


def _midnight(day: date, zone: tzinfo) -> int:
    """When a day begins: its first midnight, or where clocks leap over midnight, the moment when they do."""
    return int(datetime(day.year, day.month, day.day, tzinfo=zone).timestamp())
