"""The names of a stream: paths with their titles, referrers, campaigns, browsers and so on; each kind has its own ids.

Ids are given by first appearance in the log, from 1. Paths, referrers and campaigns are told apart without regard to
case, and keep the spelling that came first (page-view contract, section 7.1).
"""

import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from . import fitting
from .columns import Reader, Writer
from .errors import BrokenLog
from .segments import GONE, Kind, Renamed, Segment

LIMIT = 100_000
"""How many names of each kind a stream may have: `/count` is public, so somebody will try. Beyond it, `OTHER`."""
RESERVED = 5
"""A fifth of them is kept for names that were sent with a key, or that were earned: what strangers make up in a night
leaves room for an owner's new pages."""
EARNED = 10
"""A name has earned its place once it was seen so often though there was no room for it, …"""
EARNED_A_DAY = 100
"""… at most a hundredth of all names in a day, so that who sends each invented name ten times does not fill what is
kept before somebody can look (`countless paths purge --at-most-visits`)."""
CANDIDATES = 500
"""So many names of a kind are counted until they have earned a place."""
BYTES = 16_000_000
"""How many characters the names of one kind may have in all, so that whoever holds them knows what it takes."""
OTHER = "(other)"
_FOLDED = (Kind.PATH, Kind.REF, Kind.CAMPAIGN)


def path_name(path: str, title: str) -> str:
    """A path's name as stored: texts hold no NUL, so it separates."""
    return f"{path}\0{title}"


def ref_name(scheme: str, ref: str) -> str:
    """A referrer's name as stored: its scheme is one letter."""
    return scheme + ref


def versioned(name: str, version: str) -> str:
    """A browser's or system's name as stored: texts hold no NUL, so it separates. Both may be empty."""
    return f"{name}\0{version}" if version else name


NO_REF = ref_name("o", "")
"""Every stream's referrer 1: none (page-view contract, section 7.2)."""


def identity(kind: Kind, name: str) -> str:
    """What two names of a kind have in common if they are the same."""
    if kind is Kind.PATH:
        return name.partition("\0")[0].lower()
    return name.lower() if kind in _FOLDED else name


def other(kind: Kind) -> str:
    """The name that stands for all names beyond the limit."""
    if kind is Kind.PATH:
        return path_name(OTHER, "")
    return ref_name("o", OTHER) if kind is Kind.REF else OTHER


def renamed(kind: Kind, name: str, to: str) -> str:
    """A name after a redaction gave it another text: a path keeps its title."""
    return path_name(to, name.partition("\0")[2]) if kind is Kind.PATH and to != GONE else to


@dataclass(slots=True)
class Names:
    """Every name of a stream by id: `texts[kind][id - 1]`. Paths hold their current title.

    A name that was redacted is `GONE`, and reads as an empty one; no event uses it. `live` passes over those.
    """

    texts: list[list[str]] = field(default_factory=lambda: [[NO_REF] if kind is Kind.REF else [] for kind in Kind])

    def extend(self, first: Sequence[int], names: Sequence[Sequence[str]], titles: Mapping[int, str]) -> None:
        """Adds names from the given ids on; those that are known already are passed over.

        Raises:
            BrokenLog: names are missing in between.
        """
        for texts, start, added in zip(self.texts, first, names, strict=True):
            if added and start > len(texts) + 1:
                raise BrokenLog(f"names from {start} follow {len(texts)}")
            texts.extend(added[max(0, len(texts) + 1 - start) :])
        paths = self.texts[Kind.PATH]
        for path, title in titles.items():
            paths[path - 1] = path_name(paths[path - 1].partition("\0")[0], title)

    def rename(self, changes: Iterable[Renamed]) -> None:
        """Does what a redaction orders."""
        for kind, i, name in changes:
            texts = self.texts[kind]
            texts[i - 1] = renamed(Kind(kind), texts[i - 1], name)

    def live(self, kind: Kind) -> Iterator[tuple[int, str]]:
        """The ids and names of a kind that were not redacted."""
        return ((i, self.texts[kind][i - 1]) for i in self.ids(kind, 0))

    def ids(self, kind: Kind, after: int) -> Iterator[int]:
        """The ids above one of a kind's names that were not redacted, in order."""
        texts = self.texts[kind]
        return (i for i in range(after + 1, len(texts) + 1) if texts[i - 1] != GONE)

    def has(self, kind: Kind, name: int) -> bool:
        """Whether there is a name of this id."""
        return 1 <= name <= len(self.texts[kind]) and self.texts[kind][name - 1] != GONE

    def replay(self, segment: Segment) -> None:
        """Takes in what a segment adds. What a redaction orders shows when it is through."""
        titles = {retitle.path: retitle.title for retitle in segment.retitles}
        self.extend(segment.first_names, segment.names, titles)

    @property
    def size(self) -> int:
        """Roughly the bytes of memory that it takes."""
        return sum(len(texts) * 100 + sum(map(len, texts)) for texts in self.texts)

    def counts(self) -> list[int]:
        """How many ids of each kind were given, those of redacted names included."""
        return [len(texts) for texts in self.texts]

    def path(self, path: int) -> tuple[str, str]:
        """A path's text and title."""
        text, _, title = self.texts[Kind.PATH][path - 1].partition("\0")
        return text, title

    def agent(self, kind: Kind, agent: int) -> tuple[str, str]:
        """A browser's or system's name and version."""
        name, _, version = self.texts[kind][agent - 1].partition("\0")
        return name, version

    def ref(self, ref: int) -> tuple[str, str]:
        """A referrer's scheme and text."""
        name = self.texts[Kind.REF][ref - 1]
        return (name[0], name[1:]) if name != GONE else (NO_REF, "")


