"""Answers to questions about a stream's visits by one of their properties: browser, place, referrer and so on.

Like the reports, every number is a number of visits, and every answer is of one snapshot. What a property's days are
is said where it is asked for: dimensions are kept by UTC day, referrers by hour (page-view contract, sections 2.7 to
2.9 and 6).
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import compress
from operator import itemgetter
from typing import NamedTuple

from .cells import SUMMARY, VISITS, Counts, Dimension, dimension_bit
from .names import Names
from .periods import DAY, Range
from .reading import Reader, Snapshot
from .reports import EVERY_PATH, PathFilter
from .segments import Kind
from .sums import add, by_path, within

_CAMPAIGN = 32
"""Where the campaign stands in a value of its dimension, above the referrer."""
_SCHEMES = "hgco"
_KINDS = {
    Dimension.BROWSER: Kind.BROWSER,
    Dimension.SYSTEM: Kind.SYSTEM,
    Dimension.LOCATION: Kind.LOCATION,
    Dimension.LANGUAGE: Kind.LANGUAGE,
}


class Counted(NamedTuple):
    """How many visits had a value: its id, and its name as stored. For a width the id is pixels, without a name."""

    id: int
    text: str
    visits: int


class Breakdowns:
    """Answers questions about streams. Lists are complete: most visits first, lower ids first where they are equal."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def values(
        self, stream: str, dimension: Dimension, when: Range, paths: PathFilter = EVERY_PATH
    ) -> Sequence[Counted]:
        """Visits by the values of a dimension other than `CAMPAIGN`, on the range's days as days of UTC.

        The value 0 stands for what is not known, and has an empty name.
        """

        def question(snapshot: Snapshot) -> list[Counted]:
            sums = _by_day(snapshot, dimension, when, paths.resolve(snapshot.names))
            kind = _KINDS.get(dimension)
            return _ranked(sums, [] if kind is None else snapshot.names.texts[kind])

        return self._reader.answer(stream, question)

    def campaigns(self, stream: str, when: Range, paths: PathFilter = EVERY_PATH) -> Sequence[Counted]:
        """Visits by campaign, on the range's days as days of UTC."""

        def question(snapshot: Snapshot) -> list[Counted]:
            sums = Counter[int]()
            for value, count in _campaigns(snapshot, when, paths).items():
                sums[value >> _CAMPAIGN] += count
            return _ranked(sums, snapshot.names.texts[Kind.CAMPAIGN])

        return self._reader.answer(stream, question)

    def campaign(self, stream: str, campaign: int, when: Range, paths: PathFilter = EVERY_PATH) -> Sequence[Counted]:
        """Visits of one campaign by their referrers, on the range's days as days of UTC. Names begin with a scheme."""

        def question(snapshot: Snapshot) -> list[Counted]:
            found = _campaigns(snapshot, when, paths).items()
            sums = {value & (1 << _CAMPAIGN) - 1: count for value, count in found if value >> _CAMPAIGN == campaign}
            return _ranked(sums, snapshot.names.texts[Kind.REF])

        return self._reader.answer(stream, question)

    def referrers(self, stream: str, when: Range, paths: PathFilter = EVERY_PATH) -> Sequence[Counted]:
        """Visits by referrer, in the range's hours. Names begin with a scheme."""

        def question(snapshot: Snapshot) -> list[Counted]:
            sums = Counter[int]()
            for table in _visits(snapshot, when, paths.resolve(snapshot.names)):
                add(sums, *within(table, table.value, *when.hours))
            return _ranked(sums, snapshot.names.texts[Kind.REF])

        return self._reader.answer(stream, question)

    def paths(self, stream: str, referrer: str, when: Range, paths: PathFilter = EVERY_PATH) -> Sequence[Counted]:
        """Visits by path of those that came from a referrer, named without scheme and case, in the range's hours."""

        def question(snapshot: Snapshot) -> list[Counted]:
            meant = _refs(snapshot.names, referrer)
            sums = Counter[int]()
            for table in _visits(snapshot, when, paths.resolve(snapshot.names)) if meant else ():
                chosen = Counts(*(list(compress(column, map(meant.__contains__, table.value))) for column in table))
                add(sums, *within(chosen, chosen.path, *when.hours))
            ranked = _ranked(sums, snapshot.names.texts[Kind.PATH])
            return [Counted(path.id, path.text.partition("\0")[0], path.visits) for path in ranked]

        return self._reader.answer(stream, question)


def _refs(names: Names, referrer: str) -> frozenset[int]:
    """Referrers of this text; one text may have several schemes."""
    wanted = {scheme + referrer.lower() for scheme in _SCHEMES}
    return frozenset(i for i, name in enumerate(map(str.lower, names.texts[Kind.REF]), 1) if name in wanted)


def _campaigns(snapshot: Snapshot, when: Range, paths: PathFilter) -> Counter[int]:
    return _by_day(snapshot, Dimension.CAMPAIGN, when, paths.resolve(snapshot.names))


def _by_day(snapshot: Snapshot, dimension: Dimension, when: Range, paths: Collection[int] | None) -> Counter[int]:
    """Visits by value: from the sums of each day, or for some paths from their own counts."""
    sums = Counter[int]()
    if when.end < when.start:
        return sums
    first, last = when.dates
    tables: Iterable[Counts | None]
    if paths is None:
        tables = (part.sums[dimension] for part in snapshot.parts(SUMMARY, first, last))
    else:
        parts = snapshot.parts(dimension_bit(dimension), first, last, paths)
        tables = (counts for part in parts for _, counts in by_path(part.values[dimension], paths))
    for table in tables:
        if table is not None:
            add(sums, *within(table, table.value, first, last))
    return sums


def _visits(snapshot: Snapshot, when: Range, paths: Collection[int] | None) -> Iterator[Counts]:
    """Visits by path, hour and referrer of the range's days, of all paths or of these."""
    for part in snapshot.parts(VISITS, when.start // DAY, when.end // DAY, paths):
        if paths is not None:
            yield from (counts for _, counts in by_path(part.visits, paths))
        elif part.visits is not None:
            yield part.visits


def _ranked(sums: dict[int, int], texts: Sequence[str]) -> list[Counted]:
    ranked = sorted(sorted(item for item in sums.items() if item[1] > 0), key=itemgetter(1), reverse=True)
    return [Counted(i, texts[i - 1] if 0 < i <= len(texts) else "", count) for i, count in ranked]
