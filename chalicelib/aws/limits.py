"""Exact rate limits across all processes: one small item a caller, one conditional update a request.

The update says what the process believes of the caller's windows and changes all of them at once, so it can
only succeed while no window is used up; when it fails, the item comes back with the refusal and the process
knows. A window only fills while it is open, so a window seen full stays full: refusals after the first cost
no call. What a key is granted by its account changes both of their items, in one transaction instead; once the
account's window is full nothing more is granted, and a process looks once at what its key has been granted elsewhere.
"""

import base64
import hashlib
import hmac
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from chalicelib.core.caches import Memory
from chalicelib.core.errors import RateLimited
from chalicelib.core.limits import (
    NO_SHARES,
    Record,
    Shares,
    Standing,
    Step,
    Used,
    Window,
    network,
    plan_step,
    standing,
    untouched,
)
from chalicelib.settings import Settings

from . import calls, clients

_TRIES = 8
_BEYOND = 3600
"""Seconds for which an item may stay after its longest window: DynamoDB removes it some time later, free of
charge.
"""
_REMEMBERED = 10_000_000.0
"""Seconds for which a process remembers a caller's record: as long as the longest window that there can be."""
_THROTTLED = {
    "ProvisionedThroughputExceeded",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "ThrottlingError",
    "ThrottlingException",
    "TransactionInProgressException",
}
"""Codes of errors, and of the reasons why a transaction did nothing."""
_NONE = {"N": "0"}
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
        self._looked: Memory[tuple[str, str, int], bool] = Memory(10_000, _REMEMBERED, clock)

    def caller(self, address: str) -> str:
        """What stands for an address: a keyed hash of its network."""
        key = hmac.digest(self._secret(), b"limits", "sha256")
        digest = hmac.digest(key, network(address).encode(), hashlib.sha256)
        return base64.urlsafe_b64encode(digest[:16]).decode("ascii")

    @staticmethod
    def keyed(account: str, key: str) -> str:
        """What stands for a key, by its id: nothing that stands for an address looks like it."""
        return f"key#{account}#{key}"

    @staticmethod
    def account(account: str) -> str:
        """What stands for all keys of an account together."""
        return f"account#{account}"

    def take(self, caller: str, windows: Sequence[Window], *, keep: int = 0, shares: Shares = NO_SHARES) -> Standing:
        """Charges one request to all of these windows of a caller, or to none of them.

        Returns where the caller stands in the last of them. If DynamoDB cannot answer the request passes:
        guarding the door must not close the shop. `keep` is how many seconds other windows of the caller, or of its
        account, may be open for: their counts stay at least that long.

        Raises:
            RateLimited: one of the windows is used up, or the account's that it draws on; or so many requests come
            at once that DynamoDB refuses more.
        """
        seen = {shares.caller: self._seen.get(shares.caller, dict) if shares.windows else {}}
        seen[caller] = self._seen.get(caller, dict)
        longest = max(keep, *(window.seconds for window in (*windows, *shares.windows.values())))
        for attempt in range(_TRIES):
            now = round(self._clock() * 1000)
            try:
                step = plan_step(windows, seen[caller], now, shares, seen[shares.caller])
            except RateLimited as refusal:
                full = _full(caller, shares, seen[shares.caller], refusal.name)
                if full is None or full in self._looked:
                    raise
                try:
                    seen[caller] = self._look(caller)
                except (BotoCoreError, ClientError):
                    return replace(untouched(windows[-1]), charged=False)
                self._looked.put(full, True)
                continue
            expires = now // 1000 + longest + _BEYOND
            # Among many who are granted single requests, the late give up knowing what is left after theirs.
            pinned = attempt < _TRIES // 2
            write = _Write(self._table, caller, step, shares.windows, now, expires, pinned)
            try:
                found = write.granted(shares.caller, seen) if step.grants else write.charged()
            except _Changed as changed:
                found = changed.records
                if not found:
                    calls.pause(attempt)
            except _Throttled as error:
                raise RateLimited(windows[-1].requests, _PAUSE) from error
            except (BotoCoreError, ClientError):
                return replace(untouched(windows[-1]), charged=False)
            else:
                self._remember(found)
                return standing(windows[-1], found[caller], now)
            self._remember(found)
            seen |= found
        raise RateLimited(windows[-1].requests, _PAUSE)

    def _look(self, caller: str) -> dict[str, Used]:
        found = clients.dynamodb().get_item(TableName=self._table, Key={"pk": {"S": caller}}, ConsistentRead=True)
        record = _record(found.get("Item", {}))
        self._remember({caller: record})
        return record

    def _remember(self, found: Mapping[str, dict[str, Used]]) -> None:
        for caller, record in found.items():
            self._seen.put(caller, record)

    def check(self, caller: str, windows: Sequence[Window]) -> None:
        """Refuses what `take` would refuse, without a charge.

        Raises:
            RateLimited: one of the windows is used up.
        """
        now = round(self._clock() * 1000)
        plan_step(windows, self._seen.get(caller, dict), now)
        try:
            record = self._look(caller)
        except (BotoCoreError, ClientError):
            return  # whoever charges will see
        plan_step(windows, record, now)


