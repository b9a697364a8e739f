"""SMTP, against a server that really listens: what it took, what it did not, and what nobody can say."""

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from chalicelib import wiring
from chalicelib.aws import smtp
from chalicelib.aws.smtp import Login, Server, Smtp
from chalicelib.core.errors import Invalid, Unavailable, Uncertain
from chalicelib.core.mail import Mail, Mailbox, NotSent, Refused
from tests.conftest import World
from tests.core.test_mail import body, read

MAIL = Mail(
    Mailbox("reports@countless.example", "Zoë"),
    (Mailbox("ann@example.com"), Mailbox("bob@example.com")),
    "Héllo there",
    "one\n.\n..two\nFrom three\n",
    "<p>Grüße</p>\n",
)
LOGIN = Login("countless", "s3cret")


@dataclass
class Handler:
    """A server's manners: what it answers to each command, and where it hangs up."""

    answers: dict[str, str] = field(default_factory=dict)
    hangs_up: str = ""
    taken: list[Envelope] = field(default_factory=list)

    async def _says(self, server: SMTP, command: str, usual: str) -> str:
        if self.hangs_up == command:
            assert server.transport is not None
            server.transport.close()
        return self.answers.get(command, usual)

    async def handle_MAIL(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, _session: Any, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        envelope.mail_from = address
        return await self._says(server, "MAIL", "250 OK")

    async def handle_RCPT(  # noqa: N802
        self, server: SMTP, _session: Any, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        envelope.rcpt_tos.append(address)
        return await self._says(server, f"RCPT {address}", "250 OK")

    async def handle_DATA(self, server: SMTP, _session: Any, envelope: Envelope) -> str:  # noqa: N802
        answer = await self._says(server, "DATA", "250 taken")
        if answer.startswith("250"):
            self.taken.append(envelope)
        return answer


@dataclass(frozen=True)
class Certificate:
    """A certificate for 127.0.0.1, as a server and a client know it."""

    server: ssl.SSLContext
    client: ssl.SSLContext


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    folder: Path = tmp_path_factory.mktemp("certificate")
    pem = made.public_bytes(serialization.Encoding.PEM)
    (folder / "cert.pem").write_bytes(pem)
    (folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return Certificate(server, ssl.create_default_context(cadata=pem.decode()))


def knows(_server: SMTP, _session: Any, _envelope: Envelope, _mechanism: str, data: Any) -> AuthResult:
    good = isinstance(data, LoginPassword) and data.password == LOGIN.password.encode()
    return AuthResult(success=good, handled=False)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def serving(handler: Handler, **options: Any) -> Iterator[int]:
    """A server on a port of its own."""
    controller = Controller(handler, hostname="127.0.0.1", port=free_port(), **options)
    controller.start()
    try:
        yield controller.port
    finally:
        controller.stop()


def over_starttls(certificate: Certificate, handler: Handler, login: Login | None = LOGIN) -> Any:
    """Sends a mail to a server that wants TLS and a login, as most do."""
    options = {"authenticator": knows, "auth_required": True, "require_starttls": True}
    with serving(handler, tls_context=certificate.server, **options) as port:
        return Smtp(Server("127.0.0.1", port, implicit=False), lambda: login, certificate.client).send(MAIL)


def test_a_mail_is_handed_in_whole(certificate: Certificate) -> None:
    """Lines that are dots too; everybody it is for is named to the server."""
    handler = Handler()
    number = over_starttls(certificate, handler)
    (envelope,) = handler.taken
    assert (envelope.mail_from, envelope.rcpt_tos) == (
        "reports@countless.example",
        ["ann@example.com", "bob@example.com"],
    )
    assert isinstance(envelope.content, bytes)
    found = read(envelope.content)
    assert (found["subject"], found["message-id"]) == (MAIL.subject, number)
    assert number.endswith("@countless.example>")
    assert found["date"] is not None
    assert body(found, "plain") == MAIL.text
    assert body(found, "html") == MAIL.html


def test_tls_may_begin_with_the_connection(certificate: Certificate) -> None:
    handler = Handler()
    with serving(handler, ssl_context=certificate.server) as port:
        Smtp(Server("127.0.0.1", port, implicit=True), lambda: None, certificate.client).send(MAIL)
    assert len(handler.taken) == 1


def test_nothing_is_said_to_a_server_that_proves_nothing(certificate: Certificate) -> None:
    """Not over TLS with a strange certificate, and not without TLS: the login would be anybody's."""
    handler = Handler()
    strange = ssl.create_default_context()
    with (
        serving(handler, tls_context=certificate.server) as port,
        pytest.raises(NotSent, match="SSLCertVerificationError"),
    ):
        Smtp(Server("127.0.0.1", port, implicit=False), lambda: LOGIN, strange).send(MAIL)
    with serving(handler) as port, pytest.raises(NotSent, match="SMTPNotSupportedError"):
        Smtp(Server("127.0.0.1", port, implicit=False), lambda: LOGIN, certificate.client).send(MAIL)
    assert handler.taken == []


@pytest.mark.parametrize(
    ("answers", "kind"),
    [
        ({"MAIL": "451 later"}, NotSent),
        ({"MAIL": "550 not from you"}, NotSent),
        ({"RCPT bob@example.com": "450 greylisted"}, NotSent),
        ({"RCPT bob@example.com": "550 nobody here"}, Refused),
        ({"DATA": "451 later"}, NotSent),
        ({"DATA": "554 spam"}, Refused),
    ],
)
def test_an_answer_says_whether_the_mail_may_be_sent_again(
    certificate: Certificate, answers: dict[str, str], kind: type[Exception]
) -> None:
    """And nobody gets it if one of them cannot."""
    handler = Handler(answers)
    with pytest.raises(kind) as raised:
        over_starttls(certificate, handler)
    assert handler.taken == []
    assert "example.com" not in str(raised.value)


@pytest.mark.parametrize(
    ("hangs_up", "kind"), [("MAIL", NotSent), ("RCPT ann@example.com", NotSent), ("DATA", Uncertain)]
)
def test_a_connection_that_breaks_is_certain_only_before_the_mail_was_on_its_way(
    certificate: Certificate, hangs_up: str, kind: type[Exception]
) -> None:
    """The server that hangs up after it took the mail is not asked to take it again."""
    handler = Handler(hangs_up=hangs_up)
    with pytest.raises(kind):
        over_starttls(certificate, handler)
    assert len(handler.taken) == (1 if hangs_up == "DATA" else 0)


def test_a_server_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smtp, "PATIENCE", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(NotSent, match="SMTPServerDisconnected"):
        Smtp(Server("127.0.0.1", silent.getsockname()[1], implicit=False), lambda: None).send(MAIL)
    with pytest.raises(NotSent, match="ConnectionRefusedError"):
        Smtp(Server("127.0.0.1", free_port(), implicit=False), lambda: None).send(MAIL)


def test_a_wrong_login_is_told_without_being_repeated(certificate: Certificate) -> None:
    with pytest.raises(NotSent, match="SMTPAuthenticationError 535") as raised:
        over_starttls(certificate, Handler(), Login("countless", "wr0ng"))
    assert "wr0ng" not in f"{raised.value}{Login('countless', 'wr0ng')}"


def test_what_cannot_be_said_to_a_server_sends_nothing(certificate: Certificate) -> None:
    """A login that is not ASCII, which its commands are made of, and a host that is none."""
    with pytest.raises(NotSent, match="UnicodeEncodeError"):
        over_starttls(certificate, Handler(), Login("countless", "pässword"))
    with pytest.raises(NotSent, match=r"Unicode(Encode)?Error"):  # Python 3.13 says Encode
        Smtp(Server("a..b", 25, implicit=False), lambda: None).send(MAIL)


def test_without_its_login_nothing_is_sent() -> None:
    """What holds it does not answer: that is no reason to believe that the mail may have been sent."""

    def unknown() -> Login:
        raise Unavailable("parameter smtp")

    with pytest.raises(NotSent, match="login"):
        Smtp(Server("127.0.0.1", 1, implicit=False), unknown).send(MAIL)


@pytest.mark.parametrize(
    ("url", "server"),
    [
        ("smtp://mail.example.com", Server("mail.example.com", 587, implicit=False)),
        ("smtp://mail.example.com:2525/", Server("mail.example.com", 2525, implicit=False)),
        ("smtps://mail.example.com", Server("mail.example.com", 465, implicit=True)),
        ("smtps://[::1]:4650", Server("::1", 4650, implicit=True)),
    ],
)
def test_servers_are_read(url: str, server: Server) -> None:
    assert Server.read(url) == server


@pytest.mark.parametrize(
    "url",
    ["http://mail", "mail", "smtp://", "smtp://h:99999", "smtp://h:0", "smtp://u:p4ss@h", "smtp://h/x", "smtp://[h"],
)
def test_what_names_no_server_is_refused_without_being_repeated(url: str) -> None:
    """A password has no place in the environment: it is not taken, and not shown."""
    with pytest.raises(Invalid) as raised:
        Server.read(url)
    assert "p4ss" not in str(raised.value)


def test_the_login_is_a_secret_that_the_operator_sets(world: World) -> None:
    """Nobody has to; what is no login is told without being shown."""
    ssm, name = world.client("ssm"), f"{wiring.settings().secrets}/smtp"
    wiring.secrets.cache_clear()
    assert wiring.secrets().smtp() is None
    wiring.secrets().keep_smtp("me", "s3cret")
    assert wiring.secrets().smtp() == ("me", "s3cret")
    assert ssm.get_parameter(Name=name)["Parameter"]["Type"] == "SecureString"
    for wrong in ('{"user": "s3cret"}', "s3cret", '["s3cret"]'):
        ssm.put_parameter(Name=name, Value=wrong, Type="SecureString", Overwrite=True)
        wiring.secrets.cache_clear()
        with pytest.raises(Unavailable) as raised:
            wiring.secrets().smtp()
        assert "s3cret" not in str(raised.value)
    ssm.delete_parameter(Name=name)
    wiring.secrets.cache_clear()
