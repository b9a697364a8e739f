"""Page views that were taken and are not counted: why, and how many a day.

Figures to look into, not to bill by: a request that is delivered or sent again adds to them again, and what a process
holds back ends with it.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from threading import Lock

from .events import Bot
from .messages import Message
from .periods import DAY

HEADER = "X-Countless"
"""The header that says why nothing is counted."""
EVERY = 60
"""Seconds for which a process holds back what else is dropped of a site, so that a flood costs a message a minute."""
STREAMS = 1_000
"""Sites whose drops a process holds back at most; those of the one that waits longest are given up for another's."""


class Reason(StrEnum):
    """Why a page view is not counted."""

    ROBOT = "robot"
    ADDRESS = "ignored address"
    """The site ignores it."""
    SPAM = "spam"
    """The referrer is on the list of spammers."""
    LOCALHOST = "localhost"
    """The referrer is the visitor's own machine: somebody develops the page."""
    PATH = "ignored path"
    PREFETCH = "prefetch"
    """A browser looks ahead; if the page is shown it says so itself."""
    LIMIT = "limit"
    """There were too many from there."""
    INVALID = "invalid"


Drops = Counter[tuple[int, str]]
"""How many were dropped, by day from 1970 and reason."""


def said(reason: Reason | str) -> str:
    """What the header says of a single page view."""
    return f"not counted: {reason}"


def said_of(dropped: Mapping[Reason, Sequence[int]]) -> str:
    """What the header says of a batch: reasons, each with the zero-based places of its page views."""
    return said("; ".join(f"{reason}: {', '.join(map(str, places))}" for reason, places in dropped.items()))


def of(messages: Iterable[Message]) -> Drops:
    """What messages tell of drops: robots' page views, which they hold, and those that they do not."""
    found = Drops()
    for message in messages:
        found.update(robots(message.accepted, message.bots))
        for day, reason, count in message.dropped:
            found[day, reason] += count
    return found


def robots(accepted: int, bots: Sequence[Bot]) -> Drops:
    """Robots' page views as drops."""
    return Drops({(accepted // DAY, Reason.ROBOT.value): len(bots)}) if bots else Drops()


class Waiting:
    """What was dropped of each site and no message has told yet; for many threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._held: dict[str, Drops] = {}
        self._told: dict[str, float] = {}

    def add(self, stream: str, reason: Reason, count: int, now: float) -> bool:
        """Takes in some drops of a site. Whether it is time to tell of all that wait: nobody has for a minute."""
        with self._lock:
            if stream not in self._held and len(self._held) >= STREAMS:
                del self._held[next(iter(self._held))]
            self._held.setdefault(stream, Drops())[int(now) // DAY, reason.value] += count
            return now - self._told.get(stream, 0.0) >= EVERY

    def take(self, stream: str, now: float) -> Drops:
        """What waits of a site, to be told now."""
        with self._lock:
            found = self._held.pop(stream, Drops())
            if found:
                self._told.pop(stream, None)
                if len(self._told) >= STREAMS:
                    del self._told[next(iter(self._told))]
                self._told[stream] = now
            return found
