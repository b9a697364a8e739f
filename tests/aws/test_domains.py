"""Domains for statistics: names are told apart, nobody sees another's, and no lost answer makes a thing twice."""

import secrets
import string
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise, product

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chalicelib import wiring
from chalicelib.aws import calls
from chalicelib.aws.accounts import Accounts, Created
from chalicelib.aws.domains import Domains
from chalicelib.aws.records import partition
from chalicelib.aws.tables import DomainDocument
from chalicelib.core.accounts import STATISTICS, Permission, Scope, StatisticsDomain
from chalicelib.core.errors import Invalid, NotFound, Taken, Unavailable, Uncertain
from chalicelib.core.keys import ALL_SITES
from tests.core.world import AFTER, BEFORE, THROTTLE, Faults, struck
from tests.dynamo import Aws, moto, routed
from tests.operating import new_account

READ = Permission.STATISTICS_READ


pytestmark = pytest.mark.usefixtures("aws")


@pytest.fixture
def domains() -> Domains:
    return wiring.domains()


@pytest.fixture
def owner() -> Created:
    return new_account()


@pytest.fixture
def stranger() -> Created:
    return new_account()


def made(domains: Domains, owner: Created, name: str) -> StatisticsDomain:
    return domains.create(owner.account.id, name, STATISTICS, owner.user.id, "key")[0]


def listed(domains: Domains, owner: Created) -> list[StatisticsDomain]:
    return list(domains.list(owner.account.id, 100).entries)


def paged(domains: Domains, owner: Created, limit: int) -> list[tuple[StatisticsDomain, ...]]:
    """The whole list, page by page."""
    page = domains.list(owner.account.id, limit)
    found = [page.entries]
    while page.after is not None:
        page = domains.list(owner.account.id, limit, page.after)
        found.append(page.entries)
    return found


def entity(scope: Scope) -> DomainDocument:
    """The item of the domain that has, or had, this facet."""
    return DomainDocument.get(partition(scope.account), f"domain#{scope.entity}", consistent_read=True)


# Making


def test_a_domain_comes_with_a_key_that_opens_it_and_no_site(domains: Domains, owner: Created) -> None:
    made, token = domains.create(owner.account.id, "shop.example", READ, owner.user.id, "key of the shop")
    key = wiring.accounts().key(token)
    assert (key.account, key.owner, key.name) == (owner.account.id, owner.user.id, "key of the shop")
    assert (key.permissions, key.domain, key.sites) == (READ, made.scope.domain, ())
    assert made.name == "shop.example"
    assert made.created_at == made.updated_at
    assert abs(made.created_at - wiring.now()) < 5
    for ref in (made.scope.domain, token):
        assert domains.get(owner.account.id, ref) == made
    roster = Accounts(wiring.settings()).roster(owner.account.id)
    assert {domain.statistics for domain in roster.domains} == {owner.statistics, made}


def test_a_name_is_given_once_in_an_account_and_told_apart_exactly(domains: Domains, owner: Created) -> None:
    first = made(domains, owner, "Name")
    other = made(domains, owner, "name")
    with pytest.raises(Taken, match='there is a domain "Name" already'):
        made(domains, owner, "Name")
    with pytest.raises(Taken):
        made(domains, owner, owner.statistics.name)
    assert listed(domains, owner) == [owner.statistics, first, other]


def test_accounts_do_not_share_names(domains: Domains, owner: Created, stranger: Created) -> None:
    assert made(domains, owner, "shared").scope != made(domains, stranger, "shared").scope


def test_a_site_of_that_name_becomes_the_same_domain(domains: Domains, owner: Created) -> None:
    site = wiring.accounts().create_site(owner.account.id, "blog.example")
    facet = made(domains, owner, "blog.example")
    assert facet.scope.entity == site.domain
    (domain,) = [found for found in wiring.accounts().roster(owner.account.id).domains if found.id == site.domain]
    assert (domain.site, domain.statistics, domain.name) == (site, facet, "blog.example")


