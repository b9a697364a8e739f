"""Plugs the adapters together, each when it is first asked for: nothing is connected while modules are imported."""

import threading
import time
from functools import cache
from typing import TYPE_CHECKING, Any

from .core import limits
from .settings import settings as settings  # noqa: PLC0414 - handed out from here

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from .aws.accounts import Accounts
    from .aws.domains import Domains
    from .aws.drops import DynamoDrops
    from .aws.limits import Limiter
    from .aws.log import DynamoLog
    from .aws.queues import SqsFolds, SqsIngest, SqsWalks
    from .aws.removals import Removals
    from .aws.repeats import Repeats
    from .aws.reporting import Reporting
    from .aws.rolls import Rolls
    from .aws.rollups import DynamoRollups
    from .aws.secrets import Secrets
    from .aws.statistics import Statistics
    from .aws.users import Users
    from .core.breakdowns import Breakdowns
    from .core.caches import Kept
    from .core.drops import Waiting
    from .core.exporting import Exporter
    from .core.exports import Exports, Ports
    from .core.limits import Local, Window
    from .core.listing import Place, Tables
    from .core.lists import Lists
    from .core.log import Appender
    from .core.mail import Mailbox, Mailer
    from .core.reading import Reader
    from .core.rebuilding import Rebuilder
    from .core.redactions import Ports as RedactionPorts
    from .core.redactions import Redactions, Worker
    from .core.reports import Reports
    from .core.segments import Segment
    from .core.sweeping import Sweeper
    from .core.tallies import Tallies


def now() -> float:
    """The time, in Unix seconds: the one clock of everything that is wired here."""
    return time.time()


def _clock() -> float:
    return now()


@cache
def accounts() -> "Accounts":
    """Who is who."""
    from .aws.accounts import Accounts  # noqa: PLC0415 - loaded by those who need it

    return Accounts(settings(), _clock)


@cache
def users() -> "Users":
    """Makes, changes and removes users."""
    from .aws import clients  # noqa: PLC0415
    from .aws.users import Users  # noqa: PLC0415

    return Users(clients.dynamodb(), settings().documents_table, accounts(), _clock)


@cache
def domains() -> "Domains":
    """Who is who, for statistics."""
    from .aws import clients  # noqa: PLC0415
    from .aws.domains import Domains  # noqa: PLC0415

    return Domains(clients.dynamodb(), settings(), accounts(), _clock)


@cache
def secrets() -> "Secrets":
    """The deployment's secrets."""
    from .aws.secrets import Secrets  # noqa: PLC0415

    return Secrets(settings(), _clock)


@cache
def plans() -> "dict[str, Window]":
    """The limits of this deployment, by name."""
    return limits.plans(settings().limits)


@cache
def limiter() -> "Limiter":
    """Who has used up how much of which window."""
    from .aws.limits import Limiter  # noqa: PLC0415

    return Limiter(settings(), lambda: secrets().server()[0], _clock)


@cache
def pixels() -> "Local":
    """The limits of counting pixels and visitor counters, in this process alone."""
    return limits.Local()


@cache
def counters() -> "Kept[tuple[str, ...], int]":
    """What visitor counters show, by stream and what was asked for, in this process alone.

    Ten seconds let a page that everybody reads cost one look; four hours are how long an old number is better than
    none, and how long browsers keep it anyway (page-view contract, section 5).
    """
    from .core.caches import Kept  # noqa: PLC0415

    return Kept(size=1000, fresh=10, stale=4 * 3600, clock=_clock)


@cache
def ingest() -> "SqsIngest":
    """Where accepted requests go."""
    from .aws import clients  # noqa: PLC0415
    from .aws.queues import SqsIngest  # noqa: PLC0415

    given = settings()
    return SqsIngest(
        clients.sqs(),
        clients.s3(),
        live=given.ingest_queue,
        imports=given.imports_queue,
        bucket=given.bucket,
    )


@cache
def repeats() -> "Repeats":
    """Which requests with an idempotency key came before."""
    from .aws import clients  # noqa: PLC0415
    from .aws.repeats import Repeats  # noqa: PLC0415

    return Repeats(clients.dynamodb_once(), settings().limits_table, _clock)


@cache
def statistics() -> "Statistics":
    """Groups, statistics and their values."""
    from .aws import clients  # noqa: PLC0415
    from .aws.lookup import Tables  # noqa: PLC0415
    from .aws.statistics import Statistics  # noqa: PLC0415

    tables = Tables(settings().documents_table, settings().statistics_table)
    return Statistics(clients.dynamodb(), clients.dynamodb_once(), tables, _clock)


@cache
def removals() -> "Removals":
    """What deletes left to be removed."""
    from .aws import clients  # noqa: PLC0415
    from .aws.removals import Removals  # noqa: PLC0415

    given = settings()
    return Removals(
        clients.dynamodb(), clients.sqs(), table=given.statistics_table, queue=given.removals_queue, clock=_clock
    )


