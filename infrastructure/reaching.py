"""How an operator's command reaches AWS, or what plays it; whatever goes wrong on the way is said in a line."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

import click

if TYPE_CHECKING:
    from botocore.exceptions import ClientError

F = TypeVar("F", bound=Callable[..., object])

VARIABLE = "COUNTLESS_AWS"
"""The variable that stands for the option."""
PLAYER = "The URL of the process that plays AWS for `countless serve`."


def at_aws(said: str = PLAYER) -> Callable[[F], F]:
    """The option `--aws`, as the argument `url`: an address that AWS's clients can use, or None. Whoever has set
    `COUNTLESS_AWS` need not give it.
    """
    return click.option("--aws", "url", metavar="URL", envvar=VARIABLE, show_envvar=True, callback=_checked, help=said)


def _checked(_: click.Context, __: click.Parameter, value: str | None) -> str | None:
    """Refuses as wrong usage what boto3 would break at."""
    if value is None:
        return None
    from botocore.utils import is_valid_endpoint_url, is_valid_ipv6_endpoint_url  # noqa: PLC0415 - loads botocore

    try:
        parts = urlsplit(value)
        good = parts.scheme in {"http", "https"} and parts.port != 0
        good = good and (is_valid_endpoint_url(value) or is_valid_ipv6_endpoint_url(value))
    except ValueError:  # a port that is none, or half an IPv6 address
        good = False
    if not good:
        raise click.BadParameter(f"{value!r} is not a URL such as http://127.0.0.1:4566")
    return value


@contextmanager
def reaching(url: str | None, missing: str = "There is no such thing.") -> Iterator[None]:
    """Asks AWS, or the process at `url` that plays it, with the environment that leads to what is there. `missing` is
    what to say of what is not.

    Raises:
        click.ClickException: something is missing, makes no sense, or AWS does not answer as it should.
    """
    import boto3  # noqa: PLC0415 - only now does the environment say where AWS is

    from chalicelib.core.errors import Invalid, NotFound  # noqa: PLC0415
    from infrastructure import storage  # noqa: PLC0415
    from infrastructure.local.aws import elsewhere  # noqa: PLC0415

    try:
        with answering(url):
            if url is not None:
                with elsewhere(url):
                    os.environ.update(storage.find(boto3.Session()))
            yield
    except NotFound as error:
        raise click.ClickException(missing) from error
    except Invalid as error:
        raise click.UsageError(error.message or _faults(error.fields)) from error


def _faults(fields: Mapping[str, Sequence[str]]) -> str:
    """What is wrong with which field, for a line."""
    return "; ".join(f"{name} {', '.join(said)}" for name, said in fields.items())


@contextmanager
def answering(url: str | None) -> Iterator[None]:
    """Says plainly what an AWS that fails means: `url` is the address that `--aws` names, if any.

    Raises:
        click.ClickException: it does not answer, or not as it should.
    """
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

    from chalicelib.core.errors import Unavailable  # noqa: PLC0415

    try:
        yield
    except ClientError as error:
        raise click.ClickException(_refused(error, url)) from error
    except (BotoCoreError, Unavailable) as error:
        raise click.ClickException(_unanswered(error, url)) from error


def _refused(error: ClientError, url: str | None) -> str:
    code = error.response["Error"].get("Code", "")
    if url is not None and code.isdigit():  # an answer in which botocore finds no word of AWS's
        return (
            f"{url} does not play AWS: it answers {error.operation_name} with {code}. "
            "Give the address that `countless aws` told, not that of a Countless service."
        )
    if url is not None and code.endswith("NonExistentQueue"):
        return f"No service keeps anything at {url} yet: start one with `countless serve --aws {url}`."
    return _unanswered(error, url)


def _unanswered(error: object, url: str | None) -> str:
    where = f" at {url}" if url is not None else ""
    hint = "" if url is not None else f" (for a local service, give --aws URL, or set {VARIABLE})"
    return f"AWS does not answer{where} as it should: {' '.join(str(error).split())}{hint}"
