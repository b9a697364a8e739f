"""Breakdowns and their details through the front door: rows, names, order, paging, filters, refusals."""

import secrets
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import pytest
from chalice.app import Chalice

from chalicelib import wiring
from chalicelib.aws.records import partition
from chalicelib.aws.tables import DomainDocument, UserDocument
from chalicelib.core.events import Hit
from chalicelib.core.messages import Message
from chalicelib.core.names import versioned
from infrastructure import naming
from tests.front import FrontDoor
from tests.people import Person, address, settle

NOON = int(datetime(2020, 6, 18, 12, tzinfo=UTC).timestamp())
HOUR = 3600
DAYS = "start=2020-06-17&end=2020-06-19"
HIT = Hit("/a", "", False, "", "o", "", None, None, "", "", 0, NOON, 0, 0)
SIZES = ["phone", "tablet", "desktop", "desktophd", "unknown"]


def visited(person: Person, *hits: Hit) -> None:
    """Puts visits into the log."""
    stream = person.created.site.stream
    message = Message(secrets.randbits(63), int(wiring.now()), stream, False, hits)
    assert wiring.appender().append(stream, [message]).refused == {}


def asked(person: Person, path: str, query: str = "") -> Any:
    """The JSON of an answer that is a success."""
    reply = person.get(f"/api/v0/stats/{path}?{DAYS}{query}")
    assert reply.status == 200, reply
    return reply.json()


def rows(person: Person, path: str, query: str = "") -> list[tuple[str, int]]:
    """Names and counts."""
    return [(row["name"], row["count"]) for row in asked(person, path, query)["stats"]]


@pytest.fixture
def newcomer(quick: Chalice) -> Person:
    """Somebody whose site is empty."""
    return settle(FrontDoor(quick))


@pytest.fixture(scope="module")
def shared(quick: Chalice) -> Person:
    """Somebody with visits of all kinds, on three paths."""
    person = settle(FrontDoor(quick))
    visited(
        person,
        HIT._replace(browser=versioned("Firefox", "9"), system=versioned("Windows", "10"), location="NL", width=600),
        HIT._replace(browser=versioned("Firefox", "10"), system="Linux", location="NL-NH", width=601, language="nld"),
        HIT._replace(path="/b", browser=versioned("Firefox", "10"), system="Linux", location="US-TX", width=1920),
        HIT._replace(path="/b", browser="Lynx", system="", location="US-CA", width=1921, language="eng"),
        HIT._replace(path="buy", event=True, browser="", location="US-ZZZ", width=601, language="eng"),
        HIT._replace(path="/b", ref="example.com/x", ref_scheme="h", location="XQ", language="qqq"),
        HIT._replace(ref="Letter", ref_scheme="c", campaign="Sale"),
        HIT._replace(path="/b", ref="letter", ref_scheme="c", campaign="SALE"),
        HIT._replace(ref="Google", ref_scheme="g", campaign="Spring"),
        HIT._replace(ref="Google", ref_scheme="g"),
    )
    return person


@pytest.fixture
def person(shared: Person) -> Person:
    return replace(shared)


# Pages


def test_browsers_are_shown_without_versions(person: Person) -> None:
    """An unknown one has an empty name and no id; what was not collected is not there."""
    assert asked(person, "browsers") == {
        "stats": [
            {"id": "Firefox", "name": "Firefox", "count": 3},
            {"name": "", "count": 1},
            {"id": "Lynx", "name": "Lynx", "count": 1},
        ],
        "more": False,
    }


def test_systems_are_shown_like_browsers(person: Person) -> None:
    """Of equals by name."""
    assert rows(person, "systems") == [("Linux", 2), ("", 1), ("Windows", 1)]


def test_regions_are_merged_into_their_country(person: Person) -> None:
    """By the country's English name; a code that nobody has stands for itself, none for the unknown."""
    assert asked(person, "locations")["stats"] == [
        {"id": "(unknown)", "name": "(unknown)", "count": 4},
        {"id": "US", "name": "United States", "count": 3},
        {"id": "NL", "name": "Netherlands", "count": 2},
        {"id": "XQ", "name": "XQ", "count": 1},
    ]


