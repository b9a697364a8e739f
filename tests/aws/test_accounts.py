"""Who is who, in the table: nothing is given twice, and little is asked twice."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

import pytest
from botocore.client import BaseClient
from botocore.exceptions import ConnectTimeoutError

from chalicelib.aws.accounts import Accounts, Created
from chalicelib.core import keys, passwords
from chalicelib.core.accounts import EVERYTHING, Permission
from chalicelib.core.errors import Invalid, NotFound, Unauthenticated, Unavailable
from chalicelib.settings import settings
from tests.conftest import World
from tests.core.world import AFTER, BEFORE, THROTTLE, Faults, struck


class Clock:
    now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(world: World, clock: Clock) -> Accounts:
    assert world
    return Accounts(settings(), clock)


def made(store: Accounts, name: str, **more: Any) -> Created:
    return store.create_account(
        name=name,
        username=f"{name}-user",
        email=f"{name}@example.com",
        password="correct horse",
        domain=f"{name}.example",
        **more,
    )


@contextmanager
def calls(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The operations that are sent to AWS meanwhile."""
    sent: list[str] = []
    original: Callable[..., Any] = BaseClient._make_api_call  # type: ignore[attr-defined]

    def listening(self: BaseClient, operation: str, arguments: dict[str, Any]) -> Any:
        sent.append(operation)
        return original(self, operation, arguments)

    with monkeypatch.context() as patch:
        patch.setattr(BaseClient, "_make_api_call", listening)
        yield sent


def test_an_account_comes_with_a_user_a_site_and_a_key(store: Accounts) -> None:
    created = made(store, "complete", code="Complete", cname="Complete.Example.COM")
    roster = store.roster(created.account.id)
    assert roster.account == created.account
    assert roster.users == (created.user,)
    assert [(domain.site, domain.statistics) for domain in roster.domains] == [(created.site, created.statistics)]
    assert (created.site.code, created.site.cname) == ("complete", "complete.example.com")
    assert store.key(created.token) == created.key
    assert (created.key.permissions, created.key.domain) == (EVERYTHING, created.statistics.scope.domain)
    assert (created.statistics.name, created.statistics.scope.entity) == ("complete.example", created.site.domain)
    assert passwords.fits("correct horse", roster.users[0].password)
    assert not passwords.fits("correct cow", roster.users[0].password)


def test_the_token_and_the_password_are_nowhere_in_the_table(store: Accounts, world: World) -> None:
    created = made(store, "hidden")
    text = repr(world.tables.items(settings().documents_table))
    assert created.key.id in text
    assert created.token not in text
    assert "correct horse" not in text


@pytest.mark.parametrize(
    ("again", "field"),
    [
        ({"name": "else", "username": "Taken-User"}, "username"),
        ({"name": "else", "email": "TAKEN@example.com"}, "email"),
        ({"name": "else", "code": "taken"}, "code"),
        ({"name": "else", "cname": "taken.example.com"}, "cname"),
    ],
)
def test_what_is_taken_is_refused_and_nothing_is_made(store: Accounts, again: dict[str, str], field: str) -> None:
    with suppress(Invalid):  # made by an earlier case
        made(store, "taken", code="taken", cname="taken.example.com")
    before = sum(1 for _ in store.all_sites())
    given = {"username": f"u{field}", "email": f"{field}@e.example", "password": "p", "domain": "d", **again}
    with pytest.raises(Invalid) as refused:
        store.create_account(**given)
    assert refused.value.fields == {field: ["already exists"]}
    assert sum(1 for _ in store.all_sites()) == before


def test_site_ids_are_small_and_never_the_same(store: Accounts) -> None:
    created = made(store, "many")
    ids = [created.site.id, *(store.create_site(created.account.id, f"d{n}").id for n in range(3))]
    assert len(set(ids)) == 4
    assert max(ids) < 10_000
    assert [site.id for site in store.roster(created.account.id).sites()] == ids


def test_a_site_is_meant_by_code_or_host_or_as_the_first_one(store: Accounts) -> None:
    created = made(store, "chosen", cname="chosen.example.com")
    second = store.create_site(created.account.id, "second", code="second", cname="second.example.com")
    roster = store.roster(created.account.id)
    assert roster.site("second", "chosen.example.com") == second
    assert roster.site(None, "second.example.com") == second
    assert roster.site(None, "elsewhere.example.com") == created.site
    assert roster.site("nobodys", "second.example.com") is None


