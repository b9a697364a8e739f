"""Runs the tests that take long, one file after the other, and remembers which of them have passed: `make prove`.

    python -m infrastructure.prove [PART] [--fresh]

A part is a file of tests. It is not run again as long as nothing has changed that it could depend on, so that a run
that was ended goes on where it was, and of mended tests only those are run again that import what was mended. `PART`
names some (`exports`: all with that in their names), which are run in any case; `--fresh` forgets what has passed.
"""

import ast
import hashlib
import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import click

ROOT = Path(__file__).parent.parent
MARK = re.compile(r"\bmark\.prove\b")
"""What makes a test one of these."""
DEPENDED_ON = ("app.py", "pyproject.toml", "chalicelib", "infrastructure", "sdk", "tests")
FORGOTTEN = {"__pycache__"}
Run = Callable[[Path], int]
"""Runs a part; the exit status of its tests."""


@dataclass(frozen=True, slots=True)
class Passed:
    """That a part has passed: with what, and in how many seconds."""

    state: str
    seconds: float


class Memory:
    """What has passed, in a folder with a file for each part."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def recall(self, part: str) -> Passed | None:
        """What was noted of a part; None if nothing was."""
        try:
            return Passed(**json.loads(self._file(part).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    def note(self, part: str, passed: Passed) -> None:
        """Notes that a part has passed."""
        self._folder.mkdir(exist_ok=True)
        self._file(part).write_text(json.dumps(asdict(passed)) + "\n", encoding="utf-8")

    def forget(self, part: str) -> None:
        """As if it had never been run."""
        self._file(part).unlink(missing_ok=True)

    def _file(self, part: str) -> Path:
        return self._folder / f"{part}.json"


def parts(root: Path = ROOT) -> dict[str, Path]:
    """The files with tests that take long, by the names of their parts."""
    files = sorted((root / "tests").rglob("test_*.py"))
    marked = [file.relative_to(root) for file in files if MARK.search(file.read_text(encoding="utf-8"))]
    return {"-".join(file.with_suffix("").parts[1:]): file for file in marked}


def state(part: Path, root: Path = ROOT) -> str:
    """What tells apart the states of everything that the tests of a file depend on, the version of Python included.

    Of the Python files of tests those alone that it imports, or pytest for it.
    """
    known, imported = hashlib.sha256(sys.version.encode()), _imported(root / part, root)
    for file in _files(root):
        if file.suffix == ".py" and file.is_relative_to(root / "tests") and file not in imported:
            continue
        content = hashlib.sha256(file.read_bytes()).hexdigest()
        known.update(f"{file.relative_to(root)}\0{content}\n".encode())
    return known.hexdigest()


def _imported(part: Path, root: Path) -> set[Path]:
    """The files of `tests` that a file and what pytest loads for it import, at once or by others; these included."""
    found, left = set[Path](), [part, *(folder / "conftest.py" for folder in part.parents if root in folder.parents)]
    while left:
        file = left.pop()
        if file in found or not file.is_file():
            continue
        found.add(file)
        for name in _names(file, root):
            names = name.split(".")
            if names[0] == "tests":
                left += [root.joinpath(*names[:end], "__init__.py") for end in range(1, len(names) + 1)]
                left.append(root.joinpath(*names).with_suffix(".py"))
    return found


def _names(file: Path, root: Path) -> Iterator[str]:
    """The full names of all that may be modules among what a file imports."""
    package = file.relative_to(root).parent.parts
    for node in ast.walk(ast.parse(file.read_bytes())):
        match node:
            case ast.Import(names):
                yield from (name.name for name in names)
            case ast.ImportFrom(module=module, names=names, level=level):
                above = package[: len(package) + 1 - level] if level else ()
                whole = ".".join((*above, *([module] if module else [])))
                yield whole
                yield from (f"{whole}.{name.name}" for name in names)


def _files(root: Path) -> Iterator[Path]:
    for name in DEPENDED_ON:
        found = root / name
        yield from (
            file
            for file in (sorted(found.rglob("*")) if found.is_dir() else [found])
            if file.is_file() and FORGOTTEN.isdisjoint(file.parts)
        )


def prove(
    wanted: dict[str, Path], memory: Memory, run: Run, current: Callable[[Path], str], *, again: bool
) -> list[str]:
    """Runs these parts, or with not `again` those of them that have not passed as things are; says how long each took,
    and returns the names of those that failed.

    What changes while a part runs makes nobody believe that it has passed.
    """
    failed, begun = [], time.monotonic()
    for number, (name, file) in enumerate(wanted.items(), 1):
        before = current(file)
        known = memory.recall(name)
        if known and known.state == before and not again:
            click.echo(f"== {number}/{len(wanted)} {name}: has passed before, in {_said(known.seconds)}")
            continue
        click.echo(f"== {number}/{len(wanted)} {name} …")
        memory.forget(name)
        started = time.monotonic()
        status = run(file)
        seconds = time.monotonic() - started
        click.echo(f"== {name}: {'failed' if status else 'passed'}, in {_said(seconds)}")
        if status:
            failed.append(name)
        elif current(file) == before:
            memory.note(name, Passed(before, round(seconds, 1)))
    click.echo(
        f"== {len(wanted) - len(failed)} of {len(wanted)} parts have passed, in {_said(time.monotonic() - begun)}"
    )
    return failed


def _said(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _pytest(file: Path) -> int:
    command: Sequence[str | Path] = [
        sys.executable,
        "-m",
        "pytest",
        "-n",
        "auto",
        "--dist",
        "worksteal",
        "-m",
        "prove",
        file,
    ]
    return subprocess.run(command, cwd=ROOT, check=False).returncode  # noqa: S603 - our own interpreter


@click.command()
@click.argument("part", default="")
@click.option("--fresh", is_flag=True, help="Forget what has passed.")
def main(part: str, *, fresh: bool) -> None:
    """Run the tests that take long, or those of the parts with this in their name, and remember what has passed."""
    known = parts()
    wanted = {name: file for name, file in known.items() if part in name}
    if not wanted:
        raise click.BadParameter(f"no part has {part!r} in its name; there are {', '.join(known)}", param_hint="PART")
    failed = prove(wanted, Memory(ROOT / ".prove"), _pytest, state, again=fresh or bool(part))
    if failed:
        raise click.ClickException(f"failed: {', '.join(failed)}; those that passed are not run again")


if __name__ == "__main__":
    main()
