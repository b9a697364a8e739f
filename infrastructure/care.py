"""`countless paths` and `countless erase`: merge, rename and delete paths, purge what was counted, erase a visitor."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from time import monotonic, sleep
from typing import TYPE_CHECKING, TypeVar

import click

from countless.printing import confirm, say
from infrastructure import choosing
from infrastructure.choosing import listed
from infrastructure.keys import aligned, operating
from infrastructure.reaching import reaching
from infrastructure.seldom import purge_seldom

if TYPE_CHECKING:
    from chalicelib.core.accounts import Site
    from chalicelib.core.redactions import Done
    from chalicelib.core.reports import Path
    from chalicelib.core.wishes import Act

F = TypeVar("F", bound=Callable[..., object])

_DAY = click.DateTime(["%Y-%m-%d"])
POLL = 1.0
"""Seconds between two looks whether it is done."""
PATIENCE = 900
"""Seconds until a command no longer waits; what was asked for goes on."""
AT_ONCE = 1000
"""Paths that one command may name."""
READ = 10_000
LONGEST = 2048
"""Characters of a path (page-view contract, section 7.1)."""


def _caring(command: F) -> F:
    """Gives a command the options that say which site is meant."""
    site = click.option("--site", "code", help="The code or id of the site; not needed where the account has only one.")
    return site(operating(command))


def _changing(command: F) -> F:
    """As `_caring`, and whether to ask before anything is lost."""
    return click.option("--yes", is_flag=True, help="Do not ask.")(_caring(command))


@click.group(short_help="List, rename, merge and delete paths; purge what they counted.")
def paths() -> None:
    """List, rename, merge and delete the paths of a site; purge what was counted. An event is the path of its name.

    A PATH may be given by its id as well. Changes are made by the service's function `redact`, while counting goes on:
    figures show all of a change or nothing, within about a minute after it is done. Nothing can be had back.
    """


@paths.command("list", short_help="List the paths of a site.")
@click.option("--like", default="", metavar="TEXT", help="Only paths and titles that contain this, in any case.")
@_caring
def list_paths(like: str, code: str | None, account: str | None, url: str | None) -> None:
    """List the paths that a site has counted, by id, with their titles. Events begin without a slash."""
    with reaching(url):
        site = _site(account, code)
        rows = [("ID", "PATH", "TITLE")]
        wanted = like.lower()
        rows += [
            (str(path.id), path.path, path.title or "-")
            for path in _paths(site)
            if wanted in path.path.lower() or wanted in path.title.lower()
        ]
        for line in aligned(rows):
            say(line)


@paths.command("rename", short_help="Give a path another name.")
@click.argument("path")
@click.argument("name")
@_caring
def rename(path: str, name: str, code: str | None, account: str | None, url: str | None) -> None:
    """Give PATH the name NAME, written as the service writes paths: one slash before, none behind. Its id stays.

    If there is a path of that name already, the two become one: the one that had the name. Who goes on visiting the
    old address makes a new path of it.
    """
    with reaching(url):
        from chalicelib.core.wishes import Act, require_one_kind  # noqa: PLC0415

        site = _site(account, code)
        (found,) = _named(site, [path])
        new = _normalised(name)
        require_one_kind([found.path, new])
        done = _carried_out(site, Act.RENAME, paths=(found.id,), name=new)
    moved = f"; {_events(done.moved)} joined the path that had the name" if done.moved else ""
    say(f"{found.path}: is {new} now{moved}")


@paths.command("merge", short_help="Make some paths one.")
@click.argument("others", metavar="PATH...", nargs=-1, required=True)
@click.option("--into", required=True, metavar="PATH", help="The path that the others become part of.")
@_changing
def merge(  # noqa: PLR0913, PLR0917 - one argument for each option
    others: tuple[str, ...],
    into: str,
    code: str | None,
    account: str | None,
    url: str | None,
    yes: bool,  # noqa: FBT001
) -> None:
    """Make everything that was counted for each PATH part of another one. Visits are added up."""
    with reaching(url):
        from chalicelib.core.wishes import Act, require_one_kind  # noqa: PLC0415

        site = _site(account, code)
        (target,) = _named(site, [into])
        found = _named(site, others)
        if target in found:
            raise click.UsageError(f"{target.path} cannot become part of itself.")
        require_one_kind([path.path for path in (*found, target)])
        if not yes:
            confirm(f"Make {listed(path.path for path in found)} part of {target.path}?")
        done = _carried_out(site, Act.MERGE, paths=tuple(path.id for path in found), target=target.id)
    say(f"{target.path}: {_events(done.moved)} joined it")


@paths.command("delete", short_help="Delete paths with all that they counted.")
@click.argument("gone", metavar="PATH...", nargs=-1, required=True)
@_changing
def delete(gone: tuple[str, ...], code: str | None, account: str | None, url: str | None, yes: bool) -> None:  # noqa: FBT001
    """Delete each PATH with its name and all that was counted for it."""
    with reaching(url):
        from chalicelib.core.wishes import Act  # noqa: PLC0415

        site = _site(account, code)
        found = _named(site, gone)
        if not yes:
            confirm(f"Delete {listed(path.path for path in found)} and all that was counted?")
        done = _carried_out(site, Act.PURGE, paths=tuple(path.id for path in found))
    say(f"{_events(done.removed)} removed")


@paths.command("purge", short_help="Remove what was counted on some days.")
@click.argument("some", metavar="[PATH]...", nargs=-1)
@click.option(
    "--from", "start", type=_DAY, metavar="DATE", help="The first day, in UTC; without it, from the beginning."
)
@click.option(
    "--to",
    "end",
    type=_DAY,
    metavar="DATE",
    help="The last day, in UTC, such as 2026-01-31; without it, to this moment.",
)
@click.option(
    "--at-most-visits",
    "most",
    type=click.IntRange(min=0),
    metavar="N",
    help="Instead of days: every path, with its name, that has so many visits at most since counting began.",
)
@_changing
def purge(  # noqa: PLR0913, PLR0917 - one argument for each option
    some: tuple[str, ...],
    start: datetime | None,
    end: datetime | None,
    most: int | None,
    code: str | None,
    account: str | None,
    url: str | None,
    yes: bool,  # noqa: FBT001
) -> None:
    """Remove what was counted for each PATH, or for all of them, on the days from --from to --to.

    A path that is left without anything goes as well. With --at-most-visits, remove the paths that hardly anybody has
    seen, such as those that a stranger made up: what was counted up to now, in several steps if there are many. If it
    is interrupted, the same command does the rest.
    """
    if most is not None:
        if some or start is not None or end is not None:
            raise click.UsageError("--at-most-visits goes without paths and days.")
        with reaching(url):
            purge_seldom(_site(account, code), most, _paths, _carried_out, yes=yes)
        return
    if start is None and end is None:
        raise click.UsageError("Say which days (--from, --to, or both); `countless paths delete` removes whole paths.")
    if start is not None and end is not None and end < start:
        raise click.UsageError("--to comes before --from.")
    with reaching(url):
        from chalicelib.core.wishes import Act  # noqa: PLC0415

        site = _site(account, code)
        found = _named(site, some)
        first = int(start.replace(tzinfo=UTC).timestamp()) if start else None
        last = int((end.replace(tzinfo=UTC) + timedelta(days=1)).timestamp()) - 1 if end else None
        if not yes:
            whose = listed(path.path for path in found) if found else f"every path of {site.code}"
            days = " ".join(
                f"{word} {moment.date()}" for word, moment in (("from", start), ("to", end)) if moment is not None
            )
            confirm(f"Remove what was counted for {whose} {days}?")
        done = _carried_out(site, Act.PURGE, paths=tuple(path.id for path in found), start=first, end=last)
    say(f"{_events(done.removed)} removed")


@click.command(short_help="Erase a visitor.")
@click.option("--user-agent", metavar="TEXT", help="The User-Agent header of the visitor's browser, to the letter.")
@click.option("--ip", metavar="ADDRESS", help="The visitor's IP address.")
@click.option("--session", metavar="TEXT", help="The session that your program named when it counted.")
@_changing
def erase(  # noqa: PLR0913, PLR0917 - one argument for each option
    user_agent: str | None,
    ip: str | None,
    session: str | None,
    code: str | None,
    account: str | None,
    url: str | None,
    yes: bool,  # noqa: FBT001
) -> None:
    """Erase everything that a visitor left: either --user-agent and --ip, or --session says whose.

    Who somebody was can be told for as long as the salts live that visitors are hashed with: today's and yesterday's.
    What was counted before belongs to nobody any more: neither this command nor anyone else can find it, and it names
    no one. Hits of bots with that User-Agent are erased as well, for all the 30 days that they are kept.
    """
    if (session is None) == (user_agent is None and ip is None) or (user_agent is None) != (ip is None):
        raise click.UsageError("Say who it is: either --user-agent and --ip, or --session.")
    with reaching(url):
        from chalicelib import wiring  # noqa: PLC0415
        from chalicelib.core import addresses  # noqa: PLC0415
        from chalicelib.core.tombstones import agent_key  # noqa: PLC0415
        from chalicelib.core.wishes import Act  # noqa: PLC0415
        from chalicelib.pageviews.visitors import Visitors  # noqa: PLC0415

        site = _site(account, code)
        visitors = Visitors(site, wiring.secrets().salts())
        address = addresses.one_form(ip or "")
        keys = visitors.named(session) if session is not None else visitors.seen(user_agent or "", address)
        if not yes:
            confirm(f"Erase what this visitor left at {site.code}?")
        done = _carried_out(
            site,
            Act.ERASE,
            keys=tuple(key for key in keys if key),
            agent=agent_key(user_agent) if user_agent else "",
        )
    say(f"{_events(done.removed)} removed")


def _events(number: int) -> str:
    return f"{number:,} event{'' if number == 1 else 's'}"


def _site(account: str | None, code: str | None) -> Site:
    """The account's site with this code or id, or its only one.

    Raises:
        click.ClickException: there is none, or a choice.
    """
    roster = choosing.account(account)
    if code is not None:
        return choosing.site(roster, code)
    sites = list(roster.sites())
    if len(sites) == 1:
        return sites[0]
    raise click.ClickException(f"The account has several sites; choose with --site: {listed(s.code for s in sites)}")


def _paths(site: Site) -> Iterator[Path]:
    from chalicelib import wiring  # noqa: PLC0415 - reads its settings from the environment

    after, more = 0, True
    while more:
        found, more = wiring.reports().paths(site.stream, after, READ)
        yield from found
        after = found[-1].id if found else after


def _named(site: Site, texts: Sequence[str]) -> list[Path]:
    """The site's paths of these names, whatever their case; where there is none of a name, the one with that id.

    Raises:
        click.ClickException: there is none of a name.
        click.UsageError: too many are named.
    """
    if len(texts) > AT_ONCE:
        raise click.UsageError(f"Name {AT_ONCE:,} paths at most.")
    there = list(_paths(site)) if texts else []
    known = {str(path.id): path for path in there} | {path.path.lower(): path for path in there}
    missing = [text for text in texts if text.lower() not in known]
    if missing:
        raise click.ClickException(
            f"The site {site.code} has no path {', '.join(missing)}; see `countless paths list`."
        )
    return list({known[text.lower()].id: known[text.lower()] for text in texts}.values())


def _normalised(name: str) -> str:
    """A new name as the service would store it.

    Raises:
        click.UsageError: it cannot be one.
    """
    from chalicelib.pageviews import paths as rules  # noqa: PLC0415
    from chalicelib.pageviews.texts import storable  # noqa: PLC0415

    if not name.strip() or not storable(name):
        raise click.UsageError("A path must not be empty, nor hold control characters.")
    new = rules.page(name) if name.lstrip().startswith("/") else rules.event(name)
    if len(new) > LONGEST:
        raise click.UsageError(f"A path has {LONGEST:,} characters at most.")
    return new


def _carried_out(site: Site, act: Act, **what: object) -> Done:
    """Asks for a change, and waits until it is made.

    Raises:
        click.ClickException: it cannot be made, or takes longer than one may wait.
    """
    from chalicelib import wiring  # noqa: PLC0415

    redactions = wiring.redactions()
    wish = redactions.begin(site.stream, act, **what)
    until = monotonic() + PATIENCE
    while (done := redactions.done(site.stream, wish.id)) is None:
        if monotonic() > until:
            raise click.ClickException(f"{wish.id} is still under way; it goes on by itself.")
        sleep(POLL)
    if done.error:
        raise click.ClickException(done.error)
    return done
