"""`countless keys` and `countless sites`: whoever lost a key gets another, and mistakes are told in a line."""

import re
import secrets
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from botocore.client import BaseClient
from botocore.exceptions import ConnectTimeoutError
from click.testing import Result

from chalicelib import wiring
from chalicelib.core import keys as core
from chalicelib.core.accounts import STATISTICS, Permission
from chalicelib.core.errors import Unauthenticated
from chalicelib.core.limits import LIMITED, PLANS
from infrastructure import keys as operated
from infrastructure.local import demo
from infrastructure.local.credentials import Credentials
from tests.conftest import World
from tests.operating import new_account, own_tables, run


@pytest.fixture(autouse=True)
def _deployment(world: World) -> Iterator[None]:
    """Tables of this test's own, without any account yet."""
    assert world
    with own_tables():
        yield


def error(result: Result) -> str:
    """The only line that a failed command says of what is wrong."""
    assert result.exit_code == 1
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    return line.removeprefix("Error: ")


def test_who_lost_a_key_issues_another_and_the_old_one_works_on_until_it_is_revoked() -> None:
    made = new_account("shop")
    scope = made.statistics.scope
    facet, lost = wiring.domains().create(scope.account, "figures", STATISTICS, made.user.id, "first")
    result = run("keys", "issue", "--domain", "figures")
    assert result.exit_code == 0
    token = result.stdout.strip()
    key, old = wiring.accounts().key(token), wiring.accounts().key(lost)
    assert (key.domain, key.name, key.owner) == (facet.scope.domain, "figures", made.user.id)
    assert (key.permissions, key.sites) == (Permission.STATISTICS_READ | Permission.STATISTICS_WRITE, ())
    assert wiring.domains().get(scope.account, token) == facet
    assert run("keys", "revoke", old.id).output == f"{old.id}: revoked\n"
    with pytest.raises(Unauthenticated):
        wiring.accounts().key(lost)
    assert wiring.accounts().key(token) == key


def test_a_key_is_as_it_was_asked_for() -> None:
    made = new_account("precise")
    wanted = ["--permission", "statistics-read", "--permission", "count", "--limits", "api:9/1", "--name", "both"]
    key = wiring.accounts().key(run("keys", "issue", "--domain", "precise.example", *wanted).stdout.strip())
    assert (key.name, key.limits, key.domain) == ("both", "api:9/1", made.statistics.scope.domain)
    assert (key.permissions, key.sites) == (Permission.STATISTICS_READ | Permission.COUNT, (core.ALL_SITES,))
    other = wiring.accounts().key(run("keys", "issue", "--permission", "stats").stdout.strip())
    assert (other.permissions, other.domain, other.sites) == (Permission.STATS, "", (core.ALL_SITES,))


def test_every_permission_may_be_asked_for() -> None:
    """The command writes their names down a second time."""
    assert list(operated.PERMISSIONS) == list(core.PERMISSIONS)


def test_the_list_says_what_every_key_is_for_and_no_token() -> None:
    made = new_account("listed")
    account, owner = made.account.id, made.user.id
    store = wiring.accounts()
    narrow, token = store.issue_key(account, owner, "narrow", Permission.STATS, [made.site.id], limits="api:9/1")
    facet, lost = wiring.domains().create(account, "brief", Permission.STATISTICS_READ, owner, "reader")
    wiring.domains().delete(facet.scope)
    store.revoke_key(account, narrow.id)
    result = run("keys", "list")
    head, *lines = (line.split("  ") for line in result.stdout.splitlines())
    rows = [[cell.strip() for cell in line if cell.strip()] for line in lines]
    day = datetime.fromtimestamp(made.key.created, UTC).date().isoformat()
    everything = " ".join(operated.PERMISSIONS)
    assert head[0].strip() == "ID"
    assert sorted(rows) == sorted(
        [
            [made.key.id, "listed", day, "never", "listed.example", "all", "-", everything],
            [narrow.id, "narrow", day, "revoked", "-", "listed", "api:9/1", "stats"],
            [store.key(lost).id, "reader", day, "never", "(deleted)", "-", "-", "statistics-read"],
        ]
    )
    assert all(secret not in result.output for secret in (token, lost, made.token))


