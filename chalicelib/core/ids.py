"""Ids that sort in the order in which they were made."""

import secrets

ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
"""Crockford's: no letter that looks like another or like a digit."""
LENGTH = 16
"""Characters of what is unique in an id: ten of time in milliseconds, six of chance."""


def ordered(now: float) -> str:
    """A new id, never given twice; ids made in a later millisecond (`now` is in Unix seconds) are greater."""
    number = (int(now * 1000) << 30) | secrets.randbits(30)
    return "".join(ALPHABET[number >> shift & 31] for shift in range(75, -1, -5))


def chance(length: int) -> str:
    """So many characters of nothing but chance."""
    return "".join(secrets.choice(ALPHABET) for _ in range(length))
