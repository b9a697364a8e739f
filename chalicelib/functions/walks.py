"""The jobs that walk lists, one a row of `WALKS`, and the function `walk`, which does the pages of long lists.

A job's schedule begins its walk (`begin`), and does it if the list is short. Whatever fails on one entry is logged,
tried once more, counted as `WalkFailures`, and left to the next walk.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

from chalice.app import Blueprint, SQSEvent

from chalicelib import wiring
from chalicelib.core import walking
from chalicelib.core.accounts import Site
from chalicelib.core.errors import Poison
from chalicelib.core.exports import Look
from chalicelib.core.walking import Stage, Walk
from chalicelib.observability import count, event_function, failed, logger

from . import queued
from .append import QUEUE

blueprint = Blueprint(__name__)

DAY = 86400
WALKERS = 5
"""So many pages at once: nobody waits for them."""
PATIENCE = 2
"""Days after which a site that was not swept counts as `SitesNotReached`. An alarm's threshold: one such site on any
day, or a day without that metric, for then nobody walked."""
SITES, DELETED, USERS = "sites", "sites#deleted", "taken#user"
"""The lists of sites, deleted sites and users, as `wiring.rolls` calls them."""

T = TypeVar("T")
Remaining = Callable[[], float]


def each(visit: Callable[[T], None]) -> Callable[[Sequence[T], int], list[T]]:
    """A visit of several entries made of one of each: whatever fails on one keeps no other from being visited."""

    def visit_all(entries: Sequence[T], _: int) -> list[T]:
        left = []
        for entry in entries:
            try:
                visit(entry)
            except walking.Late:
                raise
            except Exception as error:
                failed("an entry of a walk failed", error, entry=_named(entry))
                left.append(entry)
        return left

    return visit_all


def _named(entry: object) -> str:
    return entry.stream if isinstance(entry, Site) else entry.id if isinstance(entry, Look) else type(entry).__name__


# --- what is done with the entries ----------------------------------------------------------------------------------


def _sweep(sites: Sequence[Site], day: int) -> list[Site]:
    """Asks for the sweeps of sites, and counts those that no sweep has reached for too long."""
    _watch([site.stream for site in sites], day)
    return [sites[index] for index in wiring.folds().ask_sweeps([site.stream for site in sites], day)]


def _watch(streams: Sequence[str], day: int) -> None:
    try:
        known = wiring.rollups().swept(streams)
        late = [stream for stream in streams if known.get(stream, day) < day - PATIENCE]
        wiring.rollups().note_swept([stream for stream in streams if stream not in known], day)
    except Exception as error:
        failed("nobody knows when sites were swept", error)
        return
    for stream in late:
        logger.error("a site is not reached by its sweeps", extra={"stream": stream})
    count("SitesNotReached", len(late))


def _retain(site: Site) -> None:
    """Begins to remove what is older than its site keeps page views."""
    from chalicelib.core.redaction import overdue  # noqa: PLC0415 - functions that answer requests never redact
    from chalicelib.core.wishes import Act  # noqa: PLC0415

    cutoff = (int(wiring.now()) // DAY - site.data_retention) * DAY
    if not site.data_retention or not overdue(wiring.rollups(), site.stream, cutoff):
        return
    if not wiring.redactions().book(site.stream).asked(Act.RETAIN):  # else yesterday's does, and tomorrow's for both
        wiring.redactions().begin(site.stream, Act.RETAIN, end=cutoff - 1)


def _purge(site: Site) -> None:
    """Removes a deleted site: first what it counted, and once that is gone the site itself."""
    from chalicelib.core.redactions import STALE  # noqa: PLC0415 - as above
    from chalicelib.core.wishes import Act  # noqa: PLC0415

    redactions = wiring.redactions()
    book = redactions.book(site.stream)
    sealed = next((done for done in book.done if done.act == Act.SEAL), None)
    if sealed is not None and book.idle and sealed.at + STALE <= wiring.now():
        redactions.forget(site.stream)
        wiring.accounts().forget_site(site)
    elif sealed is None and not book.asked(Act.SEAL):
        redactions.begin(site.stream, Act.SEAL)


def _tend(site: Site) -> None:
    """Asks again for redactions that nobody works on: asking twice is harmless."""
    if wiring.redactions().tend(site.stream):
        logger.error("a redaction does not come to an end", extra={"stream": site.stream})
        count("RedactionsLate")


def _expire(look: Look) -> None:
    wiring.exports().tend(look)


def _ask_removal(removal: Any) -> None:  # noqa: ANN401 - the store's own
    """Asks for what was deleted long enough ago to be removed: asking twice is harmless."""
    if wiring.removals().due(removal):
        wiring.removals().ask(removal.scope, removal.target, delay=0)


# --- the walks ------------------------------------------------------------------------------------------------------


def _sites(roll: str, visit: Callable[[Sequence[Site], int], Sequence[Site]], at_once: int = 1) -> Walk[Site]:
    rolls = wiring.rolls()
    return Walk(partial(rolls.keys, roll), partial(rolls.sites, roll), visit, at_once=at_once)


def _exports() -> Walk[Look]:
    exports = wiring.exports()
    return Walk(exports.due_keys, exports.due_between, each(_expire), page=200)


def _removals() -> Walk[Any]:
    removals = wiring.removals()
    return Walk(removals.waiting_keys, removals.waiting_between, each(_ask_removal))


def _reports(remaining: Remaining) -> Walk[Any]:
    from .reporting import Reporting  # noqa: PLC0415 - what it loads is nothing for the others

    mailer, rolls = wiring.mailer(), wiring.rolls()
    visit = Reporting(mailer, wiring.mail_sender(), remaining).visit if mailer else lambda _users, _day: []
    return Walk(partial(rolls.keys, USERS), rolls.users, visit, page=50)


WALKS: Mapping[str, Callable[[Remaining], Walk[Any]]] = {
    "sweep": lambda _: _sites(SITES, _sweep, 100),
    "retain": lambda _: _sites(SITES, each(_retain)),
    "purge_sites": lambda _: _sites(DELETED, each(_purge)),
    "ask_redactions": lambda _: _sites(SITES, each(_tend)),
    "ask_deleted": lambda _: _sites(DELETED, each(_tend)),
    "expire_exports": lambda _: _exports(),
    "ask_removals": lambda _: _removals(),
    "send_reports": _reports,
}
"""What makes each walk; it is told how to know how many seconds are left."""


def begin(name: str, context: object) -> None:
    """Begins a walk; it is done when this returns, or waits in the queue.

    Raises:
        Exception: the list could not be read, or its pages not be sent. Beginning anew does no harm.
    """
    _go(Stage(name, int(wiring.now()) // DAY), context)


@blueprint.on_sqs_message(queue_arn=f"{QUEUE}walks", batch_size=1, maximum_concurrency=WALKERS, name="walk")
@event_function
def walk(event: SQSEvent) -> dict[str, list[dict[str, str]]]:
    """Does pages of walks, each for as long as Lambda allows."""
    left = [record["messageId"] for record in event.to_dict()["Records"] if not _walk(record, event.context)]
    return {"batchItemFailures": [{"itemIdentifier": name} for name in left]}


def _walk(record: queued.Record, context: object) -> bool:
    """Does a page; whether the message has done its duty."""
    given = wiring.settings()
    try:
        _go(walking.decode(record["body"], WALKS), context)
    except Poison as error:
        return queued.park(given.parked_walks_queue, record, str(error))
    except Exception as error:
        failed("a page of a walk failed for now", error)
        return queued.postpone(given.walks_queue, record)
    return True


def _go(stage: Stage, context: object) -> None:
    remaining = queued.remaining(context)
    walked = walking.go(WALKS[stage.walk](remaining), stage, wiring.walks().send, remaining)
    if walked.failed:
        count("WalkFailures", walked.failed)
    logger.info("walked", extra={"walk": stage.walk, **walked._asdict()})
