"""`countless sites`: operators see, make and delete the sites of an account; mistakes are told in a line."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from click.testing import Result

from chalicelib import wiring
from chalicelib.aws.accounts import Created
from chalicelib.core.accounts import Site, Visibility
from chalicelib.pageviews import sites as rules
from tests import operating
from tests.conftest import World
from tests.operating import new_account, own_tables


@pytest.fixture(autouse=True)
def _deployment(world: World) -> Iterator[None]:
    """Tables of this test's own, without any account yet."""
    assert world
    with own_tables():
        yield


def run(*arguments: str, given: str = "") -> Result:
    """`countless sites` with these arguments."""
    return operating.run("sites", *arguments, given=given)


def error(result: Result) -> str:
    """The last line that a failed command says."""
    assert result.exit_code in (1, 2)
    assert result.stdout == ""
    return result.stderr.splitlines()[-1].removeprefix("Error: ")


def sites(made: Created) -> list[Site]:
    return list(wiring.accounts().current_roster(made.account.id).sites())


def test_a_site_that_was_made_is_listed_and_found() -> None:
    made = new_account("first")
    for arguments in (["--code", "Blog", "--pages", "https://www.blog.example/"], ["--host", "Shop.Example"]):
        result = run("create", *arguments)
        assert result.exit_code == 0, result.output
    first, blog, shop = sites(made)
    assert (blog.code, blog.cname, blog.link_domain) == ("blog", None, "https://www.blog.example")
    assert result.output == f"{shop.code}: made, with the id {shop.id}\n"
    assert wiring.accounts().public_site(None, "shop.example") == shop
    day = datetime.fromtimestamp(first.created_at, UTC).date().isoformat()
    head, *rows = (line.split() for line in run("list").output.splitlines())
    assert head == ["ID", "CODE", "HOST", "PARENT", "STATE", "SEEN", "BY", "MADE", "LIMITS"]
    assert rows == [
        [str(first.id), "first", "first.example", "-", "active", "private", day, "-"],
        [str(blog.id), "blog", "-", str(first.id), "active", "private", day, "-"],
        [str(shop.id), shop.code, "shop.example", str(first.id), "active", "private", day, "-"],
    ]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "--host: must be set"),
        (["--code", "www"], "--code: cannot be ‘www’"),  # noqa: RUF001 - the contract's quotes
        (["--code", "taken"], "--code: already exists"),
        (
            ["--host", "x", "--pages", "ftp://a"],
            "--host: must be longer than 4 characters; --pages: must be a valid url",
        ),
    ],
)
def test_a_site_that_cannot_be_is_wrong_usage(arguments: list[str], said: str) -> None:
    made = new_account("taken")
    result = run("create", *arguments)
    assert (result.exit_code, error(result)) == (2, said)
    assert sites(made) == [made.site]


def test_a_deleted_site_is_gone_once_its_operator_is_sure() -> None:
    """It stays in the list as long as it has data; the next one becomes the parent."""
    made = new_account("old")
    account = made.account.id
    one, other = (wiring.accounts().create_site(account, code, code=code) for code in ("one", "other"))
    refused = run("delete", "OLD", given="n\n")
    assert refused.exit_code == 1
    assert (
        "The site one becomes the parent of the others. Delete the site old (old.example) and all that it has counted?"
        in refused.output
    )
    assert sites(made) == [made.site, one, other]
    result = run("delete", "OLD", given="y\n")
    assert (result.exit_code, result.output.splitlines()[-1]) == (0, "old: deleted")
    assert sites(made) == [one, other]
    rows = [line.split() for line in run("list").output.splitlines()[1:]]
    assert [(row[1], row[3], row[4]) for row in rows] == [
        ("old", "-", "deleted"),
        ("one", "-", "active"),
        ("other", str(one.id), "active"),
    ]
    assert [found.id for found in wiring.accounts().deleted_sites()] == [made.site.id]
    assert run("delete", "one", "--yes").output == "one: deleted\n"
    assert error(run("delete", "one", "--yes")) == "The account has no site one: other"
    assert wiring.domains().get(account, made.statistics.scope.domain) == made.statistics


def test_settings_are_shown_and_changed_by_name() -> None:
    """As the API has them; what is not named stays, and the secret is not shown."""
    made = new_account("shop")
    shown = dict(line.split(maxsplit=1) for line in run("set", "shop").output.splitlines()[1:])
    assert (shown["public"], shown["allow_counter"], shown["cname"], shown["secret"]) == (
        "private",
        "false",
        "shop.example",
        "-",
    )
    changes = ["public=secret", "secret=opensesame1", "allow_counter=on", "data_retention=60", "ignore_ips=192.0.2.1"]
    result = run("set", str(made.site.id), *changes, "link_domain=https://www.shop.example")
    assert result.exit_code == 0, result.output
    assert "opensesame1" not in result.output
    [site] = sites(made)
    assert (site.visibility, site.secret, site.allow_counter) == (Visibility.SECRET, "opensesame1", True)
    assert (site.data_retention, site.ignore_ips) == (60, ("192.0.2.1",))
    assert (site.link_domain, site.cname) == ("https://www.shop.example", "shop.example")
    assert run("set", "SHOP", "ignore_ips=", "cname=", "public=private").exit_code == 0
    [site] = sites(made)
    assert (site.ignore_ips, site.cname, site.allow_counter) == ((), None, True)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (["public"], "'public' is no NAME=VALUE."),
        (["=x"], "'=x' is no NAME=VALUE."),
        (["public=secret", "public=public"], "public is given twice."),
        (["colour=red"], "There is no setting colour; there are public, secret, allow_counter"),
        (["code=new"], "There is no setting code; there are"),
        (["allow_counter=maybe"], "allow_counter: must be true or false"),
        (["data_retention=1"], "data_retention: must be 31 or higher"),
        (["data_retention=long"], "data_retention: must be a whole number"),
        (["public=secret"], "secret: must be set"),
        (["ignore_ips=nobody"], "ignore_ips: must be a valid IPv4 or IPv6 address"),
        (["cname=taken.example"], "--host: already exists"),
    ],
)
def test_a_setting_that_cannot_be_is_named_and_changes_nothing(changes: list[str], said: str) -> None:
    made, _ = new_account("shop"), new_account("taken")
    result = run("set", "shop", *changes, "--account", "shop")
    assert (result.exit_code, error(result)[: len(said)]) == (2, said)
    assert sites(made) == [made.site]


def test_every_setting_of_the_api_is_in_the_help() -> None:
    """It writes them down a second time."""
    said = run("set", "--help").output
    assert [
        name for name in [*rules.SETTINGS, "cname", "link_domain"] if not re.search(rf"^ +{name} ", said, re.MULTILINE)
    ] == []


def test_a_code_of_another_account_is_none() -> None:
    made, other = new_account("mine"), new_account("theirs")
    account = ["--account", made.account.id]
    for words in (["delete", "theirs", "--yes"], ["limits", "theirs", ""]):
        assert error(run(*words, *account)) == "The account has no site theirs: mine"
    assert sites(other) == [other.site]
    assert "theirs" not in run("list", *account).output
    assert error(run("list")).startswith("There are several accounts; choose with --account: ")
