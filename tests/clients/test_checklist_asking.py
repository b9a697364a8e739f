"""The wire-compatibility checklist (page-view contract, section 15) over HTTP, rows 1 to 17: who may ask, and how."""

import time
from http import HTTPStatus

import pytest

from tests.clients.people import People, Person, ask, error, wire
from tests.clients.stack import Service, until
from tests.front import Reply

BURST = 4
"""Requests to the API in a second."""


# Who asks


def test_row_1_without_authorization_the_answer_is_a_challenge(somebody: Person) -> None:
    """401, in the words that clients know."""
    reply = somebody.get("/api/v0/me", headers={"Authorization": None})
    assert (reply.status, error(reply)) == (401, "no Authorization header")
    assert reply.headers["www-authenticate"] == "Basic realm=GoatCounter"


@pytest.mark.parametrize(
    ("header", "reason"),
    [("Token {}", "wrong format for Authorization header"), ("Bearer {}x", "unknown token")],
)
def test_row_2_neither_another_scheme_nor_another_token_is_let_in(somebody: Person, header: str, reason: str) -> None:
    """Every letter of the token matters."""
    reply = somebody.get("/api/v0/me", headers={"Authorization": header.format(somebody.token)})
    assert (reply.status, error(reply)) == (401, reason)
    assert reply.headers["www-authenticate"] == "Basic realm=GoatCounter"


@pytest.mark.parametrize("scheme", ["bearer", "BEARER "])
def test_row_2_the_schemes_case_does_not_matter(somebody: Person, scheme: str) -> None:
    """Nor how many spaces follow it (RFC 9110, section 11.1)."""
    assert somebody.get("/api/v0/me", headers={"Authorization": f"{scheme} {somebody.token}"}).status == 200


@pytest.mark.parametrize("user", ["", "me"])
def test_row_3_the_token_may_come_as_a_password(somebody: Person, user: str) -> None:
    """Whoever the user is said to be."""
    assert somebody.get("/api/v0/me", headers={"Authorization": somebody.basic(user)}).status == 200


def test_row_4_me_tells_whose_token_it_is_and_what_it_may_do(somebody: Person) -> None:
    """The token's three fields, and the user's one-letter role."""
    body = somebody.figures("/api/v0/me")
    token = body["token"]
    assert sorted(token) == ["name", "permissions", "sites"]
    assert (type(token["name"]), token["permissions"], token["sites"]) == (str, 126, [-1])
    role = body["user"]["access"]["all"]
    assert (type(role), len(role)) == (str, 1)


def test_row_5_a_token_that_may_only_count_reads_nothing(somebody: Person) -> None:
    """403 says which permission is missing, and is no challenge."""
    token = somebody.key(permissions=2)
    reply = somebody.get("/api/v0/paths", headers={"Authorization": f"Bearer {token}"})
    assert (reply.status, error(reply)) == (403, "requires 'stats' permissions")
    assert "www-authenticate" not in reply.headers


def test_row_6_a_token_of_one_site_opens_no_other(person: Person) -> None:
    """Both sites are the same account's; the host says which is meant."""
    other = person.another_site()
    token = {"Authorization": f"Bearer {person.key(sites=(other['id'],))}"}
    reply = person.get("/api/v0/me", token)
    assert (reply.status, error(reply)) == (403, "this token does not have access to this site")
    assert person.get("/api/v0/me", {**token, "Host": other["host"]}).status == 200


# Paths, methods and types


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_row_7_an_unknown_path_is_not_found(somebody: Person, method: str) -> None:
    """Whatever the method."""
    reply = somebody.ask(method, "/api/v0/nope")
    assert (reply.status, error(reply)) == (404, "not found")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "count", "OPTIONS, POST"),
        ("HEAD", "count", "OPTIONS, POST"),
        ("DELETE", "me", "GET, HEAD, OPTIONS"),
        ("PROPFIND", "stats/total", "GET, HEAD, OPTIONS"),
    ],
)
def test_row_8_a_known_path_with_a_wrong_method_says_so(somebody: Person, method: str, path: str, allowed: str) -> None:
    """405, and what would be right."""
    reply = somebody.ask(method, f"/api/v0/{path}")
    assert (reply.status, reply.headers["allow"]) == (405, allowed)
    if method != "HEAD":
        assert error(reply) == "method not allowed"


def test_row_8_head_is_get_without_its_body(somebody: Person) -> None:
    """Not a byte follows the header, which says how many there would be."""
    lines = ("HEAD /api/v0/me HTTP/1.1", f"Host: {somebody.host}", f"Authorization: Bearer {somebody.token}")
    received = wire(somebody.url, *lines)
    assert received.startswith(b"HTTP/1.1 200 ")
    assert received.index(b"\r\n\r\n") == len(received) - 4
    assert b"\r\ncontent-length: %d\r\n" % len(somebody.get("/api/v0/me").body) in received


