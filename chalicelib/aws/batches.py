"""Many items of one table written in few calls: what DynamoDB leaves undone is asked for again."""

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from chalicelib.core import deadlines
from chalicelib.core.errors import Unavailable

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

T = TypeVar("T")
PUT_AT_ONCE = 25
"""Items that BatchWriteItem takes."""
ROUNDS = 8
"""How often what a batch left undone is asked for again, waiting longer each time."""


def write(client: "DynamoDBClient", table: str, requests: Iterable[dict[str, Any]]) -> None:
    """Puts or deletes items, in no order; doing it again changes nothing.

    Raises:
        Unavailable: DynamoDB leaves some unwritten.
    """
    for chunk in chunks(list(requests), PUT_AT_ONCE):
        left = list(chunk)
        for wait in rounds():
            if wait:
                deadlines.wait(wait)
            answer = client.batch_write_item(RequestItems={table: left})  # type: ignore[dict-item]
            left = list(answer.get("UnprocessedItems", {}).get(table, []))  # type: ignore[arg-type]
            if not left:
                break
        else:
            raise Unavailable("DynamoDB left items unwritten")


def chunks(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """The items in order, so many at once."""
    return (items[start : start + size] for start in range(0, len(items), size))


def rounds() -> Iterator[float]:
    """Pauses before each round, in seconds."""
    yield 0.0
    for attempt in range(ROUNDS):
        yield 0.05 * 2**attempt
