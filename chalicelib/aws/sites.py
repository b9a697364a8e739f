"""The site facets of domains, as they are made, changed and ended in DynamoDB.

A site is some attributes of its domain's item, and beside it pointers that keep its number, code and host for it. What
belongs together is written together, on condition that it is as it was when it was read: so nothing of two changes at
the same time is lost, and an answer that was lost can be made good, since what is there says whether it was done.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from chalicelib.core.accounts import Site, SiteState
from chalicelib.core.errors import Invalid, NotFound, Unavailable

from . import calls, clients, records
from .tables import Document, DomainDocument, Taken

Member = dict[str, Any]
"""A member of a transaction, as DynamoDB has it."""
LOOKS = 12
"""How often a write is tried after others have changed what it was based on."""
DELETED = "sites#deleted"
"""The partition of the sites that were deleted and are not forgotten yet."""
_TAKEN = "already exists"


class Sites:
    """The store; what is remembered of sites is not its business.

    Every method may raise `Unavailable` when DynamoDB does not answer or is throttling, and those that write raise
    `Uncertain` when nobody can say any more whether they did.
    """

    def __init__(self, table: str, clock: Callable[[], float]) -> None:
        self._table = table
        self._clock = clock

    # Making

    def create(self, name: str, site: Site) -> Site:
        """Makes a domain with this site facet, whose number was never given before. What is a domain of that name
        already, for statistics alone, gets the facet.

        Raises:
            Invalid: `fields` say whether the code, the host, or both are taken.
        """
        for _ in range(LOOKS):
            bare = self._bare(site.account, name)
            made = replace(site, domain=bare.sk.removeprefix("domain#")) if bare else site
            document, *pointers = records.new_site(name, made)
            members = [self._attach(bare, made) if bare else records.put(self._table, document.document)]
            members += [records.put(self._table, new.document) for new in pointers]
            try:
                calls.transact(clients.dynamodb(), members)
            except calls.Cancelled as error:
                if error.failed(1):
                    return made  # nobody else has the number: what stood in the way of a repeated call was its own
                taken = [new.field for index, new in enumerate(pointers, 1) if error.failed(index)]
                if taken:
                    raise Invalid(fields={field: [_TAKEN] for field in taken}) from None
            except Unavailable as error:
                if calls.found_out(error, lambda: self._at("sites", site.id)) is None:
                    raise
                return made
            else:
                return made
        raise Unavailable("domains of this name come and go")

    def _bare(self, account: str, name: str) -> DomainDocument | None:
        """The account's domain of this name that is nothing but a facet for statistics, if there is one."""
        rows = calls.query(clients.dynamodb(), self._table, records.partition(account), "domain#", "domain$")
        documents = (DomainDocument.from_raw_data(dict(row)) for row in rows)
        return next((found for found in documents if found.name == name and not found.site), None)

    def _attach(self, bare: DomainDocument, site: Site) -> Member:
        """Gives an item the facet, if it has none, is still called so, and has not gone meanwhile."""
        return self._update(
            bare, _words(site), "#name = :called AND attribute_not_exists(site)", {":called": bare.name}
        )

    # Asking

    def active(self, account: str, number: int) -> tuple[DomainDocument, Site] | None:
        """The account's site with this number as it is now, with its item; None if it has none."""
        found = self._at("sites", number)
        return found if found and found[1].account == account and found[1].state is SiteState.ACTIVE else None

    def deleted(self) -> Iterator[Site]:
        """Every site that was deleted and is not forgotten, by number."""
        for row in calls.query(clients.dynamodb(), self._table, DELETED, "0", ":"):
            found = self._pointed(Taken.from_raw_data(dict(row)))
            if found is not None:
                yield found[1]

    def _at(self, partition: str, number: int) -> tuple[DomainDocument, Site] | None:
        place = calls.Key(self._table, partition, f"{number:010d}")
        item = calls.fetch(clients.dynamodb(), [place])[place]
        return self._pointed(Taken.from_raw_data(dict(item))) if item else None

    def _pointed(self, pointer: Taken) -> tuple[DomainDocument, Site] | None:
        """What a pointer leads to, if that is still the site with its number."""
        place = calls.Key(self._table, records.partition(pointer.account), f"domain#{pointer.domain}")
        item = calls.fetch(clients.dynamodb(), [place])[place]
        document = DomainDocument.from_raw_data(dict(item)) if item else None
        site = records.site(document) if document else None
        return (document, site) if document and site and site.id == int(pointer.sk) else None

    # Changing

    def update(self, account: str, number: int, change: Callable[[Site], Site]) -> Site:
        """Replaces a site by what `change` makes of it as it is; its host and code move with it. `change` may be
        asked several times, and may raise what it likes: then nothing is changed.

        Raises:
            NotFound: the account has no such site.
            Invalid: `fields` say whether the new code, the new host, or both are taken.
        """
        for _ in range(LOOKS):
            found = self.active(account, number)
            if found is None:
                raise NotFound("site")
            document, old = found
            new = change(old)
            if new == old:
                return old
            now = int(self._clock())
            if new.cname != old.cname:
                new = replace(new, cname_setup_at=now if new.cname else None)
            new = replace(new, updated_at=now)
            if self._move(document, old, new):
                return new
        raise Unavailable("others change this site at the same time")

    def _move(self, document: DomainDocument, old: Site, new: Site) -> bool:
        """Writes the new one in the place of the old, unless that has changed meanwhile."""
        members, fields = [self._change(document, old, new)], [""]
        for field, pointer in (("code", records.code_pointer), ("cname", records.cname_pointer)):
            before, after = getattr(old, field), getattr(new, field)
            if before == after:
                continue
            if after:
                members.append(self._take(pointer(new)))
                fields.append(field)
            if before:
                members.append(self._free(pointer(old)))
                fields.append("")
        try:
            calls.transact(clients.dynamodb(), members)
        except calls.Cancelled as error:
            if not error.failed(0):
                taken = [field for index, field in enumerate(fields) if field and error.failed(index)]
                if taken:
                    raise Invalid(fields={field: [_TAKEN] for field in taken}) from None
            return False  # and the next look may show that it is done
        except Unavailable as error:
            look = calls.found_out(error, lambda: self.active(old.account, old.id))
            if look is None or look[1] != new:
                raise
        return True

    # Ending

    def delete(self, account: str, number: int) -> Site:
        """Ends a site: its code and host are free at once, and `deleted` gives it until it is forgotten.

        Raises:
            NotFound: the account has no such site.
        """
        tried: Site | None = None
        for _ in range(LOOKS):
            found = self.active(account, number)
            if found is None:
                if tried is None:
                    raise NotFound("site")
                return tried
            document, old = found
            tried = replace(old, state=SiteState.DELETED, updated_at=int(self._clock()))
            members = [
                self._change(document, old, tried),
                self._free(records.site_pointer(old)),
                records.put(self._table, records.site_pointer(old, DELETED)),
                self._free(records.code_pointer(old)),
                *([self._free(records.cname_pointer(old))] if old.cname else []),
            ]
            try:
                calls.transact(clients.dynamodb(), members)
            except calls.Cancelled:
                continue  # and the next look may show that it is done
            except Unavailable as error:
                if calls.found_out(error, lambda: self.active(account, number)) is not None:
                    raise
            return tried
        raise Unavailable("others change this site at the same time")

    def forget(self, site: Site) -> None:
        """Removes the last of a deleted site: its facet, or its whole item if that has no other, and its pointer.

        If it is broken off, doing it again does the rest; once it is done, doing it again does nothing.
        """
        pointer = self._free(records.site_pointer(site, DELETED))
        for _ in range(LOOKS):
            found = self._at(DELETED, site.id)
            members = [self._end(found[0], site), pointer] if found else [pointer]
            try:
                calls.transact(clients.dynamodb(), members)
            except calls.Cancelled:
                continue
            return
        raise Unavailable("others change this domain at the same time")

    def _end(self, document: DomainDocument, site: Site) -> Member:
        """Removes the facet, if the domain still has the other or still has not."""
        names = {"#state": "state"}
        words: Member = {
            "TableName": self._table,
            "Key": _key(document),
            "ConditionExpression": "site = :site AND #state = :deleted AND "
            + ("attribute_exists(statistics)" if document.statistics else "attribute_not_exists(statistics)"),
            "ExpressionAttributeValues": {":site": {"N": str(site.id)}, ":deleted": {"S": SiteState.DELETED.value}},
        }
        if not document.statistics:
            return {"Delete": {**words, "ExpressionAttributeNames": names}}
        names |= {f"#{name}": name for name in records.SITE}
        removed = ", ".join(f"#{name}" for name in records.SITE)
        return {"Update": {**words, "UpdateExpression": f"REMOVE {removed}", "ExpressionAttributeNames": names}}

    # Members of transactions

    def _change(self, document: DomainDocument, old: Site, new: Site) -> Member:
        """Writes what differs, if nobody has changed the site since the item was read."""
        before, after = _words(old), _words(new)
        differing = {name: after.get(name) for name in records.SITE if before.get(name) != after.get(name)}
        version = int(document.site_version or 0)
        differing["site_version"] = {"N": str(version + 1)}
        seen = "site_version = :seen" if version else "attribute_not_exists(site_version)"
        values: dict[str, Any] = {":id": old.id, ":active": SiteState.ACTIVE.value}
        if version:
            values[":seen"] = version
        return self._update(document, differing, f"site = :id AND #state = :active AND {seen}", values)

    def _update(
        self, document: DomainDocument, words: dict[str, Any], condition: str, values: dict[str, str | int]
    ) -> Member:
        """Gives an item these attributes, and takes those from it that are None."""
        kept = {name: word for name, word in words.items() if word is not None}
        change = "SET " + ", ".join(f"#{name} = :{name}" for name in kept)
        if removed := ", ".join(f"#{name}" for name in words if name not in kept):
            change += f" REMOVE {removed}"
        used = [*words, *(name for name in ("name", "state") if f"#{name}" in condition)]
        typed = {name: {"N": str(value)} if isinstance(value, int) else {"S": value} for name, value in values.items()}
        return {
            "Update": {
                "TableName": self._table,
                "Key": _key(document),
                "UpdateExpression": change,
                "ConditionExpression": condition,
                "ExpressionAttributeNames": {f"#{name}": name for name in used},
                "ExpressionAttributeValues": {**{f":{name}": word for name, word in kept.items()}, **typed},
            }
        }

    def _take(self, pointer: Taken) -> Member:
        """Keeps a name for a domain, if nobody else has it."""
        return {"Put": {"TableName": self._table, "Item": pointer.serialize(), **_own(pointer)}}

    def _free(self, pointer: Taken) -> Member:
        """Lets go of a name, if the domain has it."""
        return {"Delete": {"TableName": self._table, "Key": _key(pointer), **_own(pointer)}}


def _words(site: Site) -> dict[str, Any]:
    """A site's attributes as DynamoDB has them, without those that it does not have."""
    serialized = DomainDocument(**records.site_attributes(site)).serialize(null_check=False)
    return {name: serialized[name] for name in records.SITE if name in serialized}


def _key(document: Document) -> dict[str, Any]:
    return {"pk": {"S": document.pk}, "sk": {"S": document.sk}}


def _own(pointer: Taken) -> dict[str, Any]:
    """The condition that nobody has a name, or this domain has."""
    return {
        "ConditionExpression": "attribute_not_exists(pk) OR #domain = :domain",
        "ExpressionAttributeNames": {"#domain": "domain"},
        "ExpressionAttributeValues": {":domain": {"S": pointer.domain}},
    }
