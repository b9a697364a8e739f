"""Turns messages into the next segment of a stream: what depends on order is decided here, and only here.

A `Stream` is what a writer knows of a stream: names, sessions, titles in waiting, messages taken in. It is rebuilt from
a checkpoint and the log, and kept warm between batches. `draft` changes nothing, so that a writer who loses the race
for a number can look at the winner's segment and draft again; `commit` takes a draft in once its segment is written.
"""

import zlib
from collections import ChainMap
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain

from . import names as naming
from . import sessions
from .errors import BrokenLog
from .events import Hit
from .messages import LIVE, Message
from .segments import EVENT, FIRST, GONE, LISTED, Columns, Kind, Renamed, Retitle, Segment, Taken, Touched
from .sessions import Entry, Window

TITLE_SIGHTINGS = 10
"""A new title replaces the old once it was seen more often than this (page-view contract, section 7.1) …"""
TITLE_MEMORY = 48 * 3600
"""… within these seconds."""
TITLES_WAITING = 2_000
"""So many titles wait in a stream at most; the oldest gives way."""


@dataclass(slots=True)
class Titles:
    """Titles that differ from their path's: how often each was seen, and the stream's clock at the first sighting."""

    waiting: dict[tuple[int, int], tuple[int, int]] = field(default_factory=dict)

    def see(self, path: int, checksum: int, clock: int) -> bool:
        """Counts a sighting; true if the title has been seen often enough to replace the path's."""
        key = (path, checksum)
        count, since = self.waiting.get(key, (0, clock))
        if clock - since > TITLE_MEMORY:
            count, since = 0, clock
        if count >= TITLE_SIGHTINGS:
            self.waiting.pop(key, None)
            return True
        if not count:
            self.waiting.pop(key, None)
            if len(self.waiting) >= TITLES_WAITING:
                del self.waiting[next(iter(self.waiting))]
        self.waiting[key] = (count + 1, since)
        return False

    def forget(self, paths: Collection[int]) -> None:
        """Forgets what was seen of these paths."""
        self.waiting = {key: seen for key, seen in self.waiting.items() if key[0] not in paths}

    def copy(self) -> "Titles":
        """Another of the same contents."""
        return Titles(dict(self.waiting))


@dataclass(slots=True)
class Draft:
    """A segment that is not written yet, with what it changes in its writer's knowledge."""

    segment: Segment
    sessions: dict[int, Entry | None]
    titles: Titles
    new_ids: list[dict[str, int]]


class _Ids(dict[str, int]):
    """Ids of one kind's names in a batch: looks up, and gives new ids by first appearance."""

    def __init__(self, kind: Kind, stream: "Stream") -> None:
        super().__init__()
        self.kind = kind
        self.known: Mapping[str, int] = stream.ids[kind]
        self.limit = stream.name_limit
        self.characters = stream.characters[kind]
        self.fresh: dict[str, int] = {}
        self.names: list[str] = []
        self.first = stream.counts[kind] + 1

    def __missing__(self, name: str) -> int:
        identity = naming.identity(self.kind, name)
        found = self.known.get(identity) or self.fresh.get(identity)
        if found is None:
            found = self._add(name, identity)
        self[name] = found
        return found

    def _add(self, name: str, identity: str) -> int:
        following = self.first + len(self.names)
        if len(self.known) + len(self.names) >= self.limit or self.characters + len(name) > naming.BYTES:
            other = naming.other(self.kind)
            identity = naming.identity(self.kind, other)
            known = self.known.get(identity) or self.fresh.get(identity)
            if known is not None:
                return known
            name = other
        self.fresh[identity] = following
        self.names.append(name)
        self.characters += len(name)
        return following


