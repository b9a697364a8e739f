"""The limiter: exact across processes, free of charge once it refuses, and open when DynamoDB is not there."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.client import BaseClient
from botocore.exceptions import ClientError, ConnectTimeoutError
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st

from chalicelib.aws.limits import Limiter
from chalicelib.core.errors import RateLimited
from chalicelib.core.limits import Window
from chalicelib.settings import settings
from tests.conftest import World

HOURLY, QUICK = Window("api2", 7, 3600), Window("api", 3, 1)


class Clock:
    now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def limiter(clock: Clock, secret: bytes = b"secret") -> Limiter:
    return Limiter(settings(), lambda: secret, clock)


@pytest.fixture
def sent(world: World, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The operations that reach DynamoDB."""
    assert world
    listed: list[str] = []
    original = BaseClient._make_api_call  # type: ignore[attr-defined]

    def listening(self: BaseClient, operation: str, arguments: dict[str, Any]) -> Any:
        listed.append(operation)
        return original(self, operation, arguments)

    monkeypatch.setattr(BaseClient, "_make_api_call", listening)
    return listed


_runs = iter(range(10**9))


@effort(max_examples=60, deadline=None)
@given(moves=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 600)), min_size=1, max_size=25))
def test_exactly_the_limit_passes_in_any_window_whichever_process_is_asked(
    world: World, moves: list[tuple[int, int]]
) -> None:
    """Windows are fixed and begin at the first request; a request that one window refuses is charged to none."""
    assert world
    clock = Clock()
    processes = [limiter(clock) for _ in range(3)]
    caller = f"run-{next(_runs)}"
    opened: dict[str, int] = {}
    passed: dict[str, int] = {}
    for process, wait in moves:
        clock.now += wait / 1000
        now = int(clock.now * 1000)
        windows = (HOURLY, QUICK)
        for window in windows:
            if window.name not in opened or now >= opened[window.name] + window.seconds * 1000:
                passed[window.name] = 0
        full = [window for window in windows if passed[window.name] >= window.requests]
        if full:
            with pytest.raises(RateLimited) as refusal:
                processes[process].take(caller, windows)
            assert refusal.value.limit == full[0].requests
            continue
        standing = processes[process].take(caller, windows)
        for window in windows:
            if not passed[window.name]:
                opened[window.name] = now
            passed[window.name] += 1
        assert standing.remaining == QUICK.requests - passed["api"]


def test_a_request_costs_one_call_and_a_refusal_none_until_the_window_opens_again(
    clock: Clock, sent: list[str]
) -> None:
    asked = limiter(clock)
    for _ in range(3):
        asked.take("counted", [HOURLY, QUICK])
    assert sent == ["UpdateItem"] * 3
    for _ in range(5):
        with pytest.raises(RateLimited):
            asked.take("counted", [HOURLY, QUICK])
    assert len(sent) == 3
    clock.now += 1
    assert asked.take("counted", [HOURLY, QUICK]).remaining == 2
    assert len(sent) == 4


def test_what_the_second_refuses_is_not_charged_to_the_hour(world: World, clock: Clock) -> None:
    assert world
    asked = limiter(clock)
    for _ in range(10):
        try:
            asked.take("uncharged", [HOURLY, QUICK])
        except RateLimited:
            continue
    clock.now += 1
    assert asked.take("uncharged", [QUICK, HOURLY]).remaining == HOURLY.requests - 4


def test_windows_of_other_requests_are_left_alone(world: World, clock: Clock) -> None:
    assert world
    asked = limiter(clock)
    asked.take("mixed", [QUICK])
    asked.take("mixed", [Window("api-count", 60, 120)])
    assert asked.take("mixed", [QUICK]).remaining == 1
    assert limiter(clock).take("mixed", [Window("api-count", 60, 120)]).remaining == 58


def test_an_item_takes_one_write_unit_and_holds_no_address(world: World, clock: Clock) -> None:
    asked = limiter(clock)
    caller = asked.caller("203.0.113.77")
    asked.take(caller, [HOURLY, QUICK])
    asked.take(caller, [Window("api-count", 60, 120), Window("export", 1, 3600), Window("login", 20, 60)])
    key = {"pk": {"S": caller}}
    item = world.client("dynamodb").get_item(TableName=settings().limits_table, Key=key)["Item"]
    assert len(repr(item)) < 1024
    assert "203.0.113" not in repr(item)
    assert int(item["expires"]["N"]) >= clock.now + 3600


