"""The local HTTP server, over real connections."""

import http.client
import socket
import threading
import time
from collections.abc import Iterator

import pytest
from chalice.app import Chalice, Response

from infrastructure.local.gateway import Gateway
from infrastructure.local.server import Server


@pytest.fixture(scope="module")
def address() -> Iterator[tuple[str, int]]:
    """Where a small app is served."""
    app = Chalice("small")

    @app.route("/length", methods=["POST"], content_types=["*/*"])
    def length() -> dict[str, int]:
        assert app.current_request is not None
        return {"length": len(app.current_request.raw_body)}

    @app.route("/{proxy+}", methods=["GET", "HEAD"], content_types=["*/*"])
    def rest() -> Response:
        assert app.current_request is not None
        return Response(app.current_request.uri_params, status_code=404, headers={"Content-Type": "application/json"})

    @app.route("/empty")
    def empty() -> Response:
        return Response("", status_code=204)

    ready = threading.Event()
    found: list[tuple[str, int]] = []

    def serving(host: str, port: int) -> None:
        found.append((host, port))
        ready.set()

    server = Server(Gateway(app), "127.0.0.1", 0, serving)
    thread = threading.Thread(target=server.run)
    thread.start()
    assert ready.wait(10)
    yield found[0]
    begun = time.monotonic()
    server.stop()
    thread.join(10)
    assert not thread.is_alive()
    assert time.monotonic() - begun < 5


@pytest.fixture
def connection(address: tuple[str, int]) -> Iterator[http.client.HTTPConnection]:
    """A connection of one's own."""
    with socket.create_connection(address):
        connection = http.client.HTTPConnection(*address, timeout=10)
        yield connection
        connection.close()


def test_a_connection_serves_many_requests(connection: http.client.HTTPConnection) -> None:
    """Keep-alive: the socket stays the same, and none of the answers waits for a delayed acknowledgement."""
    connection.connect()
    first = connection.sock
    begun = time.monotonic()
    for number in range(100):
        connection.request("POST", "/length", body=b"x" * number)
        answer = connection.getresponse()
        assert answer.read() == b'{"length":%d}' % number
    assert connection.sock is first
    assert time.monotonic() - begun < 2


def test_path_parameters_arrive_decoded(connection: http.client.HTTPConnection) -> None:
    """As behind API Gateway, a slash in a segment included."""
    connection.request("GET", "/a%2Fb/%C3%A4?q=1")
    answer = connection.getresponse()
    assert (answer.status, answer.read()) == (404, b'{"proxy":"a/b/\\u00e4"}')


def test_head_has_the_headers_and_no_body(connection: http.client.HTTPConnection) -> None:
    """The length is that of the GET; the next answer on the connection is unharmed."""
    connection.request("HEAD", "/x")
    answer = connection.getresponse()
    assert (answer.status, answer.getheader("content-length"), answer.read()) == (404, "13", b"")
    connection.request("GET", "/x")
    assert connection.getresponse().read() == b'{"proxy":"x"}'


def test_no_content_has_no_length(connection: http.client.HTTPConnection) -> None:
    """204 is complete with its headers."""
    connection.request("GET", "/empty")
    answer = connection.getresponse()
    assert (answer.status, answer.getheader("content-length"), answer.read()) == (204, None, b"")


def test_a_chunked_body_arrives_whole(connection: http.client.HTTPConnection) -> None:
    """Clients that stream send no length."""
    connection.request("POST", "/length", body=iter([b"x" * 1000] * 50), encode_chunked=True)
    assert connection.getresponse().read() == b'{"length":50000}'


def test_three_megabytes_arrive_whole(connection: http.client.HTTPConnection) -> None:
    """As large as 500 page views with every field at its limit."""
    connection.request("POST", "/length", body=b"x" * 3_000_000)
    assert connection.getresponse().read() == b'{"length":3000000}'


def test_more_than_the_gateway_takes_is_refused(connection: http.client.HTTPConnection) -> None:
    """413, without reading on; the connection is closed."""
    connection.putrequest("POST", "/length")
    connection.putheader("content-length", str(1 << 40))
    connection.endheaders()
    for _ in range(11):
        connection.send(b"x" * (1 << 20))
    answer = connection.getresponse()
    assert (answer.status, answer.getheader("connection")) == (413, "close")


def test_what_is_not_http_gets_400(address: tuple[str, int]) -> None:
    """And does not keep others from being served."""
    with socket.create_connection(address) as raw:
        raw.sendall(b"\x16\x03\x01 nonsense\r\n\r\n")
        assert raw.recv(1000).startswith(b"HTTP/1.1 400 ")


def test_many_connections_at_once_are_all_answered(address: tuple[str, int]) -> None:
    """A burst of 200 new connections finds room in the backlog."""
    sockets = [socket.create_connection(address, timeout=10) for _ in range(200)]
    for opened in sockets:
        opened.sendall(b"GET /x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    answers = [opened.recv(1000) for opened in sockets]
    for opened in sockets:
        opened.close()
    assert all(answer.startswith(b"HTTP/1.1 404 ") for answer in answers)