@dataclass(slots=True)
class Stream:
    """What a writer knows of a stream up to segment `head`."""

    name_limit: int = naming.LIMIT
    head: int = 0
    epoch: int = 0
    next_event: int = 1
    next_session: int = 1
    ids: list[dict[str, int]] = field(
        default_factory=lambda: [{naming.identity(k, naming.NO_REF): 1} if k is Kind.REF else {} for k in Kind]
    )
    """The ids of names by identity. Redacted names are not among them; their ids are never given again."""
    counts: list[int] = field(default_factory=lambda: [int(kind is Kind.REF) for kind in Kind])
    """How many ids of each kind were given."""
    characters: list[int] = field(default_factory=lambda: [0 for _ in Kind])
    """Of the names of each kind."""
    path_titles: dict[int, str] = field(default_factory=dict)
    window: Window = field(default_factory=Window)
    titles: Titles = field(default_factory=Titles)
    taken: dict[int, tuple[int, int]] = field(default_factory=dict)
    """Messages of the segments that this writer has read: id to (hits taken in, hits in all)."""
    sealed: bool = False
    """Whether nothing may be written any more."""

    @property
    def size(self) -> int:
        """Roughly the bytes of memory that it takes."""
        return sum(map(len, self.ids)) * 200 + sum(self.characters) + self.window.size + len(self.taken) * 250 + 5000

    # --- what was written -------------------------------------------------------------------------------------

    def learn_names(self, texts: Sequence[Sequence[str]]) -> None:
        """Takes in every name that the rollups know."""
        for kind in Kind:
            live = ((i, name) for i, name in enumerate(texts[kind], 1) if name != GONE)
            self.ids[kind] = {naming.identity(kind, name): i for i, name in live}
            self.counts[kind] = len(texts[kind])
            self.characters[kind] = sum(map(len, texts[kind]))
        for i, name in enumerate(texts[Kind.PATH], 1):
            title = name.partition("\0")[2]
            if title:
                self.path_titles[i] = title

    def replay(self, segment: Segment) -> None:
        """Takes in a segment that anybody wrote.

        Raises:
            BrokenLog: it does not follow the last one.
        """
        if segment.first != self.head + 1:
            raise BrokenLog(f"segment {segment.first} follows {self.head}")
        for kind in Kind:
            fresh = segment.names[kind]
            start = segment.first_names[kind]
            if fresh and start != self.counts[kind] + 1:
                raise BrokenLog(f"names of {kind.name} from {start} follow {self.counts[kind]}")
            live = ((i, name) for i, name in enumerate(fresh, start) if name != GONE)
            self.ids[kind].update((naming.identity(kind, name), i) for i, name in live)
            self.counts[kind] += len(fresh)
            self.characters[kind] += sum(map(len, fresh))
        self._learn_titles(segment)
        replay_titles(self.titles, segment, self.window.clock)
        self.window.apply(replay_sessions(self.window, segment), segment.clock)
        if segment.orders is not None:
            self.rename(segment.orders.renamed)
            self.sealed = self.sealed or segment.orders.sealed
        self._close(segment)

    def rename(self, changes: Iterable[Renamed]) -> None:
        """Does what a redaction orders: who comes later never uses what is about to go."""
        changed = {(Kind(kind), i): name for kind, i, name in changes}
        if not changed:
            return
        for kind in Kind:
            stay = {identity: i for identity, i in self.ids[kind].items() if (kind, i) not in changed}
            new = {naming.identity(k, name): i for (k, i), name in changed.items() if k is kind and name != GONE}
            self.ids[kind] = stay | new
        for (kind, i), name in changed.items():
            if kind is Kind.PATH and name == GONE:
                self.path_titles.pop(i, None)
        self.titles.forget({i for (kind, i), name in changed.items() if kind is Kind.PATH and name == GONE})

    def commit(self, draft: Draft) -> None:
        """Takes in a draft of one's own that was written."""
        for kind in Kind:
            self.ids[kind].update(draft.new_ids[kind])
            self.counts[kind] += len(draft.segment.names[kind])
            self.characters[kind] += sum(map(len, draft.segment.names[kind]))
        self._learn_titles(draft.segment)
        self.window.apply(draft.sessions, draft.segment.clock)
        self.titles = draft.titles
        self._close(draft.segment)

    def _learn_titles(self, segment: Segment) -> None:
        for i, name in enumerate(segment.names[Kind.PATH], segment.first_names[Kind.PATH]):
            title = name.partition("\0")[2]
            if title:
                self.path_titles[i] = title
        for retitle in segment.retitles:
            self.path_titles[retitle.path] = retitle.title

    def _close(self, segment: Segment) -> None:
        self.head = segment.number
        self.epoch = segment.epoch
        self.next_event = segment.next_event
        self.next_session = segment.next_session
        for message in segment.taken:
            self.taken[message.id] = (message.start + message.held, message.total)

    # --- what is to be written --------------------------------------------------------------------------------

    def outstanding(self, message: Message) -> int | None:
        """From which of its hits on a message is still to be taken in; None if it is in as a whole."""
        done, total = self.taken.get(message.id, (0, len(message.hits)))
        return None if done >= min(total, len(message.hits)) else done

    def draft(self, messages: Sequence[Message], at_most: int) -> Draft:
        """The segment that takes in these messages, in this order, up to so many hits.

        Messages that are in already are passed over; whoever drafts says so by `outstanding` and by not handing over
        those that only the blocks of accepted ids know.
        """
        taken, hits, accepted = self._take(messages, at_most)
        ids = [_Ids(kind, self) for kind in Kind]
        columns = _columns(hits, ids)
        columns.id = list(range(self.next_event, self.next_event + len(hits)))
        tracker = _Tracker(self.window, self.next_session)
        tracker.track(hits, accepted, columns)
        titles, retitles = self._retitle(hits, accepted, columns, ids[Kind.PATH])
        segment = Segment(
            number=self.head + 1,
            first=self.head + 1,
            epoch=self.epoch,
            next_event=self.next_event + len(hits),
            next_session=tracker.next_session,
            clock=tracker.clock,
            taken=taken,
            names=[batch.names for batch in ids],
            first_names=[batch.first for batch in ids],
            sessions=tracker.touched,
            retitles=retitles,
            events=columns,
        )
        return Draft(segment, tracker.changes, titles, [batch.fresh for batch in ids])

    def _take(self, messages: Sequence[Message], at_most: int) -> tuple[list[Taken], list[Hit], list[int]]:
        taken: list[Taken] = []
        hits: list[Hit] = []
        accepted: list[int] = []
        for message in messages:
            start = self.outstanding(message)
            if start is None:
                continue
            chosen = message.hits[start : start + at_most - len(hits)]
            if not chosen:
                break
            taken.append(Taken(message.id, message.accepted, message.derived, start, len(chosen), len(message.hits)))
            hits.extend(chosen)
            accepted.extend([message.accepted] * len(chosen))
        return taken, hits, accepted

    def _retitle(
        self, hits: Sequence[Hit], accepted: Sequence[int], columns: Columns, paths: _Ids
    ) -> tuple[Titles, list[Retitle]]:
        retitles: list[Retitle] = []
        current = ChainMap(
            {i: name.partition("\0")[2] for i, name in enumerate(paths.names, paths.first)}, self.path_titles
        )
        differing = [
            i
            for i, (hit, path) in enumerate(zip(hits, columns.path, strict=True))
            if hit.title and hit.title != current.get(path, "")
        ]
        columns.title = [0] * len(hits)
        if not differing:
            return self.titles, retitles
        titles = self.titles.copy()
        clock = self.window.clock
        clocks = {}
        for i, moment in enumerate(accepted):
            clock = max(clock, moment)
            clocks[i] = clock
        for i in range(differing[0], len(hits)):
            title, path = hits[i].title, columns.path[i]
            if not title or title == current.get(path, ""):
                continue
            columns.title[i] = checksum = title_checksum(title)
            if titles.see(path, checksum, clocks[i]):
                retitles.append(Retitle(i, path, title))
                current[path] = title
        return titles, retitles


