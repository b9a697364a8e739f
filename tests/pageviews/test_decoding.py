"""What callers send is decoded or refused: page-view contract, sections 1.7, 3.1 and 4.1."""

import json
import math
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from chalicelib.core.accounts import Site
from chalicelib.core.errors import Invalid
from chalicelib.core.salts import Salts
from chalicelib.pageviews import bodies, hits
from chalicelib.pageviews.requests import CountBatch, PixelView, RawHit, decode_batch, decode_view


def one(**fields: Any) -> RawHit:
    """The hit of a batch of one."""
    return decode_batch(json.dumps({"hits": [fields]}).encode()).hits[0]


def refusal(body: Any) -> str:
    """What is said of a body that is refused; bytes are sent as they are."""
    with pytest.raises(Invalid) as caught:
        decode_batch(body if isinstance(body, bytes) else json.dumps(body).encode())
    assert not caught.value.fields
    return caught.value.message


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "no hits"),
        (b"", "no hits"),
        (b"null", "no hits"),
        ({"hits": []}, "no hits"),
        ({"hits": None}, "no hits"),
        ({"hits": [{"path": "/a"}] * 501}, "maximum amount of pageviews in one batch is 500"),
        ({"hits": [{"path": "/a", "colour": "x"}]}, 'unknown parameter: "colour"'),
        ({"hits": [{"path": "/a"}], "more": 1}, 'unknown parameter: "more"'),
        ({"hits": [{"path": "/a"}], "filter": ["x"]}, "unknown value in Filter: [x]"),
        ({"hits": [{"path": "/a"}], "filter": ["y", "ip", "x"]}, "unknown value in Filter: [x y]"),
    ],
)
def test_a_whole_request_is_refused_in_the_words_of_the_contract(body: Any, message: str) -> None:
    """Nothing, too much, unknown keys and unknown filters refuse the request."""
    assert refusal(body) == message


HIT = b'{"hits":[{"path":"/a",%s}]}'


@pytest.mark.parametrize(
    "body",
    [
        b"{{{{",
        b"[]",
        b'"text"',
        b"1",
        b"{",
        b"\x00",
        b"\xff",
        b'\xef\xbb\xbf{"hits":[]}',
        b'{"hits":{}}',
        b'{"hits":[1]}',
        b'{"hits":[[]]}',
        b'{"hits":[{"path":NaN}]}',
        b'{"no_sessions":1,"hits":[{"path":"/a"}]}',
        b'{"filter":"ip","hits":[{"path":"/a"}]}',
        b'{"filter":[1],"hits":[{"path":"/a"}]}',
        b"[" * 100_000,
        b'{"hits":' * 50_000,
        b'{"hits":[{"bot":' + b"9" * 10_000 + b"}]}",
        b'{"hits":[{"path":0}]}',
        b'{"hits":[{"path":false}]}',
        b'{"hits":[{"path":[]}]}',
        *(
            HIT % field
            for field in (
                b'"title":1',
                b'"ref":{}',
                b'"event":2',
                b'"event":1.0',
                b'"event":"yes"',
                b'"event":""',
                b'"event":[]',
                b'"bot":"1"',
                b'"bot":1.5',
                b'"bot":true',
                b'"bot":99999999999999999999999',
                b'"bot":1e400',
                b'"size":"big"',
                b'"size":"1,,2"',
                b'"size":"nan"',
                b'"size":"1_0"',
                b'"size":{}',
                b'"size":[[1]]',
                b'"size":true',
                b'"size":1e400',
                b'"created_at":1',
                b'"created_at":"yesterday"',
                b'"created_at":"2020-01-18"',
                b'"created_at":"2020-01-18 14:42:00Z"',
                b'"created_at":"2020-01-18T14:42:00"',
                b'"created_at":"2020-13-18T14:42:00Z"',
                b'"created_at":"0000-01-01T00:00:00Z"',
                b'"created_at":"2020-01-18T14:42:00+99:00"',
                '"created_at":"٢٠٢٠-01-18T14:42:00Z"'.encode(),
            )
        ),
    ],
)
def test_what_is_no_such_json_is_refused(body: bytes) -> None:
    """Malformed JSON and wrong types refuse the whole request and say that it is the JSON."""
    assert refusal(body).startswith("invalid JSON: ")


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"path": "/a"}, RawHit("/a")),
        ({"Path": "/a", "USER_AGENT": "x"}, RawHit("/a", user_agent="x")),
        ({"path": None, "title": None, "bot": None, "size": None, "event": None, "created_at": None}, RawHit()),
        ({"event": True}, RawHit(event=True)),
        ({"event": 1}, RawHit(event=True)),
        ({"event": 0}, RawHit()),
        ({"event": "on"}, RawHit(event=True)),
        ({"event": "false"}, RawHit()),
        ({"bot": 150}, RawHit(bot=150)),
        ({"size": ""}, RawHit()),
        ({"size": "42"}, RawHit(size=(42,))),
        ({"size": "42,666,2"}, RawHit(size=(42, 666, 2))),
        ({"size": "42, 666.9"}, RawHit(size=(42, 666))),
        ({"size": 1920}, RawHit(size=(1920,))),
        ({"size": 1920.7}, RawHit(size=(1920,))),
        ({"size": [1920, 1080, 2.5]}, RawHit(size=(1920, 1080, 2))),
        ({"size": []}, RawHit()),
        ({"size": "3000000000"}, RawHit(size=(3_000_000_000,))),
        ({"created_at": "2020-01-18T14:42:00Z"}, RawHit(created_at=1579358520)),
        ({"created_at": "2020-01-18T15:42:00+01:00"}, RawHit(created_at=1579358520)),
        ({"created_at": "2020-01-18T14:42:00.5Z"}, RawHit(created_at=1579358520.5)),
        ({"created_at": "2020-01-18T14:42:00.123456789Z"}, RawHit(created_at=1579358520.123456)),
        ({"created_at": "0001-01-01T00:00:00Z"}, RawHit()),
        ({"created_at": "0001-01-01T00:00:00+14:00"}, RawHit(created_at=-62135596800 - 14 * 3600)),
        ({"created_at": "9999-12-31T23:59:59-14:00"}, RawHit(created_at=253402300799 + 14 * 3600)),
    ],
)
def test_a_hit_is_decoded(fields: dict[str, Any], expected: RawHit) -> None:
    """All forms that the contract knows give the same typed hit, and what is empty is not given."""
    assert one(**fields) == expected


