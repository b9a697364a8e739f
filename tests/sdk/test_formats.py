"""Lines of web servers' logs are read as the server meant them, and page views are told from the rest."""

import json
import time
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from countless.formats import FORMATS, FormatError, Layout, layouts
from countless.importer import read as read_line
from countless.lines import Line, Reason, UnreadError
from countless.selection import PARTS, exclusion
from countless.sources import LONGEST_LINE

COMBINED, COMMON = FORMATS["combined"](), FORMATS["common"]()
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def line_of(  # what a test does not care about
    request: str = "GET / HTTP/1.1",
    status: int = 200,
    referrer: str = "-",
    agent: str = "-",
    at: str = "17/May/2015:10:05:03 +0000",
) -> bytes:
    return f'192.0.2.1 - - [{at}] "{request}" {status} 5 "{referrer}" "{agent}"'.encode()


def parse(line: bytes, layout: Layout) -> Line | None:
    """The line, if it is one of this layout."""
    try:
        return read_line(line, layout)
    except UnreadError:
        return None


def read(line: bytes) -> Line:
    return read_line(line, COMBINED)


def reason(line: bytes | str, layout: Layout = COMBINED) -> Reason:
    """Why a line cannot be read."""
    with pytest.raises(UnreadError) as found:
        read_line(line if isinstance(line, bytes) else line.encode(), layout)
    return found.value.reason


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
        (r"caf\xc3\xa9 \"\xe9\"", 'café "\\xe9"'),
        (r"\u0041\/", "A/"),
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
        (r"GET /caf\xe9?q=\xC3\xA4\xff HTTP/1.1", "/caf%E9", "q=ä%FF"),
        *((f"GET /p {protocol}", "/p", "") for protocol in ("HTTP/2+QUIC/46", "HTTP/", "H", "h3", "HTTP3", "SPDY/3.1")),
        *((f"GET /p {protocol}", "/p", "") for protocol in ("http/1.1", "HTTP/10.0", "quic", "RTSP/1.0", "-")),
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
        ("31/DEC/1998:23:59:60 +0000", datetime(1998, 12, 31, 23, 59, 59, tzinfo=UTC)),
        ("01/Jan/2000:00:00:00.250 +0000", datetime(2000, 1, 1, 0, 0, 0, 250_000, tzinfo=UTC)),
    ],
)
def test_times_become_utc(text: str, expected: datetime) -> None:
    assert read(line_of(at=text)).at == expected


@pytest.mark.parametrize(
    "line",
    [
        b"",
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
        line_of(agent="cut off").rstrip(b'"'),
        line_of(agent="a" * LONGEST_LINE),
    ],
)
def test_what_is_no_such_line_is_none(line: bytes) -> None:
    assert parse(line, COMBINED) is None


VISITORS = [
    "203.0.113.9", "203.0.113.9:61264", "203.0.113.9,10.0.0.1", "203.0.113.9, 10.0.0.1", "203.000.113.009",
    "2001:DB8::9", "[2001:db8::9]:61264", "::ffff:203.0.113.9", "fe80::1%eth0", '"203.0.113.9"', "pc17.example.net",
    "pc17", "localhost", "unknown,203.0.113.9",
]  # fmt: skip


@pytest.mark.parametrize("visitor", VISITORS)
def test_a_visitor_is_an_address_in_any_spelling_or_a_host(visitor: str) -> None:
    """What they are in one form, the service says."""
    line = line_of().replace(b"192.0.2.1", visitor.encode())
    assert read(line).address == visitor.strip('"')


