"""What the keys of an account use together: however many keys there are, it has an end."""

import itertools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from unittest import mock

import pytest
from botocore.client import BaseClient
from botocore.exceptions import ClientError, ConnectTimeoutError
from chalice.app import Chalice
from hypothesis import example, given
from hypothesis import settings as effort
from hypothesis import strategies as st

from chalicelib import wiring
from chalicelib.aws.limits import Limiter
from chalicelib.core import limits
from chalicelib.core.accounts import Permission
from chalicelib.core.errors import RateLimited
from chalicelib.core.limits import PLANS, Shares, Window, plans
from chalicelib.settings import settings
from tests.dynamo import Dynamo, standing_in
from tests.front import FrontDoor, Reply
from tests.people import Person, address, settle

DOMAINS = "/v1/api/domains"
NOWHERE = "/v1/api/nowhere"
KEY = Window("statistics", 7, 3600)
_accounts = itertools.count()


@pytest.fixture(autouse=True)
def dynamo(app: Chalice) -> Iterator[Dynamo]:
    """Tables of the test's own, as exact under threads as DynamoDB's."""
    assert app
    with standing_in() as tables:
        yield tables


@pytest.fixture
def person(front: FrontDoor) -> Person:
    return settle(front)


def ask(front: FrontDoor, token: str, path: str = NOWHERE, **kwargs: Any) -> Reply:
    method = "POST" if kwargs else "GET"
    headers = {"authorization": f"Bearer {token}"}
    return front.request(method, path, headers=headers, client=address(), **kwargs)


def left(reply: Reply) -> tuple[int, int]:
    return int(reply.headers["x-rate-limit-limit"]), int(reply.headers["x-rate-limit-remaining"])


# Through the front door


