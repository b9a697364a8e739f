"""The page at `/` and `/s/CODE`: what a service says to whoever opens its address."""

import re
from base64 import b64encode
from hashlib import sha256
from html.parser import HTMLParser

import pytest
from chalice.app import Chalice

from chalicelib import wiring
from chalicelib.core.errors import Unavailable
from chalicelib.pageviews.start import Start, State, show, snippet
from tests.front import FrontDoor, Reply
from tests.people import Person, address, settle

LARGEST = 4 * 1024
"""Bytes of the page."""


class Parsed(HTMLParser):
    """What a page shows, where it leads, and which elements it has."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = ""
        self.code: list[str] = []
        self.links: list[str] = []
        self.tags: set[str] = set()
        self._within: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self._within.append(tag)
        if tag == "code":
            self.code.append("")
        self.links += [value or "" for name, value in attrs if name == "href"]

    def handle_endtag(self, tag: str) -> None:
        while self._within and self._within.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if "style" not in self._within:
            self.text += data
        if "code" in self._within:
            self.code[-1] += data


@pytest.fixture(scope="module")
def person(quick: Chalice) -> Person:
    """The owner of one site among several."""
    front = FrontDoor(quick)
    settle(front)
    return settle(front, cname="shop.example.com")


@pytest.fixture
def lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody can say which sites there are."""

    def nobody(*_: object) -> None:
        raise Unavailable("DynamoDB: ThrottlingException")

    monkeypatch.setattr(wiring.accounts(), "public_site", nobody)


def opened(person: Person, path: str, host: str = "stats.example.com") -> Reply:
    return person.front.get(path, headers={"host": host}, client=address())


@pytest.mark.parametrize("slash", ["", "/"])
def test_a_sites_address_shows_its_snippet_and_where_the_apis_are_described(person: Person, slash: str) -> None:
    """Every address that it names answers."""
    reply = opened(person, f"{person.prefix}{slash}")
    assert (reply.status, reply.headers["content-type"]) == (200, "text/html; charset=utf-8")
    page, base = Parsed(reply.text), f"https://stats.example.com{person.prefix}"
    assert snippet(base, local=False) in page.code
    assert person.created.site.code in page.code
    assert {f"{base}/api2.html", f"{base}/api.json", "https://stats.example.com/v1/api"} <= set(page.links)
    for link in [*page.links, *re.findall(r'src="([^"]+)"', "".join(page.code))]:
        assert opened(person, link.removeprefix("https://stats.example.com")).status == 200, link


def test_a_host_that_stands_for_one_site_shows_that_sites_snippet(person: Person) -> None:
    """Without a code, which the host makes unnecessary; one that stands for none leads to the sites' own addresses."""
    assert snippet("https://shop.example.com", local=False) in Parsed(opened(person, "/", "Shop.example.com").text).code
    page = Parsed(opened(person, "/").text)
    assert "<script" not in "".join(page.code)
    assert "https://stats.example.com/s/CODE" in page.code


@pytest.mark.parametrize("host", ["localhost:8000", "127.0.0.1:8077", "[::1]:8000"])
def test_on_ones_own_machine_the_snippet_counts_pages_there(person: Person, host: str) -> None:
    """Which the script leaves out otherwise."""
    page = Parsed(opened(person, person.prefix, host).text)
    assert snippet(f"http://{host}{person.prefix}", local=True) in page.code
    assert "allow_local" in "".join(page.code)
    assert "allow_local" not in opened(person, person.prefix).text


def test_it_is_small_inert_and_kept_for_a_minute(person: Person) -> None:
    """By whoever asked at the same host; a browser that has it is not sent it again."""
    reply = opened(person, person.prefix)
    assert len(reply.body) < LARGEST
    style = reply.text.partition("<style>")[2].partition("</style>")[0]
    digest = b64encode(sha256(style.encode()).digest()).decode()
    assert reply.headers["content-security-policy"] == (
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    assert {"script", "link", "img", "form", "iframe"}.isdisjoint(Parsed(reply.text).tags)
    assert (reply.headers["cache-control"], reply.headers["vary"]) == ("public, max-age=60", "Host, X-Countless-Host")
    known = {"host": "stats.example.com", "if-none-match": reply.headers["etag"]}
    again = person.front.get(person.prefix, headers=known, client=address())
    assert (again.status, again.body) == (304, b"")
    head = person.front.request("HEAD", person.prefix, headers={"host": "stats.example.com"}, client=address())
    assert (head.status, head.body) == (200, b"")


def test_an_unknown_code_is_no_page(person: Person) -> None:
    """And what is not asked for by GET or HEAD is refused."""
    for path in ("/s/nobodys", "/s/nobodys/", "/s/%3Cscript%3E"):
        reply = opened(person, path)
        assert (reply.status, reply.headers["content-type"]) == (404, "text/plain; charset=utf-8")
    assert person.front.post("/", client=address()).status == 405


def test_a_service_that_cannot_count_says_so(person: Person, lost: None) -> None:
    """And nobody keeps that."""
    assert lost is None
    for path in ("/", person.prefix):
        reply = opened(person, path)
        assert (reply.status, reply.headers["cache-control"]) == (503, "no-store,no-cache")
        assert "cannot count at the moment" in reply.text
        assert "data-goatcounter" not in reply.text


def test_what_an_address_says_is_escaped() -> None:
    """Whatever a gateway lets through as a host, or a store as a code."""
    evil = "\"'><script>alert(1)</script>"
    for state in State:
        page = show(Start(f"https://{evil}", local=True, code=evil, state=state, version=evil)).html
        assert "<script" not in page
        assert Parsed(page).tags == Parsed(show(Start("", local=True, code="x", state=state, version="")).html).tags
