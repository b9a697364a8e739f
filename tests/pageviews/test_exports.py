"""Exports of page views: what a file holds, and that it is a function of the log alone."""

import csv
import io
import json
import zipfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib import wiring
from chalicelib.core import listing
from chalicelib.core.cells import Dimension
from chalicelib.core.compaction import join
from chalicelib.core.events import Hit
from chalicelib.core.exporting import Chunk, Source
from chalicelib.core.exports import Lost
from chalicelib.core.listing import Place, Tables, place, segments
from chalicelib.core.log import Appender
from chalicelib.core.messages import Message
from chalicelib.core.names import Names, versioned
from chalicelib.core.segments import EVENT, FIRST, LISTED
from chalicelib.core.sweeping import Sweeper
from chalicelib.pageviews import archive, exports
from chalicelib.pageviews.archive import About, Archive
from chalicelib.pageviews.exports import HEADER, Csv, Reached
from tests.dynamo import standing_in
from tests.histories import histories

START = 1_763_700_000
SITE = 0x2A
MONTH = 40 * 86_400
FILES = {
    "info.json",
    *(f"{name}.jsonl" for name in ("paths", "refs", "browsers", "systems", "locations", "languages")),
    *(f"{name}_stats.jsonl" for name in ("hit", "browser", "system", "location", "language", "size")),
}
_streams = count(1)


@dataclass
class Stream:
    """A stream in tables in memory, and a clock."""

    name: str = field(default_factory=lambda: f"acc/pageviews/{next(_streams)}")
    now: int = START
    messages: int = 0

    def __post_init__(self) -> None:
        folds = wiring.folds()
        self._appender = Appender(wiring.log(), wiring.rollups(), folds, now=self._clock, segment_hits=13)
        self._appender._ask = lambda *_: None  # type: ignore[method-assign]  # folds come when they are told to

    def _clock(self) -> float:
        return float(self.now)

    def append(self, *hits: Hit) -> None:
        """Accepts page views; their times are told from now."""
        self.messages += 1
        placed = tuple(hit._replace(at=self.now + hit.at) for hit in hits)
        appended = self._appender.append(self.name, [Message(self.messages, self.now, self.name, False, placed)])
        assert not appended.refused

    def fold(self, *, sweep: bool) -> None:
        """Takes the log into the rollups; a sweep merges what is old of it as well."""
        folder = Sweeper(wiring.log(), wiring.rollups(), now=self._clock)
        if sweep:
            folder.sweep(self.name)
        else:
            folder.fold(self.name)

    def place(self) -> Place:
        """Where the log ends."""
        return place(wiring.log(), wiring.rollups(), self.name)

    def csv(self, end: Place, start: int = 0, *, safe: bool = False) -> Csv:
        """The page views behind an event."""
        return Csv(lambda: segments(wiring.log(), self.name, end.head), SITE, start, end.event, safe=safe)

    def tables(self, end: Place) -> Tables:
        """The visits."""
        return Tables(wiring.log(), wiring.rollups(), self.name, end)

    def archive(self, end: Place, first: int | None = None) -> Archive:
        """The visits as an archive."""
        about = About("folder", "example.com", "user_id=1 a@example.com", START, first)
        return Archive(about, lambda: self.tables(end))


@pytest.fixture(scope="module", autouse=True)
def memory(world: object) -> Iterator[None]:
    """Tables in memory."""
    assert world
    with standing_in():
        wiring.forget()
        yield
    wiring.forget()


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks, windows and steps are small, so that there are many."""
    monkeypatch.setattr(exports, "CHUNK", 7)
    monkeypatch.setattr(archive, "_LINES", 10)
    monkeypatch.setattr(listing, "CELLS", 20)
    monkeypatch.setattr(listing, "PARTS", 1)
    monkeypatch.setattr(listing, "_RANGES", [(0, 2), (2, 5), (5, 2**31)])


def chunks(source: Source, after: str = "") -> list[Chunk]:
    """A source's chunks without signs of life."""
    found, cursor = [], after
    for chunk in source.chunks(after):
        if chunk != (cursor, 0, b""):
            found.append(chunk)
            cursor = chunk.after
    return found


def data(source: Source) -> bytes:
    """All that a source gives."""
    return b"".join(chunk.data for chunk in chunks(source))


