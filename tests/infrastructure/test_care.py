"""`countless paths` and `countless erase`: what was counted is changed as asked, and mistakes are told in a line."""

from collections.abc import Iterator

import pytest

from chalicelib import wiring
from chalicelib.aws.accounts import Created
from chalicelib.core.accounts import Site
from chalicelib.core.audit import audit
from chalicelib.core.events import Hit
from chalicelib.core.messages import Message
from chalicelib.core.redactions import Done
from chalicelib.core.wishes import Act
from chalicelib.pageviews.visitors import Visitors
from infrastructure import care, seldom
from tests.conftest import World
from tests.operating import new_account, own_tables, run

PAGE = Hit("/", "", False, "", "o", "", None, None, "", "", 0, 0, 0, 0)
DAY = 86400


@pytest.fixture(autouse=True)
def _deployment(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Tables of this test's own; the service works on redactions while a command waits."""
    assert world
    monkeypatch.setattr(care, "sleep", lambda _: _work())
    with own_tables():
        yield


def _work() -> None:
    for site in wiring.accounts().all_sites():
        wiring.redactor().work(site.stream, lambda: 100.0)


def counted(made: Created, *hits: Hit) -> None:
    now = int(wiring.now())
    placed = tuple(hit._replace(at=now + hit.at) for hit in hits)
    number = wiring.reports().paths(made.site.stream, 0, 1000)[0]
    wiring.appender().append(made.site.stream, [Message(len(number) + 1, now, made.site.stream, False, placed)])


def listed(*more: str) -> list[str]:
    result = run("paths", "list", *more)
    assert result.exit_code == 0, result.output
    return [line.split()[1] for line in result.output.splitlines()[1:]]


def test_paths_are_listed_renamed_merged_and_deleted() -> None:
    """Each command says what it did."""
    made = new_account("shop")
    counted(made, PAGE, *(PAGE._replace(path=path, title="Shop") for path in ("/a", "/A", "/b", "/c", "signup")))
    assert listed() == ["/", "/a", "/b", "/c", "signup"]
    assert listed("--like", "SHOP") == ["/a", "/b", "/c", "signup"]
    assert run("paths", "rename", "/C", " /new/ ").output == "/c: is /new now\n"
    assert run("paths", "rename", "/new", "/b").output == "/new: is /b now; 1 event joined the path that had the name\n"
    assert run("paths", "merge", "/a", "--into", "/b", "--yes").output == "/b: 2 events joined it\n"
    assert listed() == ["/", "/b", "signup"]
    assert run("paths", "delete", "signup", "/b", "--yes").output == "5 events removed\n"
    assert listed() == ["/"]


def test_days_are_purged_of_some_paths_or_of_all() -> None:
    made = new_account("shop")
    counted(made, PAGE, *(PAGE._replace(path=path, at=-days * DAY) for days in (5, 6, 7) for path in ("/", "/b")))
    today = int(wiring.now()) // DAY

    def day(ago: int) -> str:
        from chalicelib.core.periods import day_text  # noqa: PLC0415

        return day_text(today - ago)

    assert run("paths", "purge", "/B", "--to", day(7), "--yes").output == "1 event removed\n"
    assert run("paths", "purge", "--from", day(6), "--to", day(6), "--yes").output == "2 events removed\n"
    assert run("paths", "purge", "--to", day(1), "--yes").output == "3 events removed\n"
    assert listed() == ["/"]


def test_paths_that_hardly_anybody_has_seen_are_purged_in_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each by its visits of all days; what is interrupted goes on where it stopped; made-up names are gone."""
    monkeypatch.setattr(seldom, "AT_ONCE", 3)
    made = new_account("shop")
    flood = [PAGE._replace(path=f"/flood/{number}", at=-number * DAY) for number in range(7)]
    counted(made, PAGE, PAGE, PAGE._replace(path="/b", at=-DAY), PAGE._replace(path="/b"), *flood)
    wiring.folder().sweep(made.site.stream)
    once = [care._carried_out]

    def broken_off(site: Site, act: Act, **what: object) -> Done:
        if not once:
            raise KeyboardInterrupt
        return once.pop()(site, act, **what)

    with monkeypatch.context() as patch:
        patch.setattr(care, "_carried_out", broken_off)
        assert run("paths", "purge", "--at-most-visits", "1", "--yes").exit_code == 1
    assert listed() == ["/", "/b", *(f"/flood/{number}" for number in range(3, 7))]
    result = run("paths", "purge", "--at-most-visits", "1", given="y\n")
    assert "Remove 4 of 6 paths of shop, those with at most 1 visit?" in result.output
    assert result.output.endswith("3 of 4 paths removed\n4 of 4 paths removed\n")
    assert listed() == ["/", "/b"]
    assert run("paths", "purge", "--at-most-visits", "1").output == "There is no such path.\n"
    assert not audit(wiring.log(), wiring.rollups(), made.site.stream).differences


def test_a_visitor_is_erased_by_browser_and_address_or_by_session() -> None:
    made = new_account("shop")
    visitors = Visitors(made.site, wiring.secrets().salts())
    by_browser, by_name = visitors.seen("Mozilla", "192.0.2.1"), visitors.named("customer 7")
    counted(
        made,
        PAGE,
        PAGE._replace(path="/a", session=by_browser[0]),
        PAGE._replace(path="/b", session=by_browser[0]),
        PAGE._replace(path="/c", session=by_name[0]),
    )
    assert run("erase", "--user-agent", "Mozilla", "--ip", "192.0.2.2", "--yes").output == "0 events removed\n"
    assert run("erase", "--user-agent", "Mozilla", "--ip", "::ffff:192.0.2.1", "--yes").output == "2 events removed\n"
    assert run("erase", "--session", "customer 7", "--yes").output == "1 event removed\n"
    assert listed() == ["/"]


def test_nothing_is_lost_before_somebody_says_yes() -> None:
    made = new_account("shop")
    counted(made, PAGE, PAGE._replace(path="/b"))
    for command in (
        ["paths", "delete", "/"],
        ["paths", "merge", "/", "--into", "/b"],
        ["paths", "purge", "--from", "2020-01-01"],
        ["erase", "--session", "x"],
    ):
        result = run(*command, given="n\n")
        assert result.exit_code == 1
        assert "[y/N]" in result.output
    assert listed() == ["/", "/b"]


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["paths", "rename", "/none", "/x"], 1, "The site shop has no path /none; see `countless paths list`."),
        (["paths", "rename", "/", "signup"], 2, "Pages and events cannot become one another"),
        (["paths", "rename", "/", "/\x00"], 2, "A path must not be empty, nor hold control characters."),
        (["paths", "rename", "/", " "], 2, "A path must not be empty"),
        (["paths", "rename", "/", "/" + "x" * 3000], 2, "A path has 2,048 characters at most."),
        (["paths", "merge", "/", "--into", "/"], 2, "/ cannot become part of itself."),
        (["paths", "merge", "/", "--into", "buy", "--yes"], 2, "Pages and events cannot become one another"),
        (["paths", "purge", "/"], 2, "Say which days"),
        (["paths", "purge", "--from", "2025-02-01", "--to", "2025-01-01"], 2, "--to comes before --from."),
        (["paths", "purge", "/", "--at-most-visits", "1"], 2, "--at-most-visits goes without paths and days."),
        (["paths", "purge", "--at-most-visits", "-1"], 2, "-1 is not in the range x>=0."),
        (["paths", "purge", "--from", "2025-13-01"], 2, "2025-13-01"),
        (["erase", "--ip", "192.0.2.1"], 2, "Say who it is: either --user-agent and --ip, or --session."),
        (["erase", "--session", "x", "--ip", "192.0.2.1"], 2, "Say who it is"),
        (["erase"], 2, "Say who it is"),
        (["paths", "list", "--site", "other"], 1, "The account has no site other: shop"),
    ],
)
def test_mistakes_are_told_in_a_line(arguments: list[str], status: int, said: str) -> None:
    made = new_account("shop")
    counted(made, PAGE, PAGE._replace(path="buy", event=True))
    result = run(*arguments)
    assert (result.exit_code, result.exception is None or isinstance(result.exception, SystemExit)) == (status, True)
    assert said in result.stderr


def test_a_change_that_takes_too_long_goes_on_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    made = new_account("shop")
    counted(made, PAGE, PAGE._replace(path="/b"))
    monkeypatch.setattr(care, "PATIENCE", -1)
    result = run("paths", "delete", "/b", "--yes")
    assert result.exit_code == 1
    assert "is still under way; it goes on by itself." in result.stderr
    _work()
    assert listed() == ["/"]
