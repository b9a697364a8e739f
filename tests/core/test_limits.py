"""Limits: the plans, windows in one process, and how spans are worded."""

import re
from ipaddress import IPv4Address, IPv6Address

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
    is_loopback,
    network,
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
            stands = local.take([("somebody", window)], now)
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
    local.take([("one", window)], 5.0)
    local.take([("another", window)], 5.0)
    with pytest.raises(RateLimited):
        local.take([("one", window)], 5.5)


def test_a_window_that_is_larger_for_another_site_counts_on() -> None:
    """As many as its own site allows, of all that were counted; one of another length counts by itself."""
    local = Local()
    small, large, long = Window("count", 2, 1), Window("count", 4, 1), Window("count", 2, 60)
    assert [local.take([("one", window)], 5.0).remaining for window in (small, large)] == [1, 2]
    with pytest.raises(RateLimited):
        local.take([("one", small)], 5.5)
    assert local.take([("one", large)], 5.5).remaining == 1
    assert local.take([("one", long)], 5.5).remaining == 1


def test_the_memory_of_callers_stays_bounded() -> None:
    local, window = Local(size=5), Window("count", 1, 10)
    for number in range(100):
        local.take([(str(number), window)], 5.0 + number / 100)
    assert [len(records) for records in local._records.values()] == [5]
    with pytest.raises(RateLimited):
        local.take([("99", window)], 6.0)
    local.take([("94", window)], 6.0)


def test_who_takes_a_new_name_for_each_request_uses_up_the_window_of_the_address() -> None:
    """However many names: they push each other out of the memory, and not the address."""
    local, wide, narrow = Local(size=5), Window("count-address", 50, 60), Window("count", 4, 1)
    for number in range(50):
        local.take([("address", wide), (f"address {number}", narrow)], 5.0)
    with pytest.raises(RateLimited) as refusal:
        local.take([("address", wide), ("address 50", narrow)], 5.0)
    assert refusal.value.name == "count-address"


def test_what_one_window_refuses_is_charged_to_none() -> None:
    """A browser that goes on asking does not use up what is left to others at its address."""
    local, wide, narrow = Local(), Window("count-address", 3, 60), Window("count", 1, 60)
    local.take([("address", wide), ("one", narrow)], 5.0)
    for _ in range(10):
        with pytest.raises(RateLimited) as refusal:
            local.take([("address", wide), ("one", narrow)], 5.0)
        assert refusal.value.name == "count"
    assert local.take([("address", wide), ("two", narrow)], 5.0).limit == 1
    assert local.take([("address", wide)], 5.0).remaining == 0


@given(st.ip_addresses(v=4))
def test_an_ipv4_address_is_one_caller_however_it_is_written(address: IPv4Address) -> None:
    spelled = f"::ffff:{int(address) >> 16:x}:{int(address) & 0xFFFF:x}"
    assert {network(str(address)), network(f"::ffff:{address}"), network(spelled)} == {str(address)}


@given(st.ip_addresses(v=6), st.integers(0, 2**64 - 1))
def test_the_addresses_of_an_ipv6_network_are_one_caller(address: IPv6Address, other: int) -> None:
    """What one subscriber may choose of; the network beside it is another's."""
    if address.ipv4_mapped is None and int(address) >> 64:
        same = IPv6Address(int(address) >> 64 << 64 | other)
        assert network(str(address)) == network(str(same)) == network(same.exploded.upper())
        assert network(str(address)) != network(str(IPv6Address(int(address) ^ 1 << 64)))


@pytest.mark.parametrize("address", ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"])
def test_the_machine_itself_is_known_in_every_spelling(address: str) -> None:
    assert is_loopback(address)


@pytest.mark.parametrize("address", ["128.0.0.1", "::2", "::ffff:128.0.0.1", "localhost", ""])
def test_nobody_else_is_the_machine_itself(address: str) -> None:
    assert not is_loopback(address)


def test_the_first_window_that_is_used_up_refuses() -> None:
    hourly, quick = Window("api2", 2, 3600), Window("api", 1, 1)
    with pytest.raises(RateLimited) as refusal:
        plan_step([hourly, quick], {"api2/3600": Used(0, 2), "api/1": Used(999_500, 1)}, 1_000_000)
    assert (refusal.value.limit, refusal.value.reset) == (2, 2600.0)
