"""An export of statistics from the request to the file that a client loads over HTTP."""

import csv
import gzip
import hashlib
import time
from collections.abc import Iterator
from decimal import Decimal
from io import StringIO
from typing import Any
from urllib.request import urlopen

import pytest

from chalicelib import wiring
from chalicelib.aws.accounts import Created
from chalicelib.aws.statistics import Statistics
from chalicelib.core import exports
from chalicelib.core.accounts import Scope
from chalicelib.core.errors import NotFound, Unauthenticated, Unavailable
from chalicelib.core.exports import Job, State
from chalicelib.core.statistics import Method, Rows, Update
from infrastructure.local.pump import Pump
from tests.conftest import World

NAMES = (("Plain", "sent"), ('Quotes, "commas"', "größer ≥ 1"), ("Plain", "opened"))


@pytest.fixture
def scope(owner: Created) -> Scope:
    """A domain with three statistics in two groups, over a turn of the year."""
    found = owner.statistics.scope
    for group, name in NAMES:
        for number, day in enumerate(("2025-12-31", "2026-01-01", "2026-01-02")):
            wiring.statistics().update(found, Update(group, name, Method.SET, Decimal(number) / 8, day))
    return found


def begin(scope: Scope, **parameters: str) -> Job:
    wanted = {"domain": scope.domain, **parameters}
    return wiring.exports().begin(scope.account, "statistics", "countless-größe.csv.gz", wanted, wiring.now())


def test_a_link_gives_the_file_to_whoever_has_it(scope: Scope, pump: Pump, bucket: None) -> None:
    """Compressed, under its name, and with the hash that the job tells."""
    del bucket
    asked = begin(scope)
    pump.settle()
    job = wiring.exports().job(scope.account, asked.id)
    assert (job.state, job.rows) == (State.FINISHED, 9)
    with urlopen(wiring.exports().download(job)) as answer:
        data = answer.read()
        assert answer.headers["content-type"] == "application/gzip"
        assert answer.headers["content-disposition"].endswith("filename*=UTF-8''countless-gr%C3%B6%C3%9Fe.csv.gz")
        assert answer.headers["content-encoding"] is None
    assert hashlib.sha256(data).hexdigest() == job.sha256
    assert wiring.exports().read(job) == data
    header, *rows = csv.reader(StringIO(gzip.decompress(data).decode(), newline=""))
    assert header == ["group_id", "group", "statistic_id", "statistic", "reference_date", "value"]
    assert {(row[1], row[3]) for row in rows} == set(NAMES)
    assert [row[4:] for row in rows[:3]] == [["2025-12-31", "0"], ["2026-01-01", "0.125"], ["2026-01-02", "0.25"]]
    assert rows == sorted(rows, key=lambda row: (row[0], row[2], row[4]))


def test_an_export_of_a_group_has_its_rows_alone(scope: Scope, pump: Pump) -> None:
    """As the whole domain's has them."""
    group = wiring.statistics().group(scope, "Plain")
    whole, part = begin(scope), begin(scope, group=group.id, name=group.name)
    pump.settle()
    ask = wiring.exports()
    texts = [gzip.decompress(ask.read(ask.job(scope.account, job.id))).decode() for job in (whole, part)]
    assert [line for line in texts[0].splitlines() if not line.startswith("grp_") or group.id in line] == (
        texts[1].splitlines()
    )
    assert len(texts[1].splitlines()) == 7


def test_what_is_deleted_before_it_is_exported_fails_the_export(scope: Scope, pump: Pump) -> None:
    """In words for users; the request lands in the dead-letter queue."""
    group = wiring.statistics().group(scope, "Plain")
    job = begin(scope, group=group.id)
    wiring.statistics().delete_group(scope, group.id)
    pump.settle()
    found = wiring.exports().job(scope.account, job.id)
    assert (found.state, found.error, found.parked) == (State.FAILED, exports.GONE, True)


def test_what_is_deleted_while_it_is_read_fails_the_export(scope: Scope) -> None:
    """Its values are removed soon, and a part of them is no export."""
    group = wiring.statistics().group(scope, "Plain")
    months = wiring.statistics().rows(scope, group.id)
    next(months)
    wiring.statistics().delete_group(scope, group.id)
    with pytest.raises(NotFound):
        list(months)
    months = wiring.statistics().rows(scope)
    next(months)
    wiring.domains().delete(scope)
    with pytest.raises(Unauthenticated):
        list(months)


def test_what_fails_for_now_is_tried_again_in_a_minute_and_then_later(
    scope: Scope, pump: Pump, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not in half an hour, as if the function had died."""
    pauses: list[int] = []

    def failing(*_: Any) -> Iterator[Rows]:
        raise Unavailable("DynamoDB")

    with monkeypatch.context() as patch:
        patch.setattr(Statistics, "rows", failing)
        patch.setattr(wiring, "postpone", lambda _queue, _record, seconds: pauses.append(seconds))
        job = wiring.exports().begin(scope.account, "statistics", "file", {"domain": scope.domain}, wiring.now())
        for _ in range(3):
            pump.deliver("export")
            time.sleep(1.1)  # as long as the queue hides a message here
    assert pauses == [60, 120, 240]
    pump.settle()
    assert wiring.exports().job(scope.account, job.id).state is State.FINISHED


def test_a_postponed_message_comes_again_when_it_was_told_to(world: World) -> None:
    sqs, queue = world.client("sqs"), world.environment["COUNTLESS_EXPORTS_QUEUE"]
    world.drain("COUNTLESS_EXPORTS_QUEUE")
    sqs.send_message(QueueUrl=queue, MessageBody="again")
    (message,) = sqs.receive_message(QueueUrl=queue, VisibilityTimeout=1800)["Messages"]
    wiring.postpone(queue, {"receiptHandle": message["ReceiptHandle"]}, 0)
    assert world.drain("COUNTLESS_EXPORTS_QUEUE") == ["again"]
