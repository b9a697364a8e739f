"""Whether what the environment says can be meant: looked at before a service starts, not when it is first needed."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

from chalicelib.core import limits
from chalicelib.core.errors import Invalid
from chalicelib.core.mail import Mailbox
from chalicelib.core.writer import LARGEST, Bounds
from chalicelib.settings import Settings

Check = Callable[[str], str]
"""What is wrong with a value: the end of a sentence that the variable's name begins; empty if nothing is."""

_TABLE = re.compile(r"[A-Za-z0-9_.-]{3,255}")
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_PARAMETERS = re.compile(r"(/[A-Za-z0-9_.-]+)+")
_SECRET = re.compile(r"[\x21-\x7e]{16,}")
"""Two by comma are such a text as well; each is checked by itself."""
_TEXT = re.compile(r"[^\x00-\x1f\x7f]{1,200}")


def faults(given: Settings) -> dict[str, str]:
    """What is wrong, by variable: each the end of a sentence that the variable begins. A secret is never repeated."""
    found = {name: check(value) for name, check in CHECKS.items() if (value := getattr(given, name))}
    if given.mail and not given.mail_from:
        found["mail_from"] = "must say whom mails are from, now that COUNTLESS_MAIL says what sends them"
    return {f"COUNTLESS_{name.upper()}": wrong for name, wrong in found.items() if wrong}


def _fits(pattern: re.Pattern[str], otherwise: str) -> Check:
    return lambda value: "" if pattern.fullmatch(value) else otherwise


def _address(value: str) -> str:
    """The address of a service, to which paths are added."""
    try:
        parts = urlsplit(value)
        good = parts.port != 0
    except ValueError:  # a port that is none, or half an IPv6 address
        good = False
    plain = good and not (parts.query or parts.fragment or "@" in parts.netloc or re.search(r"[\s\x00-\x1f]", value))
    if plain and parts.scheme in {"http", "https"} and parts.hostname and not value.endswith("/"):
        return ""
    return "must be an address such as https://stats.example.com, without a slash at its end"


def _limits(value: str) -> str:
    try:
        limits.plans(value)
    except ValueError as error:
        return f"says {error}"
    return ""


def _secrets(value: str) -> str:
    """One secret, or two of which either is accepted."""
    parts = value.split(",")
    good = len(parts) <= 2 and all(_SECRET.fullmatch(part) for part in parts)
    return (
        "" if good else "must have at least 16 characters of ASCII, and no space; or be two such, with a comma between"
    )


def _megabytes(value: str) -> str:
    try:
        Bounds.read(value)
    except Invalid:
        return f"must be a number from 1 to {LARGEST}"
    return ""


def _mail(value: str) -> str:
    from chalicelib.aws.smtp import Server  # noqa: PLC0415 - for those who have one

    return "" if value == "ses" else _invalid(lambda: Server.read(value))


def _mailbox(value: str) -> str:
    return _invalid(lambda: Mailbox.read(value, "address"))


def _invalid(read: Callable[[], object]) -> str:
    try:
        read()
    except Invalid as error:
        return "; ".join(said for messages in error.fields.values() for said in messages)
    return ""


def _places(value: str) -> str:
    from chalicelib.pageviews import geo  # noqa: PLC0415 - for those who have one

    try:
        geo.locator(value)
    except (OSError, RuntimeError) as error:
        return f"cannot be read as a database of places: {error}"
    return ""


def _list(value: str) -> str:
    try:
        parts = urlsplit(value)
        good = bool(parts.hostname) and (
            parts.scheme == "https" or (parts.scheme == "s3" and bool(parts.path.strip("/")))
        )
    except ValueError:
        good = False
    return "" if good else "must be an address such as https://example.com/list.txt or s3://BUCKET/KEY"


_table = _fits(_TABLE, "must be the name of a table: 3 to 255 letters, digits, dots, hyphens and underscores")
CHECKS: Mapping[str, Check] = {
    **dict.fromkeys((name for name in Settings.__slots__ if name.endswith("_table")), _table),
    **dict.fromkeys((name for name in Settings.__slots__ if name.endswith("_queue")), _address),
    "bucket": _fits(_BUCKET, "must be the name of a bucket: 3 to 63 small letters, digits, dots and hyphens"),
    "files_url": _address,
    "secrets": _fits(_PARAMETERS, "must begin the names of parameters, such as /countless, without a slash at its end"),
    "limits": _limits,
    "session_megabytes": _megabytes,
    "url": _address,
    "support": _fits(_TEXT, "must be a line of at most 200 characters"),
    "mail": _mail,
    "mail_from": _mailbox,
    "edge_secret": _secrets,
    "geo_database": _places,
    "spam_list": _list,
    "cloud_ranges": _list,
}
"""A check for each setting; empty ones are absent, and not looked at."""
