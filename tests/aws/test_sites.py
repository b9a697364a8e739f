"""Sites in the table: what belongs together changes together, nobody's change is lost, and no answer that is lost does
harm.
"""

import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from itertools import product
from typing import Any

import pytest

from chalicelib import wiring
from chalicelib.aws.accounts import Accounts, Created
from chalicelib.aws.records import SITE, partition
from chalicelib.aws.tables import DomainDocument
from chalicelib.core.accounts import STATISTICS, Domain, Scope, Site, SiteState, Visibility
from chalicelib.core.errors import Invalid, NotFound, Unavailable, Uncertain
from tests.core.world import AFTER, BEFORE, INTERLEAVE, THROTTLE, Faults, struck
from tests.dynamo import Dynamo, moto, routed, standing_in
from tests.operating import new_account

pytestmark = pytest.mark.usefixtures("aws")


@pytest.fixture
def store() -> Accounts:
    return wiring.accounts()


@pytest.fixture
def owner() -> Created:
    """Of a site beside two others: the only one there is would be found whatever host is asked for, and the only one
    that is left when this is deleted as well.
    """
    new_account()
    new_account()
    return new_account()


def current(store: Accounts, account: str) -> list[Site]:
    return list(store.current_roster(account).sites())


def pointers(aws: Dynamo, account: str) -> dict[tuple[str, str], str]:
    """What points to the account's domains for the sake of their sites, and to which."""
    found = {}
    for item in aws.items(wiring.settings().documents_table):
        kind = item["pk"]["S"]
        own = kind in {"sites", "sites#deleted", "taken#code", "taken#cname"} and item["account"]["S"] == account
        if own:
            found[kind, item["sk"]["S"]] = item["domain"]["S"]
    return found


def expected(store: Accounts, account: str) -> dict[tuple[str, str], str]:
    """What has to point to them."""
    found = {}
    for domain in store.current_roster(account).domains:
        site = domain.site
        if site and site.state is SiteState.ACTIVE:
            found["sites", f"{site.id:010d}"] = domain.id
            found["taken#code", site.code] = domain.id
            if site.cname:
                found["taken#cname", site.cname] = domain.id
        elif site:
            found["sites#deleted", f"{site.id:010d}"] = domain.id
    return found


def entity(site: Site) -> DomainDocument:
    return DomainDocument.get(partition(site.account), f"domain#{site.domain}", consistent_read=True)


# Making


def test_a_domain_for_statistics_becomes_a_site_of_the_same_name(store: Accounts, owner: Created) -> None:
    """Instead of a second domain beside it; a site of that name that was there first stays as it is."""
    account = owner.account.id
    facet, _ = wiring.domains().create(account, "shop.example", STATISTICS, owner.user.id, "key")
    site = store.create_site(account, "shop.example", cname="shop.example")
    assert site.domain == facet.scope.entity
    (domain,) = [found for found in store.current_roster(account).domains if found.name == "shop.example"]
    assert (domain.site, domain.statistics) == (site, facet)
    assert domain.created_at <= site.created_at
    other = store.create_site(account, "shop.example")
    assert other.domain != site.domain


def test_a_domain_that_goes_while_it_becomes_a_site_is_made_anew(store: Accounts, owner: Created, aws: Dynamo) -> None:
    """Whichever call it goes before."""
    account = owner.account.id
    for skip in range(4):
        facet, _ = wiring.domains().create(account, f"brief{skip}", STATISTICS, owner.user.id, "key")
        rival = Faults([(skip, INTERLEAVE, False)], partial(delete_statistics, facet.scope), aws=aws)
        with struck(rival):
            site = store.create_site(account, f"brief{skip}")
        if not rival.plan:
            (domain,) = [found for found in store.current_roster(account).domains if found.name == f"brief{skip}"]
            assert (domain.id, domain.site) == (site.domain, site)
    assert pointers(aws, account) == expected(store, account)


def delete_statistics(scope: Scope) -> None:
    wiring.domains().delete(scope)


# Changing


def settled(fields: dict[str, Any], site: Site) -> Site:
    return replace(site, **fields)


