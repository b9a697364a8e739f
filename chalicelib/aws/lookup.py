"""Finds groups and statistics by name or id, with as few calls as can be, and always as they are now.

What a name meant last time is remembered as a guess: all that the guess leads to is read in one call, and believed
only as far as this reading bears it out. So a warm process needs one call, and no process is ever out of date.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from chalicelib.core import keys, statistics
from chalicelib.core.accounts import Scope
from chalicelib.core.caches import Memory
from chalicelib.core.errors import NotFound, Unauthenticated
from chalicelib.core.statistics import Group

from . import calls, removals
from .calls import Item, Key

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

Guesses = Memory[tuple[str, ...], str]
"""Ids by domain, group name and, for statistics, name."""


class Reference(NamedTuple):
    """What a caller calls a statistic."""

    group: str
    """The group's name or id; of no meaning if `statistic` is an id and this is empty."""
    statistic: str
    """The statistic's name or id."""


class Place(NamedTuple):
    """Where a statistic was found."""

    group: Group
    id: str
    name: str
    created_at: int
    newest: str
    """No month after this one, `YYYY-MM`, has values; empty if none has."""


@dataclass(slots=True)
class Tables:
    """Where things stand."""

    documents: str
    statistics: str

    def facet(self, scope: Scope) -> Key:
        """The item that says whether the domain is still there."""
        return Key(self.documents, f"account#{scope.account}", f"domain#{scope.entity}")

    def group(self, scope: Scope, number: str) -> Key:
        """A group, by its id."""
        return Key(self.statistics, removals.partition(scope), f"group#{number}")

    def group_name(self, scope: Scope, name: str) -> Key:
        """The id of the group with a name."""
        return Key(self.statistics, removals.partition(scope), f"group-name#{name}")

    def statistic(self, scope: Scope, number: str) -> Key:
        """A statistic, by its id."""
        return Key(self.statistics, removals.partition(scope), f"statistic#{number}")

    def statistic_name(self, scope: Scope, group: str, name: str) -> Key:
        """The id of the statistic with a name in a group."""
        return Key(self.statistics, removals.partition(scope), f"statistic-name#{group}#{name}")

    def month(self, scope: Scope, statistic: str, month: str) -> Key:
        """A statistic's values in a month."""
        return Key(self.statistics, removals.values(scope), f"{statistic}#{month}")

    def once(self, scope: Scope, key: str) -> Key:
        """What an update with an idempotency key came to."""
        return Key(self.statistics, removals.once(scope), key)


