"""A stage for stories about one stream: a world in which nothing fails unless it is told to, and who redacts in it."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

from chalicelib import wiring
from chalicelib.core.audit import audit
from chalicelib.core.events import Bot, Hit
from chalicelib.core.log import read_manifest
from chalicelib.core.messages import Message
from tests.core.redacting import Redactor
from tests.core.world import START, Faults, Universe, struck
from tests.dynamo import Dynamo

_streams = count(1)
DAY = 86400
PAGE = Hit("/", "", False, "", "o", "", None, None, "", "", 0, START, 0, 0)


@contextmanager
def stage(segment_hits: int = 20_000, **options: Any) -> Iterator[tuple[Universe, Redactor]]:
    with struck(faults := Faults(aws=Dynamo())):
        universe = Universe(f"acc/pageviews/red{next(_streams)}", segment_hits, faults=faults)
        faults.enabled = False
        yield universe, Redactor(universe, **options)


def send(of: Universe, *hits: Hit, bots: tuple[Bot, ...] = (), process: int = 0) -> Message:
    message = Message(len(of.accepted) * 7_919_777 + 1, of.now, of.stream, False, hits, bots)
    of.accept(message)
    of.deliver(process, [message])
    return message


def agrees(of: Universe) -> None:
    found = audit(wiring.log(), wiring.rollups(), of.stream, now=lambda: of.now)
    assert not found.differences
    manifest = read_manifest(wiring.rollups(), of.stream)
    assert (manifest.redacting, manifest.pending) == (0, ())


def seen(of: Universe, process: int) -> dict[str, int]:
    """Visits by path, as a reader sees them."""
    snapshot = of.processes[process].reports._reader.snapshot(of.stream)
    visits: dict[str, int] = {}
    for part in snapshot.parts(2, -(10**9), 10**9):
        assert part.visits is not None
        for path, number in zip(part.visits.path, part.visits.visits, strict=True):
            text = snapshot.names.path(path)[0]
            visits[text] = visits.get(text, 0) + number
    return visits


def ends(of: Universe) -> None:
    """What may end by itself by now, ends."""
    assert isinstance(of.faults.aws, Dynamo)
    of.faults.aws.expire(of.now)