def test_limits_of_keys_and_sites_are_changed_and_taken_back() -> None:
    made = new_account("limited")
    for text, said in (("api:9/1", "api:9/1"), ("", "the limits of the deployment")):
        assert run("keys", "limits", made.key.id, text).output == f"{made.key.id}: {said}\n"
        assert run("sites", "limits", "LIMITED", text).output == f"limited: {said}\n"
        assert wiring.accounts().key(made.token).limits == text
        assert [site.limits for site in wiring.accounts().roster(made.account.id).sites()] == [text]


def test_a_key_a_domain_and_an_account_may_be_named_by_name_or_id() -> None:
    """Where several have a name, their ids are told."""
    made, other = new_account("mine"), new_account("theirs")
    account = ["--account", "MINE"]
    issued = run("keys", "issue", "--domain", made.statistics.scope.domain, "--name", "one", *account).stdout.strip()
    key = wiring.accounts().key(issued)
    assert key.domain == made.statistics.scope.domain
    assert run("keys", "limits", "one", "api:9/1", *account).output == f"{key.id}: api:9/1\n"
    assert run("keys", "revoke", "one", *account).output == f"{key.id}: revoked\n"
    again = [wiring.accounts().issue_key(made.account.id, made.user.id, "one")[0].id for _ in range(2)]
    said = error(run("keys", "revoke", "one", *account))
    assert said == f"Several keys have the name one; choose by id: {', '.join(sorted(again))}"
    assert run("keys", "revoke", again[0], *account).exit_code == 0
    assert run("keys", "revoke", "one", *account).output == f"{again[1]}: revoked\n"
    assert error(run("keys", "revoke", "theirs", *account)) == "The account has no key theirs."
    assert wiring.accounts().key(other.token) == other.key


def test_a_key_that_was_revoked_already_is_said_to_be_and_has_no_limits_to_change() -> None:
    made = new_account("ended")
    key, _ = wiring.accounts().issue_key(made.account.id, made.user.id, "old", limits="api:9/1")
    assert run("keys", "revoke", key.id).output == f"{key.id}: revoked\n"
    again = run("keys", "revoke", key.id)
    assert (again.exit_code, again.output) == (0, f"{key.id}: was revoked already\n")
    said = error(run("keys", "limits", key.id, "api:2/2"))
    assert said == f"{key.id} was revoked already: nothing can be requested with it."
    [found] = [found for found in wiring.accounts().keys(made.account.id) if found.id == key.id]
    assert (found.limits, found.revoked) == ("api:9/1", True)


@pytest.mark.parametrize("group", ["keys", "sites"])
def test_the_help_for_limits_says_which_there_are_and_that_a_text_replaces_the_one_before(group: str) -> None:
    said = run(group, "limits", "--help").output
    assert "TEXT replaces all that was set" in " ".join(said.split())
    assert "NAME:REQUESTS/SECONDS" in said
    for name, what in LIMITED.items():
        plan = f"{PLANS[name].requests}/{PLANS[name].seconds}"
        assert re.search(rf"^ *{name} +{plan} +{re.escape(what)}$", said, re.MULTILINE)


@pytest.mark.parametrize(
    "arguments",
    [
        ("keys", "limits", "KEY", "often"),
        ("sites", "limits", "strict", "often"),
        ("keys", "issue", "--domain", "strict.example", "--limits", "often"),
        ("keys", "issue"),
        ("keys", "issue", "--permission", "statistics-read"),
        ("keys", "issue", "--permission", "everything"),
    ],
)
def test_what_makes_no_sense_is_wrong_usage_and_changes_nothing(arguments: tuple[str, ...]) -> None:
    made = new_account("strict")
    before = wiring.accounts().keys(made.account.id)
    result = run(*[made.key.id if word == "KEY" else word for word in arguments])
    assert (result.exit_code, result.stdout) == (2, "")
    assert any(why in result.stderr for why in ("not a limit: 'often'", "--domain", "'everything' is not one of"))
    assert wiring.accounts().keys(made.account.id) == before


