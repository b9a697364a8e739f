"""What is counted: a real log, generated days, many small sites, one hot stream, and a dashboard's questions."""

import calendar
import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from chalicelib.core.accounts import Site
from chalicelib.core.breakdowns import Breakdowns
from chalicelib.core.messages import Message
from chalicelib.core.periods import Range
from chalicelib.core.reading import Reader
from chalicelib.core.reports import EVERY_PATH, Reports
from chalicelib.core.salts import Salts
from chalicelib.functions.append import POLLERS, WINDOW
from chalicelib.pageviews import geo, hits
from chalicelib.pageviews.breakdowns import PAGES, Pages
from chalicelib.pageviews.requests import MAX_HITS, decode_batch
from chalicelib.pageviews.requests_query import BreakdownQuery
from countless import importer, selection
from countless.client import Hit
from countless.formats import FORMATS
from countless.lines import UnreadError
from countless.sources import opened

from .meter import Bill
from .traffic import Traffic, windows
from .world import DAY, World

LOG = Path(__file__).parents[2] / "tests" / "data" / "access.log.gz"
STREAM = "a1b2c3d4e5f6/pageviews/1"
SITE = Site(account="a1b2c3d4e5f6", domain="d1", id=1, code="bench")
SALTS = Salts(b"1" * 32, b"2" * 32)
TODAY = calendar.timegm((2026, 11, 16, 0, 0, 0))
"""The midnight before everything happens: in the middle of a month, so that months and days both count."""
BUSY, CALM, QUIET = 1_000_000, 10_000, 50
YEAR_A_DAY = 2739
"""Page views a day that make just less than a million a year."""
PATHS = 5000


@dataclass
class Outcome:
    """What a workload has cost."""

    views: int
    bill: Bill
    folds: int = 0
    segment_bytes: float = 0.0
    """An event, in the log."""
    rollup_bytes: float = 0.0
    """An event, in the rollups."""
    later: Bill = field(default_factory=Bill)
    """What the sweeps of the following weeks cost, when old segments are merged and months made of days."""

    @property
    def per_view(self) -> float:
        """Write units a page view; what is not counted is none and not part of it."""
        return (self.bill.write_units - self.bill.writes["bots"] - self.bill.writes["drops"]) / self.views

    def share(self, kind: str) -> float:
        """Write units a page view, for one kind of item."""
        return self.bill.writes[kind] / self.views


# --- page views come in ---------------------------------------------------------------------------------------------


def logged() -> Iterator[Hit]:
    """The page views of the real log, as `countless import` sends them."""
    combined = FORMATS["combined"]()
    with opened(str(LOG)) as lines:
        for raw in lines:
            with suppress(UnreadError):
                line = importer.read(raw, combined)
                if selection.exclusion(line) is None:
                    yield importer.as_hit(line)


def _messages(now: int) -> Iterator[Message]:
    """The same as requests of 500 that were accepted."""
    found = list(logged())
    for number, start in enumerate(range(0, len(found), MAX_HITS), 1):
        body = json.dumps({"no_sessions": True, "hits": found[start : start + MAX_HITS]}).encode()
        accepted = hits.accept_batch(decode_batch(body), SITE, now=now, salts=SALTS, locate=geo.locator(""))
        yield Message(number << 40, now, STREAM, derived=True, hits=tuple(accepted.hits), bots=tuple(accepted.bots))


def real_log() -> Outcome:
    """The real log in batches of 1,000 page views, two requests each; the folds that are asked for; one sweep."""
    world = World(TODAY + 12 * 3600)
    waiting = list(_messages(int(world.now)))
    for start in range(0, len(waiting), 2):
        world.append(STREAM, waiting[start : start + 2])
        world.now += 1
    world.sweep(STREAM)
    return _outcome(world)


