"""Crowds: what a stream makes its writers and folders remember, however many come.

`python -m infrastructure.bench.crowd VISITORS` has so many visitors see a page each within one window of sessions, in a
process of its own, whose log and rollups are on disk: its memory is that of the functions `append` and `fold` together.
"""

import json
import random
import sys
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chalicelib.core.errors import Conflict
from chalicelib.core.events import Hit
from chalicelib.core.folding import Folder
from chalicelib.core.lifetimes import SESSION
from chalicelib.core.log import Appender
from chalicelib.core.messages import Message
from chalicelib.core.names import EARNED
from chalicelib.core.ports import Item
from chalicelib.core.segments import Kind
from chalicelib.core.writer import Bounds, Stream

from .exporting import fresh, memory

STREAM = "account/pageviews/1"
BEGIN = 1_767_225_600
BATCH = 20_000
"""Page views of a message here: as many as a segment may have, for batches of the queue hold far more."""
SHARE = 400
"""One in so many is more than one in `CANDIDATES`, so that it is told from what is made up."""
STEP = 4_000_000
"""Bytes of segments that a fold takes in at once, as the service's own."""
FOLDED = 50
"""So many segments are folded at once: a million page views."""
PAGE = Hit("/", "", False, "", "o", "", "Firefox 139", "Linux", "NL", "", 1920, BEGIN, 0, 0)

NAMES = 81_000
"""Names that a flood may take of 100,000."""


@dataclass(frozen=True, slots=True)
class Crowd:
    """What became of a crowd."""

    visitors: int
    alone: int
    """Those who were visits of their own, for there were as many sessions as there may be."""
    memory: int
    """Bytes that the process has had at most, all in all."""
    largest: int
    """Bytes of parts that a fold wrote at most."""


class _Log:
    """A `LogStore` of one stream, in files."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._numbers: list[int] = []

    def read(self, _: str, after: int, up_to: int | None = None, at_most: int | None = None) -> Sequence[Item]:
        found: list[Item] = []
        size = 0
        for number in range(after + 1, min(len(self._numbers), up_to or len(self._numbers)) + 1):
            found.append(Item(number, (self._folder / f"{number}").read_bytes()))
            size += len(found[-1].data)
            if at_most is not None and size >= at_most:
                break
        return found

    def put(self, _: str, number: int, data: bytes, expires: int | None) -> None:  # noqa: ARG002 - as `LogStore` has it
        if number != len(self._numbers) + 1:
            raise Conflict(f"segment {number}")
        (self._folder / f"{number}").write_bytes(data)
        self._numbers.append(number)

    def ask(self, _: str, head: int) -> None: ...


class _Parts:
    """A `RollupStore` of one stream, in files."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._manifest: tuple[int, bytes] | None = None
        self.written = 0

    def manifest(self, _: str) -> tuple[int, bytes] | None:
        return self._manifest

    def swing(self, _: str, version: int, data: bytes) -> None:
        self._manifest = (version, data)

    def get(self, _: str, ids: Collection[str]) -> dict[str, bytes]:
        return {name: (self._folder / name).read_bytes() for name in ids}

    def put(self, _: str, parts: Mapping[str, bytes], expires: int | None) -> None:  # noqa: ARG002 - as above
        for name, data in parts.items():
            (self._folder / name).write_bytes(data)
            self.written += len(data)

    def expire(self, _: str, ids: Collection[str], at: int) -> None: ...


def measure(visitors: int) -> Crowd:
    """Has so many visitors come, in a fresh process."""
    return Crowd(**fresh("infrastructure.bench.crowd", str(visitors)))


def _messages(visitors: int) -> Iterator[Message]:
    chance = random.Random(9)  # noqa: S311 - the same visitors each time
    for number, start in enumerate(range(0, visitors, BATCH), 1):
        now = BEGIN + SESSION * start // visitors
        hits = tuple(PAGE._replace(at=now, session=chance.getrandbits(63)) for _ in range(min(BATCH, visitors - start)))
        yield Message(number, now, STREAM, False, hits)


def come(visitors: int) -> dict[str, int]:
    """Has so many visitors come within eight hours, each once."""
    with tempfile.TemporaryDirectory() as folder:
        log: Any = _Log(Path(folder))
        parts: Any = _Parts(Path(folder))
        now = [float(BEGIN)]
        appender = Appender(log, parts, log, now=lambda: now[0])
        alone, largest, last = 0, 0, -(-visitors // BATCH)
        for message in _messages(visitors):
            now[0] = message.accepted
            alone += appender.append(STREAM, [message]).alone
            if message.id % FOLDED == 0 or message.id == last:
                before = parts.written
                Folder(log, parts, now=lambda: now[0], step=STEP).fold(STREAM)
                largest = max(largest, parts.written - before)
        return {"visitors": visitors, "alone": alone, "memory": memory(), "largest": largest}


@dataclass(frozen=True, slots=True)
class Flood:
    """What a flood of names leaves."""

    names: int
    """Names that strangers made, of those that they sent."""
    left: int
    """Names that there is still room for."""
    earned: bool
    """Whether a page that is seen now and then during the flood has earned a name."""


def flood(sent: int, bounds: Bounds | None = None) -> Flood:
    """Has strangers send so many page views, each of a path of its own. One in `SHARE` is of the owner's new page, as
    soon as there is no room for strangers' names any more.
    """
    stream = Stream(bounds=bounds or Bounds())
    own = "/the-owners-new-page"
    for number, start in enumerate(range(0, sent, BATCH), 1):
        late = start >= stream.bounds.names
        paths = (own if late and not each % SHARE else f"/{each:x}" for each in range(start, min(start + BATCH, sent)))
        hits = tuple(PAGE._replace(path=path) for path in paths)
        stream.commit(stream.draft([Message(number, BEGIN + number, STREAM, False, hits)], BATCH))
    known = stream.ids[Kind.PATH]
    return Flood(len(known), stream.bounds.names - len(known), earned=own in known)


def needed() -> int:
    """Page views that a flood must have for what is told of it to show."""
    return Bounds().names + 10 * EARNED * SHARE


if __name__ == "__main__":
    sys.stdout.write(json.dumps(come(int(sys.argv[1]))) + "\n")
