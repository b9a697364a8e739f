"""How often somebody may ask: exact under threads, free once refused, and as the deployment, a site and a key say."""

import itertools
import re
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import pytest
from chalice.app import Chalice
from moto.core.botocore_stubber import BotocoreStubber

from chalicelib import wiring
from chalicelib.aws.accounts import Accounts
from chalicelib.core.accounts import Permission
from chalicelib.core.errors import Unavailable
from chalicelib.core.limits import PLANS, plans
from tests.dynamo import standing_in
from tests.endpoints import PUBLIC
from tests.front import FrontDoor, Reply
from tests.people import Person, address, settle

GROUPS = "/v1/api/statistic-groups"
NOWHERE = "/v1/api/nowhere"
"""Charged as every path is, and costs nothing else."""
READ = Permission.STATISTICS_READ
HEADERS = ("x-rate-limit-limit", "x-rate-limit-remaining", "x-rate-limit-reset")


@dataclass
class Clock:
    """The service's clock, standing still until a test moves it."""

    now: float

    def __call__(self) -> float:
        return self.now


@pytest.fixture(autouse=True)
def tables(app: Chalice) -> Iterator[None]:
    """Tables of the test's own, as exact under threads as DynamoDB's, and quicker than the world's."""
    assert app
    with standing_in():
        yield


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    stopped = Clock(wiring.now())
    monkeypatch.setattr(wiring, "now", stopped)
    return stopped


@pytest.fixture
def person(front: FrontDoor, clock: Clock) -> Person:
    """Somebody whose account is as new as the test."""
    assert clock
    return settle(front)


@pytest.fixture
def sent(app: Chalice, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What leaves for AWS, retries and all: `dynamodb.UpdateItem`."""
    assert app
    listed: list[str] = []
    original = BotocoreStubber.__call__

    def listening(self: BotocoreStubber, event_name: str, request: Any, **more: Any) -> Any:
        listed.append(event_name.removeprefix("before-send."))
        return original(self, event_name, request, **more)

    monkeypatch.setattr(BotocoreStubber, "__call__", listening)
    return listed


@dataclass
class Held:
    """A key, and requests with it: each from another address, unless one is given."""

    front: FrontDoor
    account: str
    id: str
    token: str

    def ask(self, method: str, path: str, **kwargs: Any) -> Reply:
        kwargs.setdefault("client", address())
        kwargs["headers"] = {"authorization": f"Bearer {self.token}", **kwargs.get("headers", {})}
        return self.front.request(method, path, **kwargs)

    def get(self, path: str = NOWHERE, **kwargs: Any) -> Reply:
        return self.ask("GET", path, **kwargs)

    def served(self, path: str = NOWHERE, most: int = 50) -> int:
        """How many requests pass before one is refused."""
        return sum(1 for _ in itertools.takewhile(lambda _: self.get(path).status != 429, range(most)))


def key(person: Person, limits: str = "", permissions: Permission = READ | Permission.STATS) -> Held:
    """A key to somebody's domain, with limits of its own."""
    created = person.created
    made, token = wiring.accounts().issue_key(
        created.account.id,
        created.user.id,
        "limited",
        permissions,
        domain=created.statistics.scope.domain,
        limits=limits,
    )
    return Held(person.front, created.account.id, made.id, token)


def elsewhere() -> Accounts:
    """Another process's view of who is who: what it changes, this one finds out when it reads again."""
    return Accounts(wiring.settings(), wiring.now)


def left(reply: Reply) -> tuple[int, ...]:
    """What the headers say: limit, remaining, reset."""
    return tuple(int(reply.headers[name]) for name in HEADERS)


# Exact


def test_exactly_1000_of_1200_calls_pass_under_threads_and_service_is_back_when_the_window_turns(
    person: Person, clock: Clock
) -> None:
    held = key(person)
    with ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(lambda _: held.get(GROUPS), range(1200)))
    assert Counter(reply.status for reply in replies) == {200: 1000, 429: 200}
    assert {left(reply) for reply in replies if reply.status == 429} == {(1000, 0, 3600)}
    assert sorted(left(reply)[1] for reply in replies if reply.status == 200) == list(range(1000))
    clock.now += 3599.5
    late = held.get(GROUPS)
    assert (late.status, late.headers["retry-after"], left(late)) == (429, "1", (1000, 0, 1))
    assert late.json()["error"]["code"] == "TOO_MANY_REQUESTS"
    clock.now += 0.5
    again = held.get(GROUPS)
    assert (again.status, left(again)) == (200, (1000, 999, 3600))


