"""What any text of a page view must be: storable as UTF-8, without NUL bytes, and short enough to remember."""

import re
from collections.abc import Callable
from functools import lru_cache, wraps
from typing import TypeVar

BLANKS = (
    " \t\n\v\f\r\x1c\x1d\x1e\x1f\x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
)
"""What `str.strip` strips; to strip it together with other letters in one pass."""

MAX_REMEMBERED = 512
_Result = TypeVar("_Result")


def storable(text: str) -> bool:
    """Whether it can be stored: no NUL byte and no lone surrogate (page-view contract, section 1.5)."""
    if "\0" in text:
        return False
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def mended(text: str) -> str:
    """The text with U+FFFD for whatever cannot be stored; for texts that the contract has no error for."""
    if storable(text):
        return text
    return text.encode("utf-8", "replace").decode().replace("\0", "\N{REPLACEMENT CHARACTER}")


NO_UTF8 = "surrogateescape"
"""How bytes that are no UTF-8 are decoded and encoded where they have to stay what they are."""

_BYTE = re.compile("[\udc80-\udcff]")


def spelt(text: str) -> str:
    """The text with percent-escapes for the bytes that `NO_UTF8` kept: what differs stays apart, and can be stored."""
    return text if text.isascii() else _BYTE.sub(lambda byte: f"%{ord(byte[0]) & 0xFF:02X}", text)


def remembered(size: int) -> Callable[[Callable[[str], _Result]], Callable[[str], _Result]]:
    """Remembers the answers of a pure function of one text, the `size` last used ones.

    Texts beyond `MAX_REMEMBERED` characters are worked out each time: a cache is no place for a caller's megabytes.
    """

    def decorate(function: Callable[[str], _Result]) -> Callable[[str], _Result]:
        cached = lru_cache(size)(function)

        @wraps(function)
        def answer(text: str) -> _Result:
            return cached(text) if len(text) <= MAX_REMEMBERED else function(text)

        return answer

    return decorate
