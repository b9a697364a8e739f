"""The operator's lists, from where they are kept to the views that they are about."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlencode

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError
from chalice.app import Chalice

from chalicelib import wiring
from chalicelib.aws import clients
from chalicelib.aws.queues import SqsIngest
from chalicelib.core.errors import Damaged, Unavailable
from chalicelib.core.lists import HOUR
from chalicelib.core.messages import Message
from chalicelib.functions.schedules import refresh_lists
from infrastructure.local import schedules
from tests.conftest import World
from tests.front import FrontDoor
from tests.people import Person, settle

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:109.0) Gecko/20100101 Firefox/115.0"
KEPT = ("lists/spam.txt", "lists/clouds.txt", "mine/spam.txt", "mine/clouds.txt")


@pytest.fixture(scope="module")
def person(app: Chalice) -> Person:
    return settle(FrontDoor(app))


@pytest.fixture(autouse=True)
def bucket(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The deployment's bucket, where the operator keeps both lists, and settings that say so."""
    name = world.environment["COUNTLESS_BUCKET"]
    told = replace(
        wiring.settings(), spam_list=f"s3://{name}/mine/spam.txt", cloud_ranges=f"s3://{name}/mine/clouds.txt"
    )
    monkeypatch.setattr(wiring, "settings", lambda: told)
    wiring.lists.cache_clear()
    wiring.pixels.cache_clear()  # every test's views come from the same few addresses
    yield name
    wiring.lists.cache_clear()
    for key in KEPT:
        world.client("s3").delete_object(Bucket=name, Key=key)


@pytest.fixture
def accepted(monkeypatch: pytest.MonkeyPatch) -> list[Message]:
    """The messages that are handed over, in order."""
    taken: list[Message] = []
    monkeypatch.setattr(SqsIngest, "accept", lambda _, message: taken.append(message))
    return taken


def keep(name: str, text: str) -> None:
    """The operator writes a list."""
    clients.s3().put_object(Bucket=wiring.settings().bucket, Key=f"mine/{name}.txt", Body=text.encode())


def stored(name: str) -> str | None:
    """What the job has stored."""
    try:
        found = clients.s3().get_object(Bucket=wiring.settings().bucket, Key=f"lists/{name}.txt")
    except clients.s3().exceptions.NoSuchKey:
        return None
    return found["Body"].read().decode()


def refresh() -> None:
    """The day's run of the job."""
    refresh_lists(schedules.event("refresh_lists", datetime.now(UTC)), SimpleNamespace(function_name="refresh_lists"))


def view(person: Person, referrer: str = "", client: str = "192.0.2.1", agent: str = FIREFOX) -> None:
    """Somebody views a page."""
    query = urlencode({"p": "/", "r": referrer})
    assert (
        person.front.get(f"{person.prefix}/count?{query}", headers={"user-agent": agent}, client=client).status == 200
    )


def codes(accepted: list[Message]) -> list[int]:
    """What became of the views: 0 for people, else the bot's code."""
    return [code for message in accepted for code in [0] * len(message.hits) + [bot.code for bot in message.bots]]


def test_who_spams_and_which_clouds_there_are_is_the_operators_word(person: Person, accepted: list[Message]) -> None:
    """From the day's run on; the cloud of an address says more than the page's script, and less than the browser."""
    keep("spam", "spam.example\n")
    keep("clouds", "198.51.100.0/24 hetzner\n")
    view(person, "https://a.spam.example/", "198.51.100.7")
    assert codes(accepted) == [0]
    refresh()
    wiring.lists.cache_clear()
    accepted.clear()
    view(person, "https://a.spam.example/")
    assert codes(accepted) == []
    view(person, "https://semalt.com/")
    view(person, client="198.51.100.7")
    view(person, client="198.51.100.8", agent=f"{FIREFOX} HeadlessChrome/1.0")
    assert codes(accepted) == [0, 12, 5]


