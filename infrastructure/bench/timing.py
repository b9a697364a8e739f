"""Processor time of the service's own code on this machine, and what importing it costs.

In seconds of this process or of a fresh one: what waits or belongs to others is not in it. Machines differ by half, and
so does one machine from minute to minute, by its neighbours. So a yardstick that no change of ours makes longer or
shorter is timed turn about with the service's own code, and the medians of their ratios are said in microseconds of the
machine for which the budgets were made. Imports are compared with others turn about, too.
"""

import json
import platform
import statistics
import subprocess
import sys
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from chalicelib.core.messages import Message, decode
from chalicelib.core.writer import Stream
from chalicelib.pageviews import geo, hits
from chalicelib.pageviews.requests import MAX_HITS, decode_batch
from countless.client import Hit

from .workloads import SALTS, SITE, STREAM, TODAY, logged
from .world import World

ROUNDS = 9
YARDSTICK = 7.4
"""Microseconds that the yardstick takes for a page view on the machine for which the budgets were made: an Intel Xeon,
known by code that was timed there and, beside the yardstick, elsewhere.
"""
NOW = TODAY + 43200

_USED = "import resource; u = resource.getrusage(resource.RUSAGE_SELF); print(u.ru_utime + u.ru_stime)"
_REGION = "import os; os.environ.update(AWS_DEFAULT_REGION='eu-central-1', AWS_EC2_METADATA_DISABLED='true')"
_BASE = f"{_REGION}; import boto3, chalice; boto3.client('dynamodb'); {_USED}"
_APP = f"{_REGION}; import app; {_USED}"
_READY = f"{_REGION}; import app; from chalicelib.aws import clients; clients.dynamodb(); {_USED}"


def machine() -> str:
    """What all this was timed on, in a few words."""
    names = [line for line in _cpuinfo().splitlines() if line.startswith("model name")]
    model = names[0].partition(":")[2].strip() if names else platform.processor() or platform.machine()
    return f"{model}, {len(names) or '?'} cores, Python {platform.python_version()}"


def _cpuinfo() -> str:
    try:
        return Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return ""


@dataclass(frozen=True, slots=True)
class Processor:
    """Microseconds of processor time a page view, in batches of 500, on the machine for which the budgets were made."""

    packed: float
    """From the request's body to the packed segment."""
    folded: float
    """The same and the fold that takes it in."""
    slowness: float
    """How many times as long everything takes here."""


def processor(rounds: int = 5 * ROUNDS) -> Processor:
    """Times the real log's page views on their whole way, without those of robots, whose way is short."""
    found = [hit for hit in logged() if _counts(hit)]
    bodies = _bodies(found)
    _pack(bodies)  # what is remembered between requests, such as browsers, is remembered now
    times = [(_took(_measure, bodies), _took(_pack, bodies), _took(_fold, bodies)) for _ in range(rounds)]
    return Processor(
        statistics.median(packed / measure for measure, packed, _ in times) * YARDSTICK,
        statistics.median(folded / measure for measure, _, folded in times) * YARDSTICK,
        statistics.median(measure for measure, _, _ in times) / len(found) * 1e6 / YARDSTICK,
    )


def slowness(rounds: int = ROUNDS) -> float:
    """How many times as long everything takes here and now as on the machine for which the budgets were made."""
    found = list(logged())
    bodies = _bodies(found)
    return statistics.median(_took(_measure, bodies) for _ in range(rounds)) / len(found) * 1e6 / YARDSTICK


def _bodies(found: list[Hit]) -> list[bytes]:
    batches = [found[start : start + MAX_HITS] for start in range(0, len(found), MAX_HITS)]
    return [json.dumps({"no_sessions": True, "hits": batch}).encode() for batch in batches]


def _measure(bodies: list[bytes]) -> None:
    """The yardstick: work of the same kind by Python's own library. It must stay what it is."""
    for body in bodies:
        zlib.decompress(zlib.compress(json.dumps(json.loads(body)).encode(), 6))


def _counts(hit: Hit) -> bool:
    return bool(_received(json.dumps({"no_sessions": True, "hits": [hit]}).encode(), 1).hits)


def _took(work: Callable[[list[bytes]], object], bodies: list[bytes]) -> float:
    started = time.process_time()
    work(bodies)
    return time.process_time() - started


def _received(body: bytes, number: int) -> Message:
    """What the worker has in hand: the request was decoded, taken in, encoded for the queue and read from it."""
    found = hits.accept_batch(decode_batch(body), SITE, now=NOW, salts=SALTS, locate=geo.locator(""))
    message = Message(number << 40, NOW, STREAM, derived=False, hits=tuple(found.hits), bots=tuple(found.bots))
    return decode(message.encode())


def _pack(bodies: list[bytes]) -> None:
    stream = Stream()
    for number, body in enumerate(bodies, 1):
        draft = stream.draft([_received(body, number)], at_most=20_000)
        draft.segment.pack()
        stream.commit(draft)


def _fold(bodies: list[bytes]) -> None:
    world = World(NOW)
    for number, body in enumerate(bodies, 1):
        world.appender.append(STREAM, [_received(body, number)])
    world.folder.fold(STREAM)


@dataclass(frozen=True, slots=True)
class Imports:
    """Processor seconds of fresh processes."""

    base: float
    """boto3, one client and Chalice."""
    app: float
    """The app."""
    ready: float
    """The app, and its client for DynamoDB."""


def imports(rounds: int = ROUNDS) -> Imports:
    """Times what a fresh process does before it can answer, turn about, with compiled modules on disk."""
    times: dict[str, list[float]] = {_BASE: [], _APP: [], _READY: []}
    for _ in range(rounds):
        for code, measured in times.items():
            measured.append(_fresh(code))
    return Imports(*(statistics.median(measured[1:] or measured) for measured in times.values()))


def _fresh(code: str) -> float:
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=root)  # noqa: S603
    return float(done.stdout)
