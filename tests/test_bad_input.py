"""Input that nobody should send: it gets the contract's answer, and is accepted as a whole or not at all."""

import gzip
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote

import pytest
from chalice.app import Chalice
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chalicelib import wiring
from chalicelib.core.accounts import EVERYTHING
from chalicelib.core.audit import audit
from chalicelib.core.events import Hit
from chalicelib.core.messages import Message
from chalicelib.pageviews.responses import GIF
from chalicelib.web import METHODS
from infrastructure.local.gateway import Answer, Request
from tests.conftest import World
from tests.front import FrontDoor, Reply
from tests.people import Person, address, settle

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:109.0) Gecko/20100101 Firefox/115.0"
Waiting = Callable[[], list[Hit]]


@pytest.fixture(scope="module")
def person(app: Chalice) -> Person:
    """Somebody with a site."""
    return settle(FrontDoor(app))


@pytest.fixture(scope="module")
def other(app: Chalice) -> Person:
    """Somebody else."""
    return settle(FrontDoor(app))


@pytest.fixture
def waiting(world: World) -> Waiting:
    """Takes what waits in the queues: the hits of all messages."""

    def take() -> list[Hit]:
        bodies = world.drain("COUNTLESS_INGEST_QUEUE") + world.drain("COUNTLESS_IMPORTS_QUEUE")
        return [hit for body in bodies for hit in wiring.ingest().open(body).hits]

    take()
    return take


def post(person: Person, body: bytes, **headers: str) -> Reply:
    """A body for `POST /api/v0/count`, sent as JSON."""
    return person.post("/api/v0/count", body=body, headers={"content-type": "application/json", **headers})


def hit(**fields: Any) -> bytes:
    """A batch of one hit without a session."""
    return json.dumps({"no_sessions": True, "hits": [{"path": "/a", **fields}]}).encode()


# --- bodies that are refused as a whole -------------------------------------------------------------------------------

NESTED = 200_000
NOT_JSON = {
    "braces": b"{{{{",
    "half": b'{"hits": [{"path": "/a"}',
    "another quote": b"{'hits': []}",
    "a comma too many": b'{"hits": [{"path": "/a"},]}',
    "text": b"hello",
    "one byte": b"\x00",
    "a byte order mark": b'\xef\xbb\xbf{"hits": [{"path": "/a"}]}',
    "UTF-16": '{"hits": [{"path": "/a"}]}'.encode("utf-16"),
    "gzip": gzip.compress(b'{"hits": [{"path": "/a"}]}'),
    "a form": b"hits=1&path=%2Fa",
    "arrays in arrays": b'{"hits": ' + b"[" * NESTED + b"]" * NESTED + b"}",
    "arrays without end": b"[" * NESTED,
    "objects without end": b'{"hits":' * NESTED,
    "deep below a field": b'{"no_sessions": true, "hits": [{"path": ' + b"[" * NESTED + b"]" * NESTED + b"}]}",
    "not a number": hit(bot=1).replace(b": 1}", b": NaN}"),
    "infinity": hit(size=1).replace(b": 1}", b": Infinity}"),
    "a number of 5,000 digits": hit(bot=1).replace(b": 1}", b": " + b"9" * 5000 + b"}"),
    "a number of 1,000,000 digits": hit(size=1).replace(b": 1}", b": " + b"9" * 1_000_000 + b"}"),
    "an exponent beyond all numbers": hit(bot=1).replace(b": 1}", b": 1e999999}"),
    "a line break in a text": hit(path="/a").replace(b"/a", b"/\n"),
    "a NUL byte in a text": hit(path="/a").replace(b"/a", b"/\0"),
    "half an escape": hit(path="/a").replace(b"/a", b"\\u00"),
}
WRONG_TYPES: dict[str, Any] = {
    "an array": [],
    "a text": "hits",
    "a number": 1,
    "a flag": True,
    "hits as an object": {"hits": {"path": "/a"}},
    "hits as a text": {"hits": "/a"},
    "a hit as a text": {"hits": ["/a"]},
    "a hit as an array": {"hits": [["/a"]]},
    "filter as a text": {"filter": "ip", "hits": [{"path": "/a"}]},
    "filter of numbers": {"filter": [1], "hits": [{"path": "/a"}]},
    "no_sessions as a text": {"no_sessions": "true", "hits": [{"path": "/a"}]},
    "no_sessions as a number": {"no_sessions": 1, "hits": [{"path": "/a"}]},
    **{
        f"{name} as {value!r}": {"no_sessions": True, "hits": [{"path": "/good"}, {"path": "/a", name: value}]}
        for name, values in {
            **dict.fromkeys(
                ("path", "title", "ref", "query", "user_agent", "location", "language", "ip", "session"),
                (1, 1.5, True, [], {}, ["x"]),
            ),
            "event": ("maybe", 2, -1, 1.0, [], {}),
            "bot": ("1", 1.5, True, [], 2**31, -(2**31) - 1, 10**30),
            "size": ("wide", "1,x", True, {}, [[1]], ["1"], "1" * 200),
            "created_at": (
                *(0, 1_700_000_000, True, [], "now", "2020-01-01", "2020-01-01 00:00:00Z", "2020-01-01T00:00:00"),
                *("2020-02-30T00:00:00Z", "2020-01-01T25:00:00Z", "2020-01-01T00:00:00+25:00", "-001-01-01T00:00:00Z"),
                *("10000-01-01T00:00:00Z", "0000-01-01T00:00:00Z", "٢٠٢٠-01-01T00:00:00Z", "2020-01-01T00:00:00Z" * 9),
            ),
        }.items()
        for value in values
    },
}


