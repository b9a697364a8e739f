"""Turns messages into the next segment of a stream: what depends on order is decided here (ids in `numbering`, sessions
in `tracking`), and nowhere else.

A `Stream` is what a writer knows of a stream: names, sessions, titles in waiting, messages taken in. It is rebuilt from
a checkpoint and the log, and kept warm between batches. `draft` changes nothing, so that a writer who loses the race
for a number can look at the winner's segment and draft again; `commit` takes a draft in once its segment is written.
"""

import zlib
from collections import ChainMap
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import compress
from typing import NamedTuple

from . import names as naming
from . import sessions, tombstones
from .errors import BrokenLog, Invalid
from .events import Hit
from .messages import Message
from .numbering import DAY, Ids, replay_candidates
from .segments import EVENT, GONE, LISTED, Columns, Kind, Renamed, Retitle, Segment, Taken
from .sessions import Sessions, Window
from .tombstones import Tombstone
from .tracking import Tracker, moments, replay_sessions

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


LARGEST = 512
"""Megabytes that a setting may give to the sessions of a stream."""


class Bounds(NamedTuple):
    """How much a stream may make its writers remember."""

    names: int = naming.LIMIT
    """Names of each kind."""
    sessions: int = sessions.BYTES
    """Bytes of sessions."""

    @classmethod
    def read(cls, megabytes: str) -> "Bounds":
        """The bounds of a deployment whose setting says this of sessions.

        Raises:
            Invalid: it says no number of megabytes between 1 and 512, a half of what a function has.
        """
        if not megabytes.isascii() or not megabytes.isdigit() or not 1 <= int(megabytes) <= LARGEST:
            raise Invalid(f"COUNTLESS_SESSION_MEGABYTES is a number from 1 to {LARGEST}, not {megabytes!r}")
        return cls(sessions=int(megabytes) * 1_000_000)

    @property
    def open(self) -> int:
        """How many names of each kind strangers may make."""
        return self.names - self.names // naming.RESERVED


@dataclass(slots=True)
class Draft:
    """A segment that is not written yet, with what it changes in its writer's knowledge."""

    segment: Segment
    alone: int
    """Hits that are visits of their own since there was no room for what they would have to be known by."""
    sessions: dict[int, Sessions | None]
    titles: Titles
    new_ids: list[dict[str, int]]


