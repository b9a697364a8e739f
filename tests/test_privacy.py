"""What must never be found anywhere, looked for byte by byte; and that accounts cannot see one another."""

import base64
import binascii
import hashlib
import io
import ipaddress
import itertools
import json
import logging
import secrets
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from urllib.parse import quote

import pytest
from chalice.app import Chalice

from chalicelib import observability, wiring
from chalicelib.aws.log import DynamoLog
from chalicelib.core.audit import audit
from chalicelib.pageviews import hits
from infrastructure import storage
from infrastructure.local.pump import Pump
from tests.conftest import World
from tests.dynamo import standing_in
from tests.front import FrontDoor, Reply
from tests.people import Person, address, settle

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:109.0) Gecko/20100101 Firefox/115.0"
Haystack = tuple[str, bytes]
"""Where something was found, and its bytes."""


@pytest.fixture(scope="module", autouse=True)
def alone(world: World) -> Iterator[World]:
    """An AWS with nothing in it but what these tests have put there: they look at all of it, again and again."""
    with pytest.MonkeyPatch.context() as patch, standing_in() as tables:
        environment = storage.create(world.session, prefix="private", visibility=storage.Visibility.all(1))
        environment |= {name: table for name, table in world.environment.items() if name.endswith("_TABLE")}
        for name, value in environment.items():
            patch.setenv(name, value)
        wiring.forget()
        wiring.secrets().ensure()
        yield World(world.session, environment, tables)
    wiring.forget()


@pytest.fixture
def pump(app: Chalice, alone: World) -> Pump:
    """Feeds the event functions from these queues."""
    return Pump.of(app, alone.environment, alone.client("sqs"))


class Secrets:
    """Texts that occur nowhere else."""

    def __init__(self) -> None:
        mark = secrets.token_hex(6)
        self.addresses = [f"198.51.100.{n}" for n in (77, 78, 79)] + [
            f"2001:db8:{mark[:4]}:{mark[4:8]}::{n}" for n in "9a"
        ]
        self.agent = f"{FIREFOX} Zanzibar{mark}/77.1"
        self.unheard_of = f"Wilhelmina{mark}/3.2 (Vanuatu{mark}; rv:1)"
        self.robot = f"Googlebot{mark}/2.1 (+http://www.google.com/bot.html)"
        self.path, self.title = f"/papaya-{mark}", f"Title {mark}"
        self.texts = {
            "session": f"session-{mark}",
            "idempotency key": f"once-{mark}",
            "referrer's query": f"tangerine{mark}",
            "page's query": f"persimmon{mark}",
            "cookie": f"cookie{mark}",
            "accepted language": f"x-klingon{mark}",
            "location": f"atlantis{mark}",
        }

    def forbidden(self, *credentials: str) -> Iterator[Haystack]:
        """Every form in which something must not be found."""
        for text in (*self.addresses, self.agent, self.agent.removeprefix(FIREFOX), *self.unheard_of.split(" ")):
            yield from _forms(text)
        for text in (*self.texts.values(), *credentials):
            yield text, text.encode()
            yield f"{text} in base64", base64.b64encode(text.encode()).rstrip(b"=")[:-1]
        for text in self.addresses:
            number = ipaddress.ip_address(text)
            yield f"{text}, exploded", number.exploded.encode() if number.version == 6 else text.encode()
            yield f"{text} as bytes", number.packed
            yield f"{text} as a number", str(int(number)).encode()
        for agent, text in itertools.product((self.agent, self.unheard_of), self.addresses):
            yield from _forms(agent + text)
            yield from _forms(text + agent)


def _forms(text: str) -> Iterator[Haystack]:
    """A text as it is, and its hashes without a key: whoever guesses the text finds them."""
    yield text, text.encode()
    for name in ("md5", "sha1", "sha256"):
        digest = hashlib.new(name, text.encode()).digest()
        yield f"{name} of {text}", digest[:8]
        yield f"{name} of {text} in hexadecimal", digest[:8].hex().encode()


# --- everything that is kept ------------------------------------------------------------------------------------------


def opened(place: str, data: bytes) -> Iterator[Haystack]:
    """Bytes, and what is packed in them: base64, deflate, the frames of log and rollups."""
    yield place, data
    for name, unpack in UNPACK.items():
        try:
            inner = unpack(data)
        except (binascii.Error, ValueError, zlib.error):
            continue
        if inner:
            yield from opened(f"{place}, {name}", inner)


UNPACK: dict[str, Callable[[bytes], bytes]] = {
    "base64": lambda data: base64.b64decode(data, validate=True),
    "deflated": zlib.decompress,
    "frame": lambda data: zlib.decompress(data[6:]),
}


