"""The wire-compatibility checklist (page-view contract, section 15) over HTTP, rows 68 and 69: visitor counters."""

import json

import pytest

from tests.clients.people import People, Person, ask
from tests.front import Reply


@pytest.fixture(scope="module")
def shown(people: People) -> Person:
    """Somebody whose site shows counters; `/x` was visited twice, `/y` once."""
    person = people.settle()
    _show(person)
    assert person.count({"path": "/x"}, {"path": "/x"}, {"path": "/y"}, no_sessions=True).status == 202
    person.sees({"/x": 2, "/y": 1})
    return person


def _show(person: Person) -> None:
    settings = json.dumps({"settings": {"allow_counter": True}})
    assert person.ask("PATCH", f"/api/v0/sites/{person.made['site']['id']}", settings).status == 200


def _counter(person: Person, target: str) -> Reply:
    """As a browser asks for it: without a key."""
    return ask(person.url, "GET", f"/counter/{target}", {"Host": person.host})


def test_row_68_a_counter_is_shown_if_the_site_wants_that(person: Person) -> None:
    """Else it is refused; once it is wanted, also what was counted before is shown."""
    assert person.count({"path": "/x"}, no_sessions=True).status == 202
    person.sees({"/x": 1})
    refused = _counter(person, "/x.json")
    assert (refused.status, refused.headers["access-control-allow-origin"]) == (403, "*")
    _show(person)
    reply = _counter(person, "/x.json")
    assert (reply.status, reply.json()) == (200, {"count_unique": "1", "count": "1"})
    assert reply.headers["access-control-allow-origin"] == "*"
    assert reply.headers["cache-control"] == "public"
    assert reply.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    ("target", "status", "count"),
    [
        ("%2Fx.json?r=123", 200, "2"),
        ("//x.json", 200, "2"),
        ("/x.json", 200, "2"),
        ("x.json", 200, "2"),
        ("TOTAL.json", 200, "3"),
        ("/missing.json", 404, "0"),
    ],
)
def test_row_69_counters_are_found_however_their_slashes_are_written(
    shown: Person, target: str, status: int, count: str
) -> None:
    """Encoded, doubled or not; what nobody has seen is not found, and shows 0."""
    reply = _counter(shown, target)
    assert (reply.status, reply.json()) == (status, {"count_unique": count, "count": count})


def test_row_69_there_are_four_formats(shown: Person) -> None:
    """Others are refused."""
    types = {
        "html": "text/html;charset=utf-8",
        "svg": "image/svg+xml",
        "png": "image/png",
        "json": "application/json",
    }
    assert {kind: _counter(shown, f"/x.{kind}").headers["content-type"] for kind in types} == types
    assert _counter(shown, "/x.png").body.startswith(b"\x89PNG\r\n")
    refused = _counter(shown, "/x.gif")
    assert refused.status == 400
    assert "unknown extension: &quot;gif&quot;" in refused.text
