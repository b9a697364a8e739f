"""Visits as a ZIP of JSON, in version 1.0 of that export (page-view contract, section 8.2): counts in order of time,
and the names that they use.

The archive is made by the standard library, in one go: a run that takes over makes it again from its beginning, and
passes over what is there already. That is right, since the same counts make the same bytes; and it is quick enough,
since an archive is of counts, not of page views: a function has time for forty million of them.
"""

import json
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from itertools import islice
from typing import Any, NamedTuple
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo
from zlib import crc32

from chalicelib.core.cells import Dimension
from chalicelib.core.exporting import Chunk
from chalicelib.core.exports import Lost
from chalicelib.core.listing import Row, Tables
from chalicelib.core.names import Names
from chalicelib.core.periods import DAY, HOUR, time_text
from chalicelib.core.reports import is_event
from chalicelib.core.segments import Kind

from . import display

VERSION = "1.0"
"""Of the format; importers refuse later ones."""
_LINES = 5_000
"""So many are written at once."""
_FIRST_YEAR = 315_532_800
"""1980, before which a ZIP knows no time."""
_DATE = len("2026-01-31")
_HITS = "hit_stats.jsonl"


class About(NamedTuple):
    """What the archive says of itself."""

    folder: str
    """In which its files are."""
    site: str
    """The site's domain."""
    user: str
    """Who asked for it: `user_id=1 mail@example.com`."""
    created_at: int
    first: int | None = None
    """The first day that is counted, from 1970; None for all days."""


class Archive:
    """A `Source` of an archive's bytes. Cursors say how many there are, and their CRC-32."""

    def __init__(self, about: About, tables: Callable[[], Tables]) -> None:
        self._about = about
        self._tables = tables

    def chunks(self, after: str) -> Iterator[Chunk]:
        """As `Source.chunks`.

        Raises:
            Lost: what is there already was made by other rules: the file has to be begun anew.
        """
        there, made, check = int(after.partition(" ")[0] or 0), 0, 0
        sink = _Sink()
        with closing(self._write(sink)) as steps:
            for _ in steps:
                data, before = sink.take(), made
                made, check = made + len(data), crc32(data, check)
                cursor = f"{made} {check:08x}"
                if before < there <= made and cursor != after:
                    raise Lost("the archive is not what it was")
                if before < there or not data:
                    yield Chunk(after, 0, b"")  # a sign of life
                else:
                    after = cursor
                    yield Chunk(after, 0, data)
        if made < there:
            raise Lost("the archive is less than it was")

    def _write(self, sink: "_Sink") -> Generator[None, None, None]:
        """Writes all of it, step by step."""
        about, tables, names = self._about, self._tables(), Names()
        for found in tables.names():
            names = found or names
            yield
        with ZipFile(sink, "w") as archive:  # type: ignore[call-overload]  # it needs no more of a file than this
            for name, lines in _files(about, tables, names):
                with archive.open(self._entry(name), "w", force_zip64=True) as entry:
                    while some := "".join(islice(lines, _LINES)):
                        entry.write(some.encode())
                        yield
            # GoatCounter's importer takes files in the order of the archive's directory, and none after this one.
            archive.infolist().sort(key=lambda entry: entry.filename.endswith(f"/{_HITS}"))
        yield

    def _entry(self, name: str) -> ZipInfo:
        moment = datetime.fromtimestamp(max(self._about.created_at, _FIRST_YEAR), UTC)
        date = (moment.year, moment.month, moment.day, moment.hour, moment.minute, moment.second)
        entry = ZipInfo(f"{self._about.folder}/{name}", date)
        entry.compress_type = ZIP_DEFLATED
        entry.external_attr = 0o644 << 16
        return entry


