"""Secrets that rotate: which version is used for what is new, and which are accepted besides it.

A version is announced some minutes before it is used, longer than any process remembers what it has read; so whatever
is made with it is known everywhere from the first moment. The version before it stays accepted until nothing that was
made with it is good any more, and until then no further one is made: two are valid at a time, besides one that is
announced. What the rules say for how long a thing is good is what its makers promise; nothing lives longer.

No version is ever changed, and none is removed because the clock says so alone: it takes a newer one that has been in
use for as long. A clock that jumps ahead and back can announce one version too early, which harms nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from .salts import DAY, LEAD

YEAR = 400 * DAY
"""Seconds after which secrets that nothing else rotates are made anew: a year, and time for what is good for one."""


class Rule(NamedTuple):
    """How a secret rotates."""

    period: int
    """Seconds after which the schedule makes a new version."""
    lasting: int
    """The most seconds for which anything that was made with a version is good."""
    what: str
    """What is made with it, and for how long that is good."""


RULES: Mapping[str, Rule] = {
    "signing": Rule(YEAR, 366 * DAY, "links to exports (24 hours) and links that end reports (366 days)"),
    "server": Rule(YEAR, 12 * DAY, "what stands for addresses in limits (the longest window, 12 days at most)"),
    "edge": Rule(90 * DAY, DAY, "the header by which the CDN proves itself (until the CDN sends the new one)"),
}
"""Secrets by name. Keys that are derived from the server's are stored as hashes: they outlive it."""
SEEN = frozenset({"edge"})
"""Those that somebody else has to be told: a version counts as used once it was seen in use."""


class Version(NamedTuple):
    """A version of a secret."""

    number: int
    secret: bytes
    since: int | None
    """The moment from which it is used, in Unix seconds; None as long as nobody was seen to use it."""


class Early(Exception):
    """It is too early for another version: `until` is when nothing depends on the one before this any more; None if
    this one is not in use yet.
    """

    def __init__(self, until: int | None) -> None:
        super().__init__()
        self.until = until


@dataclass(frozen=True, slots=True)
class Versions:
    """The versions of a secret that are kept, by number; at least one."""

    kept: tuple[Version, ...]

    def current(self, now: float) -> Version:
        """The version that is used at a moment: the newest whose time has come, else the oldest."""
        begun = [version for version in self.kept if version.since is not None and version.since <= now]
        return begun[-1] if begun else self.kept[0]

    def accepted(self, now: float) -> tuple[bytes, ...]:
        """The secrets that are accepted, that which is used first."""
        used = self.current(now)
        return (used.secret, *(version.secret for version in reversed(self.kept) if version is not used))

    @property
    def newest(self) -> Version:
        """The version that was made last."""
        return self.kept[-1]

    def spent(self, rule: Rule, now: float) -> tuple[Version, ...]:
        """The versions that nothing depends on any more."""
        used = self.current(now)
        if used.since is None or used.since + rule.lasting > now:
            return ()
        return tuple(version for version in self.kept if version.number < used.number)

    def is_due(self, rule: Rule, now: float) -> bool:
        """Whether the schedule is to make a new version."""
        newest = self.newest
        return newest.since is not None and newest.since + rule.period <= now

    def next(self, rule: Rule, now: float) -> int:
        """The number of the version that may be made now.

        Raises:
            Early: none may: the newest is not in use yet, or things made with the one before it are still good.
        """
        newest, used = self.newest, self.current(now)
        if newest.since is None or newest is not used:
            raise Early(None)
        left = [
            version for version in self.kept if version.number < used.number and version not in self.spent(rule, now)
        ]
        if left:
            raise Early(newest.since + rule.lasting)
        return newest.number + 1


def announced(name: str, now: float) -> int | None:
    """From when a version that is made now is used."""
    return None if name in SEEN else int(now) + LEAD
