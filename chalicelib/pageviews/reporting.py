"""What a report by mail says: which pages of a user's sites were visited most, and where visitors came from.

As the page-view contract has it, section 12.3. What visitors made up (paths, referrers) is never trusted: control
characters and what turns text around are taken out, the rest is escaped where it is HTML.
"""

import re
from dataclasses import dataclass
from datetime import date
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, NamedTuple

from chalicelib.core.accounts import EmailReports, Roster, Site, User
from chalicelib.core.mail import Mail, Mailbox

from . import breakdowns, stopping, thousands
from .report_periods import Period
from .requests_query import BreakdownQuery

if TYPE_CHECKING:
    from jinja2 import Template

    from chalicelib.core.breakdowns import Breakdowns
    from chalicelib.core.reports import Reports

MOST = 10
"""Pages and referrers of each site."""
NEW = "(new)"
NO_DATA = "(no data)"
"""What stands for a referrer that is none, and for a list without any."""
HEADERS = {
    "Auto-Submitted": "auto-generated",  # RFC 3834, section 5
    "X-Auto-Response-Suppress": "All",  # the same for Exchange
}
"""They ask machines not to answer."""
OFTEN = {
    EmailReports.DAILY: "every day",
    EmailReports.WEEKLY: "every week",
    EmailReports.FORTNIGHTLY: "every two weeks",
    EmailReports.MONTHLY: "every month",
}
_LONGEST = 200
"""Characters of a name that are shown: paths may have ten times as many."""
_UNPRINTED = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]


@dataclass(frozen=True, slots=True)
class Figures:
    """Who knows what was counted."""

    reports: "Reports"
    breakdowns: "Breakdowns"


class Line(NamedTuple):
    """A page or a referrer, as it is shown."""

    name: str
    visits: str
    growth: str = ""
    event: bool = False


class Section(NamedTuple):
    """What is said of one site."""

    name: str
    total: str
    growth: str
    paths: list[Line]
    referrers: list[Line]


@dataclass(frozen=True, slots=True)
class Report:
    """What is said to one user. `ending` tells how to have it end."""

    title: str
    before: str
    zone: str
    name: str
    often: str
    ending: str
    sites: list[Section]
    stop: str = ""
    """A link that ends it; empty for none."""
    nothing: str = NO_DATA
    """What stands in the place of an empty list."""

    @property
    def subject(self) -> str:
        """What the mail is called."""
        return f"Your Countless report for {self.title}"


def gather(  # noqa: PLR0913, PLR0917 - what a report is made of
    roster: Roster, user: User, period: Period, figures: Figures, support: str = "", stop: str = ""
) -> Report | None:
    """The report of a period; None if no site of the account had a visit in it. `support` is whom users ask for help,
    `stop` a link that ends the reports.

    Raises:
        Unavailable: what was counted cannot be read now.
    """
    found = (_section(site, user, period, figures) for site in roster.sites())
    sections = [section for section in found if section is not None]
    if not sections:
        return None
    asked = _printed(support) or "whoever runs this Countless"
    return Report(
        title=_days(period),
        before=_days(period.before()),
        zone=_printed(str(period.zone)),
        name=_printed(user.name),
        often=OFTEN[user.email_reports],
        ending=f"To have it come at other times, or no more, ask {asked}.",
        sites=sections,
        stop=stop,
    )


def compose(report: Report, user: User, sender: Mailbox) -> Mail:
    """The mail that brings a report.

    Raises:
        Invalid: the user's address is none.
    """
    html = _template("report.html").render(report=report)
    return Mail(
        sender,
        (Mailbox.read(user.email, "email"),),
        report.subject,
        as_text(report),
        html,
        {**HEADERS, **stopping.headers(report.stop)},
    )


def as_text(report: Report) -> str:
    """What a report says, without HTML."""
    return _template("report.txt").render(report=report)


def _section(site: Site, user: User, period: Period, figures: Figures) -> Section | None:
    """What is said of a site; None if nobody visited it."""
    from chalicelib.core.reports import EVERY_PATH, PathFilter  # noqa: PLC0415 - with the first question

    before = period.before().range
    top = figures.reports.hits(site.stream, period.range, limit=MOST).hits
    if not top:
        return None
    known = PathFilter(frozenset(hit.path_id for hit in top))
    earlier = figures.reports.hits(site.stream, before, include=known, limit=MOST).hits
    visits = {hit.path_id: hit.count for hit in earlier}
    total = figures.reports.total(site.stream, period.range).total
    asked = BreakdownQuery(when=period.range, include=EVERY_PATH, limit=MOST, offset=0)
    referrers = breakdowns.Pages(figures.breakdowns, site).listed("toprefs", asked).rows
    return Section(
        _printed(site.cname or site.link_domain or site.code),
        _number(total, user),
        f"({growth(total, figures.reports.total(site.stream, before).total).strip('()')})",
        [
            Line(
                _printed(hit.path),
                _number(hit.count, user),
                growth(hit.count, visits.get(hit.path_id, 0)),
                hit.event,
            )
            for hit in top
        ],
        [Line(_printed(row.name) or NO_DATA, _number(row.visits, user)) for row in referrers],
    )


def growth(visits: int, before: int) -> str:
    """By how many percent visits grew; `(new)` if there were none before."""
    if not before:
        return NEW
    percent = round((visits - before) * 100 / before)
    return f"{percent:+d}%" if percent else "0%"


def _number(count: int, user: User) -> str:
    """A number with the user's mark between thousands."""
    return thousands.grouped(count, thousands.mark(user.number_format))


def _printed(text: str) -> str:
    """Text that anybody may have made up, as one line that says what it seems to say."""
    shown = _UNPRINTED.sub("", text).strip()
    return shown if len(shown) <= _LONGEST else f"{shown[: _LONGEST - 1]}…"


def _days(period: Period) -> str:
    """The days of a period, in English as the templates are."""
    return f"{_date(period.first)} – {_date(period.last)}"  # noqa: RUF001 - from one to the other


def _date(day: date) -> str:
    return f"{day.day} {_MONTHS[day.month - 1]} {day.year}"


@cache
def _template(name: str) -> "Template":
    import jinja2  # noqa: PLC0415 - it takes its time to load, and most functions send no mail

    # No template is ours but these: what is HTML is escaped, what is plain text needs no escaping.
    environment = jinja2.Environment(
        autoescape=name.endswith(".html"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    source = files(__package__).joinpath("templates", name).read_text(encoding="utf-8")
    return environment.from_string(source)
