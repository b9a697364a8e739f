"""SES: what was sent is told from what certainly was not, and nothing is sent twice behind our back."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from botocore.exceptions import (
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    NoCredentialsError,
    ReadTimeoutError,
)
from moto.ses.models import ses_backends

from chalicelib import wiring
from chalicelib.aws import clients
from chalicelib.aws.mail import Ses
from chalicelib.core.errors import Invalid, Uncertain
from chalicelib.core.mail import Mail, Mailbox, NotSent, Refused
from infrastructure.local.context import ACCOUNT
from tests.conftest import World
from tests.core.test_mail import body, read
from tests.dynamo.routing import RawBody

MAIL = Mail(
    Mailbox("reports@countless.example", "Zoë"),
    (Mailbox("ann@example.com", "Ann"), Mailbox("bob@example.com")),
    "Your réport",
    "Grüße\n",
    "<p>Grüße</p>\n",
    {"Auto-Submitted": "auto-generated"},
)


@pytest.fixture(autouse=True)
def _world(world: World) -> Iterator[None]:
    """SES knows the sender."""
    world.client("sesv2").create_email_identity(EmailIdentity=MAIL.sender.address)
    clients.ses_once.cache_clear()
    yield
    clients.ses_once.cache_clear()


def sent() -> list[Any]:
    """What SES has sent."""
    return list(ses_backends[ACCOUNT]["eu-central-1"].sent_messages)


def answering(answer: Callable[[Any], AWSResponse | None]) -> list[Any]:
    """Puts an answer in SES's place; gives the list that every request to it goes into."""
    requests: list[Any] = []

    def heard(request: Any, **_: Any) -> AWSResponse | None:
        requests.append(request)
        return answer(request)

    events: Any = clients.ses_once().meta.events
    events.register_first("before-send.sesv2.SendEmail", heard)
    return requests


def saying(status: int, code: str, message: str = "no") -> Callable[[Any], AWSResponse]:
    """An error in SES's words."""
    said = json.dumps({"message": message}).encode()
    headers = HTTPHeaders()
    headers["x-amzn-ErrorType"] = code
    return lambda request: AWSResponse(str(request.url), status, headers, RawBody(said))


def test_a_mail_that_ses_took_is_what_was_written() -> None:
    before = len(sent())
    number = Ses(clients.ses_once()).send(MAIL)
    (message,) = sent()[before:]
    assert message.id == number
    found = read(message.raw_data.encode())
    assert (found["subject"], found["auto-submitted"]) == (MAIL.subject, "auto-generated")
    assert str(found["from"]) == "Zoë <reports@countless.example>"
    assert body(found, "plain") == MAIL.text
    assert body(found, "html") == MAIL.html
    assert {"ann@example.com", "bob@example.com"} <= set(message.destinations)


@pytest.mark.parametrize(
    ("status", "code", "message", "kind"),
    [
        (400, "MessageRejected", "the mail has a virus", Refused),
        (400, "BadRequestException", "Missing final '@domain'", Refused),
        (400, "MessageRejected", "Email address is not verified.", NotSent),
        (429, "TooManyRequestsException", "Maximum sending rate exceeded.", NotSent),
        (400, "SendingPausedException", "paused", NotSent),
        (403, "AccessDeniedException", "not authorized", NotSent),
        (503, "ServiceUnavailable", "later", NotSent),
        (500, "InternalFailure", "oh", Uncertain),
        (504, "GatewayTimeout", "oh", Uncertain),
    ],
)
def test_an_error_of_ses_says_whether_the_mail_may_be_sent_again(
    status: int, code: str, message: str, kind: type[Exception]
) -> None:
    requests = answering(saying(status, code, message))
    with pytest.raises(kind, match=code):
        Ses(clients.ses_once()).send(MAIL)
    assert len(requests) == 1


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ConnectTimeoutError(endpoint_url="x"), NotSent),
        (EndpointConnectionError(endpoint_url="x"), NotSent),
        (NoCredentialsError(), NotSent),
        (ReadTimeoutError(endpoint_url="x"), Uncertain),
        (ConnectionClosedError(endpoint_url="x"), Uncertain),
    ],
)
def test_what_is_lost_after_ses_heard_it_is_uncertain_and_not_sent_again(
    error: Exception, kind: type[Exception]
) -> None:
    """A client of AWS repeats calls whose answer is lost, unless it is told to make one attempt."""

    def lost(_: Any) -> AWSResponse:
        raise error

    requests = answering(lost)
    with pytest.raises(kind):
        Ses(clients.ses_once()).send(MAIL)
    assert len(requests) == 1


def test_the_setting_says_what_sends(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing, SES, or a server; and a mistake is told, not mailed."""
    seen = []
    for said in ("", "ses", "smtp://mail.example.com", "smtps://mail.example.com"):
        monkeypatch.setenv("COUNTLESS_MAIL", said)
        wiring.settings.cache_clear()
        wiring.mailer.cache_clear()
        seen.append(type(wiring.mailer()).__name__)
    assert seen == ["NoneType", "Ses", "Smtp", "Smtp"]
    monkeypatch.setenv("COUNTLESS_MAIL", "sess")
    wiring.settings.cache_clear()
    wiring.mailer.cache_clear()
    with pytest.raises(Invalid) as raised:
        wiring.mailer()
    assert list(raised.value.fields) == ["COUNTLESS_MAIL"]
    monkeypatch.setenv("COUNTLESS_MAIL_FROM", "Reports <reports@example.com>")
    wiring.settings.cache_clear()
    assert wiring.mail_sender() == Mailbox("reports@example.com", "Reports")
    monkeypatch.delenv("COUNTLESS_MAIL_FROM")
    wiring.settings.cache_clear()
    with pytest.raises(Invalid) as raised:
        wiring.mail_sender()
    assert list(raised.value.fields) == ["COUNTLESS_MAIL_FROM"]
    wiring.settings.cache_clear()
    wiring.mailer.cache_clear()
