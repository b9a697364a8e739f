"""Why nothing is counted: said in each answer, and added up for a site by day and reason."""

import secrets
from dataclasses import replace
from typing import Any

import pytest
from chalice.app import Chalice

from chalicelib import wiring
from chalicelib.aws.drops import KEPT, DynamoDrops
from chalicelib.aws.queues import SqsIngest
from chalicelib.core.drops import EVERY, STREAMS, Drops, Reason, Waiting
from chalicelib.core.messages import Message, decode
from chalicelib.core.periods import day_text
from infrastructure.local.pump import Pump
from tests.front import FrontDoor, Reply
from tests.people import Person, address, settle

BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
IGNORED = "192.0.2.77"
DAY = 86_400


@pytest.fixture
def person(app: Chalice, monkeypatch: pytest.MonkeyPatch) -> Person:
    """Somebody whose site ignores an address, in a process that has dropped nothing yet."""
    somebody = settle(FrontDoor(app))
    waiting = Waiting()
    monkeypatch.setattr(wiring, "waiting_drops", lambda: waiting)
    ignoring = {"settings": {"ignore_ips": IGNORED}}
    assert somebody.ask("PATCH", f"/api/v0/sites/{somebody.created.site.id}", json_body=ignoring).status == 200
    wiring.accounts.cache_clear()
    return somebody


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[Message]:
    """Messages that tell of drops alone; they still go their way."""
    messages: list[Message] = []
    tell = SqsIngest.tell

    def listening(self: SqsIngest, message: Message) -> None:
        messages.append(message)
        tell(self, message)

    monkeypatch.setattr(SqsIngest, "tell", listening)
    return messages


def look(person: Person, query: str = "p=/x", method: str = "GET", **more: Any) -> Reply:
    headers = {"user-agent": BROWSER, **more.pop("headers", {})}
    more.setdefault("client", address())
    return person.front.request(method, f"{person.prefix}/count?{query}", headers=headers, **more)


def drops(person: Person, query: str = "") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = person.get(f"/api/x/drops{query}").json()["drops"]
    return found


VIEWS: list[tuple[dict[str, Any], int, str]] = [
    ({"headers": {"user-agent": "curl/8.5.0"}}, 200, "robot"),
    ({"query": "p=/x&b=150"}, 200, "robot"),
    ({"client": IGNORED}, 202, "ignored address"),
    ({"query": "p=/x&r=https://sub.semalt.com/"}, 200, "spam"),
    ({"query": "p=/x&r=http://localhost:3000/"}, 200, "localhost"),
    ({"query": "p=/favicon.ico"}, 200, "ignored path"),
    ({"headers": {"purpose": "prefetch"}}, 200, "prefetch"),
    ({"query": "p=/x&b=100"}, 400, "invalid"),
    ({"query": "p=/x&s=wide"}, 400, "invalid"),
    ({"query": ""}, 400, "invalid"),
]
"""Views that are not counted: what is asked, the status, and why."""


@pytest.mark.parametrize("method", ["GET", "POST", "HEAD"])
def test_every_view_that_is_not_counted_says_why(person: Person, method: str) -> None:
    """To HEAD too, which is no view itself; what is counted says nothing."""
    for view, status, reason in VIEWS:
        reply = look(person, method=method, **view)
        assert (reply.status, reply.headers["x-countless"]) == (status, f"not counted: {reason}")
    assert "x-countless" not in look(person, method=method).headers


