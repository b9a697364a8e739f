"""Groups of statistics, kept in DynamoDB; `statistics` explains how."""

import secrets
from collections.abc import Callable, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any

from chalicelib.core import statistics
from chalicelib.core.accounts import Scope
from chalicelib.core.errors import NotFound, Taken, Unavailable
from chalicelib.core.pages import Page
from chalicelib.core.statistics import Group

from . import calls, removals
from .calls import Cancelled, Key
from .lookup import Guesses, Look, Tables, group, may_be_name
from .removals import FIRST, LAST

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

_GUESSES = 20_000
_REMEMBERED = 86_400.0


class Groups:
    """The store of groups."""

    def __init__(self, dynamodb: "DynamoDBClient", tables: Tables, clock: Callable[[], float]) -> None:
        self._dynamodb = dynamodb
        self._tables = tables
        self._clock = clock
        self._guesses: Guesses = Guesses(_GUESSES, _REMEMBERED, clock)

    def look(self, scope: Scope) -> Look:
        """What a call begins with: nothing read yet."""
        return Look(self._dynamodb, self._tables, scope, self._guesses)

    def groups(self, scope: Scope, limit: int, after: str = "") -> Page[Group]:
        """The domain's groups by id."""
        self.look(scope).alive()
        low = f"group#{after}{FIRST}" if after else "group#"
        found = calls.query(
            self._dynamodb, self._tables.statistics, removals.partition(scope), low, f"group#{LAST}", Limit=limit + 1
        )
        entries = tuple(group(item) for item in islice(found, limit + 1))
        return Page(entries[:limit], entries[limit - 1].id if len(entries) > limit else None)

    def group(self, scope: Scope, ref: str) -> Group:
        """The group with this name, else with this id.

        Raises:
            NotFound: there is none.
        """
        found = self.look(scope).group(ref)
        if found is None:
            raise NotFound("group")
        return found

    def create_group(self, scope: Scope, name: str) -> Group:
        """A new group. `name` keeps the rules (`core.statistics.name`).

        Raises:
            Taken: the domain has a group of this name.
        """
        self.look(scope).alive()
        for _ in range(calls.TRIES):
            if (made := self._make_for_want_of(scope, name, name)) is not None:
                return made
            if self.look(scope).group(name) is not None:
                raise _taken(name)
        raise Unavailable("a group comes and goes")

    def draft(self, name: str) -> Group:
        """A group as it begins; nothing is made yet."""
        now = self._clock()
        return Group(statistics.group_id(now), name, 0, int(now), int(now))

    def update_group(self, scope: Scope, ref: str, name: str) -> Group:
        """Renames a group, or makes it if `ref` is a name that no group has (statistics contract, rule 1).

        Raises:
            NotFound: `ref` is an id, of no group.
            Taken: another group has the name.
        """
        for _ in range(calls.TRIES):
            found = self.look(scope).group(ref)
            if found is None:
                if statistics.is_group_id(ref):
                    raise NotFound("group")
                if (made := self._make_for_want_of(scope, ref, name)) is not None:
                    return made
                continue
            if ref not in (found.name, found.id):
                continue  # it was given another name while we looked
            if found.name == name:
                return found
            if (renamed := self._rename(scope, found, name)) is not None:
                return renamed
        raise Unavailable("a group changes all the time")

    def _make_for_want_of(self, scope: Scope, ref: str, name: str) -> Group | None:
        """A new group, for there is none called `ref`; None if there is one by now.

        Raises:
            Taken: there still is none, but another has the name.
        """
        made = self.draft(name)
        members = [
            _pointer(self._tables.group_name(scope, name), made.id),
            new(self._tables.group(scope, made.id), head(made, 0)),
        ]
        if ref != name and may_be_name(ref):
            members.append(_free(self._tables.group_name(scope, ref)))
        try:
            calls.transact(self._dynamodb, members)
        except Cancelled as cancelled:
            there = cancelled.items[0]
            if there is not None and there["id"]["S"] == made.id:  # our own doing: its answer was lost
                return made
            if there is None or ref == name or any(cancelled.failed(n) for n in range(2, len(members))):
                return None
            raise _taken(name) from None
        return made

    def _rename(self, scope: Scope, found: Group, name: str) -> Group | None:
        """The group under its new name; None if it is not any more what it was when it was found."""
        now, mark = int(self._clock()), secrets.token_hex(8)
        place = self._tables.group(scope, found.id)
        new_name = self._tables.group_name(scope, name)
        try:
            calls.transact(
                self._dynamodb,
                [
                    pointer_gone(self._tables.group_name(scope, found.name), found.id),
                    _pointer(new_name, found.id),
                    {
                        "Update": {
                            "TableName": place.table,
                            "Key": place.words,
                            "UpdateExpression": "SET #name = :name, #updated = :now, #mark = :mark",
                            "ConditionExpression": "attribute_exists(pk) AND #name = :before",
                            "ExpressionAttributeNames": {"#name": "name", "#updated": "updated", "#mark": "mark"},
                            "ExpressionAttributeValues": {
                                ":name": {"S": name},
                                ":now": {"N": str(now)},
                                ":mark": {"S": mark},
                                ":before": {"S": found.name},
                            },
                        }
                    },
                ],
            )
        except Cancelled as cancelled:
            there = cancelled.items[1]
            if there is not None and there["id"]["S"] != found.id:
                raise _taken(name) from None
            again = self.look(scope).item(place)
            ours = again is not None and again.get("mark", {}).get("S") == mark  # though its answer was lost
            return group(again) if again is not None and ours else None
        return Group(found.id, name, found.statistics, found.created_at, now)

    def delete_group(self, scope: Scope, ref: str) -> Group:
        """Deletes a group with all that it has. What hangs on it is removed later (`removals`).

        Raises:
            NotFound: there is none.
        """
        mark = secrets.token_hex(8)
        for _ in range(calls.TRIES):
            found = self.look(scope).group(ref)
            if found is None:
                raise NotFound("group")
            try:
                calls.transact(
                    self._dynamodb,
                    [
                        pointer_gone(self._tables.group_name(scope, found.name), found.id),
                        gone(self._tables.group(scope, found.id)),
                        removals.entry(self._tables.statistics, scope, found.id, self._clock(), mark),
                    ],
                )
            except Cancelled:
                if not self.is_ours(scope, found.id, mark):
                    continue
            return found
        raise Unavailable("a group changes all the time")

    def is_ours(self, scope: Scope, target: str, mark: str) -> bool:
        """Whether it was our own transaction that deleted this, though its answer was lost."""
        key = removals.key(self._tables.statistics, scope, target)
        entry = calls.fetch(self._dynamodb, [key])[key]
        return entry is not None and entry["mark"]["S"] == mark