def test_a_key_that_is_refused_costs_no_call_and_another_is_served_with_its_own_alone(
    person: Person, sent: list[str]
) -> None:
    """As many refusals as would come in a second, from eight threads; between them, somebody else's calls."""
    refused, other = key(person, "statistics:3/3600"), key(settle(person.front))
    assert [refused.get(GROUPS).status for _ in range(4)] == [200] * 3 + [429]
    assert other.get(GROUPS).status == 200
    sent.clear()
    assert other.get(GROUPS).status == 200
    own = list(sent)
    assert "dynamodb.UpdateItem" in own
    sent.clear()

    def ask(number: int) -> int:
        return (other if number % 500 == 0 else refused).get(GROUPS).status

    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(ask, range(5000)))
    assert Counter(statuses) == {429: 4990, 200: 10}
    assert [statuses[number] for number in range(0, 5000, 500)] == [200] * 10
    assert sorted(sent) == sorted(own * 10)


@pytest.mark.parametrize("limits", ["", "statistics:5/60"])
def test_limiter_key_and_site_take_three_calls_and_one_once_they_are_known(
    person: Person, sent: list[str], limits: str
) -> None:
    held = key(person, limits)
    wiring.accounts.cache_clear()
    sent.clear()
    assert [held.get().status for _ in range(3)] == [404] * 3
    known = "dynamodb.UpdateItem"
    assert sent == ["dynamodb.GetItem", "dynamodb.Query", "dynamodb.TransactWriteItems", known, known]


def test_an_unknown_key_is_looked_up_once(front: FrontDoor, sent: list[str]) -> None:
    stranger = Held(front, "", "", "x" * 50)
    same = address()
    stranger.get(client=same)
    sent.clear()
    assert stranger.get(client=same).status == 404
    assert sent == ["dynamodb.UpdateItem"]


# Who is charged


def test_a_key_has_its_window_wherever_it_is_used_from(person: Person) -> None:
    one, other = key(person, "statistics:2/60"), key(person, "statistics:2/60")
    same = address()
    assert [one.get(client=same).status for _ in range(3)] == [404, 404, 429]
    assert one.get().status == 429
    assert other.get(client=same).status == 404


