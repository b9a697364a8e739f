"""What the append functions do with a batch in which some messages cannot be taken in."""

import secrets
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ConnectTimeoutError

from chalicelib import wiring
from chalicelib.aws.accounts import Created
from chalicelib.aws.log import DynamoLog
from chalicelib.aws.queues import SqsIngest
from chalicelib.core.audit import audit
from chalicelib.core.events import Hit
from chalicelib.core.messages import Message
from chalicelib.functions.append import append, append_imports
from tests.conftest import World


def message(owner: Created, path: Any) -> str:
    """A message of one hit, as it lies in the queue."""
    now = int(wiring.now())
    hit = Hit(path, "", False, "", "o", "", "", "", "", "", 0, now, 0, 0)
    return Message(secrets.randbits(63), now, owner.site.stream, derived=False, hits=(hit,)).encode()


def deliver(handler: Any, bodies: list[str], groups: list[str] | None = None) -> list[int]:
    """Hands over a batch; which of its messages, by position, have to come again."""
    records = [
        {
            "messageId": str(number),
            "body": body,
            "attributes": {"MessageGroupId": groups[number]} if groups else {},
            "eventSourceARN": "arn:aws:sqs:::queue",
        }
        for number, body in enumerate(bodies)
    ]
    answer = handler({"Records": records}, SimpleNamespace(function_name="append"))
    return [int(failure["itemIdentifier"]) for failure in answer["batchItemFailures"]]


def counted(owner: Created) -> list[str]:
    """The site's paths, in the order in which they were first seen."""
    found, _ = wiring.reports().paths(owner.site.stream, 0, 100)
    return [path.path for path in found]


@pytest.mark.parametrize("path", [None, 1, ["/a"], {}])
def test_a_malformed_message_keeps_no_other_from_being_counted(world: World, owner: Created, path: Any) -> None:
    """It alone is parked, at once; those before and behind it are counted."""
    bodies = [message(owner, "/a"), message(owner, path), message(owner, "/b")]
    world.drain("COUNTLESS_PARKED_QUEUE")
    assert deliver(append, bodies) == []
    assert counted(owner) == ["/a", "/b"]
    assert world.drain("COUNTLESS_PARKED_QUEUE") == [bodies[1]]
    assert audit(wiring.log(), wiring.rollups(), owner.site.stream).events == 2


def test_when_the_log_does_not_answer_the_batch_is_tried_once(owner: Created, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of it comes again: to ask for each message by itself would only take longer."""
    calls: list[int] = []

    def refuse(_: DynamoLog, __: str, number: int, *___: Any) -> None:
        calls.append(number)
        raise ConnectTimeoutError(endpoint_url="https://dynamodb")

    monkeypatch.setattr(DynamoLog, "put", refuse)
    assert deliver(append, [message(owner, f"/{n}") for n in range(5)]) == [0, 1, 2, 3, 4]
    assert calls == [1]


def test_imports_do_not_overtake_one_that_cannot_be_opened_now(owner: Created, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of its group wait with it; other groups, and the queue without an order, do not."""
    opened = SqsIngest.open

    def fail_once(ingest: SqsIngest, body: str) -> Message:
        if body == "s3:later":
            raise ConnectTimeoutError(endpoint_url="https://s3")
        return opened(ingest, body)

    monkeypatch.setattr(SqsIngest, "open", fail_once)
    bodies = [message(owner, "/a"), "s3:later", message(owner, "/b"), message(owner, "/c")]
    assert deliver(append_imports, bodies, ["one", "one", "one", "two"]) == [1, 2]
    assert counted(owner) == ["/a", "/c"]
    assert deliver(append, bodies) == [1]
    assert counted(owner) == ["/a", "/c", "/b"]


def test_garbage_among_imports_holds_nobody_up(owner: Created) -> None:
    """It is parked at once: nothing that comes again would be overtaken."""
    bodies = [message(owner, "/a"), "garbage", message(owner, "/b")]
    assert deliver(append_imports, bodies, ["one"] * 3) == []
    assert counted(owner) == ["/a", "/b"]
