"""Sends the reports that are due.

Each is sent once. The user's marker moves to the end of the period before the mail is handed over, and back if it
certainly was not taken: then the next hour tries again. Where nobody can say whether it was taken, since the answer was
lost or the function died in that moment, it is not sent again: a report that is missing can be asked for, while one
that comes every hour cannot be stopped. Either is logged and counted.
"""

import time
from collections.abc import Callable, Sequence

from chalicelib import wiring
from chalicelib.core.accounts import EmailReports, Roster, User
from chalicelib.core.errors import Invalid, Uncertain
from chalicelib.core.mail import Mail, Mailbox, Mailer, NotSent, Refused
from chalicelib.core.walking import Late
from chalicelib.observability import count, failed, logger
from chalicelib.pageviews import reporting, stopping
from chalicelib.pageviews.report_periods import due

SETTLED = 600
"""Seconds after a period's end for which its last page views may still be on their way into the log."""
SPARE = 45.0
"""Seconds that one try to send may take, with a server that is slow: if fewer are left, the rest is left to another
function, or to the next hour.
"""
TRIES = 3
PAUSE = 1.1
"""Seconds between tries: a new account may send one mail a second by SES."""


class Reporting:
    """Sends what is due to users, as a walk visits them."""

    def __init__(self, mailer: Mailer, sender: Mailbox, remaining: Callable[[], float]) -> None:
        self._mailer = mailer
        self._sender = sender
        self._remaining = remaining

    def visit(self, users: Sequence[tuple[str, str]], _: int) -> list[tuple[str, str]]:
        """Sends users, told by account and name, their reports. What goes wrong with one stops no other, and is tried
        again after an hour.

        Raises:
            Late: there is no time for a report; none was claimed.
        """
        for account, name in users:
            try:
                roster = wiring.accounts().roster(account)
            except Exception as error:
                failed("an account's reports could not be looked after", error, account=account)
                continue
            for user in roster.users:
                if user.name.lower() == name:
                    self._send(roster, user)
        return []

    def _send(self, roster: Roster, user: User) -> None:
        try:
            _look_after(roster, user, self._mailer, self._sender, self._late)
        except Late:
            logger.warning("reports are left for later")
            count("ReportsPostponed")
            raise
        except Exception as error:
            failed("a report could not be sent", error, account=user.account, user=user.id)

    def _late(self) -> bool:
        return self._remaining() < SPARE


def _look_after(roster: Roster, user: User, mailer: Mailer, sender: Mailbox, late: Callable[[], bool]) -> None:
    """Sends a user's report if one is due, and there is anything to say.

    Raises:
        Late: there is no time to; nothing was claimed.
    """
    if late():
        raise Late
    if wiring.reporting().forgotten(user):
        logger.error("a report may not have been sent", extra={"account": user.account, "user": user.id})
        count("ReportsUncertain")
        wiring.reporting().settle(user, user.report_claim)
    if user.email_reports is EmailReports.NEVER or not user.email_verified:
        return
    period = due(user, wiring.now() - SETTLED)
    if period is None:
        return
    figures = reporting.Figures(wiring.reports(), wiring.breakdowns())
    report = reporting.gather(roster, user, period, figures, wiring.settings().support, _stop(user))
    if report is None:
        return
    try:
        mail = reporting.compose(report, user, sender)
    except Invalid as error:
        failed("a report cannot be addressed", error, account=user.account, user=user.id)
        return
    if late():  # many sites take their time
        raise Late
    claim = wiring.reporting().claim(user, period.end)
    if claim:
        _send(mail, user, claim, mailer, late)


def _stop(user: User) -> str:
    """The link that ends the user's reports, where the settings say where that would lead."""
    url = wiring.settings().url
    return stopping.link(wiring.secrets().signing()[0], url, user, wiring.now()) if url else ""


def _send(mail: Mail, user: User, claim: str, mailer: Mailer, late: Callable[[], bool]) -> None:
    """Sends a report that nobody else will, and notes what became of it."""
    outcome = "ReportsSent"
    try:
        _handed_over(mail, mailer, late)
    except Refused as error:
        # The next period's is tried again: mailboxes come back.
        failed("a report was refused", error, account=user.account, user=user.id)
        outcome = "ReportsRefused"
    except Uncertain as error:
        failed("a report may not have been sent", error, account=user.account, user=user.id)
        outcome = "ReportsUncertain"
    except NotSent:
        wiring.reporting().release(user, claim)
        count("ReportsNotSent")
        raise
    count(outcome)
    wiring.reporting().settle(user, claim)


def _handed_over(mail: Mail, mailer: Mailer, late: Callable[[], bool]) -> str:
    """Sends a mail; what was certainly not sent is tried again while there is time.

    Raises:
        NotSent: it was not sent for now.
        Refused: it never will be.
        Uncertain: nobody can say.
    """
    for attempt in range(1, TRIES + 1):
        try:
            return mailer.send(mail)
        except NotSent:
            if attempt == TRIES or late():
                raise
            time.sleep(PAUSE)
    raise AssertionError  # there is at least one try