def test_the_import_command_is_understood() -> None:
    """All keys present and mostly empty, as the reference's import command sends them."""
    hit = dict.fromkeys(("title", "ref", "size", "query", "user_agent", "location", "ip", "session"), "")
    body = {
        "no_sessions": True,
        "filter": None,
        "hits": [{**hit, "path": "/a", "event": False, "bot": 0, "created_at": "0001-01-01T00:00:00Z"}],
    }
    assert decode_batch(json.dumps(body).encode()) == CountBatch([RawHit("/a")], no_sessions=True)


def test_filters_default_to_addresses_and_can_be_switched_off() -> None:
    """A missing or null `filter` means `ip`, an empty list means none."""
    hit = '"hits":[{"path":"/a"}]'
    assert decode_batch(b"{%s}" % hit.encode()).filters == {"ip"}
    assert decode_batch(b'{"filter":null,%s}' % hit.encode()).filters == {"ip"}
    assert decode_batch(b'{"filter":[],%s}' % hit.encode()).filters == frozenset()


def test_more_after_the_first_value_is_ignored() -> None:
    """As the reference's decoder reads one value and no further."""
    assert decode_batch(b' \n{"hits":[{"path":"/a"}]} and more').hits == [RawHit("/a")]


@pytest.mark.parametrize("text", [b"\xff", b"\xed\xa0\x80", rb"\u0000", b"\\ud83d\xff"])
def test_a_text_that_is_no_unicode_costs_only_its_hit(text: bytes) -> None:
    """Broken UTF-8 is found by validation, so the other hits of the batch are not lost."""
    batch = decode_batch(b'{"hits":[{"path":"/%s"},{"path":"/b"}]}' % text)
    accepted = hits.accept_batch(
        batch._replace(no_sessions=True), SITE, now=1e9, salts=SALTS, locate=lambda _address: ""
    )
    assert accepted.errors == {0: "path: must be UTF-8."}
    assert [hit.path for hit in accepted.hits] == ["/b"]