def test_languages_have_english_names(person: Person) -> None:
    """Of equals by code."""
    assert asked(person, "languages")["stats"] == [
        {"id": "(unknown)", "name": "(unknown)", "count": 6},
        {"id": "eng", "name": "English", "count": 2},
        {"id": "nld", "name": "Dutch", "count": 1},
        {"id": "qqq", "name": "qqq", "count": 1},
    ]


def test_sizes_are_always_five_rows(person: Person, newcomer: Person) -> None:
    """Whatever the limit and the offset; without names, in one order."""
    found = asked(person, "sizes", "&limit=1&offset=3")
    assert found == {
        "stats": [
            {"id": "phone", "name": "", "count": 1},
            {"id": "tablet", "name": "", "count": 2},
            {"id": "desktop", "name": "", "count": 1},
            {"id": "desktophd", "name": "", "count": 1},
            {"id": "unknown", "name": "", "count": 5},
        ],
        "more": False,
    }
    assert [(row["id"], row["count"]) for row in asked(newcomer, "sizes")["stats"]] == [(size, 0) for size in SIZES]


def test_campaigns_have_numbers_as_text(person: Person) -> None:
    """And the spelling that came first."""
    assert asked(person, "campaigns")["stats"] == [
        {"id": "1", "name": "Sale", "count": 2},
        {"id": "2", "name": "Spring", "count": 1},
    ]


def test_referrers_have_schemes(person: Person) -> None:
    """No referrer has an empty name and no id; of equals the first seen comes first."""
    assert asked(person, "toprefs")["stats"] == [
        {"name": "", "count": 5, "ref_scheme": "o"},
        {"id": "Letter", "name": "Letter", "count": 2, "ref_scheme": "c"},
        {"id": "Google", "name": "Google", "count": 2, "ref_scheme": "g"},
        {"id": "example.com/x", "name": "example.com/x", "count": 1, "ref_scheme": "h"},
    ]


def test_a_sites_own_pages_are_no_referrers(newcomer: Person) -> None:
    """They are left out before rows are counted off, whatever their case; in the list of one path they stay."""
    created = newcomer.created
    document = DomainDocument.get(partition(created.account.id), f"domain#{created.site.domain}")
    document.link_domain = "https://www.Own.example/"
    document.save()
    wiring.forget()
    own = [HIT._replace(ref=f"www.own.example/{n}", ref_scheme="h") for n in range(9)]
    visited(newcomer, *own, *own, HIT._replace(ref="other.example", ref_scheme="h"), HIT)
    assert rows(newcomer, "toprefs", "&limit=1") == [("", 1)]
    assert asked(newcomer, "toprefs", "&limit=2&offset=1") == {
        "stats": [{"id": "other.example", "name": "other.example", "count": 1, "ref_scheme": "h"}],
        "more": False,
    }
    assert len(asked(newcomer, "hits/1")["refs"]) == 11


# Details


def test_details_of_browsers_are_their_versions(person: Person) -> None:
    """By a name in any case; of equals by name, so that 10 stands before 9."""
    assert asked(person, "browsers/firefox") == {
        "stats": [{"name": "Firefox 10", "count": 2}, {"name": "Firefox 9", "count": 1}],
        "more": False,
    }
    assert rows(person, "systems/LINUX") == [("Linux", 2)]
    assert rows(person, "systems/Windows") == [("Windows 10", 1)]


def test_details_of_a_country_are_its_regions(person: Person) -> None:
    """The country as such has no name there, and a region that nobody knows is unknown; codes have a case."""
    assert rows(person, "locations/NL") == [("", 1), ("North Holland", 1)]
    assert rows(person, "locations/US") == [("(unknown)", 1), ("California", 1), ("Texas", 1)]
    assert rows(person, "locations/nl") == []
    assert rows(person, "locations/(unknown)") == [("(unknown)", 4)]


