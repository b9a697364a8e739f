"""`countless users`: who may sign in, and which reports they are mailed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from countless.printing import confirm, say
from infrastructure import choosing
from infrastructure.keys import aligned, day, operating
from infrastructure.reaching import reaching

if TYPE_CHECKING:
    from chalicelib.core.accounts import EmailReports, Roster, User

OFTEN = ("never", "daily", "weekly", "fortnightly", "monthly")
"""As `EmailReports` names them; written down here too, so that asking for help need not load the service."""
STARTS = ("monday", "sunday")


ROLES = ("read", "settings", "admin")
"""As `Role` names them."""


@click.group(short_help="List, add and remove users; choose which reports they are mailed.")
def users() -> None:
    """List, add and remove users; choose which reports they are mailed.

    Against AWS itself, the variables that the functions have (COUNTLESS_...) say where accounts are kept.
    """


@users.command("list", short_help="List the account's users.")
@operating
def list_users(account: str | None, url: str | None) -> None:
    """List the account's users in the order in which they were made: their zone, the day with which their week starts,
    and how often they are mailed a report.
    """
    with reaching(url):
        for line in table(choosing.account(account)):
            say(line)


@users.command("add", short_help="Add a user to an account.")
@click.argument("name")
@click.argument("email")
@click.option("--role", type=click.Choice(ROLES), default="admin", show_default=True, help="What the user may do.")
@click.option(
    "--password", prompt=True, prompt_required=False, hide_input=True, confirmation_prompt=True, default="",
    help="Without a value it is asked for. Whoever has none cannot sign in.",
)  # fmt: skip
@operating
def add_user(  # noqa: PLR0913, PLR0917 - one argument for each option
    name: str, email: str, role: str, password: str, account: str | None, url: str | None
) -> None:
    """Add a user of this name and mail address, which nobody else may have. No report is mailed until it is chosen."""
    with reaching(url):
        from chalicelib import wiring  # noqa: PLC0415
        from chalicelib.core.accounts import Role  # noqa: PLC0415

        roster = choosing.account(account)
        made = wiring.users().add(roster.account.id, name, email, Role[role.upper()], password)
    say(f"{made.name}: added, with the id {made.id}")


@users.command("email", short_help="Change a user's mail address.")
@click.argument("name")
@click.argument("email")
@operating
def change_email(name: str, email: str, account: str | None, url: str | None) -> None:
    """Change the mail address of the user with this name or id. The next report goes there."""
    with reaching(url, f"{name} was removed or changed meanwhile."):
        from chalicelib import wiring  # noqa: PLC0415

        found = choosing.user(choosing.account(account), name)
        changed = wiring.users().change_email(found, email)
    say(f"{changed.name}: {changed.email}")


@users.command("remove", short_help="Remove a user.")
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
@operating
def remove_user(name: str, account: str | None, url: str | None, *, yes: bool) -> None:
    """Remove the user with this name or id, and revoke the keys that the user made. What was counted stays."""
    with reaching(url, f"{name} was removed or changed meanwhile."):
        from chalicelib import wiring  # noqa: PLC0415

        roster = choosing.account(account)
        found = choosing.user(roster, name)
        owned = [key for key in wiring.accounts().keys(roster.account.id) if key.owner == found.id and not key.revoked]
        if not yes:
            ending = f" and revoke {len(owned)} key{'' if len(owned) == 1 else 's'}" if owned else ""
            confirm(f"Remove the user {found.name}{ending}?")
        wiring.users().remove(roster, found)
    say(f"{found.name}: removed")


@users.command("reports", short_help="Choose how often a user is mailed a report.")
@click.argument("name")
@click.argument("often", type=click.Choice(OFTEN))
@click.option("--zone", help="The time zone by whose days reports begin and end, such as Europe/Amsterdam.")
@click.option("--week-starts", type=click.Choice(STARTS), help="The day with which the user's week starts.")
@operating
def choose_reports(  # noqa: PLR0913, PLR0917 - one argument for each option
    name: str, often: str, zone: str | None, week_starts: str | None, account: str | None, url: str | None
) -> None:
    """Choose how often the user with this name is mailed a report of the account's sites.

    The first is about the period (day, week, two weeks, month) in which this is said, and comes when that is over.
    Mails leave only where COUNTLESS_MAIL says what sends them.
    """
    with reaching(url, f"The account has no user {name}."):
        from chalicelib import wiring  # noqa: PLC0415 - reads its settings from the environment

        if zone is not None:
            _checked_zone(zone)
        user = choosing.user(choosing.account(account), name)
        sunday = None if week_starts is None else week_starts == "sunday"
        wiring.reporting().choose(user, _reports(often), zone=zone, sunday_starts_week=sunday)
    said = often if often == "never" else f"{often}, by the calendar of {zone or user.timezone}"
    say(f"{user.name}: {said}")


@users.command("preview", short_help="Print what a user's report says of the time until now.")
@click.argument("name")
@click.argument("often", type=click.Choice(OFTEN[1:]), required=False)
@operating
def preview(name: str, often: str | None, account: str | None, url: str | None) -> None:
    """Print what the user's report would say if the period that runs (the one chosen, else this week) ended now.

    Nothing is sent, and nothing changes.
    """
    with reaching(url):
        from chalicelib import wiring  # noqa: PLC0415
        from chalicelib.core.accounts import EmailReports  # noqa: PLC0415
        from chalicelib.pageviews import report_periods, reporting  # noqa: PLC0415

        roster = choosing.account(account)
        user = choosing.user(roster, name)
        wanted = _reports(often) if often else user.email_reports or EmailReports.WEEKLY
        reader = _with(user, wanted)
        period = report_periods.containing(int(wiring.now()), reader)
        figures = reporting.Figures(wiring.reports(), wiring.breakdowns())
        report = reporting.gather(roster, reader, period, figures, wiring.settings().support)
    if report is None:
        say(f"No site of the account was visited from {period.first} to {period.last}: nothing would be sent.")
    else:
        say(*reporting.as_text(report).rstrip("\n").split("\n"))


def table(roster: Roster) -> Iterator[str]:
    """The lines that say who there is."""
    rows = [("NAME", "ID", "EMAIL", "MADE", "ROLE", "REPORTS", "ZONE", "WEEK STARTS", "NEXT IS ABOUT")]
    rows += [
        (
            user.name,
            str(user.id),
            user.email,
            day(user.created_at),
            user.role.name.lower(),
            user.email_reports.name.lower(),
            user.timezone,
            STARTS[user.sunday_starts_week],
            _next(user),
        )
        for user in sorted(roster.users, key=lambda user: user.id)
    ]
    yield from aligned(rows)


def _next(user: User) -> str:
    """The days of the report that a user waits for."""
    from chalicelib.pageviews.report_periods import containing  # noqa: PLC0415

    if not user.email_reports:
        return "-"
    period = containing(user.last_report_at or user.created_at, user)
    return f"{period.first} to {period.last}"


def _reports(often: str) -> EmailReports:
    from chalicelib.core.accounts import EmailReports  # noqa: PLC0415

    return EmailReports[often.upper()]


def _with(user: User, reports: EmailReports) -> User:
    from dataclasses import replace  # noqa: PLC0415 - as little as possible for those who want help

    return replace(user, email_reports=reports)


def _checked_zone(zone: str) -> None:
    """Refuses what is no time zone.

    Raises:
        click.BadParameter: nobody knows it.
    """
    from zoneinfo import available_timezones  # noqa: PLC0415

    if zone not in available_timezones():
        near = sorted(known for known in available_timezones() if zone.lower() in known.lower())[:5]
        hint = f"; maybe {', '.join(near)}" if near else ", such as Europe/Amsterdam"
        raise click.BadParameter(f"{zone!r} is no time zone{hint}", param_hint="--zone")
