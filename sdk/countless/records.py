"""Logs that are tables or objects rather than lines of words: CloudFront's, and Caddy's JSON."""

import json
import re
from typing import Any
from urllib.parse import unquote

from countless import lines
from countless.lines import Line, Reason, UnreadError

_TWICE = re.compile(r"%25(?=[0-9A-Fa-f]{2})")


class CloudFront:
    """CloudFront's standard log: columns between tabs, which a line `#Fields:` names.

    It writes escapes of its own: `%20` for a space, and in some years `%2520`.
    """

    def __init__(self) -> None:
        self._fields: list[str] = []

    def read(self, line: str) -> Line:
        """As `Layout.read`."""
        if line.startswith("#"):
            if line.startswith("#Fields:"):
                self._fields = line.removeprefix("#Fields:").split()
            raise UnreadError(Reason.REMARK)
        columns = line.split("\t")
        if len(columns) != len(self._fields):
            raise UnreadError(Reason.MALFORMED, "not the columns that a line #Fields names before")
        said = dict(zip(self._fields, columns, strict=True))
        try:
            asked = lines.address_text(_TWICE.sub("%", said["cs-uri-stem"]))
            if not asked.startswith("/") or not said["cs-method"].isalpha():
                raise UnreadError(Reason.MALFORMED)
            return Line(
                address=lines.visitor(said["c-ip"]),
                at=lines.moment(f"{said['date']} {said['time']}"),
                method=said["cs-method"],
                path=asked,
                query=lines.address_text(_TWICE.sub("%", said.get("cs-uri-query", "-"))),
                status=int(said["sc-status"]),
                referrer=lines.address_text(_TWICE.sub("%", said.get("cs(Referer)", "-"))),
                user_agent=lines.text(unquote(_TWICE.sub("%", said.get("cs(User-Agent)", "-")))),
                host=lines.host(said.get("x-host-header", "-")) or lines.host(said.get("cs(Host)", "-")),
            )
        except KeyError as error:
            raise UnreadError(Reason.MALFORMED, f"there is no column {error.args[0]}") from error
        except ValueError as error:
            raise error if isinstance(error, UnreadError) else UnreadError(Reason.MALFORMED) from error


class Caddy:
    """Caddy's access log, in which each line is a JSON object; its other messages may stand between."""

    def read(self, line: str) -> Line:
        """As `Layout.read`."""
        try:
            said = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise UnreadError(Reason.MALFORMED) from error
        if not isinstance(said, dict):
            raise UnreadError(Reason.MALFORMED)
        asked = said.get("request")
        if not isinstance(asked, dict):
            raise UnreadError(Reason.REMARK)
        path, query, host = lines.target(_string(asked.get("uri")))
        status = said.get("status")
        if not path or type(status) is not int:
            raise UnreadError(Reason.MALFORMED)
        headers = asked.get("headers")
        return Line(
            address=lines.visitor(_first(asked, "client_ip", "remote_ip", "remote_addr")),
            at=lines.moment(str(said.get("ts"))),
            method=_string(asked.get("method")),
            path=path,
            query=query,
            status=status,
            referrer=_header(headers, "Referer"),
            user_agent=_header(headers, "User-Agent"),
            host=lines.host(_string(asked.get("host"))) or host,
        )


def _string(value: Any) -> str:  # noqa: ANN401 - JSON is anything
    """A text, without half characters; empty for anything else."""
    return value.encode(errors="replace").decode() if isinstance(value, str) else ""


def _first(values: dict[str, Any], *names: str) -> str:
    return next((text for name in names if (text := _string(values.get(name)))), "")


def _header(headers: Any, name: str) -> str:  # noqa: ANN401
    """The first value of a header; empty if it is not there, or was taken out of the log."""
    values = headers.get(name) if isinstance(headers, dict) else None
    return _string(values[0]) if isinstance(values, list) and values else ""
