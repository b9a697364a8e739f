"""Groups, statistics and their values, kept in DynamoDB: one item a statistic and month, with the days as attributes.

    pk           sk                       what
    A/D          group#G                  a group: its name, and how many statistics it has
    A/D          group-name#NAME          the id of the group with this name
    A/D          statistic#S              a statistic: its name, and the newest month that may have values
    A/D          statistic-name#G#NAME    the id of the group's statistic with this name
    A/D/values   S#YYYY-MM                its values in a month: `d01` to `d31`, and when one was last written
    A/D/once     KEY                      what an update with an idempotency key came to; gone after a day
    removals     A/D/ID                   something that was deleted, and not removed yet (`removals`)

A is an account, D a domain's facet, G and S are ids; S begins as G does, so a group's statistics and their values
stand side by side. All reads are consistent. Every method may raise `Unauthenticated` (the domain was deleted) and
`Unavailable` (DynamoDB does not answer); those that write values may raise `Uncertain`.
"""

import secrets
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from itertools import islice
from typing import TYPE_CHECKING, Any

from chalicelib.core import statistics
from chalicelib.core.accounts import Scope
from chalicelib.core.errors import CountlessError, NotFound, Taken, Unavailable
from chalicelib.core.statistics import NEWEST, Dated, Group, Once, Page, Rows, Span, Statistic, Update

from . import calls, removals, updates
from .calls import Cancelled, Item, Key
from .lookup import Guesses, Look, Place, Reference, Tables, group, missing, place

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

_GUESSES = 20_000
_REMEMBERED = 86_400.0
_FIRST_MONTHS = 13
"""Months read at first for the newest days: more than a year's worth, should every day have a value."""
_FEW = 50
"""Statistics that are read at once, even if less are wanted, where deleted groups are in the way."""
FIRST, LAST = removals.FIRST, removals.LAST


