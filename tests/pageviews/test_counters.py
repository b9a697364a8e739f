"""Visitor counters through the front door: who sees what, in which format, for how long."""

import io
import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from html.parser import HTMLParser
from typing import Any
from urllib.parse import quote

import pytest
from chalice.app import Chalice
from chalice.test import Client
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from chalicelib import wiring
from chalicelib.core.accounts import Site
from chalicelib.core.errors import Invalid, Unavailable
from chalicelib.pageviews import counters, thousands
from infrastructure.local.pump import Pump
from tests.front import FrontDoor, Reply
from tests.people import Person, address, settle

DAY = timedelta(days=1)
OFF = "Need to enable the ‘allow using the visitor counter’ setting"  # noqa: RUF001


def _day(ago: int) -> str:
    return (datetime.now(UTC) - ago * DAY).strftime("%Y-%m-%d")


def _change(person: Person, **settings: Any) -> None:
    site = person.created.site
    wiring.accounts().update_site(site.account, site.id, lambda site: replace(site, **settings))
    wiring.forget()


@pytest.fixture(scope="module")
def reader(app: Chalice) -> Person:
    """Somebody whose site shows counters."""
    return _showing(app)


@pytest.fixture(scope="module")
def looked_at(app: Chalice) -> Person:
    """Somebody else whose site shows counters: nobody counts anything there but `visited`."""
    return _showing(app)


def _showing(app: Chalice) -> Person:
    person = settle(FrontDoor(app))
    _change(person, allow_counter=True)
    return person


@pytest.fixture
def visited(looked_at: Person, pump: Pump) -> Person:
    """One with these visits: `/X.html` twice today, once ten days ago; the event `Signed up` once; `/` once."""
    reader = looked_at
    if not reader.headers:
        old = f"{_day(10)}T12:30:00Z"
        hits = [{"path": "/X.html"}, {"path": "/X.html"}, {"path": "/X.html", "created_at": old}, {"path": "/"}]
        batch = {"no_sessions": True, "hits": [*hits, {"path": "Signed up", "event": True}]}
        assert reader.post("/api/v0/count", json_body=batch).status == 202
        pump.settle()
        reader.headers["visited"] = "yes"
    return reader


@pytest.fixture(autouse=True)
def _nothing_kept() -> Iterator[None]:
    wiring.counters().clear()
    yield
    wiring.counters().clear()


def _ask(person: Person, target: str, **arguments: Any) -> Reply:
    return person.front.get(f"{person.prefix}/counter/{target}", client=address(), **arguments)


def _count(reply: Reply) -> str:
    assert reply.status == 200, reply
    count, unique = reply.json()["count"], reply.json()["count_unique"]
    assert count == unique
    return str(count)


@pytest.mark.parametrize(
    ("target", "count"),
    [
        ("/X.html.json", "3"),
        ("%2FX.html.json", "3"),
        ("/x.HTML.json", "3"),
        ("X.html.json", "3"),
        ("%2FX.html%2F.json", "3"),
        ("//X.html.json", "3"),
        ("%252FX.html.json", "3"),
        ("/.json", "1"),
        ("%2F.json", "1"),
        (".json", "1"),
        ("signed%20up.json", "1"),
        ("TOTAL.json", "5"),
        ("/X.html.json?r=123&utm_source=cache", "3"),
        (f"/X.html.json?start={_day(3)}", "2"),
        ("/X.html.json?start=week", "2"),
        ("/X.html.json?start=month", "3"),
        ("/X.html.json?start=year", "3"),
        (f"/X.html.json?end={_day(5)}", "1"),
        (f"TOTAL.json?start={_day(3)}", "4"),
        ("/X.html.json?start=&end=", "3"),
    ],
)
def test_a_counter_counts_what_its_url_means(visited: Person, target: str, count: str) -> None:
    """Slashes doubled or encoded, case and cache busters do not matter; an event has no slash; TOTAL is the site."""
    assert _count(_ask(visited, target)) == count


def test_the_body_is_what_clients_read(visited: Person) -> None:
    """Both numbers, as strings."""
    reply = _ask(visited, "/X.html.json")
    assert reply.text == '{"count_unique":"3", "count":"3"}\n'
    assert reply.headers["content-type"] == "application/json"
    assert reply.headers["access-control-allow-origin"] == "*"
    assert reply.headers["cross-origin-resource-policy"] == "cross-origin"