def test_the_account_is_the_only_one_or_the_one_that_is_named() -> None:
    assert error(run("keys", "list")) == "There is no account yet."
    one = new_account("one")
    assert one.key.id in run("keys", "list").stdout
    other = new_account("other")
    both = ", ".join(sorted([one.account.id, other.account.id]))
    assert error(run("keys", "list")) == f"There are several accounts; choose with --account: {both}"
    assert error(run("keys", "list", "--account", "nobody")) == "There is no account nobody."
    listed = run("keys", "list", "--account", other.account.id).stdout
    assert other.key.id in listed
    assert one.key.id not in listed


def test_what_is_not_there_is_told_in_a_line_and_what_others_have_is_not() -> None:
    made, other = new_account("mine"), new_account("theirs")
    account = ["--account", made.account.id]
    for words in (["revoke", other.key.id], ["limits", other.key.id, ""]):
        assert error(run("keys", *words, *account)) == f"The account has no key {other.key.id}."
    assert error(run("sites", "limits", "theirs", "", *account)) == "The account has no site theirs: mine"
    assert (
        error(run("keys", "issue", "--domain", "theirs.example", *account))
        == "The account has no domain theirs.example with statistics: mine.example"
    )
    assert wiring.accounts().key(other.token) == other.key


def test_an_aws_that_does_not_answer_is_told_in_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def dead(*_: object) -> None:
        raise ConnectTimeoutError(endpoint_url="https://dynamodb")

    monkeypatch.setattr(BaseClient, "_make_api_call", dead)
    said = error(run("keys", "list"))
    assert said.startswith("AWS does not answer as it should: ")
    assert said.endswith("(for a local service, give --aws URL, or set COUNTLESS_AWS)")


# The demo account


def demonstrated(known: Credentials | None = None) -> Credentials:
    """The demo's credentials, as a start of the service gives them."""
    wiring.accounts.cache_clear()
    wiring.domains.cache_clear()
    return demo.ensure(wiring.accounts(), wiring.domains(), "http://127.0.0.1:8000", known, "127.0.0.1")


def test_the_demos_key_and_token_open_its_statistics_and_stay_the_same() -> None:
    first = demonstrated()
    facet = wiring.domains().get(first.account, first.domain_key)
    assert facet.name == demo.DOMAIN
    assert wiring.domains().get(first.account, first.api_token) == facet
    assert demonstrated(first) == first


@pytest.mark.parametrize("renamed", [False, True])
def test_a_demo_whose_credentials_are_lost_keeps_its_domain(*, renamed: bool) -> None:
    first = demonstrated()
    facet = wiring.domains().get(first.account, first.domain_key)
    if renamed:
        facet = wiring.domains().rename(facet.scope, secrets.token_hex(4))
    second = demonstrated()
    assert second.domain_key != first.domain_key
    assert [wiring.domains().get(first.account, key) for key in (second.domain_key, second.api_token)] == [facet] * 2


def test_a_demo_whose_domain_was_deleted_gets_another_and_keeps_its_site() -> None:
    first = demonstrated()
    wiring.domains().delete(wiring.domains().get(first.account, first.domain_key).scope)
    second = demonstrated(first)
    assert (second.account, second.site_id) == (first.account, first.site_id)
    facet = wiring.domains().get(second.account, second.domain_key)
    assert wiring.domains().list(second.account, 10).entries == (facet,)
    assert demonstrated(second) == second
    assert demonstrated().account == first.account
    assert wiring.domains().list(second.account, 10).entries == (facet,)
