"""A mail is what it says: addresses are addresses, headers stay headers, and it can be read back."""

import email
import email.policy
from email.message import EmailMessage
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.core.errors import Invalid
from chalicelib.core.mail import Mail, Mailbox

ANN = Mailbox("ann@example.com")


def read(raw: bytes) -> EmailMessage:
    """A mail, as its recipient's program reads it."""
    found = email.message_from_bytes(raw, policy=email.policy.default)
    assert isinstance(found, EmailMessage)
    assert found.defects == []
    return found


def body(found: EmailMessage, kind: str) -> str:
    part = found.get_body((kind,))
    assert part is not None
    content = part.get_content()
    assert isinstance(content, str)
    return content.replace("\r\n", "\n")


@pytest.mark.parametrize(
    ("text", "address", "name"),
    [
        ("ann@example.com", "ann@example.com", ""),
        (" ann@localhost ", "ann@localhost", ""),
        ("Ann B <ann.b+c@example.com>", "ann.b+c@example.com", "Ann B"),
        ('"Ann, B" <ann@example.com>', "ann@example.com", "Ann, B"),
        ("ann@bücher.example", "ann@xn--bcher-kva.example", ""),
        ("Ann@Example.COM", "Ann@example.com", ""),
        ("<ann@example.com>", "ann@example.com", ""),
        (f"{'a' * 64}@example.com", f"{'a' * 64}@example.com", ""),
    ],
)
def test_addresses_are_read(text: str, address: str, name: str) -> None:
    assert Mailbox.read(text) == Mailbox(address, name)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ann",
        "ann@",
        "@example.com",
        "a b@example.com",
        "a@b@example.com",
        "a..b@example.com",
        ".a@example.com",
        "é@example.com",
        "a@-b.example",
        "a@straße.example",
        "a@BÜCHER\u00ad.example",
        "a@b..example",
        "a@example.com, b@example.com",
        "a@example.com\nBcc: b@example.com",
        "Ann\r\nBcc: b@example.com <a@example.com>",
        "Ann <a@example.com> <b@example.com>",
        f"{'a' * 65}@example.com",
        f"a@{'.'.join(['b' * 60] * 5)}",
        "a@example.com>",
        f"a{' ' * 1_000_000}b",  # to look for a name in it would take hours
    ],
)
def test_what_is_no_address_is_refused_and_its_field_named(text: str) -> None:
    with pytest.raises(Invalid) as raised:
        Mailbox.read(text, "email")
    assert list(raised.value.fields) == ["email"]


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("subject", {"subject": "hello\r\nBcc: b@example.com"}),
        ("subject", {"subject": "hello\nthere"}),
        ("headers", {"headers": {"X-A": "b\r\nBcc: b@example.com"}}),
        ("headers", {"headers": {"X-A\r\nBcc": "b@example.com"}}),
        ("headers", {"headers": {"X-A:": "b"}}),
        ("headers", {"headers": {"To": "b@example.com"}}),
        ("headers", {"headers": {"Content-Type": "text/html"}}),
        ("headers", {"headers": {"X-A": "é"}}),
        ("headers", {"headers": {"X-A": "a" * 998}}),
        ("name", {"sender": Mailbox("a@example.com", "A\nBcc: b@example.com")}),
        ("address", {"to": (Mailbox("a@example.com\nBcc: b@example.com"),)}),
        ("to", {"to": ()}),
        ("to", {"to": (ANN,) * 51}),
    ],
)
def test_nothing_breaks_out_of_its_header(field: str, change: dict[str, Any]) -> None:
    mail: dict[str, Any] = {"sender": ANN, "to": (ANN,), "subject": "hello", "text": "there", **change}
    with pytest.raises(Invalid) as raised:
        Mail(**mail)
    assert list(raised.value.fields) == [field]


PRINTED = st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"])
LINES = st.text(st.one_of(PRINTED, st.just("\n")), max_size=300)


@settings(max_examples=60, deadline=None)
@given(st.text(PRINTED, max_size=120).map(str.strip), LINES, LINES, st.text(PRINTED, max_size=40).map(str.strip))
def test_a_mail_reads_back_as_it_was_written(subject: str, text: str, html: str, name: str) -> None:
    """Whatever the alphabet and the length of its lines, in ASCII and in lines that every server takes."""
    url = f"<https://example.com/{'a' * 150}>"
    mail = Mail(
        Mailbox("a@example.com", name), (ANN, Mailbox("b@example.com")), subject, text, html, {"List-Help": url}
    )
    raw = mail.mime({"Date": "Sat, 21 Nov 2026 12:00:00 -0000"})
    assert raw.isascii()
    assert b"\n" not in raw.replace(b"\r\n", b"")
    assert max(map(len, raw.split(b"\r\n"))) <= 998
    found = read(raw)
    assert found["subject"] == " ".join(subject.split()) or found["subject"] == subject
    assert [entry.addr_spec for entry in found["to"].addresses] == ["ann@example.com", "b@example.com"]
    assert [entry.addr_spec for entry in found["from"].addresses] == ["a@example.com"]
    assert f"List-Help: {url}\r\n".encode() in raw
    assert found["date"] is not None
    assert body(found, "plain").rstrip("\n") == text.rstrip("\n")
    if html:
        assert body(found, "html").rstrip("\n") == html.rstrip("\n")
    else:
        assert found.get_content_type() == "text/plain"
