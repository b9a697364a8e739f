"""How many page views of each site were dropped, by day and reason: an item for each day, which ends by itself."""

from datetime import date
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from chalicelib.core.drops import Drops, Reason
from chalicelib.core.errors import Unavailable
from chalicelib.core.periods import DAY, day_text

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

KEPT = 90
"""Days for which figures of drops are kept."""


class DynamoDrops:
    """Figures of drops beside the rollups. Adding is asked for once: a lost answer is a lost figure."""

    def __init__(self, client: "DynamoDBClient", once: "DynamoDBClient", table: str) -> None:
        self._client = client
        self._once = once
        self._table = table

    def add(self, stream: str, drops: Drops) -> None:
        """Adds figures: one write for each day that they are of."""
        for day in sorted({day for day, _ in drops}):
            counts = [(reason, count) for (of, reason), count in drops.items() if of == day and reason in set(Reason)]
            self._once.update_item(
                TableName=self._table,
                Key={"pk": {"S": _partition(stream)}, "sk": {"S": day_text(day)}},
                UpdateExpression="ADD "
                + ", ".join(f"#r{i} :n{i}" for i in range(len(counts)))
                + " SET #expires = :expires",
                ExpressionAttributeNames={
                    "#expires": "expires",
                    **{f"#r{i}": reason for i, (reason, _) in enumerate(counts)},
                },
                ExpressionAttributeValues={
                    ":expires": {"N": str((day + KEPT) * DAY)},
                    **{f":n{i}": {"N": str(count)} for i, (_, count) in enumerate(counts)},
                },
            )

    def read(self, stream: str, first: int, last: int) -> Drops:
        """The figures of these days, from 1970, both included; of those that are still kept.

        Raises:
            Unavailable: nobody can say.
        """
        last = max(last, first)
        try:
            # At most as many small items as days are kept: one page.
            page = self._client.query(
                TableName=self._table,
                KeyConditionExpression="pk = :pk AND sk BETWEEN :first AND :last",
                ExpressionAttributeValues={
                    ":pk": {"S": _partition(stream)},
                    ":first": {"S": day_text(first)},
                    ":last": {"S": day_text(last)},
                },
            )
        except (ClientError, BotoCoreError) as error:
            raise Unavailable("figures of drops cannot be read") from error
        reasons = {reason.value for reason in Reason}
        return Drops(
            {
                (_day(item["sk"]["S"]), reason): int(count["N"])
                for item in page["Items"]
                for reason, count in item.items()
                if reason in reasons
            }
        )


def _partition(stream: str) -> str:
    return f"{stream}#drops"


def _day(text: str) -> int:
    return (date.fromisoformat(text) - date(1970, 1, 1)).days