@dataclass(slots=True)
class Candidates:
    """Names of one kind that there was no room for, by checksum: how often each was seen, at least.

    Of more than `CANDIDATES` those are kept that were seen most: whoever comes when all places are taken costs each of
    the others a sighting (Misra and Gries, Finding repeated elements, 1982). So a name of which more than one in 500
    sightings was is always among them, however many others are made up meanwhile; and no count is ever too high.
    """

    counts: dict[int, int] = field(default_factory=dict)
    day: int = 0
    """The day of the stream's clock, from 1970, of which it is known …"""
    earned: int = 0
    """… how many names have earned their place."""

    def see(self, name: int) -> None:
        """Counts a sighting."""
        if name in self.counts:
            self.counts[name] += 1
        elif len(self.counts) < CANDIDATES:
            self.counts[name] = 1
        else:
            self.counts = {each: count - 1 for each, count in self.counts.items() if count > 1}

    def close(self, name: int) -> bool:
        """Whether a name has earned its place if it is seen once more."""
        return self.counts.get(name, 0) + 1 >= EARNED

    def replay(self, refused: Iterable[int], added: Iterable[int], day: int) -> None:
        """Takes in what a segment refused, and the names that it added."""
        if day != self.day:
            self.day, self.earned = day, 0
        for name in refused:
            self.see(name)
        for name in added:
            self.earned += self.close(name)
            self.counts.pop(name, None)

    def copy(self) -> "Candidates":
        """Another of the same contents."""
        return Candidates(dict(self.counts), self.day, self.earned)


def checksum(kind: Kind, name: str) -> int:
    """What a name is counted by as long as it has no place."""
    return zlib.crc32(identity(kind, name).encode())


class Added(NamedTuple):
    """A name that a run of segments added, or the title that a path got (then `kind` is -1, and `name` the title)."""

    kind: int
    id: int
    name: str


_TITLE = -1


@dataclass(slots=True)
class NamesRun:
    """The names that a run of segments added, as the rollups keep them; of each path the last new title alone."""

    first: list[int]
    names: list[list[str]]
    titles: dict[int, str]

    def __bool__(self) -> bool:
        return bool(self.titles) or any(self.names)

    def join(self, later: "NamesRun") -> None:
        """Takes in the run that follows directly."""
        for kind in Kind:
            if later.names[kind] and not self.names[kind]:
                self.first[kind] = later.first[kind]
            self.names[kind].extend(later.names[kind])
        self.titles.update(later.titles)

    def redacted(self, changes: Mapping[tuple[int, int], str]) -> bool:
        """Gives names by (kind, id) another text, and drops titles of those that are gone; whether that changed any."""
        changed = False
        for kind in Kind:
            for at, name in enumerate(self.names[kind]):
                to = changes.get((kind, self.first[kind] + at))
                if to is not None and (text := renamed(kind, name, to)) != name:
                    self.names[kind][at] = text
                    changed = True
        gone = [path for path in self.titles if changes.get((Kind.PATH, path)) == GONE]
        for path in gone:
            del self.titles[path]
        return changed or bool(gone)

    def pieces(self, limit: int) -> list[bytes]:
        """The run's bytes, in as many pieces as it takes for each to be within the limit."""
        rows = [Added(kind, i, name) for kind in Kind for i, name in enumerate(self.names[kind], self.first[kind])]
        rows += [Added(_TITLE, path, title) for path, title in self.titles.items()]
        return [data for _, data in fitting.pieces(rows, _pack_added, limit)]


def _pack_added(rows: Sequence[Added]) -> bytes:
    out = Writer()
    for kind in Kind:
        of_kind = [row for row in rows if row.kind == kind]
        out.uint(of_kind[0].id if of_kind else 1)
        out.texts([row.name for row in of_kind])
    titles = [row for row in rows if row.kind == _TITLE]
    out.column([row.id for row in titles])
    out.texts([row.name for row in titles])
    return out.frame(b"N", 1)


def run_of(first: Sequence[int], segments: Sequence[Segment]) -> NamesRun:
    """The names that segments add, where `first` are the ids that follow what is known before them."""
    run = NamesRun(list(first), [[] for _ in Kind], {})
    for segment in segments:
        for mine, start, theirs, begin in zip(run.names, segment.first_names, segment.names, run.first, strict=True):
            mine.extend(theirs[max(0, begin + len(mine) - start) :])
        run.titles.update((retitle.path, retitle.title) for retitle in segment.retitles)
    return run


def unpack_run(data: bytes) -> NamesRun:
    """One of the pieces that `NamesRun.pieces` packed."""
    reader = Reader(data, b"N", 1)
    first, names = [], []
    for _ in Kind:
        first.append(reader.uint())
        names.append(reader.texts())
    return NamesRun(first, names, dict(zip(reader.column(), reader.texts(), strict=True)))
