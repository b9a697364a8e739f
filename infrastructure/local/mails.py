"""Mails of a local run: a simulated SES takes them, and the terminal says where to look at them."""

from __future__ import annotations

import functools
import itertools
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from countless.printing import say

if TYPE_CHECKING:
    from chalicelib.core.mail import Mail, Mailer

SENDER = "reports@localhost.localdomain"


class Shown:
    """Sends as another does, and keeps what was sent as files that any mail program opens."""

    def __init__(self, mailer: Mailer, folder: Path) -> None:
        self._mailer = mailer
        self._folder = folder
        self._numbers = itertools.count(1)

    def send(self, mail: Mail) -> str:
        """Sends a mail, and says so."""
        number = self._mailer.send(mail)
        file = self._folder / f"{next(self._numbers)}.eml"
        file.write_bytes(mail.mime())
        say(f"mail to {', '.join(map(str, mail.to))}: {mail.subject} ({file})")
        return number


@contextmanager
def simulated() -> Iterator[None]:
    """While this is open, mails go to the simulated SES and into a folder that ends with it; unless the environment
    says what sends mails, or whatever plays AWS knows no SES.
    """
    from chalicelib import wiring  # noqa: PLC0415 - loads the service

    if not choose():
        yield
        return
    wiring.settings.cache_clear()
    usual = wiring.mailer
    with tempfile.TemporaryDirectory(prefix="countless-mails-") as folder:

        @functools.cache
        def mailer() -> Mailer | None:
            made = usual()
            return Shown(made, Path(folder)) if made else None

        wiring.mailer = mailer
        try:
            yield
        finally:
            wiring.mailer = usual
            for name in ("COUNTLESS_MAIL", "COUNTLESS_MAIL_FROM"):
                os.environ.pop(name, None)
            wiring.settings.cache_clear()


def choose() -> bool:
    """Lets the simulated SES send mails, unless the environment says what does, or whatever plays AWS knows no SES;
    whether it does now.
    """
    if os.environ.get("COUNTLESS_MAIL") or not _known():
        return False
    os.environ["COUNTLESS_MAIL"] = "ses"
    os.environ["COUNTLESS_MAIL_FROM"] = f"Countless <{SENDER}>"
    return True


def _known() -> bool:
    """Whether the simulated SES lets our sender send; it does from now on, if there is one."""
    import boto3  # noqa: PLC0415 - only now does the environment say where AWS is
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

    try:
        boto3.client("sesv2").create_email_identity(EmailIdentity=SENDER)
    except ClientError as error:
        return error.response["Error"]["Code"] == "AlreadyExistsException"
    except BotoCoreError:
        return False
    return True
