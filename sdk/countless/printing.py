"""What commands print: texts that strangers made up cannot command the terminal that shows them.

Paths, titles, referrers, names and the words of errors come from anybody. Whatever a terminal would obey or hide in
them is printed as a visible escape, into a file or a pipe too: what is looked at later does no harm
either, and what a command prints does not depend on who reads it. Exact texts are in the API's answers and exports.
"""

import sys
import traceback
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import IO

import click

_JOINERS = "\u200c\u200d"
"""Invisible, but words of some scripts and emoji are written with them, and they move nothing."""
_COMMANDING = {"Cc", "Cf", "Cs", "Zl", "Zp"}
"""Control and format characters (escapes, overrides of direction), halves of pairs, ends of lines and paragraphs."""


def shown(text: object) -> str:
    """A text as one line that a terminal shows and does nothing else with. What is safe already stays as it is."""
    said = str(text)
    if said.isprintable():
        return said
    return "".join(map(_shown, said))


def _shown(character: str) -> str:
    if unicodedata.category(character) not in _COMMANDING or character in _JOINERS:
        return character
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")


def say(*lines: object, err: bool = False) -> None:
    """Prints lines, each by itself: what seems to end one within it is shown, and ends none."""
    stream = sys.stderr if err else sys.stdout
    for line in lines:
        click.echo(_writable(shown(line), stream), err=err)  # noqa: TID251 - the one place


def confirm(question: str) -> None:
    """Asks whether to go on.

    Raises:
        click.Abort: no.
    """
    click.confirm(_writable(shown(question), sys.stdout), abort=True)  # noqa: TID251


def _writable(text: str, stream: IO[str]) -> str:
    """A text without what the stream has no bytes for."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)


@contextmanager
def shown_errors() -> Iterator[None]:
    """Has what click is going to say of an error be safe to show."""
    try:
        yield
    except click.ClickException as error:
        vars(error)["message"] = shown(error.message)  # final for those who check types: what it says stays
        raise


def crash(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Prints an error that nobody expected, as `sys.excepthook`: where it happened, and what it says."""
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
        return
    for part in traceback.format_exception(kind, error, trace):
        say(*part.rstrip("\n").split("\n"), err=True)
