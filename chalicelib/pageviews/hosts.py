"""Hosts, and addresses of pages on them, as site settings hold them (page-view contract, section 10)."""

import re

from .faults import Fault

LONGEST_LABEL, LONGEST_HOST, LONGEST_ADDRESS = 63, 255, 2048
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?", re.ASCII)
_ADDRESS = re.compile(
    r"(?:(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://)?(?P<host>[^/?#:]*)(?P<port>:[0-9]{1,5})?(?P<rest>[/?#].*)?", re.DOTALL
)
_LAST_PORT = 65_535
_REST = re.compile(r"[^\x00-\x20\x7f-\xa0\ud800-\udfff\ufffd\"'<>\\^`{|};,]*")
"""What may follow a host: nothing that could end a text of HTML, a header or a list, that cannot be stored, or that was
lost on the way (U+FFFD).
"""


def host(text: str, labels: int = 1) -> str:
    """A host's name, in lower case, if it has so many labels; scripts other than Latin are written as `xn--…`.

    Raises:
        Fault: it is none; the message says why.
    """
    name = text.lower()
    if reason := _reason(name, labels):
        raise Fault(f"must be a valid domain: {reason}")
    return name


def _reason(name: str, labels: int) -> str:
    """What is wrong with a host's name in lower case; empty if nothing is."""
    if not name:
        return "it is empty"
    if len(name) > LONGEST_HOST:
        return f"it is longer than {LONGEST_HOST} characters"
    parts = name.split(".")
    found = next(filter(None, map(_reason_of_label, parts)), "")
    return found or ("" if len(parts) >= labels else f"it must have at least {labels} labels")


def _reason_of_label(label: str) -> str:
    if not label:
        return "there is nothing between two dots, or before or after one"
    if len(label) > LONGEST_LABEL:
        return f"a label is longer than {LONGEST_LABEL} characters"
    if not label.isascii():
        return "letters of other scripts are written as xn--…"
    return "" if _LABEL.fullmatch(label) else "labels are letters, digits and inner hyphens"


def address(text: str, *, wildcard: bool = False) -> str:
    """A host, or the URL of a page (`https://…`), as it is but for slashes at its end. With `wildcard`, the host's
    first label may be `*`.

    Raises:
        Fault: it is neither.
    """
    text = text.rstrip("/")
    if len(text) > LONGEST_ADDRESS:
        raise Fault(f"must be shorter than {LONGEST_ADDRESS} characters")
    found = _ADDRESS.fullmatch(text)
    url = found is not None and found["scheme"] is not None
    if found is None or (url and found["scheme"].lower() not in {"http", "https"}):
        raise Fault("must be a valid url")
    try:
        host(found["host"].removeprefix("*.") if wildcard else found["host"])
    except Fault:
        if url:
            raise Fault("must be a valid url") from None
        raise
    if int((found["port"] or ":0")[1:]) > _LAST_PORT or not _REST.fullmatch(found["rest"] or ""):
        raise Fault("must be a valid url")
    return text
