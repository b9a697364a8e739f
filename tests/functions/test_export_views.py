"""Exports of page views in a world where any call may fail, and that goes on meanwhile: each file is the same bytes."""

import hashlib
import random
import secrets
from collections.abc import Iterator
from itertools import count

import pytest

from chalicelib import wiring
from chalicelib.aws.accounts import Created
from chalicelib.core.events import Hit
from chalicelib.core.exporting import Source
from chalicelib.core.exports import Job, State
from chalicelib.core.messages import Message
from chalicelib.functions.export import SOURCES
from chalicelib.pageviews import exports
from chalicelib.pageviews.requests_export import SURFACE
from tests.conftest import World
from tests.core.exporting import CRASH_AFTER, KINDS, START, Stage, Strike
from tests.dynamo import standing_in

VIEWS = 2_500
CASES = [(kind, seconds, 1) for kind in KINDS for seconds in (1.0, 300.0)]
"""How each call fails, how much time there is, and how many calls are passed over between two that fail."""


class Site:
    """A site that goes on: whenever a file is worked on, there is another page view, and a fold."""

    def __init__(self, owner: Created, stage: Stage) -> None:
        self.site = owner.site
        self._stage = stage
        self._chance = random.Random(4)
        self._messages = count(1)
        self.view(VIEWS)
        wiring.folder().fold(self.site.stream)
        self.view(20)
        stage.source = self.source

    def view(self, views: int) -> None:
        """So many visits, each to a page of its own."""
        now = int(self._stage.now)
        pages = (f"/{self._chance.randbytes(24).hex()}" for _ in range(views))
        hits = tuple(
            Hit(page, "", False, "", "o", "", "Firefox", None, "NL", "", 1920, now, 0, 0, listed=True) for page in pages
        )
        message = Message(next(self._messages), now, self.site.stream, False, hits)
        wiring.appender().append(self.site.stream, [message])

    def source(self, job: Job) -> Source:
        """What the function reads, a moment later than the last time."""
        self.view(1)
        wiring.folder().fold(self.site.stream)
        return SOURCES[SURFACE](job)

    def begin(self, kind: str) -> Job:
        """Asks for the first views, as if it had been done then."""
        wanted = {"site": str(self.site.id), "format": kind, "head": "2", "event": str(VIEWS + 20)}
        wanted |= {"host": "h", "user": "u"}
        name = "views.zip" if kind == "json" else "views.csv.gz"
        return wiring.exports().begin(self.site.account, "test", name, wanted, START)

    def finished(self, job: Job) -> bytes:
        """The job's file, which is what the job says."""
        found = self._stage.job(job)
        assert (found.state, found.error) == (State.FINISHED, None)
        data = self._stage.file(job)
        assert (found.size, found.sha256) == (len(data), hashlib.sha256(data).hexdigest())
        return data


@pytest.fixture
def site(world: World) -> Iterator[tuple[Stage, Site]]:
    """A site, and a stage for the exports of its account, in tables in memory."""
    with standing_in():
        wiring.forget()
        wiring.secrets().ensure()
        name = secrets.token_hex(8)
        owner = wiring.accounts().create_account(
            name=name, username=name, email=f"{name}@example.com", password="correct horse", domain=f"{name}.example"
        )
        with Stage(world, owner.account.id).set() as stage:
            yield stage, Site(owner, stage)
    wiring.forget()


@pytest.mark.parametrize(
    ("kind", "seconds", "step"),
    [(CRASH_AFTER, 300.0, 5), *(pytest.param(*case, marks=pytest.mark.prove) for case in CASES)],
)
@pytest.mark.parametrize("what", ["csv", "json"])
def test_whichever_call_fails_the_file_is_the_same(
    site: tuple[Stage, Site], monkeypatch: pytest.MonkeyPatch, *, what: str, kind: int, seconds: float, step: int
) -> None:
    """Any call to table, bucket or queue, before or after it took effect, while the site goes on: the same bytes, the
    same hash, and the same cursor for the next export.
    """
    stage, counted = site
    monkeypatch.setattr(exports, "CHUNK", 500)
    first = counted.begin(what)
    stage.settle()
    expected = counted.finished(first)
    assert len(expected) > 70_000, "more than one part"
    stage.seconds = seconds
    for skip in count(0, step):
        job = counted.begin(what)
        strike = Strike(skip, kind)
        stage.settle(strike)
        assert counted.finished(job) == expected, skip
        found = stage.job(job)
        assert found.reached == stage.job(first).reached
        assert (found.rows, stage.parked) == (VIEWS + 20 if what == "csv" else 0, [])
        if not strike.struck:
            break
    assert skip > 15