@pytest.mark.parametrize("name", NOT_JSON)
def test_malformed_json_is_refused_as_a_whole(person: Person, waiting: Waiting, name: str) -> None:
    """400 and `invalid JSON:`; nothing of it is accepted."""
    reply = post(person, NOT_JSON[name])
    assert (reply.status, list(reply.json())) == (400, ["error"])
    assert reply.json()["error"].startswith("invalid JSON: ")
    assert len(reply.body) < 1000
    assert waiting() == []


@pytest.mark.parametrize("name", WRONG_TYPES)
def test_wrong_types_are_refused_as_a_whole(person: Person, waiting: Waiting, name: str) -> None:
    """The same; hits that would be good are not accepted either."""
    reply = post(person, json.dumps(WRONG_TYPES[name]).encode())
    assert (reply.status, list(reply.json())) == (400, ["error"])
    assert reply.json()["error"].startswith("invalid JSON: ")
    assert waiting() == []


@pytest.mark.parametrize(
    ("body", "key"),
    [
        ({"hits": [{"path": "/a"}], "site": 1}, "site"),
        ({"hits": [{"path": "/good", "session": "x"}, {"path": "/a", "colour": "x"}]}, "colour"),
        ({"hits": [{"path": "/a", "Päth": "x"}]}, "Päth"),
        ({"hits": [{"path": "/a", "": "x"}]}, ""),
        ({"hits": [{"path": "/a", '"': "x"}]}, '"'),
        ({"hits": [{"path": "/a", "\n\0": "x"}]}, "\n\0"),
        ({"hits": [{"path": "/a", "k" * 100_000: "x"}]}, "k" * 100),
    ],
)
def test_unknown_fields_are_refused_as_a_whole(person: Person, waiting: Waiting, body: Any, key: str) -> None:
    """The key is named in quotes, cut if it is long."""
    reply = post(person, json.dumps(body).encode())
    assert reply.status == 400
    text = reply.json()["error"]
    assert text.startswith("unknown parameter: ")
    assert json.loads(text.removeprefix("unknown parameter: ")) == key
    assert waiting() == []


def test_a_key_that_is_no_text_is_refused_too(person: Person, waiting: Waiting) -> None:
    """A lone surrogate, or bytes that are no UTF-8, as a key."""
    for key in (b"\\ud800", b"\xff\xfe"):
        reply = post(person, b'{"hits": [{"path": "/a", "' + key + b'": 1}]}')
        assert reply.status == 400
        assert reply.json()["error"].startswith("unknown parameter: ")
    assert waiting() == []


@pytest.mark.parametrize("body", [b"", b"  \n", b"null", b"{}", b'{"hits": null}', b'{"hits": []}'])
def test_nothing_to_count(person: Person, waiting: Waiting, body: bytes) -> None:
    """`no hits`, however it is said."""
    reply = post(person, body)
    assert (reply.status, reply.json()) == (400, {"error": "no hits"})
    assert waiting() == []


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (4_500_001, "the request's body is too large"),
        (4_500_000, "maximum amount of pageviews in one batch is 500"),
    ],
)
def test_absurd_sizes_are_refused(person: Person, waiting: Waiting, size: int, text: str) -> None:
    """Beyond what a function can be given, 413; below it, a million hits are still too many."""
    one = b'{"path": "/a"},'
    count = (size - 40) // len(one)
    body = b'{"hits": [' + one * count + b'{"path": "/a"}]}'
    reply = post(person, body.ljust(size))
    assert (reply.status, reply.json()) == (413 if "large" in text else 400, {"error": text})
    assert waiting() == []