def test_callers_are_keyed_by_address_and_by_network_for_ipv6(clock: Clock) -> None:
    asked = limiter(clock)
    assert asked.caller("203.0.113.7") == asked.caller("203.0.113.7")
    assert asked.caller("203.0.113.7") != asked.caller("203.0.113.8")
    assert asked.caller("2001:db8::1") == asked.caller("2001:db8::ffff")
    assert asked.caller("2001:db8:0:1::1") != asked.caller("2001:db8::1")
    assert asked.caller("203.0.113.7") != limiter(clock, b"other").caller("203.0.113.7")
    assert asked.caller("no address") != asked.caller("")


def test_what_stands_for_a_key_is_never_what_stands_for_an_address(clock: Clock) -> None:
    asked = limiter(clock)
    key = asked.keyed("an account", "key_1")
    assert key not in {asked.caller("key_1"), asked.caller(key), asked.keyed("another", "key_1")}
    assert "#" in key
    assert "#" not in asked.caller("key#an account#key_1")


def test_a_window_whose_size_changes_while_it_is_open_is_measured_by_the_new_one(clock: Clock, sent: list[str]) -> None:
    """By a process that knows the window, and by one that does not; smaller and known, it costs no call."""
    known = limiter(clock)
    small, usual, large = (Window("statistics", size, 60) for size in (2, 3, 5))
    for _ in range(3):
        known.take("resized", [usual])
    sent.clear()
    for _ in range(2):
        with pytest.raises(RateLimited):
            known.take("resized", [small])
    assert sent == []
    with pytest.raises(RateLimited) as refusal:
        limiter(clock).take("resized", [small])
    assert (refusal.value.limit, refusal.value.reset) == (2, 60.0)
    assert known.take("resized", [large]).remaining == 1
    assert limiter(clock).take("resized", [large]).remaining == 0
    for process in (known, limiter(clock)):
        with pytest.raises(RateLimited):
            process.take("resized", [large])
    clock.now += 60
    assert known.take("resized", [small]).remaining == 1


def test_a_short_window_does_not_empty_a_long_one_of_the_same_name(world: World, clock: Clock) -> None:
    """As for two keys at one address, one of which has a window of another length."""
    assert world
    asked, short, long = limiter(clock), Window("api", 2, 1), Window("api", 3, 60)
    for _ in range(3):
        asked.take("lengths", [long])
    clock.now += 5
    assert asked.take("lengths", [short]).remaining == 1
    for process in (asked, limiter(clock)):
        with pytest.raises(RateLimited) as refusal:
            process.take("lengths", [long])
        assert refusal.value.reset == 55.0


def test_an_item_stays_for_the_longest_window_that_its_caller_may_have(world: World, clock: Clock) -> None:
    asked = limiter(clock)
    asked.take("kept", [Window("api2", 9, 500_000)])
    asked.take("kept", [QUICK], keep=500_000)
    key = {"pk": {"S": "kept"}}
    item = world.client("dynamodb").get_item(TableName=settings().limits_table, Key=key)["Item"]
    assert int(item["expires"]["N"]) >= clock.now + 500_000


def test_a_refusal_is_remembered_for_as_long_as_its_window_is_open(clock: Clock, sent: list[str]) -> None:
    asked, window = limiter(clock), Window("api", 1, 1_000_000)
    asked.take("long", [window])
    clock.now += 999_999
    with pytest.raises(RateLimited) as refusal:
        asked.take("long", [window])
    assert (refusal.value.reset, len(sent)) == (1.0, 1)


def answering(error: Exception) -> Any:
    def call(*_: object) -> None:
        raise error

    return call


@pytest.mark.parametrize(
    "code", ["ThrottlingException", "ProvisionedThroughputExceededException", "RequestLimitExceeded"]
)
def test_throttling_counts_as_a_refusal(world: World, clock: Clock, monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    assert world
    error = ClientError({"Error": {"Code": code, "Message": ""}}, "UpdateItem")
    monkeypatch.setattr(BaseClient, "_make_api_call", answering(error))
    with pytest.raises(RateLimited):
        limiter(clock).take("throttled", [QUICK])


@pytest.mark.parametrize(
    "error",
    [
        ConnectTimeoutError(endpoint_url="https://dynamodb"),
        ClientError({"Error": {"Code": "InternalServerError", "Message": ""}}, "UpdateItem"),
    ],
)
def test_unavailability_lets_pass_and_says_so(
    world: World, clock: Clock, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    assert world
    monkeypatch.setattr(BaseClient, "_make_api_call", answering(error))
    assert not limiter(clock).take("unavailable", [QUICK]).charged


def test_exactly_the_limit_passes_among_threads_that_ask_at_once(world: World) -> None:
    assert world
    clock = Clock()
    shared, window = [limiter(clock), limiter(clock)], Window("api", 10, 60)

    def ask(number: int) -> bool:
        try:
            shared[number % 2].take("threads", [window])
        except RateLimited:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(ask, range(60))) == 10
