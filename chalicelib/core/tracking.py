"""Follows sessions: through hits that are to be written, and decides; through a written segment, which has decided."""

from collections.abc import Sequence
from itertools import chain

from . import sessions
from .events import Hit
from .messages import LIVE
from .segments import FIRST, Columns, Segment, Touched
from .sessions import Entry, Sessions, Window


class _Room:
    """What is left for sessions in a window as a batch goes on."""

    def __init__(self, window: Window, limit: int) -> None:
        self._slices = window.slices()
        self._delta: dict[int, int] = {}
        self._since = sessions.oldest(window.clock)
        self._living = sum(size for at, size in self._slices.items() if at >= self._since)
        self._limit = limit

    def fits(self, growth: int, clock: int) -> bool:
        """Whether the living sessions may cost so many bytes more."""
        since = sessions.oldest(clock)
        if since > self._since:
            self._since = since
            both = (self._slices, self._delta)
            self._living = sum(size for some in both for at, size in some.items() if at >= since)
        return self._living + growth <= self._limit

    def change(self, old: Sessions | None, new: Sessions | None) -> None:
        """Counts that a visitor's sessions took the place of others."""
        for held, sign in ((old, -1), (new, 1)):
            for entry in sessions.each(held):
                at, size = sessions.slice_of(entry), sign * sessions.cost(entry)
                self._delta[at] = self._delta.get(at, 0) + size
                if at >= self._since:
                    self._living += size


class Tracker:
    """Follows sessions through a batch over a window that it leaves as it is."""

    def __init__(self, window: Window, next_session: int, limit: int) -> None:
        self.window = window
        self.clock = window.clock
        self.next_session = next_session
        self.changes: dict[int, Sessions | None] = {}
        self.touched: list[Touched] = []
        self.indexes: dict[int, int] = {}
        self.alone = 0
        self._limit = limit
        self._room: _Room | None = None

    def track(self, hits: Sequence[Hit], accepted: Sequence[int], columns: Columns) -> None:
        """Fills in `session`, and `FIRST` in `flags`."""
        if self.window.size + len(hits) * sessions.GROWTH > self._limit:
            self._room = _Room(self.window, self._limit)
        flags = columns.flags
        session_column = []
        for i, hit in enumerate(hits):
            moment = accepted[i]
            self.clock = max(self.clock, moment)
            if not hit.session:
                flags[i] |= FIRST
                session_column.append(0)
                continue
            index, first = self._touch(hit, moment if moment - hit.at <= LIVE else hit.at, columns.path[i])
            session_column.append(index)
            if first:
                flags[i] |= FIRST
        columns.session = session_column

    def _known(self, key: int) -> Sessions | None:
        return self.changes[key] if key in self.changes else self.window.get(key)

    def _change(self, key: int, held: Sessions | None, old: Entry | None, new: Entry | None) -> None:
        """Has `new` stand for `old` among what the key leads to, which is `held`."""
        changed = sessions.swap(held, old, new, self.clock)
        if self._room is not None:
            self._room.change(held, changed)
        self.changes[key] = changed

    def _touch(self, hit: Hit, moment: int, path: int) -> tuple[int, bool]:
        """The hit's session, 1 + its index; and whether it is the first there on its path.

        Where it would make the sessions cost more than they may, it has none, and nobody remembers it.
        """
        key, previous, before = hit.session, 0, None
        held = self._known(key)
        entry = sessions.find(held, self.clock, moment)
        if entry is None and hit.previous:
            before = self._known(hit.previous)
            entry = sessions.find(before, self.clock, moment)
            previous = hit.previous if entry is not None else 0
        path_key = sessions.path_key(path)
        first = entry is None or not sessions.has_seen(entry, path_key)
        growth = sessions.GROWTH if entry is None else 4 * first
        if growth and self._room is not None and not self._room.fits(growth, self.clock):
            self.alone += 1
            return 0, True
        if entry is None:
            number = self.next_session
            self.next_session += 1
            new = sessions.start(number, self.clock, moment, path_key)
        else:
            number = sessions.number(entry)
            new = sessions.follow(entry, self.clock, moment, path_key if first else b"")
        if previous:
            self._change(previous, before, entry, None)
            entry = None
        self._change(key, held, entry, new)
        index = self.indexes.get(number)
        if index is None or previous:
            self.indexes[number] = index = len(self.touched)
            self.touched.append(Touched(number, key, previous))
        return index + 1, first


def replay_sessions(window: Window, segment: Segment) -> dict[int, Sessions | None]:
    """What a written segment changes in the window as it stood before it.

    It follows the segment's facts, not the rules that led to them: which session, first on its path or not.
    """
    changes: dict[int, Sessions | None] = dict.fromkeys(segment.orders.forgotten) if segment.orders else {}
    if segment.merged:
        return changes  # sessions so old have ended, and their keys are gone

    def known(key: int) -> Sessions | None:
        return changes[key] if key in changes else window.get(key)

    events = segment.events
    clock, indexes = window.clock, events.session
    entries: dict[int, Entry] = {}  # as they stand, by index
    for i, accepted in enumerate(moments(segment)):
        clock = max(clock, accepted)
        index = indexes[i]
        if not index:
            continue
        number, key, previous = segment.sessions[index - 1]
        entry = entries.get(index)
        if entry is None:
            entry = sessions.numbered(known(previous or key), number)
            if previous and entry is not None:
                changes[previous] = sessions.swap(known(previous), entry, None, clock)
        at = events.at[i]
        moment = accepted if accepted - at <= LIVE else at
        seen = sessions.path_key(events.path[i]) if events.flags[i] & FIRST else b""
        if entry is None:
            new = sessions.start(number, clock, moment, seen)
        else:
            new = sessions.follow(entry, clock, moment, seen)
        changes[key] = sessions.swap(known(key), entry, new, clock)
        entries[index] = new
    return changes


def moments(segment: Segment) -> list[int]:
    """For each event that the segment still holds, when its message was accepted.

    Ids are dense, so an event's id says which of the messages' hits it was, also after redaction took others away.
    """
    accepted = list(chain.from_iterable([message.accepted] * message.held for message in segment.taken))
    begin = segment.next_event - len(accepted)
    return [accepted[event - begin] for event in segment.events.id]