def queued(alone: World) -> Iterator[Haystack]:
    """What lies in the queues now; it stays there."""
    sqs = alone.client("sqs")
    for variable, url in alone.environment.items():
        if not variable.endswith("_QUEUE"):
            continue
        held = []
        while messages := sqs.receive_message(
            QueueUrl=url,
            MaxNumberOfMessages=10,
            VisibilityTimeout=60,
            MessageSystemAttributeNames=["All"],
            MessageAttributeNames=["All"],
        ).get("Messages", []):
            held += messages
        for message in held:
            sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=0)
            rest = [message.get("Attributes"), message.get("MessageAttributes")]
            yield f"{variable}, attributes", json.dumps(rest, default=str).encode()
            yield from opened(variable, message["Body"].encode())


def stored(alone: World) -> Iterator[Haystack]:
    """What the tables and the bucket hold."""
    s3 = alone.client("s3")
    for variable, table in alone.environment.items():
        if variable.endswith("_TABLE"):
            for row in alone.tables.items(table):
                yield from _attributes(table, row)
    bucket = alone.environment["COUNTLESS_BUCKET"]
    for listed in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket):
        for item in listed.get("Contents", []):
            answer = s3.get_object(Bucket=bucket, Key=item["Key"])
            yield "a body's name and metadata", json.dumps([item["Key"], answer["Metadata"]]).encode()
            yield from opened("a body", answer["Body"].read())


def _attributes(table: str, item: Any) -> Iterator[Haystack]:
    for name, value in item.items():
        for kind, inner in value.items():
            if kind == "B":
                yield from opened(f"{table}, {name}", base64.b64decode(inner))
            else:
                text = inner if isinstance(inner, str) else json.dumps(inner, default=str)
                yield from opened(f"{table}, {name}", text.encode())


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[[], str]]:
    """Everything that is logged meanwhile, by us and, as on Lambda, from warnings on by anybody."""
    stream = io.StringIO()
    everybody = logging.StreamHandler(stream)
    root = logging.getLogger()
    level = root.level
    root.addHandler(everybody)
    root.setLevel(logging.WARNING)
    ours = [
        handler for handler in observability.logger.handlers if isinstance(handler.formatter, observability.Discreet)
    ]
    assert ours
    for handler in ours:
        monkeypatch.setattr(handler, "stream", stream)
    yield lambda: stream.getvalue() + "".join(capsys.readouterr())  # metrics are printed
    root.removeHandler(everybody)
    root.setLevel(level)


def found(needles: Iterable[Haystack], haystacks: Iterable[Haystack]) -> list[str]:
    """Which needles are where; what lies in several places is looked through once."""
    wanted, different = list(needles), {data: place for place, data in haystacks}
    return [f"{what}: in {place}" for data, place in different.items() for what, needle in wanted if needle in data]


# --- sending it all ---------------------------------------------------------------------------------------------------


def send(person: Person, secret: Secrets) -> None:
    """Page views by every way that there is, with every secret in every place that could take it."""
    texts = secret.texts
    client = iter(itertools.cycle(secret.addresses))
    common = {
        "idempotency-key": texts["idempotency key"],
        "cookie": f"session={texts['cookie']}",
        "accept-language": texts["accepted language"],
        "x-forwarded-for": ", ".join(secret.addresses),
        "x-real-ip": secret.addresses[1],
        "cf-connecting-ip": secret.addresses[2],
    }
    referrer = f"https://ref.example/x?{texts[REFERRER]}=1#{texts['cookie']}"
    one = {"path": secret.path, "title": secret.title, "ref": referrer, "query": f"utm_source=s&k={texts[PAGE]}"}
    known = {"language": texts["accepted language"], "location": texts["location"]}
    batch = [
        {**one, **known, "session": texts["session"]},
        *(
            {**one, **known, "user_agent": agent, "ip": ip}
            for agent in (secret.agent, secret.unheard_of)
            for ip in secret.addresses
        ),
        {**one, "user_agent": secret.robot, "ip": secret.addresses[0]},
    ]
    old = [{**view, "created_at": "2021-02-03T04:05:06Z"} for view in batch]
    for views in (batch, old):
        reply = person.post("/api/v0/count", json_body={"hits": views}, headers=common, client=next(client))
        assert reply.status == 202
    large = [
        {**view, "query": "", "path": f"/{n}", "title": secrets.token_urlsafe(760), "ref": secrets.token_urlsafe(1500)}
        for n, view in enumerate(batch[:-1] * 60)
    ]
    assert person.post("/api/v0/count", json_body={"hits": large[:500]}, client=next(client)).status == 202
    for agent, ip in itertools.product((secret.agent, secret.unheard_of, secret.robot), secret.addresses):
        query = f"p={secret.path}&r=https://ref.example/x?{texts[PAGE]}&q=k={texts[PAGE]}&rnd={texts['cookie']}"
        headers = {**common, "user-agent": agent, "referer": referrer}
        assert person.front.get(f"{person.prefix}/count?{query}", headers=headers, client=ip).status == 200
    for path in ("/api/v0/stats/total", "/api/v0/me", "/api/v0/nope", f"/api/v0/paths?{texts['cookie']}=1"):
        person.get(path, headers=common, client=next(client))
    basic = base64.b64encode(f"me:{person.token}".encode()).decode()
    assert person.get("/api/v0/me", headers={"authorization": f"Basic {basic}"}, client=next(client)).status == 200


