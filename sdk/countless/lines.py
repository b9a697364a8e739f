"""What a line of a log says of one request, and how its fields are read, whichever server wrote them."""

import ipaddress
import re
from datetime import UTC, datetime, timedelta, timezone
from enum import StrEnum
from typing import NamedTuple


class Reason(StrEnum):
    """Why a line of a log is not sent."""

    MALFORMED = "not a line of this format"
    VISITOR = "no visitor's address where the format has it"
    LONG = "longer than any request (64 KB)"
    REMARK = "a remark, or about no request"
    HOST = "a request to another host"
    METHOD = "a method other than GET"
    STATUS = "an error or a redirect"
    STATIC = "a part of a page, a feed or a robot's file"


UNREAD = frozenset({Reason.MALFORMED, Reason.VISITOR, Reason.LONG})
"""Of these, nobody can say whether the lines are page views."""


class UnreadError(ValueError):
    """A line that does not say what its format promises; the text is for people, and safe to print."""

    def __init__(self, reason: Reason, text: str = "") -> None:
        super().__init__(text or reason.value)
        self.reason = reason


class Line(NamedTuple):
    """One request of a log. What the server did not know (`-`) is empty."""

    address: str
    """As the log has it: the service reads ports, brackets and lists. May be a host's name."""
    at: datetime
    """In UTC."""
    method: str
    path: str
    """As requested, percent-escapes untouched, without the query. Bytes that are no UTF-8 are percent-escapes."""
    query: str
    """Without `?`."""
    status: int
    referrer: str
    user_agent: str
    host: str = ""
    """That was asked, in lower case and without a port, where the format has it."""


# --- texts ------------------------------------------------------------------------------------------------------------

