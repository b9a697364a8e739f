"""Batches that take longer than the function may run: each receive makes progress, whatever the batch is made of."""

import json
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count
from types import SimpleNamespace
from typing import Any

import pytest

from chalicelib import wiring
from chalicelib.aws import clients, sending
from chalicelib.aws.log import DynamoLog
from chalicelib.aws.queues import SqsIngest
from chalicelib.core.audit import audit
from chalicelib.core.events import Hit
from chalicelib.core.folding import Folder
from chalicelib.core.log import Appender, Late
from chalicelib.core.messages import Message
from chalicelib.functions import append as module
from chalicelib.functions.fold import fold
from tests.core.world import CRASH_BEFORE, START, Crash, Faults, struck
from tests.dynamo import Dynamo

_names = count(1)
PAGE = Hit("/", "", False, "", "o", "", None, None, "", "", 0, START, 1, 0)
pytestmark = pytest.mark.usefixtures("world")
TIMEOUT = 60.0
CALL = 0.006
"""Seconds that a call of DynamoDB takes here."""
PARKED = 20
"""So often the queues deliver a message (`infrastructure/storage.py`)."""


@dataclass
class Sqs:
    """A queue of messages: it gives a batch, and counts how often it gave each."""

    bodies: dict[str, str]
    received: dict[str, int] = field(default_factory=dict)
    shown: set[str] = field(default_factory=set)

    def batch(self) -> list[dict[str, Any]]:
        for name in self.bodies:
            self.received[name] = self.received.get(name, 0) + 1
        return [
            {"messageId": name, "body": body, "attributes": {"ApproximateReceiveCount": str(self.received[name])}}
            for name, body in self.bodies.items()
        ]

    def show(self, _: str, records: Sequence[dict[str, Any]]) -> None:
        self.shown |= {record["messageId"] for record in records}

    def renew(self, _: str, records: Sequence[dict[str, Any]]) -> list[int]:
        for record in records:
            self.bodies[f"again-{next(_names)}"] = record["body"]
        return []

    def settle(self, answer: dict[str, list[dict[str, str]]]) -> int:
        """Takes out what is acknowledged; how many messages that were."""
        kept = {failure["itemIdentifier"] for failure in answer["batchItemFailures"]}
        gone = self.received.keys() & self.bodies.keys() - kept
        for name in gone:
            del self.bodies[name]
        return len(gone)


def sites(number: int, *, folded: bool = True) -> list[str]:
    """New streams with one page view each."""
    found = [f"acc/pageviews/time{next(_names)}" for _ in range(number)]
    appender = Appender(wiring.log(), wiring.rollups(), SimpleNamespace(ask=lambda *_: None), now=lambda: START)
    for at, stream in enumerate(found if folded else []):
        appender.append(stream, [Message(at + 1, START, stream, False, (PAGE,))])
        Folder(wiring.log(), wiring.rollups(), now=lambda: START).fold(stream)
    return found


def queue(streams: Sequence[str]) -> Sqs:
    later = START + 600
    messages = [Message(10**6 + at, later, stream, False, (PAGE,)) for at, stream in enumerate(streams)]
    return Sqs({str(at): message.encode() for at, message in enumerate(messages)})


def cold(patch: pytest.MonkeyPatch, sqs: Sqs) -> None:
    """A new process, ten minutes later."""
    folds = SimpleNamespace(ask=lambda *_: None)
    appender = Appender(wiring.log(), wiring.rollups(), folds, now=lambda: START + 600.0, sleep=lambda _: None)
    patch.setattr(wiring, "_threads", [SimpleNamespace(appender=appender)])
    patch.setattr(wiring, "now", lambda: START + 600.0)
    patch.setattr(wiring, "show", sqs.show)
    patch.setattr(wiring, "renew", sqs.renew)


def context(aws: Dynamo, seconds: float = CALL) -> SimpleNamespace:
    """A function's context whose time passes by its calls of DynamoDB, eight at once."""
    begun = aws.bill.calls.total()

    def left() -> float:
        return (TIMEOUT - (aws.bill.calls.total() - begun) * seconds / module.WORKERS) * 1000

    return SimpleNamespace(function_name="append", get_remaining_time_in_millis=left)