def test_views_that_are_too_many_say_so(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    now = wiring.now()
    monkeypatch.setattr(wiring, "now", lambda: now)
    same = address()
    replies = [look(person, client=same) for _ in range(5)]
    assert [reply.headers.get("x-countless", "") for reply in replies] == [""] * 4 + ["not counted: limit"]
    assert replies[4].status == 429


def test_drops_are_added_up_by_day_and_reason(person: Person, pump: Pump, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of a process that held them back come with the site's next message, whatever it is about."""
    now = wiring.now()
    monkeypatch.setattr(wiring, "now", lambda: now)
    assert drops(person) == []
    for view, _, _ in VIEWS:
        look(person, **view)
        look(person, method="HEAD", **view)
    look(person)
    pump.settle()
    rest = {"spam": 1, "localhost": 1, "ignored path": 1, "prefetch": 1, "invalid": 3}
    expected = {"robot": 2, "ignored address": 1, **rest}
    today = {"day": day_text(int(now) // DAY), "total": 10, "reasons": dict(sorted(expected.items()))}
    assert drops(person) == [today]
    assert drops(person, "?start=2020-01-01&end=2020-02-01") == []
    assert person.get("/api/v0/stats/total").json()["total"] == 1


def test_a_batch_says_which_of_its_views_are_not_counted(person: Person, pump: Pump) -> None:
    """And those that were filtered in the words that clients know; robots and the rest were silently dropped before."""
    hits = [
        {"path": "/a", "session": "x"},
        {"path": "/a", "user_agent": "curl/8.5.0", "ip": "192.0.2.1"},
        {"path": "/a", "session": "x", "ip": IGNORED},
        {"path": "/a", "session": "x", "ref": "https://semalt.com/"},
        {"path": "/b", "session": "x", "bot": 5},
        {"path": "/favicon.ico", "session": "x"},
        {"path": "", "session": "x"},
    ]
    reply = person.post("/api/v0/count", json_body={"hits": hits})
    assert list(reply.json()["errors"]) == ["6"]
    assert reply.headers["x-goatcounter-filter"] == "2"
    said = "not counted: robot: 1, 4; ignored address: 2; spam: 3; ignored path: 5"
    assert reply.headers["x-countless"] == said
    fine = person.post("/api/v0/count", json_body={"hits": hits[:1]})
    assert (fine.status, "x-countless" in fine.headers) == (202, False)
    pump.settle()
    assert drops(person)[0]["reasons"] == {"ignored address": 1, "ignored path": 1, "robot": 2, "spam": 1}


def test_a_flood_of_drops_costs_a_message_a_minute(
    person: Person, told: list[Message], pump: Pump, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first is told at once, so that whoever tries sees it; and all are told in the end."""
    now = wiring.now() // DAY * DAY
    monkeypatch.setattr(wiring, "now", lambda: now)
    for second in range(2 * EVERY + 1):
        monkeypatch.setattr(wiring, "now", lambda at=now + second: at)
        look(person, headers={"purpose": "prefetch"})
    assert [sum(count for _, _, count in message.dropped) for message in told] == [1, EVERY, EVERY]
    pump.settle()
    assert drops(person)[0]["reasons"] == {"prefetch": 2 * EVERY + 1}


def test_no_answer_waits_for_drops_to_be_told(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    """A queue that takes none costs their figures and nothing else."""
    monkeypatch.setattr(wiring, "ingest", lambda: SqsIngest(None, None, live="", imports="", bucket=""))  # type: ignore[arg-type]
    monkeypatch.setattr(SqsIngest, "tell", _unavailable)
    assert look(person, headers={"purpose": "prefetch"}).status == 200


def _unavailable(*_: object) -> None:
    from chalicelib.core.errors import Unavailable  # noqa: PLC0415 - here alone

    raise Unavailable("nobody is there")


def test_what_is_held_back_is_bounded() -> None:
    """Sites that nobody asks for any more give way."""
    waiting = Waiting()
    for number in range(STREAMS + 5):
        waiting.add(f"s{number}", Reason.SPAM, 2, 1e9)
    assert [bool(waiting.take(f"s{number}", 1e9)) for number in (0, 4, 5, STREAMS + 4)] == [False, False, True, True]


def test_a_message_keeps_its_drops_on_its_way() -> None:
    """And older ones, which know of none, are still read."""
    message = Message(1, 2, "s", derived=False, hits=(), dropped=((20_000, "spam", 3),))
    assert decode(message.encode()) == message
    assert decode(replace(message, dropped=()).encode()).dropped == ()


def test_figures_of_drops_end_by_themselves(world: object) -> None:
    """Ninety days after the day that they are of; each day is an item, and a batch of messages a write for each."""
    assert world
    stream, found = (
        f"site#{secrets.token_hex(6)}",
        Drops({(20_000, "spam"): 3, (20_000, "robot"): 1, (20_001, "spam"): 1}),
    )
    writes: list[Any] = []

    class Counting:
        def __getattr__(self, name: str) -> Any:
            writes.append(name)
            return getattr(wiring.drops()._once, name)

    figures = DynamoDrops(wiring.drops()._client, Counting(), wiring.settings().rollups_table)  # type: ignore[arg-type]
    figures.add(stream, found)
    figures.add(stream, Drops({(20_001, "spam"): 4, (20_001, "what a later version knows"): 1}))
    assert writes == ["update_item"] * 3
    assert figures.read(stream, 20_000, 20_001) == found + Drops({(20_001, "spam"): 4})
    key = {"pk": {"S": f"{stream}#drops"}, "sk": {"S": day_text(20_000)}}
    item = wiring.drops()._client.get_item(TableName=wiring.settings().rollups_table, Key=key)["Item"]
    assert int(item["expires"]["N"]) == (20_000 + KEPT) * DAY