def test_details_of_a_size_are_its_widths(person: Person) -> None:
    """From the narrowest to the widest that belong to it."""
    assert rows(person, "sizes/phone") == [("↔︎ 600px", 1)]
    assert rows(person, "sizes/tablet") == [("↔︎ 601px", 2)]
    assert rows(person, "sizes/desktop") == [("↔︎ 1920px", 1)]
    assert rows(person, "sizes/desktophd") == [("↔︎ 1921px", 1)]
    assert rows(person, "sizes/unknown") == [("↔︎ 0px", 5)]


def test_details_of_a_campaign_are_its_sources(person: Person) -> None:
    """By its number."""
    assert asked(person, "campaigns/1") == {"stats": [{"name": "Letter", "count": 2}], "more": False}
    assert rows(person, "campaigns/2") == [("Google", 1)]


def test_details_of_a_referrer_are_the_paths(person: Person) -> None:
    """By its text in any case, with its slashes as they are or encoded."""
    assert rows(person, "toprefs/letter") == [("/a", 1), ("/b", 1)]
    for spelling in ("example.com/x", "example.com%2Fx", "EXAMPLE.COM%2fX"):
        assert rows(person, f"toprefs/{spelling}") == [("/b", 1)]


@pytest.mark.parametrize(
    "ref", ["a b", "100%", "twitter.com/search?q=https%3A%2F%2Ft.co%2Fx", "é/ß", "a//b", "x#y", "+"]
)
def test_a_referrer_is_decoded_once(newcomer: Person, ref: str) -> None:
    """Escapes that are part of it stay."""
    visited(newcomer, HIT._replace(ref=ref), HIT._replace(path="/none"))
    assert rows(newcomer, f"toprefs/{quote(ref, safe='')}") == [("/a", 1)]


@pytest.mark.parametrize(
    "path",
    ["browsers/Nobody", "systems/Nobody", "locations/DE", "campaigns/99", "campaigns/-1", "toprefs/nobody.example/x"],
)
def test_what_nobody_had_has_no_rows(person: Person, path: str) -> None:
    """Which is no error."""
    assert asked(person, path) == {"stats": [], "more": False}


def test_referrers_of_a_path(person: Person) -> None:
    """Without ids; of equals the first seen comes first."""
    assert asked(person, "hits/1") == {
        "refs": [
            {"name": "", "count": 2, "ref_scheme": "o"},
            {"name": "Google", "count": 2, "ref_scheme": "g"},
            {"name": "Letter", "count": 1, "ref_scheme": "c"},
        ],
        "more": False,
    }
    assert asked(person, "hits/1", "&offset=1&limit=1") == {
        "refs": [{"name": "Google", "count": 2, "ref_scheme": "g"}],
        "more": True,
    }
    assert asked(person, "hits/999999") == asked(person, "hits/-1") == {"refs": [], "more": False}


# Filters, ranges, pages


@pytest.mark.parametrize(
    "filters",
    [
        "include_paths=2,3",
        "include_paths=2&include_paths=3",
        "include_paths[]=2&include_paths[]=3",
        "IncludePaths=3,2",
        "path_by_name=true&include_paths=/B,BUY",
        "PathByName=1&IncludePaths=/b&include_paths[]=buy",
    ],
)
def test_a_filter_leaves_the_visits_of_its_paths(person: Person, filters: str) -> None:
    """By number or by name in any case, however it is spelt: every page and every detail."""
    query = f"&{filters}"
    assert rows(person, "browsers", query) == [("", 1), ("Firefox", 1), ("Lynx", 1)]
    assert rows(person, "browsers/Firefox", query) == [("Firefox 10", 1)]
    assert rows(person, "locations/US", query) == [("(unknown)", 1), ("California", 1), ("Texas", 1)]
    assert rows(person, "languages", query) == [("(unknown)", 2), ("English", 2), ("qqq", 1)]
    assert [row["count"] for row in asked(person, "sizes", query)["stats"]] == [0, 1, 1, 1, 2]
    assert rows(person, "campaigns", query) == [("Sale", 1)]
    assert rows(person, "campaigns/1", query) == [("Letter", 1)]
    assert rows(person, "toprefs", query) == [("", 3), ("example.com/x", 1), ("Letter", 1)]
    assert rows(person, "toprefs/letter", query) == [("/b", 1)]


