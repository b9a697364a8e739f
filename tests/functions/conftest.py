"""Fixtures for tests of functions."""

from collections.abc import Iterator

import pytest

from chalicelib import wiring
from tests.conftest import World
from tests.dynamo import Dynamo, standing_in


@pytest.fixture
def tables(world: World) -> Iterator[Dynamo]:
    """Tables in memory, for a test that fills them, or looks at all that is in them."""
    assert world
    wiring.forget()
    with standing_in() as dynamo:
        yield dynamo
    wiring.forget()
