"""Addresses of clouds, from which programs come and no people (page-view contract, sections 7.6 and 16.6).

Which they are changes daily, so an operator who wants them told apart supplies the list: a network and its provider in
each line, `192.0.2.0/24 hetzner`.
"""

import ipaddress
from collections.abc import Iterable
from typing import NamedTuple

from chalicelib.core import addresses
from chalicelib.core.errors import Damaged
from chalicelib.core.lists import lines

PROVIDERS = {
    "aws": 8, "digitalocean": 9, "servers.com": 10, "google": 11, "hetzner": 12,
    "azure": 13, "alibaba": 14, "linode": 15, "oracle": 16, "ovh": 17,
}  # fmt: skip
"""The bot codes of providers; a list may say the code instead of the name."""
_CODES = {**PROVIDERS, **{str(code): code for code in PROVIDERS.values()}}
_WIDEST = {4: 8, 6: 16}
"""No cloud has more than such a prefix in one: a list that says so would lose people."""


class Network(NamedTuple):
    """A network: the bits of its addresses that are not its own, and what the others say."""

    version: int
    shift: int
    prefix: int


class Clouds:
    """Networks and whose they are; the narrowest that holds an address counts."""

    def __init__(self, networks: Iterable[tuple[Network, int]] = ()) -> None:
        # An address is looked up once for each length that a prefix has, the longest first.
        found: dict[int, dict[int, dict[int, int]]] = {4: {}, 6: {}}
        for (version, shift, prefix), code in networks:
            found[version].setdefault(shift, {})[prefix] = code
        self._prefixes = {version: sorted(shifts.items()) for version, shifts in found.items()}

    def code(self, address: str) -> int:
        """The bot code of the cloud that an address belongs to; 0 if it is none's, or no address."""
        found = addresses.read(address)
        if found is None:
            return 0
        number = int(found)
        for shift, prefixes in self._prefixes[found.version]:
            if code := prefixes.get(number >> shift):
                return code
        return 0


NONE = Clouds()


def read(text: str) -> Clouds:
    """The networks of a list: in each line one and its provider's name or code, with blanks or a comma between.

    Raises:
        Damaged: a line is none of that, or the list is empty.
    """
    networks = [_line(line, number) for number, line in lines(text)]
    if not networks:
        raise Damaged("no networks")
    return Clouds(networks)


def _line(line: str, number: int) -> tuple[Network, int]:
    match line.replace(",", " ").split():
        case [network, provider] if provider.lower() in _CODES:
            return _network(network, number), _CODES[provider.lower()]
    raise Damaged("not a network and a provider that is known", number)


def _network(text: str, line: int) -> Network:
    # As ipaddress.ip_network, in a quarter of the time: a list may have 60,000 lines.
    address, slash, length = text.partition("/")
    try:
        found = ipaddress.ip_address(address)
    except ValueError as error:
        raise Damaged("no network", line) from error
    bits = int(length) if length.isascii() and length.isdigit() and len(length) <= 3 else -1
    shift = found.max_prefixlen - (bits if slash else found.max_prefixlen)
    if not 0 <= shift <= found.max_prefixlen or int(found) >> shift << shift != int(found):
        raise Damaged("no network", line)
    if found.max_prefixlen - shift < _WIDEST[found.version]:
        raise Damaged("too wide a network", line)
    return Network(found.version, shift, int(found) >> shift)
