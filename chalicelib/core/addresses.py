"""Addresses of visitors, read into one form: whatever names one, in a request, a hit or a setting, is read here.

Programs write one address in many ways: with a port, in brackets, with zeros and capitals, as IPv6 that only holds an
IPv4 address, with the zone of an interface, or in the list of those that proxies passed on.
"""

import ipaddress
import re

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

LONGEST = 1024
"""Characters: of a longer list only the end is read, where the nearest proxy wrote."""

_WRAPPING = " \t\r\n\v\f\0\xa0\u200b\u2028\u2029\ufeff\"'`"
"""What files and programs leave around an address and never inside one."""

_OCTET = "(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_PLAIN = re.compile(rf"{_OCTET}(?:\.{_OCTET}){{3}}")
"""An IPv4 address as everybody should write it, as most come: told at a tenth of the time."""
_FOR = re.compile(r'(?:^|;)\s*for\s*=\s*"?([^";]*)', re.IGNORECASE)
"""The visitor in an element of a `Forwarded` header (RFC 7239)."""
_BRACKETS = re.compile(r"\[([^\[\]]*)\](?::[0-9]*)?")
_PORT = re.compile(r"([0-9.]+|(?:[0-9A-Fa-f]{1,4}:){7}[0-9A-Fa-f]{1,4}):[0-9]{0,5}")
"""Where a port can be told from the address without brackets."""
_ZEROS = re.compile(r"(?<![0-9A-Fa-f])0+(?=[0-9A-Fa-f])")
_HOST = re.compile(r"((?:[a-z0-9_-]{1,63}\.)+[a-z][a-z0-9-]{0,62})\.?(?::[0-9]{0,5})?", re.IGNORECASE)

_INNER = tuple(
    map(
        ipaddress.ip_network,
        (
            *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16"),
            *("172.16.0.0/12", "192.168.0.0/16", "::/127", "fc00::/7", "fe80::/10"),
        ),
    )
)
"""Networks behind which nobody from outside is: in a list they are proxies."""


def one_form(text: str) -> str:
    """Whom a text names, always in the same way: an address as everybody should write it, a host in lower case.

    Any other text, such as a name that stands for an address, stays as it is but for what is around it.
    """
    if _PLAIN.fullmatch(text):
        return text
    if found := read(text):
        return str(found)
    bare = text.strip(_WRAPPING)
    host = _HOST.fullmatch(bare) if len(bare) <= LONGEST else None
    return host[1].lower() if host else bare


def read(text: str) -> Address | None:
    """The address that a text names; None if it names none.

    Of a list, as `X-Forwarded-For` has it, the last address counts that is not of a private network: each proxy writes
    at the end whom it was asked by, and what stands before that the visitor may have invented. Where all are private,
    the visitor is inside as well, and the first counts.
    """
    if _PLAIN.fullmatch(text):
        return ipaddress.IPv4Address(text)
    text = text.strip(_WRAPPING)
    if len(text) > LONGEST:
        text = text[-LONGEST:].partition(",")[2]
    found = [address for part in text.split(",") if (address := _single(part))]
    return next((address for address in reversed(found) if not _inner(address)), found[0] if found else None)


def _single(text: str) -> Address | None:
    """The address that one entry of a list names."""
    text = text.strip(_WRAPPING)
    if "=" in text and (said := _FOR.search(text)):
        text = said[1].strip(_WRAPPING)
    text = text.removeprefix("/")
    if bracketed := _BRACKETS.fullmatch(text):
        text = bracketed[1]
    elif ported := _PORT.fullmatch(text):
        text = ported[1]
    return _valid(_ZEROS.sub("", text.partition("%")[0]))


def _valid(text: str) -> Address | None:
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return None
    return (found.ipv4_mapped or found) if isinstance(found, ipaddress.IPv6Address) else found


def _inner(address: Address) -> bool:
    return any(address in network for network in _INNER if network.version == address.version)
