"""The wire-compatibility checklist (page-view contract, section 15) over HTTP, rows 44 to 50: paths and visits."""

import pytest

from tests.clients.people import People, Person, error

NOON = "2020-06-18T12:00:00Z"
DAYS = "start=2020-06-17&end=2020-06-19"
AT_MOST = 100
"""Rows of `stats/hits`."""


@pytest.fixture(scope="session")
def fifty(people: People) -> Person:
    """The owner of a site of 50 paths, with a visit to each at the same hour."""
    person = people.settle()
    hits = [{"path": f"/{n}", "created_at": NOON} for n in range(1, 51)]
    assert person.count(*hits, no_sessions=True).status == 202
    person.sees({f"/{n}": 1 for n in range(1, 51)}, f"&{DAYS}")
    return person


def test_row_44_paths_are_listed_by_id(fifty: Person) -> None:
    """From one to the next page by the last id, until there are no more."""
    found = fifty.figures("/api/v0/paths?after=19&limit=5")
    assert ([path["id"] for path in found["paths"]], found["more"]) == ([20, 21, 22, 23, 24], True)
    assert found["paths"][0] == {"id": 20, "path": "/20", "title": "", "event": False}
    assert fifty.figures("/api/v0/paths?after=50") == {"paths": [], "more": False}


def test_row_45_an_empty_site_has_no_rows(person: Person) -> None:
    """An empty list, not null."""
    assert person.figures("/api/v0/stats/hits") == {"hits": [], "total": 0, "more": False}


def test_row_46_rows_that_were_seen_are_left_out(fifty: Person) -> None:
    """Of equals the newest path comes first; weeks and months are summed where they start, if there is anything."""
    found = fifty.figures(f"/api/v0/stats/hits?limit=1&exclude_paths=50,49&daily=true&{DAYS}")
    [row] = found["hits"]
    assert (row["path"], row["path_id"], row["count"], row["max"]) == ("/48", 48, 1, 1)
    assert (found["total"], found["more"]) == (1, True)
    assert [(day["day"], day["daily"], sum(day["hourly"])) for day in row["stats"]] == [
        ("2020-06-17", 0, 0),
        ("2020-06-18", 1, 1),
        ("2020-06-19", 0, 0),
    ]
    assert row["stats"][1]["hourly"][12] == 1
    assert [(day.get("weekly"), day.get("monthly")) for day in row["stats"]] == [(1, 1), (None, None), (None, None)]


def test_row_47_eight_days_are_shown_unless_others_are_asked_for(person: Person) -> None:
    """The second week begins with today."""
    assert person.view("p=/x").status == 200
    person.sees({"/x": 1})
    [row] = person.figures("/api/v0/stats/hits")["hits"]
    assert len(row["stats"]) == 8
    assert [day.get("weekly") for day in row["stats"]] == [None] * 7 + [1]
    assert row["stats"][7]["daily"] == 1


def test_row_48_paths_are_found_by_name(fifty: Person) -> None:
    """By the whole of it; a name that nobody has finds nothing."""
    query = f"/api/v0/stats/hits?{DAYS}&path_by_name=true&include_paths="
    assert [row["path"] for row in fifty.figures(f"{query}/10")["hits"]] == ["/10"]
    assert fifty.figures(f"{query}/missing") == {"hits": [], "total": 0, "more": False}


def test_row_49_paths_have_numbers(somebody: Person) -> None:
    """Anything else is an error."""
    reply = somebody.get("/api/v0/stats/hits?include_paths=x")
    assert reply.status == 400
    assert error(reply).startswith("invalid number in include_paths:")


def test_row_49_limits_are_brought_into_bounds(person: Person) -> None:
    """0 is as good as 1, and 5000 as 100."""
    assert person.count(*({"path": f"/{n}"} for n in range(AT_MOST + 1)), no_sessions=True).status == 202
    person.sees({f"/{n}": 1 for n in range(1, AT_MOST + 1)})  # of equals the first path is the last
    for limit, rows in ((0, 1), (5000, AT_MOST)):
        found = person.figures(f"/api/v0/stats/hits?limit={limit}")
        assert (len(found["hits"]), found["total"], found["more"]) == (rows, rows, True)


def test_row_50_the_total_has_four_keys(person: Person) -> None:
    """Events are part of it."""
    assert person.count({"path": "/a"}, {"path": "e", "event": True}, no_sessions=True).status == 202
    person.sees({"/a": 1, "e": 1})
    found = person.figures("/api/v0/stats/total")
    assert list(found) == ["total", "total_events", "total_utc", "stats"]
    assert (found["total"], found["total_events"], found["total_utc"], len(found["stats"])) == (2, 1, 2, 8)
