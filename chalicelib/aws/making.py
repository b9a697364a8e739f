"""Finds where the values of updates go, and makes the groups and statistics that are not there yet.

What is missing is made in as few transactions as can hold it, and those that have nothing in common are sent side by
side: a hundred new groups take four. What one transaction holds is made together or not at all.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from chalicelib.core import statistics
from chalicelib.core.accounts import Scope
from chalicelib.core.errors import CountlessError, NotFound, Unavailable
from chalicelib.core.statistics import Group

from . import calls
from .calls import Cancelled, Item, Key
from .groups import Groups, head, new
from .lookup import Look, Place, Reference, Tables, missing

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

_OF_A_GROUP = (calls.AT_ONCE - 2) // 3
"""Statistics of one group that a transaction makes: each takes three members, and the group, if it is new, two more."""
_OPENED_AT_ONCE = calls.AT_ONCE // 2
"""Months that a transaction opens: each takes a member, and its statistic another."""
SEALED = "sealed"
"""The attribute of a month's item that says that its statistic was purged: no value is written to it any more."""
Member = dict[str, Any]


@dataclass(slots=True)
class _Transaction:
    """What is made together, and the items that are there afterwards."""

    members: list[Member] = field(default_factory=list)
    items: dict[Key, Item] = field(default_factory=dict)

    def put(self, key: Key, attributes: Mapping[str, Any]) -> None:
        """Makes an item, which must not be there yet."""
        self.members.append(new(key, attributes))
        self.items[key] = {**key.words, **attributes}

    def join(self, other: "_Transaction") -> None:
        """Does this along with it."""
        self.members += other.members
        self.items |= other.items


class Making:
    """Makes groups and statistics for updates."""

    def __init__(self, dynamodb: "DynamoDBClient", tables: Tables, clock: Callable[[], float], groups: Groups) -> None:
        self._dynamodb = dynamodb
        self._tables = tables
        self._clock = clock
        self._groups = groups

    def places(
        self, scope: Scope, months: Mapping[Reference, str], look: Look | None = None
    ) -> dict[Reference, Place | CountlessError]:
        """Where the values of statistics go, made if they are not there; `months` are the newest that they will have.

        What cannot be made, being called by an id, has an error in its place. `look` is what was read already.

        Raises:
            Unavailable: no value was written, though groups and statistics may have been made.
        """
        look = look or self._groups.look(scope)
        for attempt in range(calls.TRIES):
            found = look.places(months)
            errors = {ref: _cannot_make(look, ref) for ref, place in found.items() if place is None}
            makeable = {ref: months[ref] for ref, error in errors.items() if error is None}
            if makeable and self._make(look, makeable):
                found = look.places(months)  # reads nothing: the look was told
                makeable = {}
            if not makeable and self._open(scope, found, months):
                return {ref: place or errors[ref] or NotFound("statistic") for ref, place in found.items()}
            calls.pause(attempt + 1)
            look = self._groups.look(scope)  # others make or delete the same
        raise Unavailable("a statistic comes and goes")

    # Months

    def _open(self, scope: Scope, found: Mapping[Reference, Place | None], months: Mapping[Reference, str]) -> bool:
        """Lets statistics know, before a value is written, of months newer than all that have values, and makes these.

        Returns whether all of them are still there.
        """
        later: dict[str, str] = {}
        for ref, place in found.items():
            if place is not None and place.newest < months[ref]:
                later[place.id] = max(later.get(place.id, ""), months[ref])
        return self._all(
            [
                _Transaction(
                    [
                        member
                        for number, month in some
                        for member in (
                            _newest(self._tables.statistic(scope, number), month),
                            self._month(scope, number, month),
                        )
                    ]
                )
                for some in _several(list(later.items()))
            ]
        )

    def months(self, scope: Scope, wanted: Sequence[tuple[str, str]]) -> bool:
        """Makes the items of months that have none yet, by id of the statistic and month: values are written only where
        there is one, and none is made once the statistic is gone. So whoever purges it knows of all that can be.

        Returns whether all of the statistics are still there.
        """
        return self._all(
            [
                _Transaction(
                    [
                        *(
                            _there(self._tables.statistic(scope, number))
                            for number in dict.fromkeys(n for n, _ in some)
                        ),
                        *(self._month(scope, *one) for one in some),
                    ]
                )
                for some in _several(list(dict.fromkeys(wanted)))
            ]
        )

    def _month(self, scope: Scope, statistic: str, month: str) -> Member:
        """The member of a transaction that makes a month's item, if it is not there."""
        key = self._tables.month(scope, statistic, month)
        return {
            "Update": {
                "TableName": key.table,
                "Key": key.words,
                "UpdateExpression": "SET #u = if_not_exists(#u, :now)",
                "ExpressionAttributeNames": {"#u": "u"},
                "ExpressionAttributeValues": {":now": {"N": str(int(self._clock()))}},
            }
        }

    # Groups and statistics

    def _make(self, look: Look, months: Mapping[Reference, str]) -> bool:
        """Makes the statistics that are not there, and their groups; tells the look of them.

        Returns False if others made or deleted some of it at the same time: looking again shows what is left to do.
        """
        owners: dict[str, Group] = {}
        names: dict[str, dict[str, str]] = {}
        missing: dict[str, Group] = {}
        for ref, month in months.items():
            owner = look.group(ref.group) or missing.get(ref.group)
            if owner is None:
                owner = missing[ref.group] = self._groups.draft(ref.group)
            owners[owner.id] = owner
            wanted = names.setdefault(owner.id, {})  # a group may be called by its name and by its id
            wanted[ref.statistic] = max(wanted.get(ref.statistic, ""), month)
        made = {owner.id for owner in missing.values()}
        for wave in self._waves(look.scope, owners, names, made):
            if not self._all(wave):
                return False
            for transaction in wave:
                look.tell(transaction.items)
        return True

    def _waves(
        self, scope: Scope, owners: Mapping[str, Group], names: Mapping[str, Mapping[str, str]], made: set[str]
    ) -> Iterator[list[_Transaction]]:
        """The transactions, as few as can be. Those of a wave write no item in common, as a group's number of
        statistics would be, and none depends on another.
        """
        left = {number: list(wanted.items()) for number, wanted in names.items()}
        first = True
        while left:
            wave = [_Transaction()]
            for number, wanted in left.items():
                part = self._part(scope, owners[number], dict(wanted[:_OF_A_GROUP]), made=first and number in made)
                if len(wave[-1].members) + len(part.members) > calls.AT_ONCE:
                    wave.append(_Transaction())
                wave[-1].join(part)
            yield wave
            left = {number: wanted[_OF_A_GROUP:] for number, wanted in left.items() if len(wanted) > _OF_A_GROUP}
            first = False

    def _part(self, scope: Scope, owner: Group, months: Mapping[str, str], *, made: bool) -> _Transaction:
        """Some statistics of a group, and the group itself if it is to be made."""
        now, part = self._clock(), _Transaction()
        if made:
            part.put(self._tables.group_name(scope, owner.name), {"id": {"S": owner.id}})
            part.put(self._tables.group(scope, owner.id), head(owner, len(months)))
        else:
            part.members.append(counted(self._tables.group(scope, owner.id), len(months)))
        for name, month in months.items():
            number = statistics.statistic_id(owner.id, now)
            part.put(self._tables.statistic_name(scope, owner.id, name), {"id": {"S": number}})
            part.put(
                self._tables.statistic(scope, number),
                {"name": {"S": name}, "created": {"N": str(int(now))}, "newest": {"S": month}},
            )
            part.put(self._tables.month(scope, number, month), {"u": {"N": str(int(now))}})
        return part

    def _all(self, transactions: Sequence[_Transaction]) -> bool:
        """Does all of these, side by side; whether nothing stood in the way of any."""
        return all(calls.side_by_side([_done(self._dynamodb, one.members) for one in transactions]))


