"""Sends mails by any server that speaks SMTP, over TLS."""

import smtplib
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email.utils import formatdate, make_msgid
from typing import NoReturn
from urllib.parse import urlsplit

from chalicelib.core.errors import Invalid, Unavailable, Uncertain
from chalicelib.core.mail import Mail, NotSent, Refused

PATIENCE = 20.0
"""Seconds to wait for a server's answer: some look into a mail before they take it."""
_BROKEN = (smtplib.SMTPException, OSError, UnicodeError)
"""What may go wrong; the last for a host or a login that cannot be written as the protocol wants it."""
_DONE, _SENT = 250, 251
_FOR_NOW = 500
"""Answers below mean that it may go well later, those from here on that it will not (RFC 5321, section 4.2.1)."""


@dataclass(frozen=True, slots=True)
class Login:
    """What a server wants to be told before it sends anything."""

    user: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Server:
    """Where mails are handed in."""

    host: str
    port: int
    implicit: bool
    """Whether TLS begins with the connection, else by STARTTLS, without which nothing is said."""

    @classmethod
    def read(cls, url: str) -> "Server":
        """The server of `smtp://HOST:587` or `smtps://HOST`.

        Raises:
            Invalid: it is no such URL. A user or a password in it is refused: environments are no place for them.
        """
        said = "must be empty, ses, smtp://HOST:587 or smtps://HOST:465, without a login"
        wrong = Invalid(fields={"COUNTLESS_MAIL": [said]})
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise wrong from None
        plain = not (parts.path.strip("/") or parts.query or parts.fragment or "@" in parts.netloc)
        if parts.scheme not in ("smtp", "smtps") or not parts.hostname or not plain or port == 0:
            raise wrong
        implicit = parts.scheme == "smtps"
        return cls(parts.hostname, port or (465 if implicit else 587), implicit)


class Smtp:
    """A server that takes mails. Its certificate must be good for its name; nothing is said to it in the clear but
    EHLO and STARTTLS.
    """

    def __init__(
        self, server: Server, login: Callable[[], Login | None], context: ssl.SSLContext | None = None
    ) -> None:
        """`login` is asked for each mail; `context` is for servers whose certificate a private authority signed."""
        self._server = server
        self._login = login
        self._context = context or ssl.create_default_context()

    def send(self, mail: Mail) -> str:
        """Sends a mail; as `core.mail.Mailer`. Its id is the Message-ID that it travels with."""
        _, _, domain = mail.sender.address.rpartition("@")
        number = make_msgid(domain=domain)
        raw = mail.mime({"Date": formatdate(), "Message-ID": number})
        try:
            login = self._login()
        except Unavailable as error:
            raise NotSent("SMTP: the login cannot be read") from error
        with self._connected(domain) as server:
            try:
                if login:
                    server.login(login.user, login.password)
                _expect(server.mail(mail.sender.address), "MAIL")
                for mailbox in mail.to:
                    _expect(server.rcpt(mailbox.address), "RCPT")
            except _BROKEN as error:
                _not_sent(error)
            _hand_over(server, raw)
        return number

    @contextmanager
    def _connected(self, domain: str) -> Iterator[smtplib.SMTP]:
        """The server, over TLS. What it says to a farewell is of no importance any more.

        It is greeted in the name of the sender's domain: a function has no name of its own, and to look for one takes
        its time.
        """
        where = self._server
        server: smtplib.SMTP | None = None
        try:
            if where.implicit:
                server = smtplib.SMTP_SSL(where.host, where.port, domain, timeout=PATIENCE, context=self._context)
            else:
                server = smtplib.SMTP(where.host, where.port, domain, timeout=PATIENCE)
                server.starttls(context=self._context)
            server.ehlo_or_helo_if_needed()
        except _BROKEN as error:
            if server is not None:
                server.close()
            _not_sent(error)
        try:
            yield server
        finally:
            with suppress(smtplib.SMTPException, OSError):
                server.quit()
            server.close()


def _expect(answer: tuple[int, bytes], command: str) -> None:
    """Goes on only if the server takes what it was told: the sender, or each recipient.

    Raises:
        NotSent: it may do so later.
        Refused: it never will.
    """
    if answer[0] in (_DONE, _SENT):
        return
    # Not the server's words: they often repeat the address.
    wrong = f"SMTP: {command} was answered with {answer[0]}"
    raise NotSent(wrong) if answer[0] < _FOR_NOW or command == "MAIL" else Refused(wrong)


def _hand_over(server: smtplib.SMTP, raw: bytes) -> None:
    """Sends the mail itself. Once it is on its way, silence says nothing about whether it was taken."""
    try:
        code, _ = server.data(raw)
    except smtplib.SMTPDataError as error:  # the server did not want to hear it
        raise NotSent(f"SMTP: DATA was answered with {error.smtp_code}") from error
    except (smtplib.SMTPException, OSError) as error:
        raise Uncertain(f"SMTP: {type(error).__name__}") from error
    if code != _DONE:
        wrong = f"SMTP: the mail was answered with {code}"
        raise NotSent(wrong) if code < _FOR_NOW else Refused(wrong)


def _not_sent(error: Exception) -> NoReturn:
    """Names what went wrong without its words, which may hold a login."""
    code = f" {error.smtp_code}" if isinstance(error, smtplib.SMTPResponseException) else ""
    raise NotSent(f"SMTP: {type(error).__name__}{code}") from error
