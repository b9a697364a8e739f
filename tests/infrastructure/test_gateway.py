"""The local gateway treats requests and answers as API Gateway and Lambda do."""

import base64
import threading
from typing import Any

import pytest
from chalice.app import Chalice, CORSConfig, Response

from infrastructure.local.gateway import Answer, Gateway, Request, Router

ROUTES = [
    "/",
    "/stats/total",
    "/stats/{page}",
    "/stats/{page}/{id}",
    "/s/{code}/{proxy+}",
    "/{proxy+}",
    "/stats/hits/{path}",
]


@pytest.mark.parametrize(
    ("path", "route", "parameters"),
    [
        ("/", "/", {}),
        ("/stats/total", "/stats/total", {}),
        ("/stats/total/", "/stats/total", {}),
        ("/stats/sizes", "/stats/{page}", {"page": "sizes"}),
        ("/stats/hits/7", "/stats/hits/{path}", {"path": "7"}),
        ("/stats/total/7", "/stats/{page}/{id}", {"page": "total", "id": "7"}),
        ("/s/a/b/c", "/s/{code}/{proxy+}", {"code": "a", "proxy": "b/c"}),
        ("/s/a", "/{proxy+}", {"proxy": "s/a"}),
        ("/stats/a%2Fb%20c", "/stats/{page}", {"page": "a/b c"}),
        ("/stats/%FF", "/stats/{page}", {"page": "\ufffd"}),
        ("/st%61ts/total", "/stats/total", {}),
        ("/stats//x", "/{proxy+}", {"proxy": "stats//x"}),
        ("//x", "/{proxy+}", {"proxy": "/x"}),
    ],
)
def test_the_most_specific_route_wins(path: str, route: str, parameters: dict[str, str]) -> None:
    """Fixed segments beat variables, variables beat the greedy one; parameters arrive decoded."""
    assert Router(iter(ROUTES)).match(path) == (route, parameters)


def test_a_variable_of_a_route_that_does_not_fit_is_forgotten() -> None:
    """What was captured on the way to a dead end is not among the parameters."""
    router = Router(iter(["/{a}/x", "/{b}/y"]))
    assert router.match("/1/y") == ("/{b}/y", {"b": "1"})


def test_no_route_no_match() -> None:
    """Nothing fits: a variable is one segment, and not an empty one; a greedy one is at least one."""
    router = Router(iter(["/a/{b}", "/c/{proxy+}"]))
    assert [router.match(path) for path in ("/a", "/a//", "/a/1/2", "/c", "/c/", "/")] == [None] * 6


@pytest.fixture
def seen() -> list[dict[str, Any]]:
    """The events that the app got."""
    return []


@pytest.fixture
def gateway(seen: list[dict[str, Any]]) -> Gateway:
    """A gateway before a small app."""
    app = Chalice("small")

    def look() -> None:
        assert app.current_request is not None
        seen.append(app.current_request.to_original_event())

    @app.route("/look", methods=["GET", "HEAD", "POST"], content_types=["*/*"])
    def view() -> Response:
        look()
        return Response({"ok": True}, headers={"X-One": "1", "Set-Cookie": ["a=1", "b=2"]})

    @app.route("/gif")
    def gif() -> Response:
        return Response(b"GIF89a", headers={"Content-Type": "image/gif"})

    @app.route("/bytes")
    def raw() -> Response:
        return Response(b"x", headers={"Content-Type": "text/x-unknown"})

    @app.route("/cors", cors=CORSConfig(allow_origin="https://example.com"))
    def cors() -> None: ...

    return Gateway(app)


