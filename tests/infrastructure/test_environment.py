"""`.venv`, as `make` makes it: with what is wanted, once, and anew where it cannot be used."""

import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

import pytest

from infrastructure import environment
from infrastructure.environment import LEVELS, NEWEST, OLDEST, Place, machine, prepare

ROOT = Path(__file__).parent.parent.parent
THIS = sys.version_info[:2]
OTHER = (3, 12) if THIS == (3, 11) else (3, 11)


class Pip:
    """Stands in for whatever makes environments, and installs into them."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.made = 0
        self.installed: list[str] = []
        self.fails = False

    def run(self, command: Sequence[str | Path], _root: Path = ROOT) -> None:
        words = [str(word) for word in command]
        if words[1:3] == ["-m", "venv"]:
            self.made += 1
            write(self.place, THIS)
        elif self.fails:
            raise SystemExit("no network")
        else:
            self.installed.append(words[-1])


def write(place: Place, version: tuple[int, int], home: Path | None = None) -> None:
    """An environment whose interpreter says this version."""
    bin_ = place.folder / "bin"
    bin_.mkdir(parents=True, exist_ok=True)
    place.python.write_text(f"#!/bin/sh\necho {version[0]} {version[1]}\n")
    place.python.chmod(0o755)
    (bin_ / "pip").write_text(f"#!{home or place.folder}/bin/python\n")


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A checkout that has none yet."""
    (tmp_path / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text())
    return Place(tmp_path)


@pytest.fixture
def pip(place: Place, monkeypatch: pytest.MonkeyPatch) -> Pip:
    """Nothing is really installed."""
    pip = Pip(place)
    monkeypatch.setattr(environment, "_run", pip.run)
    return pip


def test_it_is_made_once(place: Place, pip: Pip, capsys: pytest.CaptureFixture[str]) -> None:
    """And who starts the service often waits, and reads, no more than once."""
    prepare(place, "serving")
    assert (pip.made, len(pip.installed)) == (1, 2)
    assert "Making .venv" in capsys.readouterr().out
    prepare(place, "serving")
    assert (pip.made, len(pip.installed)) == (1, 2)
    assert capsys.readouterr().out == ""


def test_what_only_tests_need_is_installed_for_tests_alone(place: Place, pip: Pip) -> None:
    """It joins what is there, and stays."""
    prepare(place, "serving")
    assert "dev" not in pip.installed
    prepare(place, "everything")
    assert (pip.made, pip.installed[-1]) == (1, "dev")
    before = list(pip.installed)
    prepare(place, "serving")
    assert pip.installed == before


def test_new_needs_are_installed_into_what_is_there(place: Place, pip: Pip) -> None:
    """As soon as `pyproject.toml` has others; what tools are told there is no need."""
    prepare(place, "everything")
    file, before = place.root / "pyproject.toml", len(pip.installed)
    file.write_text(file.read_text().replace("line-length = 120", "line-length = 100"))
    prepare(place, "everything")
    assert len(pip.installed) == before
    file.write_text(file.read_text().replace('"httpx>=0.27,<1"', '"httpx>=0.28,<1"'))
    prepare(place, "everything")
    assert (len(pip.installed) > before, pip.made) == (True, 1)


def _dead(place: Place) -> None:
    place.python.unlink()
    place.python.symlink_to("/nowhere/bin/python3.11")


def _of_another_processor(place: Place) -> None:
    place.python.write_bytes(b"\x7fELF of another machine")


def _without_pip(place: Place) -> None:
    place.python.write_text("#!/bin/sh\necho No module named pip >&2\nexit 1\n")


def _too_old(place: Place) -> None:
    write(place, (OLDEST[0], OLDEST[1] - 1))


def _too_new(place: Place) -> None:
    write(place, (NEWEST[0], NEWEST[1] + 1))


def _moved(place: Place) -> None:
    write(place, THIS, Path("/old/place/.venv"))


def _half_made(place: Place) -> None:
    (place.folder / "bin" / "pip").unlink()


def _left_unfinished(place: Place) -> None:
    place.begin()


