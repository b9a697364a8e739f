"""Where viewers are, from what is asked first to what is asked last: page-view contract, sections 7.5 and 16.6."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from chalice.app import Chalice

from chalicelib import wiring
from chalicelib.aws.queues import SqsIngest
from chalicelib.core.messages import Message
from chalicelib.pageviews import geo
from chalicelib.pageviews.routes import enrichment
from tests.front import FrontDoor
from tests.mmdb import database
from tests.people import Person, address, settle

SECRET = "a secret that the CDN's function knows"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:109.0) Gecko/20100101 Firefox/115.0"


@pytest.fixture(scope="module")
def person(app: Chalice) -> Person:
    return settle(FrontDoor(app))


@pytest.fixture
def accepted(monkeypatch: pytest.MonkeyPatch) -> list[Message]:
    """The messages that are handed over, in order."""
    taken: list[Message] = []
    monkeypatch.setattr(SqsIngest, "accept", lambda _, message: taken.append(message))
    return taken


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Behind a CDN; where the databases are that are shipped, of which there is none until a test makes one."""
    told = replace(wiring.settings(), edge_secret=SECRET, geo_database="")
    monkeypatch.setattr(wiring, "settings", lambda: told)
    wiring.pixels.cache_clear()  # every test's views come from the same few addresses
    found = geo.countries
    monkeypatch.setattr(geo, "countries", lambda: found.__wrapped__(tmp_path))
    geo.locator.cache_clear()
    yield tmp_path
    geo.locator.cache_clear()


def viewed(person: Person, accepted: list[Message], country: str, client: str = "") -> str:
    """The location that a view is stored with, of which the CDN says this."""
    accepted.clear()
    told = {"X-Countless-Edge": SECRET, "X-Countless-Country": country, "X-Countless-Address": client or address()}
    reply = person.front.get(f"{person.prefix}/count?p=/", headers={**told, "User-Agent": FIREFOX})
    assert reply.status == 200
    return accepted[0].hits[0].location


@pytest.mark.parametrize(
    ("said", "stored"),
    [("NL", "NL"), ("us-tx", "US-TX"), ("CN-SH", "CN-SH"), ("NL-NH", "NL"), ("", ""), ("XX-", ""), ("T1 ", "")],
)
def test_the_cdn_may_name_a_region(
    person: Person, accepted: list[Message], shipped: Path, said: str, stored: str
) -> None:
    """It is kept for the countries that the site keeps regions of: America, Russia and China if it does not say."""
    assert shipped.is_dir()
    assert viewed(person, accepted, said) == stored


def test_the_operators_database_knows_best_and_the_shipped_one_least(
    person: Person, accepted: list[Message], shipped: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between them stands the CDN; whoever is nowhere in them is nowhere."""
    assert viewed(person, accepted, "", "8.8.8.8") == ""
    database(shipped / geo.SHIPPED[0], {"country_code": "DE"})
    assert viewed(person, accepted, "", "8.8.8.8") == "DE"
    assert viewed(person, accepted, "NL", "8.8.8.8") == "NL"
    assert viewed(person, accepted, "", "200.1.1.1") == ""
    texan = {"country": {"iso_code": "US"}, "subdivisions": [{"iso_code": "TX"}]}
    told = replace(wiring.settings(), geo_database=database(shipped / "own.mmdb", texan))
    monkeypatch.setattr(wiring, "settings", lambda: told)
    assert viewed(person, accepted, "NL", "8.8.8.8") == "US-TX"
    assert viewed(person, accepted, "NL", "200.1.1.1") == "NL"


def test_addresses_of_hits_of_the_api_are_placed_without_the_cdn(
    person: Person, accepted: list[Message], shipped: Path
) -> None:
    """It knows where the caller is, not the visitor."""
    database(shipped / geo.SHIPPED[0], {"country_code": "DE"})
    told = {"X-Countless-Edge": SECRET, "X-Countless-Country": "NL", "X-Countless-Address": "192.0.2.1"}
    hits = [{"path": "/", "ip": ip, "user_agent": FIREFOX} for ip in ("8.8.8.8", "192.0.2.1", "2001:db8::1")]
    assert person.post("/api/v0/count", json_body={"hits": hits}, headers=told).status == 202
    assert [hit.location for hit in accepted[0].hits] == ["DE", "", ""]


@pytest.mark.parametrize("wrong", ["absent", "no database", "damaged"])
def test_a_database_that_cannot_be_read_loses_no_view(
    person: Person, accepted: list[Message], shipped: Path, monkeypatch: pytest.MonkeyPatch, wrong: str
) -> None:
    """Somebody is told once of one that cannot be opened; what is asked next places the addresses."""
    database(shipped / geo.SHIPPED[0], {"country_code": "DE"})
    own = shipped / "own.mmdb"
    match wrong:
        case "no database":
            own.write_bytes(b"nothing of the kind")
        case "damaged":  # it is found out with the first address
            database(own, b"\x21\xff\xff")
    told = replace(wiring.settings(), geo_database=str(own))
    monkeypatch.setattr(wiring, "settings", lambda: told)
    said: list[str] = []
    monkeypatch.setattr(enrichment, "failed", lambda what, _: said.append(what))
    assert viewed(person, accepted, "", "8.8.8.8") == "DE"
    assert viewed(person, accepted, "NL", "8.8.8.8") == "NL"
    hits = [{"path": "/", "ip": "8.8.8.8", "user_agent": FIREFOX}]
    assert person.post("/api/v0/count", json_body={"hits": hits}).status == 202
    assert accepted[-1].hits[0].location == "DE"
    assert said == ([] if wrong == "damaged" else ["the database of places cannot be read"])