def last(source: Csv, start: int = 0) -> int:
    """What a finished export calls its last event."""
    return Reached.read(chunks(source)[-1].after, start).last


def table(source: Csv) -> list[list[str]]:
    """A file's rows, read by the standard library."""
    header, *rows = csv.reader(io.StringIO(data(source).decode(), newline=""))
    assert ",".join(header) + "\n" == HEADER
    return rows


def unzipped(source: Source) -> dict[str, list[dict[str, Any]]]:
    """An archive's files, by name; each line as it is read."""
    with zipfile.ZipFile(io.BytesIO(data(source))) as file:
        assert file.testzip() is None
        assert all(name.startswith("folder/") for name in file.namelist())
        assert file.namelist()[-1] == "folder/hit_stats.jsonl", "an importer reads nothing that comes after it"
        read = {name.removeprefix("folder/"): file.read(name).decode() for name in file.namelist()}
    assert read.keys() == FILES
    return {name: [json.loads(line) for line in text.splitlines()] for name, text in read.items()}


def hit(path: str = "/", **more: Any) -> Hit:
    """A page view, now, of which all is known."""
    known: dict[str, Any] = {
        "title": "",
        "event": not path.startswith("/"),
        "ref": "",
        "ref_scheme": "o",
        "campaign": "",
        "browser": versioned("Firefox", "139"),
        "system": "Linux",
        "location": "NL",
        "language": "nld",
        "width": 1920,
        "at": 0,
        "session": 0,
        "previous": 0,
        "listed": True,
    }
    return Hit(path=path, **{**known, **more})


# --- CSV ------------------------------------------------------------------------------------------------------------


def test_a_row_is_written_as_importers_read_it() -> None:
    """Byte by byte: quotes only where they are needed, a space for no version and where there is no name, two numbers
    for a session, or none.
    """
    stream = Stream()
    stream.append(
        hit("/a", title="One", ref="example.com/a", ref_scheme="h", session=5),
        hit("/a", title="One", session=5, location="US-TX", width=0),
        hit('he said "hi", then', system=versioned("Linux", "Ubuntu"), browser=None),
        hit("/b", title=" led by a space", ref=" x", browser="", location="", at=-1),
    )
    assert data(stream.csv(stream.place())).decode() == HEADER + (
        '/a,One,0,,Firefox 139,Linux ,2a-1,0,example.com/a,h,"1920,0,1",NL,1,2025-11-21T04:40:00Z\n'
        '/a,One,0,,Firefox 139,Linux ,2a-1,0,,o,"0,0,1",US-TX,0,2025-11-21T04:40:00Z\n'
        '"he said ""hi"", then",,1,," ",Linux Ubuntu,0-0,0,,o,"1920,0,1",NL,1,2025-11-21T04:40:00Z\n'
        '/b," led by a space",0,," ",Linux ,0-0,0," x",o,"1920,0,1",,1,2025-11-21T04:39:59Z\n'
    )


@pytest.mark.parametrize("text", ["a\nb", "\tx", "\u00a0x", 'a"b', "\\.", "x y ", "=1+1", "é", "", "a\rb"])
def test_every_text_comes_back_as_it_was(text: str) -> None:
    """Line ends, quotes and spaces included."""
    stream = Stream()
    stream.append(hit("/", title=text, ref=text))
    [row] = table(stream.csv(stream.place()))
    assert (row[1], row[8]) == (text, text)


def test_page_views_of_sites_that_do_not_list_them_are_left_out() -> None:
    """Whatever the site does later: it is the moment of arrival that counts. What is left has its ids."""
    stream = Stream()
    stream.append(*(hit(f"/{n}", listed=n % 3 == 0) for n in range(20)))
    found = stream.csv(stream.place())
    assert [row[0] for row in table(found)] == [f"/{n}" for n in range(0, 20, 3)]
    assert last(found) == 19
    nothing = stream.csv(stream.place(), 19)
    assert (table(nothing), last(nothing, 19)) == ([], 19)


def test_an_export_of_nothing_has_its_header() -> None:
    """Of a stream without a log, and behind the end of one."""
    stream = Stream()
    assert (stream.place(), data(stream.csv(stream.place()))) == (Place(0, 0), HEADER.encode())
    stream.append(hit())
    beyond = stream.csv(stream.place(), 4711)
    assert (data(beyond), [chunk.after for chunk in chunks(beyond)]) == (HEADER.encode(), [""])


