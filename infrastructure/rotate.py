"""`countless secrets`: how old the deployment's secrets are, and new ones in their place."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from countless.printing import say
from infrastructure.keys import aligned
from infrastructure.reaching import at_aws, reaching

if TYPE_CHECKING:
    from chalicelib.core.rotation import Versions

NAMES = ("signing", "server", "edge")
"""As `rotation.RULES` names them; written down here too, so that asking for help need not load the service."""


@click.group(short_help="List the deployment's secrets; rotate them.")
def secrets() -> None:
    """List the deployment's secrets; rotate them. A schedule does so by itself: signing and server once in 400 days,
    edge once in 90.

    Two versions are valid at a time: the one that is used, and the one before it for as long as anything that was made
    with it is good. Salts are no concern of this command: they rotate every day.
    """


@secrets.command("list", short_help="List the secrets.")
@at_aws()
def list_secrets(url: str | None) -> None:
    """List the versions of each secret that are accepted: since when they are used, and what is made with them. None is
    shown.
    """
    with reaching(url):
        for line in aligned([("NAME", "VERSION", "USED SINCE", "ACCEPTED", "FOR"), *_rows()]):
            say(line)


@secrets.command("rotate", short_help="Make a new version of a secret.")
@click.argument("name", type=click.Choice(NAMES))
@click.option(
    "--leaked",
    is_flag=True,
    help="Use it at once, and accept no other a minute later: links that were handed out lead nowhere from then on.",
)
@at_aws()
def rotate(name: str, url: str | None, *, leaked: bool) -> None:
    """Make a new version of a secret. It is used in five minutes, once every process knows it; the one before it is
    accepted for as long as anything that was made with it is good, and until then there is no third one.

    The CDN has to be told a new version of edge (`countless secrets show edge`), and may take its time.
    """
    with reaching(url):
        from chalicelib import wiring  # noqa: PLC0415 - reads its settings from the environment
        from chalicelib.core.rotation import RULES, Early  # noqa: PLC0415

        try:
            made = wiring.secrets().rotate_secret(name, leaked=leaked)
        except Early as early:
            if early.until is None:
                raise click.ClickException(f"{name} was rotated already: the new version is not in use yet.") from None
            raise click.ClickException(
                f"{name} was rotated already, and {RULES[name].what} that were made before may be in use until "
                f"{_moment(early.until)}. With --leaked they end now."
            ) from None
        used = f"is used from {_moment(made.since)} on" if made.since else "waits for the CDN to be told it"
    say(f"{name}: version {made.number} {used}")


@secrets.command("show", short_help="Print what the CDN has to be told.")
@click.argument("name", type=click.Choice(["edge"]))
@at_aws()
def show(name: str, url: str | None) -> None:
    """Print the newest version of the secret edge: the CDN sends it in the header X-Countless-Edge."""
    with reaching(url):
        from chalicelib import wiring  # noqa: PLC0415
        from chalicelib.aws.secrets import edge_text  # noqa: PLC0415

        text = edge_text(wiring.secrets().versions(name).newest.secret)
    say(text)


def _rows() -> Iterator[tuple[str, ...]]:
    from chalicelib import wiring  # noqa: PLC0415
    from chalicelib.core.rotation import RULES  # noqa: PLC0415

    now = wiring.now()
    for name, rule in RULES.items():
        found = wiring.secrets().versions(name)
        for version in found.kept:
            until = _until(found, version.number, rule.lasting, now)
            since = _moment(version.since) if version.since else "not yet"
            yield name, str(version.number), since, until, rule.what


def _until(found: Versions, number: int, lasting: int, now: float) -> str:
    used = found.current(now)
    if number >= used.number:
        return "yes"
    return f"until {_moment((used.since or 0) + lasting)}"


def _moment(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")
