"""What functions do with queue messages that have not done their duty: park them, or have them come again."""

import math
from collections.abc import Callable, Sequence
from typing import Any

from chalicelib import wiring
from chalicelib.observability import count, logger

Record = dict[str, Any]

LONGEST_PAUSE = 900
"""Seconds until what failed for now is tried again, at most."""
AT_ONCE = 10
"""Messages that SQS takes in one call."""


def receives(record: Record) -> int:
    """How often a message was received, this time included."""
    return int(record["attributes"].get("ApproximateReceiveCount", 1))


def group(record: Record) -> str | None:
    """The group of a message of a FIFO queue; None for other queues."""
    found: str | None = record["attributes"].get("MessageGroupId")
    return found


def remaining(context: object) -> Callable[[], float]:
    """Tells how many seconds a function has left; without end where its caller does not say."""
    asked = getattr(context, "get_remaining_time_in_millis", None)
    return (lambda: float(asked()) / 1000) if asked is not None else (lambda: math.inf)


def postpone(queue: str, record: Record) -> bool:
    """Leaves a message in its queue, to come again in a minute, then later and later; false, for its duty is not done.

    Otherwise it would stay hidden as long as that of a function that died, which is half an hour.
    """
    seconds = min(60 * 2 ** (receives(record) - 1), LONGEST_PAUSE)
    try:
        wiring.postpone(queue, record, seconds)
    except Exception:
        logger.exception("a message could not be postponed", extra={"sqs_message": record["messageId"]})
    return False


def show(queue: str, records: Sequence[Record]) -> None:
    """Has at most `AT_ONCE` messages that are not acknowledged come again at once, as far as the queue can be told."""
    try:
        wiring.show(queue, records)
    except Exception:
        logger.exception("messages could not be handed back", extra={"messages": len(records)})


def renew(queue: str, records: Sequence[Record]) -> set[str]:
    """Sends messages anew, as if they had never been received; the ids of those that are to be acknowledged now.

    Of those it does not say this of there may be two from now on; the log recognises the second.
    """
    try:
        refused = wiring.renew(queue, records)
    except Exception:
        logger.exception("messages could not be sent anew", extra={"messages": len(records)})
        return set()
    return {record["messageId"] for number, record in enumerate(records) if number not in refused}


def park(queue: str, record: Record, reason: str) -> bool:
    """Puts a message into a dead-letter queue, as it is: whoever mends the cause can send it back.

    Says whether it is there now.
    """
    count("MessagesParked")
    return parked(queue, record, reason)


def parked(queue: str, record: Record, reason: str) -> bool:
    """As `park`, for threads: it leaves it to the caller to count."""
    logger.error("a message is parked", extra={"sqs_message": record["messageId"], "reason": reason})
    try:
        wiring.park(queue, record)
    except Exception:
        logger.exception("a message could not be parked", extra={"sqs_message": record["messageId"]})
        return False
    return True
