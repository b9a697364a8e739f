"""The service is killed again and again while a log is imported: nothing is lost, nothing counts twice."""

import fcntl
import gzip
import random
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.clients.stack import PATIENCE, Aws, Process, Service, until
from tests.clients.test_real_log import LOG, check
from tests.recount import Recount, recount_file

PIPE = 4096
"""Bytes that may be on their way to the importer: so we know how far it is."""
LONGEST = 0.15
"""Seconds by which a kill is late, at most: as long as a request and its message take, so it hits any moment."""


class Import:
    """`countless import` reading from us, as fast as it likes."""

    def __init__(self, service: Service, batch: int) -> None:
        self.log = gzip.decompress(LOG.read_bytes())
        self.position = 0
        arguments = ("import", "-", "--url", service.url, "--token", service.token, "--batch", str(batch))
        self.process = Process(*arguments, "--window", "1", stdin=subprocess.PIPE)
        self._feeder = threading.Thread(target=self._feed, daemon=True)
        self._feeder.start()

    def _feed(self) -> None:
        pipe = self.process.popen.stdin
        assert pipe is not None
        if hasattr(fcntl, "F_SETPIPE_SZ"):  # Linux; elsewhere the importer is some hundred lines behind
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, PIPE)
        for start in range(0, len(self.log), PIPE):
            pipe.write(self.log[start : start + PIPE])
            pipe.flush()
            self.position = start
        pipe.close()

    def reached(self, position: int) -> None:
        """Waits until the importer has read so many bytes."""
        until("the import goes on", lambda: self.position >= position or self.process.popen.poll() is not None)
        assert self.process.popen.poll() is None, self.process.printed()

    def finish(self) -> str:
        """Waits for its end, which has to be a success; what it printed."""
        assert self.process.popen.wait(PATIENCE * 5) == 0, self.process.printed()
        self._feeder.join()
        return self.process.printed()


@contextmanager
def stack(directory: Path) -> Iterator[tuple[Aws, Service]]:
    """AWS in one process, the service in another."""
    aws = Aws()
    service = Service(directory / "keys.json", ("--limits", "off", "--aws", aws.url))
    try:
        service.start()
        yield aws, service
    finally:
        service.kill()
        aws.close()


@contextmanager
def importing(service: Service, batch: int) -> Iterator[Import]:
    """An import that runs meanwhile."""
    running = Import(service, batch)
    try:
        yield running
    finally:
        running.process.end()


def crash(service: Service, running: Import, kills: int, seed: int) -> None:
    """Kills the service at random moments of the import; starts it again but for the last time."""
    chance = random.Random(seed)
    moments = sorted(chance.sample(range(len(running.log) * 9 // 10), kills))
    for number, moment in enumerate(moments, start=1):
        running.reached(moment)
        time.sleep(chance.uniform(0, LONGEST))
        service.kill()
        if chance.random() < 0.2:  # and now and then it dies while it starts
            service.launch()
            time.sleep(chance.uniform(0, 1.5))
            service.kill()
        if number < kills:
            service.start()


def park_copies(aws: Aws) -> int:
    """Copies messages that wait for a worker into the dead-letter queue, as if they had failed; how many."""
    received = aws.sqs.receive_message(
        QueueUrl=aws.queue("IMPORTS"),
        MaxNumberOfMessages=10,
        VisibilityTimeout=0,
        WaitTimeSeconds=6,  # those that the killed worker had are hidden for so long
        MessageSystemAttributeNames=["MessageGroupId"],
    ).get("Messages", [])
    for message in received:
        aws.sqs.send_message(
            QueueUrl=aws.queue("PARKED_IMPORTS"),
            MessageBody=message["Body"],
            MessageGroupId=message["Attributes"]["MessageGroupId"],
            MessageDeduplicationId=f"failed-{message['MessageId']}",
        )
    return len(received)


def survive(directory: Path, kills: int, batch: int, seed: int) -> int:
    """Imports the log while the service is killed; how many messages were parked and sent back."""
    recounted: Recount = recount_file(LOG)
    with stack(directory) as (aws, service):
        with importing(service, batch) as running:
            crash(service, running, kills, seed)
            copies = park_copies(aws)
            service.start()
            printed = running.finish()
        assert f"{recounted.sent:,}" in printed
        assert aws.settle() == {"PARKED": 0, "PARKED_IMPORTS": copies, "PARKED_FOLD": 0}
        check(service, recounted)
        before = aws.audit()
        assert aws.redrive("imports") == f"imports: {copies} messages moved\n"
        check(service, recounted)
        assert aws.audit() == before
        return copies


def test_two_crashes_change_nothing(tmp_path: Path) -> None:
    """SIGKILL to API and workers; the importer repeats what got no answer."""
    survive(tmp_path, kills=2, batch=100, seed=1)


@pytest.mark.prove
@pytest.mark.parametrize("seed", range(2, 5))
def test_fifty_crashes_change_nothing(tmp_path: Path, seed: int) -> None:
    """The same, at fifty moments."""
    survive(tmp_path, kills=50, batch=20, seed=seed)
