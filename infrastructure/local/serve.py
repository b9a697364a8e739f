"""`countless serve`: gateway, functions, pump and schedules in one process, over an AWS simulated or elsewhere."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import click

from countless.printing import say
from infrastructure.local import addresses, aws, credentials, mails
from infrastructure.reaching import answering

if TYPE_CHECKING:
    from infrastructure.local.gateway import Gateway

VISIBILITY = 5
"""Seconds until a message that failed, or whose worker was killed, comes again. On AWS it takes minutes."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says."""

    host: str = "127.0.0.1"
    port: int = 8000
    credentials: Path | None = None
    aws: str | None = None
    """The URL of another process that plays AWS; None to play it here."""
    limits: str = "on"


class Stop:
    """Turns Ctrl-C and SIGTERM into an orderly end: before the server runs by leaving, then by stopping it."""

    def __init__(self) -> None:
        self.how: Callable[[], None] | None = None
        self.asked = False

    def listen(self) -> None:
        """Take over the two signals."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._heard)

    def _heard(self, _number: int, _frame: FrameType | None) -> None:
        if self.asked:  # somebody is impatient
            os._exit(1)
        self.asked = True
        if self.how is None:
            raise SystemExit(0)
        self.how()


def serve(options: Options) -> None:
    """Serve until a signal ends it; then return."""
    stop = Stop()
    stop.listen()
    _require_sound(options)
    look_for_port(options.host, options.port, ", or with make run PORT=...")
    known = _known(options.credentials) if options.credentials else None
    _quiet()
    with _aws(options.aws):
        environment = _prepare(options)
        with mails.simulated(), _working(environment, alone=options.aws is None) as gateway:
            written = _answer(gateway, options, known, stop)
    if options.credentials is not None and options.aws is None:
        credentials.withdraw(options.credentials, written)  # the account that it names is gone
    sys.stdout.flush()
    sys.stderr.flush()
    if any(not thread.daemon for thread in threading.enumerate() if thread is not threading.main_thread()):
        os._exit(0)  # a request still waits for an AWS that is gone: it must not keep us here


def _require_sound(options: Options) -> None:
    """Goes on only if what the environment says can be meant: nobody wants to learn of it when a mail is due.

    Raises:
        click.UsageError: it cannot; all that is wrong is named.
    """
    from chalicelib.settings import read  # noqa: PLC0415 - as little as possible before a port is known to be free
    from infrastructure.configuration import faults  # noqa: PLC0415

    wrong = faults(read({**os.environ, "COUNTLESS_LIMITS": options.limits}))
    if wrong:
        raise click.UsageError("; ".join(f"{name} {said}" for name, said in wrong.items()))


def _known(file: Path) -> credentials.Credentials | None:
    """What an earlier run wrote into the file, which is out of the way then.

    Raises:
        click.BadParameter: something else stands there, or nothing can be written.
    """
    try:
        return credentials.take(file)
    except (credentials.NotOurs, OSError) as error:
        raise click.BadParameter(str(error), param_hint="--credentials") from error


def look_for_port(host: str, port: int, hint: str = "") -> None:
    """Says at once, and plainly, that a port cannot be had; `hint` ends the sentence that says what to do.

    Raises:
        click.ClickException: somebody else listens there, or nobody may.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except (OSError, TypeError, ValueError) as error:  # Python says of a host in many ways that it is none
            why = error.strerror if isinstance(error, OSError) else error
            raise click.ClickException(
                f"port {port} of {host} cannot be had ({why}); choose another with --port{hint}"
            ) from error


def _quiet() -> None:
    """Metrics and informative log lines are for CloudWatch; a terminal gets warnings."""
    from chalicelib import observability  # noqa: PLC0415 - loaded when the old credentials are out of the way

    observability.logger.setLevel(logging.WARNING)
    # Powertools' own switch would collect them, and print them all when there are a hundred.
    setattr(observability.metrics, "flush_metrics", observability.metrics.clear_metrics)  # noqa: B010
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")


@contextlib.contextmanager
def _aws(url: str | None) -> Iterator[None]:
    with aws.in_process() if url is None else aws.elsewhere(url):
        yield