def test_who_has_no_key_that_is_known_is_charged_by_address(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many keys somebody thinks of; who comes from there with a key that is known is served."""
    monkeypatch.setattr(wiring, "plans", lambda: plans("statistics:3/60"))
    same, held, revoked = address(), key(person), key(person)
    wiring.accounts().revoke_key(revoked.account, revoked.id)
    headers: tuple[dict[str, str], ...] = (
        {},
        {"authorization": "Bearer None"},
        {"authorization": f"Bearer {'x' * 50}"},
    )
    replies = [person.front.get(GROUPS, headers=sent, client=same) for sent in headers]
    assert [(reply.status, left(reply)[:2]) for reply in replies] == [(401, (3, 2)), (401, (3, 1)), (401, (3, 0))]
    assert person.front.get(GROUPS, headers={"authorization": f"Bearer {'y' * 50}"}, client=same).status == 429
    assert revoked.get(GROUPS, client=same).status == 429
    assert held.get(GROUPS, client=same).status == 200
    assert person.front.get(GROUPS, client=address()).status == 401


def test_the_windows_of_page_views_belong_to_the_address_whatever_the_key(person: Person) -> None:
    same, one, other = address(), key(person), key(person)
    path = f"{person.prefix}/api/v0/me"
    statuses = [held.get(path, client=same).status for held in (one, other, one, other, one)]
    assert statuses == [200] * 4 + [429]
    assert one.get(path).status == 200


# Who is limited without a key


def seen(person: Person, path: str, client: str, agent: str = "Mozilla/5.0") -> int:
    return person.front.get(f"{person.prefix}{path}", client=client, headers={"user-agent": agent}).status


def test_an_address_that_changes_its_browser_at_each_view_has_an_end(person: Person) -> None:
    """A wider window than a browser's, which many people share; and the same in each spelling of the address."""
    wiring.accounts().set_site_limits(person.created.account.id, person.created.site.id, "count-address:6/60")
    same, stranger = address(), address()
    statuses = [seen(person, "/count?p=/x", same, f"browser {number}") for number in range(8)]
    assert statuses == [200] * 6 + [429] * 2
    assert seen(person, "/count?p=/x", f"::ffff:{same}", "another") == 429
    assert seen(person, "/count?p=/x", stranger, "browser 0") == 200


def test_one_browser_that_goes_on_asking_uses_up_no_window_but_its_own(person: Person) -> None:
    wiring.accounts().set_site_limits(person.created.account.id, person.created.site.id, "count-address:6/60")
    same = address()
    assert [seen(person, "/count?p=/x", same, "one") for _ in range(10)] == [200] * 4 + [429] * 6
    assert [seen(person, "/count?p=/x", same, "two") for _ in range(3)] == [200] * 2 + [429]


@pytest.mark.parametrize(
    ("limits", "path"),
    [
        ("count:2/60", "/count?p=/x"),
        ("count-address:2/60", "/count?p=/x"),
        ("counter:2/60", "/counter/TOTAL.json"),
        ("api:2/60", "/api/v0/me"),
        ("pages:2/60", "/api.json"),
        ("pages:2/60", "/api2.html"),
        ("assets:2/60", "/count.js"),
        ("assets:2/60", "/count.v3.js"),
    ],
)
def test_a_network_of_ipv6_is_one_caller_on_every_path(
    person: Person, monkeypatch: pytest.MonkeyPatch, limits: str, path: str
) -> None:
    """The addresses of a /64 are one subscriber's, who has 2^64 of them."""
    monkeypatch.setattr(wiring, "plans", lambda: plans(limits))
    number = int(address().rpartition(".")[2])
    network = f"2001:db8:{id(person) & 0xFFFF:x}:{number:x}"
    statuses = [seen(person, path, f"{network}::{host}") for host in ("1", "2:3", "ffff")]
    assert [status == 429 for status in statuses] == [False, False, True]
    assert seen(person, path, f"2001:db8:{id(person) & 0xFFFF:x}:1{number:x}::1") != 429


@pytest.mark.parametrize(("method", "path"), sorted(PUBLIC), ids=str)
def test_every_path_that_asks_for_no_key_is_limited_by_address(
    front: FrontDoor, clock: Clock, monkeypatch: pytest.MonkeyPatch, method: str, path: str
) -> None:
    """And what refuses is kept by nobody."""
    assert clock
    monkeypatch.setattr(wiring, "plans", lambda: plans(",".join(f"{name}:2/60" for name in PLANS)))
    same, path = address(), re.sub(r"{\w+\+?}", "1", path)
    replies = [front.request(method, path, client=same) for _ in range(3)]
    assert [reply.status == 429 for reply in replies] == [False, False, True]
    assert left(replies[2]) == (2, 0, 60)
    assert (replies[2].headers["retry-after"], replies[2].headers["cache-control"]) == ("60", "no-store,no-cache")


def test_what_those_between_may_keep_says_nothing_of_somebodys_window(person: Person) -> None:
    for path in ("/", "/count.js", "/api.json", "/api2.html"):
        reply = person.front.get(f"{person.prefix}{path}", client=address())
        assert (reply.status, [name for name in reply.headers if name.startswith("x-rate")]) == (200, [])


# Who says how many


def test_a_keys_changed_plan_is_honoured_within_half_a_minute(person: Person, clock: Clock) -> None:
    """Also by a window that is open: larger, it has room again; smaller, it is used up."""
    held = key(person, "statistics:3/3600")
    assert held.served() == 3
    elsewhere().set_key_limits(held.account, held.id, "statistics:5/3600")
    clock.now += 29.9
    assert held.get().status == 429
    clock.now += 0.1
    assert [left(held.get())[:2] for _ in range(2)] == [(5, 1), (5, 0)]
    assert held.get().status == 429
    elsewhere().set_key_limits(held.account, held.id, "statistics:4/3600")
    clock.now += 30
    assert left(held.get()) == (4, 0, 3540)
    elsewhere().set_key_limits(held.account, held.id, "statistics:7/60")
    clock.now += 30
    assert held.served() == 7
    elsewhere().set_key_limits(held.account, held.id, "statistics:none")
    clock.now += 30
    assert "x-rate-limit-limit" not in held.get().headers
    elsewhere().set_key_limits(held.account, held.id, "")
    clock.now += 30
    assert left(held.get())[:2] == (1000, 994)


def test_a_sites_changed_plan_is_honoured_within_half_a_minute(person: Person, clock: Clock) -> None:
    """By the keys of its domain, by its API and by its pixel."""
    held, created = key(person), person.created
    same = address()

    def me() -> Reply:
        return held.get(f"{person.prefix}/api/v0/me", client=same)

    def pixel() -> Reply:
        return person.front.get(f"{person.prefix}/count?p=/x", client=same, headers={"user-agent": "one"})

    assert [left(ask())[0] for ask in (held.get, me, pixel)] == [1000, 4, 4]
    elsewhere().set_site_limits(created.account.id, created.site.id, "statistics:3/3600,api:6/1,count:2/1")
    clock.now += 29.9
    assert [left(ask())[0] for ask in (held.get, me, pixel)] == [1000, 4, 4]
    clock.now += 0.1
    assert [left(ask())[:2] for ask in (held.get, me, pixel)] == [(3, 0), (6, 4), (2, 0)]
    assert [ask().status for ask in (held.get, pixel)] == [429, 429]
    elsewhere().set_site_limits(created.account.id, created.site.id, "off")
    clock.now += 30
    for ask in (held.get, me, pixel):
        assert not [name for name in ask().headers if name.startswith("x-rate")]


def test_one_sites_plan_is_nothing_to_another(front: FrontDoor, person: Person) -> None:
    """The same visitor, and another account's keys, at a site that has the deployment's own."""
    stranger, same = settle(front), address()
    wiring.accounts().set_site_limits(person.created.account.id, person.created.site.id, "count:9/1,statistics:9/1")

    def pixel(at: Person) -> int:
        return left(front.get(f"{at.prefix}/count?p=/x", client=same))[0]

    assert [pixel(person), pixel(stranger)] == [9, 4]
    assert left(key(stranger).get())[0] == 1000
    created = person.created
    another, _ = wiring.domains().create(created.account.id, "another.example", READ, created.user.id, "x")
    _, token = wiring.accounts().issue_key(created.account.id, created.user.id, "x", READ, domain=another.scope.domain)
    assert left(Held(front, created.account.id, "", token).get())[0] == 1000


def test_a_key_changes_what_the_site_left_of_the_deployments_plan(
    person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    created = person.created
    held, plain, free = key(person, "statistics:8/60"), key(person), key(person, "off")
    wiring.accounts().set_site_limits(created.account.id, created.site.id, "statistics:6/60")
    assert [left(one.get())[0] for one in (held, plain)] == [8, 6]
    assert "x-rate-limit-limit" not in free.get().headers
    wiring.accounts().set_site_limits(created.account.id, created.site.id, "off")
    assert left(held.get())[0] == 8
    assert "x-rate-limit-limit" not in plain.get().headers
    monkeypatch.setattr(wiring, "plans", lambda: plans("off"))
    assert "x-rate-limit-limit" not in held.get().headers
    monkeypatch.setattr(wiring, "plans", lambda: plans("statistics:none"))
    assert left(held.get())[0] == 8


def test_a_plan_that_cannot_be_read_changes_nothing_and_is_logged(
    person: Person, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    held = key(person)
    known = replace(wiring.accounts().key(held.token), limits="statistics:lots")
    monkeypatch.setattr(wiring.accounts(), "key", lambda _: known)
    assert left(held.get())[0] == 1000
    assert '"Errors":[1.0]' in capsys.readouterr().out


def test_who_cannot_be_asked_for_the_key_charges_the_address_and_is_asked_once(
    person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def unavailable(token: str) -> None:
        asked.append(token)
        raise Unavailable("documents")

    held, same = key(person, "statistics:7/60"), address()
    assert left(held.get(client=same))[:2] == (7, 6)
    monkeypatch.setattr(wiring.accounts(), "key", unavailable)
    replies = [held.get(GROUPS, client=same) for _ in range(2)]
    assert [(reply.status, left(reply)[:2]) for reply in replies] == [(503, (1000, 999)), (503, (1000, 998))]
    assert asked == [held.token] * 2


# What is said


EVERY = [
    (200, "GET", GROUPS, {}),
    (400, "GET", f"{GROUPS}?limit=x", {}),
    (401, "GET", GROUPS, {"authorization": ""}),
    (401, "GET", GROUPS, {"authorization": "Bearer None"}),
    (401, "GET", GROUPS, {"authorization": f"Bearer {'x' * 50}"}),
    (403, "POST", GROUPS, {}),
    (404, "GET", f"{GROUPS}/absent", {}),
    (404, "GET", NOWHERE, {}),
    (404, "GET", "/v2/api", {}),
    (404, "PUT", "/v2/api/statistic-groups", {}),
    (405, "PATCH", GROUPS, {}),
]


@pytest.mark.parametrize(("status", "method", "path", "headers"), EVERY)
def test_every_answer_of_the_statistics_api_says_what_is_left(
    person: Person, status: int, method: str, path: str, headers: dict[str, str]
) -> None:
    reply = key(person).ask(method, path, headers=headers)
    assert (reply.status, left(reply)) == (status, (1000, 999, 3600))
    assert "retry-after" not in reply.headers


def test_a_body_that_is_too_large_is_charged_as_well(person: Person) -> None:
    reply = key(person, permissions=Permission.STATISTICS_WRITE).ask("POST", GROUPS, body=b"x" * 4_500_001)
    assert (reply.status, left(reply)) == (413, (1000, 999, 3600))


def test_an_error_of_ours_says_what_is_left_too(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing() -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(wiring, "statistics", failing)
    reply = key(person).get(GROUPS)
    assert (reply.status, left(reply)) == (500, (1000, 999, 3600))


def test_seconds_to_wait_are_enough(person: Person, clock: Clock) -> None:
    """Who waits as long as the answer says is served."""
    held = key(person, "statistics:1/60")
    held.get()
    clock.now += 59.6
    refused = held.get()
    assert (refused.status, refused.headers["retry-after"]) == (429, "1")
    clock.now += int(refused.headers["retry-after"])
    assert held.get().status == 404


def test_exports_have_a_window_besides(person: Person) -> None:
    """Charged by those that are begun alone, not by what is refused; the headers speak of what every request has."""
    held = key(person, "statistics-export:2/3600,statistics:9/60")

    def export(method: str = "POST", body: bytes = b"{}") -> Reply:
        return held.ask(method, "/v1/api/exports", body=body if method == "POST" else b"")

    assert [left(export("PUT"))[:2], left(export("GET"))[:2]] == [(9, 8), (9, 7)]
    assert [export(body=body).status for body in (b'{"group": "Missing"}', b"no")] == [404, 400]
    assert [left(export())[:2] for _ in range(2)] == [(9, 4), (9, 3)]
    third = export()
    assert (third.status, left(third)) == (429, (2, 0, 3600))
    assert third.json()["error"]["message"] == "2 exports are used up; try again in 3600 seconds"
    assert left(export("GET"))[:2] == (9, 1)


def test_the_pixels_window_can_be_taken_away(person: Person, front: FrontDoor) -> None:
    wiring.accounts().set_site_limits(
        person.created.account.id, person.created.site.id, "count:none,count-address:none"
    )
    same = address()
    replies = [front.get(f"{person.prefix}/count?p=/x", client=same) for _ in range(6)]
    assert {reply.status for reply in replies} == {200}
    assert "x-rate-limit-limit" not in replies[0].headers


def test_limits_that_are_off_stay_off_whatever_a_site_says(
    person: Person, front: FrontDoor, monkeypatch: pytest.MonkeyPatch
) -> None:
    wiring.accounts().set_site_limits(person.created.account.id, person.created.site.id, "count:1/60,api:1/60")
    monkeypatch.setattr(wiring, "plans", lambda: plans("off"))
    same = address()
    for path in (f"{person.prefix}/count?p=/x", f"{person.prefix}/api/v0/me"):
        replies = [front.get(path, client=same, headers={"authorization": f"Bearer {person.token}"}) for _ in "ab"]
        assert {reply.status for reply in replies} == {200}
        assert not [name for reply in replies for name in reply.headers if name.startswith("x-rate")]


def test_a_pixel_whose_site_nobody_can_look_up_is_limited_all_the_same(
    person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unavailable(*_: object) -> None:
        raise Unavailable("documents")

    monkeypatch.setattr(wiring.accounts(), "public_site", unavailable)
    same = address()
    statuses = [person.front.get(f"{person.prefix}/count?p=/x", client=same).status for _ in range(5)]
    assert statuses == [503] * 4 + [429]
