"""The one logger and the one set of metrics, and what every event handler is wrapped in.

Logs are JSON. They never hold what a caller sent: no header, address, path, query or body, and of an error its kind
and the place that it came from, not its message, which may quote any of these. X-Ray traces by Lambda's active
tracing; a tracer of our own would cost more cold start than everything else that we import.
"""

import hashlib
import json
import logging
import traceback
from collections.abc import Callable
from functools import wraps
from types import TracebackType
from typing import Any, Protocol, TypeVar

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.logging.formatter import LambdaPowertoolsFormatter
from aws_lambda_powertools.metrics import MetricUnit

NAMESPACE = "countless"
Raised = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]


class Discreet(LambdaPowertoolsFormatter):
    """Says of an exception what `describe` says, so that `logger.exception` is safe as well."""

    def formatException(self, ei: Raised) -> str:  # noqa: N802 - the standard library's name
        """The exception as one line of JSON."""
        return json.dumps(describe(ei[1])) if ei[1] is not None else ""


logger = Logger(service=NAMESPACE, level="INFO", logger_formatter=Discreet(serialize_stacktrace=False))
logging.getLogger(NAMESPACE).propagate = False  # the root's handlers would write out messages that are not discreet
metrics = Metrics(namespace=NAMESPACE, service=NAMESPACE)
_FRAMES = 12


class Event(Protocol):
    """What Chalice hands to an event handler."""

    context: Any


E = TypeVar("E", bound=Event)
R = TypeVar("R")


def event_function(handler: Callable[[E], R]) -> Callable[[E], R]:
    """Wraps an event handler: its logs name the invocation, its errors are logged and raised again, metrics leave.

    Stands between Chalice's decorator and the function: on Lambda the app, and its middleware, is not loaded for it.
    """

    @wraps(handler)
    def wrapped(event: E) -> R:
        logger.append_keys(
            function=getattr(event.context, "function_name", handler.__name__),
            request_id=getattr(event.context, "aws_request_id", None),
        )
        try:
            return handler(event)
        except Exception as error:
            failed("event handler failed", error)
            raise
        finally:
            flush()

    return wrapped


def count(name: str, value: float = 1) -> None:
    """Adds to a metric; `flush` sends it on its way."""
    metrics.add_metric(name=name, unit=MetricUnit.Count, value=value)


def flush() -> None:
    """Writes the metrics that were counted, if any were, into the log, where CloudWatch finds them."""
    if metrics.metric_set:
        metrics.flush_metrics()


def failed(what: str, error: BaseException, **details: str | int | None) -> str:
    """Logs an error that somebody has to look at; returns the code by which it can be found."""
    code = fingerprint(error)
    logger.error(what, extra={"code": code, **describe(error), **details})
    count("Errors")
    return code


def describe(error: BaseException) -> dict[str, Any]:
    """What may be said of an error: its kind, AWS's code if it came from there, and where it was raised."""
    said: dict[str, Any] = {"error": type(error).__name__}
    response = getattr(error, "response", None)
    if isinstance(response, dict):
        said["aws"] = response.get("Error", {}).get("Code")
        said["operation"] = getattr(error, "operation_name", None)
    said["stack"] = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in _frames(error)]
    if error.__cause__ is not None:
        said["cause"] = describe(error.__cause__)
    return said


def fingerprint(error: BaseException) -> str:
    """A short text in base 36 that is the same for errors of one kind from one place."""
    frames = _frames(error)
    place = f"{frames[-1].filename}:{frames[-1].lineno}" if frames else ""
    number = int.from_bytes(hashlib.sha256(f"{type(error).__name__} {place}".encode()).digest()[:6])
    digits = ""
    while number:
        number, digit = divmod(number, 36)
        digits = "0123456789abcdefghijklmnopqrstuvwxyz"[digit] + digits
    return digits or "0"


def _frames(error: BaseException) -> list[traceback.FrameSummary]:
    return traceback.extract_tb(error.__traceback__)[-_FRAMES:]
