"""The wire-compatibility rows of the page-view contract, section 15, through the front door."""

import gzip
import json
import re
import secrets
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import pytest
from botocore.exceptions import ConnectTimeoutError
from chalice.app import Chalice
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st

from chalicelib import wiring
from chalicelib.aws import clients
from chalicelib.aws.queues import SqsIngest
from chalicelib.core.events import Hit
from chalicelib.core.messages import Message
from chalicelib.pageviews.responses import GIF
from infrastructure.local.pump import Pump
from tests.front import FrontDoor, Reply
from tests.people import Person, address, settle

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:109.0) Gecko/20100101 Firefox/115.0"


@pytest.fixture(scope="module")
def somebody(app: Chalice) -> Person:
    return settle(FrontDoor(app))


@pytest.fixture
def person(somebody: Person) -> Person:
    """Somebody whose site many tests share."""
    return replace(somebody)


@pytest.fixture
def newcomer(front: FrontDoor) -> Person:
    """Somebody whose site is empty."""
    return settle(front)


@pytest.fixture
def accepted(monkeypatch: pytest.MonkeyPatch) -> list[Message]:
    """The messages that are handed over, in order."""
    taken: list[Message] = []
    monkeypatch.setattr(SqsIngest, "accept", lambda _, message: taken.append(message))
    return taken


def error(reply: Reply) -> Any:
    assert reply.headers["content-type"] == "application/json; charset=utf-8"
    body = reply.json()
    assert list(body) == ["error"]
    return body["error"]


# Who asks (rows 1 to 6)


def test_row_1_without_authorization(person: Person) -> None:
    reply = person.front.get("/api/v0/me", client=address())
    assert (reply.status, error(reply)) == (401, "no Authorization header")
    assert reply.headers["www-authenticate"] == "Basic realm=GoatCounter"


def test_row_4_me(person: Person) -> None:
    reply = person.get("/api/v0/me")
    body = reply.json()
    assert reply.status == 200
    assert list(body) == ["user", "token"]
    assert body["token"] == {"name": person.created.key.name, "permissions": 126, "sites": [-1]}
    assert body["user"]["site"] == person.created.site.id
    assert body["user"]["access"] == {"all": "a"}
    assert body["user"]["email"] == person.created.user.email
    assert body["user"]["settings"]["timezone"] == ".UTC"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", body["user"]["created_at"])


def test_row_5_a_key_that_may_only_count_reads_no_paths(person: Person) -> None:
    person.token = person.key(2)
    reply = person.get("/api/v0/paths")
    assert (reply.status, error(reply)) == (403, "requires 'stats' permissions")
    assert "www-authenticate" not in reply.headers


def test_row_6_a_key_of_another_site_of_the_account(person: Person) -> None:
    other = wiring.accounts().create_site(person.created.account.id, "other.example")
    person.token = person.key(126, (other.id,))
    reply = person.get("/api/v0/me")
    assert (reply.status, error(reply)) == (403, "this token does not have access to this site")
    theirs = person.front.get(
        f"/s/{other.code}/api/v0/me", headers={"authorization": f"Bearer {person.token}"}, client=address()
    )
    assert theirs.status == 200


# Paths and methods (rows 7 to 10)


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "PATCH"])
@pytest.mark.parametrize("path", ["/api/v0/nope", "/api/v0/stats/hits/1/2/3", "/api/nope", "/api/v0/me/x"])
def test_row_7_unknown_paths_are_not_found(person: Person, method: str, path: str) -> None:
    reply = person.ask(method, path)
    assert (reply.status, error(reply)) == (404, "not found")


def test_unknown_paths_elsewhere_are_not_found_either(front: FrontDoor) -> None:
    for path in ("/nope", "/s/x/nope", "http://localhost//api/v0/me"):
        assert front.get(path, client=address()).status == 404


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/v0/count"),
        ("PUT", "/api/v0/count"),
        ("POST", "/api/v0/me"),
        ("DELETE", "/api/v0/stats/total"),
        ("HEAD", "/api/v0/count"),
        ("PROPFIND", "/api/v0/me"),
    ],
)
def test_row_8_wrong_methods(person: Person, method: str, path: str) -> None:
    reply = person.ask(method, path)
    assert reply.status == 405
    assert reply.headers["allow"] == ("OPTIONS, POST" if path.endswith("count") else "GET, HEAD, OPTIONS")
    if method == "HEAD":
        assert reply.body == b""
    else:
        assert error(reply) == "method not allowed"


