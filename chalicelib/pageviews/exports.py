"""Page views as CSV, in format 2 of it (page-view contract, section 8.1): a row for each page view that may be listed.

Every field is written as it is, also one that begins with `=`, `+`, `-` or `@` and that a spreadsheet takes for a
formula: whoever reads the file back must find what was counted. Who asks for a safe file gets such fields defused.
"""

import re
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import compress
from typing import NamedTuple

from chalicelib.core.errors import BrokenLog
from chalicelib.core.exporting import Chunk
from chalicelib.core.names import Names, path_name
from chalicelib.core.periods import time_text
from chalicelib.core.segments import EVENT, FIRST, LISTED, Kind, Retitle, Segment
from chalicelib.core.spreadsheets import defused

HEADER = (
    "2Path,Title,Event,UserAgent,Browser,System,Session,Bot,Referrer,Referrer scheme,Screen size,Location,FirstVisit,"
    "Date\n"
)
CHUNK = 10_000
"""Chunks end where event ids are multiples of this, wherever segments do."""
_QUOTED = re.compile(r'[,"\r\n]|\A[ \t\v\f\x85\xa0]')


class Reached(NamedTuple):
    """How far a file is."""

    event: int
    """Page views up to this one are in, if they may be listed."""
    last: int
    """The last one that is in; where the file begins, if none is."""

    @classmethod
    def read(cls, cursor: str, start: int) -> "Reached":
        """What a cursor says of a file of the page views behind `start`; an empty one is its beginning's."""
        event, _, last = cursor.partition(" ")
        return cls(int(event), int(last)) if cursor else cls(start, start)

    def __str__(self) -> str:
        return f"{self.event} {self.last}"


class Csv:
    """A `Source` of the page views behind one event up to another.

    A row says what held when its page view was counted, titles included: exports that begin where others ended have,
    together, the rows of one export of it all. That is why the log is read from its beginning, whatever is listed.
    """

    def __init__(
        self, segments: Callable[[], Iterator[Segment]], site: int, start: int, end: int, *, safe: bool = False
    ) -> None:
        """`segments` gives the stream's, at least up to the one that holds the event `end`; `safe` is for those who
        open the file in a spreadsheet.
        """
        self._field = _safe_field if safe else _field
        self._segments = segments
        self._site = site
        self._start = start
        self._end = end

    def chunks(self, after: str) -> Iterator[Chunk]:
        """As `Source.chunks`. The first chunk of the whole is the header alone."""
        if not after:
            yield Chunk("", 0, HEADER.encode())
        reached = Reached.read(after, self._start)
        if reached.event >= self._end:
            return
        table, piece = _Table(self._site, self._field), _Piece(reached, self._end)
        for segment in self._segments():
            table.learn(segment)
            if not table.knows(segment):  # paths were merged into one that came later
                table.look_ahead(segment, self._segments())
            if segment.next_event <= piece.reached.event + 1:
                table.retitle(segment.retitles)
                yield Chunk(after, 0, b"")  # a sign of life
                continue
            yield from piece.take(segment, table)
            if piece.reached.event >= self._end:
                return
        raise BrokenLog(f"the log ends before the event {self._end}")