@dataclass(slots=True)
class Stream:
    """What a writer knows of a stream up to segment `head`."""

    bounds: Bounds = field(default_factory=Bounds)
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
    candidates: list[naming.Candidates] = field(default_factory=lambda: [naming.Candidates() for _ in Kind])
    """For each kind, names that there was no room for."""
    taken: dict[int, tuple[int, int]] = field(default_factory=dict)
    """Messages of the segments that this writer has read: id to (hits taken in, hits in all)."""
    tombstones: list[Tombstone] = field(default_factory=list)
    """What was taken out, and stays so for messages that were accepted before."""
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
        replay_candidates(self.candidates, segment)
        replay_titles(self.titles, segment, self.window.clock)
        self.window.apply(replay_sessions(self.window, segment), segment.clock)
        self.tombstones += segment.tombstones
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
            for identity, i in self.ids[kind].items():
                to = changed.get((kind, i))
                if to is not None:
                    title = 1 + len(self.path_titles.get(i, "")) if kind is Kind.PATH else 0
                    self.characters[kind] += len(to) + title * (to != GONE) - len(identity) - title
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
        replay_candidates(self.candidates, draft.segment)
        self.window.apply(draft.sessions, draft.segment.clock)
        self.titles = draft.titles
        self._close(draft.segment)

    def _learn_titles(self, segment: Segment) -> None:
        for i, name in enumerate(segment.names[Kind.PATH], segment.first_names[Kind.PATH]):
            title = name.partition("\0")[2]
            if title:
                self.path_titles[i] = title
        for retitle in segment.retitles:
            self.characters[Kind.PATH] += len(retitle.title) - len(self.path_titles.get(retitle.path, ""))
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
        those that only the blocks of accepted ids know. Hits that a tombstone is about get ids, but do not become
        events: as if they had been taken out after they were in.
        """
        taken, hits, accepted, keyed = self._take(messages, at_most)
        clock = max([self.window.clock, *(each.accepted for each in taken)])
        events = range(self.next_event, self.next_event + len(hits))
        kept = tombstones.kept(self.tombstones, hits, accepted) if self.tombstones else None
        if kept is not None:
            hits, accepted = list(compress(hits, kept)), list(compress(accepted, kept))
            keyed = list(compress(keyed, kept))
        ids = [Ids(kind, self, clock // DAY) for kind in Kind]
        columns = _columns(hits, ids, keyed)
        columns.id = list(events if kept is None else compress(events, kept))
        tracker = Tracker(self.window, self.next_session, self.bounds.sessions)
        tracker.track(hits, accepted, columns)
        titles, retitles = self._retitle(hits, accepted, keyed, columns, ids[Kind.PATH])
        segment = Segment(
            number=self.head + 1,
            first=self.head + 1,
            epoch=self.epoch,
            next_event=events.stop,
            next_session=tracker.next_session,
            clock=tracker.clock,
            taken=taken,
            names=[batch.names for batch in ids],
            first_names=[batch.first for batch in ids],
            sessions=tracker.touched,
            retitles=retitles,
            events=columns,
            refused=[batch.refused for batch in ids],
        )
        return Draft(segment, tracker.alone, tracker.changes, titles, [batch.fresh for batch in ids])

    def _take(self, messages: Sequence[Message], at_most: int) -> tuple[list[Taken], list[Hit], list[int], list[bool]]:
        taken: list[Taken] = []
        hits: list[Hit] = []
        accepted: list[int] = []
        keyed: list[bool] = []
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
            keyed.extend([message.keyed] * len(chosen))
        return taken, hits, accepted, keyed

    def _retitle(
        self, hits: Sequence[Hit], accepted: Sequence[int], keyed: Sequence[bool], columns: Columns, paths: Ids
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
            longer = len(title) - len(current.get(path, ""))
            room = naming.BYTES // naming.RESERVED * (naming.RESERVED - (not keyed[i]))
            if titles.see(path, checksum, clocks[i]) and (longer <= 0 or paths.characters + longer <= room):
                retitles.append(Retitle(i, path, title))
                current[path] = title
                paths.characters += longer
        return titles, retitles


def title_checksum(title: str) -> int:
    """A title in the log, where only whether it is the same matters; never 0."""
    return zlib.crc32(title.encode()) or 1


def _columns(hits: Sequence[Hit], ids: Sequence[Ids], keyed: Sequence[bool]) -> Columns:
    if not hits:
        return Columns()
    path, title, event, ref, scheme, campaign, browser, system, location, language, width, at, _, _, listed = zip(
        *hits, strict=True
    )
    return Columns(
        at=list(at),
        path=ids[Kind.PATH].of(map("\0".join, zip(path, title, strict=True)), keyed),
        ref=ids[Kind.REF].of(map(str.__add__, scheme, ref), keyed),
        campaign=ids[Kind.CAMPAIGN].of((name or None for name in campaign), keyed),
        browser=ids[Kind.BROWSER].of(browser, keyed),
        system=ids[Kind.SYSTEM].of(system, keyed),
        location=ids[Kind.LOCATION].of(location, keyed),
        language=ids[Kind.LANGUAGE].of(language, keyed),
        width=list(width),
        flags=[flag * EVENT + may * LISTED for flag, may in zip(event, listed, strict=True)],
    )


def replay_titles(titles: Titles, segment: Segment, clock: int) -> None:
    """Counts a written segment's sightings of titles, as its writer did; `clock` is the stream's before it."""
    checksums = segment.events.title
    if segment.merged or not any(checksums):
        return
    for path, checksum, accepted in zip(segment.events.path, checksums, moments(segment), strict=True):
        clock = max(clock, accepted)
        if checksum:
            titles.see(path, checksum, clock)
