"""Calls to DynamoDB that several stores make: consistent reads of many items, transactions, writes that happen once.

What goes wrong is told in our own words: `Unavailable` if nothing was done, `Uncertain` if nobody can say. Nothing
here goes on longer than the request for which it is done (`core.deadlines`).
"""

import random
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import copy_context
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from botocore.exceptions import BotoCoreError, ClientError, ConnectTimeoutError, EndpointConnectionError

from chalicelib.core import deadlines
from chalicelib.core.errors import Unavailable, Uncertain

from .clients import LOST, OutOfTime

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

T = TypeVar("T")
Item = Mapping[str, Any]
"""As DynamoDB has it: attribute names to typed values."""
AT_ONCE = 100
"""Keys of one BatchGetItem, and members of one transaction."""
DELETED_AT_ONCE = 25
BESIDE = 8
"""Calls of one request that are under way at the same time: half of the connections that a client keeps."""
TRIES = 12
FAILED = "ConditionalCheckFailed"
_LATER = {
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "ThrottlingException",
    "TransactionConflictException",
    "TransactionInProgressException",
}
"""What DynamoDB refuses for now, without having done anything."""
_COLLIDED = {"TransactionConflict", "ProvisionedThroughputExceeded", "ThrottlingError", "None"}


class Key(NamedTuple):
    """Where an item stands."""

    table: str
    pk: str
    sk: str

    @property
    def words(self) -> dict[str, dict[str, str]]:
        """As DynamoDB wants it."""
        return {"pk": {"S": self.pk}, "sk": {"S": self.sk}}


class Cancelled(Exception):
    """A transaction did nothing, for a condition of one of its members does not hold.

    `reasons` are DynamoDB's codes in the order of the members; `items` what stood there instead, where that was
    asked for.
    """

    def __init__(self, reasons: Sequence[str], items: Sequence[Item | None], *, lost: bool = False) -> None:
        super().__init__(f"{list(reasons)}")
        self.reasons = reasons
        self.items = items
        self.lost = lost
        """Whether an attempt before was not answered, so that what stands in the way may be our own work."""

    def failed(self, member: int) -> bool:
        """Whether this member's condition does not hold."""
        return self.reasons[member] == FAILED


class NothingDone(Unavailable):
    """It was refused, or not even asked for."""


@contextmanager
def answering() -> Iterator[None]:
    """Turns what AWS could not do into `Unavailable`: around calls that may be repeated."""
    try:
        yield
    except (BotoCoreError, ClientError) as error:
        raise Unavailable(f"DynamoDB: {code(error)}") from error


def code(error: Exception) -> str:
    """DynamoDB's code for an error, or the kind of failure on the way to it."""
    if isinstance(error, ClientError):
        return error.response["Error"]["Code"]
    return type(error).__name__


def fetch(client: "DynamoDBClient", keys: Collection[Key]) -> dict[Key, Item | None]:
    """Reads items, each as it is at one moment of this call; None for those that are not there.

    Raises:
        Unavailable: DynamoDB does not answer, or leaves keys unread again and again.
    """
    found: dict[Key, Item | None] = dict.fromkeys(keys)
    left = list(found)
    for attempt in range(TRIES):
        if attempt:
            pause(attempt)
        unread: list[Key] = []
        for start in range(0, len(left), AT_ONCE):
            unread += _fetch(client, left[start : start + AT_ONCE], found)
        left = unread
        if not left:
            return found
    raise Unavailable("DynamoDB leaves keys unread")


def _fetch(client: "DynamoDBClient", keys: Sequence[Key], found: dict[Key, Item | None]) -> list[Key]:
    """Reads what one call can, and says what it left."""
    wanted: dict[str, Any] = {}
    for key in keys:
        wanted.setdefault(key.table, {"Keys": [], "ConsistentRead": True})["Keys"].append(key.words)
    with answering():
        answer = client.batch_get_item(RequestItems=wanted)
    for table, items in answer["Responses"].items():
        for item in items:
            found[_key(table, item)] = item
    unread: Mapping[str, Any] = answer.get("UnprocessedKeys", {})
    return [_key(table, key) for table, left in unread.items() for key in left["Keys"]]


def _key(table: str, item: Item) -> Key:
    return Key(table, item["pk"]["S"], item["sk"]["S"])


def query(client: "DynamoDBClient", table: str, pk: str, low: str, high: str, **more: object) -> Iterator[Item]:
    """The items of a partition with sort keys from `low` to `high`, both included, in order, page by page.

    Raises:
        Unavailable: DynamoDB does not answer.
    """
    if low > high:
        return  # DynamoDB calls a range that ends before it begins an error
    asked: dict[str, Any] = {
        "TableName": table,
        "KeyConditionExpression": "pk = :pk AND sk BETWEEN :low AND :high",
        "ExpressionAttributeValues": {":pk": {"S": pk}, ":low": {"S": low}, ":high": {"S": high}},
        "ConsistentRead": True,
        **more,
    }
    while True:
        with answering():
            page = client.query(**asked)
        yield from page["Items"]
        if "LastEvaluatedKey" not in page:
            return
        asked["ExclusiveStartKey"] = page["LastEvaluatedKey"]


