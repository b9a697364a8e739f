"""The statistics facets of an account's domains, kept in DynamoDB: what the statistics API calls domains.

A facet is some attributes of its domain's item, and beside it a pointer that keeps its name for it. Both are written
together, along with whatever else makes, moves or ends the facet. So an answer that was lost can be made good: what a
write left behind says whose it is.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from chalicelib.core import ids, keys
from chalicelib.core.accounts import (
    DOMAIN_PREFIX,
    FACET_LENGTH,
    STATISTICS,
    Permission,
    Scope,
    StatisticsDomain,
    facet_id,
)
from chalicelib.core.errors import Invalid, NotFound, Taken, Unauthenticated, Unavailable
from chalicelib.core.keys import Key
from chalicelib.core.pages import Page
from chalicelib.settings import Settings

from . import calls, records, removals
from .accounts import Accounts, key_id
from .tables import DomainDocument, KeyDocument, KeyPointer

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

Member = dict[str, Any]
"""A member of a transaction, as DynamoDB has it."""
_ID = re.compile(rf"{DOMAIN_PREFIX}[0-9a-z]{{1,64}}[{ids.ALPHABET}]{{{FACET_LENGTH}}}")
_LOOKS = 6
"""How often a write is tried after others have changed what it was based on."""
_FACET = "statistics", "statistics_name", "statistics_created_at", "statistics_updated_at"


class Domains:
    """The store.

    Every method may raise `Unavailable` when DynamoDB does not answer or is throttling, and those that write raise
    `Uncertain` when nobody can say any more whether they did.
    """

    def __init__(
        self, dynamodb: "DynamoDBClient", settings: Settings, accounts: Accounts, clock: Callable[[], float]
    ) -> None:
        self._client = dynamodb
        self._table = settings.documents_table
        self._statistics = settings.statistics_table
        self._accounts = accounts
        self._clock = clock

    # Asking

    def get(self, account: str, ref: str) -> StatisticsDomain:
        """The account's domain with this id, or the one that this key's token opens; as it is now.

        Raises:
            NotFound: there is none. Which keys and domains other accounts have is not said.
        """
        facet = self._facet(Scope(account, ref if _ID.fullmatch(ref) else self._opened(account, ref)))
        if facet is None:
            raise NotFound("domain")
        return facet

    def list(self, account: str, limit: int, after: str = "") -> Page[StatisticsDomain]:
        """The account's domains after the one with the id `after`, by id, as they are now.

        Raises:
            Invalid: `after` is no id of a domain; there may be none with it any more.
        """
        if after and not _ID.fullmatch(after):
            raise Invalid("after: must be the id of a domain")
        first = Scope(account, after).entity if after else ""
        found: list[StatisticsDomain] = []
        for document in self._documents(account, first, Limit=limit + 1):
            facet = records.facet(document)
            if facet is not None and facet.scope.domain > after:
                found.append(facet)
            if len(found) > limit:
                break
        return Page(tuple(found[:limit]), found[limit - 1].scope.domain if len(found) > limit else None)

    def _facet(self, scope: Scope) -> StatisticsDomain | None:
        document = self._document(scope)
        return records.facet(document) if document else None

    def _document(self, scope: Scope) -> DomainDocument | None:
        """The domain's item; None if it has this facet no longer, or never had."""
        place = calls.Key(self._table, records.partition(scope.account), f"domain#{scope.entity}")
        item = calls.fetch(self._client, [place])[place]
        document = DomainDocument.from_raw_data(dict(item)) if item else None
        return document if document and document.statistics == scope.domain else None

    def _documents(self, account: str, first: str = "", **more: object) -> Iterator[DomainDocument]:
        """The account's domains by id, from the id `first` on."""
        rows = calls.query(self._client, self._table, records.partition(account), f"domain#{first}", "domain$", **more)
        return (DomainDocument.from_raw_data(dict(row)) for row in rows)

    def _opened(self, account: str, token: str) -> str:
        """The id of the account's domain that a key opens."""
        try:
            key = self._accounts.key(keys.plausible(token))
        except Unauthenticated:
            raise NotFound("domain") from None
        if key.account != account or not key.domain:
            raise NotFound("domain")
        return key.domain

    # Making

    def create(  # noqa: PLR0913 - what a domain and its key are
        self, account: str, name: str, permissions: Permission, owner: int, key_name: str, *, limits: str = ""
    ) -> tuple[StatisticsDomain, str]:
        """Makes a domain with a key that opens it and no site; the key's token is shown here and never again.

        What is a domain of that name already, for another surface, becomes one for statistics, too.

        Raises:
            Taken: the account has a domain of that name for statistics.
        """
        token = keys.token()
        for _ in range(_LOOKS):
            now = self._clock()
            bare = next(
                (found for found in self._documents(account) if found.name == name and not found.statistics), None
            )
            entity = bare.sk.removeprefix("domain#") if bare else ids.ordered(now)
            facet = StatisticsDomain(Scope(account, facet_id(entity)), name, int(now), int(now))
            key = replace(self._key(facet, permissions, owner, key_name), limits=limits)
            if self._make(facet, key, keys.digest(token), bare):
                self._accounts.forget(account)
                return facet, token
        raise Unavailable("domains of this name come and go")

    def _key(self, facet: StatisticsDomain, permissions: Permission, owner: int, name: str) -> Key:
        scope = facet.scope
        return Key(
            key_id(self._clock()), scope.account, name, permissions, owner, (), facet.created_at, domain=scope.domain
        )

    def _make(self, facet: StatisticsDomain, key: Key, digest: str, bare: DomainDocument | None) -> bool:
        """Makes it, unless `bare`, which it should become a part of, has changed meanwhile."""
        members = [
            records.put(self._table, records.new_name(facet)),
            self._attach(facet, bare) if bare else records.put(self._table, records.new_domain(facet)),
            *(records.put(self._table, new.document) for new in records.new_key(key, digest)),
        ]
        try:
            calls.transact(self._client, members)
        except calls.Cancelled as error:
            name, mine = error.items[0], error.items[2]
            if mine or (name and name["domain"]["S"] == facet.scope.domain):
                return True  # what stood in the way of a repeated call was the first one's
            if error.failed(0):
                raise Taken(f'there is a domain "{facet.name}" already') from None
            return False
        except Unavailable as error:
            if not calls.found_out(error, lambda: self._facet(facet.scope)):
                raise
        return True

    def _attach(self, facet: StatisticsDomain, bare: DomainDocument) -> Member:
        """Gives an item a facet, if it has none and is still called so."""
        new = DomainDocument()
        records.put_facet(new, facet)
        values = {f":{name}": value for name, value in new.serialize(null_check=False).items() if name in _FACET}
        return self._update(
            bare,
            "SET " + ", ".join(f"{name} = :{name}" for name in _FACET),
            "#name = :called AND attribute_not_exists(statistics)",
            {**values, ":called": {"S": facet.name}},
        )

    # Changing

    def rename(self, scope: Scope, name: str) -> StatisticsDomain:
        """Gives a domain another name, in one write; one that is nothing but this facet is called so altogether.

        Raises:
            NotFound: the domain is gone.
            Taken: the account has another domain of that name for statistics.
        """
        for _ in range(_LOOKS):
            document = self._document(scope)
            old = records.facet(document) if document else None
            if document is None or old is None:
                raise NotFound("domain")
            if old.name == name:
                return old
            new = replace(old, name=name, updated_at=int(self._clock()))
            if self._move(document, old, new):
                self._accounts.forget(scope.account)
                return new
        raise Unavailable("others rename this domain at the same time")

    def _move(self, document: DomainDocument, old: StatisticsDomain, new: StatisticsDomain) -> bool:
        """Renames it, unless it has changed meanwhile."""
        own = "" if document.site else "#name = :name, "
        members = [
            records.put(self._table, records.new_name(new)),
            self._free(old),
            self._update(
                document,
                f"SET {own}statistics_name = :name, statistics_updated_at = :now",
                f"#name = :called AND {_as_it_was(document)}",
                {
                    **_as_seen(old),
                    ":name": {"S": new.name},
                    ":now": {"N": str(new.updated_at)},
                    ":called": {"S": document.name},
                },
            ),
        ]
        try:
            calls.transact(self._client, members)
        except calls.Cancelled as error:
            name = error.items[0]
            if name and name["domain"]["S"] != new.scope.domain:
                raise Taken(f'there is a domain "{new.name}" already') from None
            return False  # and the next look may show that it is done
        except Unavailable as error:
            if not calls.found_out(error, lambda: self._facet(new.scope) == new):
                raise
        return True

    # Ending

    def delete(self, scope: Scope) -> StatisticsDomain:
        """Ends a domain's statistics: gone at once for everybody, and an entry says what is left to be removed.

        A site of the same domain is not touched. Returns what was deleted. Whoever calls asks for the removal.

        Raises:
            NotFound: the domain is gone.
        """
        mark, tried = ids.chance(16), None
        for _ in range(_LOOKS):
            document = self._document(scope)
            facet = records.facet(document) if document else None
            if document is None or facet is None:
                if tried and self._removed(scope, mark):
                    return tried
                raise NotFound("domain")
            tried = facet
            if self._end(document, facet, mark):
                self._accounts.forget(scope.account)
                return facet
        raise Unavailable("others change this domain at the same time")

    def _end(self, document: DomainDocument, facet: StatisticsDomain, mark: str) -> bool:
        """Deletes it, unless it has changed meanwhile."""
        scope = facet.scope
        end = self._update if document.site else self._delete
        members = [
            end(document, f"REMOVE {', '.join(_FACET)}", _as_it_was(document), _as_seen(facet)),
            self._free(facet),
            removals.entry(self._statistics, scope, scope.domain, self._clock(), mark),
        ]
        try:
            calls.transact(self._client, members)
        except calls.Cancelled:
            return False  # and the next look may show that it is done
        except Unavailable as error:
            if not calls.found_out(error, lambda: self._removed(scope, mark)):
                raise
        return True

    def _removed(self, scope: Scope, mark: str) -> bool:
        """Whether the deletion was the one with this mark."""
        place = removals.key(self._statistics, scope, scope.domain)
        item = calls.fetch(self._client, [place])[place]
        return item is not None and item["mark"]["S"] == mark

    def revoke_keys(self, scope: Scope) -> None:
        """Ends the keys of a domain that is gone; those that may do more than statistics only cease to open it.

        If it is broken off, doing it again does the rest.
        """
        waiting: dict[str, calls.Key] = {}
        for item in calls.query(self._client, self._table, f"keys#{scope.account}", " ", "~"):
            pointer = KeyPointer.from_raw_data(dict(item))
            waiting[pointer.digest] = calls.Key(self._table, f"token#{pointer.digest}", "key")
            if len(waiting) == calls.AT_ONCE:
                self._revoke(scope, waiting)
                waiting = {}
        if waiting:
            self._revoke(scope, waiting)

    def _revoke(self, scope: Scope, places: dict[str, calls.Key]) -> None:
        found = calls.fetch(self._client, places.values())
        for digest, place in places.items():
            item = found[place]
            key = records.key(KeyDocument.from_raw_data(dict(item))) if item else None
            if key is None or key.domain != scope.domain or key.revoked:
                continue
            # Twice is as good as once. A key's domain never becomes another, so that no condition is needed.
            change: dict[str, Any] = (
                {"UpdateExpression": "REMOVE #domain", "ExpressionAttributeNames": {"#domain": "domain"}}
                if key.permissions & ~(STATISTICS | Permission.NOTHING)
                else {"UpdateExpression": "SET revoked = :yes", "ExpressionAttributeValues": {":yes": {"BOOL": True}}}
            )
            with calls.answering():
                self._client.update_item(TableName=self._table, Key=place.words, **change)
            self._accounts.forget(scope.account, digest)

    # Members of transactions

    def _update(self, document: DomainDocument, change: str, condition: str, values: dict[str, Any]) -> Member:
        called = {"ExpressionAttributeNames": {"#name": "name"}} if "#name" in change + condition else {}
        return {
            "Update": {
                "TableName": self._table,
                "Key": {"pk": {"S": document.pk}, "sk": {"S": document.sk}},
                "UpdateExpression": change,
                "ConditionExpression": condition,
                "ExpressionAttributeValues": values,
                **called,
            }
        }

    def _delete(self, document: DomainDocument, _: str, condition: str, values: dict[str, Any]) -> Member:
        """What `_update` is for an item that has nothing else."""
        words = self._update(document, "", condition, values)["Update"]
        return {"Delete": {name: word for name, word in words.items() if name != "UpdateExpression"}}

    def _free(self, facet: StatisticsDomain) -> Member:
        """Lets go of a facet's name."""
        pointer = records.new_name(facet)
        return {
            "Delete": {
                "TableName": self._table,
                "Key": {"pk": {"S": pointer.pk}, "sk": {"S": pointer.sk}},
                "ConditionExpression": "attribute_not_exists(pk) OR #domain = :facet",
                "ExpressionAttributeNames": {"#domain": "domain"},
                "ExpressionAttributeValues": {":facet": {"S": facet.scope.domain}},
            }
        }


def _as_it_was(document: DomainDocument) -> str:
    """The condition that the domain still has the facet `:facet` of the name `:old`, and a site if it had one."""
    site = "attribute_exists(site)" if document.site else "attribute_not_exists(site)"
    return f"statistics = :facet AND statistics_name = :old AND {site}"


def _as_seen(facet: StatisticsDomain) -> dict[str, Any]:
    """The values of that condition."""
    return {":facet": {"S": facet.scope.domain}, ":old": {"S": facet.name}}
