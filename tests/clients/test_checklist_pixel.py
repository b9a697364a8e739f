"""The wire-compatibility checklist (page-view contract, section 15) over HTTP, rows 34 to 43: the counting pixel."""

import shutil
import subprocess

import pytest

from tests.clients.people import FIREFOX, People, Person, wire

GIF = bytes.fromhex("47494638396101000100800100000000ffffff21f904010a0001002c00000000010001000002024c01003b")
SPAMMER = "semalt.com"
"""A host of the public list."""


def test_row_34_a_view_is_answered_with_a_pixel(person: Person) -> None:
    """Byte by byte, with the headers that pages of other origins need; unknown parameters are ignored."""
    reply = person.view("p=/x&zzz=1")
    assert (reply.status, reply.body, len(reply.body)) == (200, GIF, 43)
    assert reply.headers["content-type"] == "image/gif"
    assert reply.headers["access-control-allow-origin"] == "*"
    assert reply.headers["cross-origin-resource-policy"] == "cross-origin"
    assert reply.headers["cache-control"] == "no-store,no-cache"
    assert "x-goatcounter" not in reply.headers
    person.sees({"/x": 1})


def test_row_35_a_beacon_has_neither_body_nor_type(person: Person) -> None:
    """It is counted, and answered like any other view."""
    lines = ("POST /count?p=/x HTTP/1.1", f"Host: {person.host}", f"User-Agent: {FIREFOX}", "Content-Length: 0")
    received = wire(person.url, *lines)
    assert received.startswith(b"HTTP/1.1 200 ")
    assert received.endswith(b"\r\n\r\n" + GIF)
    person.sees({"/x": 1})


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl here")
def test_row_35_a_beacon_may_lack_a_length_as_well(person: Person) -> None:
    """As curl sends a POST without data."""
    command = ["curl", "-sS", "-X", "POST", "-A", FIREFOX, "-H", f"Host: {person.host}", f"{person.url}/count?p=/x"]
    assert subprocess.run(command, capture_output=True, check=True, timeout=30).stdout == GIF
    person.sees({"/x": 1})


def test_row_36_a_view_has_a_path(person: Person) -> None:
    """Without one a header says why it is not counted; the body is a pixel all the same."""
    reply = person.view("")
    assert (reply.status, reply.body) == (400, GIF)
    assert reply.headers["x-goatcounter"] == "not valid: path: must be set, must be longer than 1 characters."
    person.sees_none_but_a_marker()


def test_row_37_codes_of_bots_that_only_the_server_gives_are_refused(person: Person) -> None:
    """Those below 150."""
    reply = person.view("p=/x&b=100")
    assert (reply.status, reply.body, reply.headers["x-goatcounter"]) == (400, GIF, "wrong value: b=100")
    person.sees_none_but_a_marker()


def test_row_37_bots_that_scripts_report_are_not_counted(person: Person) -> None:
    """They are told nothing."""
    reply = person.view("p=/x&b=150")
    assert (reply.status, reply.body, "x-goatcounter" in reply.headers) == (200, GIF, False)
    person.sees_none_but_a_marker()


def test_row_37_a_size_is_made_of_numbers(person: Person) -> None:
    """Else a header says so."""
    reply = person.view("p=/x&s=xxx")
    assert (reply.status, reply.body) == (400, GIF)
    assert reply.headers["x-goatcounter"].startswith("error decoding parameters:")
    person.sees_none_but_a_marker()


def test_row_38_pages_that_are_fetched_ahead_are_not_counted(person: Person) -> None:
    """Nobody has seen them yet."""
    reply = person.view("p=/x", {"Purpose": "prefetch"})
    assert (reply.status, reply.body, "x-goatcounter" in reply.headers) == (200, GIF, False)
    person.sees_none_but_a_marker()


def test_row_38_ignored_addresses_are_not_counted(people: People) -> None:
    """A header says so."""
    person = people.settle(ignore_ips=("127.0.0.1",))
    reply = person.view("p=/x")
    assert (reply.status, reply.body) == (202, GIF)
    assert reply.headers["x-goatcounter"] == 'ignored because "127.0.0.1" is in the IP ignore list'
    person.sees_none_but_a_marker()


def test_row_39_a_path_may_have_2048_bytes(person: Person) -> None:
    """It is counted as it is; one byte more is refused, nothing is cut off."""
    longest = "/" + 2047 * "a"
    assert person.view(f"p={longest}a").status == 400
    reply = person.view(f"p={longest}")
    assert (reply.status, reply.body) == (200, GIF)
    person.sees({longest: 1})


@pytest.mark.parametrize(
    ("sent", "stored"), [("foo.html", "/foo.html"), ("//page/", "/page"), ("/page?fbclid=1&a=b", "/page?a=b")]
)
def test_row_40_paths_are_normalised(person: Person, sent: str, stored: str) -> None:
    """One leading slash, no trailing one, no parameters that only tell where a visitor came from."""
    assert person.view(f"p={sent.replace('&', '%26')}").status == 200
    person.sees({stored: 1})
    [path] = person.figures("/api/v0/paths")["paths"]
    assert (path["path"], path["event"]) == (stored, False)


@pytest.mark.parametrize(
    ("query", "referrer", "scheme"),
    [
        ("q=?ref=AAA", "AAA", "c"),
        ("q=utm_source=S%26ref=R", "S", "c"),
        ("r=https://www.google.co.nz/search?q=1", "Google", "g"),
        ("r=https://example.com/a/?x=1", "example.com/a", "h"),
        ("r=example", "example", "o"),
    ],
)
def test_rows_41_and_42_referrers_are_named(person: Person, query: str, referrer: str, scheme: str) -> None:
    """By a campaign's source, by a group's name, by host and path, or as they are."""
    assert person.view(f"p=/x&{query}").status == 200
    person.sees({"/x": 1})
    assert [(event.ref, event.scheme) for event in person.events()] == [(referrer, scheme)]


def test_row_43_referrer_spam_is_not_counted(person: Person) -> None:
    """Its sender is told nothing."""
    reply = person.view(f"p=/x&r=https://sub.{SPAMMER}/")
    assert (reply.status, reply.body, "x-goatcounter" in reply.headers) == (200, GIF, False)
    person.sees_none_but_a_marker()
