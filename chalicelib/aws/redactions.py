"""Redactions in DynamoDB, S3 and SQS: the books, what else holds something of a stream, and the queue.

A stream's book stands beside its manifest: pk STREAM, sk `redactions`.
"""

import json
import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import orjson
from botocore.exceptions import BotoCoreError, ClientError

from chalicelib.core.errors import Conflict, Unavailable
from chalicelib.core.events import Bot
from chalicelib.core.redactions import Book

from . import calls
from .queues import BODIES, message_of

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient
    from types_boto3_s3 import S3Client
    from types_boto3_sqs import SQSClient

    from .rollups import DynamoRollups

DELETED_AT_ONCE = 1000
"""Objects that one call of S3's deletes."""


class Books:
    """A `BookStore` over the table of rollups."""

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._client = client
        self._table = table

    def get(self, stream: str) -> Book | None:
        """As `BookStore.get`."""
        with calls.answering():
            found = self._client.get_item(TableName=self._table, Key=_key(stream), ConsistentRead=True).get("Item")
        if found is None:
            return None
        return Book.load(int(found["version"]["N"]), orjson.loads(zlib.decompress(bytes(found["data"]["B"]))))

    def swap(self, stream: str, book: Book) -> None:
        """As `BookStore.swap`. Every version is another, so one's own is known by its bytes."""
        data = zlib.compress(orjson.dumps(book.dump(), default=tuple))
        item: dict[str, Any] = {**_key(stream), "version": {"N": str(book.version)}, "data": {"B": data}}
        condition: dict[str, Any] = {"ConditionExpression": "attribute_not_exists(pk)"}
        if book.version > 1:
            condition = {
                "ConditionExpression": "version = :before",
                "ExpressionAttributeValues": {":before": {"N": str(book.version - 1)}},
            }
        try:
            with calls.answering():
                self._client.put_item(
                    TableName=self._table, Item=item, ReturnValuesOnConditionCheckFailure="ALL_OLD", **condition
                )
        except Unavailable as error:
            cause = error.__cause__
            if not isinstance(cause, ClientError) or calls.code(cause) != "ConditionalCheckFailedException":
                raise
            response: Mapping[str, Any] = cause.response
            if response.get("Item", {}).get("data", {}).get("B") != data:
                raise Conflict(f"the redactions of {stream}") from None

    def forget(self, stream: str) -> None:
        """As `BookStore.forget`."""
        with calls.answering():
            self._client.delete_item(TableName=self._table, Key=_key(stream))


def _key(stream: str) -> dict[str, dict[str, str]]:
    return {"pk": {"S": stream}, "sk": {"S": "redactions"}}


class Leftovers:
    """`sealing.Outside`: what holds something of a stream besides log and rollups."""

    def __init__(self, rollups: "DynamoRollups", s3: "S3Client", bucket: str, withdraw: Callable[[str], None]) -> None:
        """`withdraw` removes the files of a stream's exports."""
        self._rollups = rollups
        self._s3 = s3
        self._bucket = bucket
        self._withdraw = withdraw

    def drop_bots(self, stream: str, goes: Callable[[Bot], bool] | None) -> None:
        """As `Outside.drop_bots`."""
        self._rollups.drop_bots(stream, goes)

    def drop_bodies(self, stream: str, counted: Callable[[int, int], bool] | None) -> None:
        """As `Outside.drop_bodies`. A body's key ends with the moment and the id of its message (`queues`)."""
        keys = [key for key in self._bodies(stream) if counted is None or counted(*message_of(key))]
        for start in range(0, len(keys), DELETED_AT_ONCE):
            chunk = keys[start : start + DELETED_AT_ONCE]
            with calls.answering():
                answer = self._s3.delete_objects(
                    Bucket=self._bucket, Delete={"Objects": [{"Key": key} for key in chunk], "Quiet": True}
                )
            if answer.get("Errors"):
                raise Unavailable("S3 left objects undeleted")

    def _bodies(self, stream: str) -> Iterator[str]:
        query: dict[str, Any] = {"Bucket": self._bucket, "Prefix": f"{BODIES}{stream}/"}
        while True:
            with calls.answering():
                page = self._s3.list_objects_v2(**query)
            for found in page.get("Contents", []):
                yield found["Key"]
            if not page.get("IsTruncated"):
                return
            query["ContinuationToken"] = page["NextContinuationToken"]

    def withdraw(self, stream: str) -> None:
        """As `Outside.withdraw`."""
        self._withdraw(stream)


class SqsRedactions:
    """Where redactions are asked for (`redactions.Queue`)."""

    def __init__(self, sqs: "SQSClient", queue: str) -> None:
        self._sqs = sqs
        self._queue = queue

    def ask(self, stream: str, delay: int = 0) -> None:
        """As `Queue.ask`.

        Raises:
            Unavailable: the queue did not take it.
        """
        try:
            self._sqs.send_message(QueueUrl=self._queue, MessageBody=json.dumps({"stream": stream}), DelaySeconds=delay)
        except (ClientError, BotoCoreError) as error:
            raise Unavailable("the queue did not take the request for a redaction") from error
