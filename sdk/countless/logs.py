"""Reads the access logs of Apache, nginx and whoever else writes their two common formats."""

import gzip
import io
import os
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import IO, NamedTuple, cast

STDIN = "-"
_GZIP = b"\x1f\x8b"

LONGEST_LINE = 64 * 1024
"""Bytes; no server writes a longer line for a request that it accepted."""

_QUOTED = r'"((?:[^"\\]|\\.)*)"'
# The third field, a user's name, may hold spaces. Bounded repetition keeps hostile lines cheap.
_COMMON = rf"(\S+) \S+ .*?\[([^\[\]]{{20,32}})\] {_QUOTED} (\d{{3}}) (?:\d+|-)"
FORMATS: dict[str, re.Pattern[str]] = {
    # What follows the fields of a format (a host, a duration) is allowed and not read.
    "common": re.compile(rf"{_COMMON}(?: |$)"),
    "combined": re.compile(rf"{_COMMON} {_QUOTED} {_QUOTED}(?: |$)"),
}

# `METHOD target HTTP/1.1`; HTTP/0.9 had no version, and some servers log targets with spaces in them.
_REQUEST = re.compile(r"([A-Za-z-]+) +(\S|\S.*?\S)(?: +HTTP/\d(?:\.\d)?)?")
_TIME = re.compile(r"(\d{2})/(\w{3})/(\d{4}):(\d{2}):(\d{2}):(\d{2}) ([+-])(\d{2})(\d{2})", re.ASCII)
_MONTH_NAMES = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_MONTHS = {name: number for number, name in enumerate(_MONTH_NAMES, start=1)}
_ABSOLUTE = re.compile(r"https?://[^/?]*", re.IGNORECASE)

_ESCAPE = re.compile(rb'\\(?:x([0-9A-Fa-f]{2})|([\\"bnrtv]))')
_SHORT = {b"b": b"\b", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v"}


class Line(NamedTuple):
    """One request of a log. What the server did not know (`-`) is empty."""

    address: str
    at: datetime
    """In UTC."""
    method: str
    path: str
    """As requested, percent-escapes untouched, without the query."""
    query: str
    """Without `?`."""
    status: int
    referrer: str
    user_agent: str


def parse(line: bytes, layout: re.Pattern[str]) -> Line | None:
    """The request that a line of this layout (one of `FORMATS`) describes, or None if it is not such a line.

    Backslash escapes of quotes and bytes are undone where the result is UTF-8; else they stay as written.
    """
    if len(line) > LONGEST_LINE:
        return None
    fields = layout.match(line.decode(errors="backslashreplace").rstrip("\r\n"))
    if fields is None:
        return None
    address, time, request, status, *rest = fields.groups()
    at = _moment(time)
    asked = _REQUEST.fullmatch(_text(request))
    if at is None or asked is None:
        return None
    path, _, query = _origin_form(asked[2]).partition("?")
    referrer, user_agent = rest or ("", "")
    return Line(
        address=_text(address),
        at=at,
        method=asked[1],
        path=path,
        query=query,
        status=int(status),
        referrer=_text(referrer),
        user_agent=_text(user_agent),
    )


def _text(field: str) -> str:
    """A field without the log's escapes; empty for `-`."""
    if field == "-":
        return ""
    if "\\" not in field:
        return field
    try:
        return _ESCAPE.sub(_unescaped, field.encode()).decode()
    except UnicodeDecodeError:
        return field


def _unescaped(escape: re.Match[bytes]) -> bytes:
    if escape[1]:
        return bytes.fromhex(escape[1].decode())
    return _SHORT.get(escape[2], escape[2])


def _moment(text: str) -> datetime | None:
    """`17/May/2015:10:05:03 +0000` in UTC, whatever the locale; None if there is no such moment."""
    found = _TIME.fullmatch(text)
    if found is None or found[2] not in _MONTHS:
        return None
    offset = timedelta(hours=int(found[8]), minutes=int(found[9]))
    try:
        zone = timezone(-offset if found[7] == "-" else offset)
        day = int(found[3]), _MONTHS[found[2]], int(found[1])
        return datetime(*day, int(found[4]), int(found[5]), int(found[6]), tzinfo=zone).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _origin_form(target: str) -> str:
    """The target without scheme and host, which requests to a proxy carry."""
    host = _ABSOLUTE.match(target)
    if host is None:
        return target
    rest = target[host.end() :]
    return rest if rest.startswith("/") else f"/{rest}"


class Source:
    """The lines of a log, and how far they have been read."""

    def __init__(self, file: IO[bytes], size: int | None) -> None:
        self.size = size
        """Bytes of the file, compressed if it is; None for what has no end that is known."""
        self._file = file
        self._lines = _plain(file)

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._lines)

    def position(self) -> int:
        """Bytes of the file read so far; 0 if its size is not known."""
        return 0 if self.size is None else self._file.tell()


@contextmanager
def opened(name: str) -> Iterator[Source]:
    """The log of this name, plain or gzip (told by its first bytes, not its name); `-` is standard input.

    Raises OSError if it cannot be opened. While its lines are read, a damaged gzip raises OSError, EOFError
    or zlib.error.
    """
    if name == STDIN:
        yield Source(sys.stdin.buffer, None)
        return
    with Path(name).open("rb") as file:
        yield Source(file, os.fstat(file.fileno()).st_size)


def _plain(file: IO[bytes]) -> Iterable[bytes]:
    """The same without compression. Looks ahead, so that it also works where nobody can seek."""
    ahead = file if isinstance(file, io.BufferedReader) else io.BufferedReader(cast("io.RawIOBase", file))
    return gzip.GzipFile(fileobj=ahead) if ahead.peek(2)[:2] == _GZIP else ahead