def test_the_event_has_all_that_api_gateway_says(gateway: Gateway, seen: list[dict[str, Any]]) -> None:
    """Repeated headers and parameters, address, host and body arrive in the proxy format's places."""
    gateway.answer(
        Request(
            "POST",
            "/look",
            query="a=1&a=2&b=&c=%C3%A4+%2B&d=%e4%C3%A4",
            headers=(("host", "h.example"), ("x-two", "1"), ("x-two", "2"), ("user-agent", "ua")),
            body=b"\x00\xff",
            client="203.0.113.9",
        )
    )
    (event,) = seen
    assert event["multiValueQueryStringParameters"] == {"a": ["1", "2"], "b": [""], "c": ["ä +"], "d": ["%E4ä"]}
    assert event["queryStringParameters"] == {"a": "2", "b": "", "c": "ä +", "d": "%E4ä"}
    assert event["headers"]["x-two"] == "2"
    assert event["multiValueHeaders"]["x-two"] == ["1", "2"]
    assert (event["resource"], event["path"], event["httpMethod"]) == ("/look", "/look", "POST")
    assert event["pathParameters"] is None
    assert (event["isBase64Encoded"], base64.b64decode(event["body"])) == (True, b"\x00\xff")
    context = event["requestContext"]
    assert context["identity"] == {"sourceIp": "203.0.113.9", "userAgent": "ua"}
    assert context["domainName"] == "h.example"


def test_no_body_and_no_query_are_null(gateway: Gateway, seen: list[dict[str, Any]]) -> None:
    """As API Gateway has it."""
    gateway.answer(Request("GET", "/look"))
    assert (seen[0]["body"], seen[0]["isBase64Encoded"]) == (None, False)
    assert seen[0]["multiValueQueryStringParameters"] is None


def test_answers_keep_repeated_headers(gateway: Gateway) -> None:
    """Two cookies are two headers; what names no type is JSON."""
    answer = gateway.answer(Request("GET", "/look"))
    assert [value for name, value in answer.headers if name == "set-cookie"] == ["a=1", "b=2"]
    assert ("content-type", "application/json") in answer.headers
    assert answer.body == b'{"ok":true}'


def test_binary_answers_arrive_as_bytes(gateway: Gateway) -> None:
    """A GIF leaves Lambda in base64 and the gateway as it is."""
    answer = gateway.answer(Request("GET", "/gif", headers=(("accept", "*/*"),)))
    assert (answer.status, answer.body) == (200, b"GIF89a")


def test_what_lambda_could_not_send_is_an_error(gateway: Gateway, caplog: pytest.LogCaptureFixture) -> None:
    """Bytes of a type that is not declared binary work in a process, but not on AWS."""
    assert gateway.answer(Request("GET", "/bytes")).status == 502
    assert "/bytes" in caplog.text


def test_an_unknown_path_gets_the_gateways_own_answer(gateway: Gateway) -> None:
    """403 and a message about tokens: a REST API says so, and only a catch-all route can say better."""
    answer = gateway.answer(Request("GET", "/nowhere"))
    assert (answer.status, answer.body) == (403, b'{"message":"Missing Authentication Token"}')


def test_preflights_are_answered_for_routes_that_leave_cors_to_the_gateway(gateway: Gateway) -> None:
    """The route's own origin and methods; other routes' OPTIONS go to the app."""
    headers = dict(gateway.answer(Request("OPTIONS", "/cors")).headers)
    assert headers["access-control-allow-origin"] == "https://example.com"
    assert headers["access-control-allow-methods"] == "GET,OPTIONS"
    assert gateway.answer(Request("OPTIONS", "/look")).status == 405


@pytest.mark.parametrize(("size", "status"), [(3_000_000, 200), (4_700_000, 200), (4_800_000, 413)])
def test_a_body_must_fit_into_lambdas_event(gateway: Gateway, size: int, status: int) -> None:
    """6 MB, a third of which goes to base64."""
    assert gateway.answer(Request("POST", "/look", body=b"x" * size)).status == status


def test_threads_do_not_mix_up_their_requests() -> None:
    """Each of eight threads reads its own request back, every time."""
    app = Chalice("threads")
    barrier = threading.Barrier(8)

    @app.route("/echo/{number}")
    def echo(number: str) -> dict[str, Any]:
        barrier.wait(10)
        assert app.current_request is not None
        assert app.current_request.query_params is not None
        return {
            "same": app.current_request.query_params.getlist("n") == [number],
            "id": app.lambda_context.aws_request_id,
        }

    gateway = Gateway(app)
    answers: list[Answer] = []

    def ask(number: int) -> None:
        answers.extend(gateway.answer(Request("GET", f"/echo/{number}", query=f"n={number}")) for _ in range(20))

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({answer.body for answer in answers}) == 160
    assert all(b'"same":true' in answer.body for answer in answers)