# --- hits that are refused one by one ---------------------------------------------------------------------------------

LONG = {
    "path": (2048, "/" + "a" * 2048),
    "title": (1024, "a" * 1025),
    "ref": (2048, "a" * 2049),
    "user_agent_header": (512, FIREFOX + "a" * 512),
}


@pytest.mark.parametrize("name", LONG)
@pytest.mark.parametrize("factor", [1, 1000])
def test_long_texts_cost_only_their_own_hit(person: Person, waiting: Waiting, name: str, factor: int) -> None:
    """By a character or by a million."""
    limit, text = LONG[name]
    key = "user_agent" if name == "user_agent_header" else name
    hits = [{"path": "/before"}, {"path": "/a", key: text * factor}, {"path": "/behind"}]
    reply = post(person, json.dumps({"no_sessions": True, "hits": hits}).encode())
    expected = {"errors": {"1": f"{name}: must be shorter than {limit} characters."}}
    assert (reply.status, reply.json()) == (400, expected)
    assert [found.path for found in waiting()] == ["/before", "/behind"]


@pytest.mark.parametrize("name", ["path", "title", "ref", "user_agent"])
@pytest.mark.parametrize("text", [b"\\u0000", b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\\ud83d\xed\xa0\x80"])
def test_what_is_no_text_costs_only_its_own_hit(person: Person, waiting: Waiting, name: str, text: bytes) -> None:
    """NUL bytes, and bytes that are no UTF-8."""
    start = {"path": b"/", "user_agent": FIREFOX.encode()}.get(name, b"x")
    field = b'"' + name.encode() + b'": "' + start + text + b'"'
    bad = b'{"path": "/a", ' + field + b"}" if name != "path" else b"{" + field + b"}"
    reply = post(person, b'{"no_sessions": true, "hits": [{"path": "/before"}, ' + bad + b', {"path": "/behind"}]}')
    shown = "user_agent_header" if name == "user_agent" else name
    assert (reply.status, reply.json()) == (400, {"errors": {"1": f"{shown}: must be UTF-8."}})
    assert [found.path for found in waiting()] == ["/before", "/behind"]


@pytest.mark.parametrize(
    ("text", "read"),
    [
        (b"\\ud83d", "\ufffd"),
        (b"\\uDE00x\\ud83D", "\ufffdx\ufffd"),
        (b"\\ud83d\\ud83d\\ude00", "\ufffd\U0001f600"),
        (b"\\ud83d\\ude00\\udc80", "\U0001f600\ufffd"),
        (b"\\\\ud83d", "\\ud83d"),
        (b"\\\\\\ud83d", "\\\ufffd"),
        (b"\\ud83d\\\\ude00", "\ufffd\\ude00"),
    ],
)
def test_half_an_emoji_counts_as_a_letter_that_was_lost(
    person: Person, waiting: Waiting, text: bytes, read: str
) -> None:
    """Browsers send such escapes of texts that were cut: in any text of a hit; a backslash that is escaped is none."""
    fields = ("path", "title", "ref", "query", "user_agent", "location", "language", "ip", "session")
    start = {"path": b"/", "user_agent": FIREFOX.encode(), "query": b"utm_campaign="}
    said = b", ".join(b'"%s": "%s"' % (name.encode(), start.get(name, b"") + text) for name in fields)
    reply = post(person, b'{"hits": [{%s}, {"path": "/behind", "session": "x"}]}' % said)
    assert (reply.status, reply.json()) == (202, {"status": "ok"})
    first, behind = waiting()
    assert (first.path, first.title, first.ref, first.campaign) == ("/" + read, read, read, read)
    assert behind.path == "/behind"


@pytest.mark.parametrize("name", ["location", "language", "ip", "session", "query"])
@pytest.mark.parametrize("text", [b"\\u0000", b"\\ud800", b"\xff", b"utm_campaign=\\ud800\\u0000", b"x" * 500_000])
def test_texts_that_are_never_stored_as_they_are_may_be_anything(
    person: Person, waiting: Waiting, name: str, text: bytes
) -> None:
    """They are looked up, hashed or searched; the hit counts."""
    body = b'{"no_sessions": true, "hits": [{"path": "/a", "' + name.encode() + b'": "' + text + b'"}]}'
    reply = post(person, body)
    assert (reply.status, reply.json()) == (202, {"status": "ok"})
    assert [found.path for found in waiting()] == ["/a"]


@pytest.mark.parametrize("size", ["1e99", 1e308, 10**18, [1, 2**40], "9" * 99])
def test_sizes_beyond_all_screens_cost_only_their_own_hit(person: Person, waiting: Waiting, size: Any) -> None:
    """The message names the number."""
    reply = post(person, hit(size=size))
    assert reply.status == 400
    assert reply.json()["errors"]["0"].startswith("size: screen size ")
    assert reply.json()["errors"]["0"].endswith(" is out of range of int32.")
    assert waiting() == []


# --- dates at the ends of the calendar --------------------------------------------------------------------------------


@pytest.mark.parametrize("moment", ["9999-12-31T23:59:59Z", "9999-12-31T23:59:59-23:59", "2999-01-01T00:00:00.5+14:00"])
def test_the_far_future_is_refused(person: Person, waiting: Waiting, moment: str) -> None:
    """As any moment more than five seconds ahead."""
    reply = post(person, hit(created_at=moment))
    assert (reply.status, reply.json()) == (400, {"errors": {"0": "created_at: in the future."}})
    assert waiting() == []


def test_the_zero_time_means_now(person: Person, waiting: Waiting) -> None:
    """What programs send that have no time to tell."""
    assert post(person, hit(created_at="0001-01-01T00:00:00Z")).status == 202
    [found] = waiting()
    assert abs(found.at - wiring.now()) < 60


@pytest.mark.parametrize(
    ("moment", "known"),
    [
        ("1582-10-10T12:00:00Z", True),
        ("0001-01-02T00:00:00Z", True),
        ("0001-01-01T00:00:01Z", False),  # questions cannot reach the calendar's first day in every time zone
        ("0001-01-01T00:00:00+23:59", False),  # nor what lies before it
    ],
)
def test_the_far_past_counts_beside_today(app: Chalice, waiting: Waiting, moment: str, known: bool) -> None:
    """From the request to the answer: out of the log's tail, after a fold, after the sweep."""
    person = settle(FrontDoor(app))
    stream = person.created.site.stream
    assert post(person, hit(created_at=moment)).status == 202
    assert post(person, hit()).status == 202
    accepted = waiting()
    assert [found.path for found in accepted] == ["/a", "/a"]
    now = int(wiring.now())
    messages = [Message(n, now, stream, derived=False, hits=(found,)) for n, found in enumerate(accepted, start=1)]
    assert wiring.appender().append(stream, messages).refused == {}
    for step in (lambda _: None, wiring.folder().fold, wiring.folder().sweep):
        step(stream)
        for path in ("/api/v0/stats/total", "/api/v0/stats/hits"):
            # The first moment of year 1 is what some clients send for none.
            year = person.get(f"{path}?start={moment[:4]}-01-01T00:00:01Z&end={moment[:4]}-12-31T23:59:59Z")
            assert (year.status, year.json()["total"]) == (200, int(known))
            assert person.get(path).json()["total"] == 1
        assert person.get("/api/v0/me").status == 200
    assert audit(wiring.log(), wiring.rollups(), stream).differences == []


# --- targets and headers ----------------------------------------------------------------------------------------------


def ask(person: Person, method: str, target: str, *headers: tuple[str, str], body: bytes = b"") -> Answer:
    """A request as it comes over the wire, to the gateway; headers may come twice."""
    path, _, query = target.partition("?")
    given = (("host", "localhost"), *headers)
    return person.front._gateway.answer(Request(method, path, query, given, body, address()))


def allowed(person: Person) -> tuple[str, str]:
    """The header that lets somebody in."""
    return ("authorization", f"Bearer {person.token}")


ODD_TEXTS = ["%00", "%ff%fe", "%c0%80", "%ed%a0%80", "%", "%%", "%zz", "%0d%0aX-Evil:%201", "%F0%9F%8F%A0", "a" * 9000]


@pytest.mark.parametrize("odd", ODD_TEXTS)
def test_odd_paths_are_unknown_paths(person: Person, odd: str) -> None:
    """As part of the API, as a site's code, as anything else; a statistic of that name is none, which is an error."""
    for target in (f"/api/v0/{odd}", f"/s/{odd}/api/v0/me", f"/api/{odd}", f"/api/v0/me/{odd}"):
        answer = ask(person, "GET", target, allowed(person))
        assert (answer.status, json.loads(answer.body)) == (404, {"error": "not found"})
    answer = ask(person, "GET", f"/api/v0/stats/{odd}", allowed(person))
    assert (answer.status, list(json.loads(answer.body)["errors"])) == (400, ["page"])
    assert ask(person, "GET", f"/{odd}", allowed(person)).status == 404


@pytest.mark.parametrize("odd", ODD_TEXTS)
def test_sites_with_odd_names_are_nobodys(person: Person, other: Person, waiting: Waiting, odd: str) -> None:
    """A pixel all the same, and nothing counted; as a code, and as a host.

    (A site that is the only one has any host.)
    """
    assert other.created.site.code != person.created.site.code
    for target, host in ((f"/s/{odd}/count?p=/x", "localhost"), ("/count?p=/x", odd), ("/count?p=/x", odd + ".test")):
        answer = ask(person, "GET", target, ("host", host), ("user-agent", FIREFOX))
        assert (answer.status, answer.body) == (400, GIF)
    assert waiting() == []


@pytest.mark.parametrize("odd", ODD_TEXTS)
@pytest.mark.parametrize("key", ["limit", "after", "start", "end", "group", "include_paths"])
def test_odd_values_of_a_query_are_refused(person: Person, key: str, odd: str) -> None:
    """And so are odd keys."""
    path = "/api/v0/paths" if key in {"limit", "after"} else "/api/v0/stats/hits"
    for query in (f"{key}={odd}", f"{odd}=1", f"{key}{odd}=1"):
        answer = ask(person, "GET", f"{path}?{query}", allowed(person))
        assert (answer.status, list(json.loads(answer.body))) == (400, ["error"])


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("p=/%00", 400),
        ("p=/x&t=%00", 400),
        ("p=/x&r=%00", 400),
        ("p=/%ff", 200),
        ("p=/%ed%a0%80", 200),
        ("p=%", 200),
        ("p=/x&q=%00%ff", 200),
        ("p=/x&t=" + "a" * 1025, 400),
        ("p=/x&r=" + "a" * 2049, 400),
        ("p=/x&s=" + "9" * 5000, 400),
        ("p=/x&s=1e400", 400),
        ("p=/x&s=2147483648", 400),
        ("p=/x&b=" + "9" * 5000, 400),
        ("p=/x&e=" + "x" * 5000, 400),
        ("p=/x&ns=" + "x" * 5000, 200),
        ("p=/x&" + "&".join(f"k{n}=v" for n in range(2000)), 200),
    ],
)
def test_odd_views_are_counted_or_refused_with_a_reason(
    person: Person, waiting: Waiting, query: str, status: int
) -> None:
    """Always with a pixel; the reason stands in the header, in printable ASCII."""
    answer = ask(person, "GET", f"{person.prefix}/count?{query}", ("user-agent", FIREFOX))
    headers = dict(answer.headers)
    assert (answer.status, answer.body) == (status, GIF)
    assert ("x-goatcounter" in headers) == (status == 400)
    assert headers.get("x-goatcounter", "").isprintable()
    assert len(headers.get("x-goatcounter", "")) < 500
    assert len(waiting()) == (status == 200)


