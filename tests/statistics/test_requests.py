"""What callers of the statistics API send, decoded or refused by name."""

import contextlib
import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core import statistics
from chalicelib.core.errors import Invalid, TooLarge
from chalicelib.core.statistics import Interval, Method, Span, Update
from chalicelib.statistics import requests

TODAY = "2026-11-21"


def change(body: Any) -> requests.Change:
    """An update of the statistic `s` in the group `g`, by whatever body."""
    return requests.decode_change(body if isinstance(body, bytes) else json.dumps(body).encode(), "g", "s", TODAY)


def refusal(call: Callable[[], object]) -> str:
    with pytest.raises(Invalid) as error:
        call()
    return error.value.message


# Bodies


def test_an_update_says_how_what_and_when() -> None:
    body = {"group": "g", "name": "s", "value": 5, "reference_date": "2026-01-31", "method": "subtract"}
    found = change(body)
    assert found.update.delta == -5
    assert found == (Update("g", "s", Method.SUBTRACT, Decimal(5), "2026-01-31"), "g", "s")


def test_an_update_without_a_method_sets_and_without_a_date_is_todays() -> None:
    assert change({"value": 1.5}) == (Update("g", "s", Method.SET, Decimal("1.5"), TODAY), None, None)
    nulls = {"value": 0, "reference_date": None, "method": None, "group": None, "name": None}
    assert change(nulls) == (Update("g", "s", Method.SET, Decimal(0), TODAY), None, None)


@pytest.mark.parametrize("method", ["increment", "decrement"])
@pytest.mark.parametrize("body", [{}, {"value": 7}, {"value": "seven"}, {"value": None}, {"value": True}])
def test_moving_by_one_looks_at_no_value(method: str, body: dict[str, Any]) -> None:
    found = change({**body, "method": method}).update
    assert found.value == Decimal(1)
    assert found.delta == Decimal(1 if method == "increment" else -1)


@pytest.mark.parametrize("method", ["set", "add", "subtract"])
def test_every_other_method_needs_a_value(method: str) -> None:
    assert refusal(lambda: change({"method": method})) == "value: is required"
    assert refusal(lambda: change({"method": method, "value": None})) == "value: must be a number"


@pytest.mark.parametrize("method", ["create", "SET", "", "push", 1, True, [], {}])
def test_an_unknown_method_is_told_the_known_ones(method: object) -> None:
    expected = "method: must be one of set, increment, decrement, add, subtract"
    assert refusal(lambda: change({"method": method, "value": 1})) == expected


@pytest.mark.parametrize(
    ("number", "exact"),
    [
        ("9223372036854775807", "9223372036854775807"),
        ("-9223372036854775808", "-9223372036854775808"),
        ("0.1", "0.1"),
        ("0.100000000000000000", "0.1"),
        ("1234567890123456789.123456789012345678", "1234567890123456789.123456789012345678"),
        ("1E2", "1E+2"),
        ("-0.0", "0"),
        ("0e99999999999999999999", "0"),
        ("9999999999999999999.999999999999999999", "9999999999999999999.999999999999999999"),
    ],
)
def test_numbers_are_kept_as_they_are_written(number: str, exact: str) -> None:
    assert change(f'{{"value": {number}}}'.encode()).update.value == Decimal(exact)


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        ("NaN", "must be a finite number"),
        ("Infinity", "must be a finite number"),
        ("-Infinity", "must be a finite number"),
        ("1e300", "must be between -10^19 and 10^19"),
        ("10000000000000000000", "must be between -10^19 and 10^19"),
        ("1e99999999999999999999", "must be between -10^19 and 10^19"),
        ("9" * 5000, "must be between -10^19 and 10^19"),
        ("9" * 1_000_000, "must be between -10^19 and 10^19"),
        ("9999999999999999999.9999999999999999995", "must be between -10^19 and 10^19"),
        ('"1"', "must be a number"),
        ("true", "must be a number"),
        ("[1]", "must be a number"),
        ('{"a": 1}', "must be a number"),
    ],
)
def test_what_is_no_value_is_refused_by_name(number: str, reason: str) -> None:
    assert refusal(lambda: change(f'{{"value": {number}}}'.encode())) == f"value: {reason}"


@pytest.mark.parametrize(
    ("number", "kept"),
    [
        (repr(1 / 300), "0.003333333333333334"),
        (repr(0.1 + 0.2), "0.30000000000000004"),
        (repr(-2 / 30_000), "-0.000066666666666667"),
        (repr(5e-324), "0"),
        ("1e-99999999999999999999", "0"),
        ("-1e-19", "0"),
        ("0.0000000000000000005", "0"),
        ("0.0000000000000000015", "0.000000000000000002"),
        ("-0.0000000000000000025", "-0.000000000000000002"),
        ("9999999999999999999.9999999999999999994", "9999999999999999999.999999999999999999"),
        (f"0.{'3' * 1_000_000}", f"0.{'3' * 18}"),
    ],
)
def test_more_decimals_than_are_kept_are_rounded_half_to_even(number: str, kept: str) -> None:
    """Floats have as many as they like: nobody who sends one is refused for it."""
    assert statistics.text(change(f'{{"value": {number}}}'.encode()).update.value) == kept