class _Piece:
    """The rows of the chunk that grows."""

    def __init__(self, reached: Reached, end: int) -> None:
        self.reached = reached
        self._end = end
        self._last = reached.last
        self._count = 0
        self._rows: list[str] = []

    def take(self, segment: Segment, table: "_Table") -> Iterator[Chunk]:
        """Takes in a segment's events; the chunks that they fill. Title by title, as they changed."""
        ids = segment.events.id
        at, stop = bisect_right(ids, self.reached.event), bisect_right(ids, self._end)
        retitles = list(segment.retitles)
        table.open(segment)
        while True:
            while retitles and retitles[0].event <= at:
                table.retitle([retitles.pop(0)])
            until = bisect_right(ids, self._edge, at, stop)
            if retitles:
                until = min(until, max(at, retitles[0].event))
            if until > at:
                self._add(table, segment, at, until)
                at = until
            elif at < stop or segment.next_event > self._edge:
                yield self._flush()
                if self.reached.event >= self._end:
                    return
            else:
                break
        table.retitle(retitles)

    @property
    def _edge(self) -> int:
        return min(self._end, (self.reached.event // CHUNK + 1) * CHUNK)

    def _add(self, table: "_Table", segment: Segment, start: int, stop: int) -> None:
        chosen = [flags & LISTED for flags in segment.events.flags[start:stop]]
        rows = table.rows(segment, start, stop, chosen)
        if rows:
            self._rows += rows
            self._count += len(rows)
            self._last = max(compress(segment.events.id[start:stop], chosen))

    def _flush(self) -> Chunk:
        self.reached = Reached(self._edge, self._last)
        chunk = Chunk(str(self.reached), self._count, "".join(self._rows).encode())
        self._count, self._rows = 0, []
        return chunk


class _Table:
    """Fields, ready to be joined: by id of a name, with the commas behind them."""

    def __init__(self, site: int, field: "Field") -> None:
        self._site = site
        self._field = field
        self._names = Names()
        self._fields: dict[Kind, list[str]] = {kind: [nothing] for kind, nothing in _NOTHING.items()}
        self._sessions: list[str] = []
        self._widths: dict[int, str] = {}
        self._minutes = _Minutes()

    def learn(self, segment: Segment) -> None:
        """Takes in the names that a segment is the first to use."""
        self._names.extend(segment.first_names, segment.names, {})
        for kind, fields in self._fields.items():
            fields.extend(_FIELDS[kind](self._field, text) for text in self._names.texts[kind][len(fields) - 1 :])

    def knows(self, segment: Segment) -> bool:
        """Whether it has the names of all the segment's paths."""
        return max(segment.events.path, default=0) < len(self._fields[Kind.PATH])

    def look_ahead(self, segment: Segment, segments: Iterator[Segment]) -> None:
        """Takes in names until it has those of the segment's paths, each with its first title."""
        for later in segments:
            self.learn(later)
            if self.knows(segment):
                return

    def open(self, segment: Segment) -> None:
        """Makes ready for the segment's rows."""
        self._sessions = ["0-0", *(f"{self._site:x}-{session.number:x}" for session in segment.sessions)]

    def retitle(self, retitles: Sequence[Retitle]) -> None:
        """Gives paths their new titles."""
        for retitle in retitles:
            text, _ = self._names.path(retitle.path)
            self._fields[Kind.PATH][retitle.path] = _path(self._field, path_name(text, retitle.title))

    def rows(self, segment: Segment, start: int, stop: int, chosen: Sequence[int]) -> list[str]:
        """The rows of the events from `start` to before `stop` that are chosen, of the segment that is open."""
        events = segment.events
        sessions, widths = self._sessions, self._widths
        for width in set(events.width[start:stop]) - widths.keys():
            widths[width] = f'"{width},0,1",'
        columns = (events.path, events.flags, events.browser, events.system, events.session, events.ref, events.width)
        parts = [column[start:stop] for column in (*columns, events.location, events.at)]
        if not all(chosen):
            parts = [list(compress(part, chosen)) for part in parts]
        path, browser, system, ref, location = (
            self._fields[kind] for kind in (Kind.PATH, Kind.BROWSER, Kind.SYSTEM, Kind.REF, Kind.LOCATION)
        )
        minutes = self._minutes
        return [
            f"{path[p]}{_EVENT[f & EVENT]}{browser[b]}{system[s]}{sessions[n]},0,{ref[r]}{widths[w]}{location[o]}"
            f"{_FIRST[f & FIRST]}{minutes[at // 60]}{_SECONDS[at % 60]}"
            for p, f, b, s, n, r, w, o, at in zip(*parts, strict=True)
        ]


_EVENT: Mapping[int, str] = {0: "0,,", EVENT: "1,,"}
"""Whether it is an event, and no User-Agent."""
_FIRST: Mapping[int, str] = {0: "0,", FIRST: "1,"}
_SECONDS = [f"{second:02}Z\n" for second in range(60)]


_TO_MINUTES = len("2026-01-31T14:42:")


class _Minutes(dict[int, str]):
    """Minutes from 1970, as dates begin."""

    def __missing__(self, minute: int) -> str:
        if len(self) > CHUNK:
            self.clear()
        text = self[minute] = time_text(minute * 60)[:_TO_MINUTES]
        return text


def _field(text: str) -> str:
    """A field, in quotes only if it needs them."""
    if text != "\\." and not _QUOTED.search(text):
        return text
    return '"' + text.replace('"', '""') + '"'


def _safe_field(text: str) -> str:
    """A field that a spreadsheet does not run."""
    return _field(defused(text))


Field = Callable[[str], str]
"""How a text is written as a field."""


def _path(field: Field, name: str) -> str:
    path, _, title = name.partition("\0")
    return f"{field(path)},{field(title)},"


def _agent(field: Field, name: str) -> str:
    """Name, space and version; the space stays where there is no version, and no name either."""
    name, _, version = name.partition("\0")
    return f"{field(f'{name} {version}')},"


def _ref(field: Field, name: str) -> str:
    return f"{field(name[1:])},{field(name[:1])},"


def _plain(field: Field, name: str) -> str:
    return f"{field(name)},"


_NOTHING: Mapping[Kind, str] = {
    Kind.PATH: ",,",
    Kind.BROWSER: '" ",',
    Kind.SYSTEM: '" ",',
    Kind.REF: ",,",
    Kind.LOCATION: ",",
}
"""What stands for no name."""
_FIELDS: Mapping[Kind, Callable[[Field, str], str]] = {
    Kind.PATH: _path,
    Kind.BROWSER: _agent,
    Kind.SYSTEM: _agent,
    Kind.REF: _ref,
    Kind.LOCATION: _plain,
}
