"""Plugs the adapters together, each when it is first asked for: nothing is connected while modules are imported."""

import time
from functools import cache
from typing import TYPE_CHECKING

from .core import limits
from .settings import settings as settings  # noqa: PLC0414 - handed out from here

if TYPE_CHECKING:
    from .aws.accounts import Accounts
    from .aws.limits import Limiter
    from .aws.queues import SqsIngest
    from .aws.secrets import Secrets
    from .core.limits import Local, Window


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
    """The limits of keyed requests."""
    from .aws.limits import Limiter  # noqa: PLC0415

    return Limiter(settings(), lambda: secrets().own().server, _clock)


@cache
def pixels() -> "Local | None":
    """The limit of counting pixels, in this process alone; None if there is none."""
    window = plans().get("count")
    return limits.Local(window) if window else None


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


def forget() -> None:
    """Unplugs everything, settings included, as if the process had just started: for tests."""
    from .aws import clients  # noqa: PLC0415

    for made in (accounts, secrets, plans, limiter, pixels, ingest, settings):
        made.cache_clear()
    clients.forget()
