"""Which workloads make up the table, and the budgets that they have to keep."""

from collections.abc import Callable, Iterator

from . import crowd, exporting, race, timing, workloads
from .meter import Bill
from .race import HITS, WRITERS, Standing
from .table import Row, shown
from .workloads import BUSY, CALM, QUIET, YEAR_A_DAY, Looks, Outcome

LOG_UNITS, BUSY_UNITS, QUIET_UNITS = 0.05, 0.10, 1.2
"""Write units a page view, log and folds: real log in batches of 1,000; a day of 1M lone views; a day of 50."""
MONTH_CALLS, YEAR_CALLS = 12, 40
"""Calls to log and rollups of a dashboard's ten requests, warm process: 30 days; a year."""
PACKED, FOLDED = 25, 35
"""Microseconds of processor time a page view in batches of 500: to the packed segment; with folds."""
IMPORT = 1.25
"""The app's import in a fresh process, as a multiple of boto3, one client and Chalice."""
EXPORTED, EXPORT_MEMORY = 10, 128
"""Microseconds of processor time a row of an export, so 100,000 rows a second; and MB for any number of rows."""
EXPORT_ROWS = 1_000_000
YEAR = 365
VISITORS, CROWD_MEMORY, CROWD_FOLD = 10_000_000, 640, 8
"""Visitors of one site within eight hours; MB of appending and folding together, which have 1,024 and 1,769 to
themselves; and MB that a fold may write of it."""

UNITS = "write units a page view"


def counted(*, quick: bool, say: Callable[[str], None]) -> Iterator[Row]:
    """Everything that is counted rather than timed: the same on every machine."""
    say("the real log")
    yield from log_rows(workloads.real_log())
    say(f"days of {QUIET} and {CALM:,} lone views")
    yield from day_rows(QUIET, workloads.day(QUIET), QUIET_UNITS)
    yield settled_row(workloads.settled(QUIET))
    yield from day_rows(CALM, workloads.day(CALM), None)
    if not quick:
        say(f"a day of {BUSY:,} lone views: some minutes")
        yield from day_rows(BUSY, workloads.day(BUSY), BUSY_UNITS)
    say("many sites, one hot stream")
    yield sites_row(workloads.many_sites())
    yield from race_rows(race.race())
    say("a flood of names")
    yield flood_row(crowd.flood(crowd.needed()))
    say("a dashboard over 30 days")
    yield from look_rows("30 days", workloads.dashboard(30), MONTH_CALLS)
    if not quick:
        say("a dashboard over a year: a minute or two")
        yield from look_rows("a year of 1M views", workloads.dashboard(YEAR), YEAR_CALLS)


def timed(*, quick: bool, say: Callable[[str], None]) -> Iterator[Row]:
    """What depends on the machine."""
    say("processor time")
    used = timing.processor()
    what = "Processor time a page view, batches of 500: request body to packed segment"
    yield Row(what, used.packed, "µs", PACKED, _here(used.packed, used.slowness))
    yield Row("… with the fold", used.folded, "µs", FOLDED, _here(used.folded, used.slowness))
    say(f"an export of {EXPORT_ROWS:,} rows")
    yield from export_rows("values", *_compared(lambda: exporting.measure(EXPORT_ROWS)))
    if not quick:
        say("an export of a year of page views: a minute or two")
        yield from export_rows("page views", *_compared(lambda: exporting.measure_views(YEAR, YEAR_A_DAY)))
        say(f"{VISITORS:,} visitors of one site: some minutes")
        yield from crowd_rows(crowd.measure(VISITORS))
    say("imports")
    fresh = timing.imports()
    base = f"{fresh.base * 1000:.0f} ms"
    yield Row(
        f"Import of the app in a fresh process, against boto3, one client and Chalice ({base})",
        fresh.app / fresh.base,
        "times",
        IMPORT,
    )
    yield Row("… and the app's first client for DynamoDB made as well", fresh.ready / fresh.base, "times")


def log_rows(outcome: Outcome) -> Iterator[Row]:
    """The real log."""
    what = f"Real log, {outcome.views:,} page views in batches of 1,000: log, folds, sweep"
    yield Row(what, outcome.per_view, UNITS, LOG_UNITS, _parts(outcome))
    yield Row("… its robots' hits, kept for 30 days to look into", outcome.share("bots"), UNITS)
    yield Row("… figures of what is not counted of it, by day and reason", outcome.share("drops"), UNITS)
    yield _bytes(outcome)