def test_an_end_is_the_midnight_that_begins_its_day(visited: Person) -> None:
    """Quirk Q13: of the day itself the first hour counts, which had no visit."""
    assert _ask(visited, f"/X.html.json?end={_day(10)}").status == 404
    assert _count(_ask(visited, f"/X.html.json?end={_day(9)}")) == "1"


@pytest.mark.parametrize("target", ["/missing.json", f"/X.html.json?start={_day(8)}&end={_day(4)}", "TOTAL/.json"])
def test_what_nobody_saw_is_a_404_that_shows_0(visited: Person, target: str) -> None:
    """A page that shows it looks as every other."""
    reply = _ask(visited, target)
    assert (reply.status, reply.json()) == (404, {"count_unique": "0", "count": "0"})


def test_a_whole_site_is_never_a_404(app: Chalice) -> None:
    """It is there, whoever has seen it."""
    person = settle(FrontDoor(app))
    _change(person, allow_counter=True)
    assert _count(_ask(person, "TOTAL.json")) == "0"


def test_a_known_event_is_not_taken_for_the_page_of_that_name(reader: Person, pump: Pump) -> None:
    """The slashes are mended only of what is not there, also where it has no visits in the range."""
    hits = [{"path": "twin", "event": True, "created_at": "2020-01-01T12:00:00Z"}, {"path": "/twin"}]
    reader.post("/api/v0/count", json_body={"no_sessions": True, "hits": hits})
    pump.settle()
    assert _count(_ask(reader, "twin.json?end=2021-01-01")) == "1"
    assert _ask(reader, "twin.json?start=week").status == 404
    assert _count(_ask(reader, "/twin.json?start=week")) == "1"


def test_a_site_that_shows_no_counters_says_so(front: FrontDoor) -> None:
    """As a page; in JSON to whoever speaks JSON."""
    person = settle(front)
    page = _ask(person, "/x.json")
    assert (page.status, page.headers["content-type"]) == (403, "text/html; charset=utf-8")
    assert OFF in page.text
    said = _ask(person, "/x.json", headers={"Content-Type": "application/json"})
    assert (said.status, said.json()) == (403, {"error": OFF})


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("/x.gif", 'unknown extension: "gif"'),
        ("/x", 'unknown extension: ""'),
        ("/x.JSON", 'unknown extension: "JSON"'),
        ("/x.json?start=yesterday", 'start: "yesterday" is not a date (YYYY-MM-DD), week, month or year'),
        ("/x.json?start=2021-01-02&end=2021-01-01", 'end: "2021-01-01" is before start: "2021-01-02"'),
        ("/x.json?start=week&end=2021-01-01", 'end: "2021-01-01" is before start: "week"'),
        ("/x.json?end=week", 'end: "week" is not a date (YYYY-MM-DD)'),
        ("/x.json?end=2026-02-30", 'end: "2026-02-30" is not a date (YYYY-MM-DD)'),
        ("/x.%3Cb%3E", 'unknown extension: "<b>"'),
    ],
)
def test_what_cannot_be_meant_is_refused_by_name(reader: Person, target: str, said: str) -> None:
    """What was sent is quoted as text."""
    reply = _ask(reader, target, headers={"Content-Type": "application/json"})
    assert (reply.status, reply.json()) == (400, {"error": said})
    assert "<b>" not in _ask(reader, target).text


def test_nobodys_site_has_no_counters(front: FrontDoor) -> None:
    """Neither a code nor a host that is known."""
    settle(front)
    settle(front)
    assert front.get("/s/no-such-code/counter//x.json").status == 400
    assert front.get("/counter//x.json", headers={"Host": "nobody.example"}).status == 400


# Looks


def test_a_page_has_the_elements_that_users_style(visited: Person) -> None:
    """By their ids; the credit goes if they ask for that."""
    reply = _ask(visited, "/X.html.html")
    assert reply.headers["content-type"] == "text/html;charset=utf-8"
    assert re.findall(r'id="([a-z-]+)"', reply.text) == ["gcvc-for", "gcvc-views", "gcvc-by"]
    assert '<span id="gcvc-views">3</span>' in reply.text
    assert "Views for this page:" in reply.text
    assert "Views for this site:" in _ask(visited, "TOTAL.html").text
    assert re.findall(r'id="([a-z-]+)"', _ask(visited, "/X.html.html?no_branding=1").text) == ["gcvc-for", "gcvc-views"]


