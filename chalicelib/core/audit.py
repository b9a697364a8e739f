"""Proves that a stream's figures are what its log says: everything is counted again from the first segment on."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from . import accepted
from . import cells as counting
from .cells import Cells
from .errors import BrokenLog
from .lifetimes import HORIZON
from .log import load_names, read_manifest, require, tail
from .manifest import Manifest
from .names import Names
from .ports import LogStore, RollupStore
from .segments import Kind, Segment

READ = 4_000_000
UNDER_WAY = "a redaction is under way, or was during the audit; audit again when it is through"
"""Said instead of all differences, for then log and rollups need not agree."""


@dataclass(slots=True)
class Audit:
    """What an audit found. No `differences` means that log and rollups agree."""

    stream: str
    segments: int = 0
    events: int = 0
    messages: int = 0
    watermark: int = 0
    remembered: int = 0
    """Since when the blocks of accepted ids have to hold every message."""
    differences: list[str] = field(default_factory=list)
    rollups: bool = False
    """Whether it is the rollups that differ, which can be counted anew, and not the log that is damaged."""


@dataclass(slots=True)
class _Recount:
    """Everything that the log says, up to some segment."""

    cells: Cells = field(default_factory=Cells)
    names: Names = field(default_factory=Names)
    used: list[set[int]] = field(default_factory=lambda: [set() for _ in Kind])
    messages: dict[int, int] = field(default_factory=dict)
    ids: set[int] = field(default_factory=set)
    next_event: int = 1


def audit(log: LogStore, rollups: RollupStore, stream: str, *, now: Callable[[], float] = time.time) -> Audit:
    """Audits a stream. It reads all of it, and changes nothing."""
    result = Audit(stream)
    manifest = read_manifest(rollups, stream)
    result.watermark = manifest.watermark
    result.remembered = int(max(manifest.clock, now())) - HORIZON
    recount = _Recount()
    try:
        _walk(log, stream, manifest, recount, result)
        found = _different(rollups, stream, manifest, recount, result)
        _walk_tail(log, stream, manifest, recount, result)
        _look_up(recount, result)
        result.rollups = bool(found) and not result.differences
        result.differences += found
    except BrokenLog as error:
        result.differences.append(str(error))
    if result.differences:
        later = read_manifest(rollups, stream)
        if manifest.redacting or later.redacting or later.epoch != manifest.epoch:
            result.differences, result.rollups = [UNDER_WAY], False
    result.messages = len(recount.messages)
    return result


def _walk(log: LogStore, stream: str, manifest: Manifest, recount: _Recount, result: Audit) -> None:
    head = 0
    while head < manifest.watermark:
        items = log.read(stream, after=head, up_to=manifest.watermark, at_most=READ)
        if not items:
            raise BrokenLog(f"the log ends at {head}, before the watermark {manifest.watermark}")
        for segment, _ in tail(items, head):
            _take(segment, recount, result)
            head = segment.number


def _walk_tail(log: LogStore, stream: str, manifest: Manifest, recount: _Recount, result: Audit) -> None:
    for segment, _ in tail(log.read(stream, after=manifest.watermark), manifest.watermark):
        _take(segment, recount, result)


def _look_up(recount: _Recount, result: Audit) -> None:
    """Every name that an event uses has to be there, though perhaps further on: paths may be merged into later ones."""
    for kind in Kind:
        lost = sum(not recount.names.has(kind, i) for i in recount.used[kind] - {0})
        if lost:
            result.differences.append(f"{lost} names of {kind.name} are used that are not there")


def _take(segment: Segment, recount: _Recount, result: Audit) -> None:
    result.segments += 1
    result.events += len(segment)
    recount.cells.add(segment)
    recount.names.replay(segment)
    ids = segment.events.id
    if ids != sorted(set(ids)) or (ids and (ids[0] < recount.next_event or ids[-1] >= segment.next_event)):
        result.differences.append(f"segment {segment.number}: event ids are out of order")
    recount.next_event = segment.next_event
    for kind, column in segment.events.named():
        recount.used[kind].update(column)
    for taken in segment.taken:
        expected = recount.messages.get(taken.id, 0)
        if taken.start != expected:
            result.differences.append(
                f"segment {segment.number}: message {taken.id:x} goes on at hit {taken.start}, not {expected}"
            )
        recount.messages[taken.id] = taken.start + taken.held
        if recount.messages[taken.id] >= taken.total and taken.accepted > result.remembered:
            recount.ids.add(taken.id)


def _different(rollups: RollupStore, stream: str, manifest: Manifest, recount: _Recount, result: Audit) -> list[str]:
    """What the rollups say otherwise than the log."""
    if not manifest.version:
        return []
    try:
        return _compared(rollups, stream, manifest, recount, result)
    except BrokenLog as error:  # parts are missing
        return [str(error)]


def _compared(rollups: RollupStore, stream: str, manifest: Manifest, recount: _Recount, result: Audit) -> list[str]:
    refs = [ref for runs in manifest.periods.values() for run in runs for ref in run.parts]
    folded = Cells()
    for data in require(rollups, stream, [ref.id for ref in refs]).values():
        folded.load(counting.unpack(data))
    differences = [
        f"{name} of the rollups differ from the log's"
        for name in ("views", "firsts", "events", "visits", "values")
        if getattr(folded, name) != getattr(recount.cells, name)
    ]
    require(rollups, stream, {ref.id for ref in manifest.sessions})
    known = load_names(manifest, rollups.get(stream, {ref.id for ref in manifest.names}))
    if known.texts != recount.names.texts:
        differences.append("names of the rollups differ from the log's")
    if tuple(known.counts()) != manifest.counts or manifest.next_event != recount.next_event:
        differences.append("the manifest counts differ from the log's")
    if manifest.events != result.events:
        differences.append(f"the rollups hold {manifest.events} events, the log {result.events}")
    lasting = {ref.id for ref in manifest.ids if ref.high >= accepted.minute(result.remembered)}
    blocks = require(rollups, stream, lasting)
    held = {message for data in blocks.values() for message in accepted.unpack(data)}
    missing = len(recount.ids - held)
    if missing:
        differences.append(f"{missing} accepted messages stand in no block of ids")
    return differences
