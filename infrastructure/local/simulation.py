"""AWS in this process: moto, mended where it loses updates under threads or slows down as queues and tables grow.

moto is not made for threads: eight of them adding 1 to a counter lose some of it, and a message sent while another
is being deleted can vanish; it delivers a FIFO group out of order after a failure; and it breaks at a part of an
upload that is gone. It copies whole tables for each item of a transaction, and sorts a whole table for a query of one
partition. The mending here makes all of it exact, and no slower as tables grow; it works for mocked clients and for
moto's server.
"""

from __future__ import annotations

import copy
import functools
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import botocore.session
import moto.core.responses
from moto import backend_index, mock_aws
from moto.core.base_backend import BaseBackend
from moto.core.serialize import JSONSerializer
from moto.core.utils import method_names_from_class
from moto.dynamodb.models import DynamoDBBackend, dynamodb_backends
from moto.dynamodb.models.dynamo_type import DynamoType, Item
from moto.dynamodb.models.table import Table
from moto.dynamodb.responses import DynamoHandler
from moto.s3.exceptions import NoSuchUpload
from moto.s3.models import S3Backend
from moto.sqs.models import Message, SQSBackend

DYNAMODB = threading.RLock()
SQS = threading.RLock()

_OURS = {"dynamodb", "s3", "sqs", "ssm", "sesv2"}
_AS_THEY_ARE = {"S", "B", "BOOL"}
"""Types of attributes that are kept as what they stand for."""
_WRITTEN_AS_THEY_ARE = {"S", "N", "BOOL"}
"""Types of attributes whose values JSON has as they are kept."""
LONG_POLL_STEP = 0.1
"""Seconds after which a waiting receive looks again: messages become visible without telling anyone."""
FIVE_YEARS = 5 * 365 * 86400
"""DynamoDB leaves items alone that would have expired longer ago: they are taken for mistakes."""


def mend() -> None:
    """Make moto exact under threads; calling it again changes nothing."""
    _locked(DynamoHandler, "call_action", DYNAMODB)
    for name in (
        "create_queue",
        "send_message",
        "send_message_batch",
        "delete_message",
        "delete_message_batch",
        "change_message_visibility",
        "change_message_visibility_batch",
        "get_queue_attributes",
        "set_queue_attributes",
        "purge_queue",
    ):
        _locked(SQSBackend, name, SQS)
    if not hasattr(DynamoDBBackend.transact_write_items, "mended"):
        setattr(DynamoDBBackend, "transact_write_items", _transacting(DynamoDBBackend.transact_write_items))  # noqa: B010
    if not hasattr(Table.query, "mended"):
        setattr(Table, "query", _querying(Table.query))  # noqa: B010
        _hasten()
    # It lists every attribute of the queue, some by counting messages, for each message received.
    SQSBackend.is_message_valid_based_on_retention_period = _never_too_old  # type: ignore[method-assign, assignment]
    for name in ("upload_part", "complete_multipart_upload"):
        if not hasattr(getattr(S3Backend, name), "mended"):
            setattr(S3Backend, name, _uploading(getattr(S3Backend, name)))
    if not hasattr(SQSBackend.receive_message, "mended"):
        setattr(SQSBackend, "receive_message", _receiving(SQSBackend.receive_message))  # noqa: B010


