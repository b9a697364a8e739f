"""Exports in a world where everything may go wrong: the real function, queue, bucket and table, with faults between
botocore and moto, on any call to any of them.
"""

import gzip
import hashlib
import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.compat import HTTPHeaders
from botocore.exceptions import ConnectionClosedError, ReadTimeoutError
from moto.core.botocore_stubber import BotocoreStubber

from chalicelib import wiring
from chalicelib.aws import clients
from chalicelib.core.errors import Unavailable
from chalicelib.core.exporting import LEASE, Chunk, Exporter, Source
from chalicelib.core.exports import Job, Look, State
from chalicelib.functions import export as export_module
from chalicelib.functions import schedules
from infrastructure.local.context import LambdaContext
from tests.conftest import World
from tests.dynamo.routing import RawBody

START = 1_763_700_000.0
RETRIED = 4
"""So many attempts botocore makes."""
PART = 40_000
"""Bytes: zlib gives out nothing before it has some 16,000 symbols together."""
BEFORE, AFTER, REFUSED, LOST_ONCE, CRASH_BEFORE, CRASH_AFTER = KINDS = range(6)
"""No attempt arrives; all do, but no answer comes; AWS is too busy; one answer is lost; the process dies."""


class Crash(BaseException):
    """The process is gone, between two instructions."""


@cache
def _noise(seed: str) -> str:
    return random.Random(seed).randbytes(2000).hex()


class Numbers:
    """A source of numbered rows, seven in a chunk; `salt` changes all that is said of each but its number."""

    def __init__(self, rows: int, salt: str = "") -> None:
        self._rows = rows
        self._salt = salt

    def chunks(self, after: str) -> Iterator[Chunk]:
        """As `Source.chunks`."""
        if not after:
            yield Chunk("", 0, b"number,noise\r\n")
        for start in range(int(after or 0), self._rows, 7):
            numbers = range(start, min(start + 7, self._rows))
            lines = (f"{number},{_noise(f'{self._salt}{number}')}\r\n" for number in numbers)
            yield Chunk(str(numbers.stop), len(numbers), "".join(lines).encode())


@dataclass
class Strike:
    """Makes one call to AWS fail, the one after so many others, in one of the ways above; or does something just
    before it.
    """

    skip: int
    kind: int | None = None
    meanwhile: Callable[[], None] | None = None
    calls: int = 0
    _left: int = 0

    @property
    def struck(self) -> bool:
        """Whether there were as many calls."""
        return self.calls > self.skip

    def __call__(self, answer: Callable[[], AWSResponse | None], request: AWSPreparedRequest) -> AWSResponse | None:
        if self._left:
            self._left -= 1
            return self._fail(answer, request)
        self.calls += 1
        if self.calls != self.skip + 1:
            return answer()
        if self.meanwhile is not None:
            self.meanwhile()
            return answer()
        if self.kind in (BEFORE, AFTER, REFUSED):
            self._left = RETRIED - 1
        return self._fail(answer, request)

    def _fail(self, answer: Callable[[], AWSResponse | None], request: AWSPreparedRequest) -> AWSResponse | None:
        if self.kind in (AFTER, LOST_ONCE, CRASH_AFTER):
            answer()
        if self.kind in (CRASH_BEFORE, CRASH_AFTER):
            raise Crash
        if self.kind in (AFTER, LOST_ONCE):
            raise ReadTimeoutError(endpoint_url=str(request.url))
        if self.kind == BEFORE:
            raise ConnectionClosedError(endpoint_url=str(request.url))
        return AWSResponse(str(request.url), 503, HTTPHeaders(), RawBody(b""))


@contextmanager
def striking(strike: Strike) -> Iterator[None]:
    """While this is open, every attempt of every call to AWS comes by `strike`; nobody waits between attempts."""
    aws = BotocoreStubber.__call__  # moto, or whatever stands in for a part of it

    def call(stubber: BotocoreStubber, event_name: str, request: AWSPreparedRequest, **rest: Any) -> AWSResponse | None:
        def answer() -> AWSResponse | None:
            return aws(stubber, event_name, request, **rest)

        inside, strike_now = state["inside"], not state["inside"]
        state["inside"] = True
        try:
            return strike(answer, request) if strike_now else answer()
        finally:
            state["inside"] = inside

    state = {"inside": False}  # what is done meanwhile is not struck
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BotocoreStubber, "__call__", call)
        patch.setattr("botocore.endpoint.time", SimpleNamespace(sleep=lambda _: None))
        patch.setattr("chalicelib.core.deadlines.sleep", lambda _: None)
        yield


