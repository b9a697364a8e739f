"""An address is one address, however it is written."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core import addresses


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("203.0.113.9", "203.0.113.9"),
        (" 203.0.113.9\r\n", "203.0.113.9"),
        ("203.0.113.9:61264", "203.0.113.9"),
        ("203.0.113.9:", "203.0.113.9"),
        ("[203.0.113.9]:80", "203.0.113.9"),
        ("203.000.113.009", "203.0.113.9"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("[::FFFF:203.0.113.9]:443", "203.0.113.9"),
        ("::ffff:cb00:7109", "203.0.113.9"),
        ("0:0:0:0:0:FFFF:203.000.113.009", "203.0.113.9"),
        ("\x00\x00203.0.113.9", "203.0.113.9"),
        ("\ufeff203.0.113.9", "203.0.113.9"),
        ('"203.0.113.9"', "203.0.113.9"),
        ("'203.0.113.9:80'", "203.0.113.9"),
        ("/203.0.113.9:52100", "203.0.113.9"),
        ("2001:db8::9", "2001:db8::9"),
        ("2001:0DB8:0000:0000:0000:0000:0000:0009", "2001:db8::9"),
        ("2001:DB8:0:0::9", "2001:db8::9"),
        ("[2001:db8::9]", "2001:db8::9"),
        ("[2001:db8::9]:61264", "2001:db8::9"),
        ("2001:db8:0:0:0:0:0:9:61264", "2001:db8::9"),
        ("fe80::1%eth0", "fe80::1"),
        ("[fe80::1%25en0]:80", "fe80::1"),
        ("2001:db8::192.0.2.1", "2001:db8::c000:201"),
    ],
)
def test_ports_brackets_zeros_and_what_is_around_do_not_make_another_address(text: str, form: str) -> None:
    assert addresses.one_form(text) == form


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("203.0.113.9, 10.0.0.1", "203.0.113.9"),
        ("203.0.113.9,10.0.0.2,192.168.0.1:80", "203.0.113.9"),
        ("203.0.113.9,", "203.0.113.9"),
        (", 203.0.113.9", "203.0.113.9"),
        ("198.51.100.7, 203.0.113.9, 10.0.0.1", "203.0.113.9"),
        ("unknown, 203.0.113.9, _hidden", "203.0.113.9"),
        ("::1, [2001:db8::9]:80, fd00::1, 100.64.0.1", "2001:db8::9"),
        ("10.0.0.5, 10.0.0.1", "10.0.0.5"),
        ("127.0.0.1, ::ffff:10.0.0.1", "127.0.0.1"),
        ("for=203.0.113.9;proto=http;by=198.51.100.43", "203.0.113.9"),
        ('For="[2001:db8:cafe::17]:4711", for=10.0.0.1', "2001:db8:cafe::17"),
        ("1.1.1.1, " * 300 + "203.0.113.9", "203.0.113.9"),
    ],
)
def test_in_a_list_the_last_counts_that_is_not_inside(text: str, form: str) -> None:
    """What stands before it, the visitor may have written; where all are inside, so is the visitor, who is first."""
    assert addresses.one_form(text) == form


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("", ""),
        ("-", "-"),
        ("Host.Example.COM", "host.example.com"),
        ("host.example.com.", "host.example.com"),
        ("host.example.com:61264", "host.example.com"),
        ("Customer7", "Customer7"),
        (" b64/Text== ", "b64/Text=="),
        ("1.2.3", "1.2.3"),
        ("1.2.3.256", "1.2.3.256"),
        ("203.0.113.9/24", "203.0.113.9/24"),
        ("2001:db8::g", "2001:db8::g"),
        ("1:2", "1:2"),
        ("\u0661.2.3.4", "\u0661.2.3.4"),
    ],
)
def test_what_is_no_address_stays_what_it_is(text: str, form: str) -> None:
    """Hosts have no capitals; any other text may be a name that stands for an address."""
    assert addresses.one_form(text) == form
    assert addresses.read(text) is None


def _spellings(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> list[str]:
    """Ways in which programs write an address."""
    if isinstance(address, ipaddress.IPv6Address):
        bare = [str(address), str(address).upper(), address.exploded, f"{address}%1"]
        return [*bare, *(f"[{text}]" for text in bare), *(f"[{text}]:8080" for text in bare)]
    padded = ".".join(f"{int(part):03}" for part in str(address).split("."))
    six = f"::ffff:{address}"
    return [str(address), padded, six, six.upper(), f"{address}:1", f"{padded}:65535", f"[{six}]", f"[{six}]:80"]


@given(
    address=st.ip_addresses().filter(lambda ip: not getattr(ip, "ipv4_mapped", None)),
    pick=st.integers(0, 100),
    around=st.sampled_from(["{}", " {}", "\x00{}", "\ufeff{}\r\n", '"{}"', "{}, 10.0.0.1", "unknown, {}", "for={}"]),
)
def test_an_address_is_the_same_however_it_is_written(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address, pick: int, around: str
) -> None:
    """Behind a private proxy an address that is private itself is the first of two, and counts."""
    spellings = _spellings(address)
    assert addresses.one_form(around.format(spellings[pick % len(spellings)])) == str(address)


@given(st.text() | st.text(st.sampled_from('0123456789abcdef.:[],%/ \0"=for\ufeff'), max_size=60))
def test_one_form_stays_as_it_is(text: str) -> None:
    form = addresses.one_form(text)
    assert addresses.one_form(form) == form
