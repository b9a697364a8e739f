"""Limits: the plans, windows in one process, and how spans are worded."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core.errors import RateLimited
from chalicelib.core.limits import (
    LIMITED,
    PLANS,
    Local,
    Plans,
    Used,
    Window,
    changed,
    duration,
    plan_step,
    plans,
    standing,
)


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


@pytest.mark.parametrize(
    ("texts", "plans"),
    [
        (["", "on"], dict(PLANS)),
        (["api:8/1", ""], {**PLANS, "api": Window("api", 8, 1)}),
        (["api:8/1,api2:9/1", "api:2/2"], {**PLANS, "api": Window("api", 2, 2), "api2": Window("api2", 9, 1)}),
        (["api:none", "api:2/2"], {**PLANS, "api": Window("api", 2, 2)}),
        (["off", "api:2/2"], {"api": Window("api", 2, 2)}),
        (["api:2/2", "off"], {}),
    ],
)
def test_a_site_changes_the_plans_and_a_key_what_the_site_left(texts: list[str], plans: dict[str, Window]) -> None:
    found: Plans = PLANS
    for text in texts:
        found = changed(found, text)
    assert found == plans


@pytest.mark.parametrize("text", ["api", "api:", "api:0/1", "nope:1/1", "api:1/1,", "OFF"])
def test_changes_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a limit"):
        changed(PLANS, text)


@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 12))
def test_a_window_that_is_open_is_measured_by_the_plan_of_now(before: int, after: int, used: int) -> None:
    """Whatever it was when it opened: smaller refuses at once, larger lets through what is left of it."""
    window = Window("api", after, 60)
    record = {window.slot: Used(1_000, min(used, before))}
    if min(used, before) >= after:
        with pytest.raises(RateLimited) as refusal:
            plan_step([window], record, 2_000)
        assert (refusal.value.limit, refusal.value.reset) == (after, 59.0)
    else:
        assert plan_step([window], record, 2_000).charges == ((window, record[window.slot]),)
    assert standing(window, record, 2_000).remaining == max(after - min(used, before), 0)


def test_what_is_no_limit_is_told_with_the_form_and_every_name() -> None:
    with pytest.raises(ValueError, match=re.escape("not a limit: 'exports:7/60' (")) as refusal:
        plans("api:2/2,exports:7/60")
    said = str(refusal.value)
    assert all(word in said for word in ("NAME:REQUESTS/SECONDS", "NAME:none", "by comma", "on", "off"))
    assert all(re.search(rf"[ ,]{name}[,)]", said) for name in PLANS)


def test_everybody_may_read_what_each_limit_is_for() -> None:
    assert list(LIMITED) == list(PLANS)
    assert len({*LIMITED.values(), ""}) == len(PLANS) + 1


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
    local, window = Local(), Window("count", limit, 1)
    clock, opened, passed = 1_000_000, None, 0
    for step in steps:
        clock += step
        now = clock / 1000
        if opened is None or clock >= opened + 1000:
            opened, passed = clock, 0
        try:
            stands = local.take("somebody", window, now)
        except RateLimited as refusal:
            left, reset = 0, refusal.reset
            assert passed == limit
        else:
            passed += 1
            left, reset = stands.remaining, stands.reset
        assert left == limit - passed
        assert 0 < reset <= 1


def test_one_caller_does_not_use_up_what_is_anothers() -> None:
    local, window = Local(), Window("count", 1, 1)
    local.take("one", window, 5.0)
    local.take("another", window, 5.0)
    with pytest.raises(RateLimited):
        local.take("one", window, 5.5)


def test_a_window_that_is_larger_for_another_site_counts_on() -> None:
    """As many as its own site allows, of all that were counted; one of another length counts by itself."""
    local = Local()
    small, large, long = Window("count", 2, 1), Window("count", 4, 1), Window("count", 2, 60)
    assert [local.take("one", window, 5.0).remaining for window in (small, large)] == [1, 2]
    with pytest.raises(RateLimited):
        local.take("one", small, 5.5)
    assert local.take("one", large, 5.5).remaining == 1
    assert local.take("one", long, 5.5).remaining == 1


def test_the_memory_of_callers_stays_bounded() -> None:
    local, window = Local(size=5), Window("count", 1, 10)
    for number in range(100):
        local.take(str(number), window, 5.0 + number)
    assert len(local._records) <= 5


def test_the_first_window_that_is_used_up_refuses() -> None:
    hourly, quick = Window("api2", 2, 3600), Window("api", 1, 1)
    with pytest.raises(RateLimited) as refusal:
        plan_step([hourly, quick], {"api2/3600": Used(0, 2), "api/1": Used(999_500, 1)}, 1_000_000)
    assert (refusal.value.limit, refusal.value.reset) == (2, 2600.0)
