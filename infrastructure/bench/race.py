"""One hot stream and several writers that race for each number of its log, in a time that is only reckoned.

Writers take turns by their own clocks, which calls move on by what they are assumed to take: the same race every time.
"""

import random
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from chalicelib.aws.log import DynamoLog
from chalicelib.aws.rollups import DynamoRollups
from chalicelib.core.cells import SUMMARY
from chalicelib.core.log import Appender
from chalicelib.core.messages import Message

from .meter import Bill, schema
from .traffic import Traffic
from .workloads import PATHS, STREAM, TODAY
from .world import World

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

READ, WRITE = 0.005, 0.010
"""Seconds that a call is assumed to take: DynamoDB promises milliseconds of one digit, and large items take longer."""
PROCESSOR = 15e-6
"""Seconds that a hit is assumed to take while a segment is made."""
WRITERS = 5
HITS = 1000


class Turns:
    """Lets threads run one at a time: always the one whose clock is furthest behind."""

    def __init__(self, count: int) -> None:
        self.clocks = [0.0] * count
        self._running = set(range(count))
        self._turn = [threading.Event() for _ in range(count)]

    def begin(self) -> None:
        """Lets the first one run."""
        self._turn[0].set()

    def wait(self, who: int) -> None:
        """Waits for one's turn."""
        self._turn[who].wait()
        self._turn[who].clear()

    def spend(self, who: int, seconds: float) -> None:
        """Lets time pass for one of them; others may run meanwhile."""
        self.clocks[who] += seconds
        following = self._next()
        if following != who:
            self._turn[following].set()
            self.wait(who)

    def leave(self, who: int) -> None:
        """One of them is done."""
        self._running.discard(who)
        if self._running:
            self._turn[self._next()].set()

    def _next(self) -> int:
        return min(self._running, key=lambda i: (self.clocks[i], i))


@dataclass
class Slow:
    """A client whose calls take time, and take effect in the middle of it."""

    client: Any
    spend: Callable[[float], None]

    def __getattr__(self, name: str) -> Callable[..., Any]:
        """The client's own method, but slower."""
        call = getattr(self.client, name)

        def slow(**asked: Any) -> Any:  # noqa: ANN401 - as boto3 has it
            takes = READ
            if name == "put_item":
                takes = WRITE
                self.spend(HITS * PROCESSOR)
            self.spend(takes / 2)
            try:
                return call(**asked)
            finally:
                self.spend(takes / 2)

        return slow


@dataclass(frozen=True, slots=True)
class Standing:
    """How a race ended."""

    commits: int
    bill: Bill
    seconds: float
    lost: int
    """Puts that came second."""

    @property
    def calls(self) -> float:
        """To DynamoDB, a commit."""
        return self.bill.calls.total() / self.commits

    @property
    def rate(self) -> float:
        """Commits a second."""
        return self.commits / self.seconds


def race(batches: int = 50, writers: int = WRITERS) -> Standing:
    """Lets writers take batches of `HITS` lone hits from one queue, as fast as they can, until it is empty.

    Raises:
        RuntimeError: a writer failed, or what was counted is not what was sent.
    """
    random.seed(1)  # the writers' jitter
    world, traffic = World(TODAY + 43200), Traffic(PATHS)
    queue = [traffic.lone(STREAM, [int(world.now)] * HITS) for _ in range(batches)]
    turns, failures = Turns(writers), list[BaseException]()
    threads = [
        threading.Thread(target=_write, args=(world, turns, who, queue, failures), daemon=True)
        for who in range(writers)
    ]
    for thread in threads:
        thread.start()
    turns.begin()
    for thread in threads:
        thread.join()
    if failures:
        raise RuntimeError("a writer failed") from failures[0]
    bill = world.meter.bill.copy()
    snapshot = world.reader().snapshot(STREAM)
    counted = sum(sum(part.hours.views) for part in snapshot.parts(SUMMARY, 0, TODAY) if part.hours)
    if counted != batches * HITS:
        raise RuntimeError(f"{counted} hits were counted, {batches * HITS} were sent")
    return Standing(snapshot.head, bill, max(turns.clocks), bill.calls["PutItem"] - snapshot.head)


def _write(world: World, turns: Turns, who: int, queue: list[list[Message]], failures: list[BaseException]) -> None:
    def spend(seconds: float) -> None:
        turns.spend(who, seconds)

    turns.wait(who)
    try:
        client = cast("DynamoDBClient", Slow(world.client, spend))
        log, rollups = schema()
        appender = Appender(DynamoLog(client, log), DynamoRollups(client, rollups), world, now=world.clock, sleep=spend)
        while queue:
            appender.append(STREAM, queue.pop())
    except BaseException as error:
        failures.append(error)
    finally:
        turns.leave(who)