def counted(streams: Sequence[str]) -> int:
    """How many page views their logs hold, which their audits find in order."""
    for stream in streams[:: len(streams) // 5]:
        assert not audit(wiring.log(), wiring.rollups(), stream, now=lambda: START + 600).differences
    return sum(len(wiring.log().read(stream, 0)) for stream in streams)


def _all_in(patch: pytest.MonkeyPatch, number: int, seconds: float) -> list[int]:
    """How many messages each receive acknowledged, until all that wait for so many cold sites are in."""
    with struck(Faults(enabled=False, aws=(aws := Dynamo()))):
        streams = sites(number)
        sqs = queue(streams)
        progress = []
        while sqs.bodies:
            cold(patch, sqs)
            answer = module.append({"Records": sqs.batch()}, context(aws, seconds))
            progress.append(sqs.settle(answer))
            assert progress[-1], "a receive without progress"
            assert max(sqs.received.values()) < PARKED, "a message is parked for being slow"
        assert counted(streams) == 2 * number
    return progress


def test_a_batch_that_takes_longer_than_the_function_runs_is_in_after_some_receives(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What there was no time for is handed back, and most of it is in each time."""
    progress = _all_in(monkeypatch, 40, 7.0)
    assert 2 <= len(progress) <= 5


def test_what_is_slow_is_sent_anew_before_it_would_be_parked(monkeypatch: pytest.MonkeyPatch) -> None:
    """When DynamoDB is so slow that a receive ends one site or two, a message is received more than twenty times."""
    monkeypatch.setattr(module, "WORKERS", 1)
    progress = _all_in(monkeypatch, 30, 9.0)
    assert len(progress) > PARKED / 2


@pytest.mark.prove
def test_five_thousand_messages_of_five_thousand_cold_sites_are_in_after_few_receives(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """At a function's pace, and when DynamoDB is five times as slow."""
    assert len(_all_in(monkeypatch, 5000, CALL)) == 1
    assert len(_all_in(monkeypatch, 5000, 5 * CALL)) <= 3


def test_bodies_that_take_long_to_come_do_not_keep_those_that_came_from_being_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In time they are appended, and the others handed back unopened."""
    opened: list[int] = []
    really = SqsIngest.open

    def slowly(ingest: SqsIngest, body: str) -> Message:
        opened.append(1)
        return really(ingest, body)

    with struck(Faults(enabled=False, aws=Dynamo())):
        streams = sites(40, folded=False)
        sqs = queue(streams)
        cold(monkeypatch, sqs)
        monkeypatch.setattr(SqsIngest, "open", slowly)
        bucket = SimpleNamespace(
            function_name="append", get_remaining_time_in_millis=lambda: (TIMEOUT - 2 * len(opened)) * 1000
        )
        answer = module.append({"Records": sqs.batch()}, bucket)
        assert 16 <= sqs.settle(answer) <= 24
        assert len(opened) <= 24


def test_a_cold_site_costs_two_calls_and_a_share_of_those_that_serve_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """One reads the end of its log, one writes; manifests and parts are read for many sites together."""
    with struck(Faults(enabled=False, aws=(aws := Dynamo()))):
        streams = sites(40)
        sqs = queue(streams)
        cold(monkeypatch, sqs)
        before = aws.bill.calls.total()
        assert module.append({"Records": sqs.batch()}, context(aws)) == {"batchItemFailures": []}
        assert aws.bill.calls.total() - before <= 2 * len(streams) + 2 * module.WORKERS
        assert counted(streams) == 2 * len(streams)


def test_a_function_that_is_killed_over_and_over_makes_progress_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is in the log already costs less to recognise than to write."""
    with struck(faults := Faults(aws=Dynamo())):
        faults.enabled = False
        streams = sites(40)
        sqs = queue(streams)
        for _receive in range(4):
            cold(monkeypatch, sqs)
            faults.enabled, faults.plan, faults._calls = True, [(65, CRASH_BEFORE, False)], 0
            try:
                sqs.settle(module.append({"Records": sqs.batch()}, context(Dynamo())))
            except Crash:
                continue
            break
        faults.enabled = False
        assert not sqs.bodies
        assert counted(streams) == 2 * len(streams)


def test_imports_that_are_handed_back_are_not_overtaken_by_those_behind_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even by those that are unpacked later, nor are they sent anew, which would put them behind."""
    monkeypatch.setattr(module, "AT_ONCE", 1)
    monkeypatch.setattr(module, "WORKERS", 1)
    with struck(Faults(enabled=False, aws=(aws := Dynamo()))):
        streams = sites(3, folded=False)
        sqs = Sqs({})
        cold(monkeypatch, sqs)
        records = []
        for number in range(9):
            stream = streams[number % 3]
            message = Message(number + 1, START + number, stream, False, (PAGE._replace(path=f"/{number}"),))
            attributes = {"MessageGroupId": stream, "ApproximateReceiveCount": "19"}
            records.append({"messageId": str(number), "body": message.encode(), "attributes": attributes})
        answer = module.append_imports({"Records": records}, context(aws, 15.0))
        back = [int(failure["itemIdentifier"]) for failure in answer["batchItemFailures"]]
        assert 0 < len(back) < 9
        assert sqs.shown == {str(number) for number in back}
        for at in range(3):
            mine = [number for number in range(at, 9, 3) if number in back]
            assert mine == list(range(at, 9, 3))[3 - len(mine) :], "the first ones are in, the last ones come again"


def test_streams_are_written_side_by_side(monkeypatch: pytest.MonkeyPatch) -> None:
    """While one waits for DynamoDB, others are written: here each waits until another is on its way."""
    both = threading.Barrier(2, timeout=30)
    put = DynamoLog.put

    def meet(log: DynamoLog, *arguments: Any) -> None:
        both.wait()
        put(log, *arguments)

    with struck(Faults(enabled=False, aws=(aws := Dynamo()))):
        streams = sites(2, folded=False)
        sqs = queue(streams)
        cold(monkeypatch, sqs)
        monkeypatch.setattr(DynamoLog, "put", meet)
        assert module.append({"Records": sqs.batch()}, context(aws)) == {"batchItemFailures": []}
        assert counted([*streams, *streams, *streams]) == 6


def _received(url: str) -> list[dict[str, Any]]:
    found: list[Any] = (
        clients.sqs()
        .receive_message(QueueUrl=url, MaxNumberOfMessages=10, MessageSystemAttributeNames=["All"])
        .get("Messages", [])
    )
    return [{"receiptHandle": message["ReceiptHandle"], "body": message["Body"], **message} for message in found]


def _handed_back(act: Callable[[str, list[dict[str, Any]]], object]) -> list[str]:
    """How often each message has been received, once a function did this to what it received, and it came again."""
    url = clients.sqs().create_queue(QueueName=f"handed-back-{next(_names)}")["QueueUrl"]
    entries = [{"MessageBody": f"{number}"} for number in range(3)]
    assert sending.send(clients.sqs(), url, entries) == []
    records = _received(url)
    assert len(records) == 3
    act(url, records)
    again = _received(url)
    assert sorted(record["Body"] for record in again) == ["0", "1", "2"]
    return [record["Attributes"]["ApproximateReceiveCount"] for record in again]


def test_what_is_handed_back_can_be_received_at_once() -> None:
    """It is the same message; the queue goes on counting."""
    assert _handed_back(wiring.show) == ["2", "2", "2"]


def test_what_is_sent_anew_counts_its_receives_from_the_start() -> None:
    """It is another message of the same contents."""
    assert _handed_back(wiring.renew) == ["1", "1", "1"]


def test_a_batch_of_folds_hands_back_what_there_is_no_time_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first one is always done."""
    with struck(Faults(enabled=False, aws=Dynamo())):
        streams = sites(3)
        records = [
            {"messageId": str(number), "body": json.dumps({"stream": stream, "sweep": True}), "attributes": {}}
            for number, stream in enumerate(streams)
        ]
        sqs = Sqs({})
        cold(monkeypatch, sqs)
        late = SimpleNamespace(function_name="fold", get_remaining_time_in_millis=lambda: 1000)
        answer = fold({"Records": records}, late)
        assert [failure["itemIdentifier"] for failure in answer["batchItemFailures"]] == ["1", "2"]
        assert sqs.shown == {"1", "2"}


def test_a_large_stream_that_waited_for_another_until_it_was_late_is_handed_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nothing of it is done, and nothing that was known is forgotten; one that did not wait goes on."""
    monkeypatch.setattr("chalicelib.core.log.LARGE", 0)
    (stream,) = sites(1)
    appender = Appender(wiring.log(), wiring.rollups(), SimpleNamespace(ask=lambda *_: None), now=lambda: float(START))
    first, second = (Message(number, START, stream, False, (PAGE,)) for number in (77_001, 77_002))
    appender.append(stream, [first], late=lambda: True)
    before = len(wiring.log().read(stream, 0))
    appender._large.acquire()
    threading.Timer(0.05, appender._large.release).start()
    with pytest.raises(Late):
        appender.append(stream, [second], late=lambda: True)
    assert len(wiring.log().read(stream, 0)) == before
    assert stream in appender._warm
    appender.append(stream, [second], late=lambda: True)
    assert len(wiring.log().read(stream, 0)) == before + 1
