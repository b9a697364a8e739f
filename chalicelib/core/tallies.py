"""One number for a page: its visits, or a whole stream's, without the series that a report makes of them."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence

from .cells import SUMMARY, VISITS
from .periods import Range
from .reading import Reader, Snapshot
from .segments import Kind

BEGINNING = -62_135_596_800
"""The first second of the year 1: nothing that was counted is older."""


def since(start: int | None, end: int) -> Range:
    """From a moment, or from the beginning, to another: both in Unix seconds, both included."""
    return Range(BEGINNING if start is None else start, end)


_EVER = (BEGINNING // 86400, 1 << 40)
"""From the first day to a last that no event can have."""


class Tallies:
    """Answers how many visits there were."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def site(self, stream: str, when: Range) -> int:
        """The visits of all paths, events included."""
        return self._reader.answer(stream, lambda snapshot: _site(snapshot, when))

    def paths(self, stream: str) -> dict[int, int]:
        """The visits of every path since counting began, by id. It reads all of the stream's counts."""
        return self._reader.answer(stream, _paths)

    def path(self, stream: str, when: Range, spellings: Sequence[str]) -> int | None:
        """The visits of the first of these paths that is known, regardless of case; None if none is."""
        return self._reader.answer(stream, lambda snapshot: _path(snapshot, when, spellings))


def _site(snapshot: Snapshot, when: Range) -> int:
    first, last = when.hours
    return sum(
        count
        for part in snapshot.parts(SUMMARY, first // 24, last // 24)
        if part.hours is not None
        for hour, count in zip(part.hours.hour, part.hours.visits, strict=True)
        if first <= hour <= last
    )


def _paths(snapshot: Snapshot) -> dict[int, int]:
    found: dict[int, int] = {}
    for part in snapshot.parts(VISITS, *_EVER):
        if part.visits is not None:
            for path, count in zip(part.visits.path, part.visits.visits, strict=True):
                found[path] = found.get(path, 0) + count
    return found


def _path(snapshot: Snapshot, when: Range, spellings: Sequence[str]) -> int | None:
    path = _known(snapshot, spellings)
    if path is None:
        return None
    first, last = when.hours
    found = 0
    for part in snapshot.parts(VISITS, first // 24, last // 24, (path,)):
        table = part.visits
        if table is None:
            continue
        rows = slice(bisect_left(table.path, path), bisect_right(table.path, path))
        found += sum(
            count for hour, count in zip(table.time[rows], table.visits[rows], strict=True) if first <= hour <= last
        )
    return found


def _known(snapshot: Snapshot, spellings: Sequence[str]) -> int | None:
    """The id of the first of these that the stream knows."""
    wanted = {spelling.lower(): rank for rank, spelling in reversed(list(enumerate(spellings)))}
    best: tuple[int, int] | None = None
    for i, name in snapshot.names.live(Kind.PATH):
        rank = wanted.get(name.partition("\0")[0].lower())
        if rank is not None and (best is None or rank < best[0]):
            best = rank, i
            if rank == 0:
                break
    return best[1] if best else None
