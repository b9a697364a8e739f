"""Fixtures: services in processes of their own, shared by the tests of one test process."""

from collections.abc import Iterator

import pytest

from tests.clients.people import People, Person
from tests.clients.stack import Aws, Service


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """`countless serve` alone, as `make run` starts it. Tests count in years, or below paths, of their own."""
    service = Service(tmp_path_factory.mktemp("service") / "keys.json")
    try:
        service.start()
        yield service
    finally:
        service.kill()


@pytest.fixture(scope="session")
def aws() -> Iterator[Aws]:
    """`countless aws`, for services that come and go."""
    aws = Aws()
    try:
        yield aws
    finally:
        aws.close()


@pytest.fixture(scope="session")
def beside(aws: Aws, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """`countless serve` with AWS in the other process, where tests can look into queues and tables."""
    arguments = ("--limits", "off", "--aws", aws.url)
    service = Service(tmp_path_factory.mktemp("beside") / "keys.json", arguments)
    try:
        service.start()
        yield service
    finally:
        service.kill()


@pytest.fixture(scope="session")
def limited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """`countless serve` with the limits that everybody gets."""
    service = Service(tmp_path_factory.mktemp("limited") / "keys.json", ())
    try:
        service.start()
        yield service
    finally:
        service.kill()


@pytest.fixture(scope="session")
def people(aws: Aws, beside: Service) -> Iterator[People]:
    """Who makes account owners of the service `beside`."""
    people = People(aws, beside)
    try:
        yield people
    finally:
        people.close()


@pytest.fixture
def person(people: People) -> Person:
    """The owner of a new account, whose site is empty."""
    return people.settle()


@pytest.fixture(scope="session")
def somebody(people: People) -> Person:
    """The owner of an account that tests share which count nothing."""
    return people.settle()
