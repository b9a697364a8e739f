"""The wire-compatibility checklist (page-view contract, section 15) over HTTP, rows 63 to 67 and 8: sites."""

import json
import secrets
from typing import Any

import pytest

from tests.clients.people import People, Person, ask, error, errors

SITES = "/api/v0/sites"


def own(person: Person) -> str:
    """Where this person's site is."""
    return f"{SITES}/{person.made['site']['id']}"


def put(person: Person, **fields: Any) -> Any:
    """A new site of the account."""
    reply = person.ask("PUT", SITES, json.dumps(fields))
    assert reply.status == 200, reply
    return reply.json()


def host() -> str:
    """A host that nobody has."""
    return f"b{secrets.token_hex(5)}.test.example"


def test_row_8_sites_are_not_deleted_by_requests(somebody: Person) -> None:
    """405, as for every method that a path does not know."""
    reply = somebody.ask("DELETE", own(somebody))
    assert (reply.status, error(reply)) == (405, "method not allowed")


def test_row_63_the_first_site_of_the_list_is_the_host_s(person: Person) -> None:
    """Its settings are spelled as clients know them, and lists are strings."""
    made = put(person, cname=host())
    [first, second] = person.figures(SITES)["sites"]
    assert (first["id"], first["cname"]) == (person.made["site"]["id"], person.host)
    assert type(first["setttings"]["ignore_ips"]) is str
    assert second == made
    assert person.figures(own(person)) == first


def test_row_64_a_setting_is_changed_and_the_others_stay(person: Person) -> None:
    """Whoever counts goes by it at once, where the change was made."""
    before = person.figures(own(person))
    reply = person.ask("PATCH", own(person), '{"settings":{"ignore_ips":"1.1.1.1"}}')
    assert reply.status == 200
    after = reply.json()
    assert after["setttings"] == {**before["setttings"], "ignore_ips": "1.1.1.1"}
    assert person.figures(own(person)) == after
    batch = person.count({"path": "/a", "ip": "1.1.1.1"}, no_sessions=True)
    assert (batch.status, batch.headers["x-goatcounter-filter"]) == (202, "0")


def test_row_65_a_code_cannot_be_changed(somebody: Person) -> None:
    """It is no parameter of an update."""
    reply = somebody.ask("PATCH", own(somebody), '{"code":"x"}')
    assert (reply.status, error(reply)) == (400, 'unknown parameter: "code"')


def test_row_66_a_site_is_made_once(person: Person) -> None:
    """It belongs to the host's, collects the usual whatever that does, and counts at once."""
    name = host()
    made = put(person, cname=name)
    assert (made["parent"], made["setttings"]["collect"]) == (person.made["site"]["id"], 190)
    again = person.ask("PUT", SITES, json.dumps({"cname": name.upper()}))
    assert (again.status, errors(again)) == (400, {"cname": ["already exists"]})
    assert person.view("p=/x", {"Host": name}).status == 200
    assert person.get("/api/v0/stats/total", {"Host": name}).status == 200
    assert person.figures(f"{SITES}/{made['id']}")["received_data"]


@pytest.mark.parametrize("method", ["GET", "POST", "PATCH"])
def test_row_67_others_sites_are_not_found(people: People, somebody: Person, method: str) -> None:
    """Whether there are such sites or not."""
    stranger = people.settle()
    for target in (own(stranger), f"{SITES}/999999999"):
        reply = somebody.ask(method, target, None if method == "GET" else "{}")
        assert (reply.status, error(reply)) == (404, "not found")


def test_a_public_site_shows_its_figures_to_everybody(person: Person) -> None:
    """And a secret one to whoever knows the secret."""
    settings = {"public": "secret", "secret": "opensesame1"}
    total, nobody = "/api/v0/stats/total", {"Host": person.host}
    assert ask(person.url, "GET", total, nobody).status == 401
    assert person.ask("PATCH", own(person), json.dumps({"settings": settings})).status == 200
    assert ask(person.url, "GET", f"{total}?access-token=opensesame2", nobody).status == 401
    assert ask(person.url, "GET", f"{total}?access-token=opensesame1", nobody).json() == person.figures(total)
    assert person.ask("PATCH", own(person), '{"settings":{"public":"public"}}').status == 200
    assert ask(person.url, "GET", total, nobody).json() == person.figures(total)
