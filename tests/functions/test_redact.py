"""Retention, purge, erasure and the end of a site from the front door: afterwards nothing that is stored holds what was
to go, looked for byte by byte in every table and in the bucket.
"""

import base64
import gzip
import json
import zlib
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from chalicelib import wiring
from chalicelib.aws import queues
from chalicelib.core.audit import audit
from chalicelib.core.errors import NotFound
from chalicelib.core.messages import Message
from chalicelib.core.redactions import STALE
from chalicelib.core.tombstones import agent_key
from chalicelib.core.wishes import Act
from chalicelib.functions import redact as module
from chalicelib.pageviews.visitors import Visitors
from infrastructure.local import schedules
from infrastructure.local.pump import Pump
from tests.conftest import World
from tests.dynamo import Dynamo
from tests.front import FrontDoor
from tests.people import Person, settle

AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:139.0) Gecko/20100101 Firefox/139.0 one-of-a-kind"
DAY = 86400
BASE64 = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=")


@pytest.fixture
def shop(tables: Dynamo, front: FrontDoor) -> Person:
    assert tables
    return settle(front)


def stored(tables: Dynamo, world: World) -> Iterator[bytes]:
    """Everything, decompressed: each item of each table, and each object in the bucket."""
    for name in ("LOG", "ROLLUPS", "DOCUMENTS", "STATISTICS", "LIMITS"):
        for item in tables.items(world.environment[f"COUNTLESS_{name}_TABLE"]):
            yield from _texts(item)
    s3, bucket = world.client("s3"), world.environment["COUNTLESS_BUCKET"]
    for found in s3.list_objects_v2(Bucket=bucket).get("Contents", []):
        body = s3.get_object(Bucket=bucket, Key=found["Key"])["Body"].read()
        yield found["Key"].encode()
        yield gzip.decompress(body) if body[:2] == b"\x1f\x8b" else _opened(body)


def _texts(item: Mapping[str, Any]) -> Iterator[bytes]:
    for name, value in item.items():
        yield name.encode()
        ((kind, held),) = value.items()
        yield _opened(base64.b64decode(held)) if kind == "B" else str(held).encode()


def _opened(data: bytes) -> bytes:
    """What was compressed here: a frame behind its head, or the whole; perhaps in base64, as queues want it."""
    if set(data) <= BASE64 and len(data) % 4 == 0:
        data = base64.b64decode(data)
    for start in (0, 6):
        try:
            return zlib.decompress(data[start:])
        except zlib.error:
            continue
    return data


def holds(tables: Dynamo, world: World, text: str) -> bool:
    return any(text.encode() in data for data in stored(tables, world))


def schedule(name: str) -> None:
    getattr(module, name)(schedules.event(name, datetime.now(UTC)), SimpleNamespace(function_name=name))


def agrees(person: Person) -> None:
    assert not audit(wiring.log(), wiring.rollups(), person.created.site.stream).differences


def later(patch: pytest.MonkeyPatch, seconds: float) -> None:
    moment = wiring.now() + seconds
    patch.setattr(wiring, "now", lambda: moment)


def count(person: Person, *hits: dict[str, Any]) -> None:
    assert person.post("/api/v0/count", json_body={"hits": list(hits), "no_sessions": False}).status == 202