@pytest.mark.parametrize(
    "before",
    [
        "www.example.com:443 203.0.113.1 - -",
        "www.example.com 203.0.113.1 - -",
        "www.example.com pc17.example.net - -",
        "www.example.com pc17.example.net - ann",
        "Nov 10 10:00:00 web1 nginx: 203.0.113.1 - -",
        "Nov 10 10:00:00 web1 nginx: pc17.example.net - -",
        "<13>Nov 10 10:00:00 web1 nginx: 203.0.113.1 - -",
        "0.003 203.0.113.1 - -",
        "1731234567.123 203.0.113.1 - -",
        "2026-11-10T10:00:01.123456789Z 203.0.113.1 - -",
        "web-1 | 203.0.113.1 - -",
        "https 203.0.113.1 - -",
        "203.0.113.1 203.0.113.2 - -",
        "203.0.113.1 - 203.0.113.2 - -",
        "203.0.113.1203.0.113.2 - -",
        "113.1 - -",
        "unix: - -",
        "- - -",
        "443 - -",
    ],
)
def test_what_is_no_visitor_is_not_taken_for_one(before: str) -> None:
    """A column before the address, or what is left of a line that was cut."""
    line = line_of().replace(b"192.0.2.1 - -", before.encode())
    assert reason(line) is Reason.VISITOR


ONE, OTHER = line_of("GET /one HTTP/1.1").decode(), line_of("GET /other HTTP/1.1").decode().replace("2.1", "2.2")


@pytest.mark.parametrize("cut", range(1, len(ONE)))
@pytest.mark.parametrize("name", ["combined", "common"])
def test_a_line_that_is_torn_into_the_next_is_nobodys(cut: int, name: str) -> None:
    """Wherever a line ends early, the one that follows is never taken for the first one's visitor's."""
    torn = parse(f"{ONE[:cut]}{OTHER}".encode(), FORMATS[name]())
    assert torn is None or (torn.path, torn.address) == ("/other", "192.0.2.2")


