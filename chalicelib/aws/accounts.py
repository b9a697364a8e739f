"""Who is who, kept in DynamoDB: accounts, users, domains with their sites, and keys.

What requests ask for is remembered for half a minute, absence too: so that is how long a revoked key may live
on.
"""

import secrets
import string
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from pynamodb.exceptions import DoesNotExist, PynamoDBException, UpdateError
from pynamodb.expressions.update import Action

from chalicelib.core import ids, keys, passwords
from chalicelib.core.accounts import (
    EVERYTHING,
    Account,
    Permission,
    Roster,
    Scope,
    Site,
    SiteState,
    StatisticsDomain,
    User,
    facet_id,
)
from chalicelib.core.caches import Memory
from chalicelib.core.errors import Invalid, NotFound, Unauthenticated, Unavailable
from chalicelib.core.keys import Key
from chalicelib.core.limits import plans
from chalicelib.settings import Settings

from . import calls, clients, records
from .records import partition
from .sites import Sites
from .tables import Counter, Document, DomainDocument, KeyDocument, KeyPointer, Taken, bind

REMEMBERED = 30.0
"""Seconds for which a process believes what it has read."""
LONGEST_NAME = 255
"""Bytes of a site's code or host: whoever asks for a longer one need not be looked for. DynamoDB refuses such keys."""
_DAY = 86_400
_HALF_DAY = 43_200


@dataclass(frozen=True, slots=True)
class Created:
    """A new account; `token` is shown here and never again."""

    account: Account
    user: User
    site: Site
    statistics: StatisticsDomain
    key: Key
    token: str = field(repr=False)


def next_number(kind: str) -> int:
    """A number that was never given before to one of this kind. A lost answer leaves a gap, which harms nobody.

    Raises:
        Unavailable: DynamoDB does not answer.
    """
    counter = Counter("counter", kind)
    with _answering():
        counter.update(actions=[Counter.value.add(1)])
    return int(counter.value)


