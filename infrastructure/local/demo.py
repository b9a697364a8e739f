"""The account that a local run comes with."""

from __future__ import annotations

import secrets
from dataclasses import replace

from chalicelib.aws.accounts import Accounts
from chalicelib.aws.tables import UserDocument
from chalicelib.core import passwords
from chalicelib.core.accounts import EVERYTHING, Site
from chalicelib.core.errors import NotFound, Unauthenticated
from infrastructure.local.credentials import Credentials

CODE = "demo"
USERNAME = "demo"
DOMAIN = "localhost"


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
