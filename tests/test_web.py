"""The web layer: who is let in where, who is believed to be asking, and that nothing of it is logged."""

import base64
import contextlib
import io
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from botocore.client import BaseClient
from chalice.app import Chalice

from chalicelib import observability, web, wiring
from chalicelib.aws.tables import UserDocument
from chalicelib.core.accounts import Permission
from chalicelib.pageviews import routes
from tests.front import FrontDoor, Reply
from tests.people import Person, address, settle

ENDPOINTS = {
    ("GET", "/api/v0/me"): (0, 200),
    ("POST", "/api/v0/count"): (Permission.COUNT, 202),
    ("GET", "/api/v0/paths"): (Permission.STATS, 200),
    ("GET", "/api/v0/stats/total"): (Permission.STATS, 200),
    ("GET", "/api/v0/stats/hits"): (Permission.STATS, 200),
}
"""Every keyed endpoint: the permission that it asks for, and the status if all is well."""


@pytest.fixture(scope="module")
def somebody(app: Chalice) -> Person:
    return settle(FrontDoor(app))


@pytest.fixture(scope="module")
def stranger(app: Chalice) -> Person:
    return settle(FrontDoor(app))


def ask(person: Person, endpoint: tuple[str, str], authorization: str | None, **more: Any) -> Reply:
    method, path = endpoint
    headers = {"authorization": authorization} if authorization is not None else {}
    body = {"no_sessions": True, "hits": [{"path": "/a"}]} if method == "POST" else None
    headers |= more.pop("headers", {})
    url = f"{more.pop('prefix', person.prefix)}{path}"
    return person.front.request(method, url, headers=headers, json_body=body, client=address(), **more)


