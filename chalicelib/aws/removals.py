"""What deletes left to be removed. A delete takes names and heads away, so that it shows at once; an entry made in the
same transaction stands for all that hung on them, until the function `remove` has removed it.

That waits a minute: whoever found the deleted things before has long finished by then, so no update ever meets
values of which a part is gone, and none comes after them.
"""

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from chalicelib.core.accounts import DOMAIN_PREFIX, Scope
from chalicelib.core.statistics import GROUP, STATISTIC

from . import calls, rolls
from .calls import Key

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient
    from types_boto3_sqs import SQSClient

PARTITION = "removals"
GRACE = 60
"""Seconds from a delete to its removal: twice what a request may take."""
ENOUGH = 20.0
"""Seconds that a function must have left to go on."""
FIRST, LAST = " ", "~"
"""Around every sort key of ours: they begin with a letter or a digit."""


@dataclass(frozen=True, slots=True)
class Removal:
    """Something that was deleted."""

    scope: Scope
    target: str
    """The id of a domain, a group or a statistic."""
    at: int
    """When it was deleted, in Unix seconds."""
    mark: str
    """Whose transaction deleted it."""


def key(table: str, scope: Scope, target: str) -> Key:
    """Where the entry of a deleted thing stands."""
    return Key(table, PARTITION, f"{scope.account}/{scope.domain}/{target}")


def entry(table: str, scope: Scope, target: str, now: float, mark: str) -> dict[str, Any]:
    """The member of a transaction that deletes `target`. By its `mark` a caller whose answer was lost knows its own."""
    return {
        "Put": {
            "TableName": table,
            "Item": {
                **key(table, scope, target).words,
                "account": {"S": scope.account},
                "domain": {"S": scope.domain},
                "target": {"S": target},
                "at": {"N": str(int(now))},
                "mark": {"S": mark},
            },
        }
    }


class Removals:
    """The entries, the queue that asks for them, and the work itself."""

    def __init__(
        self, dynamodb: "DynamoDBClient", sqs: "SQSClient", *, table: str, queue: str, clock: Callable[[], float]
    ) -> None:
        self._dynamodb = dynamodb
        self._sqs = sqs
        self._table = table
        self._queue = queue
        self._clock = clock

    def ask(self, scope: Scope, target: str, delay: int = GRACE) -> None:
        """Asks for a removal. If the queue refuses, the hourly schedule asks again: the entry says that it is due."""
        body = json.dumps({"account": scope.account, "domain": scope.domain, "target": target})
        try:
            self._sqs.send_message(QueueUrl=self._queue, MessageBody=body, DelaySeconds=delay)
        except (BotoCoreError, ClientError):
            logging.getLogger(__name__).warning("a removal could not be asked for")

    def find(self, scope: Scope, target: str) -> Removal | None:
        """The entry of a deleted thing; None if there is none, or no longer."""
        place = key(self._table, scope, target)
        item = calls.fetch(self._dynamodb, [place])[place]
        return _removal(item) if item else None

    def waiting_keys(self, after: str, limit: int) -> list[str]:
        """The keys of so many entries at most that come after one."""
        return rolls.keys(self._dynamodb, self._table, PARTITION, after, limit)

    def waiting_between(self, after: str, until: str) -> list[tuple[str, Removal]]:
        """The entries after a key up to another, which is included, with their keys."""
        found = calls.query(self._dynamodb, self._table, PARTITION, rolls.following(after), until)
        return [(item["sk"]["S"], _removal(item)) for item in found]

    def due(self, removal: Removal) -> bool:
        """Whether everybody who knew the deleted thing is done with it."""
        return removal.at + GRACE <= self._clock()

    def remove(self, removal: Removal, left: Callable[[], float]) -> bool:
        """Removes what hung on the deleted thing, as far as the time that is `left` (in seconds) allows.

        Returns whether all of it is gone. Doing it again, from wherever it stopped, does no harm.
        """
        for partition, low, high in _ranges(removal):
            waiting: list[Key] = []
            for item in calls.query(self._dynamodb, self._table, partition, low, high, ProjectionExpression="pk, sk"):
                waiting.append(Key(self._table, item["pk"]["S"], item["sk"]["S"]))
                if len(waiting) == calls.DELETED_AT_ONCE:
                    if left() < ENOUGH:
                        return False
                    calls.delete(self._dynamodb, waiting)
                    waiting = []
            if waiting:
                calls.delete(self._dynamodb, waiting)
        return True

    def done(self, removal: Removal) -> None:
        """Forgets the entry: nothing of the deleted thing is left."""
        calls.delete(self._dynamodb, [key(self._table, removal.scope, removal.target)])


def partition(scope: Scope) -> str:
    """The partition of a domain's groups, statistics and their names."""
    return f"{scope.account}/{scope.domain}"


def values(scope: Scope) -> str:
    """The partition of a domain's values."""
    return f"{scope.account}/{scope.domain}/values"


def once(scope: Scope) -> str:
    """The partition of the updates that a domain has seen with an idempotency key."""
    return f"{scope.account}/{scope.domain}/once"


def _ranges(removal: Removal) -> list[tuple[str, str, str]]:
    """Partitions with the first and the last sort key of what is to go."""
    scope, target = removal.scope, removal.target
    if target.startswith(STATISTIC):
        return [(values(scope), f"{target}#", f"{target}$")]
    if target.startswith(GROUP):
        first = STATISTIC + target.removeprefix(GROUP)
        return [
            (values(scope), first, first + LAST),
            (partition(scope), f"statistic-name#{target}#", f"statistic-name#{target}$"),
            (partition(scope), f"statistic#{first}", f"statistic#{first}{LAST}"),
        ]
    if not target.startswith(DOMAIN_PREFIX):
        raise ValueError(f"nothing that can be removed: {target!r}")
    return [(name(scope), FIRST, LAST) for name in (values, once, partition)]


def _removal(item: calls.Item) -> Removal:
    scope = Scope(item["account"]["S"], item["domain"]["S"])
    return Removal(scope, item["target"]["S"], int(item["at"]["N"]), item["mark"]["S"])
