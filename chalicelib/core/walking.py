"""Walks: jobs that look at every entry of a list, however long it is, in pages that continue by message.

Whoever begins a walk does a short list at once. A long one it hands out: a message for each page, which names the keys
between which its entries are. A page that takes longer than its function may run goes on with another message. Every
message may come twice: what is visited twice must not mind. An entry that fails keeps no other from being visited.
"""

import json
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Generic, NamedTuple, TypeVar

from .errors import Poison

T = TypeVar("T")
SPARE = 20.0
"""Seconds that must be left to begin with more of a page, or to hand out more pages."""
SENT_AT_ONCE = 100
"""Pages that are handed out at once."""


class Late(Exception):
    """There is not time enough for an entry: it wants a function that has just begun."""


@dataclass(frozen=True, slots=True)
class Stage:
    """Some of a walk: the entries whose keys come after `after`, up to `until`, which is included."""

    walk: str
    day: int
    """The day of the walk, from 1970."""
    after: str = ""
    until: str | None = None
    """None for all that follow: they have to be handed out."""

    def encode(self) -> str:
        """The body of a queue message."""
        return json.dumps({"walk": self.walk, "day": self.day, "after": self.after, "until": self.until})


def decode(body: str, walks: Collection[str]) -> Stage:
    """The stage that `Stage.encode` wrote.

    Raises:
        Poison: this is no such body, or not of one of these walks.
    """
    try:
        said = json.loads(body)
        walk, until = {name: name for name in walks}[said["walk"]], said["until"]
        return Stage(walk, int(said["day"]), str(said["after"]), None if until is None else str(until))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Poison("names no stage of a walk") from error


@dataclass(frozen=True, slots=True)
class Walk(Generic[T]):
    """A list, and what is done with its entries."""

    keys: Callable[[str, int], Sequence[str]]
    """The keys of so many entries at most that come after a key, in order."""
    read: Callable[[str, str], Sequence[tuple[str, T]]]
    """The entries after a key up to another, which is included, with their keys, in order."""
    visit: Callable[[Sequence[T], int], Sequence[T]]
    """Does the day's work on some entries; those on which it failed for now. May raise `Late` instead of beginning."""
    page: int = 500
    at_once: int = 1
    """So many entries are visited together."""


class Walked(NamedTuple):
    """How a stage went."""

    visited: int = 0
    failed: int = 0
    """Entries on which the work failed twice: the next walk comes to them again."""
    handed_out: int = 0
    """Stages that were left to messages."""


def go(walk: Walk[T], stage: Stage, send: Callable[[Sequence[Stage]], None], remaining: Callable[[], float]) -> Walked:
    """Walks a stage as far as the time that is `remaining`, in seconds, allows; hands the rest out by `send`.

    Raises:
        Exception: whatever reading the list, or sending, raises. Then the whole stage has to come again.
    """
    until = stage.until
    if until is None:
        keys = walk.keys(stage.after, walk.page + 1)
        if len(keys) > walk.page:
            return Walked(handed_out=_hand_out(walk, stage, send, remaining))
        if not keys:
            return Walked()
        until = keys[-1]
    return _visit(walk, replace(stage, until=until), send, remaining, walk.read(stage.after, until))


def _hand_out(
    walk: Walk[T], stage: Stage, send: Callable[[Sequence[Stage]], None], remaining: Callable[[], float]
) -> int:
    """Sends a message for each page, and if the time is short one for all that is left."""
    after, pages, sent = stage.after, list[Stage](), 0
    while keys := walk.keys(after, walk.page):
        pages.append(replace(stage, after=after, until=keys[-1]))
        after = keys[-1]
        late = remaining() < SPARE
        if late:
            pages.append(replace(stage, after=after, until=None))
        if late or len(pages) >= SENT_AT_ONCE:
            send(pages)
            sent += len(pages)
            pages = []
        if late:
            break
    if pages:
        send(pages)
    return sent + len(pages)


def _visit(
    walk: Walk[T],
    stage: Stage,
    send: Callable[[Sequence[Stage]], None],
    remaining: Callable[[], float],
    entries: Sequence[tuple[str, T]],
) -> Walked:
    again: list[T] = []
    after, visited, skipped, handed_out = stage.after, 0, 0, 0
    for chunk in _chunks(entries, walk.at_once):
        found = [entry for _, entry in chunk]
        failed = None if visited and remaining() < SPARE else _visited(walk, stage, found)
        if failed is not None:
            again += failed
        elif visited:
            send([replace(stage, after=after)])
            handed_out = 1
            break
        else:
            skipped += len(found)  # not even all the time of a function is enough
        visited += len(found)
        after = chunk[-1][0]
    failures = sum(remaining() < SPARE or _visited(walk, stage, [entry]) != [] for entry in again)
    return Walked(visited, skipped + failures, handed_out)


def _visited(walk: Walk[T], stage: Stage, entries: Sequence[T]) -> Sequence[T] | None:
    """Those of the entries on which the work failed; None if it is too late to begin."""
    try:
        return walk.visit(entries, stage.day)
    except Late:
        return None


def _chunks(entries: Sequence[tuple[str, T]], size: int) -> Iterator[Sequence[tuple[str, T]]]:
    return (entries[start : start + size] for start in range(0, len(entries), size))