@given(st.text(st.characters(categories=None)))
def test_a_text_of_javascript_is_read_as_browsers_encode_it(text: str) -> None:
    """JSON.stringify writes half a pair of surrogates as an escape; UTF-8 has U+FFFD in its place."""
    units = text.encode("utf-16-le", "surrogatepass")
    body = json.dumps({"hits": [{"title": units.decode("utf-16-le", "surrogatepass")}]}).encode()
    assert decode_batch(body).hits[0].title == units.decode("utf-16-le", "replace")


MEGABYTE = 1 << 20


@pytest.mark.parametrize(
    "fields",
    [
        {"path": "/ " * MEGABYTE},
        {"path": "/web/2020/http://x" * (MEGABYTE // 18)},
        {"path": "/?" + "a=1&" * MEGABYTE},
        {"title": "t" * MEGABYTE},
        {"ref": "x" + " /" * MEGABYTE + "x"},
        {"ref": "https://" + "a." * MEGABYTE},
        {"user_agent": "Java " * MEGABYTE},
        {"user_agent": "(" * MEGABYTE},
    ],
)
def test_absurd_sizes_are_answered(fields: dict[str, str]) -> None:
    """A text of megabytes, made to be slow, is refused like any other that is too long."""
    batch = decode_batch(json.dumps({"hits": [{"path": "/a", "session": "x", **fields}]}).encode())
    accepted = hits.accept_batch(batch, SITE, now=1e9, salts=SALTS, locate=lambda _address: "")
    assert "must be shorter than" in accepted.errors[0]


@pytest.mark.parametrize(
    "fields",
    [
        {"query": "a=1&" * MEGABYTE},
        {"session": "s" * MEGABYTE},
        {"ip": "1" * MEGABYTE},
        {"location": "N" * MEGABYTE},
        {"language": "en-" * MEGABYTE},
        {"size": [1] * MEGABYTE},
        {"ref": "https://example.com/" + "/ " * MEGABYTE},
    ],
)
def test_absurd_sizes_of_what_is_not_stored_do_no_harm(fields: dict[str, Any]) -> None:
    """Where the contract sets no limit, the hit counts."""
    batch = decode_batch(json.dumps({"hits": [{"path": "/a", "session": "x", **fields}]}).encode())
    accepted = hits.accept_batch(batch, SITE, now=1e9, salts=SALTS, locate=lambda _address: "")
    assert len(accepted.hits) == 1


def test_what_is_said_of_a_filter_can_be_sent() -> None:
    """A lone surrogate or a megabyte in a filter's name does not come back."""
    message = refusal(b'{"hits":[{}],"filter":["\\ud800%s"]}' % (b"x" * MEGABYTE))
    assert message.startswith("unknown value in Filter: [\ufffdx")
    assert len(message) < 300


SITE = Site("account", "domain", 1, "site", ignore_ips=("1.2.3.4",))
SALTS = Salts(b"current", b"previous")

ANY_TEXT = st.text(st.characters(categories=None))
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | ANY_TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(ANY_TEXT, inner, max_size=4),
    max_leaves=12,
)
TIMES = st.datetimes().map(lambda moment: moment.isoformat() + "Z")
KEYS = st.sampled_from([*RawHit._fields, "Path", "SIZE", "other"])
ANY_HIT = st.dictionaries(KEYS, ANY_TEXT | TIMES | ANY_JSON) | ANY_JSON
ANY_BODY = st.fixed_dictionaries(
    {"hits": st.lists(ANY_HIT, min_size=1, max_size=4)}, optional={"no_sessions": ANY_JSON, "filter": ANY_JSON}
)


def process(body: bytes) -> None:
    """Takes a body all the way; nothing but `Invalid` may come of it, and each hit becomes exactly one thing."""
    try:
        batch = decode_batch(body)
    except Invalid as error:
        message = error.message
    else:
        message = _process(batch)
    assert message
    message.encode()


def _process(batch: CountBatch) -> str:
    accepted = hits.accept_batch(batch, SITE, now=1e9, salts=SALTS, locate=lambda _address: "")
    uncounted = [place for places in accepted.uncounted.values() for place in places]
    assert len(accepted.hits) + len(accepted.errors) + len(uncounted) == len(batch.hits)
    assert len(set(uncounted)) == len(uncounted) >= len(accepted.bots) + len(accepted.filtered)
    for hit in accepted.hits:
        json.dumps(hit, allow_nan=False, ensure_ascii=False).encode()
        assert "\0" not in "".join(value for value in hit if isinstance(value, str))
    for bot in accepted.bots:
        json.dumps(bot, allow_nan=False, ensure_ascii=False).encode()
    return "\n".join(accepted.errors.values()) or "ok"


@given(ANY_JSON | ANY_BODY)
@settings(max_examples=400)
def test_any_json_is_taken_or_refused(body: Any) -> None:
    """Whatever JSON is sent, the answer is a batch or `Invalid`, and what is accepted can be stored."""
    process(json.dumps(body, ensure_ascii=True).encode())


@given(st.binary())
@example(b'{"hits":[{"\\ud800":1}]}')
def test_any_bytes_are_taken_or_refused(body: bytes) -> None:
    """Whatever bytes are sent, too."""
    process(body)


@given(st.dictionaries(st.sampled_from("ptreqsb") | st.just("ns") | ANY_TEXT, ANY_TEXT), ANY_TEXT, ANY_TEXT)
@settings(max_examples=300)
def test_any_query_of_the_pixel_is_taken_or_refused(parameters: dict[str, str], agent: str, language: str) -> None:
    """Whatever a browser asks of `/count`, the answer is an outcome or an `Invalid` whose text fits a header."""
    try:
        view = decode_view(parameters)
        outcome = hits.accept_pixel(
            view,
            SITE,
            now=1e9,
            salts=SALTS,
            locate=lambda _address: "",
            ip="8.8.8.8",
            user_agent=agent,
            accept_language=language,
        )
    except Invalid as error:
        header = error.message
    else:
        json.dumps(outcome, ensure_ascii=False).encode()
        header = "none"
    assert header.isprintable()
    assert header.isascii()


@pytest.mark.parametrize(
    ("parameters", "view"),
    [
        ({"p": "/x", "zzz": "1", "rnd": "a"}, PixelView("/x")),
        ({"p": "/x", "t": "T", "r": "R", "q": "?a"}, PixelView("/x", "T", "R", "?a")),
        ({"e": "TRUE"}, PixelView(event=True)),
        ({"e": "off"}, PixelView()),
        ({"s": "1920,1080,2"}, PixelView(size=(1920, 1080, 2))),
        ({"s": ""}, PixelView()),
        ({"b": "150"}, PixelView(bot=150)),
        ({"b": ""}, PixelView()),
        ({"ns": "1"}, PixelView(no_session=True)),
        ({"ns": "whatever"}, PixelView()),
        ({}, PixelView()),
    ],
)
def test_the_pixels_query_is_decoded(parameters: dict[str, str], view: PixelView) -> None:
    """Each parameter has its type, and unknown ones are ignored."""
    assert decode_view(parameters) == view


@pytest.mark.parametrize("parameters", [{"s": "xxx"}, {"e": ""}, {"e": "maybe"}, {"b": "x"}, {"b": "9" * 99}])
def test_the_pixels_wrong_parameters_are_refused(parameters: dict[str, str]) -> None:
    """What cannot be read is refused with the text for the header."""
    with pytest.raises(Invalid, match=r"^error decoding parameters: "):
        decode_view(parameters)


def test_sizes_that_are_not_finite_are_no_sizes() -> None:
    """Infinity is no number of JSON, and a number that becomes it is no size."""
    assert math.isinf(float("1e400"))
    assert refusal(b'{"hits":[{"size":[1e400]}]}').startswith("invalid JSON: ")


def test_texts_of_many_escapes_are_looked_at_in_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """One letter that was lost does not make each of the others cost a call."""
    calls: list[int] = []
    whole = bodies._whole
    monkeypatch.setattr(bodies, "_whole", lambda escape: calls.append(1) or whole(escape))  # type: ignore[func-returns-value]
    sent = decode_batch(b'{"hits": [{"path": "/a", "title": "' + rb"\u00e9" * 1000 + rb"\ud83d" + b'"}]}')
    assert sent.hits[0].title == "é" * 1000 + "\ufffd"
    assert len(calls) < 10


def test_a_flood_of_filters_is_refused_by_its_number() -> None:
    assert "filter must have at most" in refusal(json.dumps({"hits": [{"path": "/"}], "filter": ["x"] * 1000}).encode())
