"""What is to be taken out of a stream, how far that is, and what becomes of each segment by it: rules without AWS."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from itertools import accumulate, compress
from typing import Any

from . import names as naming
from .errors import Invalid
from .manifest import Period, periods_from, periods_to
from .names import Names
from .segments import GONE, Columns, Kind, Renamed, Segment

DELETED = "The site is deleted."
"""Why nothing was done that was asked for."""


class Act(StrEnum):
    """What is to be done."""

    PURGE = "purge"
    RETAIN = "retain"
    MERGE = "merge"
    RENAME = "rename"
    ERASE = "erase"
    TIDY = "tidy"
    """Only names without events go."""
    SEAL = "seal"
    """The whole stream goes, and takes nothing any more."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody asked for."""

    id: str
    act: Act
    asked_at: int
    paths: tuple[int, ...] = ()
    """The paths concerned; none for all of them."""
    start: int | None = None
    """Events from this moment on, in Unix seconds; None for the first."""
    end: int | None = None
    """Events up to this moment, which is included; None for the last."""
    target: int = 0
    """The path that others are merged into."""
    name: str = ""
    """A path's new name."""
    keys: tuple[int, ...] = ()
    """The sessions that are erased, by key."""
    agent: str = ""
    """`agent_key` of the User-Agent of which bots' hits are erased."""


class Gone(Exception):
    """A path that a wish names is not there any more; the message says which, in a sentence."""


@dataclass(slots=True)
class Notes:
    """How far a redaction is: all that is needed to go on after any crash."""

    phase: str = "scan"
    cursor: int = 0
    """The last item that was read."""
    head: int = 0
    """The last segment that was read."""
    last: tuple[int, ...] = (0, 1, 1, 0)
    """Epoch, next event, next session and clock after that segment."""
    counts: list[int] = field(default_factory=lambda: Names().counts())
    """How many ids of names had been given up to there."""
    used: list[set[int]] = field(default_factory=lambda: [set() for _ in Kind])
    """Names that remaining events use."""
    gone: list[set[int]] = field(default_factory=lambda: [set() for _ in Kind])
    """Names that were redacted before."""
    sessions: set[int] = field(default_factory=set)
    """Numbers of the sessions that are erased."""
    found: int = 0
    """The first session number that was not given yet when they were looked for."""
    spans: list[tuple[int, int]] = field(default_factory=list)
    """The days that have to be counted again, in spans that no period straddles."""
    removed: int = 0
    moved: int = 0
    target: int = 0
    marker: int = 0
    renamed: list[Renamed] = field(default_factory=list)
    more: bool = False
    """Whether more names are to go than one marker can name."""
    texts: list[str] = field(default_factory=list)
    """The name of the path that is renamed."""
    hashes: list[int] = field(default_factory=list)
    """`hashed` names of the wish's paths, for what is stored by text: of thousands the texts do not fit."""
    periods: dict[Period, Any] = field(default_factory=dict)
    events: int = 0
    floor: int = 0
    """Sessions below this number have ended."""
    kept: set[int] = field(default_factory=set)
    """Sessions from `floor` on of which events are left."""
    doomed: list[str] = field(default_factory=list)
    """Parts that nobody names once it is through."""

    def dump(self) -> dict[str, Any]:
        """As JSON has it; `load` reads it."""
        said = {each.name: getattr(self, each.name) for each in fields(self)}
        return said | {
            "used": list(map(_deltas, self.used)),
            "gone": list(map(_deltas, self.gone)),
            "sessions": _deltas(self.sessions),
            "kept": _deltas(self.kept),
            "periods": periods_to(self.periods),
        }

    @classmethod
    def load(cls, said: dict[str, Any]) -> "Notes":
        """What `dump` said."""
        return cls(
            **said
            | {
                "last": tuple(said["last"]),
                "used": list(map(_summed, said["used"])),
                "gone": list(map(_summed, said["gone"])),
                "sessions": _summed(said["sessions"]),
                "kept": _summed(said["kept"]),
                "spans": [(first, last) for first, last in said["spans"]],
                "renamed": [Renamed(*each) for each in said["renamed"]],
                "periods": periods_from(said["periods"]),
            }
        )


