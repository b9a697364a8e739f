"""Referrer spam: hosts that visit sites only to be seen in their statistics (page-view contract, section 7.2)."""

from functools import cache
from pathlib import Path

_LIST = Path(__file__).parent / "data" / "spammers.txt"


@cache
def hosts() -> frozenset[str]:
    """The hosts of `data/spammers.txt`, one a line; whoever has a newer list replaces the file."""
    return frozenset(_LIST.read_text(encoding="utf-8").lower().split()) | {"localhost"}


def spams(host: str) -> bool:
    """Whether a host (lower case, no port) is a spammer's or a subdomain of one; asks once for each of its labels."""
    listed = hosts()
    while host:
        if host in listed:
            return True
        host = host.partition(".")[2]
    return False
