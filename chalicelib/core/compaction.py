"""Merges old segments of a log into large ones, without what only redelivery and sessions needed.

Small segments end by themselves some weeks after they were merged, which costs nothing. The merged one stands under the
first of their numbers and stays for good.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import chain

from .accepted import HORIZON
from .errors import Conflict
from .log import tail
from .ports import Item, LogStore
from .segments import Columns, Kind, Retitle, Segment, Touched

AGE = HORIZON + 2 * 86400
"""Seconds after which a segment's messages would be refused if they came again, so that their ids may go."""
PATIENCE = AGE + 8 * 86400
"""Seconds after which segments are merged though they do not fill a large one yet."""
FULL = 250_000
"""Bytes of small segments that make a large one; a larger one stays alone, and only loses what is not needed."""


def plan(log: LogStore, stream: str, after: int, up_to: int, now: float) -> tuple[tuple[int, int], ...]:
    """The runs of segments, first and last, that should be merged of what follows `after`: those that are old enough.

    To be written down before any is merged, so that a redaction that begins meanwhile can see to it that it is done:
    else somebody who has read a run before it was redacted might write it afterwards.
    """
    oldest = [segment for segment, _ in tail(log.read(stream, after=after, up_to=up_to, at_most=1), after)]
    if not oldest or oldest[0].clock > now - AGE:
        return ()  # most days: no need to read what is not old enough
    found = tail(log.read(stream, after=after, up_to=up_to, at_most=16 * FULL), after)
    return tuple((run[0][0].first, run[-1][0].number) for run in _runs(found, now))


def merge(log: LogStore, stream: str, first: int, last: int) -> None:
    """Merges a run that `plan` named. Doing it again, or twice at once, changes nothing."""
    run = list(tail(log.read(stream, after=first - 1, up_to=last), first - 1))
    _, item = run[0]
    joined = join([segment for segment, _ in run]).pack()
    if joined != item.data:
        with suppress(Conflict):  # somebody else has merged them
            log.replace(stream, first, item.data, joined, for_good=True)


def _runs(found: Iterable[tuple[Segment, Item]], now: float) -> Iterator[list[tuple[Segment, Item]]]:
    run: list[tuple[Segment, Item]] = []
    size = 0
    for segment, item in found:
        if segment.clock > now - AGE:
            break
        if run and size + len(item.data) > FULL:
            yield run
            run, size = [], 0
        run.append((segment, item))
        size += len(item.data)
    if run and (size >= FULL or run[0][0].clock <= now - PATIENCE):
        yield run


def join(run: Sequence[Segment]) -> Segment:
    """Consecutive segments as one: all events and names, no message ids, sessions by number alone."""
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
        names=[list(chain.from_iterable(segment.names[kind] for segment in run)) for kind in Kind],
        first_names=first.first_names,
        sessions=sessions,
        retitles=retitles,
        events=columns,
        refused=[[] for _ in Kind],
    )