class Accounts:
    """The store.

    Every method may raise `Unavailable` when DynamoDB does not answer or is throttling.
    """

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.time) -> None:
        bind(settings)
        self._table = settings.documents_table
        self._clock = clock
        self._rosters: Memory[str, Roster | None] = Memory(200, REMEMBERED, clock)
        self._keys: Memory[str, Key] = Memory(1000, REMEMBERED, clock)
        self._strangers: Memory[str, None] = Memory(1000, REMEMBERED, clock)
        self._public: Memory[tuple[str | None, str], Site | None] = Memory(1000, REMEMBERED, clock)
        self._sites = Sites(self._table, clock)

    # Making

    def create_account(  # noqa: PLR0913 - what an account cannot do without
        self,
        *,
        name: str,
        username: str,
        email: str,
        password: str,
        domain: str,
        code: str | None = None,
        cname: str | None = None,
    ) -> Created:
        """Makes an account with its first user, a domain that is a site and has statistics, and a key that may do
        everything with both; all or nothing.

        Raises:
            Invalid: the user's name, the mail address, the code or the host is taken.
        """
        now = int(self._clock())
        account = Account(_id(), name, now)
        user = User(
            id=next_number("user"),
            account=account.id,
            name=username,
            email=email,
            password=passwords.hashed(password),
            created_at=now,
        )
        site = self._new_site(account.id, code, cname, now)
        facet = StatisticsDomain(Scope(account.id, facet_id(site.domain)), domain, now, now)
        key = Key(key_id(self._clock()), account.id, name, EVERYTHING, user.id, created=now, domain=facet.scope.domain)
        token = keys.token()
        self._create(
            [
                *records.new_account(account),
                *records.new_user(user),
                *records.new_site(domain, site, facet),
                *records.new_key(key, keys.digest(token)),
            ]
        )
        self._forget_sites(account.id)
        return Created(account, user, site, facet, key, token)

    def create_site(
        self,
        account: str,
        domain: str,
        code: str | None = None,
        cname: str | None = None,
        change: Callable[[Site], Site] = lambda site: site,
    ) -> Site:
        """Makes a domain with a site facet, or gives it to the account's domain of this name that has none. Without a
        code it gets a random one; `change` gives it other settings than the usual.

        Raises:
            Invalid: the code or the host is taken.
        """
        new = self._new_site(account, code, cname, int(self._clock()))
        made = self._sites.create(domain, change(new))
        self._forget_sites(account)
        return made

    def update_site(self, account: str, site: int, change: Callable[[Site], Site]) -> Site:
        """Replaces a site by what `change` makes of it as it is, in one step; returns it as it is then. `change` may
        be asked several times, and may raise what it likes: then nothing is changed. Other processes may go by what
        was before for another half minute.

        Raises:
            NotFound: the account has no such site.
            Invalid: the new code or host is taken.
            Uncertain: nobody can say whether it was done.
        """
        try:
            return self._sites.update(account, site, change)
        finally:
            self._forget_sites(account)

    def delete_site(self, account: str, site: int) -> Site:
        """Ends a site: gone at once for everybody who asks, but for what other processes remember for another half
        minute. Its code and host may be taken by others; the next site becomes the parent of those that it was the
        parent of. What it has counted stays until `forget_site`; a facet for statistics stays at all.

        Returns what was deleted.

        Raises:
            NotFound: the account has no such site.
            Uncertain: nobody can say whether it was done.
        """
        try:
            return self._sites.delete(account, site)
        finally:
            self._forget_sites(account)

    def deleted_sites(self) -> Iterator[Site]:
        """Every site of the deployment that was deleted and is not forgotten, by id, as it was. For jobs."""
        return self._sites.deleted()

    def forget_site(self, site: Site) -> None:
        """Removes what is left of a deleted site here, once all that it counted is gone. Statistics of the same domain
        are not touched. If it is broken off, doing it again does the rest; a second time does nothing.
        """
        self._sites.forget(site)
        self._forget_sites(site.account)

    def issue_key(  # noqa: PLR0913 - what a key is
        self,
        account: str,
        owner: int,
        name: str,
        permissions: Permission = EVERYTHING,
        sites: Sequence[int] = (keys.ALL_SITES,),
        *,
        domain: str = "",
        limits: str = "",
    ) -> tuple[Key, str]:
        """Makes a key, and the token that nobody will be told again. `domain` is the id of a statistics facet of
        the account.

        Raises:
            Invalid: the limits cannot be read.
        """
        key = Key(
            key_id(self._clock()),
            account,
            name,
            permissions,
            owner,
            tuple(sites),
            created=int(self._clock()),
            domain=domain,
            limits=_checked(limits),
        )
        token = keys.token()
        self._create(records.new_key(key, keys.digest(token)))
        self._strangers.forget(keys.digest(token))
        return key, token

    def revoke_key(self, account: str, key: str) -> None:
        """Ends a key. Other processes may honour it for another half minute.

        Raises:
            NotFound: the account has no such key.
        """
        self._change_key(account, key, KeyDocument.revoked.set(True))

    def set_key_limits(self, account: str, key: str, limits: str) -> None:
        """Changes the plans for requests with a key; empty for the deployment's own. Other processes may go by the
        old ones for another half minute.

        Raises:
            Invalid: the limits cannot be read.
            NotFound: the account has no such key.
        """
        change = KeyDocument.limits.set(checked) if (checked := _checked(limits)) else KeyDocument.limits.remove()
        self._change_key(account, key, change)

    def set_site_limits(self, account: str, site: int, limits: str) -> None:
        """Changes the plans for requests to a site; empty for the deployment's own. Other processes may go by the
        old ones for another half minute.

        Raises:
            Invalid: the limits cannot be read.
            NotFound: the account has no such site.
        """
        change = DomainDocument.limits.set(checked) if (checked := _checked(limits)) else DomainDocument.limits.remove()
        roster = self._read_roster(account)
        found = next((found for found in roster.sites() if found.id == site), None) if roster else None
        if found is None:
            raise NotFound("site")
        document = DomainDocument(partition(account), f"domain#{found.domain}")
        self._attempt(document, [change], DomainDocument.site == site)
        self._forget_sites(account)

    # Asking

    def key(self, token: str) -> Key:
        """The key with this token.

        Raises:
            Unauthenticated: nobody knows it, or it was revoked.
        """
        digest = keys.digest(token)
        if digest in self._strangers:
            raise Unauthenticated(keys.UNKNOWN)
        try:
            key = self._keys.get(digest, lambda: self._read_key(digest))
        except DoesNotExist:
            self._strangers.put(digest, None)
            raise Unauthenticated(keys.UNKNOWN) from None
        if key.revoked:
            raise Unauthenticated(keys.UNKNOWN)
        return key

    def roster(self, account: str) -> Roster:
        """Everybody and everything of an account, in one call.

        Raises:
            NotFound: there is no such account.
        """
        found = self._rosters.get(account, lambda: self._read_roster(account))
        if found is None:
            raise NotFound("account")
        return found

    def current_roster(self, account: str) -> Roster:
        """As `roster`, but as it is now, whatever is remembered.

        Raises:
            NotFound: there is no such account.
        """
        self._rosters.forget(account)
        return self.roster(account)

    def keys(self, account: str) -> list[Key]:
        """The account's keys, revoked ones too, in the order in which they were made; as they are now."""
        with _answering():
            pointers = KeyPointer.query(f"keys#{account}", consistent_read=True)
            places = [(f"token#{pointer.digest}", "key") for pointer in pointers]
            found = [records.key(document) for document in KeyDocument.batch_get(places, consistent_read=True)]
        return sorted(found, key=lambda key: (key.created, key.id))

    def all_accounts(self) -> list[str]:
        """The ids of the deployment's accounts. For the operator: it reads every user's name."""
        with _answering():
            return sorted({entry.account for entry in Taken.query("taken#user", consistent_read=True)})

    def public_site(self, code: str | None, host: str) -> Site | None:
        """The site that a request without a credential means.

        By code if there is one; else the one with this host, else the deployment's only one. None if that
        leaves none, or a choice.
        """
        return self._public.get((code, host), lambda: self._find_public(code, host))

    def all_sites(self) -> Iterator[Site]:
        """Every site of the deployment that is not deleted, by id. For jobs: it reads them one by one."""
        with _answering():
            for entry in Taken.query("sites"):
                if (site := _read_site(entry)) is not None:
                    yield site

    # Noting

    def note_use(self, key: Key) -> None:
        """Keeps when a key was last used, to the day: at most one call a day and process."""
        now = int(self._clock())
        if now - key.last_used < _DAY:
            return
        digest = next((known for known, kept in self._keys.items() if kept.id == key.id), None)
        if digest is None:
            return
        self._keys.put(digest, replace(key, last_used=now))
        self._attempt(
            KeyDocument(f"token#{digest}", "key"),
            [KeyDocument.last_used.set(now)],
            KeyDocument.pk.exists() & (KeyDocument.last_used < now),
        )

    def note_hits(self, site: Site, earliest: int) -> None:
        """Keeps that a site has data, and since when: `first_hit_at` moves to 12 hours before an earlier hit.

        Called before hits are accepted, so that it is true once they are; if they are not after all, the date
        is a lower bound too low, which harms nobody (page-view contract, section 3.3).
        """
        if site.received_data and earliest >= site.first_hit_at:
            return
        document = DomainDocument(partition(site.account), f"domain#{site.domain}")
        since = earliest - _HALF_DAY
        if earliest < site.first_hit_at:
            actions = [DomainDocument.received_data.set(True), DomainDocument.first_hit_at.set(since)]
            self._attempt(document, actions, (DomainDocument.site == site.id) & (DomainDocument.first_hit_at > since))
        else:
            self._attempt(document, [DomainDocument.received_data.set(True)], DomainDocument.site == site.id)
        self._forget_sites(site.account)

    def forget(self, account: str, *digests: str) -> None:
        """Drops what it remembers of an account, and of keys, after somebody else has changed them."""
        self._rosters.forget(account)
        for digest in digests:
            self._keys.forget(digest)

    # Within

    def _forget_sites(self, account: str) -> None:
        self._rosters.forget(account)
        self._public.clear()

    def _change_key(self, account: str, key: str, change: Action) -> None:
        """Changes a key, and forgets what it was.

        Raises:
            NotFound: the account has no such key.
        """
        with _answering():
            try:
                digest = KeyPointer.get(f"keys#{account}", key).digest
                KeyDocument(f"token#{digest}", "key").update(actions=[change], condition=KeyDocument.pk.exists())
            except DoesNotExist:
                raise NotFound("key") from None
        self._keys.forget(digest)

    def _new_site(self, account: str, code: str | None, cname: str | None, now: int) -> Site:
        return Site(
            account=account,
            domain=ids.ordered(now),
            id=next_number("site"),
            code=(code or f"serve-{_id(6)}").lower(),
            cname=cname.lower() if cname else None,
            created_at=now,
            cname_setup_at=now if cname else None,
            first_hit_at=now,
        )

    def _create(self, new: Sequence[records.New]) -> None:
        """Makes items, of which the first has an id that nobody has ever seen; all or nothing.

        Raises:
            Invalid: some of them are there already.
        """
        members = [records.put(self._table, item.document) for item in new]
        try:
            calls.transact(clients.dynamodb(), members)
        except calls.Cancelled as error:
            if error.failed(0):
                return  # what stood in the way of a repeated call was the first one's
            taken = [item.field for index, item in enumerate(new) if error.failed(index)]
            if not taken:
                raise Unavailable(f"documents: {error}") from None
            raise Invalid(fields={name: ["already exists"] for name in taken}) from None

    def _attempt(self, document: Document, actions: list, condition: object) -> None:  # type: ignore[type-arg]
        """Updates if the condition holds; that it does not is fine."""
        with _answering():
            try:
                document.update(actions=actions, condition=condition)  # type: ignore[arg-type]
            except UpdateError as error:
                if _code(error) != "ConditionalCheckFailedException":
                    raise

    def _read_key(self, digest: str) -> Key:
        with _answering():
            return records.key(KeyDocument.get(f"token#{digest}", "key", consistent_read=True))

    def _read_roster(self, account: str) -> Roster | None:
        with _answering():
            return records.roster(list(Document.query(partition(account), consistent_read=True)))

    def _find_public(self, code: str | None, host: str) -> Site | None:
        with _answering():
            if code is not None:
                return _pointed("code", code.lower())
            if (site := _pointed("cname", host)) is not None:
                return site
            entries = list(Taken.query("sites", limit=2, page_size=2))
            return _read_site(entries[0]) if len(entries) == 1 else None


