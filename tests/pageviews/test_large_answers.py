"""No answer is larger than Lambda lets through, whatever anybody counted: it is packed then, or refused."""

import gzip
import json
from collections.abc import Iterator
from itertools import product

import pytest
from chalice.app import Chalice

from tests.front import FrontDoor
from tests.pageviews.test_breakdowns import HIT, visited
from tests.people import Person, settle

MOST = 6_000_000
"""Bytes that a function may give back, with some left for headers. Its answer is JSON itself: quotation marks count
twice in it and, with Python 3.11, a letter beyond the first 65,536 as twelve.
"""
LETTER = "\N{GRINNING FACE}"


@pytest.fixture(scope="module")
def long_names(quick: Chalice) -> Person:
    """Somebody whose paths, titles and referrers are as long as may be."""
    person = settle(FrontDoor(quick))
    endings: Iterator[str] = map("".join, product("abcdefghijklmno", repeat=2))
    hits = (
        HIT._replace(path=f"/{LETTER * 2045}{end}", title=LETTER * 1024, ref=LETTER * 2046 + end) for end in endings
    )
    visited(person, *hits)
    return person


def test_more_days_than_a_function_can_hold_are_refused(long_names: Person) -> None:
    """Though they might be small once they are packed."""
    asked = "/api/v0/stats/hits?limit=100&start=2012-01-01&end=2020-06-19"
    reply = long_names.get(asked, headers={"accept-encoding": "gzip"})
    assert (reply.status, reply.json()) == (400, {"error": "too many days of too many paths: ask for fewer of either"})


def test_a_long_range_of_few_paths_is_answered_whatever_the_limit(quick: Chalice) -> None:
    """What counts is how many rows there are, not how many there might be."""
    person = settle(FrontDoor(quick))
    visited(person, HIT, HIT._replace(path="/b"))
    reply = person.get("/api/v0/stats/hits?limit=100&start=2010-01-01&end=2020-06-19")
    assert reply.status == 200
    assert [(hit["count"], len(hit["stats"])) for hit in reply.json()["hits"]] == [(1, 3823)] * 2


@pytest.mark.parametrize(
    ("path", "rows", "count"),
    [
        ("paths?limit=200", "paths", 200),
        ("stats/hits?limit=100&start=2019-03-01&end=2020-06-19", "hits", 100),
        ("stats/toprefs?limit=100&start=2020-06-17&end=2020-06-19", "stats", 100),
        ("stats/toprefs/" + "%F0%9F%98%80" * 2046 + "aa?limit=100&start=2020-06-17&end=2020-06-19", "stats", 1),
        ("stats/hits/1?start=2020-06-17&end=2020-06-19", "refs", 1),
    ],
)
def test_an_answer_fits_or_is_packed_or_is_refused(long_names: Person, path: str, rows: str, count: int) -> None:
    """With nothing of it left out; and a refusal says what to do."""
    plain = long_names.get(f"/api/v0/{path}")
    if plain.status == 200:
        assert len(json.dumps(plain.text)) <= MOST
        assert len(plain.json()[rows]) == count
    else:
        assert plain.status == 400
        assert plain.json()["error"].endswith("ask for fewer days or paths, or accept gzip")
        packed = long_names.get(f"/api/v0/{path}", headers={"accept-encoding": "gzip"})
        assert (packed.status, packed.headers["content-encoding"]) == (200, "gzip")
        assert len(packed.body) * 4 // 3 <= MOST
        assert len(json.loads(gzip.decompress(packed.body))[rows]) == count
