"""What becomes of deleted groups, statistics and domains: gone from answers at once, and from storage in the end."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError
from chalice.app import Chalice

from chalicelib import wiring
from chalicelib.aws import calls, clients
from chalicelib.aws.accounts import Created
from chalicelib.aws.removals import GRACE
from chalicelib.core.accounts import Scope
from chalicelib.core.errors import NotFound, Unauthenticated
from chalicelib.core.exports import State
from chalicelib.core.statistics import Method, Once, Update
from chalicelib.functions.remove import remove
from chalicelib.functions.schedules import ask_removals
from infrastructure.local import schedules
from infrastructure.local.pump import Pump
from tests.conftest import World

ONCE = "k" * 64


@pytest.fixture
def scope(owner: Created) -> Scope:
    """A domain with two groups, their statistics, and a record of an idempotency key."""
    found = owner.statistics.scope
    for group in ("Kept", "Gone"):
        for statistic in ("a", "b"):
            for day in ("2025-12-31", "2026-01-01", "2026-01-02"):
                wiring.statistics().update(found, Update(group, statistic, Method.SET, Decimal(7), day))
    wiring.statistics().update(found, Update("Gone", "a", Method.SET, Decimal(7), "2026-01-03"), Once(ONCE, "r"))
    return found


@pytest.fixture
def stored(world: World) -> Callable[[str], list[str]]:
    """Gives partition and sort key of every item of statistics that has a text anywhere in it."""

    def find(text: str) -> list[str]:
        items = world.tables.items(wiring.settings().statistics_table)
        return [f"{item['pk']['S']} {item['sk']['S']}" for item in items if text in str(item)]

    return find


def run(scope: Scope, target: str, left: float = 300.0) -> bool:
    """Delivers the message of a removal; whether it was taken."""
    body = json.dumps({"account": scope.account, "domain": scope.domain, "target": target})
    record = {"messageId": "1", "body": body, "attributes": {}, "eventSourceARN": "arn:aws:sqs:::removals"}
    context = SimpleNamespace(function_name="remove", get_remaining_time_in_millis=lambda: left * 1000)
    answer = remove({"Records": [record]}, context)
    return not answer["batchItemFailures"]


def test_what_is_deleted_is_gone_from_all_answers_at_once(scope: Scope) -> None:
    """Lists, exports and names, before anything is removed; what stays is as it was."""
    store = wiring.statistics()
    before = store.statistic(scope, "Kept", "a"), store.group(scope, "Kept")
    number = store.statistic(scope, "Gone", "a").id
    gone = store.delete_group(scope, "Gone")
    assert [group.name for group in store.groups(scope, 10).entries] == ["Kept"]
    assert {found.group for found in store.statistics(scope, 10).entries} == {"Kept"}
    assert len(list(store.rows(scope))) == 4
    for group, statistic in (("Gone", "a"), (gone.id, "a"), ("", number), ("Kept", number)):
        with pytest.raises(NotFound):
            store.statistic(scope, group, statistic)
    assert (store.statistic(scope, "Kept", "a"), store.group(scope, "Kept")) == before


def test_a_removal_waits_until_nobody_can_be_writing_any_more(
    scope: Scope, monkeypatch: pytest.MonkeyPatch, world: World, stored: Callable[[str], list[str]]
) -> None:
    """An update that found the group before it was deleted meets all of its values; a minute later none is left."""
    store = wiring.statistics()
    gone = store.delete_group(scope, "Gone")
    part = gone.id.removeprefix("grp_")
    world.drain("COUNTLESS_REMOVALS_QUEUE")
    assert run(scope, gone.id)  # too early: it asks again
    assert len(stored(part)) > 8
    now = wiring.now()
    monkeypatch.setattr(wiring, "now", lambda: now + GRACE + 1)
    assert run(scope, gone.id)
    # What the idempotency key answers is kept for its day, and goes by its time to live.
    assert [key for key in stored(part) if "/once " not in key] == []
    assert wiring.removals().find(scope, gone.id) is None
    assert len(store.statistic(scope, "Kept", "a").values or ()) == 3


def test_the_exports_of_a_deleted_group_are_removed_with_it(
    scope: Scope, pump: Pump, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of other groups, and of the domain as it was, stay for their day."""
    store, found = wiring.statistics(), wiring.exports()
    jobs = {}
    for name in ("Gone", "Kept"):
        parameters = {"domain": scope.domain, "group": store.group(scope, name).id}
        jobs[name] = found.begin(scope.account, "statistics", "file", parameters, wiring.now())
    pump.settle()
    gone = store.delete_group(scope, "Gone")
    now = wiring.now()
    monkeypatch.setattr(wiring, "now", lambda: now + GRACE + 1)
    assert run(scope, gone.id)
    states = {name: found.job(scope.account, job.id).state for name, job in jobs.items()}
    assert states == {"Gone": State.EXPIRED, "Kept": State.FINISHED}


