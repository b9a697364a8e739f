"""A deployment in memory with a clock of its own: what is appended is folded when it is asked for, and swept at night.

Everything is the service's own code, down to the adapters of `chalicelib/aws`; only the tables are dictionaries.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from chalicelib.aws.drops import DynamoDrops
from chalicelib.aws.log import DynamoLog
from chalicelib.aws.rollups import DynamoRollups
from chalicelib.core import drops
from chalicelib.core.log import Appender, read_manifest
from chalicelib.core.manifest import Manifest
from chalicelib.core.messages import Message
from chalicelib.core.reading import Reader
from chalicelib.core.sweeping import Sweeper

from .memory import Tables
from .meter import Meter, schema

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

DAY = 86400
SWEEP = 30 * 60
"""When the daily sweep comes, in seconds after midnight."""


class World:
    """Log, rollups and the processes that work on them, at the moment `now`."""

    def __init__(self, now: float, client: "DynamoDBClient | None" = None, meter: Meter | None = None) -> None:
        tables = schema()
        self.now = now
        self.meter = meter or Meter(tables)
        self.tables = Tables(tables, self.meter)
        self.client = client or cast("DynamoDBClient", self.tables)
        log, rollups = tables
        self.log = DynamoLog(self.client, log)
        self.rollups = DynamoRollups(self.client, rollups)
        self.drops = DynamoDrops(self.client, self.client, rollups)
        self.folder = Sweeper(self.log, self.rollups, now=self.clock)
        self.appender = Appender(self.log, self.rollups, self, now=self.clock)
        self.folds = 0
        self.events = 0
        self._asked: set[str] = set()

    def clock(self) -> float:
        """The time, for all processes."""
        return self.now

    def ask(self, stream: str, head: int) -> None:  # noqa: ARG002 - as `Folds` has it
        """Remembers that a fold was asked for."""
        self._asked.add(stream)

    def append(self, stream: str, messages: Sequence[Message]) -> None:
        """Appends a batch as the function does, robots' hits and drops included; then folds if that was asked for."""
        self.rollups.keep_bots(stream, messages)
        if found := drops.of(messages):
            self.drops.add(stream, found)
        self.appender.append(stream, messages)
        self.events += sum(len(message.hits) for message in messages)
        for asked in self._asked:
            self.folder.fold(asked)
            self.folds += 1
        self._asked.clear()

    def sweep(self, *streams: str) -> None:
        """Moves on to the next night's sweep and does it; what has lived its time is gone by then."""
        self.now = (self.now // DAY + 1) * DAY + SWEEP
        self.tables.expire(self.now)
        for stream in streams:
            self.folder.sweep(stream)
        self.rollups.note_swept(streams, int(self.now) // DAY)

    def reader(self) -> Reader:
        """A process that has read nothing yet."""
        return Reader(self.log, self.rollups, now=self.clock)

    # --- what is stored ---------------------------------------------------------------------------------------

    def manifest(self, stream: str) -> Manifest:
        """What the rollups are made of, read at nobody's cost."""
        with self.meter.paused():
            return read_manifest(self.rollups, stream)

    def log_bytes(self, stream: str) -> int:
        """Bytes of the segments, read at nobody's cost."""
        with self.meter.paused():
            return sum(len(item.data) for item in self.log.read(stream, 0))

    def rollup_bytes(self, stream: str) -> int:
        """Bytes of all parts that the manifest names."""
        manifest = self.manifest(stream)
        runs = [run.size for period in manifest.periods.values() for run in period]
        refs = (*manifest.names, *manifest.sessions, *manifest.ids)
        return sum(runs) + sum(ref.size for ref in refs)