def test_a_row_has_the_title_that_its_path_had_then() -> None:
    """So that what was exported already does not change."""
    stream = Stream()
    stream.append(hit("/a", title="Old"))
    stream.append(*(hit("/a", title="New") for _ in range(30)))
    titles = [row[1] for row in table(stream.csv(stream.place()))]
    assert titles == sorted(titles, reverse=True)
    assert Counter(titles).keys() == {"Old", "New"}
    for start in range(31):
        assert [row[1] for row in table(stream.csv(stream.place(), start))] == titles[start:]


def test_titles_that_change_all_the_time_cost_no_more_than_the_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sessions are read once for each segment, into however many pieces titles cut it."""
    monkeypatch.setattr(exports, "CHUNK", 1_000)
    stream = Stream()
    stream.append(*(hit("/a", title=str(n // 11), session=n + 1) for n in range(130)))
    [merged] = [join(list(segments(wiring.log(), stream.name, stream.place().head)))]
    assert len(merged.retitles) > 5
    reads = []

    class Watched(list[Any]):
        def __iter__(self) -> Iterator[Any]:
            reads.append(1)
            return super().__iter__()

    merged.sessions = Watched(merged.sessions)
    assert len(table(Csv(lambda: iter([merged]), SITE, 0, 130))) == 130
    assert len(reads) == 1


OLD = {
    "0001-01-01T00:00:00Z": -62_135_596_860,  # before the first year, as clocks ahead of UTC say
    "0500-01-01T00:00:00Z": -46_388_678_400,
    "1969-12-31T23:00:00Z": -3_600,
}
"""Hours in order, as files write them, and moments in Unix seconds."""


@pytest.mark.parametrize("folded", [False, True])
def test_page_views_of_any_age_are_exported(*, folded: bool) -> None:
    """Years have four digits, as RFC 3339 wants them, and no hour is too old for an archive of everything."""
    stream = Stream()
    stream.append(*(hit(at=at - START) for at in OLD.values()))
    if folded:
        stream.fold(sweep=True)
    assert [row[13] for row in table(stream.csv(stream.place()))] == list(OLD)
    found = unzipped(stream.archive(stream.place()))
    assert [line["hour"] for line in found["hit_stats.jsonl"]] == list(OLD)
    assert [line["day"] for line in found["size_stats.jsonl"]] == [text[:10] for text in OLD]


def test_an_archive_may_begin_with_the_hour_before_1970() -> None:
    """Hour -1 is an hour like any other."""
    stream = Stream()
    stream.append(hit(at=-START - 1))
    found = unzipped(stream.archive(stream.place()))
    assert [line["hour"] for line in found["hit_stats.jsonl"]] == ["1969-12-31T23:00:00Z"]
    assert [line["day"] for line in found["size_stats.jsonl"]] == ["1969-12-31"]


# --- generated ------------------------------------------------------------------------------------------------------

some_hits = st.builds(
    hit,
    st.sampled_from(("/", "/a", "/A", "/b, c", "signup")),
    title=st.sampled_from(("", "One", "Two")),
    ref=st.sampled_from(("", "example.com")),
    browser=st.sampled_from((None, "", versioned("Firefox", "139"), "Safari")),
    location=st.sampled_from(("", "NL", "US-TX")),
    language=st.sampled_from(("", "nld")),
    width=st.sampled_from((0, 390, 1920)),
    at=st.sampled_from((0, -5, -4_000, -90_000, -MONTH)),
    session=st.integers(0, 3),
    listed=st.sampled_from((True, True, True, False)),
)
SOON = (1, 4_000, 80_000)
"""As long as an export takes at most, some of these together."""


def steps(times: tuple[int, ...]) -> st.SearchStrategy[tuple[str, Any]]:
    """What may happen."""
    return st.one_of(
        st.tuples(st.just("append"), st.lists(some_hits, min_size=1, max_size=30)),
        st.tuples(st.just("fold"), st.booleans()),
        st.tuples(st.just("time"), st.sampled_from(times)),
        st.tuples(st.just("cut"), st.none()),
    )


def perform(stream: Stream, step: tuple[str, Any]) -> None:
    """Does one of these steps."""
    name, what = step
    if name == "append":
        stream.append(*what)
    elif name == "fold":
        stream.fold(sweep=what)
    elif name == "time":
        stream.now += what


@histories(12)
@given(st.lists(steps((*SOON, MONTH)), max_size=14), st.lists(steps(SOON), max_size=6))
def test_files_are_functions_of_the_log_and_join(script: list[tuple[str, Any]], later: list[tuple[str, Any]]) -> None:
    """Exports that begin where others ended are, together, the export of everything. Whatever happens after one was
    asked for, it has the same bytes; and it may go on behind any of its chunks.
    """
    stream, cuts = Stream(), [(0, HEADER.encode())]
    for step in script:
        perform(stream, step)
        if step[0] == "cut":
            begins = cuts[-1][0]
            part = stream.csv(stream.place(), begins)
            cuts.append((last(part, begins), data(part)))
    end = stream.place()
    rest = data(stream.csv(end, cuts[-1][0]))
    whole, packed = chunks(stream.csv(end)), chunks(stream.archive(end))
    text = b"".join(chunk.data for chunk in whole)
    assert HEADER.encode() + b"".join(part.removeprefix(HEADER.encode()) for _, part in (*cuts, (0, rest))) == text
    for step in later:
        perform(stream, step)
    for source, expected in ((stream.csv(end), whole), (stream.archive(end), packed)):
        assert chunks(source) == expected
        for number in {len(expected) // 3, len(expected) // 2, len(expected) - 1}:
            if after := expected[number].after:
                assert chunks(source, after) == expected[number + 1 :]
    _compare(stream, end, text)
    _count(stream, end)


def _compare(stream: Stream, end: Place, text: bytes) -> None:
    """A file's rows are the log's, one by one."""
    names, expected = Names(), []
    for segment in segments(wiring.log(), stream.name, end.head):
        names.replay(segment)
        for columns in zip(*segment.events.all(), strict=True):
            event = dict(zip(segment.events.__slots__, columns, strict=True))
            if event["flags"] & LISTED:
                number = segment.sessions[event["session"] - 1].number if event["session"] else 0
                expected.append(
                    [
                        names.path(event["path"])[0],
                        str(int(bool(event["flags"] & EVENT))),
                        f"{SITE:x}-{number:x}" if number else "0-0",
                        names.ref(event["ref"])[1],
                        f"{event['width']},0,1",
                        str(event["flags"] & FIRST),
                        f"{datetime.fromtimestamp(event['at'], UTC):%Y-%m-%dT%H:%M:%SZ}",
                    ]
                )
    _, *rows = csv.reader(io.StringIO(text.decode(), newline=""))
    assert [[row[at] for at in (0, 2, 6, 8, 10, 12, 13)] for row in rows] == expected


def _count(stream: Stream, end: Place) -> None:
    """The counts are those of the log, in order."""
    visits: Counter[tuple[int, ...]] = Counter()
    widths: Counter[tuple[int, ...]] = Counter()
    for segment in segments(wiring.log(), stream.name, end.head):
        events = segment.events
        for at, path, ref, width, flags in zip(
            events.at, events.path, events.ref, events.width, events.flags, strict=True
        ):
            if flags & FIRST:
                visits[at // 3600, path, ref] += 1
                widths[at // 86_400, path, width] += 1
    tables = stream.tables(end)
    assert [tuple(row) for row in tables.visits()] == [(*key, visits[key]) for key in sorted(visits)]
    assert [tuple(row) for row in tables.values(Dimension.WIDTH)] == [(*key, widths[key]) for key in sorted(widths)]
    middle = (min(widths)[0] + max(widths)[0]) // 2 if widths else 0
    assert [tuple(row) for row in tables.values(Dimension.WIDTH, middle)] == [
        (*key, widths[key]) for key in sorted(widths) if key[0] >= middle
    ]


# --- the archive ----------------------------------------------------------------------------------------------------


def test_an_archive_holds_counts_and_the_names_that_they_use() -> None:
    """As importers read it (page-view contract, section 8.2)."""
    stream = Stream()
    stream.append(hit("/unused", at=-MONTH))
    stream.append(hit("/a", title='T "1"', ref="Google", ref_scheme="g", session=1, location="US-TX"))
    stream.fold(sweep=False)
    stream.append(hit("/a", title='T "1"', session=1), hit("signup", browser=None, location="", language="", width=0))
    first = START // 86_400
    found = unzipped(stream.archive(stream.place(), first))
    assert found["info.json"] == [
        {
            "export_version": "1.0",
            "goatcounter_version": "countless",
            "created_for": "example.com",
            "created_by": "user_id=1 a@example.com",
            "created_at": "2025-11-21T04:40:00Z",
        }
    ]
    assert found["hit_stats.jsonl"] == [
        {"hour": "2025-11-21T04:00:00Z", "path_id": 2, "ref_id": 2, "count": 1},
        {"hour": "2025-11-21T04:00:00Z", "path_id": 3, "ref_id": 1, "count": 1},
    ]
    assert found["browser_stats.jsonl"] == [{"day": "2025-11-21", "path_id": 2, "browser_id": 1, "count": 1}]
    assert found["location_stats.jsonl"] == [
        {"day": "2025-11-21", "path_id": 2, "location": "US-TX", "count": 1},
        {"day": "2025-11-21", "path_id": 3, "location": "", "count": 1},
    ]
    assert found["size_stats.jsonl"][1] == {"day": "2025-11-21", "path_id": 3, "width": 0, "count": 1}
    assert found["paths.jsonl"] == [
        {"id": 2, "path": "/a", "title": 'T "1"'},
        {"id": 3, "path": "signup", "title": "", "event": True},
    ]
    assert found["refs.jsonl"] == [
        {"id": 1, "ref": "", "ref_scheme": "o"},
        {"id": 2, "ref": "Google", "ref_scheme": "g"},
    ]
    assert found["browsers.jsonl"] == [{"id": 1, "name": "Firefox", "version": "139"}]
    assert found["locations.jsonl"] == [
        {"country": "US", "region": "TX", "country_name": "United States", "region_name": "Texas"},
        {"country": "", "region": "", "country_name": "", "region_name": ""},
    ]
    assert {"iso_639_3": "nld", "name": "Dutch"} in found["languages.jsonl"]


def test_an_archive_of_nothing_has_all_its_files() -> None:
    """Empty ones, but for what it says of itself."""
    stream = Stream()
    found = unzipped(stream.archive(stream.place()))
    assert [name for name, lines in found.items() if lines] == ["info.json"]


def test_titles_that_changed_since_do_not_show_in_an_archive() -> None:
    """Also if the rollups hold them already."""
    stream = Stream()
    stream.append(hit("/a", title="Old"))
    end = stream.place()
    expected = data(stream.archive(end))
    stream.append(*(hit("/a", title="New") for _ in range(30)))
    stream.fold(sweep=True)
    assert [path["title"] for path in unzipped(stream.archive(stream.place()))["paths.jsonl"]] == ["New"]
    assert data(stream.archive(end)) == expected


def test_an_archive_that_was_begun_by_other_rules_is_begun_anew() -> None:
    """Its pieces would not fit together."""
    stream, other = Stream(), Stream()
    stream.append(*(hit(f"/{n}", width=1920) for n in range(20)))
    other.append(*(hit(f"/{n}", width=1290) for n in range(20)))
    packed = chunks(stream.archive(stream.place()))
    assert [len(chunk.data) for chunk in packed] == [len(chunk.data) for chunk in chunks(other.archive(other.place()))]
    with pytest.raises(Lost):
        list(other.archive(other.place()).chunks(packed[-2].after))
    made, _, check = packed[0].after.partition(" ")
    with pytest.raises(Lost):
        list(stream.archive(stream.place()).chunks(f"{int(made) + 1} {check}"))


@pytest.mark.parametrize("evil", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
def test_in_a_safe_file_no_spreadsheet_runs_a_cell(evil: str) -> None:
    """Wherever strangers say what stands in it, new titles too; in any other file each is as it was counted."""
    stream = Stream()
    stream.append(hit(evil, title=evil, ref=evil, browser=versioned(evil, "1"), system=evil))
    stream.append(*(hit(evil, title=f"{evil}, again") for _ in range(30)))
    for safe, said in ((False, evil), (True, f"'{evil}")):
        first, *_, last_row = table(stream.csv(stream.place(), safe=safe))
        path, title, _, _, browser, system, _, _, ref = first[:9]
        assert (path, title, browser, ref) == (said, said, f"{said} 1", said)
        assert system.startswith(said)
        assert last_row[1] == f"{said}, again"