@cache
def log() -> "DynamoLog":
    """The log of every stream."""
    from .aws import clients  # noqa: PLC0415
    from .aws.log import DynamoLog  # noqa: PLC0415

    return DynamoLog(clients.dynamodb(), settings().log_table)


@cache
def rollups() -> "DynamoRollups":
    """The rollups of every stream."""
    from .aws import clients  # noqa: PLC0415
    from .aws.rollups import DynamoRollups  # noqa: PLC0415

    return DynamoRollups(clients.dynamodb(), settings().rollups_table)


@cache
def drops() -> "DynamoDrops":
    """How many page views were dropped."""
    from .aws import clients  # noqa: PLC0415
    from .aws.drops import DynamoDrops  # noqa: PLC0415

    return DynamoDrops(clients.dynamodb(), clients.dynamodb_once(), settings().rollups_table)


@cache
def waiting_drops() -> "Waiting":
    """What was dropped and is not told yet, in this process alone."""
    from .core.drops import Waiting  # noqa: PLC0415

    return Waiting()


@cache
def folds() -> "SqsFolds":
    """Where folds are asked for."""
    from .aws import clients  # noqa: PLC0415
    from .aws.queues import SqsFolds  # noqa: PLC0415

    return SqsFolds(clients.sqs(), settings().fold_queue)


@cache
def rolls() -> "Rolls":
    """The lists that jobs walk."""
    from .aws import clients  # noqa: PLC0415
    from .aws.rolls import Rolls  # noqa: PLC0415

    accounts()  # binds the tables
    return Rolls(clients.dynamodb(), settings().documents_table)


@cache
def walks() -> "SqsWalks":
    """Where pages of walks wait."""
    from .aws import clients  # noqa: PLC0415
    from .aws.queues import SqsWalks  # noqa: PLC0415

    return SqsWalks(clients.sqs(), settings().walks_queue)


@cache
def reporting() -> "Reporting":
    """Who wants which reports by mail."""
    from .aws import clients  # noqa: PLC0415
    from .aws.reporting import Reporting  # noqa: PLC0415

    table = settings().documents_table
    return Reporting(clients.dynamodb(), clients.dynamodb_once(), table, accounts(), _clock)


@cache
def mailer() -> "Mailer | None":
    """What sends mails; None if nothing does.

    Raises:
        Invalid: the setting says neither.
    """
    said = settings().mail
    if not said:
        return None
    if said == "ses":
        from .aws import clients  # noqa: PLC0415
        from .aws.mail import Ses  # noqa: PLC0415

        return Ses(clients.ses_once())
    from .aws.smtp import Login, Server, Smtp  # noqa: PLC0415

    def login() -> Login | None:
        known = secrets().smtp()
        return Login(*known) if known else None

    return Smtp(Server.read(said), login)


def mail_sender() -> "Mailbox":
    """Whom mails are from.

    Raises:
        Invalid: the setting names no address.
    """
    from .core.mail import Mailbox  # noqa: PLC0415

    return Mailbox.read(settings().mail_from, "COUNTLESS_MAIL_FROM")


@cache
def lists() -> "Lists":
    """What the operator's lists say, as far as this process knows."""
    from .aws import clients  # noqa: PLC0415
    from .aws.lists import Shelf  # noqa: PLC0415
    from .core.lists import Lists  # noqa: PLC0415

    return Lists(Shelf(clients.s3_brief(), settings().bucket), _clock)


def refresh_list(name: str, address: str, parse: "Callable[[str], object]") -> None:
    """Fetches a list and stores it.

    Raises:
        Damaged: it cannot be what its operator means.
        Unavailable: it cannot be fetched, or not stored.
    """
    from .aws import clients  # noqa: PLC0415
    from .aws.lists import Shelf, fetch  # noqa: PLC0415
    from .core.lists import refresh  # noqa: PLC0415

    refresh(Shelf(clients.s3(), settings().bucket), name, fetch(address, clients.s3), parse)


@cache
def _redaction_ports() -> "RedactionPorts":
    from .aws import clients  # noqa: PLC0415
    from .aws.redactions import Books, Leftovers, SqsRedactions  # noqa: PLC0415
    from .core.redactions import Ports  # noqa: PLC0415

    given = settings()
    return Ports(
        log(),
        rollups(),
        Books(clients.dynamodb(), given.rollups_table),
        Leftovers(rollups(), clients.s3(), given.bucket, _withdraw),
        SqsRedactions(clients.sqs(), given.redactions_queue),
        _clock,
    )


def _withdraw(stream: str) -> None:
    """Removes the files of a site's exports of page views."""
    from .core.exports import CHANGED  # noqa: PLC0415

    account, surface, site = stream.split("/")
    exports().withdraw(account, surface, {"site": site}, CHANGED)


def redactions() -> "Redactions":
    """Where redactions are asked for."""
    from .core.redactions import Redactions  # noqa: PLC0415

    return Redactions(_redaction_ports())


