"""DynamoDB's operations over tables in memory, and what they cost."""

import json
import random
import threading
import time
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

from botocore.awsrequest import AWSPreparedRequest, AWSResponse

from infrastructure.bench import units
from infrastructure.bench.meter import Bill

from .expressions import Expressions, Range
from .routing import operation, response
from .tables import Key, Partition, Stored, Table, defined
from .values import Item, Refused, Value, invalid

Asked = Mapping[str, Any]

TOKEN_LIFE = 600
"""Seconds for which a transaction is known by its token."""
LONGEST_TOKEN = 36
LARGEST_TRANSACTION, TRANSACTION_BYTES = 100, 4 * 1024 * 1024
READ_AT_ONCE, WRITTEN_AT_ONCE = 100, 25
_COMMON = {"TableName", "ExpressionAttributeNames", "ReturnConsumedCapacity", "ReturnItemCollectionMetrics"}
_WRITE = _COMMON | {
    "ConditionExpression",
    "ExpressionAttributeValues",
    "ReturnValues",
    "ReturnValuesOnConditionCheckFailure",
}
_KNOWN: Mapping[str, set[str]] = {
    "GetItem": _COMMON | {"Key", "ConsistentRead", "ProjectionExpression"},
    "PutItem": _WRITE | {"Item"},
    "DeleteItem": _WRITE | {"Key"},
    "UpdateItem": _WRITE | {"Key", "UpdateExpression"},
    "Query": _COMMON
    | {
        "ConsistentRead",
        "ExclusiveStartKey",
        "ExpressionAttributeValues",
        "FilterExpression",
        "KeyConditionExpression",
        "Limit",
        "ProjectionExpression",
        "ScanIndexForward",
        "Select",
    },
    "BatchGetItem": {"RequestItems", "ReturnConsumedCapacity"},
    "BatchWriteItem": {"RequestItems", "ReturnConsumedCapacity", "ReturnItemCollectionMetrics"},
    "TransactWriteItems": {
        "TransactItems",
        "ClientRequestToken",
        "ReturnConsumedCapacity",
        "ReturnItemCollectionMetrics",
    },
    "TransactGetItems": {"TransactItems", "ReturnConsumedCapacity"},
}
_MEMBERS: Mapping[str, set[str]] = {
    "Put": _WRITE - {"ReturnValues"} | {"Item"},
    "Delete": _WRITE - {"ReturnValues"} | {"Key"},
    "Update": _WRITE - {"ReturnValues"} | {"Key", "UpdateExpression"},
    "ConditionCheck": _WRITE - {"ReturnValues"} | {"Key"},
    "Get": _COMMON | {"Key", "ProjectionExpression"},
}
_RETURNED: Mapping[str, set[str]] = {
    "PutItem": {"NONE", "ALL_OLD"},
    "DeleteItem": {"NONE", "ALL_OLD"},
    "UpdateItem": {"NONE", "ALL_OLD", "ALL_NEW", "UPDATED_OLD", "UPDATED_NEW"},
}
_FAILED = "The conditional request failed"


class _Write(NamedTuple):
    """A write that was found valid, before it is decided."""

    table: Table
    key: Key
    old: Stored | None
    new: Stored | None
    touched: set[str]
    changes: bool = True
    """Whether there is anything to write: a check has nothing."""