def day(views: int, *, paths: int = PATHS, window: int = WINDOW) -> Outcome:
    """A new site's first day, each view in a message of its own; with the sweeps of the following weeks apart."""
    world, traffic = World(TODAY), Traffic(paths)
    for batch in windows(traffic.day(TODAY, views), window, POLLERS):
        world.now = batch[-1] + 1
        world.append(STREAM, traffic.lone(STREAM, batch))
    world.sweep(STREAM)
    outcome = _outcome(world)
    for _ in range(46):
        world.sweep(STREAM)
    outcome.later = world.meter.bill - outcome.bill
    return outcome


def settled(views: int, days: int = 62) -> Outcome:
    """The same each day for two months: what a site costs that has been there for a while, merges and all."""
    world, traffic = World(TODAY), Traffic(PATHS // 10)
    for number in range(days):
        for batch in windows(traffic.day(TODAY + number * DAY, views), WINDOW, POLLERS):
            world.now = max(world.now, batch[-1] + 1)
            world.append(STREAM, traffic.lone(STREAM, batch))
        world.sweep(STREAM)
    return _outcome(world)


def many_sites(sites: int = 1000) -> Outcome:
    """One view for each of many sites, all in one batch of the queue; and the sweep of each."""
    world, traffic = World(TODAY + 12 * 3600), Traffic(100)
    streams = [f"a1b2c3d4e5f6/pageviews/{number}" for number in range(sites)]
    for stream in streams:
        world.append(stream, traffic.lone(stream, [int(world.now)]))
    world.sweep(*streams)
    return Outcome(world.events, world.meter.bill.copy(), world.folds)


def _outcome(world: World) -> Outcome:
    return Outcome(
        world.events,
        world.meter.bill.copy(),
        world.folds,
        world.log_bytes(STREAM) / world.events,
        world.rollup_bytes(STREAM) / world.events,
    )


# --- a dashboard asks -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Looks:
    """What a dashboard's ten requests cost, in a process that has just started, and in one that answers all day."""

    cold: Bill
    warm: Bill
    """The same dashboard was asked for ten minutes before, and page views have come since."""
    first: Bill
    """The process has answered for the site before, but never for these days."""


def dashboard(days: int, a_day: int = YEAR_A_DAY) -> Looks:
    """Fills a site for so many days, of which the last is today, and looks at all of them."""
    return looked(*filled(days, a_day), days)


def filled(days: int, a_day: int = YEAR_A_DAY) -> tuple[World, Traffic]:
    """A site after so many days of traffic, in the middle of the last of them; and where more comes from."""
    world, traffic = World(TODAY - (days - 1) * DAY), Traffic(PATHS, listed=True)
    for midnight in range(TODAY - (days - 1) * DAY, TODAY + 1, DAY):
        moments = traffic.day(midnight, a_day)
        for start in range(0, len(moments), MAX_HITS):
            batch = moments[start : start + MAX_HITS]
            world.now = max(world.now, batch[-1] + 1)
            if midnight < TODAY or start < len(moments) // 2:
                world.append(STREAM, [traffic.batch(STREAM, batch)])
        if midnight < TODAY:
            world.sweep(STREAM)
    return world, traffic


def looked(world: World, traffic: Traffic, days: int) -> Looks:
    """Looks at so many days of a site that was filled."""
    when = Range(TODAY - (days - 1) * DAY, TODAY + DAY - 1)
    process = world.reader()
    cold = _asked(world, process, when)
    other = world.reader()
    _ask(other, Range(when.end - DAY + 1, when.end))
    first = _asked(world, other, when)
    world.now += 600
    world.append(STREAM, [traffic.batch(STREAM, [int(world.now)] * 50)])
    return Looks(cold, _asked(world, process, when), first)


def _asked(world: World, reader: Reader, when: Range) -> Bill:
    before = world.meter.bill.copy()
    _ask(reader, when)
    return world.meter.bill - before


def _ask(reader: Reader, when: Range) -> None:
    """The ten requests: me, which asks nothing of log and rollups, total, hits, and seven pages."""
    reports, pages = Reports(reader), Pages(Breakdowns(reader), SITE)
    reports.total(STREAM, when)
    reports.hits(STREAM, when, limit=8)
    for page in PAGES:
        pages.listed(page, BreakdownQuery(when, EVERY_PATH, limit=6, offset=0))