def test_of_many_who_ask_for_one_name_one_gets_it(domains: Domains, owner: Created) -> None:
    wiring.accounts().create_site(owner.account.id, "wanted")  # which all would like to extend

    def ask(_: int) -> StatisticsDomain | None:
        try:
            return made(domains, owner, "wanted")
        except Taken:
            return None

    with ThreadPoolExecutor(4) as pool:
        answers = [answer for answer in pool.map(ask, range(8)) if answer]
    assert answers == [found for found in listed(domains, owner) if found.name == "wanted"]
    assert len(answers) == 1


# Asking


def test_lists_are_in_the_order_of_creation_and_come_in_pages(domains: Domains, owner: Created) -> None:
    expected = [owner.statistics]
    for number in range(5):
        expected.append(made(domains, owner, f"{number}"))
        wiring.accounts().create_site(owner.account.id, f"site {number}")
    assert listed(domains, owner) == expected
    for limit in (1, 2, 5, 6):
        pages = paged(domains, owner, limit)
        assert all(len(page) == limit for page in pages[:-1])
        found = [facet for page in pages for facet in page]
        assert found == expected
    assert domains.list(owner.account.id, 6).after is None


def test_domains_from_before_ids_had_an_order_are_listed_too(domains: Domains, owner: Created) -> None:
    alphabet = string.digits + string.ascii_lowercase
    for number in range(4):
        old = "".join(secrets.choice(alphabet) for _ in range(12))
        DomainDocument(partition(owner.account.id), f"domain#{old}", name=f"old {number}", created_at=number).save()
        facet = made(domains, owner, f"old {number}")
        assert facet.scope.entity == old
        assert domains.get(owner.account.id, facet.scope.domain) == facet
    found = [facet for page in paged(domains, owner, 2) for facet in page]
    assert {facet.name for facet in found} == {owner.statistics.name, *(f"old {number}" for number in range(4))}
    assert all(one.scope.domain < other.scope.domain for one, other in pairwise(found))


def test_a_list_goes_on_after_a_domain_that_is_gone_but_not_after_what_never_was_one(
    domains: Domains, owner: Created
) -> None:
    first, second, third = (made(domains, owner, name) for name in "abc")
    domains.delete(second.scope)
    assert domains.list(owner.account.id, 9, second.scope.domain).entries == (third,)
    assert domains.list(owner.account.id, 9, first.scope.domain).entries == (third,)
    for nonsense in ("dom_", "grp_0123", "x" * 5000, first.scope.domain + "\n"):
        with pytest.raises(Invalid, match="after: must be the id of a domain"):
            domains.list(owner.account.id, 9, nonsense)


def test_nobody_gets_at_another_accounts_domain(domains: Domains, owner: Created, stranger: Created) -> None:
    """Neither by its id nor by its key; and an id is the facet's, not the entity's under another ending."""
    facet, token = domains.create(owner.account.id, "private", READ, owner.user.id, "key")
    for ref in (facet.scope.domain, token, owner.token):
        with pytest.raises(NotFound):
            domains.get(stranger.account.id, ref)
    foreign = Scope(stranger.account.id, facet.scope.domain)
    forged = Scope(owner.account.id, facet.scope.domain[:-1] + ("0" if facet.scope.domain[-1] != "0" else "1"))
    for scope in (foreign, forged):
        with pytest.raises(NotFound):
            domains.rename(scope, "mine")
        with pytest.raises(NotFound):
            domains.delete(scope)
    assert domains.get(owner.account.id, facet.scope.domain) == facet
    assert [found.name for found in listed(domains, stranger)] == [stranger.statistics.name]


