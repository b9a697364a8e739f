"""The service as its users meet it: `countless` commands in processes of their own, asked over HTTP."""

import atexit
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import boto3
import httpx

from infrastructure import storage
from infrastructure.local.context import REGION
from tests.refusals import look_at

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient
    from types_boto3_s3 import S3Client
    from types_boto3_sqs import SQSClient

PATIENCE = 60.0
"""Seconds until something that should happen at once is given up on: the machine may be busy with other tests."""
COUNTLESS = (sys.executable, "-c", "from countless.cli import main; main()")
QUEUES = ("INGEST", "IMPORTS", "FOLD")
PARKED = ("PARKED", "PARKED_IMPORTS", "PARKED_FOLD")


@cache
def _scratch() -> str:
    """Where commands keep temporary files: those that are killed cannot remove theirs, so we do when the tests end."""
    folder = tempfile.TemporaryDirectory(prefix="countless-tests-")
    atexit.register(folder.cleanup)
    return folder.name


def environment() -> dict[str, str]:
    """This process's environment without what leads to any AWS, and with a folder of its own for temporary files."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "COUNTLESS_"))}
    return {**kept, "TMPDIR": _scratch()}


def until(what: str, holds: Callable[[], bool], patience: float = PATIENCE) -> None:
    """Waits for something to become true."""
    end = time.monotonic() + patience
    while not holds():
        assert time.monotonic() < end, f"in vain: {what}"
        time.sleep(0.03)


def countless(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs a command to its end; what it printed is in `stdout`, errors included."""
    return subprocess.run(
        [*COUNTLESS, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment(),
        timeout=PATIENCE * 5,
        check=False,
    )


class Process:
    """A command that runs. What it prints goes to a file, so that it never waits for a reader."""

    def __init__(self, *arguments: str, stdin: int = subprocess.DEVNULL) -> None:
        self.output: IO[str] = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115 - `end` closes it
        self.popen = subprocess.Popen(
            [*COUNTLESS, *arguments], stdin=stdin, stdout=self.output, stderr=subprocess.STDOUT, env=environment()
        )

    def printed(self) -> str:
        """All that it has printed so far."""
        self.output.flush()
        return os.pread(self.output.fileno(), 10_000_000, 0).decode()

    def signal(self, number: int) -> None:
        """Sends a signal."""
        self.popen.send_signal(number)

    def end(self) -> int:
        """Kills it if it still runs; its exit status."""
        if self.popen.poll() is None:
            self.popen.kill()
        status = self.popen.wait()
        if self.popen.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self.popen.stdin.close()
        self.output.close()
        return status


@dataclass
class Service:
    """`countless serve`, its limits off. It may be killed, and started again on the same port."""

    file: Path
    """Where the service writes its keys."""
    arguments: Sequence[str] = ("--limits", "off")
    keys: dict[str, Any] = field(default_factory=dict)
    process: Process | None = None

    def launch(self) -> None:
        """Starts it, without waiting until it answers."""
        port = self.url.rpartition(":")[2] if self.keys else "0"
        self.process = Process("serve", "--port", port, "--credentials", str(self.file), *self.arguments)

    def start(self) -> None:
        """Starts it; returns once it answers."""
        self.launch()
        until("the service answers", self._answers)

    def _answers(self) -> bool:
        assert self.process is not None
        assert self.process.popen.poll() is None, self.process.printed()
        try:  # the file may be what a service left that was killed
            self.keys = json.loads(self.file.read_text(encoding="utf-8"))
            return self.request("GET", "me").status_code == 200
        except (OSError, httpx.TransportError):
            return False

    def kill(self) -> None:
        """Ends it without a warning, workers and all."""
        if self.process is not None:
            self.process.end()
            self.process = None

    @property
    def url(self) -> str:
        return str(self.keys["url"])

    @property
    def token(self) -> str:
        return str(self.keys["api_token"])

    @property
    def stream(self) -> str:
        return f"{self.keys['account']}/pageviews/{self.keys['site_id']}"

    def request(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        """Asks the API, with the headers that its documentation demands."""
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        answer = httpx.request(method, f"{self.url}/api/v0/{path}", headers=headers, timeout=60, **arguments)
        if "content-encoding" not in answer.headers:
            look_at(method, f"/api/v0/{path}".partition("?")[0], answer.status_code, answer.headers, answer.content)
        return answer

    def get(self, path: str, **query: str) -> Any:
        """The JSON of an answer that is a success."""
        answer = self.request("GET", path, params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def count(self, *hits: dict[str, Any]) -> None:
        """Sends page views without sessions."""
        answer = self.request("POST", "count", json={"no_sessions": True, "hits": list(hits)})
        assert (answer.status_code, answer.json()) == (202, {"status": "ok"}), answer.text

    def total(self, **query: str) -> int:
        """Visits of a range, the last days if none is given."""
        return int(self.get("stats/total", **query)["total"])

    def pages(self, **query: str) -> Iterator[dict[str, Any]]:
        """Every row of `stats/hits`, asked for as the contract says: without those that have been seen."""
        seen: list[str] = []
        more = True
        while more:
            asked = {"limit": "100", **query} | ({"exclude_paths": ",".join(seen)} if seen else {})
            page = self.get("stats/hits", **asked)
            assert page["total"] == sum(row["count"] for row in page["hits"])
            seen += [str(row["path_id"]) for row in page["hits"]]
            more = page["more"]
            yield from page["hits"]

    def views_arrived(self) -> None:
        """Returns once what was accepted by now has been counted, whichever test has sent it."""
        self._arrives({}, {})

    def imports_arrived(self) -> None:
        """Returns once every import that was accepted by now has been counted: they are counted in order."""
        self._arrives({"created_at": "2001-01-01T00:00:00Z"}, {"start": "2001-01-01", "end": "2001-01-01"})

    def _arrives(self, hit: dict[str, str], query: dict[str, str]) -> None:
        """Sends a page view of a path of its own, and waits until it is counted in a range."""
        path = f"/{uuid.uuid4().hex}"
        self.count({"path": path, **hit})
        until("it is counted", lambda: self.total(path_by_name="true", include_paths=path, **query) == 1)


class Aws:
    """`countless aws`, and clients to look into it."""

    def __init__(self) -> None:
        self.process = Process("aws", "--port", "0")
        until("AWS is played", lambda: "\n" in self.process.printed())
        self.url = self.process.printed().split()[-1]
        self.session = boto3.Session("none", "none", region_name=REGION)
        self.sqs: SQSClient = self.session.client("sqs", endpoint_url=self.url)
        self.s3: S3Client = self.session.client("s3", endpoint_url=self.url)
        self.dynamodb: DynamoDBClient = self.session.client("dynamodb", endpoint_url=self.url)

    def close(self) -> None:
        """Ends it, and with it all that it holds."""
        for client in (self.sqs, self.s3, self.dynamodb):
            client.close()
        self.process.end()

    def environment(self) -> dict[str, str]:
        """The variables of the functions."""
        return storage.find(self.session, endpoint=self.url)

    def queue(self, name: str) -> str:
        """A queue's URL; names as in `QUEUES` and `PARKED`."""
        return self.environment()[f"COUNTLESS_{name}_QUEUE"]

    def depths(self) -> dict[str, int]:
        """How many messages each queue holds, those that are hidden included."""
        found = self.environment()
        depths = {}
        for name in (*QUEUES, *PARKED):
            said = self.sqs.get_queue_attributes(
                QueueUrl=found[f"COUNTLESS_{name}_QUEUE"],
                AttributeNames=["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"],
            )
            depths[name] = sum(map(int, said["Attributes"].values()))
        return depths

    def settle(self) -> dict[str, int]:
        """Waits until the workers have left nothing; how much is parked."""
        until("queues are empty", lambda: not any(self.depths()[name] for name in QUEUES))
        return {name: depth for name, depth in self.depths().items() if name in PARKED}

    def sweep(self, stream: str) -> None:
        """Asks for what happens to a stream daily, and waits for it."""
        self.sqs.send_message(
            QueueUrl=self.queue("FOLD"),
            MessageBody=json.dumps({"stream": stream, "sweep": True}),
            MessageGroupId=stream,
            MessageDeduplicationId=uuid.uuid4().hex,
        )
        self.settle()

    def audit(self, *streams: str) -> str:
        """What `countless audit` says of these streams, or of all; it has to be agreement."""
        found = countless("audit", "--aws", self.url, *streams)
        assert found.returncode == 0, found.stdout
        assert found.stdout.rstrip().endswith(": ok")
        return found.stdout

    def redrive(self, queue: str) -> str:
        """Sends what is parked back, and waits until it has been dealt with; what the command said."""
        found = countless("redrive", queue, "--aws", self.url)
        assert found.returncode == 0, found.stdout
        assert not any(self.settle().values())
        return found.stdout
