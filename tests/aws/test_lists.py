"""Fetching lists, over TLS and from S3, and storing them."""

import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import IPv4Address
from pathlib import Path
from typing import NoReturn

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from chalicelib.aws import lists
from chalicelib.aws.lists import Shelf, fetch
from chalicelib.core.errors import Damaged, Unavailable
from tests.conftest import World


def nobody() -> NoReturn:
    raise AssertionError("asked S3")


class Answers(BaseHTTPRequestHandler):
    """What a server may say."""

    def do_GET(self) -> None:
        match self.path:
            case "/list":
                self._say(200, b"spam.example\n")
            case "/again":
                self._say(302, b"", Location="/list")
            case "/plain":
                self._say(302, b"", Location="http://127.0.0.1:9/list")
            case "/file":
                self._say(302, b"", Location="file:///etc/hostname")
            case "/large":
                self._say(200, b"x" * 101)
            case "/cut":
                self._say(200, b"spam.exam", length=14)
            case "/slow":
                self._say(200, b"", length=1000)
                with suppress(OSError):  # whoever asked has gone
                    for _ in range(1000):
                        self.wfile.write(b"#")
                        time.sleep(0.02)
            case _:
                self._say(404, b"<html>")

    def _say(self, status: int, body: bytes, length: int = 0, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(length or len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture(scope="module")
def trusted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return folder / "cert.pem", folder / "key.pem"


@pytest.fixture(scope="module")
def server(trusted: tuple[Path, Path]) -> Iterator[str]:
    served = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(*trusted)
    served.socket = tls.wrap_socket(served.socket, server_side=True)
    thread = threading.Thread(target=served.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield f"https://127.0.0.1:{served.server_port}"
    served.shutdown()
    served.server_close()
    thread.join()


@pytest.fixture(scope="module")
def context(trusted: tuple[Path, Path]) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(trusted[0]))


def test_a_list_comes_over_tls(server: str, context: ssl.SSLContext) -> None:
    """Redirects are followed."""
    assert fetch(f"{server}/list", nobody, context) == b"spam.example\n"
    assert fetch(f"{server}/again", nobody, context) == b"spam.example\n"


@pytest.mark.parametrize("path", ["/plain", "/file", "/missing"])
def test_what_answers_otherwise_is_no_list(server: str, context: ssl.SSLContext, path: str) -> None:
    """An error page, and a redirect that leads out of TLS or to a file."""
    with pytest.raises(Unavailable):
        fetch(server + path, nobody, context)


def test_a_list_that_came_in_part_or_is_too_large_is_damaged(
    server: str, context: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half a list would let half the spammers in."""
    with pytest.raises(Damaged, match="in part"):
        fetch(f"{server}/cut", nobody, context)
    monkeypatch.setattr(lists, "LARGEST", 100)
    with pytest.raises(Damaged, match="more than 100"):
        fetch(f"{server}/large", nobody, context)


def test_a_list_that_never_ends_is_given_up(
    server: str, context: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A byte now and then is an answer, too, and would hold the job until it is ended: the other list comes then."""
    monkeypatch.setattr(lists, "PATIENCE", 0.3)
    started = time.monotonic()
    with pytest.raises(Unavailable):
        fetch(f"{server}/slow", nobody, context)
    assert time.monotonic() - started < 5


def test_a_server_that_nobody_vouches_for_is_not_believed(server: str) -> None:
    """The system's certificates decide."""
    with pytest.raises(Unavailable):
        fetch(f"{server}/list", nobody)


@pytest.mark.parametrize(
    "address", ["http://127.0.0.1:9/list", "file:///etc/hostname", "list.txt", "https://", "https://[", "https://\n"]
)
def test_other_addresses_are_not_asked(address: str) -> None:
    """A list that anybody on the way can change is none."""
    with pytest.raises(Unavailable):
        fetch(address, nobody)


def test_a_list_may_stand_in_a_bucket(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is missing, or larger than a list may be, is told apart from one."""
    s3, bucket = world.client("s3"), world.environment["COUNTLESS_BUCKET"]
    s3.put_object(Bucket=bucket, Key="mine/list.txt", Body=b"spam.example")
    assert fetch(f"s3://{bucket}/mine/list.txt", lambda: s3) == b"spam.example"
    for address in (f"s3://{bucket}/mine/other.txt", f"s3://{bucket}-other/list.txt", f"s3://{bucket}", "s3://"):
        with pytest.raises(Unavailable):
            fetch(address, lambda: s3)
    monkeypatch.setattr(lists, "LARGEST", 5)
    with pytest.raises(Damaged):
        fetch(f"s3://{bucket}/mine/list.txt", lambda: s3)


def test_the_shelf_stores_lists_under_their_names(world: World) -> None:
    """One that was never stored is none; what cannot be reached says so."""
    s3 = world.client("s3")
    shelf = Shelf(s3, world.environment["COUNTLESS_BUCKET"])
    assert shelf.get("test") is None
    shelf.put("test", b"a")
    shelf.put("test", b"b")
    assert shelf.get("test") == b"b"
    away = Shelf(s3, "no-such-bucket")
    with pytest.raises(Unavailable):
        away.put("test", b"a")
    with pytest.raises(Unavailable):
        away.get("test")