def title_checksum(title: str) -> int:
    """A title in the log, where only whether it is the same matters; never 0."""
    return zlib.crc32(title.encode()) or 1


def _columns(hits: Sequence[Hit], ids: Sequence[_Ids]) -> Columns:
    if not hits:
        return Columns()
    path, title, event, ref, scheme, campaign, browser, system, location, language, width, at, _, _, listed = zip(
        *hits, strict=True
    )
    paths = ids[Kind.PATH]
    separated = map("\0".join, zip(path, title, strict=True))
    return Columns(
        at=list(at),
        path=[paths[name] for name in separated],
        ref=[ids[Kind.REF][name] for name in map(str.__add__, scheme, ref)],
        campaign=_optional(ids[Kind.CAMPAIGN], (name or None for name in campaign)),
        browser=_optional(ids[Kind.BROWSER], browser),
        system=_optional(ids[Kind.SYSTEM], system),
        location=[ids[Kind.LOCATION][name] for name in location],
        language=[ids[Kind.LANGUAGE][name] for name in language],
        width=list(width),
        flags=[flag * EVENT + may * LISTED for flag, may in zip(event, listed, strict=True)],
    )


def _optional(ids: _Ids, names: Iterator[str | None] | Sequence[str | None]) -> list[int]:
    return [0 if name is None else ids[name] for name in names]


