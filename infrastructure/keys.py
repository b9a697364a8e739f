"""`countless keys`: keys for those who lost theirs, and limits for those who need others."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar

import click

from chalicelib.core.limits import FORM, LIMITED, PLANS
from countless.printing import say, shown
from infrastructure import choosing
from infrastructure.reaching import at_aws, reaching

if TYPE_CHECKING:
    from chalicelib.core.accounts import Permission, Roster
    from chalicelib.core.keys import Key

F = TypeVar("F", bound=Callable[..., object])

PERMISSIONS = (
    "count",
    "export",
    "site-read",
    "site-create",
    "site-update",
    "stats",
    "statistics-read",
    "statistics-write",
    "domains",
)
"""As `chalicelib.core.keys` names them; written down here too, so that asking for help need not load the service."""
WRITTEN = f"TEXT is {FORM} (off: no limits; on: as if nothing were set). The names, and what is so by default:"
OWN = ("statistics-read", "statistics-write")
"""What a key for a domain may do if nothing else is said."""


def operating(command: F) -> F:
    """Gives a command the options that say where AWS is and whose keys and sites are meant."""
    account = click.option("--account", help="The id or name of the account; not needed where there is only one.")
    return account(at_aws()(command))


def limits_named(said: str) -> str:
    """The end of a command's help that says which limits there are, and how changes to them are written."""
    rows = (f"  {name:<26} {f'{plan.requests}/{plan.seconds}':<10} {LIMITED[name]}" for name, plan in PLANS.items())
    return f"{said}\n\n\b\n" + "\n".join(rows)


@click.group(short_help="List, issue and revoke keys; change their limits.")
def keys() -> None:
    """List, issue and revoke keys; change their limits.

    Against AWS itself, the variables that the functions have (COUNTLESS_...) say where accounts are kept.
    """


@keys.command("list", short_help="List the account's keys.")
@operating
def list_keys(account: str | None, url: str | None) -> None:
    """List the account's keys, revoked ones too, in the order in which they were made. Tokens are kept nowhere."""
    with reaching(url):
        from chalicelib import wiring  # noqa: PLC0415 - reads its settings from the environment

        roster = choosing.account(account)
        for line in table(wiring.accounts().keys(roster.account.id), roster):
            say(line)


@keys.command("issue", short_help="Make a key, and print its token.")
@click.option("--domain", help="The name or id of the domain whose statistics it opens.")
@click.option("--name", help="What the key is called; its domain's name, unless said otherwise.")
@click.option(
    "--permission",
    "permissions",
    type=click.Choice(PERMISSIONS),
    multiple=True,
    help=f"What it may do; may be given several times. With --domain: {' and '.join(OWN)}, unless said otherwise.",
)
@click.option(
    "--limits",
    default="",
    metavar="TEXT",
    help="Changes to the limits of requests with it, such as statistics:5000/3600; see `countless keys limits --help`.",
)
@operating
def issue(  # noqa: PLR0913, PLR0917 - one argument for each option
    domain: str | None,
    name: str | None,
    permissions: tuple[str, ...],
    limits: str,
    account: str | None,
    url: str | None,
) -> None:
    """Make a key, and print its token: this once, for it is kept nowhere.

    Keys that the account has already go on working.
    """
    if domain is None and not permissions:
        raise click.UsageError("Say whose statistics it opens (--domain), or what else it may do (--permission).")
    with reaching(url):
        from chalicelib import wiring  # noqa: PLC0415
        from chalicelib.core.keys import ALL_SITES  # noqa: PLC0415

        roster = choosing.account(account)
        granted, pageviews = _granted(permissions or OWN, statistics=domain is not None)
        key, token = wiring.accounts().issue_key(
            roster.account.id,
            _owner(roster),
            name or domain or "command line",
            granted,
            (ALL_SITES,) if pageviews else (),
            domain=choosing.facet(roster, domain) if domain is not None else "",
            limits=limits,
        )
    say(f"The token of key {key.id} is shown this once:", err=True)
    say(token)