ODD_HEADERS = ["", " ", "\xff", "\x00", "é" * 3, "x" * 9000, "a\tb", "Basic", "Basic =", "Bearer a b c"]


@pytest.mark.parametrize("odd", [*ODD_HEADERS, "Basic /w==", "Basic YQ==", "Basic " + "YTox" * 999, "Bearer \xff" * 11])
def test_odd_credentials_are_none(person: Person, odd: str) -> None:
    """401, and the reason."""
    for name in ("authorization", "x-rmta-api-key"):
        answer = ask(person, "GET", "/api/v0/me", (name, odd))
        assert (answer.status, list(json.loads(answer.body))) == (401, ["error"])


@pytest.mark.parametrize("odd", ODD_HEADERS)
@pytest.mark.parametrize(
    "name",
    [
        "accept",
        "accept-encoding",
        "accept-language",
        "x-forwarded-for",
        "x-real-ip",
        "cf-connecting-ip",
        "idempotency-key",
    ],
)
def test_odd_headers_beside_good_ones_change_nothing(person: Person, waiting: Waiting, name: str, odd: str) -> None:
    """The API and the pixel count as ever."""
    json_type = ("content-type", "application/json")
    answer = ask(person, "POST", f"{person.prefix}/api/v0/count", allowed(person), json_type, (name, odd), body=hit())
    assert answer.status == 202
    pixel = ask(person, "GET", f"{person.prefix}/count?p=/x", ("user-agent", FIREFOX), (name, odd))
    assert pixel.status == 200
    assert [found.path for found in waiting()] == ["/a", "/x"]