class _Tracker:
    """Follows sessions through a batch over a window that it leaves as it is."""

    def __init__(self, window: Window, next_session: int) -> None:
        self.window = window
        self.clock = window.clock
        self.next_session = next_session
        self.changes: dict[int, Entry | None] = {}
        self.touched: list[Touched] = []
        self.indexes: dict[int, int] = {}

    def track(self, hits: Sequence[Hit], accepted: Sequence[int], columns: Columns) -> None:
        """Fills in `session`, and `FIRST` in `flags`."""
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
            session_column.append(index + 1)
            if first:
                flags[i] |= FIRST
        columns.session = session_column

    def _find(self, key: int, moment: int) -> Entry | None:
        entry = self.changes[key] if key in self.changes else self.window.get(key)
        return entry if entry is not None and sessions.alive(entry, self.clock, moment) else None

    def _touch(self, hit: Hit, moment: int, path: int) -> tuple[int, bool]:
        key, previous = hit.session, 0
        entry = self._find(key, moment)
        if entry is None and hit.previous:
            entry = self._find(hit.previous, moment)
            if entry is not None:
                previous = hit.previous
                self.changes[previous] = None
        path_key = sessions.path_key(path)
        if entry is None:
            number, first = self.next_session, True
            self.next_session += 1
            self.changes[key] = sessions.start(number, self.clock, moment, path_key)
        else:
            number, first = sessions.number(entry), not sessions.has_seen(entry, path_key)
            self.changes[key] = sessions.follow(entry, self.clock, moment, path_key if first else b"")
        index = self.indexes.get(number)
        if index is None or previous:
            self.indexes[number] = index = len(self.touched)
            self.touched.append(Touched(number, key, previous))
        return index, first


def replay_sessions(window: Window, segment: Segment) -> dict[int, Entry | None]:
    """What a written segment changes in the window as it stood before it.

    It follows the segment's facts, not the rules that led to them: which session, first on its path or not.
    """
    changes: dict[int, Entry | None] = dict.fromkeys(segment.orders.forgotten) if segment.orders else {}
    if segment.merged:
        return changes  # sessions so old have ended, and their keys are gone
    events = segment.events
    clock, indexes, moved = window.clock, events.session, set[int]()
    for i, accepted in enumerate(moments(segment)):
        clock = max(clock, accepted)
        index = indexes[i]
        if not index:
            continue
        touched = segment.sessions[index - 1]
        found_by = touched.key
        if touched.previous and index not in moved:
            moved.add(index)
            found_by = touched.previous
        entry = changes[found_by] if found_by in changes else window.get(found_by)
        if found_by != touched.key:
            changes[found_by] = None
        at = events.at[i]
        moment = accepted if accepted - at <= LIVE else at
        seen = sessions.path_key(events.path[i]) if events.flags[i] & FIRST else b""
        if entry is None or sessions.number(entry) != touched.number:
            changes[touched.key] = sessions.start(touched.number, clock, moment, seen)
        else:
            changes[touched.key] = sessions.follow(entry, clock, moment, seen)
    return changes


def replay_titles(titles: Titles, segment: Segment, clock: int) -> None:
    """Counts a written segment's sightings of titles, as its writer did; `clock` is the stream's before it."""
    checksums = segment.events.title
    if segment.merged or not any(checksums):
        return
    for path, checksum, accepted in zip(segment.events.path, checksums, moments(segment), strict=True):
        clock = max(clock, accepted)
        if checksum:
            titles.see(path, checksum, clock)


def moments(segment: Segment) -> list[int]:
    """For each event that the segment still holds, when its message was accepted.

    Ids are dense, so an event's id says which of the messages' hits it was, also after redaction took others away.
    """
    accepted = list(chain.from_iterable([message.accepted] * message.held for message in segment.taken))
    begin = segment.next_event - len(accepted)
    return [accepted[event - begin] for event in segment.events.id]
