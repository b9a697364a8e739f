"""Makes `.venv`, or makes it anew where it cannot be used; `make` calls this before everything else.

    python infrastructure/environment.py serving|everything [--named]

`serving` installs what the service and its commands need, `everything` also what tests and checks need. Where all of
that is there, this says nothing and takes a moment. It needs the standard library alone: nothing else is there yet.
"""

import argparse
import hashlib
import json
import shutil
import subprocess
import sys
import sysconfig
import time
import tomllib
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parent.parent
OLDEST, NEWEST = (3, 11), (3, 14)
"""The versions of Python that will do, as `pyproject.toml` and the Makefile have them."""
PIP = "pip>=25.1,<26.3"
"""What knows dependency groups."""
LEVELS = {"serving": (), "everything": ("--group", "dev")}
"""What is installed besides the project itself; each level holds those before it."""
TAIL = 25
"""Lines of pip's that are shown when it fails."""
PATIENCE = 30
"""Seconds for an interpreter to say its version; one that takes longer is no use."""


class Broken(Exception):
    """Why a `.venv` cannot be used; the message ends a sentence."""


class Place:
    """The environment of a checkout, and what it remembers."""

    def __init__(self, root: Path = ROOT) -> None:
        self.root = root
        self.folder = root / ".venv"
        self.python = self.folder / "bin" / "python"
        self._installed = self.folder / "installed"
        self._unfinished = self.folder / "unfinished"

    def needs(self) -> str:
        """What tells apart the needs that `pyproject.toml` has had."""
        project = tomllib.loads((self.root / "pyproject.toml").read_text(encoding="utf-8"))
        said = [project[key] for key in ("build-system", "project", "dependency-groups")]
        return hashlib.sha256(json.dumps([PIP, said], sort_keys=True).encode()).hexdigest()

    def remembered(self) -> dict[str, str]:
        """What `remember` wrote; nothing if it never did."""
        try:
            said = json.loads(self._installed.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return said if isinstance(said, dict) else {}

    def begin(self) -> None:
        """From now on, until `remember`, nobody may believe that the environment is whole."""
        self._installed.unlink(missing_ok=True)
        self._unfinished.touch()

    def remember(self, level: str) -> None:
        """Says that this level is installed."""
        said = {"level": level, "needs": self.needs(), "machine": machine()}
        self._installed.write_text(json.dumps(said) + "\n", encoding="utf-8")
        self._unfinished.unlink(missing_ok=True)

    def require_usable(self, version: tuple[int, int] | None) -> None:
        """Goes on only if the environment can be used, with this version of Python, if one was named.

        Raises:
            Broken: it cannot.
        """
        found = self._version()
        if not OLDEST <= found <= NEWEST:
            raise Broken(f"it is of Python {written(found)}")
        if version not in (None, found):
            raise Broken(f"it is of Python {written(found)}, not {written(version)}")
        if self._unfinished.exists():
            raise Broken("it was left unfinished")
        if self.remembered().get("machine", machine()) != machine() and found == sys.version_info[:2]:
            raise Broken("it was made for another machine")
        pip = self.folder / "bin" / "pip"
        if not pip.is_file() or str(self.folder) not in pip.read_text(encoding="utf-8", errors="replace")[:1024]:
            raise Broken("it was made in another place")

    def _version(self) -> tuple[int, int]:
        said = "import sys, pip; print(*sys.version_info[:2])"
        try:
            done = subprocess.run(  # noqa: S603 - our own interpreter
                [self.python, "-I", "-c", said], capture_output=True, text=True, check=True, timeout=PATIENCE
            )
            major, minor = done.stdout.split()
            return int(major), int(minor)
        except (OSError, subprocess.SubprocessError, ValueError) as error:
            raise Broken("it has no Python that runs, or no pip") from error


def machine() -> str:
    """What compiled modules are made for."""
    return str(sysconfig.get_config_var("SOABI") or sysconfig.get_platform())


def written(version: Sequence[int] | None) -> str:
    """A version, for people."""
    return ".".join(map(str, version or ()))


def prepare(place: Place, level: str, *, named: bool = False) -> None:
    """Leaves an environment with everything of this level; `named` says that this very version of Python was asked for.

    Raises:
        SystemExit: it cannot be had; the message says why.
    """
    if place.folder.exists() and not place.folder.is_dir():
        raise SystemExit(f"{place.folder} is no folder: move it away, and try again")
    if place.folder.exists():
        try:
            place.require_usable(sys.version_info[:2] if named else None)
        except Broken as error:
            say(f"Making .venv anew, for {error} …")
            _remove(place.folder)
    before = place.remembered()
    levels = list(LEVELS)
    if before.get("needs") == place.needs() and levels.index(before["level"]) >= levels.index(level):
        return
    begun = time.monotonic()
    if not place.folder.exists():
        say(f"Making .venv with Python {written(sys.version_info[:3])} …")
        _run([sys.executable, "-m", "venv", place.folder])
    place.begin()
    _install(place, PIP)
    _install(place, "--editable", f"{place.root}[service,local]", *LEVELS[level])
    place.remember(level)
    say(f"All is installed, in {time.monotonic() - begun:.0f} s.")


def _remove(folder: Path) -> None:
    if folder.is_symlink():  # what it leads to may be somebody's
        folder.unlink()
    else:
        shutil.rmtree(folder)


def _install(place: Place, *what: str) -> None:
    options = ("--disable-pip-version-check", "--no-input", "--progress-bar", "off")
    _run([place.python, "-m", "pip", "install", *options, *what], place.root)


def _run(command: Sequence[str | Path], root: Path = ROOT) -> None:
    """Runs a command, and shows how far it is; if it fails, what it said last.

    Raises:
        SystemExit: it fails.
    """
    lines: list[str] = []
    with subprocess.Popen(  # noqa: S603 - as above
        command, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as running:
        progress = _Progress()
        for line in running.stdout or ():
            lines = [*lines[1 - TAIL :], line]
            progress.hear(line)
        progress.end()
    if running.returncode:
        say("".join(lines).rstrip())
        raise SystemExit(f"{' '.join(map(str, command[1:4]))} failed, as said above")


class _Progress:
    """Shows pip's progress: in one line that changes on a terminal, else in a line now and then."""

    EVERY = 20
    """Packages between two lines where there is no terminal."""

    def __init__(self) -> None:
        self._terminal = sys.stdout.isatty()
        self._packages = 0

    def hear(self, line: str) -> None:
        """Takes a line that pip has written."""
        first, _, rest = line.strip().partition(" ")
        if first == "Collecting":
            self._packages += 1
            if self._terminal or self._packages % self.EVERY == 1:
                self._show(f"  package {self._packages}: {rest.split()[0]}")
        elif line.startswith("Installing collected packages"):
            self._show(f"  installing {len(rest.split(','))} packages")

    def end(self) -> None:
        """Leaves a clean line."""
        if self._terminal and self._packages:
            sys.stdout.write("\n")
            sys.stdout.flush()

    def _show(self, text: str) -> None:
        sys.stdout.write(f"\r\033[K{text[:78]}" if self._terminal else f"{text}\n")
        sys.stdout.flush()


def say(text: str) -> None:
    """A line for whoever waits."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Make .venv")
    parser.add_argument("level", choices=list(LEVELS))
    parser.add_argument("--named", action="store_true", help="this very version of Python was asked for")
    asked = parser.parse_args()
    prepare(Place(), asked.level, named=asked.named)