def _taken(name: str) -> Taken:
    return Taken(f'name: there is a group "{name}" already')


def new(key: Key, attributes: Mapping[str, Any]) -> dict[str, Any]:
    """The member of a transaction that makes an item, which must not be there yet."""
    return {
        "Put": {
            "TableName": key.table,
            "Item": {**key.words, **attributes},
            "ConditionExpression": "attribute_not_exists(pk)",
        }
    }


def _pointer(key: Key, number: str) -> dict[str, Any]:
    """The member of a transaction that makes a name, which must be free."""
    return new(key, {"id": {"S": number}})


def _free(key: Key) -> dict[str, Any]:
    """The member of a transaction that passes if nobody has a name."""
    return {
        "ConditionCheck": {
            "TableName": key.table,
            "Key": key.words,
            "ConditionExpression": "attribute_not_exists(pk)",
        }
    }


def head(made: Group, number: int) -> dict[str, Any]:
    """The attributes of a new group with so many statistics."""
    return {
        "name": {"S": made.name},
        "statistics": {"N": str(number)},
        "created": {"N": str(made.created_at)},
        "updated": {"N": str(made.updated_at)},
    }


def gone(key: Key) -> dict[str, Any]:
    """The member of a transaction that deletes an item, which must be there."""
    return {
        "Delete": {"TableName": key.table, "Key": key.words, "ConditionExpression": "attribute_exists(pk)"},
    }


def pointer_gone(key: Key, number: str) -> dict[str, Any]:
    """The member of a transaction that deletes a name, which must still be this one's."""
    return {
        "Delete": {
            "TableName": key.table,
            "Key": key.words,
            "ConditionExpression": "#id = :id",
            "ExpressionAttributeNames": {"#id": "id"},
            "ExpressionAttributeValues": {":id": {"S": number}},
        }
    }
