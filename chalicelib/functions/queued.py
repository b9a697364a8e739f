"""What functions do with a queue message that has not done its duty: park it, or have it come again later."""

from typing import Any

from chalicelib import wiring
from chalicelib.observability import logger, metrics

LONGEST_PAUSE = 900
"""Seconds until what failed for now is tried again, at most."""


def postpone(queue: str, record: dict[str, Any]) -> bool:
    """Leaves a message in its queue, to come again in a minute, then later and later; false, for its duty is not done.

    Otherwise it would stay hidden as long as that of a function that died, which is half an hour.
    """
    seconds = min(60 * 2 ** (int(record["attributes"].get("ApproximateReceiveCount", 1)) - 1), LONGEST_PAUSE)
    try:
        wiring.postpone(queue, record, seconds)
    except Exception:
        logger.exception("a message could not be postponed", extra={"sqs_message": record["messageId"]})
    return False


def park(queue: str, record: dict[str, Any], reason: str) -> bool:
    """Puts a message into a dead-letter queue, as it is: whoever mends the cause can send it back.

    Says whether it is there now.
    """
    logger.error("a message is parked", extra={"sqs_message": record["messageId"], "reason": reason})
    metrics.add_metric(name="MessagesParked", unit="Count", value=1)
    try:
        wiring.park(queue, record)
    except Exception:
        logger.exception("a message could not be parked", extra={"sqs_message": record["messageId"]})
        return False
    return True