@pytest.mark.parametrize("odd", ODD_HEADERS)
def test_odd_content_types_are_no_json(person: Person, waiting: Waiting, odd: str) -> None:
    """415 without a body, as for any other type."""
    target = f"{person.prefix}/api/v0/count"
    answer = ask(person, "POST", target, allowed(person), ("content-type", odd), body=hit())
    assert (answer.status, answer.body) == (415, b"")
    assert waiting() == []


@pytest.mark.parametrize("odd", ["\xff" * 20, "\x00" + FIREFOX, "x" * 9000, FIREFOX + "é" * 500])
def test_odd_browsers_are_refused_or_robots(person: Person, waiting: Waiting, odd: str) -> None:
    """A pixel; never a view."""
    answer = ask(person, "GET", f"{person.prefix}/count?p=/x", ("user-agent", odd))
    assert answer.status in {200, 400}
    assert answer.body == GIF
    assert waiting() == []


# --- anything at all --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Sent:
    """A request that somebody might send; `own` ones go to the sender's site."""

    method: str
    route: str
    query: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    own: bool = True
    known: bool = True
    """Whether it carries the sender's key."""


ROUTES = [
    *("/api", "/api/v0", "/api/v0/me", "/api/v0/count", "/api/v0/paths", "/api/v0/stats/total", "/api/v0/stats/hits"),
    *("/api/v0/stats/browsers", "/api/v0/nope", "/count", "/", "/nope", "/s", "/s/nobody/count", "/status"),
]
KEYS = ["start", "end", "limit", "after", "group", "daily", "include_paths", "exclude_paths", "path_by_name"]
PIXEL_KEYS = ["p", "t", "r", "e", "q", "s", "b", "ns", "rnd"]
VALUES = ["", "0", "1", "-1", "true", "x", "2020-01-01", "2020-01-01T00:00:00Z", "0001-01-01", "9999-12-31", "9" * 30]
HEADERS = [
    *("authorization", "x-rmta-api-key", "content-type", "accept-encoding", "user-agent", "origin", "host"),
    *("idempotency-key", "purpose", "x-forwarded-for", "accept-language", "accept", "content-encoding"),
]
JSON = ("content-type", "application/json")


