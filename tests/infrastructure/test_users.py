"""`countless users` and `countless mail`: what an operator chooses is what users get; mistakes are told."""

from collections.abc import Iterator

import pytest
from click.testing import Result

from chalicelib import wiring
from chalicelib.aws.accounts import Created
from chalicelib.core.accounts import EmailReports, User
from chalicelib.core.errors import Uncertain
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
    assert line.split() == (
        "ann 2026-03-10 admin weekly Europe/Amsterdam sunday 2026-03-08 to 2026-03-14".split()  # noqa: SIM905 - a line
    )
    assert run("users", "reports", "ann", "monthly").output == "ann: monthly, by the calendar of Europe/Amsterdam\n"
    assert user(made).sunday_starts_week
    assert run("users", "reports", "ann", "never").output == "ann: never\n"
    assert user(made).email_reports is EmailReports.NEVER


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
    world.session.client("ssm").delete_parameter(Name=f"{wiring.settings().secrets}/smtp")
