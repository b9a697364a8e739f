"""Changes of values: each one atomic write, and with an idempotency key one transaction that also keeps the answer.

Without a key an update is DynamoDB's `ADD` or `SET` on the month's item. It is sent once: if its answer is lost nobody
can say whether it counted, and `Uncertain` says so. With a key the new values are computed here and written on
condition that the old ones are still there, together with a record of what came of it; whoever repeats the update
finds the record. A batch is made of such transactions, its updates in their order.
"""

import json
import secrets
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any

from chalicelib.core import statistics
from chalicelib.core.accounts import Scope
from chalicelib.core.errors import CountlessError, Invalid, NotFound, Taken, Unavailable, Uncertain
from chalicelib.core.statistics import Dated, Method, Once, Statistic, Update

from . import calls
from .calls import Cancelled, Item, Key
from .groups import Groups
from .lookup import Look, Place, Reference, Tables
from .making import SEALED, Making

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

KEPT = 86_400
"""Seconds for which an idempotency key is known (statistics contract, rule 2)."""
_MONTHS_AT_ONCE = 90
"""Months' items that one transaction changes, of the hundred that it may have."""
_SEALED_IN_A_ROW = 24
"""Months that are sealed one after the other; more of them are sealed side by side."""
_WRITABLE = "attribute_exists(pk) AND attribute_not_exists(#sealed)"
"""What must hold of a month's item for a value to be written: it is there, and its statistic was not purged."""
_PATIENCE = 8.0
"""Seconds after which a transaction that was not answered is not tried again: a request has 29."""

Outcome = Statistic | CountlessError


class _LostError(Exception):
    """Nobody knows whether a transaction was done, unless its record says so."""

    def __init__(self, reason: Unavailable) -> None:
        super().__init__(str(reason))
        self.reason = reason


