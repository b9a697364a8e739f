"""Who asks, and whether they may.

What a request names only selects among what belongs to the account of its key.
"""

from dataclasses import dataclass

from chalicelib import observability, wiring
from chalicelib.core import keys
from chalicelib.core.accounts import Account, Domain, Permission, Role, Roster, Site, User, Visibility
from chalicelib.core.errors import Forbidden, Invalid, NotFound, Unauthenticated, Unavailable
from chalicelib.core.keys import Key

from .requests import Request


@dataclass(frozen=True, slots=True)
class Holder:
    """Whoever holds the key of a request: for surfaces that know nothing of sites."""

    key: Key
    user: User


@dataclass(frozen=True, slots=True)
class Caller:
    """Whoever holds the key of a request, and the site that the request is about."""

    key: Key
    user: User
    roster: Roster
    site: Site


def key_of(request: Request) -> Key:
    """The key that a request carries.

    Raises:
        Unauthenticated: none, or none that is known.
        Unavailable: nobody can say.
    """
    return request.once("key", lambda: wiring.accounts().key(keys.credential(request.headers)))


def roster_of(request: Request) -> Roster:
    """Everybody and everything of the account that the request's key belongs to.

    Raises:
        Unauthenticated: as `key_of`.
        NotFound: the account is gone.
        Unavailable: nobody can say.
    """
    key = key_of(request)
    return request.once("roster", lambda: wiring.accounts().roster(key.account))


def public_site(request: Request) -> Site | None:
    """The site that a request without a credential means; None if that leaves none, or a choice.

    Raises:
        Unavailable: nobody can say.
    """
    return request.once("site", lambda: wiring.accounts().public_site(request.code, request.host))


def holder(request: Request, permission: Permission) -> Holder:
    """Who holds the request's key, if the key has one of these permissions, or any if none is named.

    Raises:
        Unauthenticated: no credential, none that is known, or its owner may not use keys any more.
        Forbidden: the key lacks the permission.
    """
    key = key_of(request)
    try:
        user = roster_of(request).user(key.owner)
    except NotFound:
        user = None
    if user is None:
        raise Unauthenticated(keys.UNKNOWN)
    return _passed(key, user, permission)


def identify(request: Request, permission: Permission) -> Caller:
    """Who holds the request's key, if the key may do this to the site that is meant.

    Raises:
        Unauthenticated: no credential, none that is known, or its owner may not use keys any more.
        Forbidden: the key does not cover the site, or lacks the permission.
        NotFound: the path's code is not one of the account's, or the key's owner is gone.
        Invalid: the account has no site at all.
    """
    key = key_of(request)
    roster = roster_of(request)
    site = _site(request, roster)
    if not key.covers(site.id):
        raise Forbidden("this token does not have access to this site")
    user = roster.user(key.owner)
    if user is None:
        raise NotFound("user")
    held = _passed(key, user, permission)
    return Caller(held.key, held.user, roster, site)


ACCESS_TOKEN = "access-token"  # noqa: S105 - a word of the API
"""The parameter in which visitors send a site's secret."""


def visit(request: Request) -> Caller | None:
    """Nobody in particular, who may see the figures of the site that is meant: it is public, or the request knows its
    secret. None for requests with a credential, and where the site is for nobody but the account.

    The secret is no parameter of the view's: it is taken out of the query.

    Raises:
        Unauthenticated: the site has another secret.
        Unavailable: nobody can say.
    """
    given = next(iter(request.query.get(ACCESS_TOKEN, ())), "")
    request.query = {name: values for name, values in request.query.items() if name != ACCESS_TOKEN}
    if request.headers.get("authorization") or "x-rmta-api-key" in request.headers:
        return None
    site = public_site(request)
    if site is not None and _open(site, given):
        return _visitor(site)
    if given and site is not None and site.visibility is Visibility.SECRET:
        raise Unauthenticated(f"unknown {ACCESS_TOKEN}")
    return None


def _open(site: Site, given: str) -> bool:
    """Whether a visitor who gives this secret may see the site's figures."""
    if site.visibility is Visibility.SECRET:
        return bool(site.secret) and keys.same(given, site.secret)
    return site.visibility is Visibility.PUBLIC


def _visitor(site: Site) -> Caller:
    """A caller who sees nothing but the figures of this site, in UTC."""
    key = Key("", site.account, "", Permission.STATS, 0, (site.id,))
    user = User(id=0, account=site.account, name="", email="", role=Role.READ)
    roster = Roster(Account(site.account, ""), (), (Domain(site.domain, site.account, "", site=site),))
    return Caller(key, user, roster, site)


def _passed(key: Key, user: User, permission: Permission) -> Holder:
    """The holder, if the user may use keys and this key may do what is asked; and keeps that it was used."""
    if not user.role.administers:
        raise Unauthenticated(keys.ONLY_ADMINS)
    key.require(permission)
    try:
        wiring.accounts().note_use(key)
    except Unavailable as error:
        observability.failed("last use not noted", error)
    return Holder(key, user)


def _site(request: Request, roster: Roster) -> Site:
    site = roster.site(request.code, request.host)
    if site is not None:
        return site
    if request.code is not None:
        raise NotFound("site")
    raise no_site(request)


def no_site(request: Request) -> Invalid:
    """What to say where no site is meant."""
    return Invalid(f'no site at this domain ("{request.host}")')