@pytest.mark.parametrize("day", ["2026-02-30", "2026-13-01", "20261121", "2026-1-1", "today", "", 20261121, True, []])
def test_what_is_no_day_is_refused_by_name(day: object) -> None:
    assert refusal(lambda: change({"value": 1, "reference_date": day})).startswith("reference_date: ")


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"{", "body: is no JSON: "),
        (b"{} {}", "body: is no JSON: "),
        (b"[]", "body: must be a JSON object"),
        (b"null", "body: must be a JSON object"),
        (b"1", "body: must be a JSON object"),
        (b'{"value": 1, "value": 2}', "value: is given more than once"),
        (b'{"a\\ud800\\n": 1, "a\\ud800\\n": 2}', "a??: is given more than once"),
        (b"\xff\xfe", "body: must be UTF-8"),
        ('{"value": 1}'.encode("utf-16"), "body: must be UTF-8"),
        (b'\xef\xbb\xbf{"value": 1}', "body: is no JSON: "),
        (b"[" * 200_000, "body: is nested too deeply"),
        (b'{"value":' * 200_000, "body: is nested too deeply"),
        (b'{"value": 1, "x": NaN}', "x: is no field of this call; it knows group, method, name, reference_date, value"),
        (b'{"value": 1, "group": 5}', "group: must be a string"),
        (b'{"value": 1, "name": "a/b"}', 'name: must not contain "/"'),
    ],
)
def test_what_is_no_update_is_refused(body: bytes, reason: str) -> None:
    assert refusal(lambda: change(body)).startswith(reason)


def test_creating_needs_group_name_and_value() -> None:
    whole = {"group": " g ", "name": "s", "value": 2}
    found = requests.decode_creation(json.dumps(whole).encode(), TODAY)
    assert found == Update("g", "s", Method.CREATE, Decimal(2), TODAY)
    for field in whole:
        rest = json.dumps({name: value for name, value in whole.items() if name != field}).encode()
        assert refusal(lambda rest=rest: requests.decode_creation(rest, TODAY)) == f"{field}: is required"  # type: ignore[misc]


def test_an_empty_body_has_no_fields() -> None:
    assert refusal(lambda: requests.decode_name(b"")) == "name: is required"
    assert requests.decode_export(b" \n") == ""


def test_a_batch_has_an_error_in_the_place_of_what_is_malformed() -> None:
    entries = [
        {"group": "g", "name": "s", "method": "increment"},
        {"group": "g", "name": "a/b", "value": 1},
        [],
        {"group": "g", "name": "s", "value": 3, "reference_date": "2026-01-01"},
    ]
    for body in (entries, {"updates": entries}):
        first, second, third, fourth = requests.decode_batch(json.dumps(body).encode(), TODAY)
        assert first == Update("g", "s", Method.INCREMENT, Decimal(1), TODAY)
        assert isinstance(second, Invalid)
        assert second.message == 'name: must not contain "/"'
        assert isinstance(third, Invalid)
        assert third.message == "update: must be a JSON object"
        assert fourth == Update("g", "s", Method.SET, Decimal(3), "2026-01-01")


def test_a_field_given_twice_spoils_its_own_update_alone() -> None:
    body = b'[{"group": "g", "name": "s", "value": 1, "value": 2}, {"group": "g", "name": "s", "value": NaN}, {}]'
    found = requests.decode_batch(body, TODAY)
    assert [error.message for error in found if isinstance(error, Invalid)] == [
        "value: is given more than once",
        "value: must be a finite number",
        "group: is required",
    ]


def test_a_batch_has_at_most_500_updates() -> None:
    assert len(requests.decode_batch(b"[" + b"{}," * 499 + b"{}]", TODAY)) == 500
    with pytest.raises(TooLarge, match="at most 500"):
        requests.decode_batch(b"[" + b"{}," * 500 + b"{}]", TODAY)
    assert refusal(lambda: requests.decode_batch(b'{"updates": {}}', TODAY)) == "updates: must be an array"
    assert refusal(lambda: requests.decode_batch(b"{}", TODAY)) == "updates: is required"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
_FIELDS = st.sampled_from(["group", "name", "value", "reference_date", "method", "updates", "format"])
bodies = st.one_of(
    st.binary(max_size=40),
    json_values.map(lambda value: json.dumps(value).encode()),
    st.dictionaries(_FIELDS, json_values, max_size=5).map(lambda value: json.dumps(value).encode()),
)


@given(bodies)
def test_nothing_but_a_refusal_leaves_the_decoding_of_a_body(body: bytes) -> None:
    for decode in (
        requests.decode_name,
        requests.decode_export,
        change,
        lambda body: requests.decode_batch(body, TODAY),
        lambda body: requests.decode_creation(body, TODAY),
    ):
        with contextlib.suppress(Invalid):
            decode(body)


