"""Merges old segments of a log into large ones, without what only redelivery and sessions needed.

The merged one stands under the first of their numbers. The others, its originals, stay where they are for `ORIGINAL`
seconds, since somebody may hold a place among them, and are deleted then.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import chain

from .errors import Conflict
from .lifetimes import MERGE_AGE, MERGE_PATIENCE
from .log import tail
from .ports import Item, LogStore
from .segments import Columns, Kind, Retitle, Segment, Touched, unpack

FULL = 250_000
"""Bytes of small segments that make a large one; a larger one stays alone, and only loses what is not needed."""
READ = 16 * FULL
"""Bytes that are read at once: many times what a merged segment and its originals take."""


def plan(log: LogStore, stream: str, after: int, up_to: int, now: float) -> tuple[tuple[int, int], ...]:
    """The runs of segments, first and last, that should be merged of what follows `after`: those that are old enough.

    To be written down before any is merged, so that a redaction that begins meanwhile can see to it that it is done:
    else somebody who has read a run before it was redacted might write it afterwards.
    """
    oldest = [segment for segment, _ in tail(log.read(stream, after=after, up_to=up_to, at_most=1), after)]
    if not oldest or oldest[0].youngest > now - MERGE_AGE:
        return ()  # most days: no need to read what is not old enough
    found = tail(log.read(stream, after=after, up_to=up_to, at_most=READ), after)
    return tuple((run[0][0].first, run[-1][0].number) for run in _runs(found, now))


def merge(log: LogStore, stream: str, first: int, last: int) -> None:
    """Merges a run that `plan` named. Doing it again, or twice at once, changes nothing."""
    run = list(tail(log.read(stream, after=first - 1, up_to=last), first - 1))
    _, item = run[0]
    joined = join([segment for segment, _ in run]).pack()
    with suppress(Conflict):  # somebody else has merged them
        log.replace(stream, first, item.data, joined)  # also if nothing changes: to replace takes its end away


def originals(log: LogStore, stream: str, after: int, up_to: int) -> tuple[list[int], int]:
    """The numbers of a piece of the merged segments' originals, of what follows `after`, and how far that piece goes.

    Both `after` and `up_to` are ends of merged segments, and so is how far it goes: at least one of them further.
    """
    found: list[int] = []
    head = before = after
    items = log.read(stream, after=after, up_to=up_to, at_most=READ)
    for item in items:
        if item.number <= head:
            found.append(item.number)
        else:
            before, head = head, unpack(item.data).number
    whole = sum(len(item.data) for item in items) < READ
    return found, up_to if whole else before  # else there may be more originals of the last one


def _runs(found: Iterable[tuple[Segment, Item]], now: float) -> Iterator[list[tuple[Segment, Item]]]:
    run: list[tuple[Segment, Item]] = []
    size = 0
    for segment, item in found:
        if segment.youngest > now - MERGE_AGE:
            break
        if run and size + len(item.data) > FULL:
            yield run
            run, size = [], 0
        run.append((segment, item))
        size += len(item.data)
    if run and (size >= FULL or run[0][0].clock <= now - MERGE_PATIENCE):
        yield run


def join(run: Sequence[Segment]) -> Segment:
    """Consecutive segments as one: all events and names, no message ids nor tombstones, sessions by number alone."""
    first, last = run[0], run[-1]
    sessions: list[Touched] = []
    retitles: list[Retitle] = []
    columns = Columns(*(list(chain.from_iterable(each)) for each in zip(*(s.events.all() for s in run), strict=True)))
    columns.session = []
    before = 0
    for segment in run:
        columns.session.extend(index and index + len(sessions) for index in segment.events.session)
        sessions.extend(Touched(session.number, 0, 0) for session in segment.sessions)
        retitles.extend(retitle._replace(event=retitle.event + before) for retitle in segment.retitles)
        before += len(segment)
    return replace(
        last,
        first=first.first,
        taken=[],
        tombstones=[],
        names=[list(chain.from_iterable(segment.names[kind] for segment in run)) for kind in Kind],
        first_names=first.first_names,
        sessions=sessions,
        retitles=retitles,
        events=columns,
        refused=[[] for _ in Kind],
    )