def test_a_filter_that_finds_no_path_leaves_nothing(person: Person) -> None:
    """Not everything."""
    assert rows(person, "browsers", "&path_by_name=on&include_paths=/nowhere") == []
    assert rows(person, "toprefs", "&include_paths=999") == []
    assert len(rows(person, "browsers", "&include_paths=")) == 3


@pytest.mark.parametrize("page", ["browsers", "locations", "languages", "campaigns", "toprefs", "browsers/Firefox"])
def test_pages_joined_are_the_whole(person: Person, page: str) -> None:
    """And `more` says whether anything follows."""
    whole = asked(person, page)["stats"]
    joined = []
    for offset in range(len(whole)):
        found = asked(person, page, f"&limit=1&offset={offset}")
        assert found["more"] is (offset + 1 < len(whole))
        joined += found["stats"]
    assert joined == whole
    assert asked(person, page, f"&Offset={len(whole)}") == {"stats": [], "more": False}
    assert asked(person, page, "&offset=-5&limit=0")["stats"] == whole[:1]


def test_limits_are_brought_into_bounds(newcomer: Person) -> None:
    """20 rows unless others are asked for, at most 100."""
    visited(newcomer, *(HIT._replace(browser=f"Browser{n:03}", ref=f"ref {n}") for n in range(101)))
    for page in ("browsers", "toprefs"):
        assert len(rows(newcomer, page)) == 20
        assert len(rows(newcomer, page, "&limit=5000")) == 100
        assert asked(newcomer, page, "&limit=100&offset=1")["more"] is False


def test_dimensions_go_by_days_and_referrers_by_hours(newcomer: Person) -> None:
    """A date as the end means its first hour for referrers, and all of it for browsers."""
    visited(newcomer, HIT._replace(browser="Lynx", campaign="C", ref="x", ref_scheme="c"))
    day = "start=2020-06-18&end=2020-06-18"
    for page, found in (("browsers", 1), ("campaigns", 1), ("toprefs", 0), ("hits/1", 0), ("toprefs/x", 0)):
        body = newcomer.get(f"/api/v0/stats/{page}?{day}").json()
        assert len(body.get("stats", body.get("refs"))) == found
    assert newcomer.get(f"/api/v0/stats/toprefs?{day}T12:00:00Z").json()["stats"]
    backwards = "start=2020-06-18T23:00:00Z&end=2020-06-18T11:00:00Z"
    sentence = 'end: "2020-06-18T11:00:00Z" is before start: "2020-06-18T23:00:00Z"'
    for page in ("browsers", "browsers/x", "toprefs", "hits/1", "hits", "total", "sizes"):
        reply = newcomer.get(f"/api/v0/stats/{page}?{backwards}")
        assert (reply.status, reply.json()) == (400, {"error": f"invalid query parameters: {sentence}"})


def moves(person: Person, zone: str) -> None:
    """Has the person live in this time zone from now on."""
    created = person.created
    document = UserDocument.get(partition(created.account.id), f"user#{created.user.id:010d}")
    document.timezone = zone
    document.save()
    wiring.forget()


