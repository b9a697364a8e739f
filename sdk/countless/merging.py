"""Puts page views in order by time, within a window: servers write lines as requests end, and several at once."""

import heapq
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import NamedTuple

from countless.client import Hit

WINDOW = 10_000
"""Page views that wait in memory at most, in all files together, unless somebody says otherwise, …"""
MAXIMUM_WINDOW = 100_000
WINDOW_BYTES = 32 * 1024 * 1024
"""… and the bytes of their lines."""


class View(NamedTuple):
    """A page view, and where it stands."""

    at: datetime
    file: int
    line: int
    """Counted from 1."""
    number: int
    """Of the page view among those of its file, counted from 1."""
    size: int
    """Bytes of the line."""
    hit: Hit


def merged(files: Sequence[Iterable[View]], window: int = WINDOW) -> Iterator[View]:
    """The page views of these files as one sequence in order by time; of one moment, in the order of files and lines.

    What comes too late for the window comes when it is read. The order depends on nothing but the files and the window.
    """
    share = max(1, len(files))
    ordered = (_ordered(views, max(1, window // share), WINDOW_BYTES // share) for views in files)
    return heapq.merge(*ordered, key=_place)


def _ordered(views: Iterable[View], most: int, bytes_: int) -> Iterator[View]:
    """One file's, of which at most so many wait."""
    waiting: list[tuple[datetime, int, int, View]] = []
    held = 0
    for view in views:
        heapq.heappush(waiting, (*_place(view), view))
        held += view.size
        while len(waiting) > most or held > bytes_:
            first = heapq.heappop(waiting)[-1]
            held -= first.size
            yield first
    while waiting:
        yield heapq.heappop(waiting)[-1]


def _place(view: View) -> tuple[datetime, int, int]:
    return view.at, view.file, view.line
