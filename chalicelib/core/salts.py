"""The salts that sessions are keyed with: which one counts when, and how they rotate (page-view contract,
section 6).

A new salt is announced some minutes before it counts, longer than any process remembers the old announcement.
So all processes change over at the same moment, without talking to each other. The salt before it stays for
one rotation, so that sessions that were alive at the change are still recognised; what is older is deleted
for good.
"""

import secrets
from dataclasses import dataclass
from typing import NamedTuple

DAY = 86_400
LEAD = 300
"""Seconds between the announcement of a salt and the moment from which it counts."""
REMEMBERED = 60
"""Seconds for which a process may trust an announcement that it has read; well below `LEAD`."""


class Salts(NamedTuple):
    """The salt that counts and the one before it."""

    current: bytes
    previous: bytes


class Salt(NamedTuple):
    """A salt and the moment, in Unix seconds, from which it counts."""

    since: int
    secret: bytes


@dataclass(frozen=True, slots=True)
class Rotation:
    """The salts that exist, oldest first: at least two, at most four."""

    salts: tuple[Salt, ...]

    def at(self, now: float) -> Salts:
        """The salts that count at a moment; before the second one's time, the first two."""
        index = max((at for at, salt in enumerate(self.salts) if salt.since <= now), default=1)
        index = max(index, 1)
        return Salts(self.salts[index].secret, self.salts[index - 1].secret)

    def rotated(self, now: float, fresh: bytes) -> "Rotation":
        """What holds after a look at the clock: a new salt once the newest is a day old, and none that is
        done with.

        Looking often is harmless: nothing changes before it is time.
        """
        salts = self.salts
        if salts[-1].since + DAY <= now + LEAD:
            salts = (*salts, Salt(int(now) + LEAD, fresh))
        index = max((at for at, salt in enumerate(salts) if salt.since <= now), default=1)
        return Rotation(salts[max(index - 1, 0) :])


def first(now: float) -> Rotation:
    """What a deployment starts with: one salt that counts at once, and one before it that nobody has used."""
    return Rotation((Salt(int(now) - DAY, fresh()), Salt(int(now), fresh())))


def fresh() -> bytes:
    """A new salt of 256 bits."""
    return secrets.token_bytes(32)
