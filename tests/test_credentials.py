"""Who is let in where: every endpoint of every surface with every kind of credential (the table is `endpoints`)."""

import base64

import pytest
from chalice.app import Chalice

from chalicelib import wiring
from chalicelib.core.accounts import EVERYTHING, Permission
from chalicelib.core.keys import named
from tests.endpoints import ELSEWHERE, ENDPOINTS, NOTHING, PAGEVIEWS, PUBLIC, STATISTICS, SURFACES, Endpoint, Parameters
from tests.front import FrontDoor
from tests.people import Person, settle

every = pytest.mark.parametrize("endpoint", ENDPOINTS, ids=str)
_made: dict[tuple[int, int], Parameters] = {}


@pytest.fixture(scope="module")
def somebody(quick: Chalice) -> Person:
    return settle(FrontDoor(quick))


@pytest.fixture(scope="module")
def stranger(quick: Chalice) -> Person:
    return settle(FrontDoor(quick))


def lasting(endpoint: Endpoint, person: Person) -> Parameters:
    """What stands in the path in tests that are refused, so that nothing changes."""
    key = (id(endpoint), id(person))
    if key not in _made:
        _made[key] = endpoint.parameters(person)
    return _made[key]


def basic(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


def test_every_route_of_the_service_is_in_the_table(app: Chalice) -> None:
    """As what asks for a key, or as public; what no surface knows is nobody's."""
    patterns = {pattern for pattern in app.routes if not pattern.startswith("/s/{code}/")} - ELSEWHERE
    known = {pattern: path.views for surface in SURFACES for pattern, path in surface.paths.items()}
    assert patterns == set(known)
    found = {(method, pattern) for pattern, views in known.items() for method in views}
    keyed = {(endpoint.method, endpoint.path) for endpoint in ENDPOINTS}
    assert found == keyed | PUBLIC
    assert not keyed & PUBLIC
    for pattern in app.routes:
        assert (pattern.removeprefix("/s/{code}") or "/") in patterns | ELSEWHERE


@every
def test_a_key_opens_its_endpoints_in_all_three_headers(somebody: Person, endpoint: Endpoint) -> None:
    """A key with everything, and each that has one of the permissions that do."""
    least = [somebody.key(flag) for flag in endpoint.permission or [Permission.NOTHING]]
    if endpoint.path.endswith("/domains/{domain}"):  # another domain than the key's own needs more
        least = [somebody.key(Permission.DOMAINS)]
    for headers in (
        {"authorization": f"Bearer {somebody.token}"},
        *({"authorization": f"Bearer {token}"} for token in least),
        {"authorization": basic(f":{least[0]}")},
        {"authorization": basic(f"me:{least[0]}")},
        {"authorization": f"bearer   {least[0]}"},
        {"x-rmta-api-key": least[0]},
    ):
        reply = endpoint.ask(somebody, None, endpoint.parameters(somebody), headers=headers, json_body=new(endpoint))
        assert reply.status == endpoint.status, reply.text
        assert reply.body


def new(endpoint: Endpoint) -> object:
    """The body with a name that was never used before, or a host."""
    if not isinstance(endpoint.body, dict) or not {"name", "cname"} & endpoint.body.keys():
        return endpoint.body
    new.count += 1  # type: ignore[attr-defined]
    count: int = new.count  # type: ignore[attr-defined]
    if "cname" in endpoint.body:
        return {**endpoint.body, "cname": f"h{count}.{endpoint.body['cname']}"}
    return {**endpoint.body, "name": f"{endpoint.body['name']} {count}"}


new.count = 0  # type: ignore[attr-defined]


@every
@pytest.mark.parametrize(
    ("authorization", "reason"),
    [
        (None, "no Authorization header"),
        ("", "no Authorization header"),
        ("Bearer", "wrong format for Authorization header"),
        ("Bearer {token} x", "wrong format for Authorization header"),
        ("Token {token}", "wrong format for Authorization header"),
        ("Basic {token}", "wrong format for Authorization header"),
        (basic("nocolon"), "wrong format for Authorization header"),
        (basic("me:"), "unknown token"),
        ("Bearer {token}x", "unknown token"),
        ("Bearer xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", "unknown token"),
    ],
)
def test_without_a_known_key_every_endpoint_answers_401_with_a_challenge(
    somebody: Person, endpoint: Endpoint, authorization: str | None, reason: str
) -> None:
    given = authorization.format(token=somebody.token) if authorization else authorization
    reply = endpoint.ask(somebody, given, lasting(endpoint, somebody))
    assert (reply.status, reply.json()) == (401, endpoint.protocol.unknown(reason))
    assert reply.headers["www-authenticate"] == endpoint.protocol.challenge
    assert reply.headers["cache-control"] == "no-store,no-cache"


@pytest.mark.parametrize("endpoint", [endpoint for endpoint in ENDPOINTS if endpoint.permission], ids=str)
def test_a_key_without_the_permission_is_told_which_it_lacks(somebody: Person, endpoint: Endpoint) -> None:
    """Before anything is looked up: for what nobody has it is the same."""
    token = somebody.key(EVERYTHING & ~endpoint.permission)
    names = ", ".join(f"'{name}'" for name in named(endpoint.permission))
    for parameters in (lasting(endpoint, somebody), endpoint.absent or lasting(endpoint, somebody)):
        reply = endpoint.ask(somebody, f"Bearer {token}", parameters)
        assert (reply.status, reply.json()) == (403, endpoint.protocol.lacking(names))
        assert "www-authenticate" not in reply.headers


@every
def test_a_revoked_key_is_unknown(somebody: Person, endpoint: Endpoint) -> None:
    account, parameters = somebody.created.account.id, lasting(endpoint, somebody)
    key, token = wiring.accounts().issue_key(
        account, somebody.created.user.id, "short-lived", domain=somebody.scope.domain
    )
    assert wiring.accounts().key(token) == key  # it is remembered
    wiring.accounts().revoke_key(account, key.id)
    reply = endpoint.ask(somebody, f"Bearer {token}", parameters)
    assert (reply.status, reply.json()) == (401, endpoint.protocol.unknown("unknown token"))


of_sites = [endpoint for endpoint in ENDPOINTS if endpoint.protocol is PAGEVIEWS]
of_statistics = [endpoint for endpoint in ENDPOINTS if endpoint.protocol is STATISTICS]


@pytest.mark.parametrize("endpoint", of_sites, ids=str)
def test_a_key_never_reaches_another_accounts_site(somebody: Person, stranger: Person, endpoint: Endpoint) -> None:
    """A foreign site looks exactly like one that does not exist; a foreign host changes nothing at all."""
    token = f"Bearer {stranger.token}"
    parameters = lasting(endpoint, somebody)
    foreign = endpoint.ask(somebody, token, parameters)
    absent = endpoint.ask(somebody, token, parameters, prefix="/s/no-such-site")
    assert (foreign.status, foreign.body) == (absent.status, absent.body) == (404, absent.body)
    assert foreign.json() == endpoint.protocol.missing("site")
    own = endpoint.ask(
        somebody,
        token,
        lasting(endpoint, stranger),
        prefix="",
        headers={"host": "somebodys.example"},
        json_body=new(endpoint),
    )
    assert own.status == endpoint.status


@pytest.mark.parametrize("endpoint", [endpoint for endpoint in of_statistics if endpoint.absent], ids=str)
def test_a_key_never_reaches_what_another_account_has(somebody: Person, stranger: Person, endpoint: Endpoint) -> None:
    """By its id it looks exactly like what does not exist, whoever asks; and it is still there."""
    parameters, body = endpoint.parameters(somebody), new(endpoint)
    foreign = endpoint.ask(stranger, f"Bearer {stranger.token}", parameters, json_body=body)
    absent = endpoint.ask(stranger, f"Bearer {stranger.token}", endpoint.absent or {}, json_body=body)
    assert (foreign.status, foreign.body) == (absent.status, absent.body) == (404, absent.body)
    assert foreign.json() == endpoint.protocol.missing(endpoint.what)
    own = endpoint.ask(somebody, f"Bearer {somebody.token}", parameters, json_body=new(endpoint))
    assert own.status == endpoint.status


@pytest.mark.parametrize("endpoint", [endpoint for endpoint in of_statistics if not endpoint.absent], ids=str)
def test_a_key_lists_and_makes_what_is_its_own_alone(somebody: Person, stranger: Person, endpoint: Endpoint) -> None:
    """Nothing of another account is in the answer."""
    made = {
        part
        for other in of_statistics
        if other.absent
        for name, part in lasting(other, somebody).items()
        if part.startswith(("dom_", "grp_", "sta_", "exp_"))
    }
    assert made
    reply = endpoint.ask(stranger, f"Bearer {stranger.token}", endpoint.parameters(stranger), json_body=new(endpoint))
    assert reply.status == endpoint.status
    assert not [part for part in made if part in reply.text]


@pytest.mark.parametrize("endpoint", [endpoint for endpoint in of_statistics if endpoint.absent], ids=str)
def test_another_domain_of_the_account_is_as_far_away(somebody: Person, endpoint: Endpoint) -> None:
    """A key of one domain sees nothing of another's, unless it may manage domains: then the domain alone."""
    account, owner = somebody.created.account.id, somebody.created.user.id
    name = f"neighbour {endpoint} {endpoint.query}".replace("/", " ")
    _, token = wiring.domains().create(
        account, name, Permission.STATISTICS_READ | Permission.STATISTICS_WRITE, owner, name
    )
    parameters = lasting(endpoint, somebody)
    reply = endpoint.ask(somebody, f"Bearer {token}", parameters)
    if endpoint.permission is Permission.DOMAINS:
        assert reply.status == 403
    else:
        assert (reply.status, reply.json()) == (404, endpoint.protocol.missing(endpoint.what))


@pytest.mark.parametrize("endpoint", of_statistics, ids=str)
def test_a_key_that_opens_no_domain_manages_domains_and_nothing_else(somebody: Person, endpoint: Endpoint) -> None:
    """One that was made for a site, say, however much it may do there."""
    token = somebody.key(EVERYTHING, domain="")
    managing = "/domains" in endpoint.path
    parameters = endpoint.parameters(somebody) if managing else lasting(endpoint, somebody)
    reply = endpoint.ask(somebody, f"Bearer {token}", parameters, json_body=new(endpoint))
    if managing:
        assert reply.status == endpoint.status
    else:
        message = "this key opens no domain of statistics"
        assert (reply.status, reply.json()) == (403, {"error": {"code": "FORBIDDEN", "message": message}})
    assert endpoint.permission is not NOTHING