def _full(caller: str, shares: Shares, account: Record, refused: str) -> tuple[str, str, int] | None:
    """A caller, and the window of its account that is full, with when it opened; None if the window that refused is the
    caller's own. What the caller has been granted changes no more while that window is open.
    """
    share = next((window for window in shares.windows.values() if window.name == refused), None)
    return share and (caller, share.slot, account[share.slot].opened)


class _Throttled(Exception):
    """DynamoDB refuses more writes of an item for now."""


class _Changed(Exception):
    """A record is not what it was believed to be; or others write it at this moment, and nobody knows what it is."""

    def __init__(self, records: dict[str, dict[str, Used]]) -> None:
        super().__init__()
        self.records = records


@dataclass(frozen=True, slots=True)
class _Write:
    """A step on its way to DynamoDB."""

    table: str
    caller: str
    step: Step
    drawing: Collection[str]
    """The names of windows that draw on those of the account."""
    now: int
    expires: int
    pinned: bool = True
    """Whether to do nothing if others were charged since the record was seen, although there is room."""

    def charged(self) -> dict[str, dict[str, Used]]:
        """Does what touches the caller's record alone; the record afterwards.

        Raises:
            _Changed: nothing was done.
        """
        try:
            answer = clients.dynamodb_once().update_item(
                **_charging(self).on(self.table, self.caller), ReturnValues="ALL_NEW"
            )
        except ClientError as error:
            code = error.response["Error"]["Code"]
            if code == "TransactionConflictException":
                raise _Changed({}) from None
            if code in _THROTTLED:
                raise _Throttled from error
            if code != "ConditionalCheckFailedException":
                raise
            response: Mapping[str, Any] = error.response
            raise _Changed({self.caller: _record(response.get("Item", {}))}) from None
        return {self.caller: _record(answer["Attributes"])}

    def granted(self, account: str, seen: Mapping[str, Record]) -> dict[str, dict[str, Used]]:
        """Does what touches the account's record as well; what both are then, or more than that.

        Raises:
            _Changed: nothing was done.
        """
        callers = (self.caller, account)
        expressions = (_charging(self), _granting(self.step, self.now, self.expires))
        members: Any = [
            {"Update": expression.on(self.table, caller)}
            for caller, expression in zip(callers, expressions, strict=True)
        ]
        try:
            clients.dynamodb_once().transact_write_items(TransactItems=members)
        except ClientError as error:
            response: Mapping[str, Any] = error.response
            reasons = response.get("CancellationReasons", [])
            codes = {error.response["Error"]["Code"], *(reason.get("Code") for reason in reasons)}
            if codes & _THROTTLED:
                raise _Throttled from error
            if codes & {calls.FAILED, "TransactionConflict"}:
                raise _Changed(
                    {
                        caller: _record(reason.get("Item", {}))
                        for caller, reason in zip(callers, reasons, strict=True)
                        if reason.get("Code") == calls.FAILED
                    }
                ) from None
            raise
        return {
            self.caller: self.step.after(seen[self.caller], self.now),
            account: self.step.after_grants(seen[account], self.now),
        }