def _prepare(options: Options) -> dict[str, str]:
    """Make tables, queues, bucket and secrets where they are missing, and let the environment lead to them."""
    import boto3  # noqa: PLC0415 - only now does the environment say where AWS is

    from chalicelib import wiring  # noqa: PLC0415
    from infrastructure import storage  # noqa: PLC0415

    with answering(options.aws):
        environment = storage.create(boto3.Session(), visibility=storage.Visibility.all(VISIBILITY))
        os.environ.update(environment)
        os.environ["COUNTLESS_LIMITS"] = options.limits
        wiring.secrets().ensure()
    return environment


@contextlib.contextmanager
def _working(environment: dict[str, str], *, alone: bool) -> Iterator[Gateway]:
    """The service with its workers running; gives the gateway to it. Its queues are this process's `alone`, or not."""
    import boto3  # noqa: PLC0415

    from app import app  # noqa: PLC0415 - the service reads its settings from the environment
    from infrastructure.local.gateway import Gateway  # noqa: PLC0415
    from infrastructure.local.pump import PATIENT_POLL, POLL, Pump  # noqa: PLC0415
    from infrastructure.local.schedules import Schedules  # noqa: PLC0415

    pump = Pump.of(app, environment, boto3.Session().client("sqs"))
    schedules = Schedules.of(app, datetime.now(UTC))
    gateway = Gateway(app)
    pump.start(PATIENT_POLL if alone else POLL)
    schedules.start()
    try:
        yield gateway
    finally:
        schedules.stop()
        pump.stop()


def _answer(
    gateway: Gateway, options: Options, known: credentials.Credentials | None, stop: Stop
) -> credentials.Credentials | None:
    """Serve HTTP until told to stop; say how to use it once it answers. Returns the keys, if it ever did.

    Raises:
        click.ClickException: they could not be written.
    """
    from chalicelib import wiring  # noqa: PLC0415
    from infrastructure.local import demo  # noqa: PLC0415
    from infrastructure.local.server import Server  # noqa: PLC0415

    told: list[credentials.Credentials] = []

    def ready(bound: str, port: int) -> None:
        url = addresses.url(options.host, bound, port)
        host = url.removeprefix("http://").rpartition(":")[0]
        if not os.environ.get("COUNTLESS_URL"):
            os.environ["COUNTLESS_URL"] = url
            wiring.settings.cache_clear()
        keys = demo.ensure(wiring.accounts(), wiring.domains(), url, known, host)
        if options.credentials is not None:
            try:
                credentials.write(options.credentials, keys)
            except OSError as error:
                raise click.ClickException(f"the keys cannot be written: {error}") from error
        told.append(keys)
        say(*greeting(keys, options).rstrip("\n").split("\n"))

    server = Server(gateway, options.host, options.port, ready)
    stop.how = server.stop
    if not stop.asked:
        server.run()
    return next(iter(told), None)


def greeting(keys: credentials.Credentials, options: Options) -> str:
    """What the terminal shows once it serves."""
    from chalicelib.pageviews.start import snippet  # noqa: PLC0415 - loads the service
    from infrastructure.local.demo import CODE  # noqa: PLC0415

    url, token = keys.url, keys.api_token
    played = os.environ.get("COUNTLESS_FILES_URL", "") if options.aws is None else options.aws
    kept = (
        "AWS is simulated in this process: everything counted here ends with it."
        if options.aws is None
        else f"AWS is played by {played}: what is counted lives as long as that does."
    )
    log = Path("tests/data/access.log.gz")
    example = log if log.exists() else Path("access.log")
    command = "countless" if shutil.which("countless") else sys.argv[0]
    return f"""
Countless serves {url}
Open it in a browser, or put this on a page that is to be counted:

  {snippet(url, local=True)}

  account     {keys.account}, site {keys.site_id}, also at {url}/s/{CODE}
  API token   {token}
  domain key  {keys.domain_key} (each opens everything here)

Try, in another terminal:

  token={token}
  curl -X POST {url}/api/v0/count -H "Authorization: Bearer $token" -H 'Content-Type: application/json' \\
      --data '{{"no_sessions": true, "hits": [{{"path": "/one"}}, {{"path": "/two"}}]}}'

  curl {url}/api/v0/stats/total -H "Authorization: Bearer $token" -H 'Content-Type: application/json'

  {command} import {example} --url {url} --token $token

  curl -X POST {url}/v1/api/statistics/Automations/mails%20sent -H "Authorization: Bearer $token" \\
      --data '{{"method": "increment"}}'

For operators' commands, such as `{command} sites list`:

  export COUNTLESS_AWS={played}

{kept} Ctrl-C stops it.
"""