@dataclass
class Stage:
    """An account's exports, a clock, and functions that are called as Lambda calls them."""

    world: World
    account: str
    now: float = START
    source: Callable[[Job], Source] = lambda _: Numbers(60)
    seconds: float = 300.0
    """What a function has left, always."""
    deaths: int = 0
    parked: list[str] = field(default_factory=list)

    def clock(self) -> float:
        """The time here."""
        return self.now

    @contextmanager
    def set(self) -> Iterator["Stage"]:
        """While this is open, the service is this stage's."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(wiring, "now", self.clock)
            patch.setattr(wiring, "exporter", lambda: Exporter(wiring._export_ports(), part=PART))
            patch.setattr(export_module, "SOURCES", {"test": self._source})
            patch.setattr("moto.s3.models.S3_UPLOAD_PART_MIN_SIZE", 1)
            self._forget()
            yield self
            self._forget()

    def _forget(self) -> None:
        """Leaves nothing to other stages."""
        self.drain()
        self.parked.clear()
        jobs = wiring._export_ports().jobs
        for _, look in jobs.due_between("", "~"):
            jobs.move(look, None)

    def _source(self, job: Job) -> Source:
        return self.source(job)

    def begin(self, **parameters: str) -> Job:
        """A new job, whose message waits in the queue."""
        return wiring.exports().begin(self.account, "test", "file.csv.gz", parameters, self.now)

    def job(self, job: Job) -> Job:
        """The job as it is now."""
        return wiring.exports().job(self.account, job.id)

    def drain(self) -> list[str]:
        """Takes what waits in the queue; and what is parked, to `parked`."""
        self.parked += self._take("COUNTLESS_PARKED_EXPORTS_QUEUE")
        return self._take("COUNTLESS_EXPORTS_QUEUE")

    def _take(self, variable: str) -> list[str]:
        sqs, url, bodies = clients.sqs(), self.world.environment[variable], list[str]()
        while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", []):
            for message in messages:
                sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
                bodies.append(message["Body"])
        return bodies

    def deliver(self, body: str) -> bool:
        """Gives a message to the function; whether it is acknowledged."""
        record = {"messageId": "1", "body": body, "attributes": {}, "eventSourceARN": "arn:aws:sqs:::exports"}
        context = SimpleNamespace(get_remaining_time_in_millis=lambda: round(self.seconds * 1000))
        answer = export_module.export({"Records": [record]}, context)
        return not answer["batchItemFailures"]

    def settle(self, strike: Strike | None = None) -> None:
        """Delivers until nothing waits any more. What is not acknowledged comes again, half a minute later."""
        waiting = self.drain()
        for _ in range(60):
            if not waiting:
                return
            body = waiting.pop(0)
            if not self._lives(lambda body=body: self.deliver(body), strike):  # type: ignore[misc]
                waiting.append(body)
                self.now += LEASE + 1
            waiting += self.drain()
        raise AssertionError("the queue does not come to rest")

    def _lives(self, work: Callable[[], bool], strike: Strike | None) -> bool:
        try:
            with striking(strike or Strike(-1)):
                return work()
        except Crash:
            self.deaths += 1
            return False

    def tend(self, strike: Strike | None = None) -> None:
        """The hourly schedule, an hour later."""
        self.now += 3600
        with suppress(Unavailable):  # the next hour finds what is left
            self._lives(lambda: schedules.expire_exports({**_EVENT}, LambdaContext("expire_exports")) is None, strike)

    def notes(self, job: Job) -> list[Look]:
        """When the job will be looked after."""
        jobs = wiring._export_ports().jobs
        return [look for _, look in jobs.due_between("", "~") if look.id == job.id]

    def file(self, job: Job) -> bytes:
        """The job's file in the bucket."""
        client = clients.s3()
        return client.get_object(Bucket=self.world.environment["COUNTLESS_BUCKET"], Key=self.job(job).key)[
            "Body"
        ].read()

    def has_file(self, job: Job) -> bool:
        """Whether the bucket has one, or one that was given up."""
        return any(wiring._export_ports().files.size(key) is not None for key in self.job(job).keys)

    def uploads(self, job: Job) -> list[str]:
        """The ids of its unfinished uploads in the bucket."""
        client = self.world.client("s3")
        found = client.list_multipart_uploads(Bucket=self.world.environment["COUNTLESS_BUCKET"])
        return [upload["UploadId"] for upload in found.get("Uploads", []) if upload["Key"] in self.job(job).keys]

    def finished(self, job: Job, rows: int = 60) -> bytes:
        """The job's file, which is there, is what the job says, and holds each row once."""
        found = self.job(job)
        assert (found.state, found.error, found.rows) == (State.FINISHED, None, rows)
        data = self.file(job)
        assert (found.size, found.sha256) == (len(data), hashlib.sha256(data).hexdigest())
        header, *lines = gzip.decompress(data).decode().splitlines()
        assert header == "number,noise"
        assert [line.partition(",")[0] for line in lines] == [str(number) for number in range(rows)]
        return data


_EVENT: Mapping[str, Any] = {
    "version": "0",
    "id": "1",
    "detail-type": "Scheduled Event",
    "source": "aws.events",
    "account": "1",
    "time": "",
    "region": "",
    "resources": [],
    "detail": {},
}
