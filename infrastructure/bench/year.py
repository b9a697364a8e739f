"""A year of page views in a file, for measurements whose memory must not hold them.

`python -m infrastructure.bench.year FILE DAYS A_DAY` fills a site as the dashboard's workload does, and writes its log.
"""

import json
import sys
from array import array
from bisect import bisect_right
from collections.abc import Sequence
from pathlib import Path
from typing import cast

from chalicelib.core.listing import Place, place, segments
from chalicelib.core.ports import Item, LogStore
from chalicelib.pageviews.exports import Csv

from . import workloads
from .workloads import SITE, STREAM
from .world import World

_NUMBER, _LENGTH = 8, 4


class Saved:
    """The log of one stream in a file: the part of a `LogStore` that exports read."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._numbers, self._starts, self._ends = array("q"), array("q"), array("q")
        with path.open("rb") as file:
            while head := file.read(_NUMBER + _LENGTH):
                start, length = file.tell(), int.from_bytes(head[_NUMBER:])
                self._numbers.append(int.from_bytes(head[:_NUMBER]))
                self._starts.append(start)
                self._ends.append(start + length)
                file.seek(length, 1)

    @staticmethod
    def write(world: World, path: Path) -> None:
        """Writes a stream's whole log."""
        with path.open("wb") as file, world.meter.paused():
            for item in world.log.read(STREAM, 0):
                file.write(item.number.to_bytes(_NUMBER) + len(item.data).to_bytes(_LENGTH) + item.data)

    def read(self, stream: str, after: int, up_to: int | None = None, at_most: int | None = None) -> Sequence[Item]:
        """As `LogStore.read`."""
        if stream != STREAM:
            raise LookupError(stream)
        found: list[Item] = []
        size = 0
        with self._path.open("rb") as file:
            for number in range(bisect_right(self._numbers, after), len(self._numbers)):
                if up_to is not None and self._numbers[number] > up_to:
                    break
                file.seek(self._starts[number])
                found.append(Item(self._numbers[number], file.read(self._ends[number] - self._starts[number])))
                size += len(found[-1].data)
                if at_most is not None and size >= at_most:
                    break
        return found


def source(path: Path, end: Place, start: int = 0) -> Csv:
    """The page views behind an event, as exports read them."""
    log = cast("LogStore", Saved(path))
    return Csv(lambda: segments(log, STREAM, end.head), SITE.id, start, end.event)


def _main(path: Path, days: int, a_day: int) -> Place:
    world, _ = workloads.filled(days, a_day)
    Saved.write(world, path)
    return place(world.log, world.rollups, STREAM)


if __name__ == "__main__":
    found = _main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
    sys.stdout.write(json.dumps(found._asdict()) + "\n")
