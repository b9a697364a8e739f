"""Wrong usage of the operator's commands is said in a line, before anything is started."""

import pytest
from click.testing import CliRunner

from infrastructure.commands import redrive, serve


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--limits", "nonsense"], "not a limit: 'nonsense'"),
        (["--limits", "api:0/0,what:none"], "not a limit"),
        (["--port", "99999"], "99999 is not in the range"),
    ],
)
def test_serve_refuses_what_it_cannot_do(arguments: list[str], said: str) -> None:
    """With the status for wrong usage, and no service."""
    result = CliRunner().invoke(serve, arguments)
    assert result.exit_code == 2
    assert said in result.output


def test_redrive_says_what_it_needs_to_know(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a traceback."""
    for name in ("COUNTLESS_PARKED_QUEUE", "COUNTLESS_INGEST_QUEUE"):
        monkeypatch.delenv(name, raising=False)
    result = CliRunner().invoke(redrive, ["ingest"])
    assert result.exit_code == 1
    assert "COUNTLESS_PARKED_QUEUE and COUNTLESS_INGEST_QUEUE must say where the queues are" in result.output
