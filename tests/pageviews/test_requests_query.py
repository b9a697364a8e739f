"""Query strings: read as the contract has it, or refused in its words; never anything else."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core.errors import Invalid
from chalicelib.core.periods import Range, day_text
from chalicelib.core.reports import EVERY_PATH, PathFilter
from chalicelib.pageviews.requests_query import hits_query, paths_query, total_query

NOW = datetime(2026, 8, 20, 15, 30, tzinfo=UTC).timestamp()


def in_utc(_: float) -> int:
    return 0


def seconds(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


def test_the_range_is_eight_days_unless_it_is_given() -> None:
    asked = total_query({}, NOW, in_utc)
    assert asked.when == Range(seconds("2026-08-13T00:00:00"), seconds("2026-08-20T23:59:59"), 0, (0, 0))
    assert asked.include == EVERY_PATH


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-01-31", "2026-01-31T00:00:00"),
        ("2026-01-31T23:59:59Z", "2026-01-31T23:59:59"),
        ("2026-01-31T23:59:59+02:00", "2026-01-31T21:59:59"),
        ("2026-01-31T23:59:59-00:30", "2026-02-01T00:29:59"),
        ("2026-01-31T10:00:00.000Z", "2026-01-31T10:00:00"),
    ],
)
def test_dates_and_times_are_read(text: str, moment: str) -> None:
    assert total_query({"start": ["2026-01-03"], "end": [text]}, NOW, in_utc).when.end == seconds(moment)
    assert total_query({"start": [text], "end": ["2026-02-03"]}, NOW, in_utc).when.start == seconds(moment)


def test_a_fraction_shrinks_the_range() -> None:
    asked = total_query({"start": ["2026-01-31T10:00:00.5Z"], "end": ["2026-01-31T12:00:00.5Z"]}, NOW, in_utc)
    assert asked.when.hours == (seconds("2026-01-31T11:00:00") // 3600, seconds("2026-01-31T12:00:00") // 3600)


@pytest.mark.parametrize("unset", ["", "0001-01-01", "0001-01-01T00:00:00Z", "0001-01-01T02:00:00.0+02:00"])
def test_an_empty_time_is_none_and_so_is_the_first_of_all(unset: str) -> None:
    """Clients send the latter for a time that nobody has set."""
    assert total_query({"start": [unset], "end": [unset]}, NOW, in_utc) == total_query({}, NOW, in_utc)


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("2026-02-01", "2026-01-31"),
        ("2026-01-31T10:00:00Z", "2026-01-31T09:59:59Z"),
        ("2026-01-31T10:00:00Z", "2026-01-31T11:59:59+02:00"),
        ("2026-01-31T10:00:00.25Z", "2026-01-31T10:00:00.2Z"),
        ("9999-12-31T00:00:00Z", "9999-12-30"),
    ],
)
def test_an_end_before_its_start_is_refused_with_both(start: str, end: str) -> None:
    with pytest.raises(Invalid) as refused:
        total_query({"start": [start], "end": [end]}, NOW, in_utc)
    assert refused.value.message == f'invalid query parameters: end: "{end}" is before start: "{start}"'


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("2026-01-31", "2026-01-31"),
        ("2026-01-31T10:00:00.2Z", "2026-01-31T10:00:00.25Z"),
        ("2026-01-31T10:00:00.50Z", "2026-01-31T10:00:00.5Z"),
        ("2026-01-31T12:00:00+02:00", "2026-01-31T10:00:00Z"),
    ],
)
def test_a_range_may_be_a_moment_however_it_is_written(start: str, end: str) -> None:
    total_query({"start": [start], "end": [end]}, NOW, in_utc)


def test_an_end_alone_is_refused_with_the_start_that_nobody_gave() -> None:
    with pytest.raises(Invalid, match=r'end: "2020-01-01" is before start: 2026-08-13T00:00:00Z, which it is unless'):
        total_query({"end": ["2020-01-01"]}, NOW, in_utc)


def test_a_start_alone_may_be_tomorrow_where_the_caller_is_ahead() -> None:
    """Nothing was counted there yet: the answer is empty, and right."""
    when = total_query({"start": ["2026-08-21"]}, NOW, lambda _: 12 * 3600).when
    assert when.start > when.end


def test_each_bound_is_taken_by_the_clock_of_its_own_day() -> None:
    """In Berlin it was summer at the start, and is winter at the end and now."""
    turned = seconds("2026-10-25T01:00:00")
    asked = total_query(
        {"start": ["2026-10-01T22:30:00Z"], "end": ["2026-11-01T22:30:00Z"]},
        seconds("2026-11-20T12:00:00"),
        lambda moment: 7200 if moment < turned else 3600,
    )
    assert [day_text(day) for day in asked.when.dates] == ["2026-10-02", "2026-11-01"]
    assert asked.when.clock == Range(seconds("2026-10-02T00:30:00"), seconds("2026-11-01T23:30:00"))
    assert asked.when.offset == 3600


@pytest.mark.parametrize(
    "text",
    [
        "yesterday",
        "2026-02-30",
        "2026-1-1",
        "2026-01-31T25:00:00Z",
        "2026-01-31T10:00:00",
        "2026-01-31 10:00:00Z",
        "2026-01-31T10:00:00+24:00",
        "2026-01-31T10:00:60Z",
        "20260131",
        " 2026-01-31",
        "٢٠٢٦-01-31",
    ],
)
def test_other_times_are_refused(text: str) -> None:
    with pytest.raises(Invalid, match=r"^invalid query parameters: start: "):
        total_query({"start": [text]}, NOW, in_utc)


@pytest.mark.parametrize(
    ("start", "end"), [("0001-01-01T00:00:00+14:00", "0001-01-02"), ("9999-12-30", "9999-12-31T23:59:59-14:00")]
)
@pytest.mark.parametrize("offset", [-43_200, 0, 50_400])
def test_the_ends_of_the_calendar_are_days_too(start: str, end: str, offset: int) -> None:
    when = total_query({"start": [start], "end": [end]}, NOW, lambda _: offset).when
    for first, last in (when.days, when.dates):
        assert day_text(first) <= day_text(last)


def test_a_range_of_more_than_a_century_is_refused() -> None:
    with pytest.raises(Invalid, match="days from start to end"):
        total_query({"start": ["0001-01-02"]}, NOW, in_utc)


@pytest.mark.parametrize(
    ("text", "limit"), [("1", 1), ("0", 1), ("-5", 1), ("+7", 7), ("100", 100), ("5000", 100), ("9" * 19, None)]
)
def test_limits_are_clamped(text: str, limit: int | None) -> None:
    if limit is None:
        with pytest.raises(Invalid, match=r"^invalid query parameters: limit: "):
            hits_query({"limit": [text]}, NOW, in_utc)
    else:
        assert hits_query({"limit": [text]}, NOW, in_utc).limit == limit


@pytest.mark.parametrize("text", ["", "abc", "1.0", "1_0", " 1", "0x1", "१"])
def test_what_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(Invalid, match=r"^invalid query parameters: limit: "):
        paths_query({"limit": [text]})


def test_names_are_known_in_both_spellings_and_no_others() -> None:
    assert paths_query({"Limit": ["3"], "After": ["7"]}) == paths_query({"limit": ["3"], "after": ["7"]}) == (7, 3)
    with pytest.raises(Invalid, match=r'^unknown parameter: "LIMIT"$'):
        paths_query({"LIMIT": ["3"]})
    with pytest.raises(Invalid, match=r'^unknown parameter: "limit"$'):
        total_query({"limit": ["3"]}, NOW, in_utc)


@pytest.mark.parametrize(
    "params",
    [
        {"include_paths": ["1,2,,3"]},
        {"include_paths": ["1 2  3"]},
        {"include_paths": ["1", "2, 3"]},
        {"include_paths[]": ["1", "2", "3"]},
        {"IncludePaths": ["1,2"], "include_paths": ["3"]},
    ],
)
def test_lists_are_the_union_of_everything_that_is_given(params: dict[str, list[str]]) -> None:
    assert hits_query(params, NOW, in_utc).include == PathFilter(ids=frozenset({1, 2, 3}))


def test_an_empty_list_is_none() -> None:
    asked = hits_query({"include_paths": [""], "exclude_paths": [" , "]}, NOW, in_utc)
    assert asked.include == EVERY_PATH
    assert asked.exclude is None


def test_paths_are_named_if_that_is_said() -> None:
    asked = hits_query({"path_by_name": ["on"], "include_paths": ["/a,/b"], "exclude_paths": ["/c"]}, NOW, in_utc)
    assert asked.include == PathFilter(names=("/a", "/b"))
    assert asked.exclude == PathFilter(names=("/c",))
    assert hits_query({"path_by_name": ["yes"], "include_paths": ["1"]}, NOW, in_utc).include.names is None


@pytest.mark.parametrize("name", ["include_paths", "exclude_paths"])
@pytest.mark.parametrize("text", ["x", "1,x", "1.5", "9999999999", "-9999999999"])
def test_ids_that_are_no_numbers_are_refused(name: str, text: str) -> None:
    with pytest.raises(Invalid, match=rf"^invalid number in {name}: "):
        hits_query({name: [text]}, NOW, in_utc)


@pytest.mark.parametrize(
    ("params", "how"),
    [
        ({}, "hour"),
        ({"daily": ["true"]}, "day"),
        ({"daily": ["true"], "group": ["hour"]}, "day"),
        ({"daily": ["true"], "group": ["week"]}, "week"),
        ({"group": ["month"]}, "month"),
        ({"group": ["0"]}, "hour"),
        ({"group": ["3"]}, "month"),
    ],
)
def test_groups_have_names_and_numbers(params: dict[str, list[str]], how: str) -> None:
    assert hits_query(params, NOW, in_utc).group == how


@pytest.mark.parametrize("text", ["", "year", "4", "Day", "²"])
def test_other_groups_are_refused(text: str) -> None:
    with pytest.raises(Invalid, match=r"^invalid query parameters: group: "):
        hits_query({"group": [text]}, NOW, in_utc)


_NAMES = st.sampled_from(
    ["start", "end", "group", "daily", "include_paths", "ExcludePaths", "path_by_name", "limit", "after"]
)
_VALUES = st.one_of(
    st.text(max_size=30), st.text("0123456789-T:Z+., ", max_size=30), st.datetimes().map(datetime.isoformat)
)


@given(st.dictionaries(st.one_of(_NAMES, st.text(max_size=8)), st.lists(_VALUES, max_size=3), max_size=5))
def test_every_query_is_read_or_refused_in_words_that_fit_into_json(params: dict[str, list[str]]) -> None:
    for read in (
        paths_query,
        lambda query: total_query(query, NOW, lambda _: 3600),
        lambda query: hits_query(query, NOW, lambda _: -3600),
    ):
        try:
            read(params)
        except Invalid as refusal:
            said = refusal.message
        else:
            said = "fine"
        assert json.loads(json.dumps(said).encode()) == said
        assert said.encode()
