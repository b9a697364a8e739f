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
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING

from chalicelib.core import statistics
from chalicelib.core.accounts import Scope
from chalicelib.core.errors import CountlessError, NotFound, Unavailable
from chalicelib.core.pages import Page
from chalicelib.core.statistics import NEWEST, Dated, Group, Once, Rows, Span, Statistic, Update

from . import calls, making, removals, updates
from .calls import Cancelled, Item
from .groups import Groups, gone, pointer_gone
from .lookup import Look, Place, Reference, Tables, group, missing, place
from .removals import FIRST, LAST

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

_FIRST_MONTHS = 13
"""Months read at first for the newest days: more than a year's worth, should every day have a value."""
_FEW = 50
"""Statistics that are read at once, even if less are wanted, where deleted groups are in the way."""


class Statistics(Groups):
    """The store: groups, the statistics in them, and their values."""

    def __init__(
        self,
        dynamodb: "DynamoDBClient",
        dynamodb_once: "DynamoDBClient",
        tables: Tables,
        clock: Callable[[], float],
    ) -> None:
        super().__init__(dynamodb, tables, clock)
        self._updates = updates.Updates(dynamodb, dynamodb_once, tables, clock, self)

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
        """As many updates, in their order, each applied exactly once; what is wrong with one stands in its place.

        Raises:
            Unavailable: none of them was applied, and none is to blame.
        """
        return self._updates.batch(scope, updates, once)

    def delete_day(self, scope: Scope, group: str, statistic: str, day: str) -> Statistic:
        """Deletes one day's value; what it shows is what was deleted.

        Raises:
            NotFound: there is no such statistic, or it has no value for this day.
        """
        found = self._find(scope, Reference(group, statistic))
        return _statistic(found, self._updates.delete_day(scope, found.id, day))

    def purge(self, scope: Scope, group: str, statistic: str) -> Statistic:
        """Deletes a statistic with every value; shows what it was, every value included. They are removed later
        (`removals`).

        It is a snapshot: whatever is counted at the same time is either shown, or begins the statistic anew, and is
        answered accordingly. So what one purge after the other shows comes to all that was counted.

        Raises:
            NotFound: there is none.
            Uncertain: it is deleted, or is not, and nobody can show any more what it was.
        """
        ref = Reference(group, statistic)
        mark = secrets.token_hex(8)
        for _ in range(calls.TRIES):
            found = self._find(scope, ref)
            try:
                calls.transact(
                    self._dynamodb,
                    [
                        pointer_gone(self._tables.statistic_name(scope, found.group.id, found.name), found.id),
                        gone(self._tables.statistic(scope, found.id)),
                        making.counted(self._tables.group(scope, found.group.id), -1),
                        removals.entry(self._tables.statistics, scope, found.id, self._clock(), mark),
                    ],
                )
            except Cancelled:
                if not calls.after_all(partial(self.is_ours, scope, found.id, mark)):
                    continue
            except calls.NothingDone:
                raise
            except Unavailable as error:
                if not calls.found_out(error, partial(self.is_ours, scope, found.id, mark)):
                    raise
            return calls.after_all(partial(self._purged, scope, found))
        raise Unavailable("a statistic changes all the time")

    def _purged(self, scope: Scope, found: Place) -> Statistic:
        """What a statistic was that has just been deleted: from now on nothing is written to it."""
        months = [item["sk"]["S"].rpartition("#")[2] for item in self._months(scope, found.id)]
        items = self._updates.seal(scope, found.id, months)
        values = tuple(dated for item in items for dated in _days(item))
        written = max((int(item["u"]["N"]) for item in items if _days(item)), default=0)
        return _statistic(found, (values[-1], written) if values else None, values)

    def _months(self, scope: Scope, number: str) -> Iterator[Item]:
        return calls.query(
            self._dynamodb, self._tables.statistics, removals.values(scope), f"{number}#", f"{number}#{LAST}"
        )

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
