"""What the environment says is looked at before a service starts, and every variable that is wrong is named."""

import re
from dataclasses import fields

import pytest
from click.testing import CliRunner

from chalicelib.settings import Settings, read
from infrastructure import storage
from infrastructure.commands import serve
from infrastructure.configuration import CHECKS, faults

SOUND = {
    "limits": ["on", "off", "api:20/1,export:none"],
    "mail": ["ses", "smtp://mail.example.com:587", "smtps://mail.example.com"],
    "mail_from": ["reports@example.com", "Reports <reports@example.com>"],
    "url": ["https://stats.example.com", "http://127.0.0.1:8000", "https://example.com/stats"],
    "files_url": ["http://[::1]:4566"],
    "spam_list": ["https://example.com/list.txt", "s3://lists/spam.txt"],
    "cloud_ranges": ["https://example.com/ranges"],
    "support": ["help@example.com", "ask Ann, room 7"],
    "edge_secret": ["0123456789abcdef", "0123456789abcdef,fedcba9876543210"],
    "secrets": ["/countless", "/prod/countless"],
    "session_megabytes": ["1", "128", "512"],
}
WRONG = {
    "limits": ["sometimes", "api:x", "api:1/0", "nothing:1/1"],
    "mail": ["smtp", "http://mail.example.com", "smtp://", "smtp://ann:pw@mail.example.com", "SES"],
    "mail_from": ["reports", "reports@", "Ann <>", "a@b\n"],
    "url": ["stats.example.com", "ftp://x", "https://", "https://x/", "https://x?y", "https://x:port", "https://[::1"],
    "files_url": ["127.0.0.1:4566"],
    "ingest_queue": ["countless-ingest"],
    "log_table": ["log table", "x"],
    "bucket": ["No_Bucket", "-"],
    "spam_list": ["/etc/spam.txt", "http://example.com/list.txt", "s3://bucket", "https://"],
    "cloud_ranges": ["file:///etc/passwd"],
    "support": ["a\nb", "x" * 201],
    "edge_secret": ["short", "with a space in it", "0123456789abcdef,", "0123456789abcdef," * 2 + "0123456789abcdef"],
    "secrets": ["countless", "/", "/countless/"],
    "session_megabytes": ["0", "513", "1e2", "-1", "many", "²"],
    "geo_database": ["/nowhere/cities.mmdb", __file__],
}


def variable(name: str) -> str:
    return f"COUNTLESS_{name.upper()}"


def test_every_setting_has_a_check() -> None:
    """A new one as well: say in `infrastructure/configuration.py` what can be meant by it."""
    assert set(CHECKS) == {field.name for field in fields(Settings)}


def test_what_is_so_by_default_and_what_a_service_makes_for_itself_is_sound() -> None:
    assert faults(Settings()) == {}
    queue = "https://sqs.eu-central-1.amazonaws.com/123456789012/countless-ingest"
    made = {name: queue if name.endswith("QUEUE") else "countless-x" for name in storage.ENVIRONMENT}
    assert faults(read(made)) == {}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in SOUND.items() for value in values])
def test_what_can_be_meant_is_taken(name: str, value: str) -> None:
    assert faults(read({variable("mail_from"): "a@example.com", variable(name): value})) == {}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in WRONG.items() for value in values])
def test_what_cannot_be_meant_is_named_by_its_variable(name: str, value: str) -> None:
    """Alone, and without saying a secret."""
    found = faults(read({variable("mail_from"): "a@example.com", variable(name): value}))
    assert list(found) == [variable(name)]
    assert not {"pw", "short"} & set(re.findall(r"\w+", found[variable(name)]))


def test_what_sends_mails_wants_to_know_whom_they_are_from() -> None:
    assert list(faults(Settings(mail="ses"))) == ["COUNTLESS_MAIL_FROM"]


def test_a_service_does_not_start_with_what_cannot_be_meant() -> None:
    """It says all of it in a line, before anything is made."""
    wrong = {"COUNTLESS_MAIL": "carrier pigeon", "COUNTLESS_URL": "stats", "COUNTLESS_SPAM_LIST": "spam.txt"}
    told = CliRunner().invoke(serve, ["--port", "0"], env=wrong)
    assert told.exit_code == 2
    said = told.output.rpartition("Error: ")[2]
    assert said.count("\n") == 1
    assert all(name in said for name in wrong)
    told = CliRunner().invoke(serve, ["--port", "0"], env={"COUNTLESS_LIMITS": "sometimes"})
    assert (told.exit_code, "COUNTLESS_LIMITS" in told.output) == (2, True)
