"""A mail, as the service makes it, and what sends it; whoever sends, the errors mean the same.

NotSent (it may be tried again), Refused (as it is it never will be sent), or Uncertain of `core.errors` (the answer was
lost: sent once, or not at all, and never to be repeated silently).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from typing import Protocol

from .errors import Invalid, Poison, Unavailable

LONGEST_ADDRESS = 254
"""Bytes of an address, so that it fits into a path of 256 with its brackets (RFC 5321, section 4.5.3.1.3)."""
MOST_RECIPIENTS = 50
"""As many as SES takes at once."""
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_HEADER = re.compile(r"[!-9;-~]{1,76}", re.ASCII)
_MAILBOX = re.compile(r'"?(?P<name>[^<>"@]*?)"?\s*<(?P<address>[^<>\s]+)>|(?P<plain>[^<>\s]+)')
_LOCAL = re.compile(r"(?=.{1,64}\Z)[\w!#$%&'*+/=?^`{|}~-]+(\.[\w!#$%&'*+/=?^`{|}~-]+)*", re.ASCII)
"""Before the @: 64 bytes at most (RFC 5321, section 4.5.3.1.1), nothing that would want quotes."""
_DOMAIN = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)(\.(?!-)[a-z0-9-]{1,63}(?<!-))*", re.ASCII | re.IGNORECASE)
_OWN = frozenset({"from", "to", "subject", "mime-version", "bcc", "cc", "sender", "message-id", "date"})
"""What a mail or its sender says by itself."""
_LONGEST_LINE = 998
"""Characters of a line (RFC 5322, section 2.1.1)."""
_POLICY = SMTP.clone(cte_type="7bit", max_line_length=76)
"""No server need know 8BITMIME, and a quoted-printable line has 76 characters at most (RFC 2045, section 6.7)."""


class NotSent(Unavailable):
    """The mail was certainly not sent. Nothing is wrong with it: it may be tried again."""


class Refused(Poison):
    """The mail was not sent, and as it is it never will be: its address is none, or nobody takes what it says."""


@dataclass(frozen=True, slots=True)
class Mailbox:
    """Somebody's address, with a name to show beside it."""

    address: str
    """As it travels: in ASCII, the domain of another alphabet in its ASCII form (IDNA)."""
    name: str = ""

    @classmethod
    def read(cls, text: str, field: str = "address") -> "Mailbox":
        """The mailbox that a text names: `ann@example.com` or `Ann <ann@example.com>`.

        Raises:
            Invalid: it names none; `field` says whose fault that is.
        """
        sound = len(text) <= _LONGEST_LINE and not _CONTROLS.search(text)
        read = _MAILBOX.fullmatch(text.strip()) if sound else None
        if read is None:
            raise Invalid(fields={field: ["must be an e-mail address such as ann@example.com"]})
        local, _, domain = (read["plain"] or read["address"]).rpartition("@")
        domain = _in_ascii(domain)
        written = f"{local}@{domain}"
        if not _LOCAL.fullmatch(local) or not _DOMAIN.fullmatch(domain) or len(written) > LONGEST_ADDRESS:
            raise Invalid(fields={field: ["must be an e-mail address such as ann@example.com"]})
        return cls(written, read["name"] or "")

    def __str__(self) -> str:
        """As a header shows it."""
        return str(Address(self.name, addr_spec=self.address))


def _in_ascii(domain: str) -> str:
    """A domain as the DNS has it; nothing if it has none. Names whose two standards differ (`straße` is `strasse` by
    IDNA 2003 alone) have none: the mail would be somebody else's.
    """
    try:
        written = domain.lower().encode("idna")
        return written.decode() if written.decode("idna") == domain.lower() else ""
    except UnicodeError:
        return ""


@dataclass(frozen=True, slots=True)
class Mail:
    """A mail to send: all of its recipients see each other.

    Raises:
        Invalid: a header would not be what it says, or there is nobody to send to; it names the field.
    """

    sender: Mailbox
    to: tuple[Mailbox, ...]
    subject: str
    text: str
    html: str = ""
    """The same for those who like it better; empty for none."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Besides those that every mail has."""

    def __post_init__(self) -> None:
        """Looks for what would break the mail apart: a line break in a header starts another one."""
        if not 0 < len(self.to) <= MOST_RECIPIENTS:
            raise Invalid(fields={"to": [f"must be 1 to {MOST_RECIPIENTS} addresses"]})
        if _CONTROLS.search(self.subject):
            raise Invalid(fields={"subject": ["must not have control characters"]})
        for mailbox in (self.sender, *self.to):
            if _CONTROLS.search(mailbox.name):
                raise Invalid(fields={"name": ["must not have control characters"]})
            Mailbox.read(mailbox.address)
        for name, value in self.headers.items():
            if not _HEADER.fullmatch(name) or _CONTROLS.search(value) or not value.isascii():
                raise Invalid(fields={"headers": ["must be names and values in ASCII, without control characters"]})
            if len(name) + len(value) + 2 > _LONGEST_LINE:
                raise Invalid(fields={"headers": [f"{name} must fit into {_LONGEST_LINE} characters"]})
            if name.lower() in _OWN or name.lower().startswith("content-"):
                raise Invalid(fields={"headers": [f"{name} is the mail's own"]})

    def mime(self, more: Mapping[str, str] | None = None) -> bytes:
        """The mail as it travels (RFC 5322): in ASCII, with lines that end in CR LF. `more` are headers that only
        the sender can say, such as its date.
        """
        message = EmailMessage(policy=_POLICY)
        message["From"] = str(self.sender)
        message["To"] = ", ".join(map(str, self.to))
        message["Subject"] = self.subject
        message.set_content(self.text)
        if self.html:
            message.add_alternative(self.html, subtype="html")
        # A long address must stay in one piece: folding would encode it.
        whole = "".join(f"{name}: {value}\r\n" for name, value in {**self.headers, **(more or {})}.items())
        return whole.encode("ascii") + message.as_bytes()


class Mailer(Protocol):
    """What sends mails."""

    def send(self, mail: Mail) -> str:
        """Sends a mail to all of its recipients, or to none; returns the id that the sender gave it.

        Raises:
            NotSent: certainly not sent; it may be tried again.
            Refused: not sent, and never will be as it is.
            Uncertain: sent once, or not at all.
        """
