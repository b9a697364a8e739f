"""The web layer: who is let in where, who is believed to be asking, and that nothing of it is logged."""

import contextlib
import io
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from botocore.client import BaseClient
from chalice.app import Blueprint, Chalice

from chalicelib import observability, web, wiring
from chalicelib.aws.secrets import edge_text
from chalicelib.aws.tables import AccountDocument, UserDocument
from chalicelib.core.errors import (
    BrokenLog,
    Conflict,
    CountlessError,
    Damaged,
    Forbidden,
    Invalid,
    NotFound,
    Poison,
    RateLimited,
    Taken,
    TooLarge,
    Unauthenticated,
    Unavailable,
    Uncertain,
)
from chalicelib.pageviews import routes
from tests.front import FrontDoor
from tests.people import Person, address, settle


@pytest.fixture(scope="module")
def somebody(app: Chalice) -> Person:
    return settle(FrontDoor(app))


@pytest.fixture(scope="module")
def stranger(app: Chalice) -> Person:
    return settle(FrontDoor(app))


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
    wiring.secrets().server()
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


# Surfaces


class PlainWords:
    """Words that say what they were asked to say."""

    def failure(self, error: CountlessError) -> web.Reply:
        return web.Reply(400, f"{type(error).__name__}: {error}")

    def wrong_method(self) -> web.Reply:
        return web.Reply(405)

    def wrong_type(self) -> web.Reply:
        return web.Reply(415)

    def too_large(self) -> web.Reply:
        return web.Reply(413)

    def unexpected(self, status: int, code: str) -> web.Reply:
        return web.Reply(status, code)


def surfaced(view: Callable[[web.Request], web.Reply], *, coded: bool = False) -> FrontDoor:
    """A service with one surface below `/plain`, whose view answers POST and takes ten bytes."""
    blueprint, service = Blueprint("plain"), web.prepare(Chalice(app_name="plain", configure_logs=False))
    surface = web.Surface(
        blueprint, PlainWords(), lambda made: (web.body_within(made, 10),), identify=web.holder, coded=coded
    )
    surface.path("/plain/thing").public("POST")(view)
    service.register_blueprint(blueprint)
    other = web.Unknown(r"/plain\d+(/.*)?", surface, (), NotFound("version"))
    web.catch_all(service, [web.Unknown("/plain(/.*)?", surface), other])
    return FrontDoor(service)


def test_a_surface_may_have_its_plain_spelling_alone(world: object) -> None:
    assert world
    plain, coded = (surfaced(lambda _: web.Reply(200, "seen"), coded=coded) for coded in (False, True))
    assert [door.post("/plain/thing").text for door in (plain, coded)] == ["seen", "seen"]
    assert [door.post("/s/x/plain/thing").text for door in (plain, coded)] == ["not found\n", "seen"]
    assert [door.post("/s/x/plain/else").text for door in (plain, coded)] == ["not found\n", "NotFound: path"]


def test_paths_that_nobody_has_are_refused_in_the_words_of_the_first_that_fits(world: object) -> None:
    assert world
    front = surfaced(lambda _: web.Reply(200))
    texts = {
        path: front.get(path).text for path in ("/plain", "/plain/x", "/plain2", "/plain2/x/y", "/plains", "/", "/x")
    }
    assert texts == {
        **dict.fromkeys(("/plain", "/plain/x"), "NotFound: path"),
        **dict.fromkeys(("/plain2", "/plain2/x/y"), "NotFound: version"),
        **dict.fromkeys(("/plains", "/", "/x"), "not found\n"),
    }
    assert front.get("/plain/thing").status == 405


def test_a_surface_says_how_large_a_body_may_be(world: object) -> None:
    assert world
    front = surfaced(lambda request: web.Reply(200, str(len(request.body))))
    assert [front.post("/plain/thing", body=b"x" * size).status for size in (0, 10, 11)] == [200, 200, 413]


PROBLEMS: list[tuple[Exception, int, bool]] = [
    (Unauthenticated("no"), 400, False),
    (Forbidden("no"), 400, False),
    (NotFound("no"), 400, False),
    (Invalid("no"), 400, False),
    (Taken("no"), 400, False),
    (TooLarge("no"), 400, False),
    (RateLimited(1, 1.0), 400, False),
    (Uncertain("no"), 400, True),
    (Unavailable("no"), 503, True),
    (BrokenLog("no"), 500, True),
    (Conflict("no"), 500, True),
    (Damaged("no"), 500, True),
    (Poison("no"), 500, True),
    (KeyError("no"), 500, True),
]
"""What a view may raise: the status of words that call every refusal a 400, and whether somebody has to look at it."""


