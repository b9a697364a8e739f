"""What README.md names exists: files, targets, commands, options, settings. Its samples run in `tests/clients`."""

import os
import re
import shutil
import subprocess
import tomllib
from dataclasses import fields
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from chalicelib.core import limits
from countless.cli import main
from infrastructure.local import serve
from infrastructure.local.credentials import Credentials
from tests.docs import README, ROOT, block, code, commands, links

NO_FILES = {"application/json", "Europe/Amsterdam"}
"""What looks like a path, and is a media type or a time zone."""
FILE = re.compile(r"(?:\.?[\w-]+/)+(?:\.?[\w-]+(?:\.\w+)*)?|[\w-]+\.(?:py|md|toml)")


def _files() -> set[str]:
    """Relative paths that README names, but for those in an environment."""
    words = {word for text in code() for word in text.split() if FILE.fullmatch(word)}
    local = {link for link in links() if "://" not in link and not link.startswith("#")}
    return {name for name in words | local if not name.startswith(".venv/")} - NO_FILES


def _targets() -> set[str]:
    return {target for text in code() for target in re.findall(r"^make(?: \w+=\S+)* ([a-z]+)", text)}


def _countless() -> list[list[str]]:
    """The `countless` commands that README shows, each as its words."""
    found = []
    for text in code():
        words = text.removesuffix(" &").split()
        starts = [n for n, word in enumerate(words) if word.removeprefix(".venv/bin/") == "countless"]
        found += [words[n + 1 :] for n in starts if words[n + 1 :]]
    return found


def test_every_file_that_the_readme_names_exists() -> None:
    """In code, and as a link."""
    named = _files()
    assert {"app.py", "chalicelib/core", ".ci/run", "LICENSE", "tests/data/access.log.gz"} <= named
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []


def test_every_target_that_the_readme_names_can_be_made() -> None:
    """Make knows a way."""
    targets = _targets()
    assert {"help", "run", "test", "check"} <= targets
    for target in sorted(targets):
        assert _make("--dry-run", target)


def test_make_help_lists_every_target() -> None:
    """Each with a sentence."""
    [phony] = re.findall(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    listed = dict(line.split(maxsplit=2)[1:] for line in _make("help").splitlines())
    assert set(listed) == set(phony.split())
    assert all(listed.values())


def _make(*arguments: str) -> str:
    """What make prints, when it is not called by another make."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    done = subprocess.run(
        ["make", "--no-print-directory", *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_readme_lists_every_command() -> None:
    """And none that is not there."""
    listed = re.findall(r"^\| `countless (\w+)[^|]*\|[^|]+\|$", README, re.MULTILINE)
    assert isinstance(main, click.Group)
    assert sorted(listed) == main.list_commands(click.Context(main))


@pytest.mark.parametrize("words", _countless(), ids=" ".join)
def test_every_command_of_the_readme_has_the_options_that_are_shown(words: list[str]) -> None:
    """`--help` shows them."""
    command: click.Command | None = main
    called: list[str] = []
    while isinstance(command, click.Group) and len(words) > len(called):
        called.append(words[len(called)])
        command = command.get_command(click.Context(command), called[-1])
    shown = CliRunner().invoke(main, [*called, "--help"])
    assert shown.exit_code == 0, shown.output
    assert [word for word in words if word.startswith("--") and word not in shown.output.split()] == []


def test_the_demo_in_the_readme_is_what_serve_prints(monkeypatch: pytest.MonkeyPatch) -> None:
    """Command by command, but for where `countless` lies and what the token is."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(shutil, "which", lambda _: None)
    monkeypatch.setattr("sys.argv", [".venv/bin/countless", "serve"])
    keys = Credentials("http://127.0.0.1:8000", "a", 1, "localhost", "key", "…", "demo", "password")
    printed = serve.greeting(keys, serve.Options())
    told = printed[printed.index("token=") : printed.index("For operators' commands")]
    assert commands(block("token=…")) == commands(told)


def test_the_readme_names_the_keys_of_the_credentials_file() -> None:
    """All of them, in their order."""
    [named] = re.findall(r"JSON with ((?:`\w+`[,\s]+)+and\s`\w+`)", README)
    assert re.findall(r"`(\w+)`", named) == [field.name for field in fields(Credentials)]


def test_the_limits_in_the_readme_are_those_that_everybody_gets() -> None:
    """And the example of others is one."""
    plans = limits.plans("on")
    said = (
        f"{plans['api'].requests} requests a second and {plans['api2'].requests} an hour (`api`, `api2`), "
        f"{plans['api-count'].requests} in two minutes for `POST /api/v0/count` (`api-count`), and for `/count` "
        f"{plans['count'].requests} a second"
    )
    assert said in " ".join(README.split())
    said = (
        f"{plans['statistics'].requests:,} requests an hour (`statistics`), and {plans['statistics-export'].requests} "
        "exports (`statistics-export`)"
    )
    assert said in " ".join(README.split())
    assert (plans["api"].seconds, plans["api2"].seconds, plans["api-count"].seconds) == (1, 3600, 120)
    [example] = [text for text in code() if re.fullmatch(r"[a-z0-9]+:\S+,\S+", text)]
    assert limits.plans(example) != plans


def test_the_readme_names_the_pythons_that_the_package_allows() -> None:
    """Every one of them."""
    project = tomllib.loads(Path(ROOT, "pyproject.toml").read_text(encoding="utf-8"))["project"]
    first, beyond = re.fullmatch(r">=3\.(\d+),<3\.(\d+)", project["requires-python"]).groups()  # type: ignore[union-attr]
    allowed = [f"3.{minor}" for minor in range(int(first), int(beyond))]
    assert f"You need Python {', '.join(allowed[:-1])} or {allowed[-1]}, and make." in README
