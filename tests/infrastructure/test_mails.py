"""Mails of a local run: sent by the simulated SES, and there to be looked at."""

import os
from contextlib import nullcontext
from pathlib import Path

import pytest

from chalicelib import wiring
from chalicelib.core.errors import Uncertain
from chalicelib.core.mail import Mail, Mailbox
from infrastructure import reaching, storage
from infrastructure.local import aws, mails
from tests import operating
from tests.conftest import World
from tests.core.test_mail import body, read

MAIL = Mail(Mailbox(mails.SENDER), (Mailbox("ann@example.com"),), "Hello", "there\n")


@pytest.fixture(autouse=True)
def _unset(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    assert world
    for name in ("COUNTLESS_MAIL", "COUNTLESS_MAIL_FROM"):
        monkeypatch.delenv(name, raising=False)
    wiring.settings.cache_clear()
    wiring.mailer.cache_clear()


def test_a_mail_is_sent_and_shown_and_gone_with_the_run(capsys: pytest.CaptureFixture[str]) -> None:
    usual = wiring.mailer
    for _ in range(2):  # the second run finds what the first has made
        with mails.simulated():
            mailer = wiring.mailer()
            assert mailer is not None
            assert wiring.mail_sender() == Mailbox(mails.SENDER, "Countless")
            assert mailer.send(MAIL)
            said = capsys.readouterr().out
            assert said.startswith("mail to ann@example.com: Hello (")
            file = Path(said.strip()[said.index("(") + 1 : -1])
            assert body(read(file.read_bytes()), "plain") == "there\n"
        assert not file.exists()
        assert "COUNTLESS_MAIL" not in os.environ
        assert wiring.mailer is usual


def test_an_operators_command_that_reaches_a_simulation_sends_by_its_ses(world: World) -> None:
    """What nobody has set up need not be set up to try it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reaching, "answering", lambda _: nullcontext())
        patch.setattr(storage, "find", lambda _: world.environment)
        patch.delenv("AWS_ENDPOINT_URL", raising=False)
        patch.setattr(aws, "elsewhere", lambda _: nullcontext())
        said = operating.run("mail", "test", "ann@example.com", "--aws", "http://127.0.0.1:9")
    assert said.exit_code == 0, said.output
    assert said.output.startswith(f"sent to ann@example.com from Countless <{mails.SENDER}>: ")
    assert said.output.endswith(" (simulated: it stays here)\n")


def test_what_was_not_sent_is_not_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    class Losing:
        def send(self, mail: Mail) -> str:
            raise Uncertain(mail.subject)

    with pytest.raises(Uncertain):
        mails.Shown(Losing(), tmp_path).send(MAIL)
    assert list(tmp_path.iterdir()) == []
    assert capsys.readouterr().out == ""


def test_what_the_operator_has_set_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COUNTLESS_MAIL", "smtp://localhost")
    wiring.settings.cache_clear()
    with mails.simulated():
        assert type(wiring.mailer()).__name__ == "Smtp"
    assert os.environ["COUNTLESS_MAIL"] == "smtp://localhost"


def test_where_no_ses_is_played_nothing_sends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mails, "_known", lambda: False)
    with mails.simulated():
        assert wiring.mailer() is None
