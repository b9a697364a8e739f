"""`countless users` and `countless mail`: what an operator chooses is what users get; mistakes are told."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from click.testing import Result

from chalicelib import wiring
from chalicelib.aws import calls
from chalicelib.aws import users as store
from chalicelib.aws.accounts import Created
from chalicelib.core.accounts import EmailReports, Role, User
from chalicelib.core.errors import Unauthenticated, Uncertain
from chalicelib.core.mail import Mail, NotSent, Refused
from infrastructure import users
from tests.conftest import World
from tests.operating import new_account, own_tables, run

NOON = 1_773_144_000  # Tuesday, 10 March 2026, 12:00 UTC


@pytest.fixture(autouse=True)
def _deployment(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Tables of this test's own, on a Tuesday."""
    assert world
    monkeypatch.setattr(wiring, "now", lambda: NOON)
    wiring.forget()
    with own_tables():
        yield
    monkeypatch.undo()
    wiring.forget()


def user(made: Created) -> User:
    wiring.accounts().forget(made.account.id)
    (found,) = wiring.accounts().roster(made.account.id).users
    return found


def error(result: Result) -> str:
    """The last line that a failed command says."""
    assert result.exit_code in (1, 2)
    assert result.stdout == ""
    return result.stderr.splitlines()[-1].removeprefix("Error: ")


def test_the_names_of_the_choices_are_those_of_the_service() -> None:
    """The command writes them down a second time."""
    assert [name.upper() for name in users.OFTEN] == [reports.name for reports in EmailReports]


def test_what_is_chosen_is_what_the_user_gets_and_what_the_list_says() -> None:
    made = new_account("ann")
    assert "never    UTC" in run("users", "list").output
    chosen = run("users", "reports", "Ann", "weekly", "--zone", "Europe/Amsterdam", "--week-starts", "sunday")
    assert (chosen.exit_code, chosen.output) == (0, "ann: weekly, by the calendar of Europe/Amsterdam\n")
    found = user(made)
    assert (found.email_reports, found.timezone, found.sunday_starts_week, found.last_report_at) == (
        EmailReports.WEEKLY,
        "Europe/Amsterdam",
        True,
        NOON,
    )
    head, line = run("users", "list").output.splitlines()
    assert head.split("  ")[0] == "NAME"
    who = ["ann", str(made.user.id), "ann@e.example", "2026-03-10", "admin"]
    assert line.split() == [*who, "weekly", "Europe/Amsterdam", "sunday", "2026-03-08", "to", "2026-03-14"]
    assert run("users", "reports", "ann", "monthly").output == "ann: monthly, by the calendar of Europe/Amsterdam\n"
    assert user(made).sunday_starts_week
    assert run("users", "reports", "ann", "never").output == "ann: never\n"
    assert user(made).email_reports is EmailReports.NEVER


def names(made: Created) -> list[tuple[str, str]]:
    """The account's users, by name, and their addresses."""
    return [(user.name, user.email) for user in wiring.accounts().current_roster(made.account.id).users]


def test_the_roles_that_may_be_given_are_those_of_the_service() -> None:
    """But for the one that no account gives."""
    assert [name.upper() for name in users.ROLES] == [role.name for role in Role if role is not Role.SUPERUSER]


def test_users_are_added_given_another_address_and_removed() -> None:
    """By name, in any case, or by id; what they had is free then, and their keys are nobody's."""
    made = new_account("ann")
    added = run("users", "add", "Bob", "Bob@E.example", "--role", "settings")
    assert re.fullmatch(r"Bob: added, with the id \d+\n", added.output)
    bob = wiring.accounts().current_roster(made.account.id).users[-1]
    assert (bob.name, bob.email, bob.role, bob.password) == ("Bob", "Bob@e.example", Role.SETTINGS, "")
    assert run("users", "email", "bob", "bob@b.example").output == "Bob: bob@b.example\n"
    assert run("users", "email", str(bob.id), "BOB@b.example").output == "Bob: BOB@b.example\n"
    assert run("users", "add", "carl", "bob@e.example").exit_code == 0
    _, token = wiring.accounts().issue_key(made.account.id, bob.id, "Bob's")
    kept = run("users", "remove", "bob", given="n\n")
    assert "Remove the user Bob and revoke 1 key?" in kept.output
    assert len(names(made)) == 3
    assert run("users", "remove", "bob", "--yes").output == "Bob: removed\n"
    assert names(made) == [("ann", "ann@e.example"), ("carl", "bob@e.example")]
    with pytest.raises(Unauthenticated):
        wiring.accounts().key(token)
    assert wiring.accounts().key(made.token) == made.key
    assert run("users", "add", "bob", "bob@b.example").exit_code == 0


def test_a_password_is_asked_for_and_not_shown() -> None:
    made = new_account("ann")
    result = run("users", "add", "bob", "bob@e.example", "--password", given="s3cret\ns3cret\n")
    assert (result.exit_code, "s3cret" in result.output) == (0, False)
    assert wiring.accounts().current_roster(made.account.id).users[-1].password == "s3cret"  # tests do not hash