def redactor() -> "Worker":
    """What redacts streams."""
    from .core.redactions import Worker  # noqa: PLC0415

    return Worker(_redaction_ports())


@cache
def _export_ports() -> "Ports":
    from .aws import clients, queues  # noqa: PLC0415
    from .aws.exports import Bucket, Jobs  # noqa: PLC0415
    from .core.exports import Ports  # noqa: PLC0415

    given = settings()
    return Ports(
        Jobs(clients.dynamodb(), given.documents_table),
        Bucket(clients.files(), clients.files(given.files_url), given.bucket),
        queues.SqsExports(clients.sqs(), given.exports_queue, given.parked_exports_queue),
        _clock,
    )


def listing_place(stream: str) -> "Place":
    """Where a stream's log ends now."""
    from .core import listing  # noqa: PLC0415

    return listing.place(log(), rollups(), stream)


def listed_segments(stream: str, head: int) -> "Iterator[Segment]":
    """A stream's segments up to one of them, for exports."""
    from .core import listing  # noqa: PLC0415

    return listing.segments(log(), stream, head)


def listed_tables(stream: str, end: "Place") -> "Tables":
    """A stream's visits up to a place, for exports."""
    from .core.listing import Tables  # noqa: PLC0415

    return Tables(log(), rollups(), stream, end)


def exports() -> "Exports":
    """What requests and the schedule want of exports."""
    from .core.exports import Exports  # noqa: PLC0415

    return Exports(_export_ports())


def exporter() -> "Exporter":
    """What makes the files of exports."""
    from .core.exporting import Exporter  # noqa: PLC0415

    return Exporter(_export_ports())


_threads: list[threading.local] = [threading.local()]
"""What each thread has of its own, since it keeps what it has read. A function on Lambda has one thread."""


def appender() -> "Appender":
    """This thread's writer of streams."""
    from .core.log import Appender  # noqa: PLC0415
    from .core.writer import Bounds  # noqa: PLC0415

    own: Any = _threads[0]
    if not hasattr(own, "appender"):
        bounds = Bounds.read(settings().session_megabytes)
        own.appender = Appender(log(), rollups(), folds(), now=_clock, bounds=bounds)
    made: Appender = own.appender
    return made


def reports() -> "Reports":
    """This thread's answers to questions about streams."""
    from .core.reports import Reports  # noqa: PLC0415

    return Reports(_reader())


def breakdowns() -> "Breakdowns":
    """This thread's answers to questions about the properties of visits; what was read serves both kinds of answers."""
    from .core.breakdowns import Breakdowns  # noqa: PLC0415

    return Breakdowns(_reader())


def tallies() -> "Tallies":
    """This thread's answers to the question how many visits there were."""
    from .core.tallies import Tallies  # noqa: PLC0415

    return Tallies(_reader())


def _reader() -> "Reader":
    """What this thread has read of streams."""
    from .core.reading import Reader  # noqa: PLC0415

    own: Any = _threads[0]
    if not hasattr(own, "reader"):
        own.reader = Reader(log(), rollups(), now=_clock)
    made: Reader = own.reader
    return made


def folder() -> "Sweeper":
    """What keeps log and rollups in order."""
    from .core.sweeping import Sweeper  # noqa: PLC0415

    return Sweeper(log(), rollups(), held=redactions().held, now=_clock)


def rebuilder() -> "Rebuilder":
    """What counts rollups anew."""
    from .core.rebuilding import Rebuilder  # noqa: PLC0415

    return Rebuilder(log(), rollups(), now=_clock)


def park(queue: str, record: dict[str, Any]) -> None:
    """Puts a queue message as it is into a dead-letter queue."""
    from .aws import clients, queues  # noqa: PLC0415

    queues.park(clients.sqs(), queue, record)


def postpone(queue: str, record: dict[str, Any], seconds: int) -> None:
    """Has a queue message that is not acknowledged come again after so many seconds."""
    from .aws import clients, queues  # noqa: PLC0415

    queues.postpone(clients.sqs(), queue, record, seconds)


def show(queue: str, records: "Sequence[dict[str, Any]]") -> None:
    """Has queue messages that are not acknowledged come again at once."""
    from .aws import clients, sending  # noqa: PLC0415

    sending.show(clients.sqs(), queue, [record["receiptHandle"] for record in records])


def renew(queue: str, records: "Sequence[dict[str, Any]]") -> "list[int]":
    """Sends queue messages once more, as new ones; the indexes of those that the queue did not take."""
    from .aws import clients, sending  # noqa: PLC0415

    return sending.send(clients.sqs(), queue, [{"MessageBody": record["body"]} for record in records])


def forget() -> None:
    """Unplugs everything, settings included, as if the process had just started: for tests."""
    from .aws import clients  # noqa: PLC0415

    _threads[0] = threading.local()
    for made in list(globals().values()):
        if hasattr(made, "cache_clear"):
            made.cache_clear()
    clients.forget()
