"""Folds streams into their rollups, as appenders and the daily sweep ask for it: the function `fold`."""

import json

from chalice.app import Blueprint, SQSEvent

from chalicelib import wiring
from chalicelib.observability import count, event_function, logger

from . import queued
from .append import QUEUE

blueprint = Blueprint(__name__)

DAY = 86400
SPARE = 40.0
"""Seconds that must be left to begin with another stream: a third of what the function may run."""


@blueprint.on_sqs_message(queue_arn=f"{QUEUE}fold", batch_size=10, name="fold")
@event_function
def fold(event: SQSEvent) -> dict[str, list[dict[str, str]]]:
    """Folds or sweeps each stream that is named, once. What fails comes again, and does no harm to the others; what
    there is no time for is handed back, so that each batch makes progress.
    """
    remaining = queued.remaining(event.context)
    wanted: dict[tuple[str, bool], list[queued.Record]] = {}
    failed: list[str] = []
    untried: list[queued.Record] = []
    swept: list[str] = []
    for record in event.to_dict()["Records"]:
        try:
            body = json.loads(record["body"])
            wanted.setdefault((str(body["stream"]), bool(body.get("sweep"))), []).append(record)
        except (ValueError, KeyError, TypeError):
            logger.exception("not a request to fold", extra={"sqs_message": record["messageId"]})
            failed.append(record["messageId"])
    for number, ((stream, sweep), records) in enumerate(wanted.items()):
        if number and remaining() < SPARE:
            untried.extend(records)
            continue
        try:
            if sweep:
                wiring.folder().sweep(stream)
                swept.append(stream)
            else:
                wiring.folder().fold(stream)
        except Exception:
            logger.exception("a fold failed", extra={"stream": stream})
            failed.extend(record["messageId"] for record in records)
    _note(swept)
    if untried:
        count("FoldsHandedBack", len(untried))
        queued.show(wiring.settings().fold_queue, untried)
        failed.extend(record["messageId"] for record in untried)
    return {"batchItemFailures": [{"itemIdentifier": name} for name in failed]}


def _note(swept: list[str]) -> None:
    """Notes whom the sweep has reached. If that fails, tomorrow's does."""
    try:
        wiring.rollups().note_swept(swept, int(wiring.now()) // DAY)
    except Exception:
        logger.exception("it could not be noted who was swept", extra={"streams": len(swept)})
