"""The log in DynamoDB: one item a segment, under the stream and the segment's number.

The low-level client and one packed binary attribute: decoding attribute by attribute is about twenty times dearer.
"""

from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from chalicelib.core.errors import Conflict
from chalicelib.core.ports import Item

from . import batches, calls

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

Fields = dict[str, Any]


def is_conflict(error: ClientError) -> bool:
    """Whether a conditional write found its condition untrue."""
    return error.response["Error"]["Code"] == "ConditionalCheckFailedException"


def with_expiry(item: Fields, expires: int | None) -> Fields:
    """The item, with the moment at which DynamoDB may remove it."""
    return item if expires is None else item | {"expires": {"N": str(expires)}}


class DynamoLog:
    """A `LogStore` over one table."""

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._client = client
        self._table = table

    def read(self, stream: str, after: int, up_to: int | None = None, at_most: int | None = None) -> Sequence[Item]:
        """As `LogStore.read`: strongly consistent, page by page."""
        if up_to is not None and up_to <= after:
            return []  # DynamoDB calls a range that ends before it begins an error
        items: list[Item] = []
        size = 0
        for page in self._pages(stream, after, up_to):
            for row in page["Items"]:
                items.append(Item(int(row["number"]["N"]), row["data"]["B"]))
                size += len(items[-1].data)
                if at_most is not None and size >= at_most:
                    return items
        return items

    def _pages(self, stream: str, after: int, up_to: int | None) -> Iterator[Fields]:
        values = {":stream": {"S": stream}, ":after": {"N": str(after + 1)}}
        condition = "#stream = :stream AND #number >= :after"
        if up_to is not None:
            values[":upto"] = {"N": str(up_to)}
            condition = "#stream = :stream AND #number BETWEEN :after AND :upto"
        query: Fields = {
            "TableName": self._table,
            "KeyConditionExpression": condition,
            "ExpressionAttributeNames": {"#stream": "stream", "#number": "number", "#data": "data"},
            "ExpressionAttributeValues": values,
            "ProjectionExpression": "#number, #data",
            "ConsistentRead": True,
        }
        while True:
            with calls.answering():
                page: Fields = self._client.query(**query)  # type: ignore[assignment]
            yield page
            if "LastEvaluatedKey" not in page:
                return
            query["ExclusiveStartKey"] = page["LastEvaluatedKey"]

    def put(self, stream: str, number: int, data: bytes, expires: int | None) -> None:
        """As `LogStore.put`."""
        item = self._key(stream, number) | {"data": {"B": data}}
        try:
            self._client.put_item(
                TableName=self._table,
                Item=with_expiry(item, expires),
                ConditionExpression="attribute_not_exists(#stream)",
                ExpressionAttributeNames={"#stream": "stream"},
            )
        except ClientError as error:
            if is_conflict(error):
                raise Conflict(f"segment {number} of {stream}") from error
            raise

    def replace(self, stream: str, number: int, old: bytes, new: bytes) -> None:
        """As `LogStore.replace`. The condition is on the bytes themselves: a frame carries its checksum."""
        try:
            self._client.update_item(
                TableName=self._table,
                Key=self._key(stream, number),
                UpdateExpression="SET #data = :new REMOVE expires",  # 0.3 gave segments an end
                ConditionExpression="#data = :old",
                ExpressionAttributeNames={"#data": "data"},
                ExpressionAttributeValues={":old": {"B": old}, ":new": {"B": new}},
            )
        except ClientError as error:
            if is_conflict(error):
                raise Conflict(f"segment {number} of {stream}") from error
            raise

    def overwrite(self, stream: str, number: int, data: bytes, expires: int | None) -> None:
        """As `LogStore.overwrite`."""
        item = self._key(stream, number) | {"data": {"B": data}}
        self._client.put_item(TableName=self._table, Item=with_expiry(item, expires))

    def remove(self, stream: str, numbers: Collection[int]) -> None:
        """As `LogStore.remove`."""
        requests = ({"DeleteRequest": {"Key": self._key(stream, number)}} for number in numbers)
        batches.write(self._client, self._table, requests)

    def _key(self, stream: str, number: int) -> Fields:
        return {"stream": {"S": stream}, "number": {"N": str(number)}}