def test_a_revoked_key_and_one_without_a_domain_name_none(domains: Domains, owner: Created) -> None:
    account = owner.account.id
    _, without = wiring.accounts().issue_key(account, owner.user.id, "k")
    key, revoked = wiring.accounts().issue_key(account, owner.user.id, "k", domain=owner.statistics.scope.domain)
    assert domains.get(account, revoked) == owner.statistics
    wiring.accounts().revoke_key(account, key.id)
    for ref in (without, revoked):
        with pytest.raises(NotFound):
            domains.get(account, ref)


@given(st.text() | st.from_regex(r"dom_[0-9a-z]{0,80}"))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_text_that_is_neither_id_nor_key_finds_anything(domains: Domains, owner: Created, ref: str) -> None:
    with pytest.raises(NotFound):
        domains.get(owner.account.id, ref)


# Renaming


def test_a_new_name_holds_everywhere_and_the_old_one_is_free_again(domains: Domains, owner: Created) -> None:
    old = made(domains, owner, "before")
    new = domains.rename(old.scope, "after")
    assert new == replace(old, name="after", updated_at=new.updated_at)
    assert domains.get(owner.account.id, old.scope.domain) == new
    assert entity(old.scope).name == "after"
    with pytest.raises(Taken):
        made(domains, owner, "after")
    assert made(domains, owner, "before").scope != old.scope


def test_a_domain_that_is_a_site_keeps_the_sites_name(domains: Domains, owner: Created) -> None:
    domains.rename(owner.statistics.scope, "my figures")
    document = entity(owner.statistics.scope)
    assert (document.name, document.statistics_name) == (owner.statistics.name, "my figures")


def test_a_name_that_another_has_is_refused_and_its_own_changes_nothing(domains: Domains, owner: Created) -> None:
    one, other = made(domains, owner, "one"), made(domains, owner, "other")
    with pytest.raises(Taken, match='there is a domain "other" already'):
        domains.rename(one.scope, "other")
    assert domains.rename(one.scope, "one") == one
    assert listed(domains, owner) == [owner.statistics, one, other]


def test_two_that_swap_names_at_once_never_have_the_same(domains: Domains, owner: Created) -> None:
    one, other = made(domains, owner, "one"), made(domains, owner, "other")

    def rename(job: tuple[Scope, str]) -> None:
        try:
            domains.rename(*job)
        except Taken:
            assert job[1] != "free"

    jobs = [(one.scope, "free"), (other.scope, "one"), (one.scope, "other"), (other.scope, "free 2")] * 2
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(rename, jobs))
    names = [found.name for found in listed(domains, owner)]
    assert len(set(names)) == 3
    held = {item["sk"]["S"]: item["domain"]["S"] for item in pointers(owner)}
    assert held == {found.name: found.scope.domain for found in listed(domains, owner)}


def pointers(owner: Created) -> list[calls.Item]:
    """What keeps the account's names."""
    table, pk = wiring.settings().documents_table, f"taken#statistics#{owner.account.id}"
    return list(calls.query(wiring.domains()._client, table, pk, " ", "\U0010ffff"))


# Ending


def test_a_deleted_domain_is_gone_for_good_and_says_what_is_left_of_it(domains: Domains, owner: Created) -> None:
    facet, token = domains.create(owner.account.id, "brief", STATISTICS, owner.user.id, "key")
    assert domains.delete(facet.scope) == facet
    for ref in (facet.scope.domain, token):
        with pytest.raises(NotFound):
            domains.get(owner.account.id, ref)
    with pytest.raises(NotFound):
        domains.delete(facet.scope)
    with pytest.raises(NotFound):
        domains.rename(facet.scope, "again")
    assert listed(domains, owner) == [owner.statistics]
    removal = wiring.removals().find(facet.scope, facet.scope.domain)
    assert removal is not None
    assert (removal.scope, removal.target) == (facet.scope, facet.scope.domain)
    with pytest.raises(DomainDocument.DoesNotExist):
        entity(facet.scope)
    assert made(domains, owner, "brief").scope != facet.scope