def _locked(owner: type, name: str, lock: AbstractContextManager[object]) -> None:
    original: Callable[..., Any] = getattr(owner, name)
    if hasattr(original, "mended"):
        return

    @functools.wraps(original)
    def call(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - whatever the wrapped method takes and gives
        with lock:
            return original(*args, **kwargs)

    call.mended = True  # type: ignore[attr-defined]
    setattr(owner, name, call)


def _transacting(original: Callable[..., None]) -> Callable[..., None]:
    """A transaction that keeps what its own items were, for if it fails."""

    @functools.wraps(original)
    def transact(backend: DynamoDBBackend, transact_items: list[dict[str, Any]]) -> None:
        with DYNAMODB:
            before = list(_standing(backend, transact_items))
            setattr(Table, "__deepcopy__", lambda table, _: table)  # noqa: B010 - the copies that moto would go back to
            try:
                original(backend, transact_items)
            except Exception:
                for items, key, item in before:
                    if item is None:
                        items.pop(key, None)
                    else:
                        items[key] = item
                raise
            finally:
                del Table.__deepcopy__  # type: ignore[attr-defined]

    transact.mended = True  # type: ignore[attr-defined]
    return transact


def _standing(
    backend: DynamoDBBackend, transact_items: list[dict[str, Any]]
) -> Iterator[tuple[dict[DynamoType, Any], DynamoType, Item | None]]:
    """What a transaction may change, as it was before: where it stands, under which key, and a copy if it is there.

    What names no table or no key is left out: moto refuses it.
    """
    for operation in (each for item in transact_items for each in item.values()):
        table, key = backend.tables.get(operation.get("TableName")), operation.get("Key") or operation.get("Item", {})
        names = [table.hash_key_attr, table.range_key_attr] if table else []
        if table is None or not all(name in key for name in names if name):
            continue
        hashed, *ranged = (DynamoType(key[name]) for name in names if name)
        items: dict[DynamoType, Any] = table.items[hashed] if ranged else table.items
        found = ranged[0] if ranged else hashed
        yield items, found, copy.deepcopy(items.get(found))


def _querying(original: Callable[..., Any]) -> Callable[..., Any]:
    """A query that sees the partition that it is for, and no other. No table has an index, which would need all."""

    @functools.wraps(original)
    def query(table: Table, hash_key: DynamoType, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        with DYNAMODB:
            every = table.items
            table.items = {hash_key: every[hash_key]} if hash_key in every else {}  # type: ignore[assignment]
            try:
                return original(table, hash_key, *args, **kwargs)
            finally:
                table.items = every

    query.mended = True  # type: ignore[attr-defined]
    return query


def _hasten() -> None:
    """Spares moto what it works out anew for every call, attribute and comparison, with the same result."""
    # Sessions come and go in moto. AWS's models, which take a fifth of a second to read, stay.
    setattr(botocore.session, "create_loader", functools.cache(botocore.session.create_loader))  # noqa: B010
    setattr(moto.core.responses, "method_names_from_class", functools.cache(method_names_from_class))  # noqa: B010
    # S3's are made by loading a module again.
    made: Callable[[BaseBackend], dict[str, Any]] = BaseBackend.urls.fget  # type: ignore[attr-defined]
    known: dict[type[BaseBackend], dict[str, Any]] = {}
    # Looked through from the first on for each call.
    backend_index.backend_url_patterns.sort(key=lambda entry: entry[0] not in _OURS)
    cast: Callable[[DynamoType], Any] = DynamoType.cast_value.fget  # type: ignore[attr-defined]
    serialize = JSONSerializer._serialize_type_structure  # noqa: SLF001

    def urls(backend: BaseBackend) -> dict[str, Any]:
        if type(backend) not in known:
            known[type(backend)] = made(backend)
        return known[type(backend)]

    def cast_value(value: DynamoType) -> Any:  # noqa: ANN401
        return value.value if value.type in _AS_THEY_ARE else cast(value)

    def serialize_structure(
        serializer: JSONSerializer,
        serialized: dict[str, Any],
        value: Any,  # noqa: ANN401
        shape: Any,  # noqa: ANN401
        key: str,
    ) -> None:
        if shape.name == "AttributeValue" and isinstance(value, dict) and value.keys() <= _WRITTEN_AS_THEY_ARE:
            serialized[key] = value
        else:
            serialize(serializer, serialized, value, shape, key)

    setattr(BaseBackend, "urls", property(urls))  # noqa: B010
    setattr(DynamoType, "cast_value", property(cast_value))  # noqa: B010
    setattr(JSONSerializer, "_serialize_type_structure", serialize_structure)  # noqa: B010


def _uploading(original: Callable[..., Any]) -> Callable[..., Any]:
    """A call for an upload that knows what to say if there is none."""

    @functools.wraps(original)
    def upload(backend: S3Backend, bucket_name: str, multipart_id: str, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        if multipart_id not in backend.get_bucket(bucket_name).multiparts:
            raise NoSuchUpload(upload_id=multipart_id)
        return original(backend, bucket_name, multipart_id, *args, **kwargs)

    upload.mended = True  # type: ignore[attr-defined]
    return upload


def _never_too_old(_backend: SQSBackend, _queue: str, _message: Message) -> bool:
    return True


def _receiving(original: Callable[..., list[Message]]) -> Callable[..., list[Message]]:
    """A receive that holds the lock only while it looks, never while it waits."""

    @functools.wraps(original)
    def receive(  # noqa: PLR0913, PLR0917 - as moto has it
        backend: SQSBackend,
        queue_name: str,
        count: int,
        wait_seconds_timeout: int,
        visibility_timeout: int,
        message_attribute_names: list[str] | None = None,
    ) -> list[Message]:
        until = time.monotonic() + wait_seconds_timeout
        while True:
            queue, found = backend.get_queue(queue_name), list[Message]()
            if queue._messages:  # noqa: SLF001 - who only waits for some is to cost nothing
                with SQS:
                    # moto lets go of them one by one while it looks, and would deliver a FIFO group's second message
                    # before its first when both come again.
                    queue.pending_messages.difference_update([m for m in queue.pending_messages if m.visible])
                    found = original(backend, queue_name, count, 0, visibility_timeout, message_attribute_names)
            left = until - time.monotonic()
            if found or left <= 0:
                return found
            with queue._messages_lock:  # noqa: SLF001 - what a sender notifies
                queue._messages_lock.wait(min(left, LONG_POLL_STEP) if queue._messages else left)  # noqa: SLF001

    receive.mended = True  # type: ignore[attr-defined]
    return receive


@contextmanager
def simulated() -> Iterator[None]:
    """While this is open, every AWS client of the process, in any thread, talks to moto."""
    mend()
    with mock_aws():
        yield


def expire(now: float) -> int:
    """Delete the items whose time to live has passed, which moto never does; how many went."""
    with DYNAMODB:
        return sum(
            _expire_table(table, now)
            for account in list(dynamodb_backends.values())
            for backend in list(account.values())
            for table in list(backend.tables.values())
        )


def _expire_table(table: Table, now: float) -> int:
    if table.ttl.get("TimeToLiveStatus") not in ("ENABLED", "ENABLING"):
        return 0
    attribute = table.ttl["AttributeName"]
    old = [
        item
        for item in list(table.all_items())
        if attribute in item.attrs
        and item.attrs[attribute].type == "N"
        and now - FIVE_YEARS < float(item.attrs[attribute].value) < now
    ]
    for item in old:
        table.delete_item(item.hash_key, item.range_key)
    return len(old)
