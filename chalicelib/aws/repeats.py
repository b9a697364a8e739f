"""Remembers for a day which requests with an idempotency key were accepted, to say so when they come again.

It decides nothing: the log alone tells copies of a message apart.
"""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from chalicelib.core.accepted import DERIVED

from .log import is_conflict

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient


class Repeats:
    """One item for each such request, of one write unit."""

    def __init__(self, once: "DynamoDBClient", table: str, clock: Callable[[], float] = time.time) -> None:
        """`once` attempts each call once: a write that was repeated would find itself."""
        self._once = once
        self._table = table
        self._clock = clock

    def note(self, message: int) -> bool:
        """Keeps that a message was accepted; whether that was known already. False if DynamoDB does not answer."""
        now = int(self._clock())
        try:
            self._once.put_item(
                TableName=self._table,
                Item={"pk": {"S": f"accepted#{message:016x}"}, "expires": {"N": str(now + DERIVED * 60)}},
                ConditionExpression="attribute_not_exists(pk) OR expires <= :now",
                ExpressionAttributeValues={":now": {"N": str(now)}},
            )
        except ClientError as error:
            return is_conflict(error)
        except BotoCoreError:
            return False
        return False