def transact(client: "DynamoDBClient", members: Sequence[Mapping[str, Any]]) -> None:
    """Does all of it or nothing. The caller must recognise its own work: a repeated call may find it done.

    Raises:
        Cancelled: a condition does not hold.
        NothingDone: DynamoDB refuses it, or there is no time left; too many others write the same items.
        Unavailable: an answer was lost: it is done, or it is not.
    """
    told = [_telling(member) for member in members]
    lost = False
    for attempt in range(TRIES):
        if attempt:
            try:
                pause(attempt)
            except NothingDone as error:
                raise _unsure(error, lost=lost) from None
        try:
            client.transact_write_items(TransactItems=told)  # type: ignore[arg-type]  # the stubs want typed dicts
        except client.exceptions.TransactionCanceledException as error:
            response: Mapping[str, Any] = error.response
            reasons = response.get("CancellationReasons", [])
            codes = [reason.get("Code", "None") for reason in reasons]
            if FAILED in codes or not set(codes) <= _COLLIDED:
                items = [reason.get("Item") for reason in reasons]
                raise Cancelled(codes, items, lost=lost or _lost(error)) from None
            lost = lost or _lost(error)
        except (BotoCoreError, ClientError) as error:
            lost = lost or _lost(error)
            if code(error) not in _LATER:
                raise _unsure(NothingDone(f"DynamoDB: {code(error)}"), lost=lost) from error
        else:
            return
    raise _unsure(NothingDone("too many write the same at once"), lost=lost)


def _lost(error: BotoCoreError | ClientError) -> bool:
    """Whether a call that failed like this may have taken effect, in one of its attempts."""
    if isinstance(error, ClientError):
        metadata: Mapping[str, Any] = error.response.get("ResponseMetadata", {})
        return bool(metadata.get(LOST)) or metadata.get("HTTPStatusCode", 500) >= 500
    return bool(error.kwargs.get(LOST, True))


def _unsure(error: NothingDone, *, lost: bool) -> Unavailable:
    """The error, which says that nothing was done only if that is known."""
    return Unavailable(str(error)) if lost else error


def _telling(member: Mapping[str, Any]) -> dict[str, Any]:
    """A transaction's member that shows what stood in its way."""
    ((operation, words),) = member.items()
    return {operation: {**words, "ReturnValuesOnConditionCheckFailure": "ALL_OLD"}}


def update(client: "DynamoDBClient", **words: Any) -> Item:  # noqa: ANN401 - as DynamoDB has them
    """An update that happens at most once. `client` makes one attempt only (`clients.dynamodb_once`).

    Returns the attributes that `ReturnValues` asks for: `ALL_OLD` or `ALL_NEW`, never `UPDATED_OLD` or `UPDATED_NEW`.
    Which attributes these list is answered differently: AWS lists all that the expression names, others only those
    whose values became others, and nothing at all where none did.

    Raises:
        Cancelled: its condition does not hold.
        Unavailable: nothing was done.
        Uncertain: the answer was lost.
    """
    for attempt in range(TRIES):
        if attempt:
            pause(attempt)
        try:
            return client.update_item(**words).get("Attributes", {})
        except ClientError as error:
            if code(error) == "ConditionalCheckFailedException":
                response: Mapping[str, Any] = error.response
                raise Cancelled([FAILED], [response.get("Item")]) from None
            if error.response["ResponseMetadata"]["HTTPStatusCode"] >= 500:
                raise Uncertain(f"DynamoDB: {code(error)}") from error
            if code(error) not in _LATER:
                raise Unavailable(f"DynamoDB: {code(error)}") from error
        except (OutOfTime, ConnectTimeoutError, EndpointConnectionError) as error:
            raise Unavailable(f"DynamoDB: {code(error)}") from error  # it was never asked
        except BotoCoreError as error:
            raise Uncertain(f"DynamoDB: {code(error)}") from error
    raise Unavailable("too many write the same at once")


def side_by_side(tasks: Sequence[Callable[[], T]]) -> list[T]:
    """What tasks return, in their order. They run at the same time, at most `BESIDE` of them; all have ended before
    this does, and if some raise, then so does this what the first of them raised.
    """
    if len(tasks) <= 1:
        return [task() for task in tasks]
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - few requests need it

    with ThreadPoolExecutor(min(len(tasks), BESIDE)) as pool:
        # Each runs in a copy of the caller's context: its deadline is theirs, too.
        running = [pool.submit(copy_context().run, task) for task in tasks]
    return [one.result() for one in running]


def delete(client: "DynamoDBClient", keys: Sequence[Key]) -> None:
    """Deletes items, at most `DELETED_AT_ONCE`; those that are gone are fine.

    Raises:
        Unavailable: not all of them are deleted.
    """
    requests: dict[str, Any] = {}
    for key in keys:
        requests.setdefault(key.table, []).append({"DeleteRequest": {"Key": key.words}})
    for attempt in range(TRIES):
        if attempt:
            pause(attempt)
        with answering():
            requests = dict(client.batch_write_item(RequestItems=requests).get("UnprocessedItems", {}))
        if not requests:
            return
    raise Unavailable("DynamoDB leaves items undeleted")


def pause(attempt: int) -> None:
    """Waits a little, longer each time and never as long as another does.

    Raises:
        NothingDone: there is no time left for that.
    """
    try:
        deadlines.wait(random.uniform(0.2, 1.0) * min(0.01 * 2**attempt, 0.5))  # noqa: S311 - no secret
    except Unavailable as error:
        raise NothingDone(str(error)) from None


def after_all(look: Callable[[], T]) -> T:
    """What a look shows after a write that was done.

    Raises:
        Uncertain: nobody answers it.
    """
    try:
        return look()
    except Unavailable as error:
        raise Uncertain(str(error)) from error


def found_out(error: Unavailable, look: Callable[[], T]) -> T:
    """What a look shows after a write that nobody answered.

    Raises:
        Uncertain: nobody answers that either.
    """
    try:
        return look()
    except Unavailable:
        raise Uncertain(str(error)) from error
