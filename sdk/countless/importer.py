"""Sends web servers' logs to a site, batch by batch in order by time; repeating it counts once.

How logs are cut into batches depends only on the logs, the window and the size of a batch, and each batch carries a key
made from its content and place: whoever starts the same import again after a crash sends the same keys.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from countless import lines
from countless.client import Hit, PageViews
from countless.formats import Layout
from countless.lines import Line, Reason, UnreadError
from countless.merging import WINDOW, View, merged
from countless.selection import exclusion
from countless.sources import LONGEST_LINE, Source
from countless.tallies import Tally

COUNT_PERMISSION = 2
"""The bit of a token's permissions that lets it record page views (page-view contract, section 1.3)."""


class Remark(NamedTuple):
    """What is wrong with a line: it cannot be read (then there is a reason), or the service refused its hit."""

    file: int
    line: int
    message: str
    reason: Reason | None = None


@dataclass
class Report:
    """What became of the lines.

    Once all batches are through, `lines` is the sum of `skipped`, all `excluded` and `sent`, and `sent` the
    sum of `accepted`, `ignored` and `refused`.
    """

    lines: int = 0
    """Read from the files."""
    skipped: int = 0
    """Before the line to start from."""
    excluded: Counter[Reason] = field(default_factory=Counter)
    sent: int = 0
    accepted: int = 0
    """Taken by the service, which recognises robots and referrer spam among them and does not count those."""
    repeated: int = 0
    """Of those, in batches that the service had taken before: they count once."""
    uncounted: Counter[str] = field(default_factory=Counter)
    """Of those accepted, what the service does not count, by its reason."""
    ignored: int = 0
    """Dropped by the service because the site ignores their address."""
    refused: int = 0
    batches: int = 0
    done: int = 0
    """The last line of a single file up to which everything has been dealt with, and behind which nothing has: the
    next import can start behind it."""
    beyond: int = 0
    """Page views that were sent although they stand behind that line, for they are older than some before it."""
    addresses: Tally = field(default_factory=Tally)
    """Of the page views that were sent."""
    hosts: Tally = field(default_factory=Tally)


class _Place:
    """How far a log is dealt with, whose page views leave the window in another order than that of their lines."""

    def __init__(self) -> None:
        self.line = 0
        self._passed = 0
        self._furthest = 0

    def note(self, view: View) -> None:
        """A page view leaves the window."""
        self._passed += 1
        if view.number >= self._furthest:
            self._furthest, self.line = view.number, view.line

    @property
    def whole(self) -> bool:
        """Whether all page views up to `line` have left, and no other."""
        return self._passed == self._furthest


@dataclass
class Importer:
    """One import of logs into the site of `service`.

    `layout` makes what reads a file. `report` is true at any moment, also after an error. `on_line` hears of each line
    read, `on_remark` of each that cannot be read or is refused. `host`: take requests to this one alone.
    `window`: so many page views wait in memory, to be put in order by time.
    """

    service: PageViews
    layout: Callable[[], Layout]
    batch: int = 500
    from_line: int = 1
    host: str = ""
    window: int = WINDOW
    on_line: Callable[[], None] = lambda: None
    on_remark: Callable[[Remark], None] = lambda _remark: None
    report: Report = field(default_factory=Report)

    def run(self, sources: Sequence[Source]) -> Report:
        """Send all page views of these logs. Raises a `CountlessError` where a batch cannot be sent.

        With more than one log, nothing is left out before `from_line`.
        """
        report, place = self.report, _Place()
        views = merged([self._views(file, source) for file, source in enumerate(sources)], self.window)
        for batch in self._batches(views, place):
            self._send(batch, several=len(sources) > 1)
            if place.whole:
                report.done, report.beyond = max(report.done, place.line), 0
            else:
                report.beyond += len(batch)
        report.done, report.beyond = max(report.done, report.lines), 0
        return report

    def _batches(self, views: Iterator[View], place: _Place) -> Iterator[list[View]]:
        """Page views in groups; those before the first line wanted are cut like the others, then left out."""
        batch: list[View] = []
        size = 0
        for view in views:
            place.note(view)
            size += 1
            if view.line >= self.from_line:
                batch.append(view)
            if size == self.batch:
                if batch:
                    yield batch
                batch, size = [], 0
        if batch:
            yield batch

    def _views(self, file: int, source: Source) -> Iterator[View]:
        """The lines of a log that are page views; the others are counted by reason."""
        layout, found = self.layout(), 0
        for number, raw in enumerate(source, start=1):
            self.report.lines += 1
            self.on_line()
            wanted = number >= self.from_line
            self.report.skipped += not wanted
            try:
                line = read(raw, layout)
            except UnreadError as error:
                if wanted:
                    self.report.excluded[error.reason] += 1
                    self.on_remark(Remark(file, number, str(error) if raw else "", error.reason))
                continue
            reason = Reason.HOST if self.host and line.host != self.host else exclusion(line)
            if reason is None:
                if wanted:
                    self.report.addresses.add(lines.counted(line.address))
                    self.report.hosts.add(line.host)
                found += 1
                yield View(line.at, file, number, found, len(raw), as_hit(line))
            elif wanted:
                self.report.excluded[reason] += 1

    def _send(self, batch: list[View], *, several: bool) -> None:
        hits = [view.hit for view in batch]
        self.report.sent += len(hits)
        counted = self.service.count(hits, no_sessions=True, idempotency_key=key_of(batch, several=several))
        accepted = len(hits) - len(counted.filtered) - len(counted.refused)
        self.report.batches += 1
        self.report.ignored += len(counted.filtered)
        self.report.refused += len(counted.refused)
        self.report.accepted += accepted
        self.report.uncounted.update(counted.uncounted)
        self.report.repeated += accepted if counted.repeated else 0
        for position, message in sorted(counted.refused.items()):
            self.on_remark(Remark(batch[position].file, batch[position].line, message))


def read(raw: bytes, layout: Layout) -> Line:
    """The request that a line describes.

    Raises:
        UnreadError: it describes none, or not in this format.
    """
    if len(raw) > LONGEST_LINE:
        raise UnreadError(Reason.LONG)
    return layout.read(lines.decoded(raw))


def as_hit(line: Line) -> Hit:
    """The line as the reference's import sends it, every key present (page-view contract, section 8.4)."""
    return {
        "path": line.path,
        "title": "",
        "event": False,
        "ref": line.referrer,
        "size": "",
        "query": line.query,
        "bot": 0,
        "user_agent": line.user_agent,
        "location": "",
        "language": "",
        "ip": line.address,
        "created_at": line.at.isoformat(timespec="seconds").replace("+00:00", "Z"),
        "session": "",
    }


def key_of(batch: list[View], *, several: bool = False) -> str:
    """An idempotency key that only this content has at these lines, of these files if there are several."""
    content = [(view.file, view.line, view.hit) if several else (view.line, view.hit) for view in batch]
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return "import-" + hashlib.sha256(text.encode()).hexdigest()