def test_a_picture_has_them_too(visited: Person) -> None:
    """Valid XML, of 200 by 80 pixels; by 60 without the credit."""
    reply = _ask(visited, "/X.html.svg")
    assert reply.headers["content-type"] == "image/svg+xml"
    root = ET.fromstring(reply.body)
    assert [element.get("id") for element in root.iter() if element.get("id")] == [
        "gcvc",
        "gcvc-border",
        "gcvc-for",
        "gcvc-views",
        "gcvc-by",
    ]
    assert (root.get("width"), root.get("height")) == ("200", "80")
    assert ET.fromstring(_ask(visited, "/X.html.svg?no_branding=1").body).get("height") == "60"


@pytest.mark.parametrize(("query", "height"), [("", 80), ("?no_branding=true", 60)])
def test_a_png_is_a_picture_of_the_number(visited: Person, query: str, height: int) -> None:
    """Of the same size; another number is another picture."""
    reply = _ask(visited, f"/X.html.png{query}")
    assert reply.headers["content-type"] == "image/png"
    picture = Image.open(io.BytesIO(reply.body))
    picture.load()
    assert (picture.format, picture.size) == ("PNG", (200, height))
    assert _ask(visited, f"/.png{query}").body != reply.body


def test_every_look_is_ones_own(visited: Person) -> None:
    """Quirk Q16, mended: whoever asked before did not choose the style for all."""
    styled = _ask(visited, "/X.html.html?style=body{color:red}").text
    plain = _ask(visited, "/X.html.html").text
    assert "color:red" in styled
    assert "color:red" not in plain
    assert counters.CREDIT in plain
    assert counters.CREDIT not in _ask(visited, "/X.html.html?no_branding=1").text
    assert counters.CREDIT in _ask(visited, "/X.html.html").text


