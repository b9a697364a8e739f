"""The wire-compatibility checklist (page-view contract, section 15) over HTTP, rows 18 to 33: batches of page views."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.clients.people import COLLECT, FIREFOX, People, Person, error, errors

NO_IDENTIFIERS = "session or browser/IP not set; use no_sessions if you don't want to track unique visits"
LANGUAGES = 64
"""The flag of sites that collect languages."""
IGNORED = "203.0.113.9"
IN_2020 = "&start=2020-01-18&end=2020-01-18T23:59:59Z"


@pytest.fixture
def ignoring(people: People) -> Person:
    """Somebody whose site ignores an address."""
    return people.settle(ignore_ips=("198.51.100.1", IGNORED))


# Whole batches


def test_row_18_a_batch_has_at_least_one_page_view(somebody: Person) -> None:
    """None is an error."""
    reply = somebody.ask("POST", "/api/v0/count", "{}")
    assert (reply.status, error(reply)) == (400, "no hits")


def test_row_18_a_batch_has_at_most_500_page_views(person: Person) -> None:
    """501 are an error, and none of them is stored."""
    reply = person.count(*[{"path": "/a"}] * 501, no_sessions=True)
    assert (reply.status, error(reply)) == (400, "maximum amount of pageviews in one batch is 500")
    person.sees_none_but_a_marker()


# Who it was


def test_row_19_a_page_view_says_whose_it_is(person: Person) -> None:
    """Unless the batch says that nobody is told apart."""
    reply = person.count({"path": "/a"})
    assert (reply.status, errors(reply)) == (400, {"0": NO_IDENTIFIERS})
    person.sees_none_but_a_marker()


def test_row_20_page_views_that_no_error_names_are_counted(person: Person) -> None:
    """They must not be sent again."""
    reply = person.count({"path": "/a", "session": "x"}, {"path": "/a"})
    assert (reply.status, list(errors(reply))) == (400, ["1"])
    person.sees({"/a": 1})


def test_row_21_nobody_has_to_be_told_apart(person: Person) -> None:
    """With `no_sessions` each page view is a visit of its own."""
    reply = person.count({"path": "/a"}, {"path": "/b"}, no_sessions=True)
    assert (reply.status, reply.json()) == (202, {"status": "ok"})
    person.sees({"/a": 1, "/b": 1})


def test_row_22_a_session_visits_a_path_once(person: Person) -> None:
    """The log has all three page views, the figures two visits."""
    reply = person.count(*({"path": "/a", "session": session} for session in ("a", "b", "a")))
    assert reply.status == 202
    person.sees({"/a": 2})
    assert [(event.path, event.first) for event in person.events()] == [("/a", True), ("/a", True), ("/a", False)]


def test_row_23_browser_and_address_make_a_visitor(person: Person) -> None:
    """The same browser at two addresses is two."""
    addresses = ("203.0.113.1", "203.0.113.2", "203.0.113.1")
    reply = person.count(*({"path": "/a", "user_agent": FIREFOX, "ip": address} for address in addresses))
    assert reply.status == 202
    person.sees({"/a": 2})
    assert [event.first for event in person.events()] == [True, True, False]


# Filters


@pytest.mark.parametrize("batch", [{}, {"filter": None}])
def test_row_24_ignored_addresses_are_left_out_and_named(ignoring: Person, batch: dict[str, Any]) -> None:
    """That is so unless the batch has a filter of its own."""
    reply = ignoring.count({"path": "/a", "session": "x", "ip": IGNORED}, **batch)
    assert (reply.status, reply.json()) == (202, {"status": "ok"})
    assert reply.headers["x-goatcounter-filter"] == "0"
    ignoring.sees_none_but_a_marker()


def test_row_25_an_empty_filter_lets_ignored_addresses_in(ignoring: Person) -> None:
    """And names none."""
    reply = ignoring.count({"path": "/a", "session": "x", "ip": IGNORED}, filter=[])
    assert reply.status == 202
    assert "x-goatcounter-filter" not in reply.headers
    ignoring.sees({"/a": 1})


def test_row_26_an_unknown_filter_is_an_error(person: Person) -> None:
    """Nothing is stored."""
    reply = person.count({"path": "/a", "session": "x"}, filter=["x"])
    assert (reply.status, error(reply)) == (400, "unknown value in Filter: [x]")
    person.sees_none_but_a_marker()


# When it was


def test_row_27_the_future_is_not_counted(person: Person) -> None:
    """A minute is more than clocks may differ."""
    ahead = datetime.now(UTC) + timedelta(minutes=1)
    reply = person.count({"path": "/a", "session": "x", "created_at": ahead.strftime("%Y-%m-%dT%H:%M:%SZ")})
    assert (reply.status, errors(reply)) == (400, {"0": "created_at: in the future."})
    person.sees_none_but_a_marker()


def test_row_28_the_past_is_counted_where_it_belongs(person: Person) -> None:
    """Under its day and hour; and the site has data since twelve hours before that."""
    reply = person.count({"path": "/a", "session": "x", "created_at": "2020-01-18T14:42:00Z"})
    assert (reply.status, reply.json()) == (202, {"status": "ok"})
    person.sees({"/a": 1}, IN_2020)
    [day] = person.figures(f"/api/v0/stats/total?{IN_2020[1:]}")["stats"]
    assert (day["day"], day["hourly"][14], day["daily"]) == ("2020-01-18", 1, 1)
    assert person.visits() == {}
    assert datetime.fromtimestamp(person.first_hit_at(), UTC) == datetime(2020, 1, 18, 2, 42, tzinfo=UTC)


# What is sent with it


def test_row_29_bots_are_not_counted(person: Person) -> None:
    """They are accepted all the same."""
    reply = person.count({"path": "/a", "session": "x", "user_agent": "curl/7.8"})
    assert (reply.status, reply.json()) == (202, {"status": "ok"})
    person.sees_none_but_a_marker()


def test_row_30_the_first_number_of_a_size_is_the_width(person: Person) -> None:
    """Without any, it is unknown."""
    hits = [{"path": f"/{n}", "size": size} for n, size in enumerate(("42,666,2", "42", ""))]
    assert person.count(*hits, no_sessions=True).status == 202
    person.sees({"/0": 1, "/1": 1, "/2": 1})
    assert [(event.path, event.width) for event in person.events()] == [("/0", 42), ("/1", 42), ("/2", 0)]


def test_row_31_what_the_import_command_leaves_empty_is_unset(person: Person) -> None:
    """Every key is there, and the page view is counted now."""
    hit = {
        "path": "/a",
        "title": "",
        "event": False,
        "ref": "",
        "size": "",
        "query": "",
        "bot": 0,
        "user_agent": "",
        "location": "",
        "language": "",
        "ip": "",
        "created_at": "0001-01-01T00:00:00Z",
        "session": "",
    }
    reply = person.count(hit, no_sessions=True, filter=None)
    assert (reply.status, reply.json()) == (202, {"status": "ok"})
    person.sees({"/a": 1})
    assert person.figures("/api/v0/stats/total")["stats"][-1]["daily"] == 1


def test_row_32_an_event_is_a_name_without_a_slash(person: Person) -> None:
    """`/paths` tells it from a page."""
    assert person.count({"path": "/foo", "event": True}, no_sessions=True).status == 202
    person.sees({"foo": 1})
    [path] = person.figures("/api/v0/paths")["paths"]
    assert (path["path"], path["event"]) == ("foo", True)
    total = person.figures("/api/v0/stats/total")
    assert (total["total"], total["total_events"]) == (1, 1)


def test_row_33_languages_are_kept_by_sites_that_want_them(people: People) -> None:
    """As ISO 639-3; what is no language is none, and costs no page view."""
    person = people.settle(COLLECT | LANGUAGES)
    sent = ("fr", "en-US", "klingon")
    reply = person.count(*({"path": f"/{tag}", "language": tag} for tag in sent), no_sessions=True)
    assert (reply.status, reply.json()) == (202, {"status": "ok"})
    person.sees({"/fr": 1, "/en-US": 1, "/klingon": 1})
    assert [event.language for event in person.events()] == ["fra", "eng", ""]


def test_languages_are_not_kept_unless_the_site_wants_them(person: Person) -> None:
    """The other half of row 33."""
    assert person.count({"path": "/a", "language": "fr"}, no_sessions=True).status == 202
    person.sees({"/a": 1})
    assert [event.language for event in person.events()] == [""]
