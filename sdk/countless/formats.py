"""The formats of logs: those that have a name, and those that users write in the words of Apache or nginx.

A format in words is compiled to a regular expression that tries nothing twice, so that hostile lines cost little.
"""

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple, Protocol

from countless import lines
from countless.lines import Line, Reason, UnreadError
from countless.records import Caddy, CloudFront


class Layout(Protocol):
    """Reads the lines of one file, from the first on."""

    def read(self, line: str) -> Line:
        """The request that a line describes.

        Raises:
            UnreadError: it describes none, or not in this format.
        """


class FormatError(ValueError):
    """A format in words that cannot be used; the text says why."""


class _Field(NamedTuple):
    """A part of a line: its kind, or nothing for what is not read."""

    kind: str = ""


_NGINX = {
    "remote_addr": "address", "realip_remote_addr": "", "proxy_protocol_addr": "forwarded", "xff": "forwarded",
    "http_x_forwarded_for": "forwarded", "proxy_add_x_forwarded_for": "forwarded", "http_x_real_ip": "forwarded",
    "http_cf_connecting_ip": "forwarded", "remote_user": "user", "ident": "ident",
    "time_local": "time", "time_iso8601": "time", "msec": "time", "datetime": "time",
    "request": "request", "request_method": "method", "method": "method", "request_uri": "uri", "uri": "path",
    "document_uri": "path", "path": "uri", "url": "uri", "args": "query", "query_string": "query", "query": "query",
    "status": "status", "body_bytes_sent": "size", "bytes_sent": "size",
    "http_referer": "referrer", "referrer": "referrer", "http_user_agent": "agent", "user_agent": "agent",
    "host": "host", "http_host": "host", "server_name": "host",
}  # fmt: skip
_APACHE = {
    "h": "address", "a": "address", "l": "ident", "u": "user", "t": "time", "r": "request", "s": "status", "b": "size",
    "B": "size", "O": "size", "m": "method", "U": "path", "q": "query", "v": "host", "V": "host",
}  # fmt: skip
_APACHE_HEADERS = {
    "referer": "referrer", "user-agent": "agent", "host": "host", "x-forwarded-for": "forwarded",
    "x-real-ip": "forwarded", "cf-connecting-ip": "forwarded",
}  # fmt: skip

_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")
_DIRECTIVE = re.compile(r"%[!\d,]*[<>]?(?:\{([^{}]*)\})?[!\d,]*[<>]?(\^[A-Za-z]{2}|[A-Za-z]|%)")

_STAMP = r"\[\d{1,2}/[A-Za-z]{3}/\d{4}:"
"""How a time in brackets begins: what comes before it, and after all fields, holds no other."""
_TIME = r"\d{1,2}/[A-Za-z]{3}/\d{4}:[\d:.]+ [+-]\d{4}"
_PATTERNS = {
    "ident": r"(\S++)",
    "status": r"(\d{3}|-)",
    "size": r"(?:\d++|-)",
}
_TAIL = rf"(?: (?!.*{_STAMP}).*+)?+"
"""What may follow the last field of a format with a name, and is not read: a host, a duration."""


class TextFormat:
    """A format in words, compiled."""

    def __init__(self, parts: list[str | _Field], *, tail: bool = False) -> None:
        self._kinds: list[str] = []
        pattern = "".join(self._patterns(parts))
        self._pattern = re.compile(pattern + (_TAIL if tail else ""), re.DOTALL)
        if "time" not in self._kinds or not {"request", "uri", "path"} & set(self._kinds):
            raise FormatError("needs a time ($time_local, %t) and a request ($request, %r, or its path)")

    def _patterns(self, parts: list[str | _Field]) -> Iterator[str]:
        for at, part in enumerate(parts):
            if isinstance(part, str):
                yield re.escape(part)
                continue
            before, after = parts[at - 1] if at else "", parts[at + 1] if at + 1 < len(parts) else ""
            if isinstance(after, _Field):
                raise FormatError("needs something between each two fields, by which they can be told apart")
            if part.kind not in ("", "size"):
                self._kinds.append(part.kind)
            quoted = isinstance(before, str) and before.endswith('"') and str(after).startswith('"')
            yield _pattern(part.kind, after, quoted=quoted)

    def read(self, line: str) -> Line:
        """As `Layout.read`."""
        found = self._pattern.fullmatch(line)
        if found is None:
            raise UnreadError(Reason.MALFORMED)
        said: dict[str, str] = {}
        for kind, field in zip(self._kinds, found.groups(), strict=True):
            if said.get(kind, "-") in ("-", ""):
                said[kind] = field
        _check_columns(said)
        method, asked = (
            lines.request(said["request"]) if "request" in said else (said.get("method", "GET"), _asked(said))
        )
        path, query, host = lines.target(asked)
        return Line(
            address=_visitor(said),
            at=lines.moment(said["time"]),
            method=method,
            path=path,
            query=query,
            status=_status(said.get("status", "200")),
            referrer=lines.text(said.get("referrer", "")),
            user_agent=lines.text(said.get("agent", "")),
            host=lines.host(said.get("host", "-")) or host,
        )