def pairs(names: st.SearchStrategy[str], texts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Queries, of names and texts that are escaped already."""
    return st.lists(st.tuples(names, texts).map("=".join), max_size=5).map("&".join)


def dumped(value: Any) -> bytes:
    """JSON, or nearly so: NaN and lone surrogates as they are."""
    return json.dumps(value).encode()


printable = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters="?#"), max_size=20)
bytewise = st.text(st.characters(max_codepoint=0xFF), max_size=20)
anything = st.text(st.characters(), max_size=20)
escaped = anything.map(lambda text: quote(text.encode("utf-8", "surrogatepass"), safe=""))
texts = st.one_of(st.sampled_from(VALUES), escaped)
scalars = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), anything, st.sampled_from(VALUES))
values = st.one_of(scalars, st.lists(scalars, max_size=2), st.dictionaries(anything, scalars, max_size=2))
headers = st.lists(
    st.tuples(
        st.sampled_from(HEADERS),
        st.one_of(st.sampled_from(["application/json", "gzip", FIREFOX, "prefetch", "text/html"]), bytewise),
    ),
    max_size=3,
).map(tuple)
good_hits: dict[str, st.SearchStrategy[Any]] = {
    "title": anything,
    "event": st.one_of(st.booleans(), st.sampled_from([0, 1, "on", "0"])),
    "ref": st.one_of(anything, printable.map(lambda text: f"https://{text}")),
    "size": st.sampled_from(["", "1920", "1920,1080,2", 320, [320, 200.5], "1e3", -1, 2**31]),
    "query": st.one_of(anything, printable.map(lambda text: f"?utm_source={text}&utm_campaign=%ff{text}")),
    "bot": st.sampled_from([0, 1, 150, -1]),
    "user_agent": st.one_of(st.sampled_from([FIREFOX, "curl/7.8"]), anything),
    "location": st.one_of(st.sampled_from(["NL", "US-TX"]), anything),
    "language": st.one_of(st.sampled_from(["nl", "en-US"]), anything),
    "ip": st.one_of(st.ip_addresses().map(str), anything),
    "created_at": st.one_of(st.datetimes().map(lambda at: f"{at.isoformat()}+05:30"), st.sampled_from(VALUES[-4:])),
    "session": anything,
}
plain_hit = st.fixed_dictionaries(
    {"path": printable.map(lambda text: f"/{text}")}, optional={"title": st.text(max_size=9)}
)
good_hit = st.fixed_dictionaries({"path": st.one_of(printable, anything)}, optional=good_hits)
odd_hit = st.one_of(
    values, st.dictionaries(st.one_of(st.sampled_from([*good_hits, "path", "Path"]), anything), values, max_size=4)
)
wild = st.builds(
    Sent,
    method=st.sampled_from(METHODS),
    route=st.one_of(st.sampled_from(ROUTES), printable.map(lambda text: f"/{text}")),
    query=st.one_of(printable, pairs(st.one_of(st.sampled_from(KEYS + PIXEL_KEYS), escaped), texts)),
    headers=headers,
    body=st.one_of(st.just(b""), st.binary(), values.map(dumped)),
    own=st.booleans(),
    known=st.booleans(),
)
counting = st.builds(
    Sent,
    method=st.just("POST"),
    route=st.just("/api/v0/count"),
    headers=st.one_of(st.just(()), headers).map(lambda given: (JSON, *given)),
    body=st.fixed_dictionaries(
        {
            "no_sessions": st.one_of(st.just(True), values),
            "hits": st.one_of(
                *(st.lists(hit, min_size=1, max_size=3) for hit in (plain_hit, good_hit, st.one_of(good_hit, odd_hit))),
                values,
            ),
        },
        optional={"filter": st.sampled_from([None, [], ["ip"], ["x"]])},
    ).map(dumped),
)
asking = st.builds(
    Sent,
    method=st.just("GET"),
    route=st.sampled_from(["/api/v0/paths", "/api/v0/stats/total", "/api/v0/stats/hits"]),
    query=pairs(st.sampled_from(KEYS), texts),
    headers=st.one_of(st.just(()), headers),
)
viewing = st.builds(
    Sent,
    method=st.sampled_from(["GET", "POST"]),
    route=st.just("/count"),
    query=st.tuples(st.sampled_from(["p=/x&", "p=x&e=true&", ""]), pairs(st.sampled_from(PIXEL_KEYS), texts)).map(
        "".join
    ),
    headers=st.one_of(st.just(()), headers).map(lambda given: (("user-agent", FIREFOX), *given)),
    known=st.just(False),
)


def check(person: Person, waiting: Waiting, sent: Sent) -> int:
    """Holds the answer to the contract's shape, and the queues to the answer; the answer's status."""
    target = (person.prefix if sent.own else "") + sent.route + (f"?{sent.query}" if sent.query else "")
    own = [allowed(person)] if sent.known else []
    answer = ask(person, sent.method, target, *own, *sent.headers, body=sent.body)
    assert 200 <= answer.status < 500, answer
    said, accepted = dict(answer.headers), waiting()
    if sent.method == "HEAD":
        assert not answer.body
        assert not accepted or answer.status == 200
    elif said["content-type"] == "image/gif":
        assert answer.body == GIF
        assert not accepted or answer.status == 200
    elif said["content-type"] == "application/json; charset=utf-8" and answer.body:
        body = gzip.decompress(answer.body) if "content-encoding" in said else answer.body
        problems = json.loads(body).keys() & {"error", "errors"}
        assert len(problems) == (answer.status >= 400), answer
        assert not accepted or answer.status == 202 or problems == {"errors"}
    else:
        assert answer.status in {200, 301, 404, 405, 415}, answer
        assert accepted == []
    return answer.status


@pytest.mark.parametrize("requests", [50, pytest.param(10_000, marks=pytest.mark.prove)])
@pytest.mark.parametrize(
    ("kind", "success"),
    [(wild, set[int]()), (counting, {202}), (asking, {200}), (viewing, {200})],
    ids=["wild", "counting", "asking", "viewing"],
)
def test_whatever_is_sent_the_answer_is_in_the_contracts_shape(
    person: Person, waiting: Waiting, kind: st.SearchStrategy[Sent], success: set[int], requests: int
) -> None:
    """Never an error of ours; errors say `error` or `errors`, successes neither; what is refused leaves no trace."""
    statuses = set()

    @settings(max_examples=requests, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(sent=kind)
    def hold(sent: Sent) -> None:
        statuses.add(check(person, waiting, sent))

    hold()
    assert success <= statuses, "what is always refused proves little"
    assert statuses & {400, 404}


# --- the statistics API -----------------------------------------------------------------------------------------------

BODIES = {
    "/domains": "POST",
    "/domains/{token}": "PUT",
    "/statistic-groups": "POST",
    "/statistic-groups/g": "PUT",
    "/statistics": "POST",
    "/statistics/batch": "POST",
    "/statistics/g/s": "PUT",
}
"""Paths of the statistics API that cannot do without a body, and a method of each."""


def spoken(answer: Answer, status: int) -> str:
    """What the statistics API says is wrong: in its words, and nothing else."""
    assert answer.status == status
    assert dict(answer.headers)["content-type"] == "application/json"
    body = json.loads(answer.body)
    assert list(body) == ["error"]
    assert list(body["error"]) == ["code", "message"]
    assert len(answer.body) < 1000
    message: str = body["error"]["message"]
    return message


@pytest.mark.parametrize("name", [*NOT_JSON, "a text", "a number", "a flag", "hits as a text"])
@pytest.mark.parametrize("path", BODIES)
def test_statistics_refuse_bodies_that_are_none_by_name(unlimited: Person, path: str, name: str) -> None:
    """What is no JSON, and JSON of another API; nothing of it is kept."""
    body = NOT_JSON[name] if name in NOT_JSON else json.dumps(WRONG_TYPES[name]).encode()
    target = f"/v1/api{path.format(token=unlimited.token)}"
    status = 413 if name in {"arrays in arrays", "deep below a field"} else 400  # they hold too much to be looked into
    message = spoken(ask(unlimited, BODIES[path], target, allowed(unlimited), body=body), status)
    assert message.partition(": ")[0] in {"body", "name", "group", "value", "updates", "no_sessions", "hits"}
    for kept in ("/v1/api/statistics", "/v1/api/statistic-groups"):
        assert json.loads(ask(unlimited, "GET", kept, allowed(unlimited)).body) == []


@pytest.fixture(scope="module")
def unlimited(person: Person) -> Person:
    """The same, with a key that may ask as often as he likes, and with a domain that has nothing in it."""
    account, owner = person.created.account.id, person.created.user.id
    made, _ = wiring.domains().create(account, "odd", EVERYTHING, owner, "odd")
    return replace(person, token=person.key(EVERYTHING, domain=made.scope.domain, limits="off"))


@pytest.mark.parametrize("odd", ODD_TEXTS)
def test_odd_paths_lead_to_no_statistics(unlimited: Person, odd: str) -> None:
    """In every place where a name, an id or a key may stand."""
    for path in ("domains/{}", "statistic-groups/{}", "statistics/{}", "statistics/{}/s", "statistics/g/{}", "{}"):
        target = f"/v1/api/{path.format(odd)}"
        spoken(ask(unlimited, "GET", target, allowed(unlimited)), 404)
    for path in ("exports/{}", "exports/{}/download", "statistics/{}?purge=1", "statistics/g/{}?purge=1"):
        method = "DELETE" if "purge" in path else "GET"
        spoken(ask(unlimited, method, f"/v1/api/{path.format(odd)}", allowed(unlimited)), 404)


@pytest.mark.parametrize("odd", ODD_TEXTS)
@pytest.mark.parametrize("key", ["limit", "after", "from", "to", "interval", "reference_date", "purge"])
def test_odd_values_of_a_statistics_query_are_refused_by_name(unlimited: Person, key: str, odd: str) -> None:
    """Odd keys too."""
    method = "DELETE" if key in {"reference_date", "purge"} else "GET"
    path = "/v1/api/statistics" if key in {"limit", "after"} else "/v1/api/statistics/g/s"
    message = spoken(ask(unlimited, method, f"{path}?{key}={odd}", allowed(unlimited)), 400)
    assert message.startswith(f"{key}: ")
    message = spoken(ask(unlimited, "GET", f"/v1/api/statistics?{key}{odd}=1&{odd}=2", allowed(unlimited)), 400)
    assert "is no parameter of this call" in message


@pytest.mark.parametrize("odd", [*ODD_HEADERS, "Basic /w==", "Basic YQ==", "Basic " + "YTox" * 999, "Bearer \xff" * 11])
def test_odd_credentials_open_no_statistics(person: Person, odd: str) -> None:
    """401, and how it is done."""
    for name in ("authorization", "x-rmta-api-key"):
        answer = ask(person, "GET", "/v1/api/statistics", (name, odd))
        spoken(answer, 401)
        assert dict(answer.headers)["www-authenticate"] == "Bearer"