def day_rows(views: int, outcome: Outcome, budget: float | None) -> Iterator[Row]:
    """A generated day."""
    what = f"A day of {views:,} lone views: log, folds, sweep"
    yield Row(what, outcome.per_view, UNITS, budget, _parts(outcome))
    later = outcome.later.write_units / outcome.views
    yield Row("… later, when old segments are merged and months are made", later, UNITS)
    if outcome.folds:
        largest = f"largest manifest {shown(outcome.bill.largest['manifest'] / 1024)} KB"
        yield Row("… folds that were asked for", outcome.folds, "", note=largest)
    yield _bytes(outcome)


def settled_row(outcome: Outcome) -> Row:
    """A small site that has been there for a while."""
    what = f"Two months of {QUIET} lone views a day, everything included"
    return Row(what, outcome.per_view, UNITS, note=_parts(outcome))


def sites_row(outcome: Outcome) -> Row:
    """Many sites with a single view each."""
    what = f"{outcome.views:,} new sites with one view each: log and sweep"
    return Row(what, outcome.per_view, "write units a site", note=f"{_calls(outcome.bill)} calls")


def race_rows(standing: Standing) -> Iterator[Row]:
    """One hot stream."""
    what = f"One hot stream, {WRITERS} writers, batches of {HITS:,}: commits"
    yield Row(what, standing.commits, "", note=f"{standing.lost} more puts lost the race for their number")
    yield Row("… calls a commit", standing.calls)
    units = standing.bill.write_units
    wasted = f"{standing.bill.wasted / units:.0%} of them wasted"
    yield Row("… write units a page view", units / standing.commits / HITS, note=wasted)
    call = f"{race.READ * 1000:.0f} ms a read, {race.WRITE * 1000:.0f} ms a write"
    terms = f"at {call}, {race.PROCESSOR * 1e6:.0f} µs a hit"
    yield Row(f"… commits a second, reckoned {terms}", standing.rate)
    yield Row("… hence page views a second", standing.rate * HITS)


def _here(microseconds: float, slowness: float) -> str:
    """What was timed, of what is said of the machine for which the budgets were made."""
    return f"here {shown(microseconds * slowness)}, where all takes {shown(slowness)} times as long"


def _compared(measure: Callable[[], exporting.Cost]) -> tuple[exporting.Cost, float]:
    """What something costs, and how many times as long all takes here, before it and after it."""
    before = timing.slowness()
    cost = measure()
    return cost, (before + timing.slowness()) / 2


def export_rows(kind: str, cost: exporting.Cost, slowness: float) -> Iterator[Row]:
    """A large export."""
    what = f"Processor time a row of an export of {cost.rows:,} {kind}: CSV, gzip 6, SHA-256"
    microseconds = cost.seconds / cost.rows * 1e6 / slowness
    yield Row(what, microseconds, "µs", EXPORTED, f"{cost.rate:,.0f} rows a second; {_here(microseconds, slowness)}")
    yield Row("… memory of the whole process, without AWS's clients", cost.memory / 1e6, "MB", EXPORT_MEMORY)


def crowd_rows(found: crowd.Crowd) -> Iterator[Row]:
    """A crowd at one site."""
    what = f"{found.visitors:,} visitors of one site in eight hours, a page each: memory of append and fold together"
    note = f"{found.alone:,} of them without a session"
    yield Row(what, found.memory / 1e6, "MB", CROWD_MEMORY, note)
    yield Row("… most that a fold wrote", found.largest / 1e6, "MB", CROWD_FOLD)


def flood_row(found: crowd.Flood) -> Row:
    """A flood of names that strangers make up; the budget is on what it took."""
    what = f"A flood of {crowd.needed():,} made-up paths: names that it took"
    note = f"room for {found.left:,} more; a page that is seen now and then {'has' if found.earned else 'has not'} one"
    return Row(what, found.names, "", crowd.NAMES if found.earned else 0, note)


def look_rows(span: str, looks: Looks, budget: int) -> Iterator[Row]:
    """A dashboard's ten requests."""
    what = f"DynamoDB calls of a dashboard's ten requests over {span}: warm process"
    for name, bill, limit in (
        (what, looks.warm, budget),
        ("… warm process that was never asked for these days", looks.first, budget),
        ("… cold process", looks.cold, None),
    ):
        yield Row(name, bill.calls.total(), "", limit, f"{shown(bill.read_units)} read units")


def _bytes(outcome: Outcome) -> Row:
    note = f"and {shown(outcome.rollup_bytes)} in the rollups"
    return Row("… bytes an event in the log", outcome.segment_bytes, note=note)


def _parts(outcome: Outcome) -> str:
    found = [(units, kind) for kind, units in outcome.bill.writes.items() if kind not in {"bots", "drops"}]
    return ", ".join(f"{kind} {shown(units / outcome.views)}" for units, kind in sorted(found, reverse=True))


def _calls(bill: Bill) -> str:
    return f"{bill.calls.total():,}"