class Updates:
    """Writes values."""

    def __init__(
        self,
        dynamodb: "DynamoDBClient",
        dynamodb_once: "DynamoDBClient",
        tables: Tables,
        clock: Callable[[], float],
        groups: Groups,
    ) -> None:
        self._dynamodb = dynamodb
        self._dynamodb_once = dynamodb_once
        self._tables = tables
        self._clock = clock
        self._groups = groups
        self._making = Making(dynamodb, tables, clock, groups)

    # Without a key

    def plain(self, scope: Scope, update: Update) -> Statistic:
        """Applies an update; see `Statistics.update`."""
        for attempt in range(calls.TRIES):
            if attempt:
                calls.pause(attempt)
            found = self._places(scope, [update])[_reference(update)]
            if isinstance(found, CountlessError):
                raise found
            if (done := self._apply(scope, update, found)) is not None:
                return done
        raise Unavailable("a statistic comes and goes")

    def _apply(self, scope: Scope, update: Update, found: Place) -> Statistic | None:
        """Applies an update to a statistic; None if it was purged meanwhile, or its month was still to be made."""
        now = int(self._clock())
        key = self._tables.month(scope, found.id, update.day[:7])
        moves = update.delta is not None
        try:
            written = calls.update(
                self._dynamodb_once,
                TableName=key.table,
                Key=key.words,
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
                **({"ReturnValues": "ALL_NEW"} if moves else {}),
                **_change(update, now),
            )
        except Cancelled as cancelled:
            there = cancelled.items[0]
            if there is None:
                self._making.months(scope, [(found.id, update.day[:7])])
            if there is None or SEALED in there:
                return None
            raise statistics.already(update) if update.method is Method.CREATE else statistics.beyond() from None
        value = Decimal(written[_attribute(update.day)]["N"]) if moves else update.value
        return _written(found, Dated(update.day, statistics.tidy(value)), now)

    def delete_day(self, scope: Scope, statistic: str, day: str) -> tuple[Dated, int]:
        """Deletes a day's value; what it was, and when it was deleted.

        Raises:
            NotFound: there is none.
        """
        now = int(self._clock())
        key = self._tables.month(scope, statistic, day[:7])
        try:
            before = calls.update(
                self._dynamodb_once,
                TableName=key.table,
                Key=key.words,
                ReturnValues="ALL_OLD",
                UpdateExpression="REMOVE #day SET #u = :now",
                ConditionExpression="attribute_exists(#day) AND attribute_not_exists(#sealed)",
                ExpressionAttributeNames={"#day": _attribute(day), "#u": "u", "#sealed": SEALED},
                ExpressionAttributeValues={":now": {"N": str(now)}},
            )
        except Cancelled:
            raise NotFound("value") from None
        return Dated(day, statistics.tidy(Decimal(before[_attribute(day)]["N"]))), now

    def seal(self, scope: Scope, statistic: str, months: Sequence[str]) -> list[Item]:
        """Lets no value be written to months any more: the items as they are then, for good, in the same order.

        Raises:
            Unavailable: some may be sealed, others not.
        """
        parts = [months[at : at + _SEALED_IN_A_ROW] for at in range(0, len(months), _SEALED_IN_A_ROW)]
        sealed = calls.side_by_side([partial(self._seal, scope, statistic, part) for part in parts])
        return [item for part in sealed for item in part]

    def _seal(self, scope: Scope, statistic: str, months: Sequence[str]) -> list[Item]:
        found: list[Item] = []
        for month in months:
            key = self._tables.month(scope, statistic, month)
            with calls.answering():  # twice is as good as once
                answer = self._dynamodb.update_item(
                    TableName=key.table,
                    Key=key.words,
                    ReturnValues="ALL_NEW",
                    UpdateExpression="SET #sealed = :yes",
                    ConditionExpression="attribute_exists(pk)",
                    ExpressionAttributeNames={"#sealed": SEALED},
                    ExpressionAttributeValues={":yes": {"BOOL": True}},
                )
            found.append(answer["Attributes"])
        return found

    # With a key

    def batch(self, scope: Scope, updates: Sequence[Update], once: Once | None) -> list[Outcome]:
        """Applies updates in their order, each exactly once; see `Statistics.batch`."""
        # Its own calls may be repeated even if the caller's are not.
        given = once or Once(secrets.token_hex(32), "")
        outcomes: list[Outcome] = []
        parts = _parts(updates)
        if once and len(parts) > 1:  # refuse a key of another request before anything is written, not half way
            records = [self._tables.once(scope, f"{once.key}-{number}") for number in range(len(parts))]
            for item in calls.fetch(self._dynamodb, records).values():
                self._known(item, once)
        for number, part in enumerate(parts):
            try:
                outcomes += self._once(scope, part, Once(f"{given.key}-{number}", given.request))
            except (Unavailable, Uncertain) as error:
                if not outcomes and isinstance(error, Unavailable):
                    raise  # nothing of it was done
                # Of those before it, it is known what came of them. Those after it must not come before it if all are
                # sent again; and who asks has no time to wait for each of them in vain.
                return [*outcomes, *[error] * (len(updates) - len(outcomes))]
        return outcomes

    def _once(self, scope: Scope, updates: Sequence[Update], once: Once) -> list[Outcome]:
        """Applies updates of at most `_MONTHS_AT_ONCE` months, all that can be applied in one transaction.

        Raises:
            Invalid: the key was used for another request.
            Unavailable: nothing was done: DynamoDB does not answer, or the values change all the time.
            Uncertain: the transaction's answer was lost, and so was that of whether it was done.
        """
        lost: Unavailable | None = None
        begun = time.monotonic()
        for attempt in range(calls.TRIES):
            try:
                if attempt:
                    calls.pause(attempt)
                outcomes = self._attempt(scope, updates, once)
            except Unavailable as error:
                if lost is None:
                    raise
                raise Uncertain(str(error)) from error
            except _LostError as error:
                lost = error.reason
                if time.monotonic() - begun > _PATIENCE:
                    break
            else:
                if outcomes is not None:
                    return outcomes
        raise Uncertain(str(lost)) if lost else Unavailable("values change all the time")

    def _attempt(self, scope: Scope, updates: Sequence[Update], once: Once) -> list[Outcome] | None:
        """What came of the updates; None if they have to be tried again, since something changed meanwhile.

        Raises:
            _LostError: the transaction was sent and not answered.
        """
        record = self._tables.once(scope, once.key)
        look = self._groups.look(scope)
        look.begin(map(_reference, updates), also=[record])
        if (known := self._known(look.item(record), once)) is not None:
            return known  # before anything is made: what was deleted since must not come back
        places = self._places(scope, updates, look)
        sums = self._sums(look, updates, places)
        if sums is None:
            return None
        if not sums.changes:
            # What stands in the way may be what the same request, sent twice, has done since its record was looked for.
            again = calls.fetch(self._dynamodb, [record])[record]
            known = self._known(again, once)
            return sums.outcomes if known is None else known
        try:
            calls.transact(self._dynamodb, [*sums.members(), self._record(record, once, sums.outcomes)])
        except Cancelled as cancelled:
            if cancelled.lost:  # it may be our own work, which its record says: until that is read, nobody knows
                raise _LostError(Unavailable("a transaction was not answered")) from None
            return None  # a value changed
        except calls.NothingDone:
            raise
        except Unavailable as error:
            raise _LostError(error) from error
        return sums.outcomes

    def _known(self, item: Item | None, once: Once) -> list[Outcome] | None:
        """What a record says came of the update; None if there is none, or it has ended."""
        if item is None or int(item["expires"]["N"]) <= self._clock():
            return None
        if item["request"]["S"] != once.request:
            raise Invalid("Idempotency-Key: was sent with another request before")
        return _load(json.loads(zlib.decompress(bytes(item["outcomes"]["B"]))))

    def _record(self, key: Key, once: Once, outcomes: Sequence[Outcome]) -> dict[str, Any]:
        now = int(self._clock())
        said = json.dumps(_dump(outcomes), ensure_ascii=False).encode()
        return {
            "Put": {
                "TableName": key.table,
                "Item": {
                    **key.words,
                    "request": {"S": once.request},
                    "outcomes": {"B": zlib.compress(said)},
                    "expires": {"N": str(now + KEPT)},
                },
                # DynamoDB removes what has ended some time later.
                "ConditionExpression": "attribute_not_exists(pk) OR #expires <= :now",
                "ExpressionAttributeNames": {"#expires": "expires"},
                "ExpressionAttributeValues": {":now": {"N": str(now)}},
            }
        }

    def _sums(
        self, look: Look, updates: Sequence[Update], places: Mapping[Reference, Place | CountlessError]
    ) -> "_Sums | None":
        """What the updates come to; None if statistics were purged meanwhile."""
        months = {
            self._tables.month(look.scope, found.id, update.day[:7]): (found.id, update.day[:7])
            for update in updates
            if isinstance(found := places[_reference(update)], Place)
        }
        look.ahead(months)
        if any(SEALED in item for key in months if (item := look.item(key)) is not None):
            return None
        new = {key: month for key, month in months.items() if look.item(key) is None}
        if not self._making.months(look.scope, list(new.values())):
            return None
        look.tell({key: key.words for key in new})
        sums = _Sums(int(self._clock()))
        for update in updates:
            found = places[_reference(update)]
            if isinstance(found, CountlessError):
                sums.outcomes.append(found)
            else:
                key = self._tables.month(look.scope, found.id, update.day[:7])
                sums.apply(update, found, key, look.item(key))
        return sums

    def _places(
        self, scope: Scope, updates: Sequence[Update], look: Look | None = None
    ) -> dict[Reference, Place | CountlessError]:
        """Where the values of updates go; see `Making.places`."""
        months: dict[Reference, str] = {}
        for update in updates:
            ref = _reference(update)
            months[ref] = max(months.get(ref, ""), update.day[:7])
        return self._making.places(scope, months, look)


