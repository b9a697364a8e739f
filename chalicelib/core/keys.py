"""Keys: how they are made, recognised in a request's headers and compared, and what one may do.

A key's token has 258 bits of randomness. That is why one round of SHA-256 protects it at rest: there is
nothing to guess, so a slow hash would only slow down every request. Passwords, which people choose, get
argon2 (`passwords`).
"""

import base64
import binascii
import hashlib
import hmac
import secrets
import string
from collections.abc import Mapping
from dataclasses import dataclass

from .accounts import Permission
from .errors import Forbidden, Unauthenticated

_ALPHABET = string.digits + string.ascii_lowercase
_LENGTH = 50
_SHORTEST, _LONGEST = 11, 256
ALL_SITES = -1
"""In a key's list of sites: every site of the account, also those to come."""

NO_HEADER = "no Authorization header"
WRONG_FORMAT = "wrong format for Authorization header"
UNKNOWN = "unknown token"
ONLY_ADMINS = "only admins can create and use API keys"


@dataclass(frozen=True, slots=True)
class Key:
    """A key as it is known: everything but the token itself, which is shown once and never stored."""

    id: str
    account: str
    name: str
    permissions: Permission
    owner: int
    """The id of the user who made it."""
    sites: tuple[int, ...] = (ALL_SITES,)
    created: int = 0
    last_used: int = 0
    """In Unix seconds, kept to the day; 0 for never."""
    revoked: bool = False
    domain: str = ""
    """The statistics domain that it opens, `dom_…`; empty for none."""
    limits: str = ""
    """Changes to the deployment's plans for requests with this key, as `limits.plans` reads them."""

    def covers(self, site: int) -> bool:
        """Whether it may touch this site of its account."""
        return ALL_SITES in self.sites or site in self.sites

    def require(self, any_of: Permission) -> None:
        """Passes if the key has one of these permissions, or if none is asked for.

        Raises:
            Forbidden: it has none of them; the reason names them (page-view contract, section 1.2).
        """
        if any_of and not self.permissions & any_of:
            names = ", ".join(f"'{name}'" for name in named(any_of))
            raise Forbidden(f"requires {names} permissions")


_NAMES = {
    Permission.COUNT: "count",
    Permission.EXPORT: "export",
    Permission.SITE_READ: "site-read",
    Permission.SITE_CREATE: "site-create",
    Permission.SITE_UPDATE: "site-update",
    Permission.STATS: "stats",
    Permission.STATISTICS_READ: "statistics-read",
    Permission.STATISTICS_WRITE: "statistics-write",
    Permission.DOMAINS: "domains",
}
"""The permissions' names in messages, in the order in which messages list them."""


def named(permissions: Permission) -> list[str]:
    """The names of permissions, in the order in which messages list them."""
    return [name for flag, name in _NAMES.items() if flag & permissions]


PERMISSIONS: Mapping[str, Permission] = {name: flag for flag, name in _NAMES.items()}
"""The permissions by name."""


def token() -> str:
    """A new token: 50 characters of lower-case base 36, as GoatCounter's look."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(_LENGTH))


def digest(token: str) -> str:
    """What is stored of a token, and what it is looked up by: 64 hexadecimal digits."""
    return hashlib.sha256(token.encode()).hexdigest()


def same(one: str, other: str) -> bool:
    """Compares two secrets in a time that says nothing about where they differ."""
    return hmac.compare_digest(one.encode(errors="replace"), other.encode(errors="replace"))


def credential(headers: Mapping[str, str]) -> str:
    """The token that a request carries; `headers` have lower-case names.

    Understands `Authorization: Bearer TOKEN`, `Authorization: Basic` with the token as password, and, where
    there is no Authorization at all, `X-RMTA-API-Key: TOKEN`. The case of the first word does not matter, nor how many
    spaces follow it.

    Raises:
        Unauthenticated: none, a malformed one, or one that cannot be a token (page-view contract, section
        1.2).
    """
    authorization = headers.get("authorization", "")
    if authorization:
        found = _authorized(authorization)
    elif "x-rmta-api-key" in headers:
        found = headers["x-rmta-api-key"].strip()
    else:
        raise Unauthenticated(NO_HEADER)
    return plausible(found)


def plausible(token: str) -> str:
    """A token that a key may have, as it is: nobody need be asked about any other.

    Raises:
        Unauthenticated: no key has it.
    """
    if not _SHORTEST <= len(token) <= _LONGEST or not token.isascii():
        raise Unauthenticated(UNKNOWN)
    return token


def _authorized(header: str) -> str:
    words = header.split()
    if len(words) != 2:
        raise Unauthenticated(WRONG_FORMAT)
    scheme, value = words[0].lower(), words[1]  # RFC 9110, section 11.1
    if scheme == "bearer":
        return value
    if scheme != "basic":
        raise Unauthenticated(WRONG_FORMAT)
    try:
        _, colon, password = base64.b64decode(value, validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        raise Unauthenticated(WRONG_FORMAT) from None
    if not colon:
        raise Unauthenticated(WRONG_FORMAT)
    return password