def test_row_9_a_body_that_is_not_called_json_is_refused(somebody: Person) -> None:
    """415, without a word."""
    reply = somebody.ask("POST", "/api/v0/count", "{}", {"Content-Type": "text/html"})
    assert (reply.status, reply.body) == (415, b"")


def test_row_10_scripts_of_every_origin_may_ask_beforehand(somebody: Person) -> None:
    """Without a credential, and for paths that do not exist."""
    reply = ask(somebody.url, "OPTIONS", "/api/v0/anything", {"Host": somebody.host, "Origin": "https://x.test"})
    assert (reply.status, reply.body) == (200, b"")
    assert reply.headers["access-control-allow-headers"] == "Authorization, Content-Type"
    assert reply.headers["access-control-allow-origin"] == "*"


# Parameters and bodies


@pytest.mark.parametrize(("target", "key"), [("paths?unknown=1", "unknown"), ("stats/total?limit=1", "limit")])
def test_row_11_an_unknown_parameter_is_an_error(somebody: Person, target: str, key: str) -> None:
    """Even one that other paths know."""
    reply = somebody.get(f"/api/v0/{target}")
    assert (reply.status, error(reply)) == (400, f'unknown parameter: "{key}"')


def test_row_12_an_unknown_key_refuses_the_whole_request(person: Person) -> None:
    """Nothing of it is stored."""
    reply = person.ask("POST", "/api/v0/count", '{"hits":[{"path":"/a","colour":"x"}]}')
    assert (reply.status, error(reply)) == (400, 'unknown parameter: "colour"')
    person.sees_none_but_a_marker()


def test_row_13_what_is_no_json_is_called_so(somebody: Person) -> None:
    """In a message that starts as clients expect."""
    reply = somebody.ask("POST", "/api/v0/count", "{{{{")
    assert reply.status == 400
    assert error(reply).startswith("invalid JSON:")


@pytest.mark.parametrize("query", ["limit=abc", "start=yesterday"])
def test_row_14_a_parameter_that_cannot_be_read_is_an_error(somebody: Person, query: str) -> None:
    """In a message that starts as clients expect."""
    reply = somebody.get(f"/api/v0/stats/hits?{query}")
    assert reply.status == 400
    assert error(reply).startswith("invalid query parameters:")


def test_row_15_parameters_may_be_spelled_as_the_reference_documents_them(person: Person) -> None:
    """`Limit` is `limit`."""
    person.count({"path": "/a"}, {"path": "/b"}, no_sessions=True)
    person.sees({"/a": 1, "/b": 1})
    found = person.figures("/api/v0/paths?Limit=1")
    assert found == person.figures("/api/v0/paths?limit=1")
    assert ([path["path"] for path in found["paths"]], found["more"]) == (["/a"], True)


# Limits


def test_row_16_every_answer_says_what_is_left_of_the_limit(limited: Service) -> None:
    """Three whole numbers."""
    reply = limited.request("GET", "me")
    assert reply.headers["X-Rate-Limit-Limit"] == str(BURST)
    assert int(reply.headers["X-Rate-Limit-Remaining"]) < BURST
    assert int(reply.headers["X-Rate-Limit-Reset"]) in {0, 1}


def test_row_17_the_fifth_request_of_a_second_is_refused(limited: Service) -> None:
    """429 says when to come again; a client that does is let in."""
    replies: list[Reply] = []

    def burst() -> bool:
        """Five requests; whether they fell into one second, and were its first."""
        begun = time.monotonic()
        replies[:] = [_me(limited) for _ in range(BURST + 1)]
        first = replies[0].headers["x-rate-limit-remaining"] == str(BURST - 1)
        return first and time.monotonic() - begun < 1

    until("five requests fall into one second", burst)
    assert [reply.status for reply in replies] == [200] * BURST + [429]
    fifth = replies[-1]
    assert fifth.headers["retry-after"] == fifth.headers["x-rate-limit-reset"]
    assert int(fifth.headers["retry-after"]) in {0, 1}
    assert fifth.headers["x-rate-limit-remaining"] == "0"
    assert fifth.text.startswith('{"error": "rate limited exceeded; try again in ')
    assert error(fifth)
    until("the next second begins", lambda: _me(limited).status == HTTPStatus.OK, patience=10)


def _me(service: Service) -> Reply:
    return ask(service.url, "GET", "/api/v0/me", {"Authorization": f"Bearer {service.token}"})


def test_the_sites_of_one_service_are_told_apart_by_host(people: People) -> None:
    """What the other rows rely on: nobody's page view is counted for anybody else."""
    one, other = people.settle(), people.settle()
    one.count({"path": "/one"}, no_sessions=True)
    other.view("p=/other")
    one.sees({"/one": 1})
    other.sees({"/other": 1})
