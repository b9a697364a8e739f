"""Takes events out of a stream's log for good: what retention, purge and erasure stand on.

A marker in the log tells every writer and reader that what they know may be gone. Then the segments concerned are
rewritten under their own numbers, and the rollups are built anew. Event ids stay: the others keep theirs. Every step
may be repeated, so whoever is interrupted calls again.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import compress

from .errors import Conflict
from .folding import Folder
from .log import read_manifest, tail
from .ports import Item, LogStore, RollupStore
from .segments import Columns, Kind, Segment, Touched

Keep = Callable[[Segment], Sequence[bool]]
"""For each event of a segment, whether it stays."""
READ = 4_000_000


def redact(
    log: LogStore, rollups: RollupStore, stream: str, keep: Keep, *, now: Callable[[], float] = time.time
) -> int:
    """Removes every event that `keep` does not keep from what the log holds now. Returns how many were removed.

    Raises:
        Conflict: others kept changing the log or its manifest; call again.
    """
    marker = _mark(log, rollups, stream)
    removed = _rewrite(log, stream, keep, marker.number)
    folder = Folder(log, rollups, now=now)
    for _ in range(20):
        manifest = read_manifest(rollups, stream)
        if folder.rebuild(stream, manifest, max(marker.number, manifest.watermark), marker.epoch):
            return removed
    raise Conflict(f"the rollups of {stream} kept moving")


def _mark(log: LogStore, rollups: RollupStore, stream: str) -> Segment:
    """Appends an empty segment of the next epoch."""
    for _ in range(100):
        manifest = read_manifest(rollups, stream)
        last = Segment(
            manifest.watermark, manifest.watermark, manifest.epoch, manifest.next_event, manifest.next_session
        )
        last.clock = manifest.clock
        names = list(manifest.counts)
        for segment, _ in tail(log.read(stream, after=manifest.watermark), manifest.watermark):
            last = segment
            names = [known + len(added) for known, added in zip(names, segment.names, strict=True)]
        marker = Segment(
            number=last.number + 1,
            first=last.number + 1,
            epoch=last.epoch + 1,
            next_event=last.next_event,
            next_session=last.next_session,
            clock=last.clock,
            first_names=[names[kind] + 1 for kind in Kind],
        )
        try:
            log.put(stream, marker.number, marker.pack(), None)
        except Conflict:
            continue
        return marker
    raise Conflict(f"the log of {stream} kept growing")


def _rewrite(log: LogStore, stream: str, keep: Keep, up_to: int) -> int:
    removed = head = 0
    while head < up_to:
        items = log.read(stream, after=head, up_to=up_to, at_most=READ)
        for segment, item in tail(items, head):
            removed += _rewrite_one(log, stream, segment, item, keep)
            head = segment.number
    return removed


def _rewrite_one(log: LogStore, stream: str, segment: Segment, item: Item, keep: Keep) -> int:
    kept = keep(segment)
    if all(kept):
        return 0
    less = without(segment, kept)
    log.replace(stream, item.number, item.data, less.pack(), for_good=False)
    return len(segment) - len(less)


def without(segment: Segment, kept: Sequence[bool]) -> Segment:
    """The segment with only the events that are kept, and the sessions that those belong to."""
    columns = Columns(*(list(compress(column, kept)) for column in segment.events.all()))
    used = sorted({index for index in columns.session if index})
    renumbered = {index: i for i, index in enumerate(used, 1)} | {0: 0}
    columns.session = [renumbered[index] for index in columns.session]
    sessions: list[Touched] = [segment.sessions[index - 1] for index in used]
    return replace(
        segment,
        sessions=sessions,
        retitles=[retitle._replace(event=0) for retitle in segment.retitles],
        events=columns,
    )
