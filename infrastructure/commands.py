"""What `countless` can do for an operator, besides what the client library brings."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import click

from chalicelib.core import limits as core
from countless.printing import say
from infrastructure.audit import audit, rebuild
from infrastructure.care import erase, paths
from infrastructure.keys import keys, limits_named
from infrastructure.mail import mail
from infrastructure.reaching import at_aws, reaching
from infrastructure.rotate import secrets
from infrastructure.sites import sites
from infrastructure.users import users

PORT = click.IntRange(0, 65535)


def _host(_: click.Context, __: click.Parameter, value: str) -> str:
    """An address as sockets have it: without the brackets of URLs."""
    return value[1:-1] if value.startswith("[") and value.endswith("]") else value


def _limits(_: click.Context, __: click.Parameter, value: str) -> str:
    """Plans of limits, as `--limits` names them."""
    try:
        core.plans(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error
    return value


@click.command(
    short_help="Run the whole service in one process, with a demo account.",
    epilog=limits_named(f"Limits are {core.FORM}. The names, and what is so by default:"),
)
@click.option("--port", type=PORT, default=8000, show_default=True, help="Where to listen; 0 takes a free port.")
@click.option("--host", default="127.0.0.1", show_default=True, callback=_host, help="The address to listen on.")
@click.option(
    "--credentials",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write URL and keys to this file, as JSON, once it serves. Keys found there go on being used; "
    "a file with anything else is refused.",
)
@at_aws("The URL of a process that plays AWS; without it, this one does.")
@click.option(
    "--limits",
    default="on",
    show_default=True,
    envvar="COUNTLESS_LIMITS",
    show_envvar=True,
    metavar="TEXT",
    callback=_limits,
    help="on, off, or changes to the plans, such as api:20/1,api2:none.",
)
def serve(port: int, host: str, credentials: Path | None, url: str | None, limits: str) -> None:
    """Run the whole service in one process, with a demo account.

    Without --aws everything counted ends with the process.
    """
    from infrastructure.local import serve as local  # noqa: PLC0415 - loads the service and moto

    local.serve(local.Options(host, port, credentials, url, limits))


@click.command(short_help="Play AWS in a process of its own.")
@click.option("--port", type=PORT, default=4566, show_default=True, help="Where to listen; 0 takes a free port.")
@click.option("--host", default="127.0.0.1", show_default=True, callback=_host, help="The address to listen on.")
def aws(port: int, host: str) -> None:
    """Play AWS for services that come and go: use it as `countless serve --aws URL`.

    It keeps everything in memory until it is stopped.
    """
    from infrastructure.local.aws import moto_server  # noqa: PLC0415 - loads moto
    from infrastructure.local.serve import Stop, look_for_port  # noqa: PLC0415

    look_for_port(host, port)
    stop, stopped = Stop(), threading.Event()
    stop.how = stopped.set
    stop.listen()
    with moto_server(host, port) as url:
        say(f"AWS is played at {url}")
        while not stopped.wait(0.2):  # short waits: a signal is only heard between two of them
            pass


@click.command(short_help="Move parked messages back into their queues.")
@click.argument(
    "queues", nargs=-1, type=click.Choice(["ingest", "imports", "fold", "removals", "exports", "redactions"])
)
@at_aws()
def redrive(queues: tuple[str, ...], url: str | None) -> None:
    """Move parked messages back into their queues; into all of them, or those named.

    Against AWS itself, the variables that the functions have (COUNTLESS_..._QUEUE) say which queues.
    What was counted already is recognised and not counted again.
    """
    import boto3  # noqa: PLC0415

    from infrastructure import operate  # noqa: PLC0415

    with reaching(url):
        for name in queues or operate.PARKED:
            parked, target = (os.environ.get(variable) for variable in operate.PARKED[name])
            if parked is None or target is None:
                variables = " and ".join(operate.PARKED[name])
                raise click.ClickException(
                    f"{variables} must say where the queues are; "
                    "for a local service, give --aws URL, or set COUNTLESS_AWS."
                )
            moved = operate.redrive(boto3.Session().client("sqs"), parked, target)
            say(f"{name}: {moved} messages moved")


COMMANDS: list[click.Command] = [serve, aws, redrive, audit, rebuild, keys, sites, users, mail, paths, erase, secrets]