_ESCAPE = re.compile(rb'\\(?:x([0-9A-Fa-f]{2})|u([0-9A-Fa-f]{4})|([\\"/bfnrtv]))')
_SHORT = {b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v"}
_BYTE = re.compile("[\udc80-\udcff]")


def decoded(line: bytes) -> str:
    """A line as text; bytes that are no UTF-8 stay what they are, as lone surrogates."""
    return line.decode(errors="surrogateescape")


def text(field: str) -> str:
    r"""A field without the log's escapes; empty for `-`. Bytes that are no UTF-8 are written as `\xe9`."""
    return _BYTE.sub(lambda byte: f"\\x{ord(byte[0]) & 0xFF:02x}", _unescaped(field))


def address_text(field: str) -> str:
    """The same for what stands in a URL, where such bytes are written as `%E9`."""
    return _BYTE.sub(lambda byte: f"%{ord(byte[0]) & 0xFF:02X}", _unescaped(field))


def _unescaped(field: str) -> str:
    if field == "-":
        return ""
    if "\\" not in field:
        return field
    return decoded(_ESCAPE.sub(_byte, field.encode(errors="surrogateescape")))


def _byte(escape: re.Match[bytes]) -> bytes:
    if escape[1]:
        return bytes.fromhex(escape[1].decode())
    if escape[2]:
        return chr(int(escape[2], 16)).encode(errors="replace")
    return _SHORT.get(escape[3], escape[3])


def shown(field: str) -> str:
    """A stranger's text for people, short and without anything that a terminal obeys."""
    return repr(field if len(field) <= 60 else field[:60] + "…")


# --- visitors ---------------------------------------------------------------------------------------------------------

_AROUND = " \t\"'\ufeff"
_ZEROS = re.compile(r"(?<![0-9A-Fa-f])0+(?=[0-9A-Fa-f])")
_HOST = re.compile(r"(?!(?:[0-9]+\.)*[0-9]+\.?(?::|$))[A-Za-z0-9_][A-Za-z0-9_-]*(?:\.[A-Za-z0-9_-]+)*\.?(?::[0-9]+)?")


def visitor(field: str) -> str:
    """An address, a host's name or a list of those, as it stands in the log.

    What it is in one form, the service decides; here it only has to be one.

    Raises:
        UnreadError: it is none.
    """
    bare = field.strip(_AROUND)
    if bare and any(address(part) or _HOST.fullmatch(part.strip(_AROUND)) for part in bare.split(",")):
        return bare
    raise UnreadError(Reason.VISITOR, f"{shown(field)} is no address of a visitor")


def address(field: str) -> str:
    """An address without what is around it; empty for what is none."""
    bare = field.strip(_AROUND)
    if bare.startswith("["):
        bare = bare[1:].partition("]")[0]
    elif bare.count(":") == 1:
        bare = bare.partition(":")[0]
    elif bare.count(":") == 8 and "::" not in bare:
        bare = bare.rpartition(":")[0]
    try:
        found = ipaddress.ip_address(_ZEROS.sub("", bare.partition("%")[0]))
    except ValueError:
        return ""
    return str(getattr(found, "ipv4_mapped", None) or found)


_INNER = tuple(
    map(
        ipaddress.ip_network,
        (
            *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
            *("192.168.0.0/16", "::/127", "fc00::/7", "fe80::/10"),
        ),
    )
)


def counted(field: str) -> str:
    """The one address that the service takes of a list: the last that is not of a private network, else the first."""
    found = [ipaddress.ip_address(one) for part in field.split(",") if (one := address(part))]
    outer = [one for one in found if not any(one in network for network in _INNER if network.version == one.version)]
    return str((outer or found[:1])[-1]) if found else field


# --- requests ---------------------------------------------------------------------------------------------------------

_METHOD = re.compile(r"[A-Za-z-]+")
_ABSOLUTE = re.compile(r"(?:https?|wss?)://([^/?]*)", re.IGNORECASE)
_PORT = re.compile(r":[0-9]*\Z")


class Target(NamedTuple):
    """What a request asks for."""

    path: str
    query: str
    host: str
    """Of the absolute form, which requests to a proxy have and some logs write; else empty."""


def request(field: str) -> tuple[str, str]:
    """Method and target of `METHOD target PROTOCOL`. Whatever comes last is the protocol: programs invent names for it,
    and without one the target is all there is. Targets may hold spaces: some servers log them so.

    Raises:
        UnreadError: it is no request.
    """
    words = address_text(field).strip(" ").split(" ")
    asked = " ".join(words[1:-1] if len(words) > 2 else words[1:]).strip(" ")
    if not asked or not _METHOD.fullmatch(words[0]):
        raise UnreadError(Reason.MALFORMED)
    return words[0], asked


def target(asked: str) -> Target:
    """The target without scheme and host, in its parts."""
    found = _ABSOLUTE.match(asked)
    rest = asked[found.end() :] if found else asked
    path, _, query = (rest if not found or rest.startswith("/") else f"/{rest}").partition("?")
    return Target(path, query, host(found[1]) if found else "")


def host(field: str) -> str:
    """A host in lower case, without a port; empty for `-`."""
    return "" if field == "-" else _PORT.sub("", field.rpartition("@")[2]).lower().rstrip(".")


# --- moments ----------------------------------------------------------------------------------------------------------

_COMMON = re.compile(
    r"(\d{1,2})/([A-Za-z]{3})/(\d{4}):(\d{2}):(\d{2}):(\d{2})(?:\.(\d{1,6})\d*)? ([+-])(\d{2}):?(\d{2})", re.ASCII
)
_MONTH_NAMES = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTHS = {name: number for number, name in enumerate(_MONTH_NAMES, start=1)}
_ISO = re.compile(r"(\d{4})[-/](\d{2})[-/](\d{2})[T ](\d{2}:\d{2}):(\d{2})([.,]\d+)? ?(Z|[+-]\d{2}:?\d{2})?", re.ASCII)
_UNIX = re.compile(r"\d{9,19}(?:\.\d{1,9})?", re.ASCII)
_SCALES = ((1e17, 1e9), (1e14, 1e6), (1e11, 1e3))
"""From which number on Unix time counts nano-, micro- or milliseconds."""


def moment(field: str) -> datetime:
    """A time in UTC, whatever the locale: `17/May/2015:10:05:03 +0000`, ISO 8601 (without a zone in UTC), or Unix time
    in seconds, milli-, micro- or nanoseconds. A leap second is the second before it.

    Raises:
        UnreadError: there is no such moment.
    """
    bare = field.strip(_AROUND + "[]")
    try:
        found = _common(bare) or _iso(bare) or _unix(bare)
    except (ValueError, OverflowError, OSError):
        found = None
    if found is None:
        raise UnreadError(Reason.MALFORMED, f"{shown(field)} is no time")
    return found


def _common(field: str) -> datetime | None:
    found = _COMMON.fullmatch(field)
    if found is None:
        return None
    offset = timedelta(hours=int(found[9]), minutes=int(found[10]))
    zone = timezone(-offset if found[8] == "-" else offset)
    day = int(found[3]), _MONTHS.get(found[2].lower(), 0), int(found[1])
    clock = int(found[4]), int(found[5]), _second(found[6]), int((found[7] or "0").ljust(6, "0"))
    return datetime(*day, *clock, tzinfo=zone).astimezone(UTC)


def _iso(field: str) -> datetime | None:
    found = _ISO.fullmatch(field)
    if found is None:
        return None
    year, month, day, clock, second, fraction, zone = found.groups()
    point = (fraction or "").replace(",", ".")[:7]
    return datetime.fromisoformat(f"{year}-{month}-{day}T{clock}:{_second(second):02}{point}{zone or 'Z'}").astimezone(
        UTC
    )


def _unix(field: str) -> datetime | None:
    if not _UNIX.fullmatch(field):
        return None
    number = float(field)
    return datetime.fromtimestamp(number / next((by for least, by in _SCALES if number >= least), 1), UTC)


def _second(digits: str) -> int:
    return 59 if digits == "60" else int(digits)
