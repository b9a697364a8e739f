"""`make prove`: all tests that take long, each file once for each state of what it depends on."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from infrastructure import prove as proving
from infrastructure.prove import Memory, Passed, parts, prove, state

WANTED = {"one": Path("tests/test_one.py"), "two": Path("tests/test_two.py")}


class Runs:
    """Stands in for pytest, and for the state of everything."""

    def __init__(self, folder: Path) -> None:
        self.memory = Memory(folder / "memory")
        self.state = "a"
        self.ran: list[str] = []
        self.failing: set[str] = set()
        self.meanwhile: Callable[[], None] = lambda: None

    def run(self, file: Path) -> int:
        self.ran.append(file.stem)
        self.meanwhile()
        return int(file.stem in self.failing)

    def prove(self, *, again: bool = False) -> tuple[list[str], list[str]]:
        """What has run, and what has failed."""
        self.ran = []
        failed = prove(WANTED, self.memory, self.run, lambda _: self.state, again=again)
        return self.ran, failed


@pytest.fixture
def runs(tmp_path: Path) -> Runs:
    """Nothing has run yet."""
    return Runs(tmp_path)


def test_what_has_passed_is_not_run_again_until_something_changes(runs: Runs) -> None:
    """Unless that is asked for."""
    both = ["test_one", "test_two"]
    assert runs.prove() == (both, [])
    assert runs.prove() == ([], [])
    assert runs.prove(again=True) == (both, [])
    runs.state = "b"
    assert runs.prove() == (both, [])


def test_what_fails_stops_nothing_and_is_run_again(runs: Runs, capsys: pytest.CaptureFixture[str]) -> None:
    """Also if it had passed before; and each part's time is told."""
    runs.prove()
    runs.failing = {"test_one"}
    runs.state = "b"
    assert runs.prove() == (["test_one", "test_two"], ["one"])
    assert "== one: failed, in 0 s" in capsys.readouterr().out
    assert runs.prove() == (["test_one"], ["one"])
    runs.failing = set()
    assert runs.prove() == (["test_one"], [])
    shown = capsys.readouterr().out
    assert "== one: passed, in 0 s" in shown
    assert "two: has passed before, in 0 s" in shown


def test_what_changes_meanwhile_proves_nothing(runs: Runs) -> None:
    """Nobody knows which of the two states has passed."""

    def change() -> None:
        runs.state += "!"

    runs.meanwhile = change
    runs.prove()
    runs.meanwhile = lambda: None
    assert runs.prove() == (["test_one", "test_two"], [])


def test_what_cannot_be_read_was_never_noted(tmp_path: Path) -> None:
    """A file that was cut off is no proof."""
    memory = Memory(tmp_path)
    memory.note("one", Passed("a", 1.5))
    assert memory.recall("one") == Passed("a", 1.5)
    for text in ("", "{", "[]", '{"state": "a"}'):
        (tmp_path / "one.json").write_text(text)
        assert memory.recall("one") is None


def test_every_file_with_a_test_that_takes_long_is_a_part(tmp_path: Path) -> None:
    """And every other test is left to `make test`."""
    marks = "pytest.mark"  # in two pieces, so that this file is no part
    for name, text in (
        ("a/test_one.py", f"@{marks}.prove\n"),
        ("test_one.py", f"marks={marks}.prove)"),
        ("test_two.py", "prove"),
    ):
        file = tmp_path / "tests" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    assert parts(tmp_path) == {"a-test_one": Path("tests/a/test_one.py"), "test_one": Path("tests/test_one.py")}
    assert {"statistics-test_model", "core-test_redaction", "clients-test_crashes"} <= set(parts())
    assert "infrastructure-test_prove" not in parts()


def test_a_state_is_what_tests_depend_on(tmp_path: Path) -> None:
    """Code, the tests, what they import and their data; neither documents nor what Python leaves behind."""
    part = Path("tests/test_one.py")

    def write(name: str, text: str) -> None:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)

    write("tests/test_one.py", "import json\n\nfrom tests.core import helping\n\n\ndef test() -> None: ...\n")
    write("tests/core/helping.py", "from tests.test_two import check\nfrom . import beside\nfrom .near import this\n")
    write("tests/conftest.py", "from tests import world\n")
    names = (
        *("app.py", "pyproject.toml", "chalicelib/core.py", "tests/data/log.txt", "tests/core/__init__.py"),
        *("tests/core/beside.py", "tests/core/near.py", "tests/world.py"),
    )
    apart = ("README.md", "chalicelib/__pycache__/core.pyc", "tests/test_three.py", "tests/core/far.py")
    for name in (*names, *apart, "tests/test_two.py"):
        write(name, "'old'")
    before = state(part, tmp_path)
    for name in apart:
        write(name, "'new'")
    assert state(part, tmp_path) == before
    seen = {before}
    for name in (*names, "tests/test_two.py", "tests/conftest.py", "tests/core/helping.py", "tests/test_one.py"):
        write(name, "'new'")
        seen.add(state(part, tmp_path))
    (tmp_path / "tests" / "data" / "log.txt").rename(tmp_path / "tests" / "data" / "other.txt")
    seen.add(state(part, tmp_path))
    assert len(seen) == 1 + len(names) + 4 + 1


def test_parts_are_named_on_the_command_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """By a piece of their names; what is no part is refused with those that there are."""
    ran: list[Path] = []

    def passes(file: Path) -> int:
        ran.append(file)
        return 0

    monkeypatch.setattr(proving, "_pytest", passes)
    monkeypatch.setattr(proving, "state", lambda _: "a")
    monkeypatch.setattr(proving, "ROOT", tmp_path)
    for _ in range(2):
        assert CliRunner().invoke(proving.main, ["test_model"]).exit_code == 0
    assert ran == [Path("tests/statistics/test_model.py")] * 2
    refused = CliRunner().invoke(proving.main, ["nothing"])
    assert refused.exit_code == 2
    assert re.search(r"no part has 'nothing'.*statistics-test_model", refused.output, re.DOTALL)