@pytest.mark.parametrize("how", ["text/html", "application/json2", "", "multipart/form-data; boundary=x"])
def test_row_9_bodies_that_are_no_json(person: Person, how: str) -> None:
    reply = person.post("/api/v0/count", body=b"{}", headers={"content-type": how})
    assert (reply.status, reply.body) == (415, b"")


@pytest.mark.parametrize("how", ["application/json", "Application/JSON; charset=utf-8"])
def test_json_is_told_by_its_media_type_alone(person: Person, how: str) -> None:
    reply = person.post("/api/v0/count", body=b"{}", headers={"content-type": how})
    assert (reply.status, error(reply)) == (400, "no hits")


def test_an_empty_body_is_json_only_if_its_type_says_so(person: Person) -> None:
    plain = person.post("/api/v0/count")
    assert (plain.status, error(plain)) == (415, 'unable to handle Content-Type ""')
    typed = person.post("/api/v0/count", headers={"content-type": "application/json"})
    assert (typed.status, error(typed)) == (400, "no hits")


def test_get_ignores_body_and_content_type(person: Person) -> None:
    reply = person.get("/api/v0/me", body=b"x", headers={"content-type": "text/plain"})
    assert reply.status == 200


@pytest.mark.parametrize("path", ["/api/v0/anything", "/api/v0/me", "/api/v0/a/b/c"])
def test_row_10_options(front: FrontDoor, path: str) -> None:
    methods = "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT"
    reply = front.request("OPTIONS", path, headers={"origin": "https://x.test"}, client=address())
    assert (reply.status, reply.body) == (200, b"")
    assert reply.headers["access-control-allow-headers"] == "Authorization, Content-Type"
    assert reply.headers["access-control-allow-origin"] == "*"
    assert reply.headers["access-control-allow-credentials"] == "true"
    assert reply.headers["access-control-allow-methods"] == reply.headers["allow"] == methods
    assert "x-rate-limit-limit" in reply.headers


def test_other_origins_are_mentioned_only_if_there_is_one(person: Person) -> None:
    plain, crossing = person.get("/api/v0/me"), person.get("/api/v0/me", headers={"origin": "https://x.test"})
    assert not [name for name in plain.headers if name.startswith("access-control")]
    assert crossing.headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-methods" not in crossing.headers
    denied = person.front.get("/api/v0/me", headers={"origin": "https://x.test"}, client=address())
    assert (denied.status, denied.headers["access-control-allow-origin"]) == (401, "*")


def test_trailing_slashes_are_sent_away_with_their_query(person: Person) -> None:
    reply = person.front.get("/api/v0/paths/?limit=1&after=a%20b", client=address())
    assert (reply.status, reply.headers["location"]) == (301, "/api/v0/paths?limit=1&after=a+b")
    assert person.get("/api/v0/me/").headers["location"] == f"{person.prefix}/api/v0/me"
    assert person.front.get("/api", client=address()).headers["location"] == "/help/api"


def test_nothing_of_the_request_ends_a_header(front: FrontDoor) -> None:
    reply = front.get("/s/a%0d%0ax-evil:%201/api/v0/me/?a=%0d%0ab", client=address())
    assert reply.status == 301
    assert set("\r\n").isdisjoint(reply.headers["location"])
    assert front.get("http://localhost//evil.test/api/v0/me/", client=address()).status == 404


# Queries and bodies (rows 11 to 18)


def test_row_11_unknown_parameters(person: Person) -> None:
    assert error(person.get("/api/v0/paths?unknown=1")) == 'unknown parameter: "unknown"'
    assert error(person.get("/api/v0/stats/total?limit=1")) == 'unknown parameter: "limit"'


def test_row_12_unknown_keys_store_nothing(person: Person, accepted: list[Message]) -> None:
    reply = person.post("/api/v0/count", json_body={"hits": [{"path": "/b"}, {"path": "/a", "colour": "x"}]})
    assert (reply.status, error(reply)) == (400, 'unknown parameter: "colour"')
    assert accepted == []


def test_row_13_malformed_json(person: Person) -> None:
    reply = person.post("/api/v0/count", body="{{{{", headers={"content-type": "application/json"})
    assert reply.status == 400
    assert error(reply).startswith("invalid JSON:")


