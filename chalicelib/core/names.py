"""The names of a stream: paths with their titles, referrers, campaigns, browsers and so on; each kind has its own ids.

Ids are given by first appearance in the log, from 1. Paths, referrers and campaigns are told apart without regard to
case, and keep the spelling that came first (page-view contract, section 7.1).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from .columns import Reader, Writer
from .errors import BrokenLog
from .segments import Kind, Retitle, Segment

LIMIT = 100_000
"""How many names of each kind a stream may have: `/count` is public, so somebody will try. Beyond it, `OTHER`."""
OTHER = "(other)"
_FOLDED = (Kind.PATH, Kind.REF, Kind.CAMPAIGN)


def path_name(path: str, title: str) -> str:
    """A path's name as stored: texts hold no NUL, so it separates."""
    return f"{path}\0{title}"


def ref_name(scheme: str, ref: str) -> str:
    """A referrer's name as stored: its scheme is one letter."""
    return scheme + ref


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


@dataclass(slots=True)
class Names:
    """Every name of a stream by id: `texts[kind][id - 1]`. Paths hold their current title."""

    texts: list[list[str]] = field(default_factory=lambda: [[NO_REF] if kind is Kind.REF else [] for kind in Kind])

    def extend(self, first: Sequence[int], names: Sequence[Sequence[str]], retitles: Sequence[Retitle] = ()) -> None:
        """Adds names from the given ids on; those that are known already are passed over.

        Raises:
            BrokenLog: names are missing in between.
        """
        for texts, start, added in zip(self.texts, first, names, strict=True):
            if added and start > len(texts) + 1:
                raise BrokenLog(f"names from {start} follow {len(texts)}")
            texts.extend(added[max(0, len(texts) + 1 - start) :])
        paths = self.texts[Kind.PATH]
        for retitle in retitles:
            paths[retitle.path - 1] = path_name(paths[retitle.path - 1].partition("\0")[0], retitle.title)

    def replay(self, segment: Segment) -> None:
        """Takes in what a segment adds."""
        self.extend(segment.first_names, segment.names, segment.retitles)

    @property
    def size(self) -> int:
        """Roughly the bytes of memory that it takes."""
        return sum(map(len, self.texts)) * 150

    def counts(self) -> list[int]:
        """How many names there are of each kind."""
        return [len(texts) for texts in self.texts]

    def path(self, path: int) -> tuple[str, str]:
        """A path's text and title."""
        text, _, title = self.texts[Kind.PATH][path - 1].partition("\0")
        return text, title

    def ref(self, ref: int) -> tuple[str, str]:
        """A referrer's scheme and text."""
        name = self.texts[Kind.REF][ref - 1]
        return name[0], name[1:]


@dataclass(slots=True)
class NamesRun:
    """The names that a run of segments added, as the rollups keep them."""

    first: list[int]
    names: list[list[str]]
    retitles: list[Retitle]

    def pack(self) -> bytes:
        """The run's bytes."""
        out = Writer()
        for first, names in zip(self.first, self.names, strict=True):
            out.uint(first)
            out.texts(names)
        out.column([retitle.path for retitle in self.retitles])
        out.texts([retitle.title for retitle in self.retitles])
        return out.frame(b"N", 1)

    def __bool__(self) -> bool:
        return bool(self.retitles) or any(self.names)

    def join(self, later: "NamesRun") -> None:
        """Takes in the run that follows directly."""
        for mine, theirs in zip(self.names, later.names, strict=True):
            mine.extend(theirs)
        self.retitles.extend(later.retitles)


def run_of(first: Sequence[int], segments: Sequence[Segment]) -> NamesRun:
    """The names that segments add, where `first` are the ids that follow what is known before them."""
    run = NamesRun(list(first), [[] for _ in Kind], [])
    for segment in segments:
        for mine, start, theirs, begin in zip(run.names, segment.first_names, segment.names, run.first, strict=True):
            mine.extend(theirs[max(0, begin + len(mine) - start) :])
        run.retitles.extend(segment.retitles)
    return run


def unpack_run(data: bytes) -> NamesRun:
    """The run that `NamesRun.pack` packed."""
    reader = Reader(data, b"N", 1)
    first, names = [], []
    for _ in Kind:
        first.append(reader.uint())
        names.append(reader.texts())
    retitles = [Retitle(0, path, title) for path, title in zip(reader.column(), reader.texts(), strict=True)]
    return NamesRun(first, names, retitles)
