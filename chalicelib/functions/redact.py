"""Takes page views out of streams for good: the function `redact`, and what asks it to.

A message names a stream; what is to be done stands in the stream's book, so that it does not matter how often a message
comes. The timed jobs:

retain         daily at 01:10 UTC    begins to remove what is older than its site keeps page views
purge_sites    every 12 hours        removes deleted sites for good (page-view contract, section 11)
ask_redactions hourly                asks for redactions whose messages were lost
"""

import json
from typing import Any

from chalice.app import Blueprint, CloudWatchEvent, Cron, Rate, SQSEvent

from chalicelib import wiring
from chalicelib.observability import event_function, logger, metrics

from . import queued, walks
from .append import QUEUE

blueprint = Blueprint(__name__)

WORKERS = 5
"""So many streams at once."""


@blueprint.on_sqs_message(queue_arn=f"{QUEUE}redactions", batch_size=1, maximum_concurrency=WORKERS, name="redact")
@event_function
def redact(event: SQSEvent) -> dict[str, list[dict[str, str]]]:
    """Works on each stream that is named, for as long as Lambda allows."""
    failed = [record["messageId"] for record in event.to_dict()["Records"] if not _redact(record, event.context)]
    return {"batchItemFailures": [{"itemIdentifier": name} for name in failed]}


def _redact(record: dict[str, Any], context: Any) -> bool:  # noqa: ANN401 - Lambda's
    """Works on a stream's book; whether the message has done its duty."""

    def remaining() -> float:
        return float(context.get_remaining_time_in_millis()) / 1000

    from chalicelib.core.redactions import Outcome  # noqa: PLC0415 - functions that answer requests never redact

    try:
        stream = str(json.loads(record["body"])["stream"])
    except (ValueError, KeyError, TypeError):
        return queued.park(wiring.settings().parked_redactions_queue, record, "names no stream")
    try:
        outcome = wiring.redactor().work(stream, remaining)
        if outcome is Outcome.MORE:
            wiring.redactions().ask(stream)
    except Exception:
        logger.exception("a redaction failed for now", extra={"stream": stream})
        metrics.add_metric(name="RedactionsFailed", unit="Count", value=1)
        return queued.postpone(wiring.settings().redactions_queue, record)
    return queued.postpone(wiring.settings().redactions_queue, record) if outcome is Outcome.BUSY else True


@blueprint.schedule(Cron(10, 1, "*", "*", "?", "*"), name="retain")
@event_function
def retain(event: CloudWatchEvent) -> None:
    """Begins retention for every site that keeps page views for so many days only, and has older ones."""
    walks.begin("retain", event.context)


@blueprint.schedule(Rate(12, unit=Rate.HOURS), name="purge_sites")
@event_function
def purge_sites(event: CloudWatchEvent) -> None:
    """Removes deleted sites: first what they counted, and once that is gone the sites themselves."""
    walks.begin("purge_sites", event.context)


@blueprint.schedule(Rate(1, unit=Rate.HOURS), name="ask_redactions")
@event_function
def ask_redactions(event: CloudWatchEvent) -> None:
    """Asks again for redactions that nobody works on, of sites and of deleted ones."""
    walks.begin("ask_redactions", event.context)
    walks.begin("ask_deleted", event.context)