def _pattern(kind: str, after: str, *, quoted: bool) -> str:
    """What a field looks like that stands before this text."""
    if kind in _PATTERNS:
        return _PATTERNS[kind]
    if quoted:
        found = r'(?:[^"\\]|\\.)*+'
    elif kind == "time" and after.startswith("]"):
        found = r"[^\[\]]*+"
    elif kind == "time" and after[:1] in ("", " "):
        found = rf"(?:{_TIME}|[^ ]++)"
    elif kind == "user" and after.startswith(" ["):
        found = rf"(?:(?! {_STAMP}).)*+"
    elif kind in ("address", "forwarded") and after.startswith(" "):
        found = r"[^\s,]*+(?:, ?[^\s,]++)*+,?"
    else:
        found = rf"[^{re.escape(after[0])}]*+" if after else r".*+"
    return f"({found})" if kind else f"(?:{found})"


def _check_columns(said: dict[str, str]) -> None:
    """Refuses a line with more columns before its time than the format has: a user's name hides them, for it may hold
    spaces, and the first of them was taken for the address.
    """
    words = f"{said['ident']} {said['user']}".split(" ") if "ident" in said and "user" in said else []
    more = len(words) > 2 and "-" in (words[1], words[-1])
    if more or any(lines.address(word) for word in (words if len(words) > 2 else words[:1])):
        raise UnreadError(
            Reason.VISITOR, f"there are other columns between {lines.shown(said.get('address', '-'))} and the time"
        )


def _visitor(said: dict[str, str]) -> str:
    """The visitor's address: whom a proxy passed on, if the format has that and it names one; else who asked."""
    if "address" not in said and "forwarded" not in said:
        return ""
    passed = lines.text(said.get("forwarded", "-"))
    if any(map(lines.address, passed.split(","))):
        return lines.visitor(passed)
    return lines.visitor(lines.text(said.get("address", "-")) or passed)


def _asked(said: dict[str, str]) -> str:
    """The target, where its parts stand alone."""
    if asked := lines.address_text(said.get("uri", "-")):
        return asked
    path, query = (lines.address_text(said.get(kind, "-")) for kind in ("path", "query"))
    if not path:
        raise UnreadError(Reason.MALFORMED)
    return f"{path}?{query.removeprefix('?')}" if query else path


def _status(digits: str) -> int:
    return 0 if digits == "-" else int(digits)


# --- formats in words -------------------------------------------------------------------------------------------------


def compiled(text: str) -> TextFormat:
    """A format in the words of Apache's LogFormat (`%h %l %u %t "%r" %>s`) or nginx's log_format (`$remote_addr …`).

    Raises:
        FormatError: it has no words of either, lacks what is needed, or its fields cannot be told apart.
    """
    parts = _parts(text.replace('\\"', '"').replace("\\t", "\t"), apache="$" not in text)
    if not any(isinstance(part, _Field) for part in parts):
        raise FormatError("is no name of a format, and has no field ($remote_addr, %h)")
    return TextFormat(parts)


def _parts(text: str, *, apache: bool) -> list[str | _Field]:
    """Fields, and the texts between them."""
    parts: list[str | _Field] = []
    for part in _words(text, apache=apache):
        if isinstance(part, str) and parts and isinstance(parts[-1], str):
            parts[-1] += part
        else:
            parts.append(part)
    return parts


def _words(text: str, *, apache: bool) -> Iterator[str | _Field]:
    """The same in smaller pieces; a path and its query beside it are one field."""
    pattern = _DIRECTIVE if apache else _VARIABLE
    at = 0
    joined = re.sub(r"\$\{?(?:document_)?uri\}?\$\{?is_args\}?\$\{?(?:args|query_string)\}?", "$request_uri", text)
    joined = joined.replace("%U%q", "%{uri}U") if apache else joined
    for found in pattern.finditer(joined):
        if found.start() > at:
            yield joined[at : found.start()]
        at = found.end()
        if found[2] == "%" and apache:
            yield "%"
        elif apache and found[2] == "t" and found[1] is None:
            yield from ("[", _Field("time"), "]")
        else:
            yield _Field(_directive(found) if apache else _NGINX.get(found[1] or found[2], ""))
    if at < len(joined):
        yield joined[at:]


def _directive(found: re.Match[str]) -> str:
    argument, letter = found[1], found[2]
    if argument is None or letter in ("t", "a", "h"):
        return _APACHE.get(letter, "")
    if letter == "U":
        return "uri"
    return _APACHE_HEADERS.get(argument.lower(), "") if letter == "i" else ""


_COMMON = '$remote_addr $ident $remote_user [$time_local] "$request" $status $body_bytes_sent'
_COMBINED = f'{_COMMON} "$http_referer" "$http_user_agent"'
_ALB = '$type $time_iso8601 $elb $remote_addr $to $a $b $c $status $d $e $f "$request" "$http_user_agent"'


def _named(text: str) -> Callable[[], Layout]:
    return lambda: TextFormat(_parts(text, apache=False), tail=True)


FORMATS: dict[str, Callable[[], Layout]] = {
    "combined": _named(_COMBINED),
    "common": _named(_COMMON),
    "combined-vhost": _named(f"$host {_COMBINED}"),
    "common-vhost": _named(f"$host {_COMMON}"),
    "alb": _named(_ALB),
    "cloudfront": CloudFront,
    "caddy": Caddy,
}
"""By name, what makes a layout for a file."""


def layouts(format_: str) -> Callable[[], Layout]:
    """What makes a layout for each file: of a format with a name, or in words.

    Raises:
        FormatError: it is neither.
    """
    if format_ in FORMATS:
        return FORMATS[format_]
    layout = compiled(format_)
    return lambda: layout
