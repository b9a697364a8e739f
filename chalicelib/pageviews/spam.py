"""Referrer spam: hosts that visit sites only to be seen in their statistics (page-view contract, section 7.2)."""

import re
from collections.abc import Callable
from functools import cache
from pathlib import Path

from chalicelib.core.errors import Damaged
from chalicelib.core.lists import lines

Hosts = frozenset[str]
Spams = Callable[[str], bool]
"""Whether a host (lower case, no port) is a spammer's."""

_SHIPPED = Path(__file__).parent / "data" / "spammers.txt"
_HOST = re.compile(r"(?=.{4,253}\Z)(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)+[a-z0-9-]{2,63}")
_LOCAL = "localhost"


def is_local(host: str) -> bool:
    """Whether a host is the very machine of whoever names it."""
    return host == _LOCAL or host.endswith(f".{_LOCAL}")


@cache
def shipped() -> Hosts:
    """The hosts of `data/spammers.txt`."""
    return read(_SHIPPED.read_text(encoding="utf-8"))


def read(text: str) -> Hosts:
    """The hosts of a list, one a line.

    Raises:
        Damaged: a line is no host of two labels at least (`com` would take half the web away), or the list is empty.
    """
    hosts = {line.lower(): number for number, line in lines(text)}
    for host, number in hosts.items():
        if not _HOST.fullmatch(host):
            raise Damaged("no host", number)
    if not hosts:
        raise Damaged("no hosts")
    return frozenset(hosts)


def among(hosts: Hosts) -> Spams:
    """Tells whether a host is one of these or below one, or this very machine; asks once for each of its labels."""

    def spams(host: str) -> bool:
        while host:
            if host in hosts or host == _LOCAL:
                return True
            host = host.partition(".")[2]
        return False

    return spams


def read_spams(text: str) -> Spams:
    """Tells by the hosts of a list. Raises as `read`."""
    return among(read(text))


@cache
def by_default() -> Spams:
    """Tells by the list that is shipped."""
    return among(shipped())
