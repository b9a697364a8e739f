"""The jobs that walk lists, from the schedule to the last page."""

import json
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError
from chalice.app import Chalice

from chalicelib import wiring
from chalicelib.aws import clients
from chalicelib.core.walking import Stage, Walk
from chalicelib.functions import redact, schedules, walks
from infrastructure.local import schedules as local
from infrastructure.local.pump import Pump
from tests.conftest import World
from tests.dynamo import Dynamo, standing_in
from tests.front import FrontDoor
from tests.people import settle

DAY = 86400


@pytest.fixture(autouse=True)
def _deployment(quick: Chalice, world: World) -> Iterator[None]:
    """Sites of this module alone."""
    assert quick
    for queue in ("FOLD", "WALKS", "PARKED_WALKS"):
        world.drain(f"COUNTLESS_{queue}_QUEUE")
    yield
    world.drain("COUNTLESS_FOLD_QUEUE")


@pytest.fixture
def streams(front: FrontDoor) -> list[str]:
    """The sites that there are, five of them new."""
    for _ in range(5):
        settle(front)
    return [site.stream for site in wiring.accounts().all_sites()]


def run(handler: Any, name: str) -> None:
    """The schedule fires."""
    handler(local.event(name, datetime.now(UTC)), SimpleNamespace(function_name=name))


def small(patch: pytest.MonkeyPatch, page: int = 2) -> None:
    """Has pages be so small that every list is long."""

    def made(walk: Walk[Any]) -> Walk[Any]:
        return Walk(walk.keys, walk.read, walk.visit, page, walk.at_once)

    patch.setattr(walks, "WALKS", {name: lambda left, of=of: made(of(left)) for name, of in walks.WALKS.items()})


def asked(world: World) -> list[str]:
    """The streams of which sweeps were asked for."""
    return sorted(json.loads(body)["stream"] for body in world.drain("COUNTLESS_FOLD_QUEUE"))


def pages(pump: Pump) -> int:
    """Delivers the pages that wait; how many there were."""
    delivered = 0
    while pump.deliver("walk"):
        delivered += 1
    return delivered