class _Expression:
    """Changes to an item and what they stand on, in DynamoDB's words. Attributes are `o.SLOT` (opened), `n.SLOT`
    (number of requests) and `g.SLOT` (how many of them are granted).
    """

    def __init__(self, expires: int) -> None:
        self.names: dict[str, str] = {"#expires": "expires"}
        self.values: dict[str, Any] = {":expires": {"N": str(expires)}}
        self.conditions: list[str] = []
        self.changes = ["#expires = :expires"]

    def name(self, window: Window) -> int:
        """Makes a window's attributes known; the number that they go by."""
        at = sum(name.startswith("#o") for name in self.names)
        self.names |= {f"#o{at}": f"o.{window.slot}", f"#n{at}": f"n.{window.slot}"}
        return at

    def value(self, name: str, number: int) -> str:
        """The name of a number."""
        self.values[name] = {"N": str(number)}
        return name

    def opens(self, window: Window, now: int, count: int) -> int:
        """Opens a window anew with so many requests, if it has ended by then."""
        at = self.name(window)
        ended = self.value(f":ended{at}", now - window.seconds * 1000)
        self.conditions.append(f"(attribute_not_exists(#o{at}) OR #o{at} <= {ended})")
        self.changes += [
            f"#o{at} = {self.value(':now', now)}",
            f"#n{at} = {self.value(f':count{at}', count)}",
        ]
        return at

    def charges(self, window: Window, opened: int, most: int, count: int) -> int:
        """Adds requests to a window that is open since then, if there are `most` in it at most before."""
        at = self.name(window)
        self.conditions.append(
            f"#o{at} = {self.value(f':opened{at}', opened)} AND #n{at} <= {self.value(f':most{at}', most)}"
        )
        self.changes.append(f"#n{at} = #n{at} + {self.value(f':count{at}', count)}")
        return at

    def grants(self, at: int, window: Window, amount: int, used: Used | None = None, *, pinned: bool = True) -> None:
        """Grants a window that opens, or is open and has used all that it was granted, so many requests more.

        With `pinned`, nobody may have used it since it was seen: then what it is afterwards is known, and of two who
        are granted a portion at once, one finds out that there is no need. Without, it is enough that all is used.
        """
        self.names[f"#g{at}"] = f"g.{window.slot}"
        more = self.value(f":granted{at}", amount)
        self.changes.append(f"#g{at} = #n{at} + {more}" if used else f"#g{at} = {more}")
        if used and pinned:
            self.conditions.append(f"#n{at} = {self.value(f':seen{at}', used.count)}")
        elif used:
            self.conditions.append(f"(attribute_not_exists(#g{at}) OR #n{at} >= #g{at})")

    def on(self, table: str, caller: str) -> dict[str, Any]:
        """An update of a caller's item."""
        return {
            "TableName": table,
            "Key": {"pk": {"S": caller}},
            "UpdateExpression": "SET " + ", ".join(self.changes),
            "ConditionExpression": " AND ".join(self.conditions),
            "ExpressionAttributeNames": self.names,
            "ExpressionAttributeValues": self.values,
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }


def _charging(write: _Write) -> _Expression:
    """What a write does to the record of its caller."""
    step, now, out = write.step, write.now, _Expression(write.expires)
    for window in step.opens:
        at = out.opens(window, now, 1)
        if granted := step.granted(window):
            out.grants(at, window, granted)
    for window, used in step.charges:
        granted = step.granted(window)
        allowed = (
            min(window.requests, used.granted) if window.name in write.drawing and not granted else window.requests
        )
        at = out.charges(window, used.opened, allowed - 1, 1)
        if granted:
            out.grants(at, window, granted, used, pinned=write.pinned or granted > 1)
    return out


def _granting(step: Step, now: int, expires: int) -> _Expression:
    """What a step does to the record of its caller's account."""
    out = _Expression(expires)
    for grant in step.grants:
        if grant.used is None:
            out.opens(grant.window, now, grant.amount)
        else:
            out.charges(grant.window, grant.used.opened, grant.window.requests - grant.amount, grant.amount)
    return out


def _record(item: Mapping[str, Any]) -> dict[str, Used]:
    return {
        name[2:]: Used(int(value["N"]), int(item[f"n.{name[2:]}"]["N"]), int(item.get(f"g.{name[2:]}", _NONE)["N"]))
        for name, value in item.items()
        if name.startswith("o.")
    }
