"""`countless sites`: an account's sites, for those who run the service."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from infrastructure.keys import WRITTEN, aligned, chosen, day, limits_named, listed, operating
from infrastructure.reaching import reaching

if TYPE_CHECKING:
    from chalicelib.core.accounts import Roster, Site


@click.group(short_help="List, make and delete sites; change their limits.")
def sites() -> None:
    """List, make and delete sites; change their limits.

    Against AWS itself, the variables that the functions have (COUNTLESS_...) say where accounts are kept.
    """


@sites.command("list", short_help="List the account's sites.")
@operating
def list_sites(account: str | None, url: str | None) -> None:
    """List the account's sites in the order in which they were made, also those that were deleted and still have data.

    The first site is the parent of the others.
    """
    with reaching(url):
        for line in table(chosen(account)):
            click.echo(line)


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

        roster = chosen(account)
        wanted = creation(orjson.dumps({"cname": host, "code": code, "link_domain": pages}))
        made = wiring.accounts().create_site(roster.account.id, wanted.name, wanted.code, wanted.cname, wanted.settle)
    click.echo(f"{made.code}: made, with the id {made.id}")


@sites.command("delete", short_help="Delete a site with all that it has counted.")
@click.argument("code")
@click.option("--yes", is_flag=True, help="Do not ask.")
@operating
def delete_site(code: str, account: str | None, url: str | None, *, yes: bool) -> None:
    """Delete the site with this code, and all that it has counted: nothing of it can be had back.

    Its host and code are free at once; other processes may still count for it for half a minute. What it has counted
    is removed within a day. Statistics of the same domain stay.
    """
    with reaching(url, f"The account has no site {code}."):
        from chalicelib import wiring  # noqa: PLC0415

        roster = chosen(account)
        site = _site(roster, code)
        if not yes:
            heir = _heir(roster, site)
            where = f" ({site.cname})" if site.cname else ""
            more = f"The site {heir.code} becomes the parent of the others. " if heir else ""
            click.confirm(f"{more}Delete the site {site.code}{where} and all that it has counted?", abort=True)
        wiring.accounts().delete_site(site.account, site.id)
    click.echo(f"{site.code}: deleted")


@sites.command("limits", short_help="Change the limits of requests to a site.", epilog=limits_named(WRITTEN))
@click.argument("code")
@click.argument("text", metavar="TEXT")
@operating
def limit_site(code: str, text: str, account: str | None, url: str | None) -> None:
    """Change the limits of requests to the site with this code: changes to the deployment's plans, such as
    count:20/1,api:none. TEXT replaces all that was set for the site before; an empty one takes it back. In force
    everywhere within half a minute.
    """
    with reaching(url):
        from chalicelib import wiring  # noqa: PLC0415

        roster = chosen(account)
        wiring.accounts().set_site_limits(roster.account.id, _site(roster, code).id, text)
    click.echo(f"{code}: {text or 'the limits of the deployment'}")


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


def _site(roster: Roster, code: str) -> Site:
    """The account's site with this code.

    Raises:
        click.ClickException: there is none.
    """
    site = roster.site(code.lower(), "")
    if site is None:
        raise click.ClickException(f"The account has no site {code}: {listed(s.code for s in roster.sites())}")
    return site


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
        said = (f"{options.get(name, name)}: {', '.join(messages)}" for name, messages in error.fields.items())
        raise click.UsageError("; ".join(said)) from error