def _deltas(numbers: Collection[int]) -> list[int]:
    ordered = sorted(numbers)
    return [number - before for number, before in zip(ordered, [0, *ordered], strict=False)]


def _summed(deltas: Iterable[int]) -> set[int]:
    return set(accumulate(deltas))


class Plan:
    """What becomes of a stream's events, as far as a wish and what was found say."""

    def __init__(self, wish: Wish, notes: Notes) -> None:
        self._wish = wish
        self._paths = frozenset(wish.paths)
        self._sessions = notes.sessions
        self._moves = wish.act is Act.MERGE or (wish.act is Act.RENAME and notes.target > 0)
        self._target = notes.target
        self._renamed = {(kind, i): name for kind, i, name in notes.renamed}

    def kept(self, segment: Segment) -> list[bool] | None:
        """For each event whether it stays; None if all do."""
        wish, events = self._wish, segment.events
        if wish.act is Act.ERASE:
            indexes = {i for i, touched in enumerate(segment.sessions, 1) if touched.number in self._sessions}
            kept = [index not in indexes for index in events.session] if indexes else []
        elif wish.act in (Act.PURGE, Act.RETAIN):
            start = -(1 << 63) if wish.start is None else wish.start
            end = 1 << 63 if wish.end is None else wish.end
            if self._paths:
                paths = self._paths
                kept = [not (p in paths and start <= at <= end) for p, at in zip(events.path, events.at, strict=True)]
            else:
                kept = [not start <= at <= end for at in events.at]
        else:
            kept = []
        return None if all(kept) else kept

    def moved(self, segment: Segment) -> list[int] | None:
        """The events' paths, if any becomes another."""
        if not self._moves or self._paths.isdisjoint(segment.events.path):
            return None
        return [self._target if path in self._paths else path for path in segment.events.path]

    def rewritten(self, segment: Segment) -> Segment:
        """What the segment becomes; the same object if that is what it was."""
        less = segment
        paths = self.moved(segment)
        if paths is not None:
            titles = [
                title if path == now else 0
                for title, path, now in zip(segment.events.title, segment.events.path, paths, strict=True)
            ]
            less = replace(less, events=replace(segment.events, path=paths, title=titles))
        kept = self.kept(segment)
        if kept is not None:
            less = without(less, kept)
        if self._renamed:
            less = self._named(less)
        if less.orders is not None and not less.orders.sealed:
            less = replace(less, orders=None)
        return less

    def _named(self, segment: Segment) -> Segment:
        names, changed = [], False
        for kind, first, texts in zip(Kind, segment.first_names, segment.names, strict=True):
            asked = ((text, self._renamed.get((kind, i))) for i, text in enumerate(texts, first))
            names.append([text if to is None else naming.renamed(kind, text, to) for text, to in asked])
            changed = changed or names[-1] != texts
        retitles = [each for each in segment.retitles if self._renamed.get((Kind.PATH, each.path)) != GONE]
        if not changed and len(retitles) == len(segment.retitles):
            return segment
        return replace(segment, names=names, retitles=retitles)


def without(segment: Segment, kept: Sequence[bool]) -> Segment:
    """The segment with only the events that are kept, and the sessions that those belong to."""
    columns = Columns(*(list(compress(column, kept)) for column in segment.events.all()))
    used = sorted({index for index in columns.session if index})
    renumbered = {index: i for i, index in enumerate(used, 1)} | {0: 0}
    columns.session = [renumbered[index] for index in columns.session]
    return replace(
        segment,
        sessions=[segment.sessions[index - 1] for index in used],
        retitles=[retitle._replace(event=0) for retitle in segment.retitles],
        events=columns,
        refused=[[] for _ in Kind],
    )


def require_one_kind(paths: Iterable[str]) -> None:
    """Pages stay pages, and events stay events.

    Raises:
        Invalid: they are mixed.
    """
    if len({path.startswith("/") for path in paths}) > 1:
        raise Invalid("Pages and events cannot become one another: pages begin with a slash, events do not.")