PAGE, REFERRER = "page's query", "referrer's query"


def test_what_identifies_people_is_kept_nowhere(
    app: Chalice, alone: World, pump: Pump, logged: Callable[[], str]
) -> None:
    """No address, browser, session text, query, cookie or credential in queues, tables, bucket or logs."""
    person, secret = settle(FrontDoor(app)), Secrets()
    forbidden = list(secret.forbidden(person.token, "correct horse"))
    send(person, secret)
    waiting = list(queued(alone))
    assert found(forbidden, waiting) == []
    assert found([("path", secret.path.encode())], waiting), "the search does not see into messages"
    assert found([("robot", secret.robot.encode())], waiting)
    pump.settle()
    stream = person.created.site.stream
    kept = list(stored(alone))
    for step in (wiring.folder().fold, wiring.folder().sweep):
        step(stream)
        kept += stored(alone)
    assert found(forbidden, kept) == []
    assert "a body, base64, deflated" in {place for place, _ in kept}, "no message went through the bucket"
    rollups = wiring.settings().rollups_table
    places = {place for place, data in kept if secret.path.encode() in data}
    assert f"{wiring.settings().log_table}, data, frame" in places, "the search does not see into segments"
    assert f"{rollups}, data, frame" in places, "the search does not see into rollups"
    assert {place for place, data in kept if secret.robot.encode() in data} == {f"{rollups}, data, deflated"}
    assert person.get("/api/v0/stats/total").json()["total"] > 350
    assert found(forbidden, [("the logs", logged().encode())]) == []


