"""Exact rate limits across all processes: one small item a caller, one conditional update a request.

The update says what the process believes of the caller's windows and changes all of them at once, so it can
only succeed while no window is used up; when it fails, the item comes back with the refusal and the process
knows. A window only fills while it is open, so a window seen full stays full: refusals after the first cost
no call.
"""

import base64
import hashlib
import hmac
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from chalicelib.core.caches import Memory
from chalicelib.core.errors import RateLimited
from chalicelib.core.limits import Standing, Step, Used, Window, network, plan_step, standing, untouched
from chalicelib.settings import Settings

from . import clients

_TRIES = 8
_BEYOND = 3600
"""Seconds for which an item may stay after its longest window: DynamoDB removes it some time later, free of
charge.
"""
_REMEMBERED = 10_000_000.0
"""Seconds for which a process remembers a caller's record: as long as the longest window that there can be."""
_THROTTLED = {
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "ThrottlingException",
    "TransactionInProgressException",
}
_PAUSE = 1.0
"""Seconds to stay away when DynamoDB itself is throttling the caller's item."""


class Limiter:
    """Charges requests to their callers."""

    def __init__(
        self,
        settings: Settings,
        secret: Callable[[], bytes],
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`secret` keys the hashes of addresses."""
        self._table = settings.limits_table
        self._secret = secret
        self._clock = clock
        self._seen: Memory[str, dict[str, Used]] = Memory(10_000, _REMEMBERED, clock)

    def caller(self, address: str) -> str:
        """What stands for an address: a keyed hash of its network."""
        key = hmac.digest(self._secret(), b"limits", "sha256")
        digest = hmac.digest(key, network(address).encode(), hashlib.sha256)
        return base64.urlsafe_b64encode(digest[:16]).decode("ascii")

    @staticmethod
    def keyed(account: str, key: str) -> str:
        """What stands for a key, by its id: nothing that stands for an address looks like it."""
        return f"key#{account}#{key}"

    def take(self, caller: str, windows: Sequence[Window], *, keep: int = 0) -> Standing:
        """Charges one request to all of these windows of a caller, or to none of them.

        Returns where the caller stands in the last of them. If DynamoDB cannot answer the request passes:
        guarding the door must not close the shop. `keep` is how many seconds other windows of the caller may be
        open for: their counts stay at least that long.

        Raises:
            RateLimited: one of the windows is used up, or so many requests come at once that DynamoDB refuses
            more.
        """
        record: dict[str, Used] = self._seen.get(caller, dict)
        longest = max(keep, *(window.seconds for window in windows))
        for _ in range(_TRIES):
            now = round(self._clock() * 1000)
            step = plan_step(windows, record, now)
            try:
                record = self._update(caller, step, now, now // 1000 + longest + _BEYOND)
            except _Changed as changed:
                record = changed.record
                self._seen.put(caller, record)
                continue
            except ClientError as error:
                if error.response["Error"]["Code"] in _THROTTLED:
                    raise RateLimited(windows[-1].requests, _PAUSE) from error
                return replace(untouched(windows[-1]), charged=False)
            except BotoCoreError:
                return replace(untouched(windows[-1]), charged=False)
            self._seen.put(caller, record)
            return standing(windows[-1], record, now)
        raise RateLimited(windows[-1].requests, _PAUSE)

    def check(self, caller: str, windows: Sequence[Window]) -> None:
        """Refuses what `take` would refuse, without a charge.

        Raises:
            RateLimited: one of the windows is used up.
        """
        now = round(self._clock() * 1000)
        plan_step(windows, self._seen.get(caller, dict), now)
        try:
            found = clients.dynamodb().get_item(TableName=self._table, Key={"pk": {"S": caller}}, ConsistentRead=True)
        except (BotoCoreError, ClientError):
            return  # whoever charges will see
        plan_step(windows, _record(found.get("Item", {})), now)

    def _update(self, caller: str, step: Step, now: int, expires: int) -> dict[str, Used]:
        expression = _Expression(step, now, expires)
        try:
            answer = clients.dynamodb_once().update_item(
                TableName=self._table,
                Key={"pk": {"S": caller}},
                UpdateExpression=expression.update,
                ConditionExpression=expression.condition,
                ExpressionAttributeNames=expression.names,
                ExpressionAttributeValues=expression.values,
                ReturnValues="ALL_NEW",
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except ClientError as error:
            if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
                raise
            response: Mapping[str, Any] = error.response
            raise _Changed(_record(response.get("Item", {}))) from None
        return _record(answer["Attributes"])


class _Changed(Exception):
    """The record is not what it was believed to be."""

    def __init__(self, record: dict[str, Used]) -> None:
        super().__init__()
        self.record = record


class _Expression:
    """A step in DynamoDB's words. Attributes are `o.SLOT` (opened) and `n.SLOT` (number of requests)."""

    def __init__(self, step: Step, now: int, expires: int) -> None:
        self.names: dict[str, str] = {"#expires": "expires"}
        self.values: dict[str, Any] = {":one": {"N": "1"}, ":expires": {"N": str(expires)}}
        conditions, changes = [], ["#expires = :expires"]
        for at, window in enumerate(step.opens):
            self._name(at, window)
            self.values[":now"] = {"N": str(now)}
            self.values[f":ended{at}"] = {"N": str(now - window.seconds * 1000)}
            conditions.append(f"(attribute_not_exists(#o{at}) OR #o{at} <= :ended{at})")
            changes += [f"#o{at} = :now", f"#n{at} = :one"]
        for at, (window, used) in enumerate(step.charges, len(step.opens)):
            self._name(at, window)
            self.values[f":opened{at}"] = {"N": str(used.opened)}
            self.values[f":limit{at}"] = {"N": str(window.requests)}
            conditions.append(f"#o{at} = :opened{at} AND #n{at} < :limit{at}")
            changes.append(f"#n{at} = #n{at} + :one")
        self.condition = " AND ".join(conditions)
        self.update = "SET " + ", ".join(changes)

    def _name(self, at: int, window: Window) -> None:
        self.names[f"#o{at}"] = f"o.{window.slot}"
        self.names[f"#n{at}"] = f"n.{window.slot}"


def _record(item: Mapping[str, Any]) -> dict[str, Used]:
    return {
        name[2:]: Used(int(value["N"]), int(item[f"n.{name[2:]}"]["N"]))
        for name, value in item.items()
        if name.startswith("o.")
    }
