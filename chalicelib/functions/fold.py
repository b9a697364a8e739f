"""Folds streams into their rollups, as appenders and the daily sweep ask for it: the function `fold`."""

import json

from chalice.app import Blueprint, SQSEvent

from chalicelib import wiring
from chalicelib.observability import event_function, logger

from .append import QUEUE

blueprint = Blueprint(__name__)


@blueprint.on_sqs_message(queue_arn=f"{QUEUE}fold", batch_size=10, name="fold")
@event_function
def fold(event: SQSEvent) -> dict[str, list[dict[str, str]]]:
    """Folds or sweeps each stream that is named, once. What fails comes again, and does no harm to the others."""
    wanted: dict[tuple[str, bool], list[str]] = {}
    failed: list[str] = []
    for record in event.to_dict()["Records"]:
        try:
            body = json.loads(record["body"])
            wanted.setdefault((str(body["stream"]), bool(body.get("sweep"))), []).append(record["messageId"])
        except (ValueError, KeyError, TypeError):
            logger.exception("not a request to fold", extra={"sqs_message": record["messageId"]})
            failed.append(record["messageId"])
    for (stream, sweep), records in wanted.items():
        try:
            if sweep:
                wiring.folder().sweep(stream)
            else:
                wiring.folder().fold(stream)
        except Exception:
            logger.exception("a fold failed", extra={"stream": stream})
            failed.extend(records)
    return {"batchItemFailures": [{"itemIdentifier": name} for name in failed]}