@dataclass(slots=True)
class _Sums:
    """What updates come to, one after the other, before anything is written."""

    now: int
    outcomes: list[Outcome] = field(default_factory=list)
    changes: dict[Key, dict[str, Decimal]] = field(default_factory=dict)
    """New values by month's item and day."""
    _before: dict[Key, dict[str, Decimal | None]] = field(default_factory=dict)
    """What they are, of the days on which an outcome depends."""

    def apply(self, update: Update, found: Place, key: Key, item: Item | None) -> None:
        """Applies an update on top of those before it; what is wrong with it is its outcome."""
        written = self.changes.get(key, {})
        stored = item.get(_attribute(update.day)) if item else None
        before = written.get(update.day, Decimal(stored["N"]) if stored else None)
        if update.day not in written:
            self._before.setdefault(key, {})[update.day] = before
        try:
            value = statistics.moved(before, update)
        except (Invalid, Taken) as error:
            self.outcomes.append(error)
            return
        self.changes.setdefault(key, {})[update.day] = value
        self.outcomes.append(_written(found, Dated(update.day, value), self.now))

    def members(self) -> list[dict[str, Any]]:
        """The members of the transaction that writes the changes if what they depend on still holds."""
        return [self._member(key, days) for key, days in self.changes.items()]

    def _member(self, key: Key, days: Mapping[str, Decimal]) -> dict[str, Any]:
        names = {"#u": "u", "#sealed": SEALED}
        values: dict[str, Any] = {":now": {"N": str(self.now)}}
        changes, conditions = ["#u = :now"], [_WRITABLE]
        for day, before in self._before[key].items():
            name = _attribute(day)
            names[f"#{name}"] = name
            if before is None:
                conditions.append(f"attribute_not_exists(#{name})")
            else:
                values[f":before_{name}"] = {"N": statistics.text(before)}
                conditions.append(f"#{name} = :before_{name}")
            if day in days:
                values[f":{name}"] = {"N": statistics.text(days[day])}
                changes.append(f"#{name} = :{name}")
        return {
            "Update": {
                "TableName": key.table,
                "Key": key.words,
                "UpdateExpression": f"SET {', '.join(changes)}",
                "ConditionExpression": " AND ".join(conditions),
                "ExpressionAttributeNames": names,
                "ExpressionAttributeValues": values,
            }
        }


