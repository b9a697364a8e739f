"""The account that a local run comes with, and the file that tells scripts its keys."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from chalicelib.aws.accounts import EVERYTHING, Accounts
from chalicelib.aws.tables import UserDocument
from chalicelib.core import passwords
from chalicelib.core.accounts import Site
from chalicelib.core.errors import NotFound, Unauthenticated

CODE = "demo"
USERNAME = "demo"
DOMAIN = "localhost"


@dataclass(frozen=True, slots=True)
class Credentials:
    """All that a client needs to know. Token and key may do everything; the key only with its one site."""

    url: str
    account: str
    site_id: int
    domain: str
    domain_key: str = field(repr=False)
    api_token: str = field(repr=False)
    username: str
    password: str = field(repr=False)


def ensure(accounts: Accounts, url: str, known: Credentials | None, host: str) -> Credentials:
    """The demo account's credentials: the `known` ones as long as they are good, else new ones.

    An account that is there already, in an AWS that outlived the service, is kept with all that was counted.
    """
    if known is not None and _good(accounts, known):
        return replace(known, url=url)
    password = secrets.token_urlsafe(12)
    site = accounts.public_site(CODE, "")
    if site is None:
        created = accounts.create_account(
            name="Demo",
            username=USERNAME,
            email="demo@localhost.localdomain",
            password=password,
            domain=DOMAIN,
            code=CODE,
            cname=host,
        )
        site, token, owner = created.site, created.token, created.user.id
    else:
        owner = _set_password(accounts, site, password)
        _, token = accounts.issue_key(site.account, owner, "Demo")
    _, key = accounts.issue_key(site.account, owner, DOMAIN, EVERYTHING, (site.id,))
    return Credentials(url, site.account, site.id, DOMAIN, key, token, USERNAME, password)


def _good(accounts: Accounts, known: Credentials) -> bool:
    """Whether token and key are still those of an account with that site."""
    try:
        owners = {accounts.key(token).account for token in (known.api_token, known.domain_key)}
        sites = {site.id for site in accounts.roster(known.account).sites()}
    except (Unauthenticated, NotFound):
        return False
    return owners == {known.account} and known.site_id in sites


def _set_password(accounts: Accounts, site: Site, password: str) -> int:
    """Give the demo user a new password, as the old one is known to nobody; the user's id."""
    user = next(user for user in accounts.roster(site.account).users if user.name == USERNAME)
    document = next(
        found
        for found in UserDocument.query(f"account#{site.account}", UserDocument.sk.startswith("user#"))
        if found.number == user.id
    )
    document.update(actions=[UserDocument.password.set(passwords.hashed(password))])
    return user.id


def take(file: Path) -> Credentials | None:
    """The credentials that an earlier run wrote; None if there are none that make sense.

    Until `write` the file is gone, so that whoever waits for it waits for a service that answers. What it said
    is kept beside it, for the case that this run ends before it serves.
    """
    if file.exists():
        file.replace(_previous(file))
    try:
        return Credentials(**json.loads(_previous(file).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def write(file: Path, credentials: Credentials) -> None:
    """Write them for the owner's eyes only, all at once: whoever finds the file finds it whole."""
    with _temporary(file) as (descriptor, name):
        with os.fdopen(descriptor, "w", encoding="utf-8") as handle:
            json.dump(asdict(credentials), handle, indent=2)
            handle.write("\n")
        Path(name).replace(file)
    _previous(file).unlink(missing_ok=True)


def _previous(file: Path) -> Path:
    return file.with_name(f".{file.name}.previous")


@contextlib.contextmanager
def _temporary(file: Path) -> Iterator[tuple[int, str]]:
    """A file of mode 600 beside the one that it will replace; gone if it does not."""
    descriptor, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    try:
        yield descriptor, name
    finally:
        Path(name).unlink(missing_ok=True)
