"""A request is answered before API Gateway gives up on it, whatever DynamoDB does; what is none takes its time."""

import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Thread
from typing import Any, BinaryIO

import pytest
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from chalice.app import Chalice

from chalicelib import wiring
from chalicelib.aws import calls, clients
from chalicelib.core import deadlines
from chalicelib.core.errors import Unavailable
from tests.dynamo import Dynamo, routed
from tests.front import FrontDoor, Reply
from tests.people import Person, settle

GATEWAY = 29.0
"""Seconds that API Gateway waits."""
SLACK = 12.0
"""Seconds that a busy machine may take besides; where connections hang, a request without a deadline takes 28."""
SLOW = 0.1
"""Seconds that a slow answer takes."""
KINDS = ("hangs", "refuses", "throttles", "fails", "is slow")


class Endpoint:
    """Stands in DynamoDB's place: a socket on loopback that behaves badly, or DynamoDB until `bad` says otherwise."""

    def __init__(self, dynamo: Dynamo) -> None:
        self.dynamo = dynamo
        self.bad = ""
        self.then = ""
        """How it behaves from the second call on, if otherwise."""
        self.asked = 0
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        Thread(target=self._serve, daemon=True).start()

    def __call__(self, request: AWSPreparedRequest, **_: Any) -> AWSResponse | None:
        if not self.bad:
            return self.dynamo(request)
        self.asked += 1
        if self.asked > 1 and self.then:
            self.bad = self.then
        if self.bad == "is slow":
            time.sleep(SLOW)
            return self.dynamo(request)
        if self.bad == "refuses":
            request.url = "http://127.0.0.1:9"
        return None  # it goes to the socket

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as sent, suppress(OSError):  # whoever asks may have gone
            while _request(sent):
                status, kind = {"throttles": (400, "ThrottlingException"), "fails": (500, "InternalServerError")}.get(
                    self.bad, (0, "")
                )
                if not status:
                    continue  # it hangs
                body = json.dumps({"__type": f"com.amazonaws.dynamodb.v20120810#{kind}", "message": "no"}).encode()
                head = (
                    f"HTTP/1.1 {status} No\r\nContent-Type: application/x-amz-json-1.0\r\nContent-Length: {len(body)}"
                )
                connection.sendall(f"{head}\r\n\r\n".encode() + body)

    def close(self) -> None:
        self.bad = ""
        self._listening.close()


def _request(sent: BinaryIO) -> bool:
    """Reads a request to its end; False if none comes any more. Its body may come after its head, and an answer to each
    would leave one for the next request.
    """
    length = 0
    if not sent.readline():
        return False
    while line := sent.readline().strip():
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    sent.read(length)
    return True


@contextmanager
def _standing(patch: pytest.MonkeyPatch) -> Iterator[Endpoint]:
    endpoint = Endpoint(Dynamo())
    patch.setenv("AWS_ENDPOINT_URL_DYNAMODB", endpoint.url)
    patch.setenv("COUNTLESS_LIMITS", "off")  # else the limiter says 429 where DynamoDB throttles its item
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        patch.setenv(name, "testing")
    wiring.forget()
    try:
        with routed(endpoint, wherever=True):
            yield endpoint
    finally:
        endpoint.close()
        wiring.forget()


@pytest.fixture(scope="module")
def standing(app: Chalice) -> Iterator[tuple[Endpoint, Person]]:
    """The endpoint, and somebody whose account is there."""
    with pytest.MonkeyPatch.context() as patch, _standing(patch) as found:
        yield found, settle(FrontDoor(app))


@pytest.fixture
def endpoint(standing: tuple[Endpoint, Person]) -> Iterator[Endpoint]:
    """The endpoint, which behaves well before and after each test."""
    found = standing[0]
    found.asked = 0
    yield found
    found.bad = found.then = ""
    wiring.forget()  # connections to where it behaved badly, too


@pytest.fixture
def person(standing: tuple[Endpoint, Person], endpoint: Endpoint) -> Person:
    """Somebody whose statistic has just been set to 1, so that whatever this needs is known."""
    assert endpoint
    assert _set(standing[1]).status == 200
    return standing[1]