def test_what_follows_the_fields_is_not_read_unless_it_is_another_line() -> None:
    assert parse(f'{ONE} "10.0.0.1" 0.003'.encode(), COMBINED) == read(ONE.encode())
    assert reason(f"{ONE} {OTHER}") is reason(f"{ONE}{OTHER}") is Reason.MALFORMED


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize(
    "unit", [b"[", b'"', b"\\", b" ", b'x [17/May/2015:10:05:03 +0000] "', b"a b [", b'"" ', b"a, ", b'{"a":[']
)
def test_hostile_lines_cost_little(unit: bytes, name: str) -> None:
    begun = time.process_time()
    for start in (b"1 - ", b""):
        parse(start + unit * (LONGEST_LINE // len(unit) - 10), FORMATS[name]())
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
    line = f'h - {user} [{stamp}] "{field(f"GET {target} HTTP/1.1")}" {status} 1 "{field(referrer)}" "{field(agent)}"'
    expected = at.replace(microsecond=0).astimezone(UTC)
    assert parse(line.rstrip("\n").encode(), COMBINED) == Line(
        "h", expected, "GET", path, query, status, referrer, agent
    )


@given(st.binary(max_size=200))
def test_no_bytes_raise(line: bytes) -> None:
    assert parse(line, COMBINED) is None or parse(line, COMMON) is not None


@pytest.mark.parametrize(
    ("request_line", "status", "why"),
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
def test_page_views_are_told_from_the_rest(request_line: str, status: int, why: Reason | None) -> None:
    assert exclusion(read(line_of(request_line, status))) is why


@pytest.mark.parametrize("ending", [ending for endings in PARTS.values() for ending in endings])
def test_parts_of_pages_are_no_page_views(ending: str) -> None:
    assert exclusion(read(line_of(f"GET /x.{ending} HTTP/1.1"))) is Reason.STATIC


# --- other formats ----------------------------------------------------------------------------------------------------


def test_a_virtual_hosts_line_names_its_host_before_the_visitor() -> None:
    line = read_line(b"WWW.Example.com:443 " + line_of(), FORMATS["combined-vhost"]())
    assert line == read(line_of())._replace(host="www.example.com")
    common = read_line(b"www.example.com " + line_of().partition(b' "-"')[0], FORMATS["common-vhost"]())
    assert (common.host, common.address) == ("www.example.com", "192.0.2.1")
    assert parse(line_of(), FORMATS["combined-vhost"]()) is None


BALANCER = (
    "h2 2018-07-02T22:23:00.186641Z app/lb/50dc6c4 203.0.113.39:2817 10.0.0.1:80 0.086 0.048 0.037 200 200 0 57 "
    '"GET https://www.example.com:443/a%20b?c=d HTTP/2.0" "Mozilla/5.0 \\x22x\\x22" ECDHE TLSv1.2 arn:aws:x '
    '"Root=1-5833" "www.example.com" "arn:aws:acm" 1 2018-07-02T22:22:48.364000Z "forward" "-" "-" "10.0.0.1:80" "200"'
)


def test_a_load_balancers_line_has_no_referrer_and_a_whole_address() -> None:
    assert read_line(BALANCER.encode(), FORMATS["alb"]()) == Line(
        address="203.0.113.39:2817",
        at=datetime(2018, 7, 2, 22, 23, 0, 186641, tzinfo=UTC),
        method="GET",
        path="/a%20b",
        query="c=d",
        status=200,
        referrer="",
        user_agent='Mozilla/5.0 "x"',
        host="www.example.com",
    )
    unasked = BALANCER.replace('"GET https://www.example.com:443/a%20b?c=d HTTP/2.0"', '"- http://w:80- -"')
    assert exclusion(read_line(unasked.encode(), FORMATS["alb"]())) is Reason.METHOD


CLOUDFRONT = (
    "2026-11-04\t21:02:31\tLAX1\t392\t2001:db8::9\tGET\td1.cloudfront.net\t/a%2520b\t200\thttps://a.example/x%20y\t"
    "Mozilla/5.0%20(Windows%2520NT)\tq=%25E4\tWww.Example.com"
)
COLUMNS = (
    "#Fields: date time x-edge-location sc-bytes c-ip cs-method cs(Host) cs-uri-stem sc-status cs(Referer) "
    "cs(User-Agent) cs-uri-query x-host-header"
)


def test_cloudfronts_columns_are_those_that_the_log_names() -> None:
    """Escapes are those of the visitor again; another number of columns is another line."""
    layout = FORMATS["cloudfront"]()
    assert reason(CLOUDFRONT, layout) is Reason.MALFORMED
    assert reason("#Version: 1.0", layout) is reason(COLUMNS, layout) is Reason.REMARK
    assert read_line(CLOUDFRONT.encode(), layout) == Line(
        address="2001:db8::9",
        at=datetime(2026, 11, 4, 21, 2, 31, tzinfo=UTC),
        method="GET",
        path="/a%20b",
        query="q=%E4",
        status=200,
        referrer="https://a.example/x%20y",
        user_agent="Mozilla/5.0 (Windows NT)",
        host="www.example.com",
    )
    assert reason(CLOUDFRONT + CLOUDFRONT, layout) is Reason.MALFORMED
    assert reason(CLOUDFRONT.replace("\t200\t", "\tx\t"), layout) is Reason.MALFORMED
    assert reason(CLOUDFRONT.replace("2001:db8::9", "-"), layout) is Reason.VISITOR


def caddy(**fields: object) -> str:
    """A line of Caddy's."""
    headers = {"User-Agent": ["Mozilla/5.0 \ud83d"], "Referer": ["https://a.example/"]}
    asked = {"remote_ip": "10.0.0.1", "client_ip": "203.0.113.9", "method": "GET", "host": "W.example:80"}
    said = {"ts": 1646861401.5, "msg": "handled request", "request": asked | {"uri": "/a?b=1", "headers": headers}}
    return json.dumps(said | {"status": 200} | fields)


def test_caddys_lines_are_objects() -> None:
    layout = FORMATS["caddy"]()
    assert read_line(caddy().encode(), layout) == Line(
        address="203.0.113.9",
        at=datetime(2022, 3, 9, 21, 30, 1, 500_000, tzinfo=UTC),
        method="GET",
        path="/a",
        query="b=1",
        status=200,
        referrer="https://a.example/",
        user_agent="Mozilla/5.0 ?",
        host="w.example",
    )
    for stamp in ("2022-03-09T21:30:01.500Z", "2022/03/09 21:30:01.500", "2022-03-09T22:30:01.500+0100", 1646861401500):
        assert read_line(caddy(ts=stamp).encode(), layout).at == datetime(2022, 3, 9, 21, 30, 1, 500_000, tzinfo=UTC)
    old = {"remote_addr": "203.0.113.9:4711", "method": "GET", "uri": "/"}
    assert read_line(caddy(request=old).encode(), layout).address == "203.0.113.9:4711"
    assert reason('{"level": "info", "msg": "serving"}', layout) is Reason.REMARK
    assert reason(caddy(request=old | {"remote_addr": "@"}), layout) is Reason.VISITOR
    for line in ("", "x", "[1]", "[" * 9000, caddy(status="200"), caddy(ts=None), caddy(ts=1e300), caddy() + caddy()):
        assert reason(line, layout) is Reason.MALFORMED


AGENT = "Mozilla/5.0 (X11)"
TAIL = line_of("GET /a?b=1 HTTP/1.1", agent=AGENT).decode().partition(" - - ")[2]
STAMP = datetime(2015, 5, 17, 10, 5, 3, tzinfo=UTC)
APACHE = r"%l %u %t \"%r\" %>s %b \"%{Referer}i\" \"%{User-agent}i\""
NGINX = '- $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent"'
JSON = """{"t":"$time_iso8601","a":"$remote_addr","u":"$uri$is_args$args","s":$status,"m":"$request_method","ua":"\
$http_user_agent","h":"${host}"}"""
AS_JSON = """{"t":"2015-05-17T12:05:03+02:00","a":"9.9.9.9","u":"/a?b=1","s":200,"m":"GET","ua":"\
Mozilla/5.0 (X11)","h":"w.ex"}"""
IN_MILLISECONDS = '%{msec}t|%h|%m|%U%q|%>s|"%{User-Agent}i"'
IN_COLUMNS = "$msec\\t$host\\t$request_uri\\t$http_user_agent"


@pytest.mark.parametrize(
    ("words", "line", "visitor", "host"),
    [
        (f"%v %a {APACHE} %D", f"W.ex 9.9.9.9 - a b {TAIL} 7", "9.9.9.9", "w.ex"),
        (
            f"%{{X-Forwarded-For}}i %h {APACHE}",
            f"9.9.9.9, 10.1.1.9 10.1.1.1 - - {TAIL}",
            "9.9.9.9, 10.1.1.9",
            "",
        ),
        (f'$remote_addr {NGINX} "$http_x_forwarded_for"', f'10.1.1.1 - - {TAIL} "9.9.9.9"', "9.9.9.9", ""),
        (JSON, AS_JSON, "9.9.9.9", "w.ex"),
        (IN_MILLISECONDS, f'1431857103000|9.9.9.9|GET|/a?b=1|200|"{AGENT}"', "9.9.9.9", ""),
        (IN_COLUMNS, f"1431857103.000\tw.ex\t/a?b=1\t{AGENT}", "", "w.ex"),
    ],
)
def test_a_format_is_written_in_the_words_of_apache_or_nginx(words: str, line: str, visitor: str, host: str) -> None:
    """An address that a proxy passed on goes before the proxy's own; without any, each view is a visit of its own."""
    found = read_line(line.encode(), layouts(words)())
    assert found == Line(visitor, STAMP, "GET", "/a", "b=1", 200, "", AGENT, host)
    assert reason("x " + line, layouts(words)()) in {Reason.MALFORMED, Reason.VISITOR}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("combinde", "is no name of a format"),
        ("", "is no name of a format"),
        ("%h %l %u", "needs a time"),
        ("$remote_addr [$time_local]", "needs a time"),
        ("$remote_addr$time_local $request", "needs something between"),
    ],
)
def test_a_format_that_cannot_be_used_says_why(words: str, told: str) -> None:
    with pytest.raises(FormatError, match=told):
        layouts(words)
