"""What an export costs: processor time a row and memory, from the rows in hand to the hash of the file.

`python -m infrastructure.bench.exporting ROWS` measures in a process of its own, whose memory is nobody else's;
`… LOG HEAD EVENT` does so for page views, from a log that `year` has written. Jobs are in memory and files are on disk,
so that what is measured is our own work.
"""

import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chalicelib.core.errors import Conflict
from chalicelib.core.exporting import Exporter, Outcome, Source
from chalicelib.core.exports import Exports, Job, Look, Ports, State
from chalicelib.core.listing import Place
from chalicelib.core.pages import Page
from chalicelib.core.statistics import Rows
from chalicelib.statistics.exports import Csv

MONTHS = 1_000
"""So many different months of a statistic, which come again and again."""
DAYS = 30
PLENTY = 900.0
"""Seconds that the function has."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What an export came to."""

    rows: int
    size: int
    """Bytes of the file."""
    seconds: float
    """Of the processor."""
    memory: int
    """Bytes that the process has had at most, all in all."""

    @property
    def rate(self) -> float:
        """Rows a second."""
        return self.rows / self.seconds


def measure(rows: int) -> Cost:
    """Makes an export of so many values of statistics in a fresh process."""
    return Cost(**fresh("infrastructure.bench.exporting", str(rows)))


def measure_views(days: int, a_day: int) -> Cost:
    """Makes an export of all page views of a site that has so many days of them, in a fresh process."""
    with tempfile.TemporaryDirectory() as folder:
        log = str(Path(folder) / "log")
        end = fresh("infrastructure.bench.year", log, str(days), str(a_day))
        return measure_log(Path(log), Place(**end))


def measure_log(log: Path, end: Place) -> Cost:
    """The same, of a log that `year` has written, up to a place in it."""
    return Cost(**fresh("infrastructure.bench.exporting", str(log), str(end.head), str(end.event)))


def fresh(module: str, *arguments: str) -> dict[str, Any]:
    """What a module says in a process of its own."""
    command = [sys.executable, "-m", module, *arguments]
    root = Path(__file__).parents[2]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=root)  # noqa: S603
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


class _Jobs:
    """A `JobStore` for a single job."""

    def __init__(self) -> None:
        self.job: Job | None = None

    def begin(self, job: Job, _look: int) -> None:
        self.job = job

    def forget(self, _job: Job, _look: int) -> None:
        self.job = None

    def get(self, _account: str, _job: str) -> Job | None:
        return self.job

    def find(self, _job: str) -> Job | None:
        return self.job

    def count(self, _account: str) -> int:
        return 1

    def numbered(self, _account: str, _number: int) -> Job | None:
        return self.job

    def swap(self, job: Job) -> None:
        if self.job is None or self.job.version != job.version - 1:
            raise Conflict(job.id)
        self.job = job

    def page(self, _account: str, _surface: str, _parameters: Mapping[str, str], _limit: int, _after: str) -> Page[Job]:
        return Page((self.job,) if self.job else (), None)

    def due_keys(self, _now: float, _after: str, _limit: int) -> list[str]:
        return []

    def due_between(self, _after: str, _until: str) -> list[tuple[str, Look]]:
        return []

    def look(self, _job: Job, _at: int) -> None: ...

    def move(self, _look: Look, _at: int | None) -> None: ...


class _Files:
    """`Files` of a single file, on disk."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def create(self, _key: str, _media_type: str) -> str:
        return "upload"

    def put(self, _key: str, _upload: str, number: int, data: bytes) -> str:
        with self._path.open("ab") as file:
            file.write(data)
        return str(number)

    def join(self, _key: str, _upload: str, _tags: Sequence[str]) -> None: ...

    def size(self, _key: str) -> int | None:
        return self._path.stat().st_size

    def read(self, _key: str, start: int, length: int) -> bytes:
        with self._path.open("rb") as file:
            file.seek(start)
            return file.read(length)

    def remove(self, _key: str, _upload: str) -> None: ...

    def link(self, _key: str, _name: str, _media_type: str, _seconds: int, _method: str = "GET") -> str:
        return self._path.as_uri()


class _Queue:
    """A queue that forgets: nothing is handed over here."""

    def ask(self, _job: Job) -> None: ...

    def park(self, _job: Job) -> None: ...


def _months(rows: int) -> Iterator[Rows]:
    """Rows as the store gives them, a month at a time, made beforehand."""
    chance = random.Random(5)  # noqa: S311 - the same rows each time
    made = []
    for number in range(MONTHS):
        month = f"{2015 + number % 12}-{1 + number % 12:02}"
        names = (f"grp_{number % 7:016}", f"group {number % 7}", f"sta_{number:032}", f'statistic "{number}", in Köln')
        made.append([(*names, f"{month}-{day:02}", str(chance.randrange(10**5))) for day in range(1, DAYS + 1)])
    for number in range(0, rows, DAYS):
        yield Rows(str(number + DAYS), made[number // DAYS % MONTHS])


def _values(rows: int) -> dict[str, Any]:
    months = _months(rows)
    first = next(months)

    def read(_after: str) -> Iterator[Rows]:
        yield first
        yield from months

    return _timed(Csv(read))


def _timed(source: Source) -> dict[str, Any]:
    """What making a file of a source costs."""
    with tempfile.TemporaryDirectory() as folder:
        jobs = _Jobs()
        ports = Ports(jobs, _Files(Path(folder) / "file"), _Queue(), time.time)
        job = Exports(ports).begin("account", "any", "file.csv.gz", {}, time.time())
        started = time.process_time()
        outcome = Exporter(ports).run(job, lambda _: source, lambda: PLENTY)
        seconds = time.process_time() - started
        done = jobs.job
        if outcome is not Outcome.DONE or done is None or done.state is not State.FINISHED:
            raise RuntimeError(f"the export came to {outcome}")
        return {"rows": done.rows, "size": done.size, "seconds": seconds, "memory": memory()}


def _views(path: Path, end: Place) -> dict[str, Any]:
    from .year import source  # noqa: PLC0415 - what it loads is no part of an export of values

    return _timed(source(path, end))


def memory() -> int:
    """Bytes that this process has had at most."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # bytes, where there is no /proc
    # What getrusage says on Linux begins with what the process that started this one had.
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


if __name__ == "__main__":
    if len(sys.argv) == 2:
        cost = _values(int(sys.argv[1]))
    else:
        cost = _views(Path(sys.argv[1]), Place(int(sys.argv[2]), int(sys.argv[3])))
    sys.stdout.write(json.dumps(cost) + "\n")