def test_a_site_is_what_it_was_changed_to_and_found_by_its_new_host_and_code_alone(
    store: Accounts, owner: Created, aws: Dynamo
) -> None:
    old = owner.site
    host, code = f"new.{old.cname}", f"new-{old.code}"
    fields: dict[str, Any] = {
        "cname": host,
        "code": code,
        "visibility": Visibility.SECRET,
        "secret": "sesame12",
        "ignore_ips": ("192.0.2.1", "2001:db8::1"),
        "data_retention": 31,
        "user_defaults": '{"theme":"dark"}',
    }
    new = store.update_site(old.account, old.id, lambda site: replace(site, **fields))
    assert new == replace(old, **fields, updated_at=new.updated_at, cname_setup_at=new.cname_setup_at)
    assert new.updated_at == new.cname_setup_at
    assert [store.public_site(code, ""), store.public_site(None, host)] == [new, new]
    assert [store.public_site(old.code, ""), store.public_site(None, str(old.cname))] == [None, None]
    assert pointers(aws, old.account) == expected(store, old.account)
    bare = store.update_site(old.account, old.id, lambda site: replace(site, cname=None, secret="", user_defaults=""))
    assert (bare.cname, bare.cname_setup_at, bare.secret) == (None, None, "")
    assert current(store, old.account) == [bare]


def test_a_change_that_changes_nothing_writes_nothing(store: Accounts, owner: Created, aws: Dynamo) -> None:
    with aws.metered() as bill:
        assert store.update_site(owner.account.id, owner.site.id, lambda site: site) == owner.site
    assert not bill.written


def test_what_others_have_is_refused_by_name_and_nothing_changes(store: Accounts, owner: Created, aws: Dynamo) -> None:
    """Their own site is as it was, too."""
    other = new_account()
    for fields in (
        {"code": other.site.code},
        {"cname": other.site.cname},
        {"code": other.site.code, "cname": other.site.cname},
    ):
        with pytest.raises(Invalid) as refused:
            store.update_site(owner.account.id, owner.site.id, partial(settled, fields))
        assert refused.value.fields == {name: ["already exists"] for name in fields}
    assert [current(store, made.account.id) for made in (owner, other)] == [[owner.site], [other.site]]
    assert pointers(aws, owner.account.id) == expected(store, owner.account.id)


def test_what_a_change_raises_changes_nothing(store: Accounts, owner: Created) -> None:
    def refuse(_: Site) -> Site:
        raise Invalid("no")

    with pytest.raises(Invalid, match="no"):
        store.update_site(owner.account.id, owner.site.id, refuse)
    assert current(store, owner.account.id) == [owner.site]


def test_nobody_changes_or_deletes_another_accounts_site(store: Accounts, owner: Created) -> None:
    other = new_account()
    for account, site in ((other.account.id, owner.site.id), (owner.account.id, 999_999)):
        with pytest.raises(NotFound):
            store.update_site(account, site, lambda site: site)
        with pytest.raises(NotFound):
            store.delete_site(account, site)
    assert current(store, owner.account.id) == [owner.site]


def test_nothing_of_many_changes_at_once_is_lost(store: Accounts, owner: Created) -> None:
    """Each adds an address to the same list; and hits are noted meanwhile."""
    site = owner.site

    def add(number: int) -> None:
        own = Accounts(wiring.settings())
        if number % 4 == 0:
            own.note_hits(site, site.first_hit_at - number * 86_400)
        own.update_site(
            site.account, site.id, lambda site: replace(site, ignore_ips=(*site.ignore_ips, f"192.0.2.{number}"))
        )

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(add, range(12)))
    [found] = current(store, site.account)
    assert set(found.ignore_ips) == {f"192.0.2.{number}" for number in range(12)}
    assert found.received_data
    assert found.first_hit_at == site.first_hit_at - 8 * 86_400 - 43_200


def test_of_many_who_want_one_host_one_gets_it(store: Accounts, aws: Dynamo) -> None:
    sites = [new_account().site for _ in range(4)]
    host = f"{secrets.token_hex(6)}.example"

    def want(site: Site) -> dict[str, list[str]]:
        try:
            Accounts(wiring.settings()).update_site(site.account, site.id, lambda site: replace(site, cname=host))
        except Invalid as refused:
            return refused.fields
        return {}

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(want, sites))
    assert sorted(answers, key=len) == [{}, *[{"cname": ["already exists"]}] * 3]
    for site in sites:
        assert pointers(aws, site.account) == expected(store, site.account)


# Ending


