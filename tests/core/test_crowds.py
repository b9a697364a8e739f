"""Crowds of values in JSON texts: told by a look, exactly where it matters."""

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core.crowds import crowded
from chalicelib.core.errors import Invalid, TooLarge
from chalicelib.pageviews.requests import decode_batch
from chalicelib.statistics import requests as statistics

LARGEST = 4_400_000
KEYS = st.text('a,"\\{]', max_size=4)
JSON = st.recursive(
    st.one_of(st.none(), st.integers(), st.text('ab,[{"\\}]é', max_size=8)),
    lambda inner: st.one_of(st.lists(inner, max_size=5), st.dictionaries(KEYS, inner, max_size=5)),
    max_leaves=30,
)


def values(value: Any) -> int:
    """How many values it is, itself included."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + sum(map(values, inner))


@given(JSON, st.booleans())
def test_a_text_is_crowded_by_its_values_and_not_by_what_its_strings_hold(value: Any, ascii_only: bool) -> None:
    """Never without as many values; and surely with twice as many."""
    body, count = json.dumps(value, ensure_ascii=ascii_only).encode(), values(value)
    assert not crowded(body, 2 * count)
    assert count == 1 or crowded(body, (count - 1) // 2)


@given(st.binary(max_size=60) | st.text('",[{\\a', max_size=60).map(str.encode), st.integers(0, 9))
def test_whatever_is_sent_is_looked_at(body: bytes, most: int) -> None:
    assert crowded(body, most) in {True, False}


def flood(before: str, each: str, after: str) -> bytes:
    """A body of the largest size that a function takes, with as much of `each` as fits."""
    return f"{before}{each * ((LARGEST - len(before) - len(after)) // len(each))}{after}".encode()


@pytest.mark.parametrize("each", ["{},", "[],", '{"a":{"a":{"a":1}}},', '{"group":"g"},'])
def test_floods_are_refused_before_they_are_decoded(each: str) -> None:
    """With all that a body can hold, in a fraction of the time that decoding would take, and by the limit's name."""
    views, updates = flood('{"hits":[', each, "{}]}"), flood('{"updates":[', each, "{}]}")
    sent_back = flood('{"value":1,"values":[', each, "1]}")
    began = time.process_time()
    with pytest.raises(Invalid, match=r"one batch is 500|more than 2000 objects and lists"):
        decode_batch(views)
    with pytest.raises(TooLarge, match="at most 500 in one request"):
        statistics.decode_batch(updates, "2026-11-20")
    with pytest.raises(TooLarge, match="at most 120000 values"):
        statistics.decode_change(sent_back, "g", "n", "2026-11-20")
    assert time.process_time() - began < 1.5, "decoding takes up to three seconds each"


def test_the_largest_that_is_meant_is_no_flood() -> None:
    """500 page views with all that one may have, texts full of brackets included; and a century sent back."""
    texts = {"path": "/{a,b},[c]" * 9, "title": '",{[}' * 99, "ref": "r", "query": "q", "user_agent": "u"}
    more = {"location": "NL", "language": "nl", "ip": "192.0.2.1", "session": "s", "event": False, "bot": 0}
    hit = {**texts, **more, "size": [1920, 1080, 1.5], "created_at": "2026-11-20T00:00:00Z"}
    batch = {"no_sessions": True, "filter": ["ip"], "hits": [hit] * 500}
    assert len(decode_batch(json.dumps(batch).encode()).hits) == 500
    day = {"reference_date": "2026-11-20", "value": 1}
    body = json.dumps({"value": 1, "values": [day] * 36_600}).encode()
    assert statistics.decode_change(body, "g", "n", "2026-11-20").update.value == 1
    update = {"group": "g", "name": "a,b{[", "value": 1, "reference_date": "2026-11-20", "method": "set", "id": "x"}
    assert len(statistics.decode_batch(json.dumps([update] * 500).encode(), "2026-11-20")) == 500