def test_a_long_list_of_sites_is_swept_in_pages(
    streams: list[str], world: World, pump: Pump, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every site once, by messages of the queue."""
    small(monkeypatch)
    run(schedules.sweep, "sweep")
    assert asked(world) == []
    assert pages(pump) == -(-len(streams) // 2)
    assert asked(world) == sorted(streams)


def test_a_short_list_needs_no_messages(streams: list[str], world: World) -> None:
    run(schedules.sweep, "sweep")
    assert asked(world) == sorted(streams)
    assert world.drain("COUNTLESS_WALKS_QUEUE") == []


def test_a_send_that_is_refused_does_not_end_the_walk(
    streams: list[str], world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Single entries are sent again, as is a call that nobody answers."""
    sqs = clients.sqs()
    send, times = sqs.send_message_batch, [0]

    def refusing(**asked_for: Any) -> Any:
        times[0] += 1
        if times[0] == 1:
            raise ClientError({"Error": {"Code": "ServiceUnavailable", "Message": ""}}, "SendMessageBatch")
        if times[0] == 2:
            first, *rest = asked_for["Entries"]
            answer = send(**{**asked_for, "Entries": rest})
            return answer | {"Failed": [{"Id": first["Id"], "SenderFault": False, "Code": "InternalError"}]}
        return send(**asked_for)

    monkeypatch.setattr(sqs, "send_message_batch", refusing)
    run(schedules.sweep, "sweep")
    assert asked(world) == sorted(streams)


def test_sites_whose_retention_fails_stop_no_others(streams: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The walk comes to each of them twice, and to all others once; deleted sites are walked as well."""
    seen: list[str] = []

    def tend(stream: str) -> bool:
        seen.append(stream)
        if stream in streams[1:3]:
            raise RuntimeError("out of order")
        return False

    monkeypatch.setattr(wiring, "redactions", lambda: SimpleNamespace(tend=tend))
    counted: dict[str, float] = {}
    monkeypatch.setattr(walks, "count", lambda name, value=1: counted.update({name: counted.get(name, 0) + value}))
    gone = next(site for site in wiring.accounts().all_sites() if site.stream == streams[0])
    wiring.accounts().delete_site(gone.account, gone.id)
    run(redact.ask_redactions, "ask_redactions")
    assert sorted(seen) == sorted([*streams, *streams[1:3]])
    assert counted == {"WalkFailures": 2}


def test_a_site_that_no_sweep_reaches_for_two_days_is_counted(
    streams: list[str], world: World, pump: Pump, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sites that are swept are not, nor are new ones, nor those that wait for the night's."""
    counted: list[tuple[str, float]] = []
    monkeypatch.setattr(walks, "count", lambda name, value=1: counted.append((name, value)))
    now = wiring.now()
    forgotten = streams[2]
    for day in range(5):
        monkeypatch.setattr(wiring, "now", lambda day=day: now + day * DAY)
        run(schedules.sweep, "sweep")
        for body in world.drain("COUNTLESS_FOLD_QUEUE"):
            if json.loads(body)["stream"] != forgotten:
                queue = world.environment["COUNTLESS_FOLD_QUEUE"]
                words: dict[str, Any] = {"MessageGroupId": "one", "MessageDeduplicationId": f"{day}-{body}"}
                clients.sqs().send_message(QueueUrl=queue, MessageBody=body, **words)
        while pump.deliver("fold"):
            pass
    assert counted == [("SitesNotReached", value) for value in (0, 0, 0, 1, 1)]


def test_what_is_no_page_is_parked(world: World, pump: Pump) -> None:
    queue = world.environment["COUNTLESS_WALKS_QUEUE"]
    bodies = ["{}", '{"walk": "nowhere", "day": 1, "after": "", "until": null}']
    for body in bodies:
        clients.sqs().send_message(QueueUrl=queue, MessageBody=body)
    pages(pump)
    assert sorted(world.drain("COUNTLESS_PARKED_WALKS_QUEUE")) == sorted(bodies)


@pytest.mark.parametrize("name", list(walks.WALKS))
def test_every_walk_is_done_in_pages_as_well(
    name: str, streams: list[str], world: World, pump: Pump, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever its list holds; nothing is left in the queue, and nothing parked."""
    assert streams
    small(monkeypatch, 1)
    walks.begin(name, SimpleNamespace())
    pages(pump)
    assert world.drain("COUNTLESS_WALKS_QUEUE") == []
    assert world.drain("COUNTLESS_PARKED_WALKS_QUEUE") == []


class Clockwork:
    """A deployment of many sites in tables in memory, and functions whose time passes by their calls of DynamoDB."""

    def __init__(self, sites: int, aws: Dynamo, patch: pytest.MonkeyPatch) -> None:
        self.aws = aws
        self.waiting: list[Stage] = []
        self.swept: Counter[str] = Counter()
        self.asked: Counter[str] = Counter()
        self.functions = 0
        self.longest = 0.0
        self._many(sites)
        patch.setattr(wiring, "walks", lambda: SimpleNamespace(send=self.waiting.extend))
        patch.setattr(wiring, "folds", lambda: SimpleNamespace(ask_sweeps=self._sweep))
        patch.setattr(wiring, "redactions", lambda: SimpleNamespace(tend=self._tend))

    def _many(self, sites: int) -> None:
        """Writes sites as `accounts` would, at a hundredth of the cost."""
        client, table = clients.dynamodb(), wiring.settings().documents_table
        number, day = {"N": "1"}, {"N": "1767225600"}
        domain = {"kind": {"S": "domain"}, "name": {"S": "x"}, "created_at": day, "data_retention": {"N": "31"}}
        for start in range(1, sites + 1, 12):
            items: list[Any] = []
            for at in range(start, min(start + 12, sites + 1)):
                key = {"pk": {"S": f"account#many{at}"}, "sk": {"S": "domain#d"}}
                items.append({**domain, **key, "site": {"N": str(at)}, "allow_counter": {"BOOL": True}, "x": number})
                pointer = {"account": {"S": f"many{at}"}, "domain": {"S": "d"}, "kind": {"S": "taken"}}
                items.append({"pk": {"S": "sites"}, "sk": {"S": f"{at:010d}"}, **pointer})
            client.batch_write_item(RequestItems={table: [{"PutRequest": {"Item": item}} for item in items]})

    def _sweep(self, streams: list[str], _day: int) -> list[int]:
        self.swept.update(streams)
        return []

    def _tend(self, stream: str) -> bool:
        self.asked[stream] += 1
        return False

    def run(self, stage: Stage) -> None:
        begun = self.aws.bill.calls.total()

        def left() -> float:
            return (300 - (self.aws.bill.calls.total() - begun) * 0.006) * 1000

        context = SimpleNamespace(get_remaining_time_in_millis=left)
        walks._go(stage, context)
        self.functions += 1
        self.longest = max(self.longest, 300 - left() / 1000)

    def walk(self, name: str) -> None:
        self.run(Stage(name, int(wiring.now()) // DAY))
        while self.waiting:
            self.run(self.waiting.pop())


def _night(sites: int, patch: pytest.MonkeyPatch) -> None:
    with standing_in() as aws:
        wiring.forget()
        deployment = Clockwork(sites, aws, patch)
        before = aws.bill.calls.total()
        for name in ("sweep", "retain", "ask_redactions"):
            deployment.walk(name)
        assert len(deployment.swept) == len(deployment.asked) == sites
        assert set(deployment.swept.values()) == set(deployment.asked.values()) == {1}
        assert deployment.functions == 3 * (1 + -(-sites // 500))
        assert deployment.longest < 30
        assert aws.bill.calls.total() - before < 1.2 * sites
    wiring.forget()


def test_a_nights_jobs_reach_all_of_many_sites_in_functions_that_end_long_before_their_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A call a site where its manifest has to be looked at; all else is read and written for many at once."""
    _night(520, monkeypatch)


@pytest.mark.prove
def test_a_nights_jobs_reach_fifty_thousand_sites(monkeypatch: pytest.MonkeyPatch) -> None:
    _night(50_000, monkeypatch)