@keys.command("revoke", short_help="End a key.")
@click.argument("key", metavar="KEY")
@operating
def revoke(key: str, account: str | None, url: str | None) -> None:
    """End the key with this id or name. Functions that have just seen it may honour it for another half minute."""
    with reaching(url, f"The account has no key {key}."):
        from chalicelib import wiring  # noqa: PLC0415

        roster = choosing.account(account)
        found = choosing.key(roster, key)
        if not found.revoked:
            wiring.accounts().revoke_key(roster.account.id, found.id)
    say(f"{found.id}: {'was revoked already' if found.revoked else 'revoked'}")


@keys.command("limits", short_help="Change the limits of requests with a key.", epilog=limits_named(WRITTEN))
@click.argument("key", metavar="KEY")
@click.argument("text", metavar="TEXT")
@operating
def limit_key(key: str, text: str, account: str | None, url: str | None) -> None:
    """Change the limits of requests with the key of this id or name: changes to the deployment's plans, such as
    statistics:5000/3600,api:none. TEXT replaces all that was set for the key before; an empty one takes it back.
    In force everywhere within half a minute.
    """
    with reaching(url, f"The account has no key {key}."):
        from chalicelib import wiring  # noqa: PLC0415

        roster = choosing.account(account)
        found = choosing.key(roster, key)
        if found.revoked:
            raise click.ClickException(f"{found.id} was revoked already: nothing can be requested with it.")
        wiring.accounts().set_key_limits(roster.account.id, found.id, text)
    say(f"{found.id}: {text or 'the limits of the deployment'}")


def table(found: Sequence[Key], roster: Roster) -> Iterator[str]:
    """The lines that say what keys there are."""
    from chalicelib.core import keys as core  # noqa: PLC0415

    domains = {domain.statistics.scope.domain: domain.statistics.name for domain in roster.domains if domain.statistics}
    codes = {site.id: site.code for site in roster.sites()}
    rows = [("ID", "NAME", "MADE", "LAST USED", "DOMAIN", "SITES", "LIMITS", "PERMISSIONS")]
    for key in found:
        covered = ["all" if site == core.ALL_SITES else codes.get(site, str(site)) for site in key.sites]
        rows.append(
            (
                key.id,
                key.name,
                day(key.created),
                "revoked" if key.revoked else day(key.last_used),
                domains.get(key.domain, "(deleted)" if key.domain else "-"),
                ",".join(covered) or "-",
                key.limits or "-",
                " ".join(core.named(key.permissions)) or "-",
            )
        )
    yield from aligned(rows)


def aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """The lines of a table, the heads of its columns first."""
    rows = [[shown(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def day(moment: int) -> str:
    """The date of a moment in Unix seconds, in UTC; 0 is never."""
    return datetime.fromtimestamp(moment, UTC).date().isoformat() if moment else "never"


def _granted(names: Sequence[str], *, statistics: bool) -> tuple[Permission, Permission]:
    """The permissions of these names, and those of them that are for page views.

    Raises:
        click.UsageError: some are for statistics, and no domain is named.
    """
    from chalicelib.core.accounts import PAGEVIEWS, STATISTICS, Permission  # noqa: PLC0415
    from chalicelib.core.keys import PERMISSIONS as KNOWN  # noqa: PLC0415

    granted = Permission(0)
    for name in names:
        granted |= KNOWN[name]
    if granted & STATISTICS and not statistics:
        raise click.UsageError("A key for statistics opens one domain: say which with --domain.")
    return granted, granted & PAGEVIEWS


def _owner(roster: Roster) -> int:
    """The id of the user whose key it becomes: the first who may have keys."""
    for user in sorted(roster.users, key=lambda user: user.id):
        if user.role.administers:
            return user.id
    raise click.ClickException("The account has nobody who may have keys.")
