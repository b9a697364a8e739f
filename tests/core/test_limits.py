"""Limits: the plans, windows in one process, and how spans are worded."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core.errors import RateLimited
from chalicelib.core.limits import PLANS, Local, Used, Window, duration, plan_step, plans


@pytest.mark.parametrize(
    ("text", "changed"),
    [
        ("on", {}),
        ("api:8/1", {"api": Window("api", 8, 1)}),
        ("api:8/1, export:2/60", {"api": Window("api", 8, 1), "export": Window("export", 2, 60)}),
    ],
)
def test_settings_change_the_plans_that_they_name(text: str, changed: dict[str, Window]) -> None:
    assert plans(text) == {**PLANS, **changed}


def test_plans_can_be_removed_one_by_one_or_all_at_once() -> None:
    assert "export" not in plans("export:none")
    assert plans("off") == {}


@pytest.mark.parametrize("text", ["", "api", "api:", "api:0/1", "api:1/0", "nope:1/1", "api:1/1,", "ON"])
def test_settings_that_are_no_limits_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a limit"):
        plans(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (3599.2, "59m59.2s"),
        (1, "1s"),
        (0.8, "800ms"),
        (0.96, "1s"),
        (0.04, "0s"),
        (0, "0s"),
        (-1, "0s"),
        (60, "1m0s"),
        (3600, "1h0m0s"),
        (7325.5, "2h2m5.5s"),
    ],
)
def test_spans_are_worded_as_go_words_them(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@given(st.lists(st.integers(0, 700), max_size=60), st.integers(1, 6))
def test_exactly_the_limit_passes_in_each_window_of_one_process(steps: list[int], limit: int) -> None:
    local = Local(Window("count", limit, 1))
    clock, opened, passed = 1_000_000, None, 0
    for step in steps:
        clock += step
        now = clock / 1000
        if opened is None or clock >= opened + 1000:
            opened, passed = clock, 0
        try:
            standing = local.take("somebody", now)
        except RateLimited as refusal:
            left, reset = 0, refusal.reset
            assert passed == limit
        else:
            passed += 1
            left, reset = standing.remaining, standing.reset
        assert left == limit - passed
        assert 0 < reset <= 1


def test_one_caller_does_not_use_up_what_is_anothers() -> None:
    local = Local(Window("count", 1, 1))
    local.take("one", 5.0)
    local.take("another", 5.0)
    with pytest.raises(RateLimited):
        local.take("one", 5.5)


def test_the_memory_of_callers_stays_bounded() -> None:
    local = Local(Window("count", 1, 10), size=5)
    for number in range(100):
        local.take(str(number), 5.0 + number)
    assert len(local._records) <= 5


def test_the_first_window_that_is_used_up_refuses() -> None:
    hourly, quick = Window("api2", 2, 3600), Window("api", 1, 1)
    with pytest.raises(RateLimited) as refusal:
        plan_step([hourly, quick], {"api2": Used(0, 2), "api": Used(999_500, 1)}, 1_000_000)
    assert (refusal.value.limit, refusal.value.reset) == (2, 2600.0)