def test_errors_log_nothing_that_was_sent(
    app: Chalice, alone: World, pump: Pump, logged: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever fails, and however much its message quotes: kind and place are logged, and a code is answered."""
    person, secret = settle(FrontDoor(app)), Secrets()
    quoting = " ".join([*secret.addresses, secret.agent, *secret.texts.values(), person.token, "correct horse"])

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError(quoting)

    def ask() -> Reply:
        view = {"path": "/a", "user_agent": secret.agent, "ip": secret.addresses[0], "session": secret.texts["session"]}
        headers = {"idempotency-key": secret.texts["idempotency key"]}
        return person.post("/api/v0/count", json_body={"hits": [view]}, headers=headers, client=secret.addresses[1])

    with monkeypatch.context() as patch:
        patch.setattr(hits, "accept_batch", fail)
        failed = ask()
    assert failed.status == 500
    assert "unexpected error code" in failed.json()["error"]
    assert quoting not in failed.text
    assert ask().status == 202
    with monkeypatch.context() as patch:
        patch.setattr(DynamoLog, "put", fail)
        pump.deliver("append")
    alone.client("sqs").send_message(QueueUrl=alone.environment["COUNTLESS_INGEST_QUEUE"], MessageBody=quoting)
    pump.deliver("append")
    text = logged()
    for said in ("view failed", "messages could not be appended", "a message is parked", "RuntimeError"):
        assert said in text
    assert found(secret.forbidden(person.token, "correct horse"), [("the logs", text.encode())]) == []
    alone.drain("COUNTLESS_PARKED_QUEUE")


# --- other people's figures -------------------------------------------------------------------------------------------


def populated(app: Chalice, alone: World, name: str, paths: int) -> Person:
    """Somebody with so many paths, visited once each."""
    person = settle(FrontDoor(app), cname=f"{secrets.token_hex(6)}.{name}.example")
    views = [{"path": f"/{name}-{n}", "title": name} for n in range(1, paths + 1)]
    assert person.post("/api/v0/count", json_body={"no_sessions": True, "hits": views}).status == 202
    Pump.of(app, alone.environment, alone.client("sqs")).settle()
    return person


@pytest.fixture(scope="module")
def ann(app: Chalice, alone: World) -> Person:
    """Somebody with fifty paths. Nobody adds to them."""
    return populated(app, alone, "ann", 50)


@pytest.fixture(scope="module")
def bob(app: Chalice, alone: World) -> Person:
    """Somebody else, with two paths."""
    return populated(app, alone, "bob", 2)


def through(person: Person, method: str, target: str, **arguments: Any) -> Reply:
    """Asks with somebody's key, but for whatever the target names."""
    headers = {"authorization": f"Bearer {person.token}", **arguments.pop("headers", {})}
    return person.front.request(method, target, headers=headers, client=address(), **arguments)


ENDPOINTS = [
    ("GET", "/api/v0/me"),
    ("GET", "/api/v0/paths"),
    ("GET", "/api/v0/stats/total"),
    ("GET", "/api/v0/stats/hits"),
    ("GET", "/api/v0/stats/hits?path_by_name=true&include_paths=/ann-1"),
    ("POST", "/api/v0/count"),
]
COUNTED = {"no_sessions": True, "hits": [{"path": "/planted"}]}


@pytest.mark.parametrize(("method", "path"), ENDPOINTS)
def test_another_accounts_site_is_as_good_as_none(
    ann: Person, bob: Person, alone: World, monkeypatch: pytest.MonkeyPatch, *, method: str, path: str
) -> None:
    """By its code it is not found, in the very words for a site that does not exist; nothing is counted."""
    now = wiring.now()
    monkeypatch.setattr(wiring, "now", lambda: now)  # headers tell how long a limit lasts
    body = COUNTED if method == "POST" else None
    theirs = through(bob, method, f"{ann.prefix}{path}", json_body=body)
    nobodys = through(bob, method, f"/s/{secrets.token_hex(6)}{path}", json_body=body)
    assert (theirs.status, theirs.json()) == (404, {"error": "not found"})
    assert theirs == nobodys
    waiting = [wiring.ingest().open(body) for body in alone.drain("COUNTLESS_INGEST_QUEUE")]
    assert not [hit.path for message in waiting for hit in message.hits if hit.path == "/planted"]


def test_a_host_only_selects_among_the_keys_own_sites(ann: Person, app: Chalice, alone: World, pump: Pump) -> None:
    """Whoever names another account's host still sees, and counts for, his own site."""
    dan = populated(app, alone, "dan", 1)
    host = {"host": str(ann.created.site.cname)}
    for method, path in ENDPOINTS:
        body = COUNTED if method == "POST" else None
        assert through(dan, method, path, headers=host, json_body=body) == dan.ask(method, path, json_body=body)
    pump.settle()
    assert [row["count"] for row in dan.get("/api/v0/stats/hits").json()["hits"]] == [2, 1]
    assert {row["path"] for row in ann.get("/api/v0/paths?limit=200").json()["paths"]} == paths_of("ann", 50)
    assert ann.get("/api/v0/stats/total").json()["total"] == 50


def paths_of(name: str, paths: int) -> set[str]:
    """What `populated` counted."""
    return {f"/{name}-{n}" for n in range(1, paths + 1)}


def test_another_accounts_paths_are_reached_neither_by_id_nor_by_name(ann: Person, bob: Person) -> None:
    """Ids count from 1 in each site: the same number is another path."""
    ids = [row["id"] for row in ann.get("/api/v0/paths?limit=200").json()["paths"]]
    assert ids == list(range(1, 51))
    own = paths_of("bob", 2)
    every = ",".join(map(str, ids))
    for query in ("", f"include_paths={every}", "path_by_name=true&include_paths=/bob-1,/ann-1,/bob-2"):
        assert {row["path"] for row in bob.get(f"/api/v0/stats/hits?{query}").json()["hits"]} == own
        assert bob.get(f"/api/v0/stats/total?{query}").json()["total"] == 2
    for query in (f"include_paths={','.join(map(str, ids[2:]))}", "path_by_name=true&include_paths=/ann-1,/ann-2"):
        assert bob.get(f"/api/v0/stats/hits?{query}").json() == {"hits": [], "total": 0, "more": False}
        assert bob.get(f"/api/v0/stats/total?{query}").json()["total"] == 0
    assert {row["path"] for row in bob.get("/api/v0/paths?limit=200").json()["paths"]} == own
    assert bob.get("/api/v0/paths?after=2").json() == {"paths": [], "more": False}


def test_the_same_idempotency_key_of_two_accounts_counts_for_both(app: Chalice, alone: World, pump: Pump) -> None:
    """Nobody can keep another's page views from being counted by guessing his keys."""
    both = [populated(app, alone, name, 1) for name in ("eve", "fay")]
    for person in both:
        reply = person.post("/api/v0/count", json_body=COUNTED, headers={"idempotency-key": "1"})
        assert reply.status == 202
    pump.settle()
    assert [person.get("/api/v0/stats/total").json()["total"] for person in both] == [2, 2]


def test_what_is_kept_of_an_account_stands_under_its_own_keys(ann: Person, bob: Person, alone: World) -> None:
    """In log and rollups nothing of one account lies below another's; each log is sound."""
    for table, key in ((wiring.settings().log_table, "stream"), (wiring.settings().rollups_table, "pk")):
        for item in alone.tables.items(table):
            owner = item[key]["S"].partition("/")[0]
            inside = {name for place, data in _attributes(table, item) for name in (b"/ann-", b"/bob-") if name in data}
            assert b"/ann-" not in inside or owner != bob.created.account.id
            assert b"/bob-" not in inside or owner != ann.created.account.id
    for person in (ann, bob):
        assert audit(wiring.log(), wiring.rollups(), person.created.site.stream).differences == []


# --- statistics -------------------------------------------------------------------------------------------------------


def test_no_key_of_statistics_is_kept_and_nothing_of_a_request_is_logged(
    app: Chalice, alone: World, logged: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keys stand in paths, names and values in bodies: none of them is logged, whatever becomes of the request; and
    keys, addresses and idempotency keys are not stored either, however they are sent.
    """
    person, mark = settle(FrontDoor(app)), secrets.token_hex(6)
    group, name, once, client = f"Mango {mark}", f"lychee {mark}", f"once-{mark}", "198.51.100.123"
    value = "4815162342.108"

    def ask(method: str, path: str, body: Any = None, token: str = person.token) -> Reply:
        headers = {"authorization": f"Bearer {token}", "idempotency-key": once, "user-agent": f"agent-{mark}"}
        return person.front.request(method, f"/v1/api{path}", headers=headers, json_body=body, client=client)

    made = ask("POST", "/domains", {"name": f"papaya {mark}"}).json()
    update = {"group": group, "name": name, "value": float(value), "reference_date": "2026-11-20"}
    calls: list[tuple[str, str, Any]] = [
        ("GET", f"/domains/{person.token}", None),
        ("GET", f"/domains/{made['key']}", None),
        ("POST", f"/domains/{made['key']}", {"name": f"guava {mark}"}),
        ("POST", "/statistics", update),
        ("POST", "/statistics", update),
        ("POST", "/statistics", {**update, "value": "x" + value}),
        ("POST", "/statistics/batch", [update, {**update, "name": "a/b"}]),
        ("GET", f"/statistics/{quote(group)}/{quote(name)}", None),
        ("POST", f"/statistics/{quote(group)}/{quote(name)}", {"method": mark}),
        ("GET", f"/statistics?group={quote(group)}&after={mark}", None),
        ("POST", "/exports", {"group": group}),
        ("DELETE", f"/statistics/{quote(group)}/{quote(name)}?purge=1", None),
        ("DELETE", f"/domains/{made['key']}x", None),
    ]
    first = [ask(*call).status for call in calls]
    assert first == [200, 200, 200, 201, 201, 400, 400, 200, 400, 400, 201, 200, 404]
    wrong = [ask("GET", f"/domains/{person.token}", token=f"{person.token}x") for _ in range(2)]
    assert {reply.status for reply in wrong} == {401}
    for reply in wrong:
        assert person.token not in reply.text

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError(" ".join([group, name, once, client, value, person.token, made["key"]]))

    with monkeypatch.context() as patch:
        for place in ("statistics", "domains", "exports"):
            patch.setattr(wiring, place, fail)
        failed = {ask(*call).status for call in calls}
    assert failed == {500, 400}
    text = logged()
    assert "RuntimeError" in text
    tokens = [("a key", person.token.encode()), ("the new key", made["key"].encode())]
    sent = [*tokens, ("an address", client.encode()), ("a mark", mark.encode()), ("a value", value[:10].encode())]
    assert found(sent, [("the logs", text.encode())]) == []
    unkept = [*tokens, ("an address", client.encode()), ("once", once.encode()), ("an agent", f"agent-{mark}".encode())]
    kept = [*stored(alone), *queued(alone)]
    assert found(unkept, kept) == []
    assert found([("the name", f"guava {mark}".encode())], kept), "the search does not see into tables"
