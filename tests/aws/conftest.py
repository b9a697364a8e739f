"""Fixtures for tests of stores."""

from collections.abc import Iterator

import pytest

from chalicelib.aws import calls
from tests.conftest import World
from tests.dynamo import Dynamo
from tests.operating import own_tables


@pytest.fixture(scope="module")
def aws(world: World) -> Iterator[Dynamo]:
    """A DynamoDB for the tests of a module alone. Nobody waits between two tries, and nobody signs in."""
    assert world
    with pytest.MonkeyPatch.context() as patch, own_tables() as dynamo:
        patch.setattr(calls, "pause", lambda _: None)
        # A client that has met many faults would cease to try again.
        patch.setattr("botocore.retries.quota.RetryQuota.acquire", lambda *_: True)
        yield dynamo
