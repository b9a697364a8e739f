"""Lines of web servers' logs are read as the server meant them, and page views are told from the rest."""

import gzip
import io
import sys
import time
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from countless.logs import FORMATS, LONGEST_LINE, Line, opened, parse
from countless.selection import PARTS, Reason, exclusion

COMBINED, COMMON = FORMATS["combined"], FORMATS["common"]
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def line_of(  # what a test does not care about
    request: str = "GET / HTTP/1.1",
    status: int = 200,
    referrer: str = "-",
    agent: str = "-",
    at: str = "17/May/2015:10:05:03 +0000",
) -> bytes:
    return f'192.0.2.1 - - [{at}] "{request}" {status} 5 "{referrer}" "{agent}"\n'.encode()


def read(line: bytes) -> Line:
    parsed = parse(line, COMBINED)
    assert parsed is not None
    return parsed


def test_a_combined_line_is_read_field_by_field() -> None:
    line = line_of("GET /a/b%20c?x=1&y=2 HTTP/1.1", 304, "http://example.com/?q=1", "Mozilla/5.0 (X11)")
    assert read(line) == Line(
        address="192.0.2.1",
        at=datetime(2015, 5, 17, 10, 5, 3, tzinfo=UTC),
        method="GET",
        path="/a/b%20c",
        query="x=1&y=2",
        status=304,
        referrer="http://example.com/?q=1",
        user_agent="Mozilla/5.0 (X11)",
    )


def test_a_common_line_knows_neither_browser_nor_referrer() -> None:
    line = b'2001:db8::1 - ann [17/May/2015:10:05:03 +0000] "HEAD / HTTP/1.0" 200 -'
    parsed = parse(line, COMMON)
    assert parsed is not None
    assert (parsed.address, parsed.method, parsed.referrer, parsed.user_agent) == ("2001:db8::1", "HEAD", "", "")


def test_a_combined_line_is_a_common_line_but_not_the_other_way_round() -> None:
    assert parse(line_of(agent="x"), COMMON) is not None
    assert parse(b'192.0.2.1 - - [17/May/2015:10:05:03 +0000] "GET / HTTP/1.1" 200 5', COMBINED) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (r"say \"hi\"", 'say "hi"'),
        (r"back\\slash", "back\\slash"),
        (r"caf\xc3\xa9", "café"),
        (r"caf\xe9", r"caf\xe9"),
        (r"a\tb", "a\tb"),
        (r"odd \q stays", r"odd \q stays"),
        ("-", ""),
        ("", ""),
        ("--", "--"),
    ],
)
def test_escapes_are_undone_where_that_gives_text(text: str, expected: str) -> None:
    assert read(line_of(agent=text)).user_agent == expected


def test_bytes_that_are_no_text_do_not_stop_the_import() -> None:
    assert read(line_of(agent="caf").replace(b"caf", b"caf\xe9")).user_agent == r"caf\xe9"


@pytest.mark.parametrize(
    ("request_line", "path", "query"),
    [
        ("GET /", "/", ""),
        ("GET /a b HTTP/1.1", "/a b", ""),
        ("GET /a?b?c HTTP/2.0", "/a", "b?c"),
        ("GET /a? HTTP/3", "/a", ""),
        ("GET http://example.com/a?b HTTP/1.1", "/a", "b"),
        ("GET HTTPS://example.com HTTP/1.1", "/", ""),
        ("GET http://example.com?b HTTP/1.1", "/", "b"),
        ("GET /http://example.com/ HTTP/1.1", "/http://example.com/", ""),
    ],
)
def test_the_target_becomes_path_and_query(request_line: str, path: str, query: str) -> None:
    line = read(line_of(request_line))
    assert (line.path, line.query) == (path, query)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("01/Jan/2000:00:00:00 +0000", datetime(2000, 1, 1, tzinfo=UTC)),
        ("31/Dec/1999:23:00:00 -0100", datetime(2000, 1, 1, tzinfo=UTC)),
        ("01/Jan/2000:05:45:00 +0545", datetime(2000, 1, 1, tzinfo=UTC)),
    ],
)
def test_times_become_utc(text: str, expected: datetime) -> None:
    assert read(line_of(at=text)).at == expected


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"\n",
        b"#Fields: date time",
        b"\x1f\x8b\x08\x00garbage",
        line_of("-"),
        line_of(""),
        line_of(r"\x16\x03\x01"),
        line_of("GET"),
        line_of(at="32/May/2015:10:05:03 +0000"),
        line_of(at="17/Mai/2015:10:05:03 +0000"),
        line_of(at="17/May/2015:25:05:03 +0000"),
        line_of(at="17/May/0000:10:05:03 +0000"),
        line_of(at="01/Jan/0001:00:05:03 +0100"),
        line_of(at="17/May/2015:10:05:03 +9900"),
        line_of(at="17/May/2015"),
        line_of().replace(b"200", b"2000"),
        line_of(agent="cut off").rstrip(b'"\n'),
        line_of(agent="a" * LONGEST_LINE),
    ],
)
def test_what_is_no_such_line_is_none(line: bytes) -> None:
    assert parse(line, COMBINED) is None


