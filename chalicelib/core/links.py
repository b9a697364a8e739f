"""Signed links: whoever has one may load one thing until a moment, without a key."""

import hmac
import re
from collections.abc import Iterable, Mapping
from hashlib import sha256

_EXPIRES = re.compile(r"[1-9][0-9]{0,11}", re.ASCII)
_SIGNATURE = re.compile(r"[0-9a-f]{64}", re.ASCII)


def sign(key: bytes, path: str, expires: int) -> str:
    """The query string that opens a path until a moment, in Unix seconds."""
    return f"expires={expires}&signature={_signature(key, path, str(expires))}"


def holds(keys: Iterable[bytes], path: str, query: Mapping[str, str], now: float) -> bool:
    """Whether a query that came with a path is one that `sign` made for this very path with one of these keys, and its
    time is not up.

    Takes as long for a signature that is nearly right as for one that is not.
    """
    expires, signature = query.get("expires", ""), query.get("signature", "")
    if not _EXPIRES.fullmatch(expires) or not _SIGNATURE.fullmatch(signature):
        return False
    good = [hmac.compare_digest(_signature(key, path, expires), signature) for key in keys]
    return any(good) and now < int(expires)


def _signature(key: bytes, path: str, expires: str) -> str:
    own = hmac.digest(key, b"links", sha256)  # what else the key signs is of no use here
    told = f"{path}\n{expires}".encode(errors="surrogatepass")  # a path that is no text is signed like any other
    return hmac.digest(own, told, sha256).hex()