def test_the_public_finds_sites_by_code_and_host_only_if_there_is_a_choice(store: Accounts) -> None:
    created = made(store, "public", code="public", cname="public.example.com")
    made(store, "other")
    assert store.public_site("public", "") == created.site
    assert store.public_site("PUBLIC", "") == created.site
    assert store.public_site(None, "public.example.com") == created.site
    assert store.public_site(None, "unknown.example.com") is None
    assert store.public_site("unknown", "public.example.com") is None


def test_a_key_is_read_once_in_half_a_minute_and_so_is_a_stranger(
    store: Accounts, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    created = made(store, "cached")
    with calls(monkeypatch) as sent:
        for _ in range(3):
            store.key(created.token)
            store.roster(created.account.id)
        assert sent == ["GetItem", "Query"]
    with calls(monkeypatch) as sent:
        for _ in range(3):
            with pytest.raises(Unauthenticated):
                store.key("b" * 50)
        assert sent == ["GetItem"]
    clock.now += 30
    with calls(monkeypatch) as sent:
        store.key(created.token)
        assert sent == ["GetItem"]


def test_a_revoked_key_is_unknown_at_once_here_and_in_half_a_minute_elsewhere(store: Accounts, clock: Clock) -> None:
    created = made(store, "revoked")
    elsewhere = Accounts(settings(), clock)
    elsewhere.key(created.token)
    store.revoke_key(created.account.id, created.key.id)
    with pytest.raises(Unauthenticated, match="unknown token"):
        store.key(created.token)
    clock.now += 30
    with pytest.raises(Unauthenticated, match="unknown token"):
        elsewhere.key(created.token)


def test_an_account_revokes_only_its_own_keys(store: Accounts) -> None:
    one, other = made(store, "one"), made(store, "another")
    with pytest.raises(NotFound):
        store.revoke_key(other.account.id, one.key.id)
    assert store.key(one.token) == one.key


def test_the_last_use_is_written_once_a_day(store: Accounts, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    created = made(store, "used")
    with calls(monkeypatch) as sent:
        for _ in range(3):
            store.note_use(store.key(created.token))
        assert sent == ["GetItem", "UpdateItem"]
    assert store.key(created.token).last_used == int(clock.now)
    clock.now += 86_400
    with calls(monkeypatch) as sent:
        store.note_use(store.key(created.token))
        assert sent == ["GetItem", "UpdateItem"]
    assert Accounts(settings(), clock).key(created.token).last_used == int(clock.now)


def test_an_earlier_hit_moves_the_first_one_to_twelve_hours_before_it(
    store: Accounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = made(store, "earlier", code="earlier").site
    store.note_hits(site, 1_579_358_520)
    moved = store.public_site("earlier", "")
    assert moved is not None
    assert (moved.first_hit_at, moved.received_data) == (1_579_315_320, True)
    with calls(monkeypatch) as sent:
        store.note_hits(moved, 1_579_358_520)
        assert sent == []
    store.note_hits(site, 1_600_000_000)  # by a process that has not heard of it yet
    assert store.public_site("earlier", "") == moved


def test_a_first_hit_of_today_is_noted_once(store: Accounts, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    site = made(store, "fresh", code="fresh").site
    store.note_hits(site, int(clock.now))
    noted = store.public_site("fresh", "")
    assert noted is not None
    assert (noted.first_hit_at, noted.received_data) == (site.first_hit_at, True)
    with calls(monkeypatch) as sent:
        store.note_hits(noted, int(clock.now))
        assert sent == []


def test_a_table_that_does_not_answer_is_unavailable_and_says_nothing_of_the_key(
    store: Accounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dead(*_: object) -> None:
        raise ConnectTimeoutError(endpoint_url="https://dynamodb")

    token = keys.token()
    with monkeypatch.context() as patch:
        patch.setattr(BaseClient, "_make_api_call", dead)
        with pytest.raises(Unavailable) as error:
            store.key(token)
    assert token not in repr(error.value)


def test_a_key_is_stored_as_it_was_issued(store: Accounts) -> None:
    """Whether it is for one site or for none, with a domain and limits of its own or without."""
    created = made(store, "limited")
    account, owner, domain = created.account.id, created.user.id, created.statistics.scope.domain
    one, token = store.issue_key(account, owner, "k", Permission.STATS, [created.site.id])
    none, other = store.issue_key(account, owner, "n", Permission.DOMAINS, [], domain=domain, limits="api2:9/60")
    assert [Accounts(settings()).key(found) for found in (token, other)] == [one, none]
    assert (one.sites, one.domain, one.limits) == ((created.site.id,), "", "")
    assert (none.sites, none.domain, none.limits) == ((), domain, "api2:9/60")
    assert not none.covers(created.site.id)


def test_a_key_from_before_there_were_domains_and_limits_has_neither(store: Accounts, world: World) -> None:
    created = made(store, "aged")
    key = {"pk": {"S": f"token#{keys.digest(created.token)}"}, "sk": {"S": "key"}}
    client = world.client("dynamodb")
    client.update_item(
        TableName=settings().documents_table,
        Key=key,
        UpdateExpression="REMOVE #domain, limits",
        ExpressionAttributeNames={"#domain": "domain"},
    )
    assert store.key(created.token) == replace(created.key, domain="", limits="")


@pytest.mark.usefixtures("moto_tables")
@pytest.mark.parametrize("kind", [BEFORE, AFTER, THROTTLE])
def test_what_is_made_is_made_once_though_an_answer_is_lost(store: Accounts, kind: int) -> None:
    """Where repeated calls are not recognised by DynamoDB itself."""
    with struck(Faults([(0, kind, False)])):
        created = made(store, f"once{kind}")
    with struck(Faults([(0, kind, False)])):
        key, token = store.issue_key(created.account.id, created.user.id, "k")
    assert [store.key(found) for found in (created.token, token)] == [created.key, key]
    assert {found.id for found in store.keys(created.account.id)} == {created.key.id, key.id}


def test_limits_of_keys_and_sites_are_changed_and_taken_back(store: Accounts) -> None:
    created = made(store, "adjusted", code="adjusted")
    other = made(store, "unadjusted").account.id
    account, key, site = created.account.id, created.key.id, created.site.id
    for limits in ("api:8/1,export:none", "off", ""):
        store.set_key_limits(account, key, limits)
        store.set_site_limits(account, site, limits)
        assert store.key(created.token) == replace(created.key, limits=limits)
        assert store.public_site("adjusted", "") == replace(created.site, limits=limits)
        assert next(store.roster(account).sites()).limits == limits
    with pytest.raises(NotFound):
        store.set_key_limits(other, key, "")
    with pytest.raises(NotFound):
        store.set_site_limits(other, site, "")
    with pytest.raises(Invalid, match="limits: not a limit: 'x'"):
        store.set_key_limits(account, key, "x")
    with pytest.raises(Invalid, match="limits: not a limit: 'x'"):
        store.set_site_limits(account, site, "x")


def test_the_operator_sees_every_account_once_and_its_keys_as_they_were_made(store: Accounts, clock: Clock) -> None:
    created = made(store, "seen")
    clock.now += 1
    second, _ = store.issue_key(created.account.id, created.user.id, "second")
    clock.now += 1
    third, _ = store.issue_key(created.account.id, created.user.id, "third", Permission.DOMAINS, [])
    assert store.keys(created.account.id) == [created.key, second, third]
    assert store.keys("nobody") == []
    assert store.all_accounts().count(created.account.id) == 1


def test_limits_that_cannot_be_read_are_refused(store: Accounts) -> None:
    created = made(store, "unreadable")
    with pytest.raises(Invalid, match="limits: not a limit: 'api:often'"):
        store.issue_key(created.account.id, created.user.id, "k", limits="api:often")


@pytest.mark.parametrize("name", ["", "a" * 256, "a" * 2000, "é" * 200])
def test_names_that_no_site_can_have_are_not_asked_for(
    store: Accounts, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """DynamoDB answers empty keys, and keys of more than a kilobyte, with an error: that would be one of ours."""
    with calls(monkeypatch) as sent:
        assert store.public_site(name, "") is None
    assert "GetItem" not in sent


@pytest.mark.parametrize("kind", [BEFORE, AFTER, THROTTLE])
def test_documents_that_do_not_answer_are_told_from_those_that_are_not_there(
    store: Accounts, world: World, kind: int
) -> None:
    """Broken connections, time limits and throttling alike; as soon as it is over, everything is there."""
    owner = made(store, f"silent{kind}")
    plan = [(0, kind, True)] * 3
    with struck(faults := Faults(plan, aws=world.tables)):
        with pytest.raises(Unavailable):
            store.key(owner.token)
        with pytest.raises(Unavailable):
            store.roster(owner.account.id)
        faults.enabled = False
        assert store.key(owner.token).account == store.roster(owner.account.id).account.id == owner.account.id
