"""Makes the files that were asked for: the function `export`.

A message names a job; all that counts is on the job itself. What is somebody else's at the moment stays in the queue
until that one has finished, so that no crash goes unnoticed.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from chalice.app import Blueprint, SQSEvent

from chalicelib import wiring
from chalicelib.core.accounts import Scope
from chalicelib.core.errors import NotFound, Poison
from chalicelib.core.exporting import Failed, Outcome, Source
from chalicelib.core.exports import Job
from chalicelib.observability import event_function, logger, metrics
from chalicelib.pageviews import requests_export as pageviews
from chalicelib.statistics.exports import SURFACE, Csv

from . import queued
from .append import QUEUE

blueprint = Blueprint(__name__)

WORKERS = 5
"""So many exports at once: nobody's export is worth everybody's functions."""


def _statistics(job: Job) -> Source:
    """Every value of a domain, or of a group of it. `group` is the group's id; empty for all groups."""
    scope = Scope(job.account, job.parameters["domain"])
    group = job.parameters.get("group", "")
    return Csv(lambda after: wiring.statistics().rows(scope, group, after), safe="safe" in job.parameters)


def _pageviews(job: Job) -> Source:
    """A site's page views, or its visits counted, up to a place in its log that was fixed when they were asked for."""
    from chalicelib.core.listing import Place  # noqa: PLC0415 - the functions that answer requests never read a log so

    wanted = job.parameters
    roster = wiring.accounts().roster(job.account)
    site = next((site for site in roster.sites() if str(site.id) == wanted["site"]), None)
    if site is None:
        raise NotFound("site")
    stream, end = site.stream, Place(int(wanted["head"]), int(wanted["event"]))
    if wanted["format"] == pageviews.Format.JSON:
        from chalicelib.pageviews import archive  # noqa: PLC0415 - few exports are archives

        folder, day = job.name.removesuffix(".zip"), int(wanted["day"]) if "day" in wanted else None
        about = archive.About(folder, wanted["host"], wanted["user"], job.created_at, day)
        return archive.Archive(about, lambda: wiring.listed_tables(stream, end))
    from chalicelib.pageviews import exports  # noqa: PLC0415 - as above

    start = int(wanted.get("start", "0"))
    safe = "safe" in wanted
    return exports.Csv(lambda: wiring.listed_segments(stream, end.head), site.id, start, end.event, safe=safe)


SOURCES: Mapping[str, Callable[[Job], Source]] = {SURFACE: _statistics, pageviews.SURFACE: _pageviews}
"""What each surface exports."""


def _source(job: Job) -> Source:
    if job.surface not in SOURCES:
        raise Poison(f"nobody exports {job.surface}")
    return SOURCES[job.surface](job)


@blueprint.on_sqs_message(queue_arn=f"{QUEUE}exports", batch_size=1, maximum_concurrency=WORKERS, name="export")
@event_function
def export(event: SQSEvent) -> dict[str, list[dict[str, str]]]:
    """Works on each job that is named, for as long as Lambda allows."""
    failed = [record["messageId"] for record in event.to_dict()["Records"] if not _export(record, event.context)]
    return {"batchItemFailures": [{"itemIdentifier": name} for name in failed]}


def _export(record: dict[str, Any], context: Any) -> bool:  # noqa: ANN401 - Lambda's
    """Works on a job; whether the message has done its duty."""

    def remaining() -> float:
        return float(context.get_remaining_time_in_millis()) / 1000

    try:
        asked = _asked(record["body"])
        job = wiring.exports().job(asked.account, asked.export)
        outcome = wiring.exporter().run(job, _source, remaining, again=asked.again)
    except NotFound:
        logger.warning("an export was asked for that there is not", extra={"sqs_message": record["messageId"]})
        return True
    except Failed as failure:
        logger.error("an export failed for good", exc_info=failure.__cause__, extra={"export": str(failure)})
        metrics.add_metric(name="ExportsFailed", unit="Count", value=1)
        return True
    except Poison as error:
        return queued.park(wiring.settings().parked_exports_queue, record, str(error))
    except Exception:
        logger.exception("an export failed for now", extra={"sqs_message": record["messageId"]})
        return queued.postpone(wiring.settings().exports_queue, record)
    return queued.postpone(wiring.settings().exports_queue, record) if outcome is Outcome.BUSY else True


class Asked(NamedTuple):
    """What a message asks for."""

    account: str
    export: str
    again: bool
    """Whether an operator has sent it back from the dead-letter queue."""


def _asked(body: str) -> Asked:
    try:
        said = json.loads(body)
        return Asked(str(said["account"]), str(said["export"]), again=said.get("again") is True)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Poison("not a request for an export") from error