@contextmanager
def _answering() -> Iterator[None]:
    """Turns what DynamoDB could not do into our own word for it."""
    try:
        yield
    except DoesNotExist:
        raise
    except PynamoDBException as error:
        raise Unavailable(f"documents: {_code(error)}") from error


def _code(error: PynamoDBException) -> str:
    """What went wrong, as `calls.code` has it. PynamoDB's own word for it fails where a connection broke."""
    return calls.code(error.cause) if error.cause else type(error).__name__


def _checked(limits: str) -> str:
    """Changes to the plans, or none, as they are.

    Raises:
        Invalid: they cannot be read.
    """
    try:
        plans(limits or "on")
    except ValueError as error:
        raise Invalid(f"limits: {error}") from None
    return limits


def key_id(now: float) -> str:
    """A new id for a key; keys made later sort later."""
    return ids.ordered(now)


def _id(length: int = 12) -> str:
    return "".join(secrets.choice(string.digits + string.ascii_lowercase) for _ in range(length))


def _pointed(kind: str, value: str) -> Site | None:
    if not 0 < len(value.encode(errors="replace")) <= LONGEST_NAME:
        return None
    try:
        return _read_site(Taken.get(f"taken#{kind}", value, consistent_read=True))
    except DoesNotExist:
        return None


def _read_site(pointer: Taken) -> Site | None:
    try:
        found = records.site(DomainDocument.get(partition(pointer.account), f"domain#{pointer.domain}"))
    except DoesNotExist:
        return None
    return found if found and found.state is SiteState.ACTIVE else None