def _copied(place: Place) -> None:
    file = place.folder / "installed"
    said = json.loads(file.read_text())
    file.write_text(json.dumps({**said, "machine": f"not-{machine()}"}))


@pytest.mark.parametrize(
    "harm",
    [
        _dead,
        _of_another_processor,
        _without_pip,
        _too_old,
        _too_new,
        _moved,
        _half_made,
        _left_unfinished,
        _copied,
    ],
)
def test_one_that_cannot_be_used_is_made_anew(
    place: Place, pip: Pip, capsys: pytest.CaptureFixture[str], harm: object
) -> None:
    """Nothing of the old one is left, and whoever waits is told why."""
    prepare(place, "serving")
    assert callable(harm)
    harm(place)
    (place.folder / "old").touch()
    capsys.readouterr()
    prepare(place, "serving")
    assert (pip.made, (place.folder / "old").exists()) == (2, False)
    assert re.match(r"Making \.venv anew, for it .+ …\n", capsys.readouterr().out)
    prepare(place, "serving")
    assert pip.made == 2


def test_another_version_is_taken_only_if_it_is_named(place: Place, pip: Pip) -> None:
    """Whoever says nothing keeps what there is."""
    prepare(place, "serving")
    write(place, OTHER)
    prepare(place, "serving")
    assert pip.made == 1
    prepare(place, "serving", named=True)
    assert pip.made == 2


def test_what_ended_early_is_not_believed(place: Place, pip: Pip) -> None:
    """Neither a failure nor Ctrl-C leaves an environment that seems whole."""
    pip.fails = True
    with pytest.raises(SystemExit, match="no network"):
        prepare(place, "everything")
    pip.fails = False
    prepare(place, "serving")
    assert (pip.made, len(pip.installed)) == (2, 2)


def test_a_file_in_its_place_stays(place: Place, pip: Pip) -> None:
    """Some tools keep one there. What a link leads to is not removed either."""
    place.folder.write_text("somebody's")
    with pytest.raises(SystemExit, match="no folder"):
        prepare(place, "serving")
    assert (place.folder.read_text(), pip.made) == ("somebody's", 0)
    place.folder.unlink()
    elsewhere = place.root / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "file").touch()
    place.folder.symlink_to(elsewhere)
    prepare(place, "serving")
    assert (pip.made, (elsewhere / "file").exists(), place.folder.is_symlink()) == (1, True, False)


def test_what_fails_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """The end of what was said, and how far it came before; the rest is not."""
    said = "print('Collecting orjson>=3'); [print('line', n) for n in range(50)]; raise SystemExit(3)"
    with pytest.raises(SystemExit, match="failed"):
        environment._run([sys.executable, "-c", said])
    shown = capsys.readouterr().out
    assert "package 1: orjson>=3" in shown
    assert ("line 49" in shown, "line 3\n" in shown) == (True, False)


def test_the_versions_that_will_do_are_the_same_everywhere() -> None:
    """For installers, for make, and for what make calls."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["requires-python"] == f">={OLDEST[0]}.{OLDEST[1]},<{NEWEST[0]}.{NEWEST[1] + 1}"
    assert f"GOOD := {OLDEST} <= sys.version_info[:2] <= {NEWEST}" in (ROOT / "Makefile").read_text()
    groups = [level[-1] for level in LEVELS.values() if level]
    assert set(groups) <= set(tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"])


def test_make_says_at_once_what_is_wrong_with_an_interpreter(tmp_path: Path) -> None:
    """One that is too old, and one that is not there; nothing is made before."""
    old = tmp_path / "python3.9"
    pretend = "import sys; sys.version_info, sys.version = (3, 9, 18), '3.9.18 (x)'; exec(sys.argv[1])"
    old.write_text(f'#!/bin/sh\nexec {sys.executable} -c "{pretend}" "$2"\n')
    old.chmod(0o755)
    for python, said in ((old, "This is Python 3.9.18."), (tmp_path / "none", "There is no ")):
        done = subprocess.run(
            ["make", f"PYTHON={python}", "run"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 2
        assert said in done.stdout + done.stderr
        assert "3.11, 3.12, 3.13 or 3.14" in done.stdout
        assert "Making" not in done.stdout
