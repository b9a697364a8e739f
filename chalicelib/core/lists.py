"""Lists that an operator keeps elsewhere: a daily job fetches them, and processes read what it has stored.

A list that cannot be fetched, or is damaged, changes nothing: what was stored stays, and whoever reads keeps what it
has.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from .caches import Memory
from .errors import Damaged, Unavailable

T = TypeVar("T")

HOUR = 3600
"""Seconds until a process reads a list again."""
AFTER_FAILURE = 300
"""Seconds until it asks again for what could not be read."""
LARGEST = 8 * 1024 * 1024
"""Bytes of a list, at most: one in each line for each of the networks of all the clouds are some 4 MB."""


class Shelf(Protocol):
    """Where lists are stored, by name."""

    def put(self, name: str, body: bytes) -> None:
        """Stores a list in the place of an older one. Raises Unavailable."""

    def get(self, name: str) -> bytes | None:
        """The list; None if none was ever stored. Raises Unavailable."""


def lines(text: str) -> list[tuple[int, str]]:
    """What the lines of a list say, with their numbers from 1: without comments after `#`, blanks and empty lines."""
    said = ((number, line.partition("#")[0].strip()) for number, line in enumerate(text.splitlines(), 1))
    return [(number, line) for number, line in said if line]


def checked(body: bytes, parse: Callable[[str], T]) -> T:
    """What a list says.

    Raises:
        Damaged: it is no UTF-8, or `parse` says so.
    """
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Damaged("not UTF-8", body.count(b"\n", 0, error.start) + 1) from error
    return parse(text)


def refresh(shelf: Shelf, name: str, body: bytes, parse: Callable[[str], object]) -> None:
    """Stores a list that was fetched, if it is whole. Storing it again does no harm.

    Raises:
        Damaged: nothing was stored.
        Unavailable: nobody can say whether it was stored.
    """
    checked(body, parse)
    shelf.put(name, body)


@dataclass(frozen=True, slots=True)
class _Known:
    value: Any
    body: bytes | None


class Lists:
    """What a process knows of the stored lists. It asks when somebody wants to know, and never more than once an hour.

    Safe to share between threads.
    """

    def __init__(self, shelf: Shelf, clock: Callable[[], float] = time.time) -> None:
        self._shelf = shelf
        self._last: dict[str, _Known] = {}
        self._fresh: Memory[str, bool] = Memory(16, HOUR, clock)
        self._failed: Memory[str, bool] = Memory(16, AFTER_FAILURE, clock)

    def known(self, name: str, parse: Callable[[str], T], failed: Callable[[Exception], object]) -> T | None:
        """What the stored list says; None if there is none.

        If it cannot be read, what was known before, and `failed` is told: no view is lost for a list. Once an hour one
        view waits for the shelf to answer, and for a list that has changed to be read.
        """
        if name not in self._fresh and name not in self._failed:
            self._failed.put(name, value=True)  # whoever asks meanwhile takes what there is
            try:
                self._read(name, parse)
            except (Unavailable, Damaged) as error:
                failed(error)
        last = self._last.get(name)
        value: T | None = last.value if last else None
        return value

    def _read(self, name: str, parse: Callable[[str], object]) -> None:
        body = self._shelf.get(name)
        last = self._last.get(name)
        if last is None or last.body != body:
            self._last[name] = _Known(None if body is None else checked(body, parse), body)
        self._fresh.put(name, value=True)
        self._failed.forget(name)