def test_a_site_outlives_its_statistics_and_may_have_new_ones(domains: Domains, owner: Created) -> None:
    domains.delete(owner.statistics.scope)
    roster = wiring.accounts().roster(owner.account.id)
    assert list(roster.sites()) == [owner.site]
    assert [domain.statistics for domain in roster.domains] == [None]
    again = made(domains, owner, owner.statistics.name)
    assert again.scope.entity == owner.site.domain
    assert again.scope != owner.statistics.scope
    with pytest.raises(NotFound):
        domains.get(owner.account.id, owner.statistics.scope.domain)


def test_keys_end_with_their_domain_unless_they_are_for_more(domains: Domains, owner: Created) -> None:
    account = owner.account.id
    facet, own = domains.create(account, "ending", STATISTICS, owner.user.id, "own")

    def key(permissions: Permission, domain: str) -> str:
        return wiring.accounts().issue_key(account, owner.user.id, "k", permissions, domain=domain)[0].id

    reader = key(READ | Permission.NOTHING, facet.scope.domain)
    mixed = key(READ | Permission.COUNT, facet.scope.domain)
    other = key(READ, owner.statistics.scope.domain)
    domains.delete(facet.scope)
    domains.revoke_keys(facet.scope)
    found = {key.id: (key.revoked, key.domain) for key in wiring.accounts().keys(account)}
    assert (found[reader][0], found[mixed], found[other]) == (
        True,
        (False, ""),
        (False, owner.statistics.scope.domain),
    )
    assert found[owner.key.id] == (False, owner.statistics.scope.domain)
    with pytest.raises(NotFound):
        domains.get(account, own)


@pytest.mark.parametrize("kind", [BEFORE, AFTER, THROTTLE])
def test_ending_keys_may_be_broken_off_anywhere_and_done_again(
    domains: Domains, owner: Created, aws: Aws, kind: int
) -> None:
    account = owner.account.id
    facet = made(domains, owner, "many keys")
    for permissions in (READ, READ | Permission.COUNT, READ):
        wiring.accounts().issue_key(account, owner.user.id, "k", permissions, domain=facet.scope.domain)
    for skip in range(10):
        with struck(Faults([(skip, kind, True)], aws=aws)):
            try:
                domains.revoke_keys(facet.scope)
            except Unavailable:
                continue
        break
    else:
        pytest.fail("it never ends")
    left = [key for key in wiring.accounts().keys(account) if key.domain == facet.scope.domain and not key.revoked]
    assert skip > 0
    assert left == []
    assert sum(key.revoked for key in wiring.accounts().keys(account)) == 3


# When answers are lost


OPERATIONS = ("create", "extend", "rename", "delete", "delete a site's")
FAULTS = tuple(product(range(3), (BEFORE, AFTER, THROTTLE), (False, True)))
"""After how many calls, of which kind, and whether it lasts longer than botocore tries."""


@pytest.mark.parametrize("operation", OPERATIONS)
def test_whatever_is_lost_a_write_happens_once_or_not_at_all_and_says_so(aws: Aws, operation: str) -> None:
    """It is never refused for what it has done itself; and only what is told as uncertain may be either."""
    told = {fault: attempted(operation, Faults([fault], aws=aws)) for fault in FAULTS}
    assert all(answer == "done" for (_, _, lasting), answer in told.items() if not lasting)
    assert set(told.values()) == {"done", "not done"}


@pytest.mark.parametrize("operation", OPERATIONS)
def test_nor_is_it_where_repeated_transactions_are_not_recognised(operation: str) -> None:
    """As in moto, and in AWS itself after ten minutes: what was written is proof enough."""
    with routed(moto):
        for skip in range(3):
            assert attempted(operation, Faults([(skip, AFTER, False)])) == "done"


