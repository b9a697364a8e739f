"""The wire-compatibility checklist (page-view contract, section 15) over HTTP, rows 51 to 56: breakdowns."""

from typing import Any
from urllib.parse import quote

import pytest

from tests.clients.people import People, Person, ask

DAYS = "start=2020-06-17&end=2020-06-19"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:109.0) Gecko/20100101 Firefox/{}.0"
CHROME = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{}.0 Safari/537.36"
T_CO = "twitter.com/search?q=https%3A%2F%2Ft.co%2Fabc"
"""How a link of Twitter's is stored: escapes are part of it."""


@pytest.fixture(scope="session")
def readers(people: People) -> Person:
    """The owner of a site with visits of several browsers, from several places."""
    person = people.settle()
    browsers = [FIREFOX.format(n) for n in (0, 1, 2, 10)] + [CHROME.format(n) for n in (99, 100)]
    hits: list[dict[str, Any]] = [{"path": "/a", "user_agent": browser} for browser in browsers]
    hits[0] |= {"ref": "https://t.co/abc", "location": "US-TX"}
    hits[1] |= {"ref": "https://Example.com/a/b?x=1", "size": "1920,1080,2"}
    hits[2] |= {"query": "utm_campaign=Sale&utm_source=Letter", "size": "360"}
    hits[3] |= {"path": "/b", "query": "?utm_campaign=sale", "ref": "https://example.com/a/b/"}
    made = [{"created_at": "2020-06-18T12:00:00Z", **hit} for hit in hits]
    assert person.count(*made, no_sessions=True).status == 202
    person.sees({"/a": 5, "/b": 1}, f"&{DAYS}")
    return person


def stats(person: Person, page: str, query: str = "") -> Any:
    """The answer for the days in question."""
    return person.figures(f"/api/v0/stats/{page}?{DAYS}{query}")


def test_row_51_browsers_come_without_versions(readers: Person) -> None:
    """With an id that is the name."""
    assert stats(readers, "browsers") == {
        "stats": [
            {"id": "Firefox", "name": "Firefox", "count": 4},
            {"id": "Chrome", "name": "Chrome", "count": 2},
        ],
        "more": False,
    }


def test_row_52_a_browsers_details_are_its_versions(readers: Person) -> None:
    """Found in any case; by count, then by name; without ids."""
    assert stats(readers, "browsers/firefox", "&limit=3") == {
        "stats": [{"name": f"Firefox {version}", "count": 1} for version in (0, 1, 10)],
        "more": True,
    }


def test_row_53_sizes_are_five_rows(readers: Person) -> None:
    """Whatever the limit; without names."""
    found = stats(readers, "sizes", "&limit=1")
    assert [(row["id"], row["name"], row["count"]) for row in found["stats"]] == [
        ("phone", "", 1),
        ("tablet", "", 0),
        ("desktop", "", 1),
        ("desktophd", "", 0),
        ("unknown", "", 4),
    ]
    assert found["more"] is False


def test_row_54_pages_that_are_none_are_told_which_there_are(somebody: Person) -> None:
    """Seven, of which six have details; to everybody, before anybody is asked for a key."""
    seven = "browsers, systems, locations, languages, sizes, campaigns, toprefs"
    for path, known in (("foo", seven), ("languages/eng", seven.replace("languages, ", ""))):
        for headers in ({"Host": somebody.host}, {"Host": somebody.host, "Authorization": f"Bearer {somebody.token}"}):
            reply = ask(somebody.url, "GET", f"/api/v0/stats/{path}", headers)
            message = f"must be one of \u2018{known}\u2019"
            assert (reply.status, reply.json()) == (400, {"errors": {"page": [message]}})


def test_row_55_a_campaigns_id_leads_to_its_details(readers: Person) -> None:
    """It is a text of digits."""
    [campaign] = stats(readers, "campaigns")["stats"]
    assert (campaign["name"], campaign["count"], campaign["id"].isdigit()) == ("Sale", 2, True)
    assert stats(readers, f"campaigns/{campaign['id']}")["stats"] == [
        {"name": "Letter", "count": 1},
        {"name": "example.com/a/b", "count": 1},
    ]


def test_row_56_referrers_of_a_path(readers: Person) -> None:
    """A path that there is not has none; what is no number is no path."""
    assert stats(readers, "hits/999999") == {"refs": [], "more": False}
    reply = readers.get("/api/v0/stats/hits/abc")
    assert (reply.status, list(reply.json()), list(reply.json()["errors"])) == (400, ["errors"], ["path_id"])
    assert stats(readers, "hits/1")["refs"] == [
        {"name": "", "count": 2, "ref_scheme": "o"},
        {"name": T_CO, "count": 1, "ref_scheme": "h"},
        {"name": "example.com/a/b", "count": 1, "ref_scheme": "h"},
        {"name": "Letter", "count": 1, "ref_scheme": "c"},
    ]


@pytest.mark.parametrize("spelling", ["{}", "EXAMPLE.com/a/b", "example.com%2Fa%2Fb"])
def test_a_referrer_is_found_encoded_or_not(readers: Person, spelling: str) -> None:
    """A gateway may take an encoded slash for one that parts segments (page-view contract, section 14).

    A text is a referrer whatever its scheme: of the two visits one is a campaign's.
    """
    found = stats(readers, f"toprefs/{spelling.format(quote('example.com/a/b'))}")
    assert found == {"stats": [{"name": "/a", "count": 1}, {"name": "/b", "count": 1}], "more": False}
    assert stats(readers, f"toprefs/{quote(T_CO, safe='')}")["stats"] == [{"name": "/a", "count": 1}]


def test_a_country_and_its_regions_have_names(readers: Person) -> None:
    """Regions are merged into the country, and shown in its details."""
    assert stats(readers, "locations")["stats"] == [
        {"id": "(unknown)", "name": "(unknown)", "count": 5},
        {"id": "US", "name": "United States", "count": 1},
    ]
    assert stats(readers, "locations/US")["stats"] == [{"name": "Texas", "count": 1}]