@contextmanager
def _hurried(seconds: float = 0.2) -> Iterator[None]:
    """Requests have so many seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(deadlines, "REQUEST", seconds)
        patch.setattr(deadlines, "LEAST", seconds / 4)
        yield


def _write(person: Person, path: str, body: Any) -> Reply:
    headers = {"authorization": f"Bearer {person.token}"}
    return person.front.request("POST", f"/v1/api/statistics/{path}", headers=headers, json_body=body)


def _set(person: Person) -> Reply:
    return _write(person, "g/s", {"value": 1})


def _increment(person: Person) -> Reply:
    return _write(person, "g/s", {"method": "increment"})


def _batch(person: Person) -> Reply:
    entries = [{"group": f"group {number}", "name": "s", "value": 1} for number in range(200)]
    return _write(person, "batch", {"updates": entries})


ASKED: dict[str, Callable[[Person], Reply]] = {
    "an increment": _increment,
    "a batch with new groups": _batch,
    "figures": lambda person: person.get("/api/v0/stats/total"),
    "a site": lambda person: person.get("/api/v0/sites"),
    "a visitor counter": lambda person: person.front.get(f"{person.prefix}/counter/%2F.json"),
}


def _in_time(person: Person, seconds: float) -> None:
    """Each surface answers 503 in its own words, soon after these seconds at the latest."""
    for what, ask in ASKED.items():
        begun = time.monotonic()
        reply = ask(person)
        taken = time.monotonic() - begun
        assert reply.status == 503, (what, reply)
        assert taken < seconds, (what, taken)
        if what in ("an increment", "a batch with new groups"):
            assert reply.json()["error"]["code"] == "UNAVAILABLE"


@pytest.mark.parametrize("bad", KINDS[:-1])
def test_a_request_is_refused_in_time_whatever_dynamodb_does(endpoint: Endpoint, person: Person, bad: str) -> None:
    """If it hangs, is not to be reached, throttles or fails: for who is known, and for who has to be looked up."""
    endpoint.bad = bad
    with _hurried():
        _in_time(person, 0.2 + SLACK)
        wiring.forget()
        _in_time(person, 0.2 + SLACK)
    endpoint.bad = ""
    assert _increment(person).json()["value"] == 2


def test_calls_of_one_request_share_one_deadline(endpoint: Endpoint, person: Person) -> None:
    """A batch that needs many calls, each of them answered after a while, ends in time: what was done of it is said."""
    endpoint.bad = "is slow"
    begun = time.monotonic()
    with _hurried(0.8):
        reply = _batch(person)
    assert time.monotonic() - begun < 0.8 + SLACK
    assert reply.status in (200, 503)
    assert 1 <= endpoint.asked < 0.8 / SLOW + 10


def test_threads_of_a_request_have_its_deadline(endpoint: Endpoint) -> None:
    endpoint.bad = "hangs"
    key = calls.Key("countless-statistics", "p", "s")
    client = clients.dynamodb()
    begun = time.monotonic()
    with deadlines.within(deadlines.LEAST + 0.5), pytest.raises(Unavailable):
        calls.side_by_side([lambda: calls.fetch(client, [key])] * 3)
    assert time.monotonic() - begun < deadlines.LEAST + SLACK
    assert endpoint.asked == 3


def test_no_call_begins_without_time_left_and_none_is_lost_then(endpoint: Endpoint) -> None:
    """It was never sent: so much is known, and said."""
    member = {"Put": {"TableName": "countless-statistics", "Item": calls.Key("", "p", "s").words}}
    endpoint.bad = "hangs"
    with deadlines.within(deadlines.LEAST / 2):
        for _ in range(2):
            with pytest.raises(calls.NothingDone):
                calls.transact(clients.dynamodb(), [member])
        with pytest.raises(Unavailable):
            calls.update(clients.dynamodb_once(), TableName="countless-statistics", Key=calls.Key("", "p", "s").words)
    assert endpoint.asked == 0


def test_a_refusal_after_an_answer_that_was_lost_is_no_assurance(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Throttled four times, nothing was done; failed once and then throttled, nobody knows."""
    member = {"Put": {"TableName": "countless-statistics", "Item": calls.Key("", "p", "s").words}}
    monkeypatch.setattr(calls, "TRIES", 1)
    endpoint.bad = "throttles"
    with pytest.raises(calls.NothingDone):
        calls.transact(clients.dynamodb(), [member])
    endpoint.asked, endpoint.bad, endpoint.then = 0, "fails", "throttles"
    with pytest.raises(Unavailable) as unsure:
        calls.transact(clients.dynamodb(), [member])
    assert not isinstance(unsure.value, calls.NothingDone)


def test_what_is_no_request_has_no_deadline(endpoint: Endpoint) -> None:
    """A function that a queue starts asks as often as botocore does, and a deadline ends with its request."""
    endpoint.bad = "fails"
    key = calls.Key("countless-statistics", "p", "s")
    with deadlines.within(0.1):
        assert deadlines.left() <= 0.1
    assert deadlines.left() == float("inf")
    with pytest.raises(Unavailable):
        calls.fetch(clients.dynamodb(), [key])
    assert endpoint.asked == clients.ATTEMPTS


def test_the_longest_request_ends_before_the_gateway_does() -> None:
    """The last attempt begins before the deadline; to connect may take as long as to be greeted, and cold starts last
    two seconds.
    """
    assert deadlines.REQUEST + deadlines.LEAST + 2 * clients.CONNECT + 2 < GATEWAY


@pytest.mark.prove
@pytest.mark.parametrize("bad", KINDS[:-1])
def test_so_it_is_with_the_real_seconds(endpoint: Endpoint, person: Person, bad: str) -> None:
    """As above, at full length."""
    endpoint.bad = bad
    wiring.forget()
    _in_time(person, GATEWAY)
