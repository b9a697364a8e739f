"""Which one an operator means: whatever a command asks for may be given by its name or by its id."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, TypeVar

import click

if TYPE_CHECKING:
    from chalicelib.core.accounts import Roster, Site, User
    from chalicelib.core.keys import Key

T = TypeVar("T")


def one_of(what: str, text: str, known: Sequence[T], name: Callable[[T], str], number: Callable[[T], object]) -> T:
    """The one that has this name, in any case; if none has, the one with this id. `what` says what it is one of.

    Raises:
        click.ClickException: there is none, or several have the name.
    """
    named = [entry for entry in known if name(entry).lower() == text.lower()]
    if len(named) > 1:
        ids = listed(str(number(entry)) for entry in named)
        raise click.ClickException(f"Several have the name {text}; say which by its id: {ids}")
    if not named:
        named = [entry for entry in known if str(number(entry)) == text]
    if not named:
        raise click.ClickException(f"{what} {text}: {listed(name(entry) for entry in known)}")
    return named[0]


def account(text: str | None) -> Roster:
    """The account that is named, else the only one.

    Raises:
        click.ClickException: there is none, or a choice.
    """
    from chalicelib import wiring  # noqa: PLC0415 - reads its settings from the environment

    known = wiring.accounts().all_accounts()
    if text in known:
        return wiring.accounts().roster(text)
    if text is None and len(known) > 1:
        raise click.ClickException(f"There are several accounts; choose with --account: {listed(known)}")
    if not known:
        raise click.ClickException("There is no account yet.")
    if text is None:
        return wiring.accounts().roster(known[0])
    named = [found for found in map(wiring.accounts().roster, known) if found.account.name.lower() == text.lower()]
    if len(named) > 1:
        ids = listed(found.account.id for found in named)
        raise click.ClickException(f"Several accounts have the name {text}; choose by id: {ids}")
    if not named:
        raise click.ClickException(f"There is no account {text}.")
    return named[0]


def site(roster: Roster, text: str) -> Site:
    """The account's site with this code or id.

    Raises:
        click.ClickException: there is none.
    """
    return one_of("The account has no site", text, list(roster.sites()), lambda site: site.code, lambda site: site.id)


def user(roster: Roster, text: str) -> User:
    """The account's user with this name or id.

    Raises:
        click.ClickException: there is none.
    """
    return one_of("The account has no user", text, roster.users, lambda user: user.name, lambda user: user.id)


def key(roster: Roster, text: str) -> Key:
    """The account's key with this id or name. Of those with a name, one that was not revoked comes first.

    Raises:
        NotFound: there is none.
        click.ClickException: several have the name.
    """
    from chalicelib import wiring  # noqa: PLC0415
    from chalicelib.core.errors import NotFound  # noqa: PLC0415

    known = wiring.accounts().keys(roster.account.id)
    found = [key for key in known if key.id == text] or [key for key in known if key.name == text]
    found = [key for key in found if not key.revoked] or found[:1]
    if not found:
        raise NotFound("key")
    if len(found) > 1:
        raise click.ClickException(f"Several keys have the name {text}; choose by id: {listed(k.id for k in found)}")
    return found[0]


def facet(roster: Roster, text: str) -> str:
    """The id of the account's domain for statistics with this name or id.

    Raises:
        click.ClickException: there is none.
    """
    known = [domain.statistics for domain in roster.domains if domain.statistics]
    found = [facet for facet in known if facet.name == text] or [facet for facet in known if facet.scope.domain == text]
    if not found:
        names = listed(facet.name for facet in known)
        raise click.ClickException(f"The account has no domain {text} with statistics: {names}")
    return found[0].scope.domain


def listed(names: Iterable[str]) -> str:
    """Some names, for a line."""
    return ", ".join(sorted(names)) or "there are none"
