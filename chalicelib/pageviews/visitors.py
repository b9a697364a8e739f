"""Who a page view belongs to, without knowing who that is: keyed hashes (page-view contract, section 6)."""

import hmac

from chalicelib.core.accounts import Site
from chalicelib.core.salts import Salts

NOBODY = (0, 0)


class Visitors:
    """The session keys of a site's visitors under the salts of a moment; each visitor's are worked out once."""

    def __init__(self, site: Site, salts: Salts) -> None:
        self._stream = site.stream.encode() + b"\0"
        # Copied for each visitor: to begin with a salt takes longer than all the rest.
        self._begun = [hmac.new(salt, digestmod="sha256") if salt else None for salt in salts]
        self._known: dict[tuple[str, ...], tuple[int, int]] = {}

    def named(self, session: str) -> tuple[int, int]:
        """The keys, under the current and the previous salt, of a session that the caller tells apart."""
        return self._keys((session,))

    def seen(self, user_agent: str, address: str) -> tuple[int, int]:
        """The keys of whoever browses with this User-Agent from this address; one of them may be empty."""
        return self._keys((user_agent, address))

    def _keys(self, who: tuple[str, ...]) -> tuple[int, int]:
        keys = self._known.get(who)
        if keys is None:
            keys = self._known[who] = self._hashed(who)
        return keys

    def _hashed(self, who: tuple[str, ...]) -> tuple[int, int]:
        # The letter and the lengths keep different visitors' texts apart, the stream different sites'.
        *others, last = (text.encode("utf-8", "surrogatepass") for text in who)
        kind = b"v%d:" % len(others[0]) + others[0] if others else b"s"
        identity = self._stream + kind + last
        current, previous = self._begun
        return _key(current, identity), _key(previous, identity)


def _key(begun: hmac.HMAC | None, identity: bytes) -> int:
    """63 bits of HMAC-SHA-256, never 0; 0 without a salt, since a hash without a secret could be guessed back."""
    if begun is None:
        return 0
    code = begun.copy()
    code.update(identity)
    return int.from_bytes(code.digest()[:8], "big") >> 1 or 1