def test_what_a_user_cannot_be_is_told_and_changes_nothing() -> None:
    made = new_account("ann")
    other = new_account("eve")
    account = ["--account", "ann"]
    for words, said in (
        (["add", "EVE", "new@e.example"], "name already exists"),
        (["add", "bob", "EVE@e.example"], "email already exists"),
        (["add", "eve", "eve@e.example"], "name already exists; email already exists"),
        (["add", "bob", "bob"], "email must be an e-mail address such as ann@example.com"),
        (["add", " ", "bob@e.example"], "name must have 1 to 100 printable characters"),
        (["add", "b\x1b[2J", "bob@e.example"], "name must have 1 to 100 printable characters"),
        (["email", "ann", "eve@e.example"], "email already exists"),
        (["email", "eve", "x@e.example"], "The account has no user eve: ann"),
        (["remove", "ann", "--yes"], "Nobody else may administer the account: add somebody who may, first."),
    ):
        assert error(run("users", *words, *account)) == said
    assert names(made) == [("ann", "ann@e.example")]
    assert names(other) == [("eve", "eve@e.example")]
    assert wiring.accounts().key(made.token) == made.key


def test_an_account_has_no_more_users_than_its_requests_can_read(monkeypatch: pytest.MonkeyPatch) -> None:
    new_account("ann")
    monkeypatch.setattr(store, "MOST", 2)
    assert run("users", "add", "bob", "bob@e.example").exit_code == 0
    assert error(run("users", "add", "carl", "carl@e.example")) == "An account has 2 users at most."


@pytest.mark.parametrize("lost", [1, 2])
def test_a_change_whose_answer_was_lost_is_made_once(monkeypatch: pytest.MonkeyPatch, lost: int) -> None:
    """What its repetition finds in its way is its own work."""
    made = new_account("ann")
    transact = calls.transact

    def twice(*words: Any) -> None:
        for _ in range(lost):
            transact(*words)

    monkeypatch.setattr(calls, "transact", twice)
    assert run("users", "add", "bob", "bob@e.example").exit_code == 0
    assert run("users", "email", "bob", "bob@b.example").exit_code == 0
    assert names(made) == [("ann", "ann@e.example"), ("bob", "bob@b.example")]
    assert run("users", "remove", "bob", "--yes").exit_code == 0
    assert names(made) == [("ann", "ann@e.example")]


def test_mistakes_are_told_in_a_line() -> None:
    new_account("ann")
    assert error(run("users", "reports", "bob", "weekly")) == "The account has no user bob: ann"
    wrong = error(run("users", "reports", "ann", "weekly", "--zone", "Amsterdam"))
    assert wrong == "Invalid value for --zone: 'Amsterdam' is no time zone; maybe Europe/Amsterdam"
    assert "such as Europe/Amsterdam" in error(run("users", "reports", "ann", "weekly", "--zone", "../etc/passwd"))
    assert "'hourly' is not one of" in error(run("users", "reports", "ann", "hourly"))


def test_a_preview_says_what_a_report_would_say_and_changes_nothing() -> None:
    made = new_account("ann")
    before = user(made)
    assert run("users", "preview", "ann").output == (
        "No site of the account was visited from 2026-03-09 to 2026-03-15: nothing would be sent.\n"
    )
    assert "from 2026-03-01 to 2026-03-31" in run("users", "preview", "ann", "monthly").output
    assert user(made) == before


class Post:
    """Takes a mail, or does not."""

    def __init__(self, wrong: Exception | None) -> None:
        self.wrong = wrong
        self.sent: list[Mail] = []

    def send(self, mail: Mail) -> str:
        if self.wrong:
            raise self.wrong from ValueError("so\nit said")
        self.sent.append(mail)
        return "id"


def test_a_test_mail_says_what_became_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COUNTLESS_MAIL_FROM", "Countless <reports@countless.example>")
    monkeypatch.delenv("COUNTLESS_MAIL", raising=False)
    assert error(run("mail", "test", "ann@e.example")) == "COUNTLESS_MAIL is not set: nothing sends mails here."
    post = Post(None)
    monkeypatch.setattr(wiring, "mailer", lambda: post)
    said = run("mail", "test", "ann@e.example").output
    assert said == "sent to ann@e.example from Countless <reports@countless.example>: id\n"
    assert [mailbox.address for mailbox in post.sent[0].to] == ["ann@e.example"]
    assert "e-mail address" in error(run("mail", "test", "ann"))
    for wrong, words in (
        (NotSent("paused"), "It was not sent: paused (so it said)"),
        (Refused("550"), "It was refused: 550 (so it said)"),
        (Uncertain("lost"), "Nobody can say whether it was sent: lost (so it said)"),
    ):
        monkeypatch.setattr(wiring, "mailer", lambda wrong=wrong: Post(wrong))
        assert error(run("mail", "test", "ann@e.example")) == words


def test_a_wrong_setting_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COUNTLESS_MAIL", "smtp://me:s3cret@mail.example")
    said = error(run("mail", "test", "ann@e.example"))
    assert said.startswith("COUNTLESS_MAIL must be empty, ses, smtp://HOST:587")
    assert "s3cret" not in said


def test_the_login_is_asked_for_and_kept_as_a_secret(world: World) -> None:
    """And not shown."""
    result = run("mail", "login", "me", given="s3cret\ns3cret\n")
    assert result.exit_code == 0
    assert "s3cret" not in result.output
    assert wiring.secrets().smtp() == ("me", "s3cret")
    world.client("ssm").delete_parameter(Name=f"{wiring.settings().secrets}/smtp")