@pytest.mark.parametrize("query", ["limit=abc", "start=yesterday", "limit=", "group=year"])
def test_row_14_parameters_that_cannot_be_read(person: Person, query: str) -> None:
    reply = person.get(f"/api/v0/stats/hits?{query}")
    assert reply.status == 400
    assert error(reply).startswith("invalid query parameters:")


def test_row_16_the_headers_of_the_limit(person: Person) -> None:
    same = address()
    replies = [person.get("/api/v0/me", client=same) for _ in range(2)]
    assert [reply.headers["x-rate-limit-limit"] for reply in replies] == ["4", "4"]
    assert [int(reply.headers["x-rate-limit-remaining"]) for reply in replies] == [3, 2]
    assert all(reply.headers["x-rate-limit-reset"] in {"0", "1"} for reply in replies)
    counting = person.post("/api/v0/count", body="", client=same)
    assert counting.headers["x-rate-limit-limit"] == "60"


@pytest.fixture
def stopped(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The service's clock, standing still until a test sets it."""
    clock = [wiring.now()]
    monkeypatch.setattr(wiring, "now", lambda: clock[0])
    return clock


def test_row_17_the_fifth_request_of_a_second(person: Person, stopped: list[float]) -> None:
    same = address()
    assert [person.get("/api/v0/me", client=same).status for _ in range(4)] == [200] * 4
    stopped[0] += 0.25
    fifth = person.get("/api/v0/me", client=same)
    assert fifth.status == 429
    assert fifth.headers["retry-after"] == fifth.headers["x-rate-limit-reset"] == "1"
    assert fifth.headers["x-rate-limit-remaining"] == "0"
    assert fifth.text == '{"error": "rate limited exceeded; try again in 800ms"}\n'
    stopped[0] += 0.75
    assert person.get("/api/v0/me", client=same).status == 200


def test_limits_that_are_off_say_and_refuse_nothing(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wiring, "plans", dict)
    same = address()
    replies = [person.get("/api/v0/me", client=same) for _ in range(6)]
    assert {reply.status for reply in replies} == {200}
    assert not [name for reply in replies for name in reply.headers if name.startswith("x-rate")]


def test_a_limiter_that_cannot_be_asked_lets_pass_and_is_counted(
    person: Person, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(clients, "dynamodb_once", _unreachable)
    reply = person.get("/api/v0/me")
    assert (reply.status, reply.headers["x-rate-limit-remaining"]) == (200, "4")
    assert '"LimiterUnavailable":[1.0]' in capsys.readouterr().out


def _unreachable() -> object:
    class Client:
        update_item = staticmethod(_refusing)

    return Client()


def test_a_refusal_comes_before_the_key_is_looked_at(front: FrontDoor, stopped: list[float]) -> None:
    assert stopped
    same = address()
    statuses = [front.get("/api/v0/me", client=same).status for _ in range(6)]
    assert statuses == [401] * 4 + [429] * 2


def test_row_18_no_hits_and_too_many(person: Person) -> None:
    assert error(person.post("/api/v0/count", json_body={})) == "no hits"
    many = person.post("/api/v0/count", json_body={"hits": [{"path": "/a", "session": "x"}] * 501})
    assert (many.status, error(many)) == (400, "maximum amount of pageviews in one batch is 500")


# Counting


def test_a_batch_is_one_message(person: Person, accepted: list[Message]) -> None:
    hits = [{"path": f"/{n}", "session": "x"} for n in range(500)]
    reply = person.post("/api/v0/count", json_body={"hits": hits})
    assert (reply.status, reply.json()) == (202, {"status": "ok"})
    [message] = accepted
    assert (len(message.hits), message.stream, message.derived) == (500, person.created.site.stream, False)
    assert 0 < message.id < 2**63


def test_hits_that_are_not_named_in_errors_are_accepted(person: Person, accepted: list[Message]) -> None:
    reply = person.post("/api/v0/count", json_body={"hits": [{"path": "/a", "session": "x"}, {"path": "/a"}]})
    assert (reply.status, list(reply.json()), list(reply.json()["errors"])) == (400, ["errors"], ["1"])
    assert [hit.path for message in accepted for hit in message.hits] == ["/a"]


def test_nothing_is_sent_if_nothing_is_accepted(person: Person, accepted: list[Message]) -> None:
    reply = person.post("/api/v0/count", json_body={"hits": [{"path": "/a"}]})
    text = "session or browser/IP not set; use no_sessions if you don't want to track unique visits"
    assert (reply.status, reply.json()) == (400, {"errors": {"0": text}})
    assert accepted == []


def test_an_idempotency_key_gives_the_same_id_to_the_same_key_site_and_body_only(
    person: Person, accepted: list[Message]
) -> None:
    body = {"no_sessions": True, "hits": [{"path": "/a"}]}
    other = person.key(126)
    """And the answer to what came before says so."""

    def repeated(body: dict[str, Any], key: str, token: str = "") -> bool:
        own = {"authorization": f"Bearer {token}"} if token else {}
        reply = person.post("/api/v0/count", json_body=body, headers={"idempotency-key": key, **own})
        return reply.headers.get("x-countless-repeated") == "yes"

    assert [repeated(body, "once"), repeated(body, "once"), repeated(body, "once", other)] == [False, True, False]
    assert not repeated(body, "twice")
    assert not repeated({**body, "filter": []}, "once")
    first, again, others, second, changed = [message.id for message in accepted]
    assert first == again
    assert len({first, others, second, changed}) == 4
    assert all(message.derived and 0 < message.id < 2**63 for message in accepted)


def test_a_batch_that_was_corrected_counts_under_the_key_of_the_refused_one(newcomer: Person, pump: Pump) -> None:
    """Nothing that was answered with 202 is dropped, and neither request counts again when it comes again."""
    headers = {"idempotency-key": "once"}
    bad = {"hits": [{"path": "/good", "session": "x"}, {"path": "/bad"}]}
    corrected = {"hits": [{"path": "/bad", "session": "x"}]}
    for body, status in ((bad, 400), (corrected, 202), (bad, 400), (corrected, 202)):
        assert newcomer.post("/api/v0/count", json_body=body, headers=headers).status == status
    pump.settle()
    hits = newcomer.get("/api/v0/stats/hits").json()["hits"]
    assert {hit["path"]: hit["count"] for hit in hits} == {"/good": 1, "/bad": 1}


def test_row_28_an_earlier_hit_moves_the_first_one(newcomer: Person, accepted: list[Message]) -> None:
    hit = {"path": "/a", "session": "x", "created_at": "2020-01-18T14:42:00Z"}
    assert newcomer.post("/api/v0/count", json_body={"hits": [hit]}).status == 202
    assert len(accepted) == 1
    site = wiring.accounts().public_site(newcomer.created.site.code, "")
    assert site is not None
    assert datetime.fromtimestamp(site.first_hit_at, UTC) == datetime(2020, 1, 18, 2, 42, tzinfo=UTC)
    assert site.received_data


def test_a_queue_that_does_not_answer_accepts_nothing(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SqsIngest, "_send", _refusing)
    reply = person.post("/api/v0/count", json_body={"no_sessions": True, "hits": [{"path": "/a"}]})
    assert reply.status == 503
    text = r"unexpected error code ‘[0-9a-z]+’; this has been reported for investigation"  # noqa: RUF001
    assert re.fullmatch(text, error(reply))
    pixel = count(person, "p=/a")
    assert (pixel.status, pixel.body) == (503, GIF)


def _refusing(*_: object, **__: object) -> None:
    raise ConnectTimeoutError(endpoint_url="https://sqs")


def test_a_body_above_what_lambda_takes_is_refused_in_json(person: Person) -> None:
    reply = person.post("/api/v0/count", body=b" " * 4_500_001, headers={"content-type": "application/json"})
    assert (reply.status, error(reply)) == (413, "the request's body is too large")


def test_500_hits_with_maximal_fields_are_taken(person: Person, accepted: list[Message]) -> None:
    hit = {
        "path": "/" + "p" * 2046,
        "title": "t" * 1024,
        "ref": "r" * 2048,
        "user_agent": FIREFOX.ljust(512, "x"),
        "session": "s",
    }
    reply = person.post("/api/v0/count", json_body={"hits": [hit] * 500})
    assert (reply.status, len(accepted[0].hits)) == (202, 500)


# The pixel (rows 34 to 39)


def count(person: Person, query: str, method: str = "GET", **kwargs: Any) -> Reply:
    headers = {"user-agent": FIREFOX, **kwargs.pop("headers", {})}
    kwargs.setdefault("client", address())
    return person.front.request(method, f"{person.prefix}/count?{query}", headers=headers, **kwargs)


def test_row_34_the_pixel(person: Person, accepted: list[Message]) -> None:
    reply = count(person, "p=/x&zzz=1")
    assert (reply.status, reply.body, len(reply.body)) == (200, GIF, 43)
    assert reply.headers == {
        "content-type": "image/gif",
        "access-control-allow-origin": "*",
        "cross-origin-resource-policy": "cross-origin",
        "cache-control": "no-store,no-cache",
        "strict-transport-security": "max-age=7776000",
        "x-content-type-options": "nosniff",
        "x-frame-options": "deny",
        "x-rate-limit-limit": "4",
        "x-rate-limit-remaining": "3",
        "x-rate-limit-reset": "1",
    }
    assert [hit.path for message in accepted for hit in message.hits] == ["/x"]


@pytest.mark.parametrize("headers", [{"accept": "text/html"}, {"accept": "image/png"}, {"accept": "*/*"}])
def test_the_pixel_comes_whatever_is_accepted(person: Person, headers: dict[str, str]) -> None:
    assert count(person, "p=/x", headers=headers).body == GIF


def test_row_35_a_beacon(person: Person, accepted: list[Message]) -> None:
    assert count(person, "p=/x", "POST").status == 200
    assert count(person, "p=/x", "POST", body=b"junk", headers={"content-type": "text/plain"}).status == 200
    assert len(accepted) == 2


@pytest.mark.parametrize(
    ("query", "status", "reason"),
    [
        ("", 400, "not valid: path: must be set, must be longer than 1 characters."),
        ("p=/x&b=100", 400, "wrong value: b=100"),
        ("p=/x&b=150", 200, None),
        ("p=/x&s=xxx", 400, "error decoding parameters:"),
        ("p=/x&e=maybe", 400, "error decoding parameters:"),
        ("p=/" + "a" * 2047, 200, None),
        ("p=/" + "a" * 2048, 400, "ignored because path is longer than 2048 bytes ("),
    ],
)
def test_rows_36_37_39_what_is_refused_says_why(
    person: Person, accepted: list[Message], query: str, status: int, reason: str | None
) -> None:
    reply = count(person, query)
    assert (reply.status, reply.body) == (status, GIF)
    assert reply.headers.get("x-goatcounter", "").startswith(reason or "")
    assert ("x-goatcounter" in reply.headers) == (reason is not None)
    assert bool(sum(len(message.hits) for message in accepted)) == (status == 200 and "b=" not in query)


@pytest.mark.parametrize("headers", [{"purpose": "prefetch"}, {"x-moz": "Prefetch"}, {"x-purpose": "preview"}])
def test_row_38_prefetches_are_not_counted(person: Person, accepted: list[Message], headers: dict[str, str]) -> None:
    reply = count(person, "p=/x", headers=headers)
    assert (reply.status, reply.body, "x-goatcounter" in reply.headers) == (200, GIF, False)
    assert accepted == []


def test_row_38_ignored_addresses_are_not_counted(
    person: Person, accepted: list[Message], monkeypatch: pytest.MonkeyPatch
) -> None:
    ignoring = replace(person.created.site, ignore_ips=("203.0.113.9",))
    monkeypatch.setattr(wiring.accounts(), "public_site", lambda *_: ignoring)
    reply = count(person, "p=/x&s=xxx", client="203.0.113.9")
    assert (reply.status, reply.body) == (202, GIF)
    assert reply.headers["x-goatcounter"] == 'ignored because "203.0.113.9" is in the IP ignore list'
    assert accepted == []


@pytest.mark.parametrize("method", ["OPTIONS", "PUT", "DELETE", "BREW"])
def test_other_methods_of_the_pixel_are_refused_in_html(person: Person, method: str) -> None:
    reply = count(person, "p=/x", method)
    assert (reply.status, reply.headers["content-type"]) == (405, "text/html; charset=utf-8")
    assert reply.headers["allow"] == "GET, HEAD, POST"


@pytest.mark.parametrize("query", ["p=/x", "p=/x&s=xxx", ""])
def test_head_is_told_what_the_pixel_would_say_and_counts_nothing(
    person: Person, accepted: list[Message], query: str
) -> None:
    head = count(person, query, "HEAD")
    assert accepted == []
    got = count(person, query)
    assert (head.status, head.headers, head.body) == (got.status, got.headers, b"")


def test_the_pixels_limit_is_by_address_and_browser(person: Person, stopped: list[float]) -> None:
    assert stopped
    same = address()
    assert [count(person, "p=/x", client=same).status for _ in range(5)] == [200] * 4 + [429]
    fifth = count(person, "p=/x", client=same)
    assert fifth.text == "rate limited exceeded; try again in 1s\n"
    assert fifth.headers["retry-after"] == "1"
    assert fifth.headers["access-control-allow-origin"] == "*"
    assert count(person, "p=/x", client=same, headers={"user-agent": "another"}).status == 200
    longest = [count(person, "p=/x", client=same, headers={"user-agent": "a" * 512 + more}) for more in "abcde"]
    assert [reply.status for reply in longest] == [400] * 4 + [429]  # what is refused anyway is not remembered whole
    assert [count(person, "p=/x", client="127.0.0.1").status for _ in range(9)] == [200] * 9


def test_the_pixel_needs_a_site(person: Person) -> None:
    reply = person.front.get("/s/nobodys/count?p=/x", headers={"host": "No.Such.Host:8080"}, client=address())
    assert (reply.status, reply.body) == (400, GIF)
    assert reply.headers["x-goatcounter"] == 'no site at this domain ("no.such.host")'


def test_the_pixels_site_is_found_by_host(front: FrontDoor, accepted: list[Message]) -> None:
    person = settle(front, cname="stats.pixel.example")
    headers = {"host": "Stats.Pixel.Example:443", "user-agent": FIREFOX}
    assert front.get("/count?p=/x", headers=headers, client=address()).status == 200
    assert [message.stream for message in accepted] == [person.created.site.stream]


# Statistics (rows 15, 44 to 50)

NOON = int(datetime(2020, 6, 18, 12, tzinfo=UTC).timestamp())


def visited(person: Person, *hits: tuple[str, int]) -> None:
    """Puts visits into the log: paths and times."""
    stored = tuple(Hit(path, "", path[0] != "/", "", "o", "", "", "", "", "", 0, at, 0, 0) for path, at in hits)
    stream = person.created.site.stream
    message = Message(secrets.randbits(63), int(wiring.now()), stream, False, stored)
    assert wiring.appender().append(stream, [message]).refused == {}


def test_rows_15_and_44_paths_by_id(newcomer: Person) -> None:
    visited(newcomer, *((f"/{n}", NOON) for n in range(50)))
    reply = newcomer.get("/api/v0/paths?after=19&limit=5")
    body = reply.json()
    assert [path["id"] for path in body["paths"]] == [20, 21, 22, 23, 24]
    assert body["paths"][0] == {"id": 20, "path": "/19", "title": "", "event": False}
    assert body["more"] is True
    assert newcomer.get("/api/v0/paths?after=50").json() == {"paths": [], "more": False}
    assert len(newcomer.get("/api/v0/paths?Limit=1").json()["paths"]) == 1
    assert len(newcomer.get("/api/v0/paths").json()["paths"]) == 20


def test_row_45_an_empty_site(newcomer: Person) -> None:
    assert newcomer.get("/api/v0/stats/hits").json() == {"hits": [], "total": 0, "more": False}


def test_row_46_the_last_of_fifty(newcomer: Person) -> None:
    visited(newcomer, *((f"/{n}", NOON) for n in range(1, 51)))
    query = "limit=1&exclude_paths=50,49&daily=true&start=2020-06-17&end=2020-06-19"
    body = newcomer.get(f"/api/v0/stats/hits?{query}").json()
    [row] = body["hits"]
    assert (row["path"], row["max"], body["total"], body["more"]) == ("/48", 1, 1, True)
    assert list(row) == ["count", "path_id", "path", "event", "title", "max", "stats"]
    assert [list(day) for day in row["stats"]] == [
        ["day", "hourly", "daily", "weekly", "monthly"],
        ["day", "hourly", "daily"],
        ["day", "hourly", "daily"],
    ]
    assert [(day["day"], day["daily"]) for day in row["stats"]] == [
        ("2020-06-17", 0),
        ("2020-06-18", 1),
        ("2020-06-19", 0),
    ]
    assert (row["stats"][0]["weekly"], row["stats"][0]["monthly"]) == (1, 1)
    assert row["stats"][1]["hourly"][12] == 1


def test_row_47_eight_days_by_default(newcomer: Person) -> None:
    visited(newcomer, ("/today", int(wiring.now())))
    [row] = newcomer.get("/api/v0/stats/hits").json()["hits"]
    assert len(row["stats"]) == 8
    assert (row["stats"][7]["weekly"], "weekly" in row["stats"][1]) == (1, False)


def test_row_48_paths_by_name(newcomer: Person) -> None:
    visited(newcomer, *((f"/{n}", int(wiring.now())) for n in range(1, 13)))
    query = "path_by_name=true&include_paths="
    assert [row["path"] for row in newcomer.get(f"/api/v0/stats/hits?{query}/10").json()["hits"]] == ["/10"]
    assert newcomer.get(f"/api/v0/stats/hits?{query}/missing").json()["hits"] == []
    assert newcomer.get(f"/api/v0/stats/total?{query}/10,/11").json()["total"] == 2


def test_row_49_ids_and_limits(newcomer: Person) -> None:
    visited(newcomer, ("/a", int(wiring.now())), ("/b", int(wiring.now())))
    reply = newcomer.get("/api/v0/stats/hits?include_paths=x")
    assert reply.status == 400
    assert error(reply).startswith("invalid number in include_paths:")
    assert len(newcomer.get("/api/v0/stats/hits?limit=0").json()["hits"]) == 1
    assert len(newcomer.get("/api/v0/stats/hits?limit=5000").json()["hits"]) == 2


def test_row_50_the_total(newcomer: Person) -> None:
    visited(newcomer, ("/a", int(wiring.now())), ("event", int(wiring.now())))
    body = newcomer.get("/api/v0/stats/total").json()
    assert list(body) == ["total", "total_events", "total_utc", "stats"]
    assert (body["total"], body["total_events"], body["total_utc"], len(body["stats"])) == (2, 1, 2, 8)


def test_answers_are_indented_and_safe_inside_html(newcomer: Person) -> None:
    visited(newcomer, ("/<b>&", int(wiring.now())))
    text = newcomer.get("/api/v0/paths").text
    assert text.startswith('{\n  "paths": [\n    {\n      "id": 1,\n      "path": "/\\u003cb\\u003e\\u0026",')
    assert text.endswith("\n}\n")


def test_a_century_is_the_longest_range_and_too_much_of_it_is_refused(newcomer: Person) -> None:
    visited(newcomer, *((f"/{n}", NOON) for n in range(20)))
    assert newcomer.get("/api/v0/stats/total?start=1970-01-01").status == 200
    assert newcomer.get("/api/v0/stats/total?start=0001-01-02").status == 400
    assert newcomer.get("/api/v0/stats/hits?limit=100&start=1970-01-01").status == 400
    large = "/api/v0/stats/hits?limit=20&start=2010-01-01"
    assert newcomer.get(large).status == 400
    packed = newcomer.get(large, headers={"accept-encoding": "br, gzip"})
    assert (packed.status, packed.headers["content-encoding"]) == (200, "gzip")
    assert len(json.loads(gzip.decompress(packed.body))["hits"]) == 20


_STATS = ("total", "hits", "hits/1", "browsers", "toprefs", "campaigns/1", "toprefs/a/b", "sizes/phone")
_ENDPOINTS = st.sampled_from(["/api/v0/paths", *(f"/api/v0/stats/{page}" for page in _STATS), "/api/v0/me", "/count"])
_WORDS = st.sampled_from(
    ["start", "end", "limit", "after", "offset", "group", "include_paths", "path_by_name", "p", "s", "e"]
)


@effort(max_examples=150, deadline=None)
@given(
    path=_ENDPOINTS,
    params=st.dictionaries(
        st.one_of(_WORDS, st.text(max_size=5)), st.lists(st.text(max_size=20), min_size=1, max_size=2), max_size=4
    ),
)
def test_no_query_ends_in_an_error_of_ours(somebody: Person, path: str, params: dict[str, list[str]]) -> None:
    query = urlencode([(name, value) for name, values in params.items() for value in values], errors="replace")
    reply = somebody.get(f"{path}?{query}", headers={"user-agent": FIREFOX})
    assert reply.status in {200, 202, 400}
    if path.startswith("/api"):
        assert reply.status == 200 or set(reply.json()) <= {"error", "errors"}
    else:
        assert reply.body == GIF