def test_keys_that_are_minted_use_up_what_their_account_has(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    """The headers tell of the key's window, and of the account's once that is what refuses."""
    monkeypatch.setattr(wiring, "plans", lambda: plans("statistics:4/3600,statistics-account:13/3600"))
    minted = [ask(person.front, person.token, DOMAINS, json_body={"name": f"d{n}.example"}) for n in range(3)]
    assert [left(reply) for reply in minted] == [(4, 3), (4, 2), (4, 1)]
    tokens = [reply.json()["key"] for reply in minted]
    replies = [ask(person.front, token) for token in tokens for _ in range(5)]
    assert [reply.status for reply in replies] == [*[404] * 4, 429, *[404] * 4, 429, 404, 404, *[429] * 3]
    assert ask(person.front, person.token).status == 429
    refused = replies[-1]
    assert left(refused) == (13, 0)
    assert int(refused.headers["retry-after"]) > 3590
    assert refused.json()["error"]["code"] == "TOO_MANY_REQUESTS"
    other = settle(person.front)
    assert left(ask(person.front, other.token)) == (4, 3)


def test_exports_of_an_accounts_keys_count_together_too(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wiring, "plans", lambda: plans("statistics-export:2/60,statistics-export-account:3/60"))
    tokens = [person.key(Permission.STATISTICS_READ) for _ in range(2)]
    replies = [ask(person.front, token, "/v1/api/exports", json_body={}) for token in tokens for _ in range(2)]
    assert [reply.status for reply in replies] == [201, 201, 201, 429]
    assert left(replies[-1]) == (3, 0)


def test_who_has_no_window_of_a_key_may_have_one_of_the_account(
    person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wiring, "plans", lambda: plans("statistics:none,statistics-account:3/60"))
    tokens = [person.key(Permission.STATISTICS_READ) for _ in range(4)]
    replies = [ask(person.front, token) for token in tokens]
    assert [(reply.status, left(reply)) for reply in replies] == [
        (404, (3, 2)),
        (404, (3, 1)),
        (404, (3, 0)),
        (429, (3, 0)),
    ]


def test_limiter_key_and_site_take_three_calls_and_one_once_they_are_known(person: Person, dynamo: Dynamo) -> None:
    """Also where the account grants a portion, which is every twentieth time; and no call where it refuses."""
    token = person.key(Permission.STATISTICS_READ)
    wiring.accounts.cache_clear()
    seen = [dynamo.bill.copy()]
    for _ in range(22):
        ask(person.front, token)
        seen.append(dynamo.bill.copy())
    calls = [(after - before).calls.total() for before, after in itertools.pairwise(seen)]
    assert calls == [3, *[1] * 21]
    units = [(after - before).write_units for before, after in itertools.pairwise(seen)]
    assert units == [4, *[1] * 19, 4, 1]


# The plans


@pytest.mark.parametrize(
    ("text", "account"),
    [
        ("", 20_000),
        ("statistics:9/3600", 20_000),
        ("statistics:50000/3600", 50_000),
        ("statistics:8/1", 28_800),
        ("statistics:50000/3600,statistics-account:30000/3600", 30_000),
        ("statistics-account:30000/3600,statistics:50000/3600", 30_000),
        ("statistics:none", None),
        ("statistics:none,statistics-account:5/3600", 5),
        ("off", None),
    ],
)
def test_what_one_key_may_do_its_account_may_unless_it_is_said_otherwise(text: str, account: int | None) -> None:
    found = limits.changed(PLANS, text).get("statistics-account")
    assert (found.requests if found else None) == account


def test_an_account_may_do_what_several_of_its_keys_may() -> None:
    """Wide enough for honest use."""
    for name in ("statistics", "statistics-export"):
        assert PLANS[f"{name}-account"].requests >= 10 * PLANS[name].requests
        assert PLANS[f"{name}-account"].seconds == PLANS[name].seconds


# Exact


class Clock:
    now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


def limiter(clock: Clock) -> Limiter:
    return Limiter(settings(), lambda: b"secret", clock)


@effort(max_examples=40, deadline=None)
@given(
    moves=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3)), min_size=1, max_size=40),
    account=st.integers(1, 25),
    portions=st.sampled_from((1000, 8, 3)),
)
@example(moves=[(0, 0), (0, 1), (1, 2), (1, 0)], account=9, portions=3)  # granted elsewhere, and never seen here
@example(moves=[(1, 0), *[(0, 0)] * 3, (0, 1), (1, 2), (1, 0)], account=9, portions=3)  # or seen before it was granted
def test_keys_pass_as_often_as_they_and_their_account_may_whichever_process_is_asked(
    moves: list[tuple[int, int]], account: int, portions: int
) -> None:
    """Never more; and less only by what other keys were granted and have not used."""
    clock = Clock()
    processes, number = [limiter(clock) for _ in range(3)], next(_accounts)
    share = Window("statistics-account", account, 3600)
    shares = Shares(Limiter.account(str(number)), {KEY.name: share})
    passed: dict[int, int] = {}
    with mock.patch.object(limits, "_PORTIONS", portions):
        portion = max(account // portions, 1)
        for process, key in moves:
            try:
                standing = processes[process].take(Limiter.keyed(str(number), str(key)), [KEY], shares=shares)
            except RateLimited as refusal:
                others = len(passed.keys() - {key})
                unused = account - sum(passed.values()) - others * (portion - 1)
                room = {KEY.name: KEY.requests - passed.get(key, 0), share.name: max(unused, 0)}
                assert room[refusal.name] == 0  # noqa: PT017 - which of the two refuses is found out here
            else:
                passed[key] = passed.get(key, 0) + 1
                assert standing.remaining == KEY.requests - passed[key]
    assert sum(passed.values()) <= account
    assert max(passed.values()) <= KEY.requests


def test_who_could_not_be_looked_up_is_looked_up_again(dynamo: Dynamo) -> None:
    """What a key was granted elsewhere is not lost by an answer that did not come: the request passes meanwhile."""
    assert dynamo
    clock, shares = Clock(), Shares(Limiter.account("lost"), {KEY.name: Window("statistics-account", 9, 3600)})
    here, elsewhere = limiter(clock), limiter(clock)
    with mock.patch.object(limits, "_PORTIONS", 3):
        elsewhere.take(Limiter.keyed("lost", "0"), [KEY], shares=shares)
        for key in "12":
            here.take(Limiter.keyed("lost", key), [KEY], shares=shares)
        with mock.patch.object(here, "_look", side_effect=ConnectTimeoutError(endpoint_url="x")):
            assert not here.take(Limiter.keyed("lost", "0"), [KEY], shares=shares).charged
        for _ in range(2):
            assert here.take(Limiter.keyed("lost", "0"), [KEY], shares=shares).charged
        for _ in range(2):
            with pytest.raises(RateLimited):
                here.take(Limiter.keyed("lost", "0"), [KEY], shares=shares)


def test_an_hour_later_the_account_has_all_again(dynamo: Dynamo) -> None:
    assert dynamo
    clock = Clock()
    asked, shares = limiter(clock), Shares(Limiter.account("hourly"), {KEY.name: Window("statistics-account", 2, 60)})
    for hour in range(3):
        for number in range(2):
            asked.take(Limiter.keyed("hourly", f"{hour} {number}"), [KEY], shares=shares)
        with pytest.raises(RateLimited) as refusal:
            asked.take(Limiter.keyed("hourly", "last"), [KEY], shares=shares)
        assert refusal.value.reset == 60
        clock.now += 60


def test_a_key_goes_on_whether_its_account_gets_a_window_or_loses_it(dynamo: Dynamo) -> None:
    assert dynamo
    clock = Clock()
    asked, caller = limiter(clock), Limiter.keyed("moved", "key")
    wide = Shares(Limiter.account("moved"), {KEY.name: Window("statistics-account", 20_000, 3600)})
    given = [limits.NO_SHARES, wide, limits.NO_SHARES, wide, limits.NO_SHARES]
    assert [asked.take(caller, [KEY], shares=shares).remaining for shares in given] == [6, 5, 4, 3, 2]


@pytest.mark.parametrize("portions", [1000, 5])
def test_exactly_what_the_account_has_passes_among_threads_and_keys_that_ask_at_once(portions: int) -> None:
    """In one process and in several; with portions, but for what is granted and not used."""
    number, clock = next(_accounts), Clock()
    shared, share = [limiter(clock) for _ in range(2)], Window("statistics-account", 30, 3600)
    shares = Shares(Limiter.account(str(number)), {KEY.name: share})
    window = Window(KEY.name, 25, 3600)

    def asked(turn: int) -> bool:
        try:
            shared[turn % 2].take(Limiter.keyed(str(number), str(turn % 3)), [window], shares=shares)
        except RateLimited:
            return False
        return True

    with mock.patch.object(limits, "_PORTIONS", portions), ThreadPoolExecutor(8) as pool:
        passed = sum(pool.map(asked, range(90)))
    assert 30 - 2 * (max(30 // portions, 1) - 1) <= passed <= 30


# What may happen on the way


def cancelled(*codes: str) -> ClientError:
    reasons = [{"Code": code} for code in codes]
    response: Any = {"Error": {"Code": "TransactionCanceledException", "Message": ""}, "CancellationReasons": reasons}
    return ClientError(response, "TransactWriteItems")


def conflict(operation: str) -> ClientError:
    return ClientError({"Error": {"Code": "TransactionConflictException", "Message": ""}}, operation)


SHARES = Shares("account#hindered", {KEY.name: Window("statistics-account", 20_000, 3600)})


@pytest.mark.parametrize(
    ("error", "shares"),
    [
        (cancelled("TransactionConflict", "None"), SHARES),
        (cancelled("None", "TransactionConflict"), SHARES),
        (conflict("UpdateItem"), limits.NO_SHARES),
    ],
)
def test_who_meets_a_transaction_tries_again_and_is_charged(
    monkeypatch: pytest.MonkeyPatch, error: ClientError, shares: Shares
) -> None:
    original, left = BaseClient._make_api_call, [error, error]  # type: ignore[attr-defined]

    def call(self: BaseClient, operation: str, arguments: dict[str, Any]) -> Any:
        if left:
            raise left.pop()
        return original(self, operation, arguments)

    monkeypatch.setattr(BaseClient, "_make_api_call", call)
    standing = limiter(Clock()).take(f"key#hindered#{next(_accounts)}", [KEY], shares=shares)
    assert (standing.charged, standing.remaining) == (True, 6)


@pytest.mark.parametrize("code", ["ThrottlingError", "ProvisionedThroughputExceeded"])
def test_throttling_of_the_accounts_item_counts_as_a_refusal(monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    def call(*_: object) -> None:
        raise cancelled("None", code)

    monkeypatch.setattr(BaseClient, "_make_api_call", call)
    with pytest.raises(RateLimited):
        limiter(Clock()).take("key#throttled#1", [KEY], shares=SHARES)


def test_a_transaction_that_nobody_answers_lets_pass_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def call(*_: object) -> None:
        raise ClientError({"Error": {"Code": "InternalServerError", "Message": ""}}, "TransactWriteItems")

    monkeypatch.setattr(BaseClient, "_make_api_call", call)
    assert not limiter(Clock()).take("key#unanswered#1", [KEY], shares=SHARES).charged