@pytest.mark.parametrize("now", ["2020-07-01", "2020-12-01"])
def test_days_are_taken_by_the_clock_of_their_season_and_not_by_todays(
    newcomer: Person, monkeypatch: pytest.MonkeyPatch, now: str
) -> None:
    """Berlin's midnights: 22:00 UTC in summer, 23:00 in winter. `total_utc` reads the very clock times as UTC."""
    moves(newcomer, "Europe/Berlin")
    summer, winter = (
        int(datetime.fromisoformat(f"{day}T12:00:00Z").timestamp()) for day in ("2020-06-18", "2020-12-18")
    )
    visited(newcomer, HIT._replace(browser="Summer", at=summer), HIT._replace(browser="Winter", at=winter))
    moment = datetime.fromisoformat(f"{now}T12:00:00Z").timestamp()
    monkeypatch.setattr(wiring, "now", lambda: moment)

    def browsers(query: str) -> list[str]:
        return [row["name"] for row in newcomer.get(f"/api/v0/stats/browsers?{query}").json()["stats"]]

    assert browsers("start=2020-06-18T21:59:59Z&end=2020-06-18T22:30:00Z") == ["Summer"]
    assert browsers("start=2020-06-18T22:00:00Z&end=2020-06-18T22:30:00Z") == []
    assert browsers("start=2020-12-17T22:00:00Z&end=2020-12-17T22:59:59Z") == []
    assert browsers("start=2020-12-17T22:00:00Z&end=2020-12-17T23:00:00Z") == ["Winter"]

    def total_utc(start: str, end: str) -> int:
        found: int = newcomer.get(f"/api/v0/stats/total?start={start}&end={end}").json()["total_utc"]
        return found

    assert [total_utc(f"2020-06-18T{hour:02}:00:00Z", "2020-06-18T23:00:00Z") for hour in (10, 11)] == [1, 0]
    assert [total_utc("2020-12-18", f"2020-12-18T{hour}:59:59Z") for hour in (10, 11)] == [0, 1]


def test_days_are_the_callers_and_matched_as_days_of_utc(newcomer: Person) -> None:
    """Whose evening is the next day already gets that day's figures; hours stay hours."""
    moves(newcomer, "Asia/Tokyo")
    visited(newcomer, HIT._replace(browser="Lynx", ref="x"))
    evening = "start=2020-06-17T15:00:00Z&end=2020-06-17T16:00:00Z"  # midnight of the 18th in Tokyo
    assert len(newcomer.get(f"/api/v0/stats/browsers?{evening}").json()["stats"]) == 1
    assert newcomer.get(f"/api/v0/stats/toprefs?{evening}").json()["stats"] == []
    morning = "start=2020-06-18T15:00:00Z&end=2020-06-18T16:00:00Z"
    assert newcomer.get(f"/api/v0/stats/browsers?{morning}").json()["stats"] == []


def test_eight_days_unless_others_are_asked_for(newcomer: Person) -> None:
    """Today and the seven before it."""
    now = int(wiring.now())
    visited(newcomer, *(HIT._replace(browser=f"B{age}", at=now - age * 86_400) for age in (0, 7, 8)))
    names = [row["name"] for row in newcomer.get("/api/v0/stats/browsers").json()["stats"]]
    assert names == ["B0", "B7"]


# Refusals

_SEVEN = "must be one of \u2018browsers, systems, locations, languages, sizes, campaigns, toprefs\u2019"
_SIX = "must be one of \u2018browsers, systems, locations, sizes, campaigns, toprefs\u2019"
_FIVE = "must be one of \u2018phone, tablet, desktop, desktophd, unknown\u2019"


@pytest.mark.parametrize(
    ("path", "field", "message"),
    [
        ("foo", "page", _SEVEN),
        ("browser", "page", _SEVEN),
        ("foo/x", "page", _SIX),
        ("languages/eng", "page", _SIX),
        ("total/x", "page", _SIX),
        ("sizes/huge", "id", _FIVE),
        ("sizes/Phone", "id", _FIVE),
        ("campaigns/x", "id", "must be a whole number"),
        ("campaigns/1.0", "id", "must be a whole number"),
        ("campaigns/٣", "id", "must be a whole number"),
        ("campaigns/99999999999999999999", "id", "must be a whole number"),
        ("hits/abc", "path_id", "must be a whole number"),
        ("hits/1e3", "path_id", "must be a whole number"),
    ],
)
def test_bad_pages_and_ids_are_named(person: Person, path: str, field: str, message: str) -> None:
    """With what may stand there."""
    reply = person.get(f"/api/v0/stats/{quote(path)}")
    assert (reply.status, reply.json()) == (400, {"errors": {field: [message]}})