# Queries


@pytest.mark.parametrize("limit", ["0", "1001", "-1", "1.0", "", "x", "٣", "1 ", "99999"])
def test_a_page_has_1_to_1000_entries(limit: str) -> None:
    said = refusal(lambda: requests.decode_paging({"limit": [limit]}, requests.GROUP_IDS))
    assert said == "limit: must be a whole number from 1 to 1000"


def test_a_page_is_the_first_hundred_unless_another_is_asked_for() -> None:
    assert requests.decode_paging({}, requests.GROUP_IDS) == (100, "")
    assert requests.decode_paging({"limit": ["1", "1000"], "after": ["grp_0"]}, requests.GROUP_IDS) == (1000, "grp_0")
    for after in ("", "sta_0", "grp_", "grp_A", "x" * 999):
        said = refusal(lambda after=after: requests.decode_paging({"after": [after]}, requests.GROUP_IDS))  # type: ignore[misc]
        assert said == "after: must be the id of an entry of this list"


def test_a_range_has_two_ends_or_a_century_from_one() -> None:
    def span(**query: str) -> Span | None:
        return requests.decode_asked({name.strip("_"): [value] for name, value in query.items()}).span

    assert span() is None
    assert span(from_="2026-01-01", to="2026-01-31") == Span("2026-01-01", "2026-01-31")
    assert span(from_="2026-01-01") == Span("2026-01-01", "2126-03-17")
    assert span(to="2026-01-01") == Span("1925-10-19", "2026-01-01")
    assert span(from_="9999-01-01") == Span("9999-01-01", "9999-12-31")
    assert span(to="0001-01-05") == Span("0001-01-01", "0001-01-05")
    assert span(from_="2026-01-01", to="2126-03-17") == Span("2026-01-01", "2126-03-17")
    assert refusal(lambda: span(from_="2026-01-01", to="2126-03-18")).startswith("to: must be less than 36600 days")
    assert refusal(lambda: span(from_="2026-01-02", to="2026-01-01")) == "to: must not be before from"
    assert refusal(lambda: span(from_="2026-02-30")) == "from: there is no such day"
    assert refusal(lambda: span(to="")) == "to: must be a day, as YYYY-MM-DD"


def test_intervals_are_day_week_and_month() -> None:
    assert requests.decode_asked({"interval": ["week"]}) == (None, Interval.WEEK)
    for interval in ("year", "", "Day"):
        said = refusal(lambda interval=interval: requests.decode_asked({"interval": [interval]}))  # type: ignore[misc]
        assert said == "interval: must be one of day, week, month"


@pytest.mark.parametrize("purge", ["true", "True", "1"])
def test_purging_is_said_in_three_ways(purge: str) -> None:
    assert requests.decode_removal({"purge": [purge]}) is None
    both = {"purge": [purge], "reference_date": ["2026-01-01"]}
    assert refusal(lambda: requests.decode_removal(both)).startswith("purge: ")


@pytest.mark.parametrize("purge", ["false", "False", "0", ""])
def test_purging_not_is_as_good_as_nothing(purge: str) -> None:
    assert requests.decode_removal({"purge": [purge], "reference_date": ["2026-01-01"]}) == "2026-01-01"
    assert refusal(lambda: requests.decode_removal({"purge": [purge]})).startswith("reference_date: is required")


def test_deleting_needs_to_know_what() -> None:
    assert refusal(lambda: requests.decode_removal({})).startswith("reference_date: is required")
    assert refusal(lambda: requests.decode_removal({"purge": ["yes"]})) == "purge: must be true or false"
    assert refusal(lambda: requests.decode_removal({"reference_date": [""]})).startswith("reference_date: ")


# Headers


@pytest.mark.parametrize("header", ["", "x" * 256, "a\tb", "é", "\x7f"])
def test_an_idempotency_key_is_printable(header: str) -> None:
    said = refusal(lambda: requests.decode_once({"idempotency-key": header}, "key", "POST", "/x", b""))
    assert said == "Idempotency-Key: must have 1 to 255 printable ASCII characters"


def test_an_idempotency_key_is_its_callers_own_and_its_requests() -> None:
    def once(header: str = "h", key: str = "k", method: str = "POST", path: str = "/x", body: bytes = b"1") -> Any:
        return requests.decode_once({"idempotency-key": header}, key, method, path, body)

    assert requests.decode_once({}, "k", "POST", "/x", b"") is None
    first = once()
    assert first == once()
    assert len(first.key) == len(first.request) == 64
    assert len({first.key, once(header="i").key, once(key="j").key}) == 3
    others = [once(method="PUT"), once(path="/y"), once(body=b"2")]
    assert {other.key for other in others} == {first.key}
    assert len({first.request, *(other.request for other in others)}) == 4