@pytest.mark.parametrize("unit", [b"[", b'"', b"\\", b" ", b'x [17/May/2015:10:05:03 +0000] "', b"a b [", b'"" '])
def test_hostile_lines_cost_little(unit: bytes) -> None:
    line = b"1 - " + unit * (LONGEST_LINE // len(unit) - 10)
    begun = time.process_time()
    parse(line, COMBINED)
    assert time.process_time() - begun < 1


def escaped(text: str) -> str:
    """A field as Apache writes it."""
    out = ""
    for byte in text.encode():
        char = chr(byte)
        out += f"\\{char}" if char in '"\\' else char if 32 <= byte < 127 else f"\\x{byte:02x}"
    return out or "-"


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40).filter(lambda text: text != "-")
WORD = st.text(st.characters(exclude_categories=["Cs", "Cc", "Z"], exclude_characters="?"), max_size=20)
OFFSETS = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@given(
    path=WORD.map("/{}".format),
    query=WORD,
    referrer=TEXT,
    agent=TEXT,
    at=st.datetimes(datetime(1970, 1, 2), datetime(2100, 1, 1), timezones=OFFSETS),  # noqa: DTZ001 - they get one
    status=st.integers(100, 599),
    raw=st.booleans(),
    user=st.sampled_from(["-", "ann", "ann b", 'o"neil', "[x]"]),
)
def test_what_a_server_writes_is_read_back(
    *, path: str, query: str, referrer: str, agent: str, at: datetime, status: int, raw: bool, user: str
) -> None:
    """Whether the server escapes what is not ASCII or writes it as it is (then only what cannot stand in a line)."""

    def field(text: str) -> str:
        if not raw:
            return escaped(text)
        return "".join(escaped(c) if c < " " or c in '"\\\x7f\x85\u2028\u2029' else c for c in text) or "-"

    target = f"{path}?{query}" if query else path
    stamp = f"{at.day:02}/{MONTHS[at.month - 1]}/{at:%Y:%H:%M:%S %z}"
    line = f'h - {user} [{stamp}] "{field(f"GET {target} HTTP/1.1")}" {status} 1 "{field(referrer)}" "{field(agent)}"\n'
    expected = at.replace(microsecond=0).astimezone(UTC)
    assert parse(line.encode(), COMBINED) == Line("h", expected, "GET", path, query, status, referrer, agent)


@given(st.binary(max_size=200))
def test_no_bytes_raise(line: bytes) -> None:
    assert parse(line, COMBINED) is None or parse(line, COMMON) is not None


@pytest.mark.parametrize(
    ("request_line", "status", "reason"),
    [
        ("GET / HTTP/1.1", 200, None),
        ("GET /about HTTP/1.1", 304, None),
        ("GET /part.pdf HTTP/1.1", 206, None),
        ("GET /notes.txt HTTP/1.1", 200, None),
        ("GET /style.css/ HTTP/1.1", 200, None),
        ("GET /?file=style.css HTTP/1.1", 200, None),
        ("GET /css HTTP/1.1", 200, None),
        ("HEAD / HTTP/1.1", 200, Reason.METHOD),
        ("POST / HTTP/1.1", 200, Reason.METHOD),
        ("get / HTTP/1.1", 200, Reason.METHOD),
        ("GET / HTTP/1.1", 199, Reason.STATUS),
        ("GET / HTTP/1.1", 300, Reason.STATUS),
        ("GET / HTTP/1.1", 404, Reason.STATUS),
        ("GET / HTTP/1.1", 500, Reason.STATUS),
        ("GET /a/Logo.PNG?v=2 HTTP/1.1", 200, Reason.STATIC),
        ("GET /.css HTTP/1.1", 200, Reason.STATIC),
        ("GET /robots.txt HTTP/1.1", 200, Reason.STATIC),
        ("GET /.well-known/security.txt HTTP/1.1", 200, Reason.STATIC),
    ],
)
def test_page_views_are_told_from_the_rest(request_line: str, status: int, reason: Reason | None) -> None:
    assert exclusion(read(line_of(request_line, status))) is reason


@pytest.mark.parametrize("ending", [ending for endings in PARTS.values() for ending in endings])
def test_parts_of_pages_are_no_page_views(ending: str) -> None:
    assert exclusion(read(line_of(f"GET /x.{ending} HTTP/1.1"))) is Reason.STATIC


@pytest.mark.parametrize("name", ["plain", "packed"])
def test_a_log_is_read_plain_or_packed_whatever_its_name(tmp_path: Path, name: str) -> None:
    path = tmp_path / "access.log"
    content = line_of() * 3
    path.write_bytes(gzip.compress(content) if name == "packed" else content)
    with opened(str(path)) as source:
        assert b"".join(source) == content
        assert source.position() == source.size == path.stat().st_size


@pytest.mark.parametrize("packed", [False, True])
def test_standard_input_is_read_plain_or_packed(monkeypatch: pytest.MonkeyPatch, *, packed: bool) -> None:
    content = line_of() * 3
    stdin = io.TextIOWrapper(io.BytesIO(gzip.compress(content) if packed else content))
    monkeypatch.setattr(sys, "stdin", stdin)
    with opened("-") as source:
        assert b"".join(source) == content
        assert source.size is None


def test_an_empty_log_has_no_lines(tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    path.touch()
    with opened(str(path)) as source:
        assert list(source) == []