def _done(client: "DynamoDBClient", members: Sequence[Member]) -> Callable[[], bool]:
    """Does a transaction, and says whether nothing stood in its way."""

    def do() -> bool:
        try:
            calls.transact(client, members)
        except Cancelled:
            return False  # also if it was done, and its answer lost: whatever it is, looking again shows it
        return True

    return do


def _several(months: list[tuple[str, str]]) -> Iterator[list[tuple[str, str]]]:
    """As many as one transaction opens at a time."""
    return (months[at : at + _OPENED_AT_ONCE] for at in range(0, len(months), _OPENED_AT_ONCE))


def _there(key: Key) -> Member:
    """The member of a transaction that passes if an item is there."""
    return {"ConditionCheck": {"TableName": key.table, "Key": key.words, "ConditionExpression": "attribute_exists(pk)"}}


def _newest(key: Key, month: str) -> Member:
    """The member of a transaction that lets a statistic, which must be there, know of a newer month."""
    return {
        "Update": {
            "TableName": key.table,
            "Key": key.words,
            "UpdateExpression": "SET #newest = :month",
            "ConditionExpression": "attribute_exists(pk) AND (attribute_not_exists(#newest) OR #newest < :month)",
            "ExpressionAttributeNames": {"#newest": "newest"},
            "ExpressionAttributeValues": {":month": {"S": month}},
        }
    }


def counted(group: Key, number: int) -> Member:
    """The member of a transaction that changes how many statistics a group has, which must be there."""
    return {
        "Update": {
            "TableName": group.table,
            "Key": group.words,
            "UpdateExpression": "ADD #statistics :number",
            "ConditionExpression": "attribute_exists(pk)",
            "ExpressionAttributeNames": {"#statistics": "statistics"},
            "ExpressionAttributeValues": {":number": {"N": str(number)}},
        }
    }


def _cannot_make(look: Look, ref: Reference) -> NotFound | None:
    """Why a statistic that is not there cannot be made; None if it can."""
    if not ref.group or statistics.is_statistic_id(ref.statistic):
        return missing(ref, group_found=True)
    if statistics.is_group_id(ref.group) and look.group(ref.group) is None:
        return missing(ref, group_found=False)
    return None
