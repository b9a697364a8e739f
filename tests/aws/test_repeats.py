"""What was accepted under an idempotency key is known for a day."""

from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from chalicelib.aws.repeats import Repeats
from chalicelib.settings import settings
from tests.conftest import World


def test_a_message_is_known_for_a_day(world: World) -> None:
    """Though DynamoDB removes items later than that."""
    now = [1_790_000_000.0]
    repeats = Repeats(world.client("dynamodb"), settings().limits_table, lambda: now[0])
    assert [repeats.note(1), repeats.note(1), repeats.note(2)] == [False, True, False]
    now[0] += 86_399
    assert repeats.note(1)
    now[0] += 1
    assert [repeats.note(1), repeats.note(1)] == [False, True]


@pytest.mark.parametrize(
    "error",
    [
        EndpointConnectionError(endpoint_url="http://dynamodb"),
        ClientError({"Error": {"Code": "ThrottlingException"}}, "PutItem"),
    ],
)
def test_where_nobody_can_say_a_message_is_new(error: Exception) -> None:
    """It is accepted already: nothing may fail for what is only told."""

    class Out:
        def put_item(self, **_fields: Any) -> None:
            raise error

    assert not Repeats(Out(), "limits").note(1)  # type: ignore[arg-type]