def test_a_deleted_site_is_gone_for_everybody_and_its_host_and_code_are_free(
    store: Accounts, owner: Created, aws: Dynamo
) -> None:
    site = owner.site
    gone = store.delete_site(site.account, site.id)
    assert gone == replace(site, state=SiteState.DELETED, updated_at=gone.updated_at)
    roster = store.roster(site.account)
    assert list(roster.sites()) == []
    assert [roster.site(site.code, ""), roster.site(None, str(site.cname))] == [None, None]
    assert [store.public_site(site.code, ""), store.public_site(None, str(site.cname))] == [None, None]
    assert site.id not in {found.id for found in store.all_sites()}
    assert [found for found in store.deleted_sites() if found.account == site.account] == [gone]
    for again in (store.delete_site, lambda account, number: store.update_site(account, number, lambda site: site)):
        with pytest.raises(NotFound):
            again(site.account, site.id)
    heir = new_account()
    moved = store.update_site(
        heir.account.id, heir.site.id, lambda found: replace(found, cname=site.cname, code=site.code)
    )
    assert store.public_site(site.code, "") == moved
    for account in (site.account, heir.account.id):
        assert pointers(aws, account) == expected(store, account)


def test_the_only_site_that_is_left_is_meant_whatever_was_deleted(store: Accounts) -> None:
    """A deployment with one site needs neither host nor code."""
    with standing_in():
        store = Accounts(wiring.settings())
        name = f"n{secrets.token_hex(8)}"
        made = store.create_account(name=name, username=name, email=f"{name}@e.example", password="p", domain=name)
        other = store.create_site(made.account.id, "other")
        assert store.public_site(None, "") is None
        store.delete_site(made.account.id, made.site.id)
        assert store.public_site(None, "") == other


def test_who_deletes_a_parent_makes_its_first_child_the_parent_of_the_others(store: Accounts, owner: Created) -> None:
    """At once, however many there are; and nobody else's parent."""
    account = owner.account.id
    children = [
        store.create_site(account, f"child {number}", code=f"{owner.site.code}-{9 - number}") for number in range(3)
    ]
    roster = store.roster(account)
    assert roster.family(owner.site) == [owner.site, *reversed(children)]
    assert [roster.parent(site) for site in (owner.site, *children)] == [None, *[owner.site.id] * 3]
    assert [roster.family(child) for child in children] == [[child] for child in children]
    store.delete_site(account, owner.site.id)
    roster = store.roster(account)
    assert [roster.parent(site) for site in children] == [None, children[0].id, children[0].id]
    assert roster.family(children[0]) == [children[0], children[2], children[1]]


@pytest.mark.parametrize("statistics", [False, True])
def test_a_forgotten_site_leaves_its_statistics_and_nothing_else(
    store: Accounts, owner: Created, aws: Dynamo, *, statistics: bool
) -> None:
    """Forgetting twice is as good as once."""
    account, site = owner.account.id, owner.site
    if not statistics:
        site = store.create_site(account, "bare")
    gone = store.delete_site(account, site.id)
    for _ in range(2):
        store.forget_site(gone)
        assert site.id not in {found.id for found in store.deleted_sites()}
        assert pointers(aws, account) == expected(store, account)
        if statistics:
            (domain,) = [found for found in store.roster(account).domains if found.id == site.domain]
            assert domain == Domain(site.domain, account, domain.name, domain.created_at, None, owner.statistics)
            assert wiring.domains().get(account, owner.statistics.scope.domain) == owner.statistics
            assert not set(SITE) & set(entity(site).serialize(null_check=False))
        else:
            with pytest.raises(DomainDocument.DoesNotExist):
                entity(site)


def test_only_deleted_sites_are_forgotten(store: Accounts, owner: Created) -> None:
    store.forget_site(owner.site)
    assert current(store, owner.account.id) == [owner.site]


def test_a_process_that_has_not_heard_of_it_notes_no_hits_of_a_site_that_is_gone(
    store: Accounts, owner: Created
) -> None:
    site = owner.site
    store.forget_site(store.delete_site(site.account, site.id))
    for earliest in (site.first_hit_at, 0):
        store.note_hits(site, earliest)
    assert not set(SITE) & set(entity(site).serialize(null_check=False))


def test_statistics_that_come_or_go_while_a_site_is_forgotten_are_as_they_should_be(
    store: Accounts, aws: Dynamo
) -> None:
    """Whichever call they come or go before."""
    for skip, coming in product(range(4), (False, True)):
        made = new_account()
        account, site = made.account.id, store.create_site(made.account.id, "busy")
        if not coming:
            facet, _ = wiring.domains().create(account, "busy", STATISTICS, made.user.id, "key")
        gone = store.delete_site(account, site.id)

        def meanwhile() -> None:
            if coming:  # noqa: B023 - called within this round
                wiring.domains().create(account, "busy", STATISTICS, made.user.id, "key")  # noqa: B023
            else:
                wiring.domains().delete(facet.scope)  # noqa: B023

        with struck(Faults([(skip, INTERLEAVE, False)], meanwhile, aws=aws)) as _:
            store.forget_site(gone)
        left = [found for found in store.current_roster(account).domains if found.name == "busy"]
        assert all(found.site is None and found.statistics for found in left)
        assert site.id not in {found.id for found in store.deleted_sites()}