class Dynamo:
    """Tables by name; each call is answered at once, by one thread at a time."""

    def __init__(
        self,
        *,
        late: bool = False,
        page: int | None = None,
        hostile: random.Random | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        """With `late`, what is read without strong consistency is once as it was before the last write, and batches
        do one thing at a time. With `page`, a page of a query has so many items, where DynamoDB has a megabyte. With
        `hostile`, one call in ten is throttled or meets a transaction, and does nothing. `now` ends tokens.
        """
        self.bill = Bill()
        """What was asked for, by table: calls by operation, units, items."""
        self._tables = defined()
        self._late = late
        self._page = page
        self._hostile = hostile
        self._now = now
        self._tokens: dict[str, tuple[float, str]] = {}
        self._lock = threading.RLock()

    # What tests ask

    def copy(self, **options: Any) -> "Dynamo":
        """The same tables, apart from these, with a new bill, new tokens and such options."""
        made = Dynamo(**options)
        with self._lock:
            made._tables = {name: table.copy() for name, table in self._tables.items()}
        return made

    def items(self, table: str) -> list[Item]:
        """Everything in a table, as DynamoDB writes it, by partition and sort key."""
        with self._lock:
            return list(self._tables[table].items())

    def holding(self, text: str) -> list[Item]:
        """Every item of any table in which a text occurs, be it in a key, a name or a value."""
        with self._lock:
            return [
                item
                for table in self._tables.values()
                for item in table.items()
                if text in json.dumps(item, ensure_ascii=False)
            ]

    def expire(self, now: float, attribute: str = "expires") -> None:
        """Removes what has ended."""
        with self._lock:
            for table in self._tables.values():
                table.expire(now, attribute)

    @contextmanager
    def metered(self) -> Iterator[Bill]:
        """Gives a bill that says, once this is closed, what was asked for meanwhile."""
        before, spent = self.bill.copy(), Bill()
        yield spent
        found = self.bill - before
        spent.__dict__.update(found.__dict__)

    # The door

    def __call__(self, request: AWSPreparedRequest) -> AWSResponse:
        asked = json.loads(str(request.body, "utf-8") if isinstance(request.body, bytes) else str(request.body))
        try:
            return response(request, 200, self.answer(operation(request)[1], asked))
        except Refused as refused:
            said = {"__type": f"com.amazonaws.dynamodb.v20120810#{refused.code}", "message": refused.message}
            status = 500 if refused.code == "InternalServerError" else 400
            return response(request, status, {**said, **refused.extra})

    def answer(self, name: str, asked: Asked) -> Any:
        """The answer to a request, both as JSON has them.

        Raises:
            Refused: an error is the answer.
            NotImplementedError: this is not known here.
        """
        if name not in _KNOWN or asked.keys() - _KNOWN[name]:
            raise NotImplementedError(f"{name} with {sorted(asked)}")
        act: Callable[[Asked], Any] = getattr(self, f"_{name}")
        with self._lock:
            self.bill.calls[name] += 1
            self._be_hostile(name, asked)
            return act(asked)

    def _be_hostile(self, name: str, asked: Asked) -> None:
        if self._hostile is None or self._hostile.random() >= 0.1:
            return
        kinds = ["ProvisionedThroughputExceededException", "ThrottlingException", "InternalServerError"]
        if name == "TransactWriteItems":
            codes = ["None"] * len(asked["TransactItems"])
            codes[self._hostile.randrange(len(codes))] = self._hostile.choice(
                ["TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"]
            )
            raise _cancelled([{"Code": code, "Message": "Transaction is ongoing for the item"} for code in codes])
        if name in ("PutItem", "UpdateItem", "DeleteItem"):
            kinds.append("TransactionConflictException")
        raise Refused(self._hostile.choice(kinds), "as it may happen")

    def _table(self, asked: Asked) -> Table:
        return self._named(asked["TableName"])

    def _named(self, name: str) -> Table:
        if name not in self._tables:
            raise Refused("ResourceNotFoundException", f"Requested resource not found: Table: {name} not found")
        return self._tables[name]

    # Writes

    def _PutItem(self, asked: Asked) -> Any:  # noqa: N802 - DynamoDB's name
        return self._single("PutItem", self._put, asked)

    def _DeleteItem(self, asked: Asked) -> Any:  # noqa: N802
        return self._single("DeleteItem", self._delete, asked)

    def _UpdateItem(self, asked: Asked) -> Any:  # noqa: N802
        return self._single("UpdateItem", self._update, asked)

    def _single(self, name: str, plan: Callable[[Asked], _Write], asked: Asked) -> Any:
        returned = asked.get("ReturnValues", "NONE")
        if returned not in _RETURNED[name]:
            raise invalid("Return values set to invalid value")
        try:
            write = plan(asked)
        except Refused as refused:
            if refused.code == "ConditionalCheckFailedException":
                self._charge_refused(asked, transaction=False)
            raise
        self._commit(write, transaction=False)
        old = write.old.item if write.old else {}
        new = write.new.item if write.new else {}
        attributes = {
            "NONE": {},
            "ALL_OLD": old,
            "ALL_NEW": new,
            "UPDATED_OLD": _differing(old, new, write.touched),
            "UPDATED_NEW": _differing(new, old, write.touched),
        }[returned]
        return {"Attributes": attributes} if attributes else {}

    def _put(self, asked: Asked) -> _Write:
        table = self._table(asked)
        expressions = Expressions(asked)
        stored = table.stored(asked["Item"])
        key = table.key(stored.item)
        old = self._conditioned(asked, expressions, table.get(key))
        return _Write(table, key, old, stored, set())

    def _delete(self, asked: Asked) -> _Write:
        table = self._table(asked)
        key = table.lone_key(asked["Key"])
        old = self._conditioned(asked, Expressions(asked), table.get(key))
        return _Write(table, key, old, None, set())

    def _update(self, asked: Asked) -> _Write:
        table = self._table(asked)
        key = table.lone_key(asked["Key"])
        expressions = Expressions(asked)
        named = expressions.tree("UpdateExpression") or ()
        for name in {str(expressions.resolved(action.path)[0]) for action in named} & table.keys.keys():
            raise invalid(
                "One or more parameter values were invalid: Cannot update attribute "
                f"{name}. This attribute is part of the key"
            )
        old = self._conditioned(asked, expressions, table.get(key))
        after, touched = expressions.updated(old.item if old else None, asked["Key"])
        if after is None:
            return _Write(table, key, None, None, touched)
        try:
            return _Write(table, key, old, table.stored(after), touched)
        except Refused as refused:
            if "Item size" in refused.message:
                raise invalid("Item size to update has exceeded the maximum allowed size") from None
            raise

    def _check(self, asked: Asked) -> _Write:
        table = self._table(asked)
        key = table.lone_key(asked["Key"])
        if "ConditionExpression" not in asked:
            raise invalid("The ConditionExpression is required in a ConditionCheck")
        old = self._conditioned(asked, Expressions(asked), table.get(key))
        return _Write(table, key, old, old, set(), changes=False)

    def _conditioned(self, asked: Asked, expressions: Expressions, current: Stored | None) -> Stored | None:
        condition = expressions.tree("ConditionExpression")
        if condition is None or expressions.holds(condition, current.item if current else {}):
            return current
        shown = current if asked.get("ReturnValuesOnConditionCheckFailure", "NONE") == "ALL_OLD" else None
        raise Refused("ConditionalCheckFailedException", _FAILED, **({"Item": shown.item} if shown else {}))

    def _commit(self, write: _Write, *, transaction: bool) -> None:
        sizes = [stored.size for stored in (write.old, write.new) if stored]
        self._charge_write(write.table, *sizes, transaction=transaction)
        if write.changes:
            self.bill.written[_short(write.table)] += 1
            if write.new:
                largest = self.bill.largest
                largest[_short(write.table)] = max(largest[_short(write.table)], write.new.size)
            write.table.write(write.key, write.new, late=self._late)

    def _charge_write(self, table: Table, *sizes: int, transaction: bool) -> int:
        spent = units.write_units(*sizes, transaction=transaction)
        self.bill.writes[_short(table)] += spent
        return spent

    def _charge_refused(self, asked: Asked, *, transaction: bool) -> None:
        """What a write costs that was not made: as much as if it had been, by the larger item."""
        table = self._table(asked)
        given = asked["Item"] if "Item" in asked else asked["Key"]
        old = table.get(table.key(given))
        sizes = [old.size] if old else []
        if "Item" in asked:
            sizes.append(table.stored(given).size)
        self.bill.wasted += self._charge_write(table, *sizes, transaction=transaction)

    def _BatchWriteItem(self, asked: Asked) -> Any:  # noqa: N802
        requests = [(name, request) for name, of in asked["RequestItems"].items() for request in of]
        if not 0 < len(requests) <= WRITTEN_AT_ONCE:
            raise invalid("Too many items requested for the BatchWriteItem call")
        writes = [self._batched(self._named(name), request) for name, request in requests]
        if len({(write.table.name, write.key) for write in writes}) < len(writes):
            raise invalid("Provided list of item keys contains duplicates")
        done = 1 if self._late else len(writes)
        for write in writes[:done]:
            self._commit(write, transaction=False)
        left: dict[str, list[Any]] = {}
        for name, request in requests[done:]:
            left.setdefault(name, []).append(request)
        return {"UnprocessedItems": left}

    def _batched(self, table: Table, request: Asked) -> _Write:
        match request:
            case {"PutRequest": {"Item": item}}:
                stored = table.stored(item)
                key = table.key(stored.item)
                return _Write(table, key, table.get(key), stored, set())
            case {"DeleteRequest": {"Key": lone}}:
                key = table.lone_key(lone)
                return _Write(table, key, table.get(key), None, set())
            case _:
                raise invalid("Supplied AttributeValue has more than one datatypes set")

    # Transactions

    def _TransactWriteItems(self, asked: Asked) -> Any:  # noqa: N802
        members = [_member(entry) for entry in asked["TransactItems"]]
        if not 0 < len(members) <= LARGEST_TRANSACTION:
            raise invalid("Member must have length less than or equal to 100")
        token = asked.get("ClientRequestToken")
        if token is not None and self._repeats(token, asked):
            for _, entry in members:
                table = self._table(entry)
                old = table.get(table.key(entry.get("Item") or entry["Key"]))
                self._charge_read(table, old.size if old else 0, consistent=True, times=2)
            return {}
        keys = [(entry["TableName"], self._table(entry).key(entry.get("Item") or entry["Key"])) for _, entry in members]
        if len(set(keys)) < len(keys):
            raise invalid("Transaction request cannot include multiple operations on one item")
        writes, reasons = self._decided(members)
        if any(reason["Code"] != "None" for reason in reasons):
            for _, entry in members:
                self._charge_refused(entry, transaction=True)
            raise _cancelled(reasons)
        sizes = sum(write.new.size for write in writes if write.new and write.changes)
        if sizes > TRANSACTION_BYTES:
            raise invalid("Transaction request size exceeded the maximum")
        for write in writes:
            self._commit(write, transaction=True)
        if token is not None:
            self._tokens[token] = self._now(), _request(asked)
        return {}

    def _decided(self, members: list[tuple[str, Asked]]) -> tuple[list[_Write], list[dict[str, Any]]]:
        plans = {"Put": self._put, "Delete": self._delete, "Update": self._update, "ConditionCheck": self._check}
        writes: list[_Write] = []
        reasons: list[dict[str, Any]] = []
        for name, entry in members:
            Expressions(entry)  # what is wrong with these by themselves is the whole request's
            try:
                writes.append(plans[name](entry))
                reasons.append({"Code": "None"})
            except Refused as refused:
                if refused.code == "ConditionalCheckFailedException":
                    reasons.append({"Code": "ConditionalCheckFailed", "Message": refused.message, **refused.extra})
                elif _depends_on_item(refused):
                    reasons.append({"Code": "ValidationError", "Message": refused.message})
                else:
                    raise
        return writes, reasons

    def _repeats(self, token: str, asked: Asked) -> bool:
        if not 0 < len(token) <= LONGEST_TOKEN:
            raise invalid("Value at 'clientRequestToken' failed to satisfy constraint: length between 1 and 36")
        known = self._tokens.get(token)
        if known is None or self._now() - known[0] > TOKEN_LIFE:
            return False
        if known[1] != _request(asked):
            raise Refused("IdempotentParameterMismatchException", "The token was used for another transaction")
        return True

    def _TransactGetItems(self, asked: Asked) -> Any:  # noqa: N802
        members = [_member(entry) for entry in asked["TransactItems"]]
        if not 0 < len(members) <= LARGEST_TRANSACTION:
            raise invalid("Member must have length less than or equal to 100")
        answers = []
        for _, entry in members:
            table = self._table(entry)
            stored = table.get(table.lone_key(entry["Key"]))
            self._charge_read(table, stored.size if stored else 0, consistent=True, times=2)
            answers.append({"Item": Expressions(entry).projected(stored.item)} if stored else {})
        return {"Responses": answers}

    # Reads

    def _stale(self, asked: Asked) -> bool:
        return self._late and not asked.get("ConsistentRead", False)

    def _charge_read(self, table: Table, size: int, *, consistent: bool, times: int = 1) -> None:
        reads = self.bill.reads
        reads[_short(table)] = reads.get(_short(table), 0) + times * units.read_units(size, consistent=consistent)

    def _GetItem(self, asked: Asked) -> Any:  # noqa: N802
        table = self._table(asked)
        expressions = Expressions(asked)
        stored = table.read(table.lone_key(asked["Key"]), late=self._stale(asked))
        self._charge_read(table, stored.size if stored else 0, consistent=asked.get("ConsistentRead", False))
        return {"Item": expressions.projected(stored.item)} if stored else {}

    def _BatchGetItem(self, asked: Asked) -> Any:  # noqa: N802
        requested = sum(len(of["Keys"]) for of in asked["RequestItems"].values())
        if not 0 < requested <= READ_AT_ONCE:
            raise invalid("Too many items requested for the BatchGetItem call")
        responses: dict[str, list[Item]] = {}
        left: dict[str, Any] = {}
        room, done = units.BATCH, 0
        for name, of in asked["RequestItems"].items():
            table = self._named(name)
            expressions = Expressions(of)
            keys = [table.lone_key(key) for key in of["Keys"]]
            if len(set(keys)) < len(keys):
                raise invalid("Provided list of item keys contains duplicates")
            responses[name] = []
            for key, given in zip(keys, of["Keys"], strict=True):
                if room < 0 or (self._late and done and of.get("ConsistentRead", False)):
                    left.setdefault(name, {**of, "Keys": []})["Keys"].append(given)
                    continue
                stored = table.read(key, late=self._stale(of))
                self._charge_read(table, stored.size if stored else 0, consistent=of.get("ConsistentRead", False))
                done += 1
                if stored:
                    room -= stored.size
                    responses[name].append(expressions.projected(stored.item))
        return {"Responses": responses, "UnprocessedKeys": left}

    def _Query(self, asked: Asked) -> Any:  # noqa: N802
        table = self._table(asked)
        expressions = Expressions(asked)
        owner, wanted = expressions.range(str(table.partition), table.sort)
        self._query_checked(table, expressions, wanted, asked)
        late = self._stale(asked)
        place = table.part(str(table.partition), owner)
        partition = table.partitions.get(place) or Partition()
        found = _Page(self._page, asked.get("Limit"))
        condition = expressions.tree("FilterExpression")
        order = partition.between(wanted, late=late)
        start, forward = asked.get("ExclusiveStartKey"), asked.get("ScanIndexForward", True)
        for sort in _walk(table, owner, order, start, forward=forward):
            stored = table.read((place, sort), late=late)
            if stored is None:
                continue  # a late replica may not have it yet
            found.add(stored, kept=condition is None or expressions.holds(condition, stored.item))
            if found.full:
                break
        self._charge_read(table, found.size, consistent=asked.get("ConsistentRead", False))
        answer: dict[str, Any] = {"Count": len(found.items), "ScannedCount": found.scanned}
        if asked.get("Select") != "COUNT":
            answer["Items"] = [expressions.projected(item) for item in found.items]
        elif "ProjectionExpression" in asked:
            raise invalid("Cannot specify the ProjectionExpression when choosing to get only the Count")
        if found.full and found.last:
            answer["LastEvaluatedKey"] = table.named(found.last)
        return answer

    def _query_checked(self, table: Table, expressions: Expressions, wanted: Range | None, asked: Asked) -> None:
        for value in wanted.values if wanted else ():
            table.part(str(table.sort), value)
        if wanted and wanted.operator == "begins_with" and table.keys[str(table.sort)] == "N":
            raise invalid("Invalid operator used in KeyConditionExpression: begins_with on a number")
        for name in expressions.touched("FilterExpression") & table.keys.keys():
            raise invalid(f"Filter Expression can only contain non-primary key attributes: Primary key: {name}")
        if asked.get("Limit", 1) < 1:
            raise invalid("Limit must be greater than or equal to 1")


class _Page:
    """A page of a query as it fills."""

    def __init__(self, most: int | None, limit: int | None) -> None:
        self._most = min((given for given in (most, limit) if given is not None), default=None)
        self.items: list[Item] = []
        self.last: Item | None = None
        self.scanned = 0
        self.size = 0

    def add(self, stored: Stored, *, kept: bool) -> None:
        self.scanned += 1
        self.size += stored.size
        self.last = stored.item
        if kept:
            self.items.append(stored.item)

    @property
    def full(self) -> bool:
        return self.size > units.PAGE or (self._most is not None and self.scanned >= self._most)


def _walk(table: Table, owner: Value, order: list[Any], start: Item | None, *, forward: bool) -> Iterator[Any]:
    """The sort keys that a query goes through, in its order, without those that it has been through."""
    begin, end = 0, len(order)
    if start is not None:
        _, after = table.lone_key(start)
        if start[str(table.partition)] != owner:
            raise invalid("The provided starting key is outside query boundaries based on provided conditions")
        if forward:
            begin = bisect_right(order, after)
        else:
            end = bisect_left(order, after)
    return (order[at] for at in (range(begin, end) if forward else range(end - 1, begin - 1, -1)))


def _differing(shown: Item, other: Item, touched: set[str]) -> Item:
    """What `UPDATED_OLD` and `UPDATED_NEW` list: of what an expression names, that whose value became another.

    AWS lists all that the expression names. Other implementations list less, and what works with the least works with
    all of them.
    """
    return {name: value for name, value in shown.items() if name in touched and other.get(name) != value}


def _short(table: Table) -> str:
    return table.name.rpartition("-")[2]


def _member(entry: Asked) -> tuple[str, Asked]:
    """What a member of a transaction does, and to what."""
    if len(entry) != 1:
        raise invalid("TransactItems can only contain one of Check, Put, Update or Delete")
    ((name, of),) = entry.items()
    if name not in _MEMBERS or of.keys() - _MEMBERS[name]:
        raise NotImplementedError(f"{name} with {sorted(of)}")
    return name, of


def _request(asked: Asked) -> str:
    """What makes a transaction the same one."""
    return json.dumps(asked["TransactItems"], sort_keys=True)


def _cancelled(reasons: list[dict[str, Any]]) -> Refused:
    said = ", ".join(reason["Code"] for reason in reasons)
    plain = [reason if reason["Code"] != "None" else {"Code": "None"} for reason in reasons]
    return Refused(
        "TransactionCanceledException",
        f"Transaction cancelled, please refer cancellation reasons for specific reasons [{said}]",
        CancellationReasons=plain,
    )


_OF_ITEMS = (
    "refers to an attribute that does not exist",
    "incorrect data type",
    "Item size",
    "38 significant digits",
    "Number overflow",
    "document path provided in the update expression is invalid",
)


def _depends_on_item(refused: Refused) -> bool:
    """Whether it is what the table holds that makes a write impossible."""
    return any(said in refused.message for said in _OF_ITEMS)