class _Sink:
    """What an archive is written to that nobody can seek in."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def write(self, data: bytes) -> int:
        """Takes in some more."""
        self._pieces.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        """Does nothing: `take` takes it all."""

    def take(self) -> bytes:
        """What was written since the last time."""
        data = b"".join(self._pieces)
        self._pieces.clear()
        return data


def _files(about: About, tables: Tables, names: Names) -> Iterator[tuple[str, Iterator[str]]]:
    """Every file and its lines. Names come after the counts that use them, which nobody minds."""
    used: dict[Kind, set[int]] = {kind: set() for kind in Kind}
    yield "info.json", iter((_info(about),))
    yield _HITS, _hits(tables.visits(about.first), used)
    for name, dimension, kind in _AGENTS:
        rows = tables.values(dimension, about.first)
        yield f"{name}_stats.jsonl", _values(rows, used, kind, f"{name}_id", str)
    for name, dimension, kind in _CODES:
        shown = _shown(names.texts[kind])
        rows = tables.values(dimension, about.first)
        yield f"{name}_stats.jsonl", _values(rows, used, kind, name, shown)
    yield "size_stats.jsonl", _values(tables.values(Dimension.WIDTH, about.first), used, None, "width", str)
    for name, kind, described in _NAMES:
        yield f"{name}.jsonl", (_line(described(names, i)) for i in sorted(used[kind]))


_AGENTS = (("browser", Dimension.BROWSER, Kind.BROWSER), ("system", Dimension.SYSTEM, Kind.SYSTEM))
_CODES = (("location", Dimension.LOCATION, Kind.LOCATION), ("language", Dimension.LANGUAGE, Kind.LANGUAGE))
Used = dict[Kind, set[int]]


def _hits(rows: Iterable[Row], used: Used) -> Iterator[str]:
    paths, refs = used[Kind.PATH], used[Kind.REF]
    at, hour = None, ""
    for time, path, ref, visits in rows:
        if time != at:
            at, hour = time, time_text(time * HOUR)
        paths.add(path)
        refs.add(ref)
        yield f'{{"hour":"{hour}","path_id":{path},"ref_id":{ref},"count":{visits}}}\n'


def _values(rows: Iterable[Row], used: Used, kind: Kind | None, key: str, shown: Callable[[int], str]) -> Iterator[str]:
    """Lines of visits by day; `shown` is the JSON of a value."""
    paths, values = used[Kind.PATH], used[kind] if kind is not None else set[int]()
    at, day = None, ""
    for time, path, value, visits in rows:
        if time != at:
            at, day = time, time_text(time * DAY)[:_DATE]
        paths.add(path)
        values.add(value)
        yield f'{{"day":"{day}","path_id":{path},"{key}":{shown(value)},"count":{visits}}}\n'


def _shown(texts: list[str]) -> Callable[[int], str]:
    return lambda i: _json(texts[i - 1] if i else "")


def _info(about: About) -> str:
    return _line(
        {
            "export_version": VERSION,
            "goatcounter_version": "countless",
            "created_for": about.site,
            "created_by": about.user,
            "created_at": time_text(about.created_at),
        }
    )


def _path(names: Names, path: int) -> dict[str, Any]:
    text, title = names.path(path)
    shown: dict[str, Any] = {"id": path, "path": text, "title": title}
    return {**shown, "event": True} if is_event(text) else shown


def _ref(names: Names, ref: int) -> dict[str, Any]:
    scheme, text = names.ref(ref)
    return {"id": ref, "ref": text, "ref_scheme": scheme}


def _agent(kind: Kind) -> Callable[[Names, int], dict[str, Any]]:
    def described(names: Names, agent: int) -> dict[str, Any]:
        name, version = names.agent(kind, agent)
        return {"id": agent, "name": name, "version": version}

    return described


def _location(names: Names, location: int) -> dict[str, Any]:
    code = names.texts[Kind.LOCATION][location - 1] if location else ""
    country, _, region = code.partition("-")
    return {
        "country": country,
        "region": region,
        "country_name": display.country(country) if country else "",
        "region_name": display.region(code) if region else "",
    }


def _language(names: Names, language: int) -> dict[str, Any]:
    code = names.texts[Kind.LANGUAGE][language - 1] if language else ""
    return {"iso_639_3": code, "name": display.language(code) if code else ""}


_NAMES: tuple[tuple[str, Kind, Callable[[Names, int], dict[str, Any]]], ...] = (
    ("paths", Kind.PATH, _path),
    ("refs", Kind.REF, _ref),
    ("browsers", Kind.BROWSER, _agent(Kind.BROWSER)),
    ("systems", Kind.SYSTEM, _agent(Kind.SYSTEM)),
    ("locations", Kind.LOCATION, _location),
    ("languages", Kind.LANGUAGE, _language),
)


def _line(value: dict[str, Any]) -> str:
    return _json(value) + "\n"


def _json(value: Any) -> str:  # noqa: ANN401 - JSON is anything
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