def _change(update: Update, now: int) -> dict[str, Any]:
    """An update in DynamoDB's words. A sum must stay in the range, which its old value tells."""
    names = {"#day": _attribute(update.day), "#u": "u", "#sealed": SEALED}
    values: dict[str, Any] = {":now": {"N": str(now)}}
    delta = update.delta
    if delta is None:
        values[":value"] = {"N": statistics.text(update.value)}
        created = update.method is Method.CREATE
        return {
            "UpdateExpression": "SET #day = :value, #u = :now",
            "ConditionExpression": f"{_WRITABLE} AND attribute_not_exists(#day)" if created else _WRITABLE,
            "ExpressionAttributeNames": names,
            "ExpressionAttributeValues": values,
        }
    exact = statistics.EXACT
    values |= {
        ":value": {"N": statistics.text(delta)},
        ":low": {"N": statistics.text(exact.subtract(-statistics.BOUND, delta))},
        ":high": {"N": statistics.text(exact.subtract(statistics.BOUND, delta))},
    }
    return {
        "UpdateExpression": "ADD #day :value SET #u = :now",
        "ConditionExpression": f"{_WRITABLE} AND (attribute_not_exists(#day) OR (#day > :low AND #day < :high))",
        "ExpressionAttributeNames": names,
        "ExpressionAttributeValues": values,
    }


def _attribute(day: str) -> str:
    """The attribute of a month's item that has a day's value."""
    return f"d{day[8:]}"


def _reference(update: Update) -> Reference:
    return Reference(update.group, update.statistic)


def _written(found: Place, shown: Dated, now: int) -> Statistic:
    return Statistic(found.id, found.group.name, found.name, found.created_at, now, shown)


def _parts(updates: Sequence[Update]) -> list[list[Update]]:
    """The updates in as few runs as transactions can hold. By the request alone: a repeated one is cut the same."""
    parts: list[list[Update]] = []
    months: set[tuple[str, str, str]] = set()
    for update in updates:
        month = (update.group, update.statistic, update.day[:7])
        if not parts or (month not in months and len(months) == _MONTHS_AT_ONCE):
            parts.append([])
            months = set()
        months.add(month)
        parts[-1].append(update)
    return parts


_ERRORS: Mapping[str, Callable[[str], CountlessError]] = {"invalid": Invalid, "taken": Taken, "missing": NotFound}


def _dump(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Outcomes as a record keeps them: what a statistic is called once, however often it was updated.

    Names may be long, and an item's size has its limit.
    """
    called: dict[tuple[Any, ...], int] = {}
    said: list[list[Any]] = []
    for outcome in outcomes:
        match outcome:
            case Statistic(shown=Dated(day, value)):
                names = outcome.id, outcome.group, outcome.name, outcome.created_at
                number = called.setdefault(names, len(called))
                said.append(["statistic", number, outcome.updated_at, day, statistics.text(value)])
            case Invalid():
                said.append(["invalid", outcome.message])
            case Taken():
                said.append(["taken", outcome.message])
            case _:
                said.append(["missing", str(outcome)])
    return {"statistics": list(called), "outcomes": said}


def _load(record: Mapping[str, Any]) -> list[Outcome]:
    outcomes: list[Outcome] = []
    for kind, *rest in record["outcomes"]:
        if kind != "statistic":
            outcomes.append(_ERRORS[kind](*rest))
            continue
        number, updated, day, value = rest
        found, group, name, created = record["statistics"][number]
        outcomes.append(Statistic(found, group, name, created, updated, Dated(day, Decimal(value))))
    return outcomes
