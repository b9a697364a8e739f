"""A DynamoDB of dictionaries, behind the real botocore: for histories by the thousand, where moto takes too long.

It knows the operations, keys and conditions that the log and the rollups use, and refuses any other; the same histories
run against moto as well, so that the two are held to agree.
"""

import json
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

    def __init__(self) -> None:
        self._tables: dict[str, Table] = {}

    def __call__(self, request: AWSPreparedRequest) -> AWSResponse:
        operation = request.headers["X-Amz-Target"]
        name = (operation.decode() if isinstance(operation, bytes) else operation).rpartition(".")[2]
        answer: Callable[[Any], Any] = getattr(self, f"_{name}")
        asked = json.loads(str(request.body, "utf-8") if isinstance(request.body, bytes) else str(request.body))
        try:
            return response(request, 200, answer(asked))
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
        partition[key] = asked["Item"]
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
        partition[key] = changed
        return {}

    def _BatchGetItem(self, asked: Any) -> Any:  # noqa: N802
        ((table, wanted),) = asked["RequestItems"].items()
        assert len(wanted["Keys"]) <= 100
        found = []
        for key in wanted["Keys"]:
            partition, sort = self._partition(table, key)
            if sort in partition:
                found.append(partition[sort])
        return {"Responses": {table: found}, "UnprocessedKeys": {}}

    def _BatchWriteItem(self, asked: Any) -> Any:  # noqa: N802
        ((table, requests),) = asked["RequestItems"].items()
        assert len(requests) <= 25
        for request in requests:
            self._PutItem({"TableName": table, "Item": request["PutRequest"]["Item"]})
        return {"UnprocessedItems": {}}

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
        return {"Items": [partition[key] for key in sorted(partition) if wanted(key)]}


class ConditionError(Exception):
    """A condition does not hold."""
