"""The account that a local run comes with."""

from __future__ import annotations

import secrets
from dataclasses import replace

from chalicelib.aws.accounts import Accounts
from chalicelib.aws.domains import Domains
from chalicelib.aws.tables import UserDocument
from chalicelib.core import passwords
from chalicelib.core.accounts import EVERYTHING, STATISTICS, Site
from chalicelib.core.errors import NotFound, Unauthenticated
from chalicelib.core.pages import LARGEST_PAGE
from infrastructure.local.credentials import Credentials

CODE = "demo"
USERNAME = "demo"
DOMAIN = "localhost"


def ensure(accounts: Accounts, domains: Domains, url: str, known: Credentials | None, host: str) -> Credentials:
    """The demo account's credentials: the `known` ones as long as they are good, else new ones.

    An account that is there already, in an AWS that outlived the service, is kept with all that was counted.
    """
    if known is not None and _good(accounts, domains, known):
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
        site, token, owner, domain = created.site, created.token, created.user.id, created.key.domain
    else:
        owner = _set_password(accounts, site, password)
        domain = _statistics(accounts, domains, site, owner)
        _, token = accounts.issue_key(site.account, owner, "Demo", domain=domain)
    _, key = accounts.issue_key(site.account, owner, DOMAIN, EVERYTHING, (site.id,), domain=domain)
    return Credentials(url, site.account, site.id, DOMAIN, key, token, USERNAME, password)


def _statistics(accounts: Accounts, domains: Domains, site: Site, owner: int) -> str:
    """The id of the domain for statistics: the site's, else the one of the demo's name, else a new one."""
    for domain in accounts.roster(site.account).domains:
        if domain.id == site.domain and domain.statistics:
            return domain.statistics.scope.domain
    for facet in domains.list(site.account, LARGEST_PAGE).entries:
        if facet.name == DOMAIN:
            return facet.scope.domain
    made, unused = domains.create(site.account, DOMAIN, STATISTICS, owner, DOMAIN)
    accounts.revoke_key(site.account, accounts.key(unused).id)
    return made.scope.domain


def _good(accounts: Accounts, domains: Domains, known: Credentials) -> bool:
    """Whether token and key are still those of an account with that site, and open a domain for statistics."""
    try:
        owners = {accounts.key(token).account for token in (known.api_token, known.domain_key)}
        domains.get(known.account, known.domain_key)
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
