"""Addresses of clouds, as the page-view contract has them in sections 7.6 and 16.6."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core.errors import Damaged
from chalicelib.pageviews import clouds

LIST = """
# networks of clouds
192.0.2.0/24 hetzner
192.0.2.128/25, AWS  # within the other
198.51.100.7 17
2001:db8::/32 Google
"""


@pytest.mark.parametrize(
    ("address", "code"),
    [
        ("192.0.2.1", 12),
        ("192.0.2.200", 8),
        ("198.51.100.7", 17),
        ("198.51.100.8", 0),
        ("::ffff:192.0.2.1", 12),
        ("2001:db8:ffff::1", 11),
        ("2001:db9::1", 0),
        ("", 0),
        ("no address", 0),
    ],
)
def test_an_address_belongs_to_the_narrowest_network_that_holds_it(address: str, code: int) -> None:
    """Providers are told by name or code, networks by prefix or as a single address, of both versions."""
    assert clouds.read(LIST).code(address) == code


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", 0),
        ("# nothing\n", 0),
        ("192.0.2.0/24\n", 1),
        ("192.0.2.0/24 aws\n192.0.2.0/24 somebody", 2),
        ("192.0.2.0/24 7", 1),
        ("192.0.2.0/24 18", 1),
        ("192.0.2.1/24 aws", 1),
        ("192.0.2.0/33 aws", 1),
        ("192.0.2.0/-1 aws", 1),
        ("192.0.2.0/ aws", 1),
        ("192.0.2.0/٢٤ aws", 1),
        ("192.0.2/24 aws", 1),
        ("192.0.02.0/24 aws", 1),
        ("192.0.2.0\0/24 aws", 1),
        ("2001:db8::\ud800/64 aws", 1),
        ("0.0.0.0/0 aws", 1),
        ("2001:db8::/129 aws", 1),
        ("2000::/3 aws", 1),
        ("{", 1),
        ("<html>", 1),
    ],
)
def test_a_damaged_list_of_clouds_is_refused(text: str, line: int) -> None:
    """Also a network that half the world is in: the error says in which line."""
    with pytest.raises(Damaged) as refusal:
        clouds.read(text)
    assert refusal.value.line == line


@st.composite
def networks(draw: st.DrawFn) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    if draw(st.booleans()):
        return ipaddress.ip_network((0x0A000000 | draw(st.integers(0, 255)), draw(st.integers(24, 32))), strict=False)
    number = (0x20010DB8 << 96) | draw(st.integers(0, 255))
    return ipaddress.ip_network((number, draw(st.integers(118, 128))), strict=False)


@given(st.lists(networks(), min_size=1, max_size=8), networks())
def test_networks_are_those_of_the_standard_library(
    listed: list[ipaddress.IPv4Network | ipaddress.IPv6Network], asked: ipaddress.IPv4Network | ipaddress.IPv6Network
) -> None:
    """An address has a code if one of the networks holds it, by what `ipaddress` says."""
    known = clouds.read("\n".join(f"{network} ovh" for network in listed))
    address = asked.network_address
    held = any(address.version == network.version and address in network for network in listed)
    assert known.code(str(address)) == (17 if held else 0)
