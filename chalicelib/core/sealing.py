"""Ends a stream whose site is deleted: nothing is written to it any more, and all that it was is deleted.

The seal stands behind all there is, as the markers of redactions do, so that warm writers meet it; and in place of the
first segment, so that whoever begins to read finds nothing else. Both end by themselves.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from .errors import Conflict
from .events import Bot
from .lifetimes import SEAL
from .log import read_manifest, tail
from .ports import LogStore, RollupStore
from .segments import Orders, Segment, unpack

WRITES = 1_000
"""So many segments are written or deleted in one step: it takes seconds, however small they are."""


class Outside(Protocol):
    """What else holds something of a stream. Every method may be called again."""

    def drop_bots(self, stream: str, goes: Callable[[Bot], bool] | None) -> None:
        """Deletes the bots' hits of which that is true; all of them if it is None."""

    def drop_bodies(self, stream: str, counted: Callable[[int, int], bool] | None) -> None:
        """Deletes the bodies of large messages that were counted, as its id and moment of acceptance say; or all."""

    def withdraw(self, stream: str) -> None:
        """Removes the files of the stream's exports."""


def seal(log: LogStore, rollups: RollupStore, stream: str, now: float) -> int:
    """Puts a seal behind all there is, if there is none yet; its number."""
    while True:
        manifest = read_manifest(rollups, stream)
        last = Segment(manifest.watermark, 1, manifest.epoch, manifest.next_event, manifest.next_session)
        for segment, _ in tail(log.read(stream, after=last.number), last.number):
            last = segment
        if last.sealed:
            return last.number
        number = last.number + 1
        mark = Segment(number, number, last.epoch + 1, last.next_event, last.next_session)
        mark.orders = Orders(sealed=True)
        with suppress(Conflict):  # somebody appended meanwhile, or this very call did
            log.put(stream, number, mark.pack(), int(now) + SEAL)
            return number


def seal_of(log: LogStore, stream: str) -> int:
    """The number of a seal that covers the whole stream; 0 if it is none."""
    found = [unpack(item.data) for item in log.read(stream, after=0, up_to=1)]
    return found[0].number if found and found[0].sealed else 0


def empty(  # noqa: PLR0913, PLR0917 - the world
    log: LogStore, rollups: RollupStore, outside: Outside, stream: str, mark: int, now: float, at_most: int
) -> bool:
    """Deletes a piece of what a sealed stream was, true once nothing is left.

    To be done again when nobody can be at work any more who knew the stream before: whoever stalled may have written
    a segment in place of one that was deleted, or a manifest where there was none.
    """
    # The manifest goes before the segments do: with it one would begin to read behind the first.
    whole = Segment(mark, 1, 1 << 31, orders=Orders(sealed=True))
    log.overwrite(stream, 1, whole.pack(), int(now) + SEAL)
    while manifest := rollups.manifest(stream):
        rollups.drop(stream, manifest[0])
    gone = [item.number for item in log.read(stream, after=1, at_most=at_most) if item.number != mark][:WRITES]
    log.remove(stream, gone)
    if gone:
        return False
    rollups.remove(stream, rollups.stored(stream))
    outside.drop_bots(stream, None)
    outside.withdraw(stream)
    outside.drop_bodies(stream, None)
    return True