def basic(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


def test_the_table_of_endpoints_is_complete() -> None:
    paths = routes.api.paths.items()
    found = {(method, path) for path, known in paths for method in known.views}
    assert found == {*ENDPOINTS, ("GET", "/api")}


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_a_key_opens_its_endpoints_in_all_three_headers(somebody: Person, endpoint: tuple[str, str]) -> None:
    needed, status = ENDPOINTS[endpoint]
    least = somebody.key(needed or Permission.NOTHING)
    for token in (somebody.token, least):
        for authorization in (f"Bearer {token}", basic(f":{token}"), basic(f"me:{token}")):
            assert ask(somebody, endpoint, authorization).status == status
        assert ask(somebody, endpoint, None, headers={"x-rmta-api-key": token}).status == status


@pytest.mark.parametrize("endpoint", ENDPOINTS)
@pytest.mark.parametrize(
    ("authorization", "reason"),
    [
        (None, "no Authorization header"),
        ("", "no Authorization header"),
        ("Bearer", "wrong format for Authorization header"),
        ("bearer {token}", "wrong format for Authorization header"),
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
    somebody: Person, endpoint: tuple[str, str], authorization: str | None, reason: str
) -> None:
    given = authorization.format(token=somebody.token) if authorization else authorization
    reply = ask(somebody, endpoint, given)
    assert (reply.status, reply.json()) == (401, {"error": reason})
    assert reply.headers["www-authenticate"] == "Basic realm=GoatCounter"
    assert reply.headers["cache-control"] == "no-store,no-cache"


@pytest.mark.parametrize("endpoint", [endpoint for endpoint, (needed, _) in ENDPOINTS.items() if needed])
def test_a_key_without_the_permission_is_told_which_it_lacks(somebody: Person, endpoint: tuple[str, str]) -> None:
    needed, _ = ENDPOINTS[endpoint]
    token = somebody.key(126 & ~needed)
    reply = ask(somebody, endpoint, f"Bearer {token}")
    name = {Permission.COUNT: "count", Permission.STATS: "stats"}[Permission(needed)]
    assert (reply.status, reply.json()) == (403, {"error": f"requires '{name}' permissions"})
    assert "www-authenticate" not in reply.headers


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_a_revoked_key_is_unknown(somebody: Person, endpoint: tuple[str, str]) -> None:
    account = somebody.created.account.id
    key, token = wiring.accounts().issue_key(account, somebody.created.user.id, "short-lived")
    assert ask(somebody, endpoint, f"Bearer {token}").status < 300
    wiring.accounts().revoke_key(account, key.id)
    reply = ask(somebody, endpoint, f"Bearer {token}")
    assert (reply.status, reply.json()) == (401, {"error": "unknown token"})


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_a_key_never_reaches_another_account(somebody: Person, stranger: Person, endpoint: tuple[str, str]) -> None:
    """A foreign site looks exactly like one that does not exist; a foreign host changes nothing at all."""
    token = f"Bearer {stranger.token}"
    foreign, absent = ask(somebody, endpoint, token), ask(somebody, endpoint, token, prefix="/s/no-such-site")
    assert (foreign.status, foreign.body) == (absent.status, absent.body) == (404, absent.body)
    assert foreign.json() == {"error": "not found"}
    own = ask(somebody, endpoint, token, prefix="", headers={"host": "somebodys.example"})
    assert own.status == ENDPOINTS[endpoint][1]


def test_a_foreign_host_leads_to_the_own_site(front: FrontDoor, stranger: Person) -> None:
    settle(front, cname="host.somebody.example")
    headers = {"host": "host.somebody.example", "authorization": f"Bearer {stranger.token}"}
    body = front.get("/api/v0/me", headers=headers, client=address()).json()
    assert body["user"]["email"] == stranger.created.user.email


def test_an_owner_who_is_no_admin_any_more_is_told_so_without_a_challenge(front: FrontDoor) -> None:
    person = settle(front)
    user = UserDocument.get(f"account#{person.created.account.id}", f"user#{person.created.user.id:010d}")
    user.update(actions=[UserDocument.role.set("r")])
    reply = person.get("/api/v0/me")
    assert (reply.status, reply.json()) == (401, {"error": "only admins can create and use API keys"})
    assert "www-authenticate" not in reply.headers


def test_the_key_of_an_owner_who_is_gone_finds_nothing(front: FrontDoor) -> None:
    person = settle(front)
    UserDocument.get(f"account#{person.created.account.id}", f"user#{person.created.user.id:010d}").delete()
    reply = person.get("/api/v0/me")
    assert (reply.status, reply.json()) == (404, {"error": "not found"})


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The operations that are sent to AWS."""
    listed: list[str] = []
    original = BaseClient._make_api_call  # type: ignore[attr-defined]

    def listening(self: BaseClient, operation: str, arguments: dict[str, Any]) -> Any:
        listed.append(operation)
        return original(self, operation, arguments)

    monkeypatch.setattr(BaseClient, "_make_api_call", listening)
    return listed


def test_limiter_key_and_site_take_three_calls_and_one_once_they_are_known(front: FrontDoor, sent: list[str]) -> None:
    person = settle(front)
    wiring.accounts().note_use(wiring.accounts().key(person.token))
    wiring.accounts.cache_clear()
    wiring.secrets().own()
    sent.clear()
    for _ in range(3):
        assert person.get("/api/v0/me").status == 200
    assert sent == ["GetItem", "Query", "UpdateItem", "UpdateItem", "UpdateItem"]


def test_a_refused_request_takes_no_call(front: FrontDoor, sent: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    person, same, now = settle(front), address(), wiring.now()
    monkeypatch.setattr(wiring, "now", lambda: now)
    for _ in range(4):
        person.get("/api/v0/me", client=same)
    sent.clear()
    assert [person.get("/api/v0/me", client=same).status for _ in range(3)] == [429] * 3
    assert sent == []


# Who is believed to be asking

SECRET = "a secret that the CDN's function knows"


@pytest.fixture
def behind_cdn(world: object, monkeypatch: pytest.MonkeyPatch) -> None:
    assert world
    told = replace(wiring.settings(), edge_secret=SECRET)
    monkeypatch.setattr(wiring, "settings", lambda: told)


def event(headers: dict[str, str]) -> dict[str, Any]:
    return {
        "headers": headers,
        "path": "/count",
        "requestContext": {"httpMethod": "GET", "identity": {"sourceIp": "192.0.2.1"}},
    }


EDGE = {
    "X-Countless-Address": "203.0.113.5",
    "X-Countless-Host": "Stats.Example.com",
    "X-Countless-Country": "NL",
    "Host": "origin.example.com:8443",
}
FORGED = {
    "X-Forwarded-For": "198.51.100.1",
    "CF-Connecting-IP": "198.51.100.2",
    "X-Real-IP": "198.51.100.3",
    "Forwarded": "for=198.51.100.4",
    "X-Forwarded-Host": "forged.example.com",
}


def test_the_cdns_function_is_believed_if_it_knows_the_secret(behind_cdn: None) -> None:
    assert behind_cdn is None
    request = web.read(event({**EDGE, **FORGED, "X-Countless-Edge": SECRET}), {})
    assert (request.address, request.host, request.country) == ("203.0.113.5", "stats.example.com", "NL")


@pytest.mark.parametrize("edge", [{}, {"X-Countless-Edge": ""}, {"X-Countless-Edge": "a guess"}])
def test_nobody_else_is(behind_cdn: None, edge: dict[str, str]) -> None:
    assert behind_cdn is None
    request = web.read(event({**EDGE, **FORGED, **edge}), {})
    assert (request.address, request.host, request.country) == ("192.0.2.1", "origin.example.com", "")


def test_without_a_cdn_an_empty_secret_opens_nothing(world: object) -> None:
    assert world
    assert wiring.settings().edge_secret == ""
    request = web.read(event({**EDGE, "X-Countless-Edge": ""}), {})
    assert (request.address, request.host, request.country) == ("192.0.2.1", "origin.example.com", "")


@pytest.mark.parametrize(
    ("shape", "body"),
    [
        ({"body": None}, b""),
        ({"body": b"raw"}, b"raw"),
        ({"body": "text ä"}, "text ä".encode()),
        ({"body": "cmF3", "isBase64Encoded": True}, b"raw"),
        ({"body": "lone \ud800"}, b"lone \xed\xa0\x80"),
        ({"headers": None, "multiValueQueryStringParameters": None}, b""),
        ({"requestContext": {"httpMethod": "get", "path": "/count"}, "path": None}, b""),
    ],
)
def test_events_of_every_shape_are_read(world: object, shape: dict[str, Any], body: bytes) -> None:
    assert world
    request = web.read({**event({}), **shape}, {})
    assert (request.method, request.path, request.body, request.query) == ("GET", "/count", body, {})


def test_what_cannot_be_read_is_an_error_in_the_surfaces_words(app: Chalice) -> None:
    broken = {
        "headers": {},
        "body": "a",  # no base64
        "isBase64Encoded": True,
        "multiValueQueryStringParameters": None,
        "pathParameters": None,
        "stageVariables": None,
        "requestContext": {"resourcePath": "/api/v0/me", "httpMethod": "GET", "path": "/api/v0/me"},
    }
    answer = app(broken, None)
    assert answer["statusCode"] == 500
    assert "unexpected error code" in answer["body"]


# What is logged


@pytest.fixture
def logged() -> Iterator[io.StringIO]:
    """Everything that the service says meanwhile: logs, metrics, standard output and error."""
    heard = io.StringIO()
    handlers = observability.logger.registered_handler
    assert handlers is not None
    before = handlers.stream  # type: ignore[attr-defined]
    handlers.stream = heard  # type: ignore[attr-defined]
    with contextlib.redirect_stdout(heard), contextlib.redirect_stderr(heard):
        yield heard
    handlers.stream = before  # type: ignore[attr-defined]


def test_nothing_secret_and_no_address_is_logged(
    somebody: Person, logged: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever fails, and whatever it says of itself: lines are logged, and nothing of the request stands in them."""
    secrets = ["198.51.100.77", somebody.token, "hidden-path", "hidden-query", "hidden-agent", "hidden-session"]

    def failing(*_: object, **__: object) -> None:
        raise KeyError(*secrets) from ValueError(" ".join(secrets))

    def send(method: str, path: str, body: bytes = b"") -> int:
        headers = {"authorization": f"Bearer {somebody.token}", "user-agent": "hidden-agent"}
        headers |= {"content-type": "application/json"} if body else {}
        url = f"{somebody.prefix}{path}"
        return somebody.front.request(method, url, headers=headers, body=body, client="198.51.100.77").status

    monkeypatch.setattr(wiring, "reports", failing)
    monkeypatch.setattr(wiring, "ingest", failing)
    hits = b'{"hits":[{"path":"/hidden-path","session":"hidden-session","title":"hidden-query"}]}'
    statuses = [
        send("GET", "/api/v0/stats/total?path_by_name=1&include_paths=hidden-query"),
        send("POST", "/api/v0/count", hits),
        send("GET", "/count?p=/hidden-path&q=hidden-query"),
        send("GET", "/api/v0/hidden-path"),
        send("GET", "/api/v0/paths?hidden-query=1"),
    ]
    text = logged.getvalue()
    assert statuses == [500, 500, 500, 404, 400]
    assert text.count('"error":"KeyError"') == 3
    for secret in [*secrets, somebody.created.user.email]:
        assert secret not in text


def test_what_event_functions_log_of_an_exception_leaves_its_message_out(logged: io.StringIO) -> None:
    @observability.event_function
    def handler(event: Any) -> None:
        raise ValueError(event.secret)

    class Event:
        secret = "198.51.100.77"
        context = None

    with pytest.raises(ValueError, match="198"):
        handler(Event())
    try:
        int(Event.secret)  # whose error quotes it
    except ValueError:
        observability.logger.exception("a message could not be opened")
    assert logged.getvalue().count("ValueError") >= 2
    assert Event.secret not in logged.getvalue()


def test_errors_of_ours_are_found_by_the_code_that_the_caller_is_told(
    somebody: Person, logged: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing() -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(wiring, "reports", failing)
    reply = somebody.get("/api/v0/paths")
    code = reply.json()["error"].split("‘")[1].split("’")[0]  # noqa: RUF001
    assert reply.status == 500
    assert f'"code":"{code}"' in logged.getvalue()
    assert "ZeroDivisionError" not in reply.text
