"""Gives names their ids: by first appearance, as long as there is room for more."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from . import names as naming
from .segments import GONE, Kind, Segment

if TYPE_CHECKING:
    from .writer import Stream

DAY = 86400


class _Crowded(Exception):
    """There is no room for a name, unless it is known who sent it, or it has earned its place."""


class Ids(dict[str, int]):
    """Ids of one kind's names in a batch: looks up, and gives new ids by first appearance."""

    def __init__(self, kind: Kind, stream: "Stream", day: int) -> None:
        super().__init__()
        self.kind = kind
        self.known: Mapping[str, int] = stream.ids[kind]
        self.bounds = stream.bounds
        self.candidates = stream.candidates[kind]
        self.day = day
        self.first = stream.counts[kind] + 1
        self._characters = stream.characters[kind]
        self._begin()

    def _begin(self) -> None:
        self.clear()
        self.fresh: dict[str, int] = {}
        self.names: list[str] = []
        self.refused: list[int] = []
        self.characters = self._characters

    def of(self, texts: Iterable[str | None], keyed: Sequence[bool]) -> list[int]:
        """The ids of names, 0 for none; `keyed` says of each whether it was sent with a key."""
        wanted = list(texts)
        try:
            return [0 if name is None else self[name] for name in wanted]
        except _Crowded:
            self._begin()
            counted = self.candidates.copy()
            counted.replay((), (), self.day)
            return [
                0 if name is None else self._sent(name, counted, keyed=key)
                for name, key in zip(wanted, keyed, strict=True)
            ]

    def __missing__(self, name: str) -> int:
        identity = naming.identity(self.kind, name)
        found = self.known.get(identity) or self.fresh.get(identity)
        if found is None:
            if not self._fits(name, naming.RESERVED - 1):
                raise _Crowded
            found = self._add(name, identity)
        self[name] = found
        return found

    def _sent(self, name: str, counted: naming.Candidates, *, keyed: bool) -> int:
        """The id of a name where strangers have no room for new ones."""
        identity = naming.identity(self.kind, name)
        found = self.known.get(identity) or self.fresh.get(identity)
        if found is not None:
            return found
        if self._fits(name, naming.RESERVED - 1):
            return self._add(name, identity)
        seen = naming.checksum(self.kind, name)
        today = self.bounds.names // naming.EARNED_A_DAY
        earned = counted.close(seen) and counted.earned < max(today, 1)
        if (keyed or earned) and self._fits(name, naming.RESERVED):
            counted.replay((), (seen,), self.day)
            return self._add(name, identity)
        if not keyed:
            counted.see(seen)
            self.refused.append(seen)
        return self._other()

    def _fits(self, name: str, fifths: int) -> bool:
        """Whether there is room for a name in so many fifths of all that there is."""
        most = self.bounds.names if fifths == naming.RESERVED else self.bounds.open
        characters = naming.BYTES // naming.RESERVED * fifths
        return len(self.known) + len(self.names) < most and self.characters + len(name) <= characters

    def _other(self) -> int:
        """The id of the name that stands for all that there is no room for."""
        name = naming.other(self.kind)
        identity = naming.identity(self.kind, name)
        return self.known.get(identity) or self.fresh.get(identity) or self._add(name, identity)

    def _add(self, name: str, identity: str) -> int:
        following = self.first + len(self.names)
        self.fresh[identity] = following
        self.names.append(name)
        self.characters += len(name)
        return following


def replay_candidates(candidates: Sequence[naming.Candidates], segment: Segment) -> None:
    """Counts the names that a segment refused, and lets go of those that it added."""
    for kind in Kind:
        refused = segment.refused[kind]
        if refused or candidates[kind].counts:
            added = [naming.checksum(kind, name) for name in segment.names[kind] if name != GONE]
            candidates[kind].replay(refused, added, segment.clock // DAY)
