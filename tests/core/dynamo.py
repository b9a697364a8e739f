"""A DynamoDB of dictionaries, behind the real botocore: for histories by the thousand, where moto takes too long.

It knows the operations, keys and conditions that the log and the rollups use, and refuses any other; the same histories
run against moto as well, so that the two are held to agree.
"""

import json
from base64 import b64decode
from collections.abc import Callable
from typing import Any

from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.compat import HTTPHeaders

Item = dict[str, Any]
Table = dict[str, dict[Any, Item]]
"""Partition key to sort key to item."""


class RawBody:
    """A response's body, as botocore reads it."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def stream(self, **_: Any) -> Any:
        yield self._body


def response(request: AWSPreparedRequest, status: int, body: Any) -> AWSResponse:
    """An answer of DynamoDB's."""
    return AWSResponse(str(request.url), status, HTTPHeaders(), RawBody(json.dumps(body).encode()))


class Dynamo:
    """Tables by name; each call is answered at once, and as strictly consistent as can be."""

    def __init__(self, *, late: bool = False, page: int | None = None) -> None:
        self._tables: dict[str, Table] = {}
        self._late = late
        """Whether what is read without strong consistency, or written in batches, comes only at the second try."""
        self._page = page
        """Items of a page, where DynamoDB has bytes."""

    def expire(self, now: float) -> None:
        """Removes what has ended."""
        for table in self._tables.values():
            for partition in table.values():
                for key in [k for k, item in partition.items() if int(item.get("expires", {"N": now})["N"]) < now]:
                    del partition[key]

    def __call__(self, request: AWSPreparedRequest) -> AWSResponse:
        operation = request.headers["X-Amz-Target"]
        name = (operation.decode() if isinstance(operation, bytes) else operation).rpartition(".")[2]
        answer: Callable[[Any], Any] = getattr(self, f"_{name}")
        asked = json.loads(str(request.body, "utf-8") if isinstance(request.body, bytes) else str(request.body))
        try:
            return response(request, 200, answer(asked))
        except TooLargeError:
            error = {"__type": "com.amazonaws#ValidationException", "message": "Item size has exceeded the maximum"}
            return response(request, 400, error)
        except ConditionError:
            error = {"__type": "com.amazonaws#ConditionalCheckFailedException", "message": "no"}
            return response(request, 400, error)

    def _partition(self, table: str, key: Item) -> tuple[dict[Any, Item], Any]:
        partition, sort = ("stream", "number") if "number" in key else ("pk", "sk")
        sort_key = int(key[sort]["N"]) if sort == "number" else key[sort]["S"]
        return self._tables.setdefault(table, {}).setdefault(key[partition]["S"], {}), sort_key

    def _check(self, asked: Any, current: Item | None) -> None:
        condition = asked.get("ConditionExpression")
        values = asked.get("ExpressionAttributeValues", {})
        holds: dict[str | None, Callable[[], bool]] = {
            None: lambda: True,
            "attribute_not_exists(#stream)": lambda: current is None,
            "attribute_not_exists(pk)": lambda: current is None,
            "attribute_exists(pk)": lambda: current is not None,
            "#data = :old": lambda: current is not None and current["data"] == values[":old"],
            "version = :before": lambda: current is not None and current["version"] == values[":before"],
            "version = :version": lambda: current is not None and current["version"] == values[":version"],
        }
        if not holds[condition]():
            raise ConditionError

    def _PutItem(self, asked: Any) -> Any:  # noqa: N802 - DynamoDB's name
        partition, key = self._partition(asked["TableName"], asked["Item"])
        self._check(asked, partition.get(key))
        partition[key] = _fitting(asked["Item"])
        return {}

    def _GetItem(self, asked: Any) -> Any:  # noqa: N802
        partition, key = self._partition(asked["TableName"], asked["Key"])
        return {"Item": partition[key]} if key in partition else {}

    def _DeleteItem(self, asked: Any) -> Any:  # noqa: N802
        partition, key = self._partition(asked["TableName"], asked["Key"])
        self._check(asked, partition.get(key))
        partition.pop(key, None)
        return {}

    def _UpdateItem(self, asked: Any) -> Any:  # noqa: N802
        partition, key = self._partition(asked["TableName"], asked["Key"])
        self._check(asked, partition.get(key))
        values = asked["ExpressionAttributeValues"]
        changed = dict(partition[key])
        expression = asked["UpdateExpression"]
        if expression == "SET expires = :at":
            changed["expires"] = values[":at"]
        elif expression in ("SET #data = :new", "SET #data = :new REMOVE expires"):
            changed["data"] = values[":new"]
            if expression.endswith("expires"):
                changed.pop("expires", None)
        else:
            raise KeyError(expression)
        partition[key] = _fitting(changed)
        return {}

    def _BatchGetItem(self, asked: Any) -> Any:  # noqa: N802
        ((table, wanted),) = asked["RequestItems"].items()
        assert len(wanted["Keys"]) <= 100
        if self._late and not wanted["ConsistentRead"]:
            return {"Responses": {table: []}, "UnprocessedKeys": {}}
        done, left = wanted["Keys"], []
        if self._late and len(done) > 1:
            done, left = done[:1], done[1:]
        found = []
        for key in done:
            partition, sort = self._partition(table, key)
            if sort in partition:
                found.append(partition[sort])
        return {"Responses": {table: found}, "UnprocessedKeys": {table: wanted | {"Keys": left}} if left else {}}

    def _BatchWriteItem(self, asked: Any) -> Any:  # noqa: N802
        ((table, requests),) = asked["RequestItems"].items()
        assert len(requests) <= 25
        left = requests[1:] if self._late else []
        for request in requests[:1] if self._late else requests:
            self._PutItem({"TableName": table, "Item": request["PutRequest"]["Item"]})
        return {"UnprocessedItems": {table: left} if left else {}}

    def _Query(self, asked: Any) -> Any:  # noqa: N802
        values = asked["ExpressionAttributeValues"]
        table = self._tables.setdefault(asked["TableName"], {})
        chosen: dict[str, Callable[[Any], bool]] = {
            "#stream = :stream AND #number >= :after": lambda n: n >= int(values[":after"]["N"]),
            "#stream = :stream AND #number BETWEEN :after AND :upto": lambda n: (
                int(values[":after"]["N"]) <= n <= int(values[":upto"]["N"])
            ),
            "pk = :pk": lambda _: True,
        }
        wanted = chosen[asked["KeyConditionExpression"]]
        owner = values[":stream"]["S"] if ":stream" in values else values[":pk"]["S"]
        partition = table.get(owner, {})
        found = [key for key in sorted(partition) if wanted(key)]
        begin = int(asked.get("ExclusiveStartKey", {"at": {"N": "0"}})["at"]["N"])
        end = len(found) if self._page is None else begin + self._page
        answer = {"Items": [partition[key] for key in found[begin:end]]}
        return answer | ({"LastEvaluatedKey": {"at": {"N": str(end)}}} if end < len(found) else {})


def _fitting(item: Item) -> Item:
    """The item, if it is not larger than DynamoDB takes."""
    size = sum(
        len(name) + (len(b64decode(value["B"])) if "B" in value else len(next(iter(value.values()))))
        for name, value in item.items()
    )
    if size > 400 * 1024:
        raise TooLargeError
    return item


class TooLargeError(Exception):
    """An item of more than 400 KB."""


class ConditionError(Exception):
    """A condition does not hold."""