class _Tags(HTMLParser):
    """What a browser would make elements of."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002
        self.seen.append(tag)


ATTACKS = [
    "</style><script>alert(1)</script>",
    "</STYLE ><img src=x onerror=alert(1)>",
    "</style\n><svg onload=alert(1)>",
    "]]></style><script xmlns='http://www.w3.org/1999/xhtml'>alert(1)</script>",
    "<!--</style><script>",
    "&lt;/style&gt;<script>alert(1)</script>",
    "\x00</st\x00yle>\ud7ff\ufffe",
    "$views ${by} $",
]


def _question(style: str, extension: str) -> counters.Question:
    query = {"style": [style]}
    return counters.decode(f"/x.{extension}", query, 1_800_000_000.0)


@given(st.sampled_from(ATTACKS) | st.text(alphabet="</style>!-&;]\0\ud800 a", max_size=40) | st.text())
def test_a_style_stays_a_style(style: str) -> None:
    """No text of it becomes an element, of a page or of a picture; a picture stays valid XML."""
    tags = _Tags()
    tags.feed(str(counters.show(_question(style, "html"), "1").body))
    tags.close()
    assert tags.seen == ["html", "head", "meta", "title", "style", "body", "span", "span", "span"]
    root = ET.fromstring(str(counters.show(_question(style, "svg"), "1").body))
    assert [element.tag.rpartition("}")[2] for element in root.iter()] == [
        "svg",
        "style",
        "rect",
        "text",
        "text",
        "text",
    ]


def test_a_style_reaches_the_browser_as_it_was_meant(visited: Person) -> None:
    """Selectors and comparisons have signs that markup has too."""
    style = '@media (width < 9999px) { #gcvc > text { content: "a&b" } }'
    assert style in _ask(visited, f"/X.html.html?style={quote(style)}").text
    (element,) = ET.fromstring(_ask(visited, f"/X.html.svg?style={quote(style)}").body).iter(
        "{http://www.w3.org/2000/svg}style"
    )
    assert style in (element.text or "")


@pytest.mark.parametrize("extension", ["html", "svg", "png", "json"])
def test_a_counter_may_be_framed_and_runs_nothing(visited: Person, extension: str) -> None:
    """Anywhere; but no script, and nothing that it would load from elsewhere."""
    headers = _ask(visited, f"/X.html.{extension}").headers
    policy = dict(part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";"))
    assert policy["frame-ancestors"] == "*"
    assert (policy["default-src"], policy["style-src"]) == ("'none'", "'unsafe-inline'")
    assert "script-src" not in policy
    assert "x-frame-options" not in headers
    assert headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    ("settings", "shown"),
    [
        ("", "1\u202f234\u202f567"),
        ('{"number_format": 44}', "1,234,567"),
        ('{"number_format": 46}', "1.234.567"),
        ('{"number_format": 39}', "1'234'567"),
        ('{"number_format": 160}', "1\u00a0234\u00a0567"),
        ('{"number_format": 1}', "1234567"),
        ('{"number_format": "x"}', "1\u202f234\u202f567"),
        ('{"number_format": -5}', "1\u202f234\u202f567"),
        ('{"number_format": 55296}', "1\u202f234\u202f567"),
        ("[]", "1\u202f234\u202f567"),
        ("{", "1\u202f234\u202f567"),
    ],
)
def test_thousands_are_set_apart_as_the_site_says(settings: str, shown: str) -> None:
    """By a narrow space, if it says nothing that can be read; and every format can show that."""
    site = Site(account="a", domain="d", id=1, code="c", user_defaults=settings)
    number = thousands.grouped(1_234_567, counters.separator(site))
    assert number == shown
    for extension in counters.SHOWN:
        assert counters.show(_question("", extension), number).body
    assert json.loads(counters.show(_question("", "json"), number).body)["count"] == shown


# For how long


def test_browsers_keep_it_for_four_hours(visited: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    """And are told how old the number is."""
    now = wiring.now()
    monkeypatch.setattr(wiring, "now", lambda: now)
    headers = _ask(visited, "/X.html.json").headers
    assert (headers["cache-control"], headers["age"]) == ("public", "0")
    assert headers["expires"].endswith(" +0000")
    assert parsedate_to_datetime(headers["expires"]).timestamp() == int(now) + 4 * 3600
    monkeypatch.setattr(wiring, "now", lambda: now + 7.5)
    assert _ask(visited, "/X.html.json").headers["age"] == "7"


def test_a_number_that_cannot_be_read_now_may_be_old(visited: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    """Better than none, for four hours; then the answer says that the service cannot."""
    assert _count(_ask(visited, "/X.html.json")) == "3"
    now = wiring.now()

    def refuse(*_: object) -> None:
        raise Unavailable("throttled")

    monkeypatch.setattr("chalicelib.core.tallies.Tallies.path", refuse)
    monkeypatch.setattr(wiring, "now", lambda: now + 3600)
    reply = _ask(visited, "/X.html.json")
    assert (_count(reply), reply.headers["age"]) == ("3", "3600")
    monkeypatch.setattr(wiring, "now", lambda: now + 4 * 3600 + 1)
    assert _ask(visited, "/X.html.json").status == 503


def test_an_address_has_a_window_of_its_own(visited: Person) -> None:
    """Two hundred in a minute: a list of a hundred posts may show each one's counter."""
    somebody = address()
    replies = [visited.front.get(f"{visited.prefix}/counter//X.html.json", client=somebody).status for _ in range(201)]
    assert (replies[:200].count(200), replies[200]) == (200, 429)
    assert _ask(visited, "/X.html.json").status == 200


def test_chalices_own_gateway_leads_to_them_too(visited: Person, app: Chalice) -> None:
    """It knows greedy variables for one segment only, and decodes nothing."""
    with Client(app) as client:
        reply = client.http.get(f"{visited.prefix}/counter/%2FX.html.json")
    assert (reply.status_code, reply.json_body) == (200, {"count_unique": "3", "count": "3"})


@given(st.text(max_size=30))
def test_any_path_can_be_asked_for(path: str) -> None:
    """What a script encodes is what is looked for, first of all."""
    asked = counters.decode(f"{path}.json", {}, 0.0)
    assert asked.spellings[:1] == (() if path == "TOTAL" else (path,))


def test_a_date_that_is_none_is_no_date() -> None:
    """Digits of other scripts are not."""
    with pytest.raises(Invalid, match="start: "):
        counters.decode("x.json", {"start": ["\u0662\u0660\u0662\u0666-01-01"]}, 0.0)