@pytest.mark.parametrize("calls_made", [0, 1, 2])
def test_a_removal_that_dies_half_way_is_finished_by_the_next(
    scope: Scope, calls_made: int, monkeypatch: pytest.MonkeyPatch, stored: Callable[[str], list[str]]
) -> None:
    gone = wiring.statistics().delete_group(scope, "Gone")
    now, part = wiring.now(), gone.id.removeprefix("grp_")
    monkeypatch.setattr(wiring, "now", lambda: now + GRACE + 1)
    whole, made = calls.delete, 0

    def dying(*arguments: Any) -> None:
        nonlocal made
        if made == calls_made:
            raise RuntimeError("killed")
        made += 1
        whole(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(calls, "delete", dying)
        assert not run(scope, gone.id)
    assert wiring.removals().find(scope, gone.id) is not None
    assert run(scope, gone.id)
    assert [key for key in stored(part) if "/once " not in key] == []


def test_a_purged_statistic_is_removed_and_its_namesake_starts_anew(
    scope: Scope, monkeypatch: pytest.MonkeyPatch, stored: Callable[[str], list[str]]
) -> None:
    store = wiring.statistics()
    gone = store.purge(scope, "Kept", "a")
    assert store.group(scope, "Kept").statistics == 1
    again = store.update(scope, Update("Kept", "a", Method.INCREMENT, Decimal(0), "2026-01-01"))
    assert again.id != gone.id
    assert again.shown is not None
    assert again.shown.value == 1
    now = wiring.now()
    monkeypatch.setattr(wiring, "now", lambda: now + GRACE + 1)
    assert run(scope, gone.id)
    assert stored(gone.id) == []
    assert len(store.statistic(scope, "Kept", "a").values or ()) == 1


def test_of_a_deleted_domain_nothing_is_left_and_its_keys_are_revoked(
    owner: Created, scope: Scope, pump: Pump, monkeypatch: pytest.MonkeyPatch, stored: Callable[[str], list[str]]
) -> None:
    job = wiring.exports().begin(scope.account, "statistics", "file", {"domain": scope.domain}, wiring.now())
    pump.settle()
    assert wiring.exports().job(scope.account, job.id).state is State.FINISHED
    wiring.domains().delete(scope)
    with pytest.raises(Unauthenticated):
        wiring.statistics().groups(scope, 10)
    now = wiring.now()
    monkeypatch.setattr(wiring, "now", lambda: now + GRACE + 1)
    assert run(scope, scope.domain)
    assert stored(scope.domain) == []
    assert wiring.exports().job(scope.account, job.id).state is State.EXPIRED
    assert clients.s3().list_objects_v2(Bucket=wiring.settings().bucket, Prefix=job.key)["KeyCount"] == 0
    (key,) = wiring.accounts().keys(owner.account.id)
    assert (key.domain, key.revoked) == ("", False)  # it opens the account's site as before


def test_a_removal_without_time_goes_on_with_another_message(
    scope: Scope, monkeypatch: pytest.MonkeyPatch, world: World
) -> None:
    for number in range(30):
        day = f"{1990 + number}-01-01"
        wiring.statistics().update(scope, Update("Gone", "a", Method.SET, Decimal(7), day))
    gone = wiring.statistics().delete_group(scope, "Gone")
    now = wiring.now()
    monkeypatch.setattr(wiring, "now", lambda: now + GRACE + 1)
    world.drain("COUNTLESS_REMOVALS_QUEUE")
    assert run(scope, gone.id, left=1.0)
    assert wiring.removals().find(scope, gone.id) is not None
    (body,) = world.drain("COUNTLESS_REMOVALS_QUEUE")
    assert json.loads(body)["target"] == gone.id


def test_a_removal_whose_message_was_lost_is_asked_for_by_the_schedule(
    scope: Scope, monkeypatch: pytest.MonkeyPatch, world: World, app: Chalice
) -> None:
    """Also if the queue refused it: the delete itself does not fail."""
    assert app
    sqs = clients.sqs()
    with monkeypatch.context() as patch:

        def refusing(**_: Any) -> None:
            raise ClientError({"Error": {"Code": "ServiceUnavailable", "Message": ""}}, "SendMessage")

        patch.setattr(sqs, "send_message", refusing)
        gone = wiring.statistics().delete_group(scope, "Gone")
        wiring.removals().ask(scope, gone.id)
    with pytest.raises(NotFound):
        wiring.statistics().group(scope, "Gone")
    world.drain("COUNTLESS_REMOVALS_QUEUE")
    event = schedules.event("ask_removals", datetime.now(UTC))
    ask_removals(event, SimpleNamespace(function_name="ask_removals"))
    assert gone.id not in str(world.drain("COUNTLESS_REMOVALS_QUEUE"))  # not due yet
    now = wiring.now()
    monkeypatch.setattr(wiring, "now", lambda: now + GRACE + 1)
    ask_removals(event, SimpleNamespace(function_name="ask_removals"))
    assert gone.id in str(world.drain("COUNTLESS_REMOVALS_QUEUE"))


@pytest.mark.usefixtures("tables")
def test_deleting_100_000_values_takes_a_request_no_longer_than_deleting_one(scope: Scope) -> None:
    """Two calls: what is to go is found, and one transaction deletes it."""
    found = wiring.statistics().statistic(scope, "Gone", "a")
    table = wiring.settings().statistics_table
    items = [
        {
            "pk": {"S": f"{scope.account}/{scope.domain}/values"},
            "sk": {"S": f"{found.id}#{1000 + number // 12}-{number % 12 + 1:02}"},
            **{f"d{day:02}": {"N": "1"} for day in range(1, 32)},
            "u": {"N": "1"},
        }
        for number in range(3300)
    ]
    for start in range(0, len(items), 25):
        requests = [{"PutRequest": {"Item": item}} for item in items[start : start + 25]]
        clients.dynamodb().batch_write_item(RequestItems={table: requests})  # type: ignore[dict-item]
    made: list[str] = []
    events = clients.dynamodb().meta.events
    events.register("before-call.dynamodb", lambda model, **_: made.append(model.name), unique_id="counted")
    try:
        wiring.statistics().delete_group(scope, "Gone")
    finally:
        events.unregister("before-call.dynamodb", unique_id="counted")
    assert made == ["BatchGetItem", "TransactWriteItems"]
