"""Until when a request has to be answered: API Gateway waits 29 seconds for a function, and no longer.

A request has one deadline, and all that it asks of AWS shares it, whichever threads ask: `aws.clients` begins no call
that has no time left, and waits for no answer much longer than until then. What is no request, such as a function that
a queue starts, has none.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from time import monotonic, sleep

from .errors import Unavailable

REQUEST = 20.0
"""Seconds that a request may spend on calls. The last of them may be refused a connection for some seconds more
(`aws.clients.CONNECT`), the function may have had to start first, and the answer takes its way.
"""
LEAST = 1.0
"""Seconds that must be left for a call to begin: far more than DynamoDB, SQS and S3 take when all is well."""

_until: ContextVar[float] = ContextVar("until", default=math.inf)


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """While this is open, whatever is asked for has to be there in so many seconds, or at an earlier deadline."""
    before = _until.set(min(_until.get(), monotonic() + seconds))
    try:
        yield
    finally:
        _until.reset(before)


def left() -> float:
    """Seconds until the deadline; infinitely many if there is none."""
    return _until.get() - monotonic()


def wait(seconds: float) -> None:
    """Waits, before something is asked for again.

    Raises:
        Unavailable: there is not enough time left for both.
    """
    if left() < seconds + LEAST:
        raise Unavailable("no time is left to try again")
    sleep(seconds)