@dataclass(slots=True)
class Look:
    """What one call has read so far."""

    client: "DynamoDBClient"
    tables: Tables
    scope: Scope
    guesses: Guesses
    _items: dict[Key, Item | None] = field(default_factory=dict)

    def ahead(self, wanted: Iterable[Key]) -> None:
        """Reads in one go what was not read yet."""
        new = [key for key in dict.fromkeys(wanted) if key not in self._items]
        if new:
            self._items.update(calls.fetch(self.client, new))

    def tell(self, made: Mapping[Key, Item]) -> None:
        """Takes items that have just been made for read."""
        self._items.update(made)

    def item(self, key: Key) -> Item | None:
        """One item, as it was when it was read."""
        self.ahead([key])
        return self._items[key]

    def alive(self) -> None:
        """Passes if the domain is there.

        Raises:
            Unauthenticated: it was deleted, and its keys with it.
        """
        facet = self.item(self.tables.facet(self.scope))
        if facet is None or facet.get("statistics", {}).get("S") != self.scope.domain:
            raise Unauthenticated(keys.UNKNOWN)

    def group(self, ref: str) -> Group | None:
        """The group with this name, else with this id."""
        self.ahead([self.tables.facet(self.scope), *self._about_group(ref)])
        self.alive()
        return self._group(ref)

    def begin(self, references: Iterable[Reference], also: Iterable[Key] = ()) -> None:
        """Reads in one go what is known to be needed for these, and `also` along with it."""
        self.ahead([self.tables.facet(self.scope), *also, *(key for ref in references for key in self._about(ref))])
        self.alive()

    def places(self, references: Collection[Reference]) -> dict[Reference, Place | None]:
        """Where the statistics with these names or ids are; None for those that are not there."""
        references = list(dict.fromkeys(references))
        self.begin(references)
        found = {ref: self._owner(ref) for ref in references}
        self.ahead(key for ref, group in found.items() if group for key in self._names(group.id, ref.statistic))
        numbers = {ref: self._number(group.id, ref.statistic) for ref, group in found.items() if group}
        self.ahead(self.tables.statistic(self.scope, number) for number in numbers.values() if number)
        return {ref: self._place(ref, group, numbers.get(ref)) for ref, group in found.items()}

    def _about(self, ref: Reference) -> Iterable[Key]:
        if ref.group:
            yield from self._about_group(ref.group)
        elif owner := _owner(ref):
            yield self.tables.group(self.scope, owner)
            yield from self._names(owner, ref.statistic)
        guess = self.guesses.recall((self.scope.domain, _owner(ref)))
        if guess:
            yield from self._names(guess, ref.statistic)
        known = self.guesses.recall((self.scope.domain, _owner(ref), ref.statistic))
        if known:
            yield self.tables.statistic(self.scope, known)

    def _about_group(self, ref: str) -> Iterable[Key]:
        if may_be_name(ref):
            yield self.tables.group_name(self.scope, ref)
        if statistics.is_group_id(ref):
            yield self.tables.group(self.scope, ref)
        if guess := self.guesses.recall((self.scope.domain, ref)):
            yield self.tables.group(self.scope, guess)

    def _names(self, group: str, statistic: str) -> Iterable[Key]:
        if may_be_name(statistic):
            yield self.tables.statistic_name(self.scope, group, statistic)
        if statistics.is_statistic_id(statistic):
            yield self.tables.statistic(self.scope, statistic)

    def _group(self, ref: str) -> Group | None:
        number = self._pointed(self.tables.group_name(self.scope, ref)) if may_be_name(ref) else None
        if number is not None:
            self.guesses.put((self.scope.domain, ref), number)
        elif statistics.is_group_id(ref):
            number = ref
        item = self.item(self.tables.group(self.scope, number)) if number else None
        return group(item) if item else None

    def _owner(self, ref: Reference) -> Group | None:
        """The group of a statistic; if only its own id is known, no other group may be called like its group's id."""
        if ref.group or not _owner(ref):
            return self._group(ref.group)
        item = self.item(self.tables.group(self.scope, _owner(ref)))
        return group(item) if item else None

    def _number(self, owner: str, ref: str) -> str | None:
        found = self._pointed(self.tables.statistic_name(self.scope, owner, ref)) if may_be_name(ref) else None
        if found is None and statistics.is_statistic_id(ref) and statistics.group_of(ref) == owner:
            return ref
        return found

    def _place(self, ref: Reference, owner: Group | None, number: str | None) -> Place | None:
        item = self.item(self.tables.statistic(self.scope, number)) if number else None
        if owner is None or number is None or item is None:
            return None
        self.guesses.put((self.scope.domain, _owner(ref), ref.statistic), number)
        return place(owner, item)

    def _pointed(self, key: Key) -> str | None:
        item = self.item(key)
        return item["id"]["S"] if item else None


def group(item: Item) -> Group:
    """The group that an item holds."""
    return Group(
        id=item["sk"]["S"].removeprefix("group#"),
        name=item["name"]["S"],
        statistics=int(item["statistics"]["N"]),
        created_at=int(item["created"]["N"]),
        updated_at=int(item["updated"]["N"]),
    )


def place(owner: Group, item: Item) -> Place:
    """The statistic that an item holds."""
    return Place(
        group=owner,
        id=item["sk"]["S"].removeprefix("statistic#"),
        name=item["name"]["S"],
        created_at=int(item["created"]["N"]),
        newest=item.get("newest", {}).get("S", ""),
    )


def missing(ref: Reference, *, group_found: bool) -> NotFound:
    """What to say of a statistic that is not there."""
    return NotFound("statistic" if group_found or not ref.group else "group")


def _owner(ref: Reference) -> str:
    """What the group of a statistic is called."""
    if not ref.group and statistics.is_statistic_id(ref.statistic):
        return statistics.group_of(ref.statistic)
    return ref.group


def may_be_name(ref: str) -> bool:
    """Whether anything can have this name: DynamoDB refuses keys that are too long."""
    return 0 < len(ref) <= statistics.LONGEST_NAME and not any("\ud800" <= char <= "\udfff" for char in ref)
