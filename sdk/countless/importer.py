"""Sends a web server's log to a site, batch by batch in the order of the file; repeating it counts once.

How the file is cut into batches depends only on the file and the size of a batch, and each batch carries a
key made from its content and place: whoever starts the same import again after a crash sends the same keys.
"""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from countless.client import Hit, PageViews
from countless.logs import Line, parse
from countless.selection import Reason, exclusion

COUNT_PERMISSION = 2
"""The bit of a token's permissions that lets it record page views (page-view contract, section 1.3)."""


class Numbered(NamedTuple):
    """A hit and the line of the file that it comes from, counted from 1."""

    line: int
    hit: Hit


class Refusal(NamedTuple):
    """A line whose hit the service did not take, and why."""

    line: int
    message: str


@dataclass
class Report:
    """What became of the lines.

    Once all batches are through, `lines` is the sum of `skipped`, all `excluded` and `sent`, and `sent` the
    sum of `accepted`, `ignored` and `refused`.
    """

    lines: int = 0
    """Read from the file."""
    skipped: int = 0
    """Before the line to start from."""
    excluded: Counter[Reason] = field(default_factory=Counter)
    sent: int = 0
    accepted: int = 0
    """Taken by the service, which recognises robots and referrer spam among them and does not count those."""
    ignored: int = 0
    """Dropped by the service because the site ignores their address."""
    refused: int = 0
    batches: int = 0
    done: int = 0
    """The last line up to which everything has been dealt with: the next import can start behind it."""


@dataclass
class Importer:
    """One import of one log into the site of `service`.

    `report` is true at any moment, also after an error. `on_line` hears of each line read, `on_refused` of
    each hit that the service refused.
    """

    service: PageViews
    layout: re.Pattern[str]
    batch: int = 500
    from_line: int = 1
    on_line: Callable[[], None] = lambda: None
    on_refused: Callable[[Refusal], None] = lambda _refusal: None
    report: Report = field(default_factory=Report)

    def run(self, lines: Iterable[bytes]) -> Report:
        """Send all page views among the lines. Raises a `CountlessError` where a batch cannot be sent."""
        for batch in self._batches(lines):
            self._send(batch)
            self.report.done = max(self.report.done, batch[-1].line)
        self.report.done = max(self.report.done, self.report.lines)
        return self.report

    def _batches(self, lines: Iterable[bytes]) -> Iterator[list[Numbered]]:
        """Page views in groups; those before the first line wanted are cut like the others, then left out."""
        batch: list[Numbered] = []
        size = 0
        for numbered in self._page_views(lines):
            size += 1
            if numbered.line >= self.from_line:
                batch.append(numbered)
            if size == self.batch:
                if batch:
                    yield batch
                batch, size = [], 0
        if batch:
            yield batch

    def _page_views(self, lines: Iterable[bytes]) -> Iterator[Numbered]:
        """The lines that are page views; the others are counted by reason."""
        for number, raw in enumerate(lines, start=1):
            line = parse(raw, self.layout)
            reason = exclusion(line)
            self.report.lines += 1
            self.on_line()
            if number < self.from_line:
                self.report.skipped += 1
            elif reason is not None:
                self.report.excluded[reason] += 1
            if line is not None and reason is None:
                yield Numbered(number, as_hit(line))

    def _send(self, batch: list[Numbered]) -> None:
        hits = [numbered.hit for numbered in batch]
        self.report.sent += len(hits)
        counted = self.service.count(hits, no_sessions=True, idempotency_key=key_of(batch))
        self.report.batches += 1
        self.report.ignored += len(counted.filtered)
        self.report.refused += len(counted.refused)
        self.report.accepted += len(hits) - len(counted.filtered) - len(counted.refused)
        for position, message in sorted(counted.refused.items()):
            self.on_refused(Refusal(batch[position].line, message))


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
        "created_at": line.at.isoformat().replace("+00:00", "Z"),
        "session": "",
    }


def key_of(batch: list[Numbered]) -> str:
    """An idempotency key that only this content at these lines has."""
    text = json.dumps(batch, sort_keys=True, separators=(",", ":"))
    return "import-" + hashlib.sha256(text.encode()).hexdigest()