def test_what_is_purged_is_nowhere_any_more(
    tables: Dynamo, world: World, shop: Person, pump: Pump, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No table, no export, no body of a large request; who comes meanwhile is counted."""
    monkeypatch.setattr(queues, "LARGEST", 300)
    hit = {"path": "/top-secret", "title": "A-Secret-Title", "ref": "https://where-from.example/x", "session": "s1"}
    count(shop, hit, {"path": "/open", "session": "s1"})
    count(shop, *({"path": f"/open/{i}", "session": "s2"} for i in range(20)), hit)
    bot = {"path": "/top-secret", "user_agent": "Googlebot/2.1 (+http://www.google.com/bot.html)", "ip": "192.0.2.9"}
    count(shop, bot)
    pump.settle()
    wiring.folder().fold(shop.created.site.stream)
    asked = shop.post("/api/v0/export", json_body={}).json()
    pump.settle()
    texts = ("op-secret", "A-Secret-Title", "where-from")
    assert all(holds(tables, world, text) for text in texts)
    assert holds(tables, world, f"bodies/{shop.created.site.stream}/")
    stream = shop.created.site.stream
    path = next(p.id for p in wiring.reports().paths(stream, 0, 99)[0] if p.path == "/top-secret")
    wish = wiring.redactions().begin(stream, Act.PURGE, paths=(path,))
    count(shop, {"path": "/meanwhile", "session": "s3"})
    pump.settle()
    done = wiring.redactions().done(stream, wish.id)
    assert done is not None
    assert (done.removed, done.error) == (2, "")
    later(monkeypatch, STALE + 1)
    wiring.redactions().tend(stream)
    pump.settle()
    assert [text for text in texts if holds(tables, world, text)] == []
    assert not holds(tables, world, f"bodies/{shop.created.site.stream}/")
    assert shop.get(f"/api/v0/export/{asked['id']}/download").status == 400
    assert [p.path for p in wiring.reports().paths(stream, 0, 99)[0]][-1] == "/meanwhile"
    agrees(shop)


def test_what_is_merged_into_a_later_path_is_exported_under_its_name(
    tables: Dynamo, world: World, shop: Person, pump: Pump
) -> None:
    """Though the log comes upon the name only behind the page views that have it now."""
    assert tables
    stream = shop.created.site.stream
    assert shop.ask("PATCH", f"/api/v0/sites/{shop.created.site.id}", json_body={"settings": {"collect": 2 | 4 | 256}})
    wiring.accounts.cache_clear()
    for path in ("/old", "/new", "/newest"):
        count(shop, {"path": path, "title": f"Title of {path}", "session": path})
        pump.settle()
    old, _, newest = (found.id for found in wiring.reports().paths(stream, 0, 9)[0])
    wiring.redactions().begin(stream, Act.MERGE, paths=(old,), target=newest)
    pump.settle()
    assert shop.post("/api/v0/export", json_body={}).status == 202
    pump.settle()
    s3, bucket = world.client("s3"), world.environment["COUNTLESS_BUCKET"]
    (found,) = s3.list_objects_v2(Bucket=bucket, Prefix=f"exports/{shop.created.account.id}/")["Contents"]
    text = gzip.decompress(s3.get_object(Bucket=bucket, Key=found["Key"])["Body"].read()).decode()
    assert [line.split(",")[:2] for line in text.splitlines()[1:]] == [
        ["/newest", "Title of /newest"],
        ["/new", "Title of /new"],
        ["/newest", "Title of /newest"],
    ]


def test_an_erased_visitor_is_nowhere_any_more(
    tables: Dynamo, world: World, shop: Person, pump: Pump, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By browser and address, as a pixel saw them; other visitors stay."""
    mine = {"user-agent": AGENT}
    shop.front.get(f"{shop.prefix}/count?p=/only-mine", headers=mine, client="192.0.2.44")
    shop.front.get(f"{shop.prefix}/count?p=/both", headers=mine, client="192.0.2.44")
    shop.front.get(f"{shop.prefix}/count?p=/both", headers=mine, client="192.0.2.45")
    pump.settle()
    stream = shop.created.site.stream
    keys = Visitors(shop.created.site, wiring.secrets().salts()).seen(AGENT, "192.0.2.44")
    wish = wiring.redactions().begin(stream, Act.ERASE, keys=keys, agent=agent_key(AGENT))
    pump.settle()
    done = wiring.redactions().done(stream, wish.id)
    assert done is not None
    assert done.removed == 2
    later(monkeypatch, STALE + 1)
    wiring.redactions().tend(stream)
    pump.settle()
    assert not holds(tables, world, "only-mine")
    assert not any(holds(tables, world, str(key)) for key in keys)
    assert [path.path for path in wiring.reports().paths(stream, 0, 9)[0]] == ["/both"]
    agrees(shop)


def test_retention_runs_daily_and_writes_nothing_where_nothing_is_due(
    tables: Dynamo, world: World, shop: Person, pump: Pump
) -> None:
    stream, account = shop.created.site.stream, shop.created.account.id
    other = settle(shop.front)
    old = datetime.fromtimestamp(wiring.now() - 50 * DAY, UTC).isoformat()
    for person in (shop, other):
        count(person, {"path": "/ages-ago", "created_at": old, "session": "a"}, {"path": "/today", "session": "a"})
    pump.settle()
    for person in (shop, other):
        wiring.folder().sweep(person.created.site.stream)
    assert (
        shop.ask(
            "PATCH", "/api/v0/sites/" + str(shop.created.site.id), json_body={"settings": {"data_retention": 31}}
        ).status
        == 200
    )
    wiring.accounts.cache_clear()
    schedule("retain")
    pump.settle()
    assert [path.path for path in wiring.reports().paths(stream, 0, 9)[0]] == ["/today"]
    assert [path.path for path in wiring.reports().paths(other.created.site.stream, 0, 9)[0]] == ["/ages-ago", "/today"]
    agrees(shop)
    assert account
    names = [world.environment[f"COUNTLESS_{name}_TABLE"] for name in ("LOG", "ROLLUPS")]
    before = [tables.items(name) for name in names]
    schedule("retain")
    pump.settle()
    assert [tables.items(name) for name in names] == before


def test_retention_that_is_not_through_is_not_asked_for_again(tables: Dynamo, shop: Person, pump: Pump) -> None:
    assert tables
    site = shop.created.site
    settings = {"settings": {"data_retention": 31}}
    assert shop.ask("PATCH", f"/api/v0/sites/{site.id}", json_body=settings).status == 200
    wiring.accounts.cache_clear()
    old = datetime.fromtimestamp(wiring.now() - 50 * DAY, UTC).isoformat()
    count(shop, {"path": "/ages-ago", "created_at": old, "session": "a"})
    pump.settle()
    wiring.folder().sweep(site.stream)
    schedule("retain")
    schedule("retain")
    (wish,) = wiring.redactions().book(site.stream).waiting
    pump.settle()
    assert [done.id for done in wiring.redactions().book(site.stream).done] == [wish.id]


def test_a_deleted_site_is_purged_within_a_day_with_everything(
    tables: Dynamo, world: World, shop: Person, pump: Pump, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its log, figures, bots, exports and bodies, then the site itself; late messages are dropped."""
    site = shop.created.site
    monkeypatch.setattr(queues, "LARGEST", 300)
    count(shop, *({"path": f"/confidential/{i}", "session": f"p{i}"} for i in range(20)))
    pump.settle()
    wiring.folder().sweep(site.stream)
    shop.post("/api/v0/export", json_body={})
    pump.settle()
    count(shop, {"path": "/confidential/late", "session": "p"})
    wiring.accounts().delete_site(site.account, site.id)
    schedule("purge_sites")
    pump.settle()
    schedule("purge_sites")
    later(monkeypatch, STALE + 1)
    wiring.redactions().tend(site.stream)
    pump.settle()
    assert not holds(tables, world, "confidential")
    assert not holds(tables, world, f"bodies/{site.stream}/")
    assert [found.id for found in wiring.accounts().deleted_sites()] == [site.id]
    schedule("purge_sites")
    assert list(wiring.accounts().deleted_sites()) == []
    assert wiring.redactions().book(site.stream).version == 0
    assert not any(wiring.rollups().stored(site.stream))
    assert [item.number for item in wiring.log().read(site.stream, 0)][:1] == [1]


def test_what_is_no_request_is_parked_and_an_outage_comes_again(
    world: World, shop: Person, pump: Pump, monkeypatch: pytest.MonkeyPatch
) -> None:
    sqs = world.client("sqs")
    sqs.send_message(QueueUrl=world.environment["COUNTLESS_REDACTIONS_QUEUE"], MessageBody="{}")
    pump.settle()
    assert world.drain("COUNTLESS_PARKED_REDACTIONS_QUEUE") == ["{}"]
    stream = shop.created.site.stream
    record = {
        "messageId": "1",
        "receiptHandle": "r",
        "body": json.dumps({"stream": stream}),
        "attributes": {},
        "eventSourceARN": "arn:aws:sqs:::redactions",
    }
    postponed: list[int] = []
    monkeypatch.setattr(wiring, "postpone", lambda _queue, _record, seconds: postponed.append(seconds))
    monkeypatch.setattr(wiring, "redactor", lambda: SimpleNamespace(work=_fails))
    context = SimpleNamespace(function_name="redact", get_remaining_time_in_millis=lambda: 100_000)
    answer = module.redact({"Records": [record]}, context)
    assert answer == {"batchItemFailures": [{"itemIdentifier": "1"}]}
    assert postponed == [60]


def test_a_counted_message_whose_body_was_deleted_is_done_when_it_comes_again(
    tables: Dynamo, world: World, shop: Person, pump: Pump, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a redaction, and after the end of its site; one that was never counted is parked."""
    assert tables
    monkeypatch.setattr(queues, "LARGEST", 300)
    stream = shop.created.site.stream
    sent: list[str] = []
    real = queues.SqsIngest._send

    def send(self: queues.SqsIngest, message: Message, body: str) -> None:
        sent.append(body)
        real(self, message, body)

    monkeypatch.setattr(queues.SqsIngest, "_send", send)
    count(shop, *({"path": f"/{i}", "session": f"p{i}"} for i in range(20)), {"path": "/secret", "session": "p"})
    pump.settle()
    path = next(p.id for p in wiring.reports().paths(stream, 0, 99)[0] if p.path == "/secret")
    wiring.redactions().begin(stream, Act.PURGE, paths=(path,))
    pump.settle()
    assert not holds(tables, world, queues.BODIES)
    again(world, *sent)
    pump.settle()
    wiring.forget()
    again(world, *sent)
    pump.settle()
    wiring.redactions().begin(stream, Act.SEAL)
    pump.settle()
    unknown = f"{queues.POINTER}{queues.BODIES}{stream}/{int(wiring.now())}-00000000000000ff"
    again(world, *sent, unknown)
    pump.settle()
    assert world.drain("COUNTLESS_PARKED_QUEUE") == []
    other = settle(shop.front).created.site.stream
    strays = [unknown.replace(stream, other), f"{queues.POINTER}{queues.BODIES}nothing"]
    again(world, *strays)
    pump.settle()
    assert sorted(world.drain("COUNTLESS_PARKED_QUEUE")) == sorted(strays)


def again(world: World, *bodies: str) -> None:
    for body in bodies:
        world.client("sqs").send_message(QueueUrl=world.environment["COUNTLESS_INGEST_QUEUE"], MessageBody=body)


def _fails(stream: str, remaining: Any) -> None:
    assert stream
    assert remaining() == 100
    raise NotFound("nothing answers")