class Statistics:
    """The store."""

    def __init__(
        self,
        dynamodb: "DynamoDBClient",
        dynamodb_once: "DynamoDBClient",
        tables: Tables,
        clock: Callable[[], float],
    ) -> None:
        self._dynamodb = dynamodb
        self._tables = tables
        self._clock = clock
        self._guesses: Guesses = Guesses(_GUESSES, _REMEMBERED, clock)
        self._updates = updates.Updates(dynamodb, dynamodb_once, tables, clock, self)

    def look(self, scope: Scope) -> Look:
        """What a call begins with: nothing read yet."""
        return Look(self._dynamodb, self._tables, scope, self._guesses)

    # Groups

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
        made, new = self.ensure_group(scope, name)
        if not new:
            raise _taken(name)
        return made

    def ensure_group(self, scope: Scope, name: str) -> tuple[Group, bool]:
        """The group of this name, made if it is not there, and whether it was made now."""
        now = int(self._clock())
        new = Group(statistics.group_id(self._clock()), name, 0, now, now)
        pointer = self._tables.group_name(scope, name)
        for _ in range(calls.TRIES):
            try:
                calls.transact(self._dynamodb, [_new(pointer, id=new.id), _new_group(self._tables, scope, new)])
            except Cancelled as cancelled:
                there = cancelled.items[0]
                if there is None:  # it went while we looked
                    continue
                if there["id"]["S"] == new.id:  # our own doing: its answer was lost
                    return new, True
                found = self.look(scope).group(name)
                if found is not None:
                    return found, False
            else:
                return new, True
        raise Unavailable("a group comes and goes")

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
                made, new = self.ensure_group(scope, name)
                if new or name == ref:  # somebody else may just have made it
                    return made
                raise _taken(name)
            if found.name == name:
                return found
            if (renamed := self._rename(scope, found, name)) is not None:
                return renamed
        raise Unavailable("a group changes all the time")

    def _rename(self, scope: Scope, found: Group, name: str) -> Group | None:
        """The group under its new name; None if it is not any more what it was when it was found."""
        now = int(self._clock())
        head = self._tables.group(scope, found.id)
        new_name = self._tables.group_name(scope, name)
        try:
            calls.transact(
                self._dynamodb,
                [
                    _pointer_gone(self._tables.group_name(scope, found.name), found.id),
                    _new(new_name, id=found.id),
                    {
                        "Update": {
                            "TableName": head.table,
                            "Key": head.words,
                            "UpdateExpression": "SET #name = :name, #updated = :now",
                            "ConditionExpression": "attribute_exists(pk) AND #name = :before",
                            "ExpressionAttributeNames": {"#name": "name", "#updated": "updated"},
                            "ExpressionAttributeValues": {
                                ":name": {"S": name},
                                ":now": {"N": str(now)},
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
            again = self.look(scope).item(head)  # ours perhaps, whose answer was lost
            return group(again) if again is not None and again["name"]["S"] == name else None
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
                        _pointer_gone(self._tables.group_name(scope, found.name), found.id),
                        _gone(self._tables.group(scope, found.id)),
                        removals.entry(self._tables.statistics, scope, found.id, self._clock(), mark),
                    ],
                )
            except Cancelled:
                if not self._is_ours(scope, found.id, mark):
                    continue
            return found
        raise Unavailable("a group changes all the time")

    # Statistics

    def statistics(self, scope: Scope, limit: int, after: str = "", group: str = "") -> Page[Statistic]:
        """The domain's statistics, or a group's, by id; each shows its newest day.

        Raises:
            NotFound: there is no such group.
        """
        look = self.look(scope)
        owner = look.group(group) if group else None
        if group and owner is None:
            raise NotFound("group")
        places = self._places(look, limit + 1, after, owner)
        shown = self._newest(scope, places[:limit])
        entries = tuple(_statistic(place, shown.get(place.id)) for place in places[:limit])
        return Page(entries, entries[-1].id if len(places) > limit else None)

    def _places(self, look: Look, limit: int, after: str, owner: Group | None) -> list[Place]:
        """The first statistics after an id whose groups are there. Those of deleted groups are hardly read: whatever
        is left of one behind what was read at once is passed over.
        """
        prefix = _family(owner.id) if owner else statistics.STATISTIC
        low, high = f"statistic#{prefix}", f"statistic#{prefix}{LAST}"
        if after:
            low = max(low, f"statistic#{after}{FIRST}")
        found: list[Place] = []
        groups: dict[str, Group | None] = {}
        asked = limit
        while len(found) < limit:
            items = list(self._heads(look.scope, low, high, asked))
            numbers = [statistics.group_of(_id(item)) for item in items]
            new = [number for number in dict.fromkeys(numbers) if number not in groups]
            look.ahead([self._tables.facet(look.scope), *(self._tables.group(look.scope, number) for number in new)])
            look.alive()
            groups |= {number: self._group(look, number) for number in new}
            found += [
                place(there, item) for item, number in zip(items, numbers, strict=True) if (there := groups[number])
            ]
            if len(items) < asked:
                break
            asked = max(limit - len(found), _FEW)
            gone = groups[numbers[-1]] is None
            low = f"statistic#{_family(numbers[-1]) if gone else _id(items[-1])}{LAST if gone else FIRST}"
        return found[:limit]

    def _group(self, look: Look, number: str) -> Group | None:
        item = look.item(self._tables.group(look.scope, number))
        return group(item) if item else None

    def _heads(self, scope: Scope, low: str, high: str, limit: int) -> Iterator[Item]:
        found = calls.query(self._dynamodb, self._tables.statistics, removals.partition(scope), low, high, Limit=limit)
        return islice(found, limit)

    def _newest(self, scope: Scope, places: Sequence[Place]) -> dict[str, tuple[Dated, int]]:
        """The newest value of statistics by id, and when it was written; those without values are missing."""
        months = {place.id: self._tables.month(scope, place.id, place.newest) for place in places if place.newest}
        items = calls.fetch(self._dynamodb, list(months.values())) if months else {}
        found: dict[str, tuple[Dated, int]] = {}
        for number, key in months.items():
            item = items[key]
            days = _days(item) if item else []
            if item is None or not days:  # its days were deleted: look further back
                item = next((item for item in self._months_back(scope, number) if _days(item)), None)
                days = _days(item) if item else []
            if item is not None and days:
                found[number] = days[-1], int(item["u"]["N"])
        return found

    def statistic(self, scope: Scope, group: str, statistic: str, span: Span | None = None) -> Statistic:
        """A statistic with the values of a span of days, or with its newest 366.

        Names or ids; `group` may be empty if `statistic` is an id.

        Raises:
            NotFound: there is none.
        """
        found = self._find(scope, Reference(group, statistic))
        if span is None:
            values, written = self._latest(scope, found.id)
            shown = (values[-1], written) if values else None
        else:
            shown = self._newest(scope, [found]).get(found.id)
            values = self._between(scope, found.id, span)
        return _statistic(found, shown, tuple(values))

    def _find(self, scope: Scope, ref: Reference) -> Place:
        look = self.look(scope)
        found = look.places([ref])[ref]
        if found is None:
            raise missing(ref, group_found=bool(ref.group) and look.group(ref.group) is not None)
        return found

    def _latest(self, scope: Scope, number: str) -> tuple[list[Dated], int]:
        values: list[Dated] = []
        written = 0
        for item in self._months_back(scope, number):
            days = _days(item)
            if days and not values:
                written = int(item["u"]["N"])
            values = days + values
            if len(values) >= NEWEST:
                break
        return values[-NEWEST:], written

    def _months_back(self, scope: Scope, number: str) -> Iterator[Item]:
        return calls.query(
            self._dynamodb,
            self._tables.statistics,
            removals.values(scope),
            f"{number}#",
            f"{number}#{LAST}",
            ScanIndexForward=False,
            Limit=_FIRST_MONTHS,
        )

    def _between(self, scope: Scope, number: str, span: Span) -> list[Dated]:
        low = f"{number}#{span.first[:7] if span.first else ''}"
        high = f"{number}#{span.last[:7] if span.last else LAST}"
        items = calls.query(self._dynamodb, self._tables.statistics, removals.values(scope), low, high)
        first, last = span.first or FIRST, span.last or LAST
        return [dated for item in items for dated in _days(item) if first <= dated.day <= last]

    # Values

    def update(self, scope: Scope, update: Update, once: Once | None = None) -> Statistic:
        """Changes one day's value, making statistic and group if they are not there; what it shows is that day.

        With `once` it counts once however often it is called within a day, and answers what it answered first.

        Raises:
            NotFound: an id of nothing.
            Invalid: the sum would leave the range, or `once` was used for another request.
            Taken: the day is to be created and has a value.
        """
        if once is None:
            return self._updates.plain(scope, update)
        (outcome,) = self._updates.batch(scope, [update], once)
        if isinstance(outcome, CountlessError):
            raise outcome
        return outcome

    def batch(self, scope: Scope, updates: Sequence[Update], once: Once | None) -> list[Statistic | CountlessError]:
        """As many updates, in their order, each applied exactly once; what is wrong with one stands in its place."""
        return self._updates.batch(scope, updates, once)

    def delete_day(self, scope: Scope, group: str, statistic: str, day: str) -> Statistic:
        """Deletes one day's value; what it shows is what was deleted.

        Raises:
            NotFound: there is no such statistic, or it has no value for this day.
        """
        found = self._find(scope, Reference(group, statistic))
        return _statistic(found, self._updates.delete_day(scope, found.id, day))

    def purge(self, scope: Scope, group: str, statistic: str) -> Statistic:
        """Deletes a statistic with every value; shows what it was. Values are removed later (`removals`).

        Raises:
            NotFound: there is none.
        """
        ref = Reference(group, statistic)
        mark = secrets.token_hex(8)
        before: Statistic | None = None
        for _ in range(calls.TRIES):
            found = self._find(scope, ref)
            before = self.statistic(scope, "", found.id) if before is None or before.id != found.id else before
            try:
                calls.transact(
                    self._dynamodb,
                    [
                        _pointer_gone(self._tables.statistic_name(scope, found.group.id, found.name), found.id),
                        _gone(self._tables.statistic(scope, found.id)),
                        updates.counted(self._tables.group(scope, found.group.id), -1),
                        removals.entry(self._tables.statistics, scope, found.id, self._clock(), mark),
                    ],
                )
            except Cancelled:
                if not self._is_ours(scope, found.id, mark):
                    continue
            return before
        raise Unavailable("a statistic changes all the time")

    def _is_ours(self, scope: Scope, target: str, mark: str) -> bool:
        """Whether it was our own transaction that deleted this, though its answer was lost."""
        key = removals.key(self._tables.statistics, scope, target)
        entry = calls.fetch(self._dynamodb, [key])[key]
        return entry is not None and entry["mark"]["S"] == mark

    # Exports

    def rows(self, scope: Scope, group: str = "", after: str = "") -> Iterator[Rows]:
        """Every value of a domain, or of the group with this id, one month of a statistic at a time, by id and date.

        `after` is that of the last batch that was taken. Batches depend on what is stored alone, so whoever goes on
        from one gets the same ones. Reading page by page, it is no snapshot: it shows each month as it was when it
        was read.

        Raises:
            NotFound: the group is not there, or not any more by the end: then what was read may be but a part of it.
            Unauthenticated: the same of the domain.
        """
        look = self._exported(scope, group)
        prefix = statistics.STATISTIC + group.removeprefix(statistics.GROUP)
        low = f"{after}{FIRST}" if after else prefix
        months = calls.query(self._dynamodb, self._tables.statistics, removals.values(scope), low, f"{prefix}{LAST}")
        heads = self._export_heads(look, after.partition("#")[0] or prefix, f"{prefix}{LAST}")
        head = next(heads, None)
        for item in months:
            number, _, month = item["sk"]["S"].partition("#")
            while head is not None and head.id < number:
                head = next(heads, None)
            if head is None:
                break
            if head.id == number:
                yield Rows(item["sk"]["S"], [(*_labels(head), *row) for row in _texts(item, month)])
        self._exported(scope, group)

    def _exported(self, scope: Scope, group: str) -> Look:
        """What an export is of, as it is now."""
        look = self.look(scope)
        look.alive()
        if group and look.group(group) is None:
            raise NotFound("group")
        return look

    def _export_heads(self, look: Look, low: str, high: str) -> Iterator[Place]:
        groups: dict[str, Group | None] = {}
        items = calls.query(
            self._dynamodb,
            self._tables.statistics,
            removals.partition(look.scope),
            f"statistic#{low}",
            f"statistic#{high}",
        )
        for item in items:
            number = statistics.group_of(_id(item))
            if number not in groups:
                groups = {number: self._group(self.look(look.scope), number)}  # they stand side by side
            owner = groups[number]
            if owner is not None:
                yield place(owner, item)


def _statistic(found: Place, shown: tuple[Dated, int] | None, values: tuple[Dated, ...] | None = None) -> Statistic:
    return Statistic(
        id=found.id,
        group=found.group.name,
        name=found.name,
        created_at=found.created_at,
        updated_at=max(found.created_at, shown[1]) if shown else found.created_at,
        shown=shown[0] if shown else None,
        values=values,
    )


def _family(group: str) -> str:
    """What the ids of a group's statistics begin with."""
    return statistics.STATISTIC + group.removeprefix(statistics.GROUP)


def _id(head: Item) -> str:
    """The id of the statistic that an item is the head of."""
    return str(head["sk"]["S"].removeprefix("statistic#"))


def _days(item: Item) -> list[Dated]:
    """The values of a month's item, by date."""
    month = item["sk"]["S"].rpartition("#")[2]
    return [
        Dated(f"{month}-{name[1:]}", statistics.tidy(Decimal(item[name]["N"])))
        for name in sorted(item)
        if name[0] == "d"
    ]


def _texts(item: Item, month: str) -> list[tuple[str, str]]:
    """The values of a month's item, by date, as texts: what an export needs of them, a million times over."""
    return [(f"{month}-{name[1:]}", _plain(item[name]["N"])) for name in sorted(item) if name[0] == "d"]


def _plain(number: str) -> str:
    """A number of DynamoDB's without an exponent."""
    return statistics.text(Decimal(number)) if "E" in number or "e" in number else number


def _labels(found: Place) -> tuple[str, str, str, str]:
    return found.group.id, found.group.name, found.id, found.name


def _taken(name: str) -> Taken:
    return Taken(f'name: there is a group "{name}" already')


def _new(key: Key, **texts: str) -> dict[str, Any]:
    """The member of a transaction that makes an item of texts."""
    item: dict[str, Any] = {**key.words, **{name: {"S": value} for name, value in texts.items()}}
    return {"Put": {"TableName": key.table, "Item": item, "ConditionExpression": "attribute_not_exists(pk)"}}


def _new_group(tables: Tables, scope: Scope, new: Group) -> dict[str, Any]:
    member = _new(tables.group(scope, new.id), name=new.name)
    member["Put"]["Item"] |= {
        "statistics": {"N": "0"},
        "created": {"N": str(new.created_at)},
        "updated": {"N": str(new.updated_at)},
    }
    return member


def _gone(key: Key) -> dict[str, Any]:
    """The member of a transaction that deletes an item, which must be there."""
    return {
        "Delete": {"TableName": key.table, "Key": key.words, "ConditionExpression": "attribute_exists(pk)"},
    }


def _pointer_gone(key: Key, number: str) -> dict[str, Any]:
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