def test_pages_have_no_case(person: Person) -> None:
    """Unlike everything else of a path."""
    assert asked(person, "Browsers") == asked(person, "browsers")
    assert asked(person, "SIZES/phone") == asked(person, "sizes/phone")


def test_a_bad_page_is_told_to_everybody(person: Person) -> None:
    """Before anybody is asked for a key; a good one asks for it."""
    for path, status in (("foo", 400), ("languages/eng", 400), ("browsers", 401), ("sizes/huge", 401)):
        assert person.front.get(f"/api/v0/stats/{path}", client=address()).status == status


@pytest.mark.parametrize("path", ["browsers", "browsers/x", "foo", "hits/1"])
@pytest.mark.parametrize("method", ["POST", "DELETE"])
def test_breakdowns_are_only_read(person: Person, path: str, method: str) -> None:
    """Whether or not there is such a page."""
    assert person.ask(method, f"/api/v0/stats/{path}").status == 405


@pytest.mark.parametrize(
    ("path", "query", "message"),
    [
        ("browsers", "group=day", 'unknown parameter: "group"'),
        ("browsers", "exclude_paths=1", 'unknown parameter: "exclude_paths"'),
        ("browsers/x", "id=1", 'unknown parameter: "id"'),
        ("hits/1", "include_paths=1", 'unknown parameter: "include_paths"'),
        ("sizes", "limit=x", 'invalid query parameters: limit: "x" is not a number'),
        ("toprefs", "offset=", 'invalid query parameters: offset: "" is not a number'),
        (
            "toprefs/x",
            "start=yesterday",
            'invalid query parameters: start: "yesterday" is not a date or an RFC 3339 time',
        ),
        ("campaigns", "include_paths=x", 'invalid number in include_paths: "x"'),
    ],
)
def test_bad_queries_are_named(person: Person, path: str, query: str, message: str) -> None:
    """In the contract's words."""
    reply = person.get(f"/api/v0/stats/{path}?{query}")
    assert (reply.status, reply.json()) == (400, {"error": message})


def test_names_that_look_like_html_are_safe(newcomer: Person) -> None:
    """As in every answer."""
    visited(newcomer, HIT._replace(ref="<script>&"))
    reply = newcomer.get(f"/api/v0/stats/toprefs?{DAYS}")
    assert "<script>" not in reply.text
    assert reply.json()["stats"][0]["name"] == "<script>&"


# Names


def test_lists_of_names_are_made_of_cldr_and_iana() -> None:
    """CLDR's name goes before IANA's; groups, private codes and countries as their own regions are left out."""
    places = naming.places(
        {"NL": "Netherlands", "ZZ": "Unknown", "150": "Europe"}, {"nlnh": "North Holland", "AS": "x"}
    )
    assert naming.text(places) == "NL Netherlands\nNL-NH North Holland\n"
    registry: Iterator[dict[str, Any]] = iter(
        [
            {"Type": "language", "Subtag": "nl", "Description": ["Dutch", "Flemish"]},
            {"Type": "language", "Subtag": "aaa", "Description": ["Ghotuo"]},
            {"Type": "language", "Subtag": "qaa..qtz", "Description": ["Private use"]},
            {"Type": "language", "Subtag": "iw", "Description": ["Hebrew"], "Deprecated": "1989-01-01"},
            {"Type": "region", "Subtag": "NL", "Description": ["Netherlands"]},
        ]
    )
    languages = naming.languages({"nl": "Nederlands", "nl-BE": "Flemish", "und": "Unknown"}, registry)
    assert languages == {"aaa": "Ghotuo", "nld": "Nederlands"}