def test_clouds_are_not_asked_about_hits_of_the_api(person: Person, accepted: list[Message]) -> None:
    """Whoever sends them has seen the address; its spammers are the same, though."""
    keep("spam", "spam.example\n")
    keep("clouds", "198.51.100.0/24 hetzner\n")
    refresh()
    hits = [
        {"path": "/", "ip": "198.51.100.7", "user_agent": FIREFOX},
        {"path": "/", "ip": "198.51.100.7", "user_agent": FIREFOX, "ref": "https://spam.example"},
    ]
    assert person.post("/api/v0/count", json_body={"hits": hits}).status == 202
    assert codes(accepted) == [0]


@pytest.mark.parametrize("damaged", ["", "# nothing\n", "spam.example\n<html>\n"])
def test_a_damaged_list_changes_nothing_and_fails_loudly(person: Person, accepted: list[Message], damaged: str) -> None:
    """And keeps the other list from nothing."""
    keep("spam", "spam.example\n")
    keep("clouds", "198.51.100.0/24 hetzner\n")
    refresh()
    keep("spam", damaged)
    keep("clouds", "198.51.100.0/24 aws\n")
    with pytest.raises(Damaged):
        refresh()
    assert (stored("spam"), stored("clouds")) == ("spam.example\n", "198.51.100.0/24 aws\n")
    view(person, "https://spam.example/")
    assert codes(accepted) == []


def test_a_list_that_is_gone_fails_loudly_and_stays_known(person: Person, accepted: list[Message]) -> None:
    """Until its operator takes the setting away."""
    keep("spam", "spam.example\n")
    keep("clouds", "198.51.100.0/24 hetzner\n")
    refresh()
    clients.s3().delete_object(Bucket=wiring.settings().bucket, Key="mine/clouds.txt")
    with pytest.raises(Unavailable):
        refresh()
    view(person, client="198.51.100.7")
    assert codes(accepted) == [12]


def test_before_the_first_run_what_is_shipped_holds(person: Person, accepted: list[Message]) -> None:
    """A list of spammers comes with the package, one of clouds does not."""
    view(person, "https://semalt.com/", client="198.51.100.7")
    view(person, client="198.51.100.7")
    assert codes(accepted) == [0]


def _error(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": ""}}, "GetObject")


@pytest.mark.parametrize(
    "problem",
    [_error("AccessDenied"), _error("SlowDown"), _error("NoSuchBucket"), ReadTimeoutError(endpoint_url="x")],
)
def test_no_view_is_lost_for_a_list_that_cannot_be_read(
    person: Person, accepted: list[Message], monkeypatch: pytest.MonkeyPatch, problem: Exception
) -> None:
    """The process goes on with what it knows, and does not ask again at once."""
    keep("spam", "spam.example\n")
    keep("clouds", "198.51.100.0/24 hetzner\n")
    refresh()
    view(person, client="198.51.100.7")
    moment = wiring.now()
    monkeypatch.setattr(wiring, "now", lambda: moment + HOUR)
    asked: list[Any] = []

    def fail(**request: Any) -> None:
        asked.append(request)
        raise problem

    monkeypatch.setattr(clients.s3_brief(), "get_object", fail)
    view(person, client="198.51.100.7")
    view(person, "https://spam.example/", client="192.0.2.9")
    view(person, client="192.0.2.10")
    assert codes(accepted) == [12, 12, 0]
    assert len(asked) == 2  # once for each list


def test_without_lists_nobody_is_asked(
    person: Person, accepted: list[Message], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A deployment without such settings pays for no call, and its job does nothing."""
    told = replace(wiring.settings(), spam_list="", cloud_ranges="")
    monkeypatch.setattr(wiring, "settings", lambda: told)
    with monkeypatch.context() as patch:
        patch.setattr(wiring, "lists", lambda: pytest.fail("asked for lists"))
        patch.setattr(wiring, "refresh_list", lambda *_: pytest.fail("fetched a list"))
        refresh()
        view(person, "https://semalt.com/")
        view(person)
    assert codes(accepted) == [0]


def test_an_unplugged_process_has_forgotten_the_lists() -> None:
    """As everything else that is plugged together once."""
    known = wiring.lists()
    wiring.forget()
    assert wiring.lists() is not known