@pytest.mark.parametrize(("error", "status", "told"), PROBLEMS, ids=lambda value: type(value).__name__)
def test_a_view_may_raise_anything_and_what_is_ours_is_logged(
    world: object, logged: io.StringIO, error: Exception, status: int, told: bool
) -> None:
    assert world

    def failing(_: web.Request) -> web.Reply:
        raise error

    assert surfaced(failing).post("/plain/thing").status == status
    assert (f'"error":"{type(error).__name__}"' in logged.getvalue()) is told


def test_every_problem_of_the_core_is_in_that_table() -> None:
    assert {type(error) for error, _, _ in PROBLEMS} == {*CountlessError.__subclasses__(), KeyError}


@pytest.mark.parametrize(
    ("error", "api", "pixel"),
    [
        (Unauthenticated("no"), 401, 400),
        (Forbidden("no"), 403, 403),
        (NotFound("path"), 404, 404),
        (Invalid("no"), 400, 400),
        (Taken("there is one"), 409, 409),
        (TooLarge("too many"), 413, 413),
        (RateLimited(1, 1.0), 429, 429),
        (Uncertain("documents"), 500, 500),
    ],
    ids=lambda value: type(value).__name__,
)
def test_goatcounters_words_know_every_refusal(error: CountlessError, api: int, pixel: int) -> None:
    assert routes.api.words.failure(error).status == api
    assert routes.pixels.words.failure(error).status == pixel
    assert "code" not in str(routes.api.words.failure(error).body)


def test_a_request_asks_once_and_hears_the_same_again() -> None:
    asked: list[str] = []

    def ask() -> str:
        asked.append("asked")
        if len(asked) > 1:
            raise Unavailable("again")
        return "answer"

    def refuse() -> str:
        asked.append("refused")
        raise NotFound("thing")

    request = web.Request("GET", "/", None, "", {}, {}, {}, b"", "", "", "")
    assert [request.once("one", ask) for _ in range(3)] == ["answer"] * 3
    for _ in range(3):
        with pytest.raises(NotFound):
            request.once("another", refuse)
    assert asked == ["asked", "refused"]


STATISTICS = "/v1/api/statistic-groups"


def test_for_statistics_the_key_of_an_owner_who_is_no_admin_any_more_is_none(front: FrontDoor) -> None:
    person = settle(front)
    headers = {"authorization": f"Bearer {person.token}"}
    user = UserDocument.get(f"account#{person.created.account.id}", f"user#{person.created.user.id:010d}")
    user.update(actions=[UserDocument.role.set("r")])
    reply = front.get(STATISTICS, headers=headers)
    assert (reply.status, reply.json()["error"]["message"]) == (401, "only admins can create and use API keys")


def test_for_statistics_the_key_of_an_owner_who_is_gone_is_unknown(front: FrontDoor) -> None:
    person, without = settle(front), settle(front)
    UserDocument.get(f"account#{person.created.account.id}", f"user#{person.created.user.id:010d}").delete()
    AccountDocument.get(f"account#{without.created.account.id}", "account").delete()
    UserDocument.get(f"account#{without.created.account.id}", f"user#{without.created.user.id:010d}").delete()
    known = front.get(STATISTICS, headers={"authorization": f"Bearer {'x' * 50}"})
    for token in (person.token, without.token):
        reply = front.get(STATISTICS, headers={"authorization": f"Bearer {token}"})
        assert (reply.status, reply.json()) == (401, known.json())


def test_a_key_that_is_used_for_statistics_is_seen_used(front: FrontDoor) -> None:
    person = settle(front)
    used = wiring.accounts().key(person.token).last_used
    assert front.get(STATISTICS, headers={"authorization": f"Bearer {person.token}"}).status == 200
    assert (used, wiring.accounts().key(person.token).last_used > 0) == (0, True)


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


def test_either_of_two_secrets_is_believed_while_one_takes_the_others_place(
    world: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of the settings, and those of the parameters, which rotate."""
    assert world
    told = replace(wiring.settings(), edge_secret=f"{SECRET},{SECRET} too")
    monkeypatch.setattr(wiring, "settings", lambda: told)
    kept = edge_text(wiring.secrets().versions("edge").newest.secret)
    for given, believed in ((SECRET, True), (f"{SECRET} too", True), (kept, True), (told.edge_secret, False)):
        request = web.read(event({**EDGE, "X-Countless-Edge": given}), {})
        assert request.address == ("203.0.113.5" if believed else "192.0.2.1")


def test_while_nobody_can_say_whether_it_is_the_cdn_nothing_is_taken(
    app: Chalice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its visitors would all be one."""

    def unavailable(_: str) -> bool:
        raise Unavailable("parameters")

    monkeypatch.setattr(wiring.secrets(), "edge", unavailable)
    reply = FrontDoor(app).get("/count?p=/x", headers={"x-countless-edge": "somebody's"})
    assert reply.status == 503
    assert FrontDoor(app).get("/status").status == 200


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
