"""`countless sites`: an account's sites, for those who run the service."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from countless.printing import confirm, say
from infrastructure import choosing
from infrastructure.keys import WRITTEN, aligned, day, limits_named, operating
from infrastructure.reaching import reaching

if TYPE_CHECKING:
    from chalicelib.core.accounts import Roster, Site


_SETTINGS = """\
The names, as the API has them:

\b
  public           private, secret or public: who sees the figures
  secret           8 to 40 letters and digits, for public=secret
  allow_counter    true or false: whether visitor counters are shown
  allow_bosmang    true or false
  data_retention   days that it keeps what it counted, 31 to 1825; 0: all
  ignore_ips       addresses that it does not count, by comma
  collect          a number, the sum of what it collects; 190 usually
  collect_regions  countries whose regions it collects, such as US,NL
  allow_embed      sites that may show it in a frame, by comma
  cname            the host that selects it
  link_domain      where its pages are
"""


@click.group(short_help="List, make, change and delete sites; change their limits.")
def sites() -> None:
    """List, make, change and delete sites; change their limits.

    Against AWS itself, the variables that the functions have (COUNTLESS_...) say where accounts are kept.
    """


@sites.command("list", short_help="List the account's sites.")
@operating
def list_sites(account: str | None, url: str | None) -> None:
    """List the account's sites in the order in which they were made, also those that were deleted and still have data.

    The first site is the parent of the others.
    """
    with reaching(url):
        for line in table(choosing.account(account)):
            say(line)


@sites.command("create", short_help="Make a site.")
@click.option("--host", help="The host that selects it, such as stats.example.com.")
@click.option("--code", help="What selects it in paths, as in /s/CODE/count; a random one, unless said otherwise.")
@click.option("--pages", default="", metavar="URL", help="Where its pages are, such as https://www.example.com.")
@operating
def create_site(host: str | None, code: str | None, pages: str, account: str | None, url: str | None) -> None:
    """Make a site with the settings that a new site has. Either a host or a code must be given.

    What the account has as a domain of that name, for statistics alone, becomes a site as well.
    """
    with reaching(url), _named_faults():
        import orjson  # noqa: PLC0415 - comes with the service

        from chalicelib import wiring  # noqa: PLC0415 - reads its settings from the environment
        from chalicelib.pageviews.sites import creation  # noqa: PLC0415

        roster = choosing.account(account)
        wanted = creation(orjson.dumps({"cname": host, "code": code, "link_domain": pages}))
        made = wiring.accounts().create_site(roster.account.id, wanted.name, wanted.code, wanted.cname, wanted.settle)
    say(f"{made.code}: made, with the id {made.id}")


@sites.command("delete", short_help="Delete a site with all that it has counted.")
@click.argument("code")
@click.option("--yes", is_flag=True, help="Do not ask.")
@operating
def delete_site(code: str, account: str | None, url: str | None, *, yes: bool) -> None:
    """Delete the site with this code or id, and all that it has counted: nothing of it can be had back.

    Its host and code are free at once; other processes may still count for it for half a minute. What it has counted
    is removed within a day. Statistics of the same domain stay.
    """
    with reaching(url, f"The account has no site {code}."):
        from chalicelib import wiring  # noqa: PLC0415

        roster = choosing.account(account)
        site = choosing.site(roster, code)
        if not yes:
            heir = _heir(roster, site)
            where = f" ({site.cname})" if site.cname else ""
            more = f"The site {heir.code} becomes the parent of the others. " if heir else ""
            confirm(f"{more}Delete the site {site.code}{where} and all that it has counted?")
        wiring.accounts().delete_site(site.account, site.id)
    say(f"{site.code}: deleted")


@sites.command("limits", short_help="Change the limits of requests to a site.", epilog=limits_named(WRITTEN))
@click.argument("code")
@click.argument("text", metavar="TEXT")
@operating
def limit_site(code: str, text: str, account: str | None, url: str | None) -> None:
    """Change the limits of requests to the site with this code or id: changes to the deployment's plans, such as
    count:20/1,api:none. TEXT replaces all that was set for the site before; an empty one takes it back. In force
    everywhere within half a minute.
    """
    with reaching(url):
        from chalicelib import wiring  # noqa: PLC0415

        roster = choosing.account(account)
        site = choosing.site(roster, code)
        wiring.accounts().set_site_limits(roster.account.id, site.id, text)
    say(f"{site.code}: {text or 'the limits of the deployment'}")


@sites.command("set", short_help="Show or change the settings of a site.", epilog=_SETTINGS)
@click.argument("code")
@click.argument("changes", metavar="[NAME=VALUE]...", nargs=-1)
@operating
def set_site(code: str, changes: tuple[str, ...], account: str | None, url: str | None) -> None:
    """Change settings of the site with this code or id, and show them all as they are then. What is not named stays; an
    empty VALUE takes a host, a list or a secret away. In force everywhere within half a minute.
    """
    with reaching(url, f"The account has no site {code}."), _named_faults():
        from chalicelib import wiring  # noqa: PLC0415
        from chalicelib.pageviews import sites as rules  # noqa: PLC0415

        site = choosing.site(choosing.account(account), code)
        if changes:
            site = wiring.accounts().update_site(site.account, site.id, rules.told(_pairs(changes)))
        rows = [("NAME", "VALUE"), *rules.listed(site)]
        for line in aligned(rows):
            say(line)


def _pairs(changes: Sequence[str]) -> dict[str, str]:
    """What NAME=VALUE says, by name.

    Raises:
        click.UsageError: a change has no equals sign, or a name is given twice.
    """
    found: dict[str, str] = {}
    for change in changes:
        name, sign, value = change.partition("=")
        if not sign or not name:
            raise click.UsageError(f"{change!r} is no NAME=VALUE.")
        if name in found:
            raise click.UsageError(f"{name} is given twice.")
        found[name] = value
    return found


def table(roster: Roster) -> Iterator[str]:
    """The lines that say what sites there are."""
    from chalicelib.core.accounts import SiteState  # noqa: PLC0415

    rows = [("ID", "CODE", "HOST", "PARENT", "STATE", "SEEN BY", "MADE", "LIMITS")]
    found = sorted((domain.site for domain in roster.domains if domain.site), key=lambda site: site.id)
    for site in found:
        there = site.state is SiteState.ACTIVE
        rows.append(
            (
                str(site.id),
                site.code,
                site.cname or "-",
                str(roster.parent(site) or "-") if there else "-",
                "active" if there else "deleted",
                site.visibility.value,
                day(site.created_at),
                site.limits or "-",
            )
        )
    yield from aligned(rows)


def _heir(roster: Roster, site: Site) -> Site | None:
    """Who becomes a parent in a site's place; None if it is the parent of none but one."""
    children = sorted(roster.family(site)[1:], key=lambda child: child.id)
    return children[0] if len(children) > 1 else None


@contextmanager
def _named_faults() -> Iterator[None]:
    """Says which option is at fault.

    Raises:
        click.UsageError: one is.
    """
    from chalicelib.core.errors import Invalid  # noqa: PLC0415

    options = {"cname": "--host", "code": "--code", "link_domain": "--pages"}
    try:
        yield
    except Invalid as error:
        if not error.fields:
            raise
        said = (
            f"{options.get(name, name.removeprefix('settings.'))}: {', '.join(messages)}"
            for name, messages in error.fields.items()
        )
        raise click.UsageError("; ".join(said)) from error
