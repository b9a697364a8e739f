"""The rollups in DynamoDB: a manifest a stream, and its parts under a partition key of their own.

pk                sk          what
STREAM            manifest    version and packed manifest
STREAM            redactions  the book of what there is to redact (`redactions.py`)
STREAM            swept       the day of the last sweep, from 1970; it ends by itself once nobody sweeps any more
STREAM#parts      ID          a part
STREAM#bots       MINUTE-ID   hits that were recognised as bots', kept 30 days
"""

import zlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import orjson
from botocore.exceptions import ClientError

from chalicelib.core import deadlines, fitting
from chalicelib.core.errors import Conflict, Unavailable
from chalicelib.core.events import Bot
from chalicelib.core.messages import Message

from . import batches, calls
from .log import Fields, is_conflict, with_expiry

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

BOT_LIFE = 30 * 86400
SWEPT_LIFE = 90
"""Days for which it is known when a stream was swept: far more than somebody needs to mend what keeps it from it."""
GET_AT_ONCE = 100
"""Keys that BatchGetItem takes."""


class DynamoRollups:
    """A `RollupStore` over one table."""

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._client = client
        self._table = table

    def manifest(self, stream: str) -> tuple[int, bytes] | None:
        """As `RollupStore.manifest`."""
        with calls.answering():
            found = self._client.get_item(
                TableName=self._table, Key={"pk": {"S": stream}, "sk": {"S": "manifest"}}, ConsistentRead=True
            ).get("Item")
        return (int(found["version"]["N"]), bytes(found["data"]["B"])) if found else None

    def manifests(self, streams: Collection[str]) -> dict[str, tuple[int, bytes]]:
        """As `RollupStore.manifests`."""
        found = self._get([(stream, "manifest") for stream in streams], consistent=True)
        return {stream: (int(row["version"]["N"]), bytes(row["data"]["B"])) for (stream, _), row in found.items()}

    def swept(self, streams: Collection[str]) -> dict[str, int]:
        """The days on which streams were swept last; those of which nobody knows are missing from the answer."""
        found = self._get([(stream, "swept") for stream in streams], consistent=False)
        return {stream: int(row["day"]["N"]) for (stream, _), row in found.items()}

    def note_swept(self, streams: Collection[str], day: int) -> None:
        """Notes that streams were swept on a day."""
        noted = {"sk": {"S": "swept"}, "day": {"N": str(day)}, "expires": {"N": str((day + SWEPT_LIFE) * 86400)}}
        requests = ({"PutRequest": {"Item": {"pk": {"S": stream}, **noted}}} for stream in streams)
        batches.write(self._client, self._table, requests)

    def swing(self, stream: str, version: int, data: bytes) -> None:
        """As `RollupStore.swing`."""
        condition: Fields = {"ConditionExpression": "attribute_not_exists(pk)"}
        if version > 1:
            condition = {
                "ConditionExpression": "version = :before",
                "ExpressionAttributeValues": {":before": {"N": str(version - 1)}},
            }
        item = {
            "pk": {"S": stream},
            "sk": {"S": "manifest"},
            "version": {"N": str(version)},
            "data": {"B": data},
        }
        self._conditionally(stream, self._client.put_item, TableName=self._table, Item=item, **condition)

    def drop(self, stream: str, version: int) -> None:
        """As `RollupStore.drop`."""
        self._conditionally(
            stream,
            self._client.delete_item,
            TableName=self._table,
            Key={"pk": {"S": stream}, "sk": {"S": "manifest"}},
            ConditionExpression="version = :version",
            ExpressionAttributeValues={":version": {"N": str(version)}},
        )

    def _conditionally(self, stream: str, write: Any, **arguments: Any) -> None:  # noqa: ANN401 - boto's own
        try:
            write(**arguments)
        except ClientError as error:
            if is_conflict(error):
                raise Conflict(f"the manifest of {stream}") from error
            raise

    def get(self, stream: str, ids: Collection[str]) -> dict[str, bytes]:
        """As `RollupStore.get`: at half the price first, and strongly consistent what that does not see yet."""
        return self.get_all({stream: ids}).get(stream, {})

    def get_all(self, wanted: Mapping[str, Collection[str]]) -> dict[str, dict[str, bytes]]:
        """As `RollupStore.get_all`, at the price of `get`."""
        keys = [(f"{stream}#parts", name) for stream, names in wanted.items() for name in sorted(names)]
        found = self._get(keys, consistent=False)
        if missing := [key for key in keys if key not in found]:
            found |= self._get(missing, consistent=True)
        sorted_out: dict[str, dict[str, bytes]] = {}
        for (partition, name), row in found.items():
            sorted_out.setdefault(partition.removesuffix("#parts"), {})[name] = bytes(row["data"]["B"])
        return sorted_out

    def _get(self, wanted: Sequence[tuple[str, str]], *, consistent: bool) -> dict[tuple[str, str], Fields]:
        """The items under these pairs of keys, as far as they are there."""
        found: dict[tuple[str, str], Fields] = {}
        for chunk in batches.chunks(wanted, GET_AT_ONCE):
            keys: list[Fields] = [{"pk": {"S": pk}, "sk": {"S": sk}} for pk, sk in chunk]
            for pause in batches.rounds():
                if pause:
                    deadlines.wait(pause)
                with calls.answering():
                    answer = self._client.batch_get_item(
                        RequestItems={self._table: {"Keys": keys, "ConsistentRead": consistent}}
                    )
                for row in answer["Responses"].get(self._table, []):
                    found[row["pk"]["S"], row["sk"]["S"]] = row
                keys = _unread(answer, self._table)
                if not keys:
                    break
            else:
                raise Unavailable("DynamoDB left keys unread")
        return found

    def put(self, stream: str, parts: Mapping[str, bytes], expires: int | None) -> None:
        """As `RollupStore.put`."""
        key = f"{stream}#parts"
        requests = (
            {"PutRequest": {"Item": with_expiry({"pk": {"S": key}, "sk": {"S": name}, "data": {"B": data}}, expires)}}
            for name, data in parts.items()
        )
        batches.write(self._client, self._table, requests)

    def remove(self, stream: str, ids: Collection[str]) -> None:
        """As `RollupStore.remove`."""
        self._delete(f"{stream}#parts", ids)

    def _delete(self, partition: str, keys: Collection[str]) -> None:
        requests = ({"DeleteRequest": {"Key": {"pk": {"S": partition}, "sk": {"S": key}}}} for key in keys)
        batches.write(self._client, self._table, requests)

    def expire(self, stream: str, ids: Collection[str], at: int) -> None:
        """As `RollupStore.expire`."""
        for name in ids:
            try:
                self._client.update_item(
                    TableName=self._table,
                    Key={"pk": {"S": f"{stream}#parts"}, "sk": {"S": name}},
                    UpdateExpression="SET expires = :at",
                    ConditionExpression="attribute_exists(pk)",
                    ExpressionAttributeValues={":at": {"N": str(at)}},
                )
            except ClientError as error:
                if not is_conflict(error):
                    raise

    def missing(self, stream: str, ids: Collection[str]) -> set[str]:
        """As `RollupStore.missing`."""
        lost = set(ids)
        keys = [(f"{stream}#parts", name) for name in sorted(lost)]
        for chunk in batches.chunks(keys, GET_AT_ONCE):  # a hundred are at hand at a time
            lost -= {name for _, name in self._get(chunk, consistent=True)}
        return lost

    def lasting(self, stream: str) -> list[str]:
        """As `RollupStore.lasting`."""
        return [row["sk"]["S"] for row in self._rows(f"{stream}#parts", "sk, expires") if "expires" not in row]

    def stored(self, stream: str) -> list[str]:
        """As `RollupStore.stored`."""
        return [row["sk"]["S"] for row in self._rows(f"{stream}#parts", "sk", consistent=True)]

    def _rows(self, partition: str, attributes: str = "", *, consistent: bool = False) -> Iterator[Fields]:
        """The items of a partition, in order; only some of their attributes if those are named."""
        query: Fields = {
            "TableName": self._table,
            "KeyConditionExpression": "pk = :pk",
            "ExpressionAttributeValues": {":pk": {"S": partition}},
            "ConsistentRead": consistent,
        }
        if attributes:
            query["ProjectionExpression"] = attributes
        while True:
            with calls.answering():
                page: Fields = self._client.query(**query)  # type: ignore[assignment]
            yield from page["Items"]
            if "LastEvaluatedKey" not in page:
                return
            query["ExclusiveStartKey"] = page["LastEvaluatedKey"]

    def keep_bots(self, stream: str, messages: Sequence[Message]) -> None:
        """Keeps the bots' hits of these messages for 30 days; a second delivery writes them again."""
        bots = [tuple(bot) for message in messages for bot in message.bots]
        first = min((message.accepted, message.id) for message in messages)
        for number, (_, data) in enumerate(fitting.pieces(bots, _pack_bots, fitting.ITEM_BYTES)):
            item: Fields = {
                "pk": {"S": f"{stream}#bots"},
                "sk": {"S": f"{first[0] // 60:010}-{first[1]:016x}-{number}"},
                "data": {"B": data},
            }
            self._client.put_item(TableName=self._table, Item=with_expiry(item, first[0] + BOT_LIFE))

    def bots(self, stream: str) -> Iterator[Bot]:
        """The bots' hits that are kept, oldest first."""
        for row in self._rows(f"{stream}#bots"):
            yield from _unpack_bots(row)

    def drop_bots(self, stream: str, goes: Callable[[Bot], bool] | None) -> None:
        """Deletes the bots' hits of which that is true; all of them if it is None."""
        partition = f"{stream}#bots"
        if goes is None:
            self._delete(partition, [row["sk"]["S"] for row in self._rows(partition, "sk", consistent=True)])
            return
        for row in self._rows(partition, consistent=True):
            bots = _unpack_bots(row)
            kept = [bot for bot in bots if not goes(bot)]
            if not kept:
                self._delete(partition, [row["sk"]["S"]])
            elif len(kept) < len(bots):
                item = row | {"data": {"B": _pack_bots([tuple(bot) for bot in kept])}}
                self._client.put_item(TableName=self._table, Item=item)


def _unpack_bots(row: Fields) -> list[Bot]:
    return list(map(Bot._make, orjson.loads(zlib.decompress(bytes(row["data"]["B"])))))


def _pack_bots(bots: Sequence[tuple[object, ...]]) -> bytes:
    return zlib.compress(orjson.dumps(bots))


def _unread(answer: Any, table: str) -> list[Fields]:  # noqa: ANN401 - as above
    return list(answer.get("UnprocessedKeys", {}).get(table, {}).get("Keys", []))