@pytest.mark.parametrize("operation", OPERATIONS)
def test_only_if_nobody_answers_any_more_is_a_write_uncertain(aws: Aws, operation: str) -> None:
    reading, writing = (attempted(operation, Faults([(n, AFTER, True), (0, BEFORE, True)], aws=aws)) for n in range(2))
    assert (reading, writing) == ("not done", "uncertain")


def attempted(operation: str, faults: Faults) -> str:
    """What a new account is told of an operation, after a look whether it is true."""
    domains = wiring.domains()
    owner = new_account()
    wiring.accounts().create_site(owner.account.id, "site")
    facet = made(domains, owner, "made before")
    attempt: Callable[[], object] = {
        "create": lambda: made(domains, owner, "new"),
        "extend": lambda: made(domains, owner, "site"),
        "rename": lambda: domains.rename(facet.scope, "renamed"),
        "delete": lambda: domains.delete(facet.scope),
        "delete a site's": lambda: domains.delete(owner.statistics.scope),
    }[operation]
    before = state(domains, owner)
    with struck(faults):
        try:
            attempt()
            told = "done"
        except Unavailable:
            told = "not done"
        except Uncertain:
            return "uncertain"
    if told == "not done":
        assert state(domains, owner) == before
        attempt()
    assert state(domains, owner) == after(operation, before)
    return told


State = tuple[tuple[str, ...], int]


def state(domains: Domains, owner: Created) -> State:
    """The names there are, which are those that are kept, and how many keys."""
    names = sorted(found.name for found in listed(domains, owner))
    assert names == sorted(item["sk"]["S"] for item in pointers(owner))
    return tuple(names), len(wiring.accounts().keys(owner.account.id))


def after(operation: str, before: State) -> State:
    """What one operation, done once, makes of it."""
    names, keys = before
    gone, new = {
        "create": ("", "new"),
        "extend": ("", "site"),
        "rename": ("made before", "renamed"),
        "delete": ("made before", ""),
        "delete a site's": (next(name for name in names if name != "made before"), ""),
    }[operation]
    left = [name for name in names if name != gone] + ([new] if new else [])
    return tuple(sorted(left)), keys + (operation in ("create", "extend"))


NAMES = st.sampled_from(["a", "b", "A", "a b", "%2F", "ü"])
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["create", "rename", "delete"]),
        NAMES,
        NAMES,
        st.none() | st.tuples(st.integers(0, 3), st.sampled_from([BEFORE, AFTER, THROTTLE]), st.booleans()),
    ),
    max_size=10,
)


@given(STEPS)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_history_leaves_what_a_dictionary_would_hold(
    domains: Domains,
    aws: Aws,
    steps: list[tuple[str, str, str, tuple[int, int, bool] | None]],
) -> None:
    """Names to ids, with calls that fail before or after they take effect."""
    owner = new_account()
    known = {owner.statistics.name: owner.statistics.scope}
    for operation, name, new, fault in steps:
        expected = dict(known)
        with struck(Faults([fault] if fault else [], aws=aws)):
            try:
                if operation == "create":
                    expected[name] = made(domains, owner, name).scope
                    assert name not in known
                elif name in known:
                    done = domains.rename(known[name], new) if operation == "rename" else domains.delete(known[name])
                    assert done.name == (new if operation == "rename" else name)
                    del expected[name]
                    if operation == "rename":
                        expected[new] = known[name]
                        assert new == name or new not in known
            except Taken:
                expected = known
                assert (name if operation == "create" else new) in known
            except Unavailable:
                assert fault
                expected = known
            except Uncertain:
                pytest.fail("one fault alone is no reason")
        known = expected
        assert {found.name: found.scope for found in listed(domains, owner)} == known
    assert {item["sk"]["S"]: item["domain"]["S"] for item in pointers(owner)} == {
        name: scope.domain for name, scope in known.items()
    }
    assert all(ALL_SITES not in key.sites for key in wiring.accounts().keys(owner.account.id) if key.name == "key")