# When answers are lost


FAULTS = tuple(product(range(4), (BEFORE, AFTER, THROTTLE), (False, True)))
"""After how many calls, of which kind, and whether it lasts longer than botocore tries."""
OPERATIONS = ("create", "extend", "update", "move", "delete")


@pytest.mark.parametrize("operation", OPERATIONS)
def test_whatever_is_lost_a_write_happens_once_or_not_at_all_and_says_so(aws: Dynamo, operation: str) -> None:
    told = {fault: attempted(operation, Faults([fault], aws=aws), aws) for fault in FAULTS}
    assert all(answer == "done" for (_, _, lasting), answer in told.items() if not lasting)
    assert set(told.values()) == {"done", "not done"}


@pytest.mark.parametrize("operation", OPERATIONS)
def test_only_if_nobody_answers_any_more_is_a_write_uncertain(aws: Dynamo, operation: str) -> None:
    plans = ([(n, AFTER, True), (0, BEFORE, True)] for n in range(5))
    told = {attempted(operation, Faults(list(plan), aws=aws), aws) for plan in plans}
    assert told - {"done"} == {"not done", "uncertain"}


@pytest.mark.parametrize("operation", OPERATIONS)
def test_nor_is_it_done_twice_where_repeated_transactions_are_not_recognised(operation: str) -> None:
    """As in moto, and in AWS itself after ten minutes: what was written is proof enough."""
    with routed(moto):
        for skip in range(4):
            assert attempted(operation, Faults([(skip, AFTER, False)]), None) == "done"


def attempted(operation: str, faults: Faults, aws: Dynamo | None) -> str:
    """What a new account is told of an operation, after a look whether it is true."""
    store = wiring.accounts()
    owner = new_account()
    account, site = owner.account.id, owner.site
    host = f"new.{site.cname}"
    wiring.domains().create(account, "figures", STATISTICS, owner.user.id, "key")
    attempt: Callable[[], object] = {
        "create": lambda: store.create_site(account, "new", code=f"new-{site.code}", cname=host),
        "extend": lambda: store.create_site(account, "figures", cname=host),
        "update": lambda: store.update_site(account, site.id, lambda site: replace(site, data_retention=31)),
        "move": lambda: store.update_site(account, site.id, lambda site: replace(site, cname=host)),
        "delete": lambda: store.delete_site(account, site.id),
    }[operation]

    def state() -> list[tuple[str | None, int]]:
        if aws is not None:
            assert pointers(aws, account) == expected(store, account)
        return [(found.cname, found.data_retention) for found in current(store, account)]

    before, after = (
        [(site.cname, 0)],
        {
            "create": [(site.cname, 0), (host, 0)],
            "extend": [(site.cname, 0), (host, 0)],
            "update": [(site.cname, 31)],
            "move": [(host, 0)],
            "delete": [],
        }[operation],
    )
    assert state() == before
    told = "done"
    with struck(faults):
        try:
            attempt()
        except Unavailable:
            told = "not done"
        except Uncertain:
            told = "uncertain"
    if told == "uncertain":
        assert state() in (before, after)
        return told
    if told == "not done":
        assert state() == before
        attempt()
    assert state() == after
    return told


@pytest.mark.parametrize("kind", [BEFORE, AFTER, THROTTLE])
def test_forgetting_may_be_broken_off_anywhere_and_done_again(aws: Dynamo, kind: int) -> None:
    store = wiring.accounts()
    for skip in range(10):
        owner = new_account()
        gone = store.delete_site(owner.account.id, owner.site.id)
        with struck(Faults([(skip, kind, True)], aws=aws)) as _:
            try:
                store.forget_site(gone)
                broken = False
            except Unavailable:
                broken = True
        store.forget_site(gone)
        assert pointers(aws, owner.account.id) == {}
        assert wiring.domains().get(owner.account.id, owner.statistics.scope.domain) == owner.statistics
        if not broken:
            break
    assert 0 < skip < 9
