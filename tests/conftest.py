"""Fixtures: one simulated AWS for each test process, and the service's front door.

Tables, which are in memory, queues and bucket are made once; tests keep apart by using accounts and streams of their
own.
"""

import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import boto3
import pytest
from chalice.app import Chalice
from hypothesis import HealthCheck, settings
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from chalicelib import wiring
from chalicelib.aws.accounts import Created
from chalicelib.core import passwords
from infrastructure import storage
from infrastructure.local import simulation
from infrastructure.local.aws import moto_server
from infrastructure.local.pump import Pump
from tests.dynamo import Dynamo, moto, routed, standing_in
from tests.front import FrontDoor

# How long an example takes says how busy the machine is, and nothing about what is tested.
settings.register_profile("unhurried", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")


class ByFile(LoadScopeScheduling):
    """Of several processes one runs all tests of a file, and one all of `tests/clients`, so that what tests of a file
    share, and the services that those of clients talk to, are made once.
    """

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return "tests/clients" if file.startswith("tests/clients/") else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling | None:
    """Deals tests out by file, if that is asked for."""
    return ByFile(config, log) if config.getvalue("dist") == "loadfile" else None


@dataclass(frozen=True)
class World:
    """The simulated AWS, and the environment that leads the service to it."""

    session: boto3.Session
    environment: dict[str, str]
    tables: Dynamo
    clients: dict[str, Any] = field(default_factory=dict)

    def client(self, service: str) -> Any:
        """The client of a service, made once."""
        if service not in self.clients:
            self.clients[service] = self.session.client(service)  # type: ignore[call-overload]
        return self.clients[service]

    def drain(self, variable: str) -> list[str]:
        """Take every visible message out of the queue that `variable` names; their bodies, in order."""
        sqs = self.client("sqs")
        url, bodies = self.environment[variable], list[str]()
        while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", []):
            for message in messages:
                sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
                bodies.append(message["Body"])
        return bodies


@pytest.fixture(scope="session")
def world() -> Iterator[World]:
    """AWS, simulated, with the tables, queues and bucket of `infrastructure/storage.py`, and os.environ set for it."""
    wiring.forget()
    with pytest.MonkeyPatch.context() as patch, simulation.simulated(), standing_in() as tables:
        patch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
        for name in ("AWS_ENDPOINT_URL", "AWS_PROFILE"):
            patch.delenv(name, raising=False)
        # Argon2 is slow on purpose. Tests have few passwords, and give them to accounts without end.
        patch.setattr(passwords, "hashed", cache(passwords.hashed))
        patch.setenv("POWERTOOLS_METRICS_NAMESPACE", "countless")
        patch.setenv("POWERTOOLS_SERVICE_NAME", "countless")
        session = boto3.Session(region_name="eu-central-1")
        environment = storage.create(session, visibility=storage.Visibility.all(1))
        for name, value in environment.items():
            patch.setenv(name, value)
        wiring.secrets().ensure()
        yield World(session, environment, tables)
    wiring.forget()


@pytest.fixture(params=range(4))
def share(request: pytest.FixtureRequest) -> int:
    """For a test of thousands of histories: it is four tests, each with histories of its own. They run side by side,
    and none holds more than its own in memory: Hypothesis keeps all that it has made up for a test.
    """
    return int(request.param)


@pytest.fixture(autouse=True)
def rested() -> None:
    """No address is refused in a test for what another test has asked with it within the same second."""
    wiring.pixels.cache_clear()


@pytest.fixture
def moto_tables(world: World) -> Iterator[World]:
    """The same AWS with moto's tables, for tests of what only moto does or leaves out."""
    wiring.forget()
    with routed(moto):
        yield world
    wiring.forget()


@pytest.fixture(scope="session")
def app(world: World) -> Chalice:
    """The whole service, imported once its world stands."""
    assert world
    from app import app as service  # noqa: PLC0415 - not before AWS is simulated

    return service


@pytest.fixture
def front(app: Chalice) -> FrontDoor:
    """The service's front door: `front.get("/count?p=/")`."""
    return FrontDoor(app)


@pytest.fixture
def pump(app: Chalice, world: World) -> Pump:
    """Feeds the event functions: `pump.settle()` delivers all that waits in the queues."""
    return Pump.of(app, world.environment, world.client("sqs"))


@pytest.fixture
def owner(world: World) -> Created:
    """A new account with a user, a site and a token that may do everything."""
    assert world
    name = secrets.token_hex(8)
    return wiring.accounts().create_account(
        name=name,
        username=name,
        email=f"{name}@example.com",
        password="correct horse",
        domain=f"{name}.example",
        cname=f"{name}.example",
    )


@pytest.fixture(scope="module")
def quick(app: Chalice) -> Iterator[Chalice]:
    """The whole service over tables in memory, for modules that make many requests."""
    with standing_in():
        wiring.forget()
        yield app
    wiring.forget()


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The simulated bucket over real HTTP, to which presigned links lead."""
    with moto_server("127.0.0.1", 0) as url, monkeypatch.context() as patch:
        patch.setenv("COUNTLESS_FILES_URL", url)
        wiring.forget()
        yield
    wiring.forget()
