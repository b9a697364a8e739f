"""The statistics contract, row by row and rule by rule, through the front door."""

import csv
import gzip
import io
import itertools
import json
import random
import re
import secrets
import string
from calendar import monthrange
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qs, quote, urlencode, urlsplit

import pytest
from botocore.client import BaseClient
from botocore.exceptions import ClientError, ConnectTimeoutError, ReadTimeoutError
from chalice.app import Chalice
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st

from chalicelib import wiring
from chalicelib.aws import calls, clients
from chalicelib.core.accounts import Permission
from chalicelib.core.limits import PLANS
from chalicelib.functions.export import SOURCES
from chalicelib.statistics.versions import CALLS, CHANGELOG, PREFIX
from tests.conftest import World
from tests.endpoints import ENDPOINTS, PUBLIC, STATISTICS
from tests.front import FrontDoor, Reply
from tests.people import Person, address, settle

ALL = Permission.STATISTICS_READ | Permission.STATISTICS_WRITE | Permission.DOMAINS
DAY, NEXT = "2026-11-20", "2026-11-21"


class Client:
    """Somebody who calls the API with a key of a domain of his own."""

    def __init__(self, person: Person, token: str) -> None:
        self.person = person
        self.token = token

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Reply:
        """A call; `body` is sent as JSON, or as it is if it is bytes already."""
        sent = {"authorization": f"Bearer {self.token}", **{name.replace("_", "-"): headers[name] for name in headers}}
        url = path if path.startswith("/v") else f"{PREFIX}{path}"
        raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        return self.person.front.request(method, url, headers=sent, body=raw, client=address())

    def get(self, path: str) -> Any:
        return good(self.ask("GET", path), 200)

    def post(self, path: str, body: Any, status: int = 200, **headers: str) -> Any:
        return good(self.ask("POST", path, body, **headers), status)

    def delete(self, path: str) -> Any:
        return good(self.ask("DELETE", path), 200)

    def update(self, path: str, day: str = DAY, method: str = "increment", **fields: Any) -> Any:
        return self.post(f"/statistics/{path}", {"method": method, "reference_date": day, **fields})


def good(reply: Reply, status: int) -> Any:
    """What an answer says, numbers exactly; it is never empty."""
    assert reply.status == status, reply.text
    assert reply.headers["content-type"] == "application/json"
    return json.loads(reply.body, parse_float=Decimal)


def refused(reply: Reply, status: int, code: str) -> str:
    """The message of an error, which has nothing else."""
    assert reply.status == status, reply.text
    assert reply.headers["content-type"] == "application/json"
    body = reply.json()
    assert list(body) == ["error"]
    assert list(body["error"]) == ["code", "message"]
    assert body["error"]["code"] == code
    message: str = body["error"]["message"]
    return message


def bad(reply: Reply) -> str:
    return refused(reply, 400, "BAD_REQUEST")


def absent(reply: Reply) -> str:
    return refused(reply, 404, "NOT_FOUND")


def without(found: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in found.items() if name not in names}


@pytest.fixture
def person(quick: Chalice) -> Person:
    return settle(FrontDoor(quick))


def client_of(person: Person, permissions: Permission = ALL) -> Client:
    """With a domain that has nothing in it, and no limits."""
    account, owner = person.created.account.id, person.created.user.id
    name = f"domain {secrets.token_hex(6)}"
    made, _ = wiring.domains().create(account, name, permissions, owner, name)
    return Client(person, person.key(permissions, domain=made.scope.domain, limits="off"))


@pytest.fixture
def client(person: Person) -> Client:
    return client_of(person)


@pytest.fixture
def stopped(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The service's clock, standing still until a test sets it."""
    clock = [wiring.now()]
    monkeypatch.setattr(wiring, "now", lambda: clock[0])
    return clock


# The description


def test_the_description_needs_no_key(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    body = good(person.front.get(PREFIX, client=address()), 200)
    assert list(body) == ["object", "name", "version", "versions", "support", "documentation", "changelog"]
    assert (body["version"], body["versions"]) == ("v1", [{"version": "v1", "url": "/v1/api"}])
    assert body["support"] is None
    told = replace(wiring.settings(), support="help@stats.example", url="https://stats.example")
    monkeypatch.setattr(wiring, "settings", lambda: told)
    body = good(person.front.get(f"{PREFIX}/", client=address()), 200)
    assert body["support"] == "help@stats.example"
    assert body["versions"][0]["url"] == "https://stats.example/v1/api"


def test_the_changelog_has_version_date_and_summary_of_each_release(person: Person) -> None:
    body = good(person.front.get(PREFIX, client=address()), 200)
    assert [list(release) for release in body["changelog"]] == [["version", "date", "summary"]] * len(CHANGELOG)
    first = body["changelog"][-1]
    assert (first["version"], first["date"]) == ("v1", "2026-11-21")
    assert all(first["summary"])
    assert body["changelog"] == sorted(body["changelog"], key=lambda release: release["date"], reverse=True)


def test_every_call_is_documented() -> None:
    said = {(call.method, f"{PREFIX}{call.path}".replace("{id}", "{group}")) for call in CALLS}
    keyed = {(row.method, row.path) for row in ENDPOINTS if row.protocol is STATISTICS}
    public = {(method, path) for method, path in PUBLIC if path.startswith(PREFIX)}
    assert {(method, path.replace("/batch", "/{group}")) for method, path in said} == keyed | public


@pytest.mark.parametrize("path", ["/v2/api", "/v2/api/statistics", "/v0/api/x", "/vx/api/statistics/a/b/c"])
def test_an_unknown_version_is_told_the_known_ones(client: Client, path: str) -> None:
    assert absent(client.ask("GET", path)) == "there is no such version of this API; versions: v1 (/v1/api)"


# Domains


def test_create_domain(client: Client) -> None:
    """With its key, which is shown here alone, and opens the new domain and nothing else."""
    name = f"shop {secrets.token_hex(4)}.example"
    made = client.post("/domains", {"name": f"  {name} "}, 201)
    assert list(made) == ["id", "object", "name", "key", "created_at", "updated_at"]
    assert (made["object"], made["name"]) == ("domain", name)
    assert re.fullmatch("dom_[0-9a-z]+", made["id"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", made["created_at"])
    new = Client(client.person, made["key"])
    assert new.get(f"/domains/{made['key']}") == without(made, "key")
    client.update("g/s")
    assert new.get("/statistic-groups") == []
    assert refused(client.ask("POST", "/domains", {"name": name}), 409, "CONFLICT")
    assert made["id"] in [found["id"] for found in client.get("/domains?limit=1000")]
    assert made["key"] not in client.ask("GET", "/domains").text


@pytest.mark.parametrize("permissions", [Permission.DOMAINS, Permission.DOMAINS | Permission.STATISTICS_READ, ALL])
def test_a_new_domains_key_may_do_no_more_than_the_one_that_asked(person: Person, permissions: Permission) -> None:
    client = client_of(person, permissions | Permission.COUNT)
    made = client.post("/domains", {"name": secrets.token_hex(6)}, 201)
    assert wiring.accounts().key(made["key"]).permissions == permissions


def test_a_new_domains_key_may_ask_no_more_often_than_the_one_that_asked(person: Person) -> None:
    client = Client(person, person.key(ALL, limits="statistics:7/3600"))
    made = client.post("/domains", {"name": secrets.token_hex(6)}, 201)
    assert Client(person, made["key"]).ask("GET", "/statistics").headers["x-rate-limit-limit"] == "7"


def test_list_domains_without_keys_in_pages(quick: Chalice) -> None:
    person = settle(FrontDoor(quick))
    client = Client(person, person.token)
    made = [client.post("/domains", {"name": f"d{number}"}, 201) for number in range(3)]
    everything = client.get("/domains")
    assert [without(found, "key") for found in made] == everything[1:]
    assert everything[0]["id"] == person.scope.domain
    assert list(pages(client, "/domains?limit=2")) == [everything[:2], everything[2:]]


def test_a_domain_is_found_by_its_key_and_by_its_id(client: Client) -> None:
    by_key = client.get(f"/domains/{client.token}")
    assert client.get(f"/domains/{by_key['id']}") == by_key
    assert list(by_key) == ["id", "object", "name", "created_at", "updated_at"]


def test_keys_and_ids_of_nobody_and_of_others_are_not_found(client: Client, quick: Chalice) -> None:
    stranger = settle(FrontDoor(quick))
    for ref in (stranger.token, stranger.scope.domain, "x" * 50, "dom_" + "0" * 22, "é", "a b", "%", "None"):
        for method in ("GET", "POST", "DELETE"):
            reply = client.ask(method, f"/domains/{quote(ref)}", {"name": "n"} if method == "POST" else None)
            assert absent(reply) == "there is no such domain"
            assert ref not in reply.text or ref in {"a b", "%", "é", "None"}


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_rename_domain(client: Client, method: str) -> None:
    before = client.get(f"/domains/{client.token}")
    name = f"renamed {secrets.token_hex(4)}"
    renamed = good(client.ask(method, f"/domains/{client.token}", {"name": name}), 200)
    assert (renamed["id"], renamed["name"]) == (before["id"], name)
    assert client.get(f"/domains/{client.token}") == renamed
    assert bad(client.ask(method, f"/domains/{client.token}", {"name": "a/b"})) == 'name: must not contain "/"'
    assert bad(client.ask(method, f"/domains/{client.token}", {})) == "name: is required"
    other = client.post("/domains", {"name": secrets.token_hex(6)}, 201)
    assert refused(client.ask(method, f"/domains/{client.token}", {"name": other["name"]}), 409, "CONFLICT")


def test_delete_domain(client: Client, world: World) -> None:
    """Groups, statistics and keys go with it, at once; what is left of them is asked to be removed."""
    client.update("g/s")
    found = client.get(f"/domains/{client.token}")
    world.drain("COUNTLESS_REMOVALS_QUEUE")
    assert client.delete(f"/domains/{client.token}") == found
    for path in ("/statistics", "/statistic-groups", "/domains", f"/domains/{client.token}", "/exports"):
        reply = client.ask("GET", path)
        assert refused(reply, 401, "UNAUTHORIZED") == "this domain key is not known, or not any more"
    bodies: dict[str, Any] = {
        "/statistics/g/s": {"value": 1},
        "/statistics/batch": [{"group": "g", "name": "s", "value": 1}],
        "/statistic-groups": {"name": "x"},
        "/domains": {"name": "x"},
        "/exports": {},
    }
    for path, body in bodies.items():
        refused(client.ask("POST", path, body), 401, "UNAUTHORIZED")
    client.person.front.get(PREFIX, client=address())
    removal = wiring.removals().find(replace(client.person.scope, domain=found["id"]), found["id"])
    assert removal is not None


def test_rule_6_managing_domains_needs_its_permission(person: Person) -> None:
    client = client_of(person, Permission.STATISTICS_READ | Permission.STATISTICS_WRITE)
    own = client.get(f"/domains/{client.token}")
    assert client.post(f"/domains/{own['id']}", {"name": secrets.token_hex(6)})["id"] == own["id"]
    for method, path in (("GET", "/domains"), ("POST", "/domains"), ("DELETE", f"/domains/{client.token}")):
        assert refused(client.ask(method, path, {}), 403, "FORBIDDEN") == "requires 'domains' permissions"
    for ref in (person.scope.domain, person.token):
        assert absent(client.ask("GET", f"/domains/{ref}")) == "there is no such domain"


# Groups


def test_create_and_retrieve_group(client: Client) -> None:
    made = client.post("/statistic-groups", {"name": " Automations "}, 201)
    assert list(made) == ["id", "object", "name", "statistics", "created_at", "updated_at"]
    assert (made["object"], made["name"], made["statistics"]) == ("statistic_group", "Automations", 0)
    assert client.get("/statistic-groups/Automations") == client.get(f"/statistic-groups/{made['id']}") == made
    assert client.get("/statistic-groups/%20Automations%20") == made
    message = refused(client.ask("POST", "/statistic-groups", {"name": "Automations"}), 409, "CONFLICT")
    assert "Automations" in message
    client.post("/statistic-groups", {"name": "automations"}, 201)  # names are compared exactly
    client.update("Automations/emails%20sent")
    assert client.get("/statistic-groups/Automations")["statistics"] == 1


def test_list_groups_in_pages(client: Client) -> None:
    made = [client.post("/statistic-groups", {"name": f"g{number}"}, 201) for number in range(5)]
    assert client.get("/statistic-groups") == made
    assert list(pages(client, "/statistic-groups?limit=2")) == [made[:2], made[2:4], made[4:]]
    assert client.get(f"/statistic-groups?after={made[2]['id']}") == made[3:]


def pages(client: Client, path: str) -> Iterator[Any]:
    """Every page, as the header leads to it, with all that was asked for first."""
    asked = parse_qs(urlsplit(path).query)
    while True:
        reply = client.ask("GET", path)
        yield good(reply, 200)
        if "link" not in reply.headers:
            return
        match = re.fullmatch(r'<(/v1/api/[^>]*)>; rel="next"', reply.headers["link"])
        assert match
        path = match[1]
        query = parse_qs(urlsplit(path).query)
        assert asked.items() <= without(query, "after").items()


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_rule_9_renaming_a_group_takes_its_statistics_along(client: Client, method: str) -> None:
    before = client.update("Old%20name/s")
    renamed = good(client.ask(method, "/statistic-groups/Old%20name", {"name": "New name"}), 200)
    assert (renamed["name"], renamed["statistics"]) == ("New name", 1)
    found = client.get("/statistics/New%20name/s")
    assert (found["id"], found["group"], found["value"]) == (before["id"], "New name", 1)
    absent(client.ask("GET", "/statistics/Old%20name/s"))
    client.post("/statistic-groups", {"name": "Third"}, 201)
    refused(client.ask(method, f"/statistic-groups/{renamed['id']}", {"name": "Third"}), 409, "CONFLICT")


def test_delete_group(client: Client) -> None:
    made = client.update("g/s")
    group = client.get("/statistic-groups/g")
    assert client.delete("/statistic-groups/g") == group
    assert client.get("/statistics") == client.get("/statistic-groups") == []
    assert absent(client.ask("GET", "/statistics/g/s")) == "there is no such group"
    assert absent(client.ask("GET", f"/statistics/{made['id']}")) == "there is no such statistic"
    assert absent(client.ask("DELETE", "/statistic-groups/g")) == "there is no such group"
    assert client.update("g/s")["value"] == 1  # anew


# Statistics


def test_create_statistic(client: Client) -> None:
    body = {"group": "Automations", "name": "emails sent", "value": 17, "reference_date": DAY}
    made = client.post("/statistics", body, 201)
    names = ["id", "object", "group", "name", "value", "reference_date", "created_at", "updated_at"]
    assert list(made) == names
    shown = (made["object"], made["group"], made["name"], made["value"], made["reference_date"])
    assert shown == ("statistic", "Automations", "emails sent", 17, DAY)
    message = refused(client.ask("POST", "/statistics", body), 409, "CONFLICT")
    assert message == f'statistic "emails sent" has a value for {DAY} already'
    again = client.post("/statistics", {**body, "value": 4, "reference_date": NEXT}, 201)
    assert (again["id"], again["value"], again["reference_date"]) == (made["id"], 4, NEXT)
    assert client.get("/statistics/Automations/emails%20sent")["values"] == [
        {"reference_date": DAY, "value": 17},
        {"reference_date": NEXT, "value": 4},
    ]


def test_retrieve_statistic(client: Client) -> None:
    """By names, by ids, by one of each, and by its id alone; with the newest day on top."""
    client.update("g/s", NEXT, "set", value=5)
    made = client.update("g/s", DAY, "set", value=4)
    group = client.get("/statistic-groups/g")["id"]
    found = client.get("/statistics/g/s")
    names = ["id", "object", "group", "name", "value", "reference_date", "values", "created_at", "updated_at"]
    assert list(found) == names
    assert (found["value"], found["reference_date"]) == (5, NEXT)
    assert [value["reference_date"] for value in found["values"]] == [DAY, NEXT]
    for path in (f"{group}/s", f"g/{made['id']}", f"{group}/{made['id']}", made["id"]):
        assert client.get(f"/statistics/{path}") == found


def test_list_statistics_of_the_domain_or_of_a_group_in_pages(client: Client) -> None:
    for path in ("g/a", "g/b", "h/c", "g/d"):
        client.update(path)
    every = client.get("/statistics")
    assert {found["name"] for found in every} == {"a", "b", "c", "d"}
    assert all("values" not in found and found["value"] == 1 for found in every)
    of_group = [found for found in every if found["group"] == "g"]
    assert client.get("/statistics?group=g") == of_group
    assert client.get(f"/statistics?group={client.get('/statistic-groups/g')['id']}") == of_group
    assert list(pages(client, "/statistics?limit=2&group=g")) == [of_group[:2], of_group[2:]]
    assert list(pages(client, "/statistics?limit=3")) == [every[:3], every[3:]]
    assert absent(client.ask("GET", "/statistics?group=x")) == "there is no such group"


def test_many_deleted_groups_do_not_hold_up_a_list(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many wait to be removed: pages are whole, and take no query for each."""
    names = [f"g{number:02}" for number in range(70)]
    client.post("/statistics/batch", [{"group": name, "name": "s", "value": 1} for name in names for _ in "12"])
    made = client.get("/statistics?limit=1000")
    kept = made[::23]
    for found in made:
        if found not in kept:
            client.delete(f"/statistic-groups/{found['group']}")
    original, sent = BaseClient._make_api_call, list[str]()  # type: ignore[attr-defined]

    def listening(self: BaseClient, operation: str, arguments: dict[str, Any]) -> Any:
        sent.append(operation)
        return original(self, operation, arguments)

    monkeypatch.setattr(BaseClient, "_make_api_call", listening)
    assert client.get("/statistics") == kept
    assert sent.count("Query") == 1
    pages, after = list[Any](), ""
    while True:
        reply = client.ask("GET", f"/statistics?limit=1{after}")
        pages += good(reply, 200)
        if "link" not in reply.headers:
            break
        after = f"&after={pages[-1]['id']}"
    assert pages == kept
    assert sent.count("Query") <= 1 + 3 * len(kept)


def test_an_id_is_its_own_whatever_others_are_called(client: Client) -> None:
    """A group that is called as the id of another one keeps nobody from that one's statistics."""
    made = client.update("g/s")
    group = client.get("/statistic-groups/g")["id"]
    client.post("/statistic-groups", {"name": group}, 201)
    assert client.get(f"/statistics/{made['id']}")["value"] == 1
    assert client.update(made["id"])["value"] == 2
    assert client.delete("/statistics/g/s?purge=true")["value"] == 2


@pytest.mark.parametrize(
    ("path", "query"),
    [
        *itertools.product(
            ["/statistics", "/statistic-groups", "/domains", "/exports"],
            ["limit=0", "limit=1001", "limit=", "limit=ten", "after=x", "after=", "after=sta"],
        ),
        ("/statistics", "group="),
        ("/statistics", "after=grp_0"),
        ("/statistic-groups", "after=sta_0"),
        ("/domains", "after=exp_0"),
        ("/exports", "after=dom_0"),
    ],
)
def test_rule_7_what_a_list_cannot_read_is_refused_by_name(client: Client, path: str, query: str) -> None:
    assert bad(client.ask("GET", f"{path}?{query}")).startswith(f"{query.partition('=')[0]}: ")


def test_the_last_of_repeated_parameters_counts(client: Client) -> None:
    client.update("g/s")
    client.update("g/t")
    assert len(client.get("/statistics?limit=x&limit=1")) == 1


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/statistics?groop=g"),
        ("GET", "/statistic-groups?group=g"),
        ("GET", "/statistics/g/s?form=2026-01-01"),
        ("DELETE", "/statistics/g/s?refrence_date=2026-01-01&purge=True"),
        ("GET", "/exports?x=1"),
        ("GET", "/domains?x=1"),
    ],
)
def test_a_misspelt_parameter_is_refused_by_name(client: Client, method: str, path: str) -> None:
    client.update("g/s")
    assert "is no parameter of this call" in bad(client.ask(method, path))
    assert len(client.get("/statistics")) == 1


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/statistics/g/s", {"method": "increment", "refrence_date": "2026-01-01"}, "refrence_date"),
        ("/statistics", {"group": "g", "name": "s", "value": 1, "date": "2026-01-01"}, "date"),
        ("/statistic-groups", {"name": "g", "title": "G"}, "title"),
        ("/exports", {"grp": "g"}, "grp"),
        ("/statistics/batch", {"updates": [], "once": True}, "once"),
    ],
)
def test_a_misspelt_field_is_refused_by_name_and_counts_nothing(
    client: Client, path: str, body: dict[str, Any], field: str
) -> None:
    """A date with a typing error must not count for today."""
    assert bad(client.ask("POST", path, body)).startswith(f"{field}: is no field of this call")
    assert client.get("/statistics") == client.get("/exports") == []


def test_an_object_may_be_sent_back_with_what_it_was_answered_with(client: Client) -> None:
    made = client.post("/statistic-groups", {"name": "g"}, 201)
    assert client.post(f"/statistic-groups/{made['id']}", {**made, "name": "h"})["name"] == "h"
    dated = client.update("h/s", value=1)
    assert client.post(f"/statistics/{dated['id']}", {**dated, "value": 7})["value"] == 7


def test_rule_1_every_method_does_what_it_says(client: Client) -> None:
    steps = [("increment", 1), ("add", 11), ("subtract", 1), ("decrement", 0), ("set", 10)]
    for method, expected in steps:
        assert client.update("g/s", method=method, value=10)["value"] == expected
    assert client.post("/statistics/g/s", {"value": 3, "reference_date": DAY})["value"] == 3  # no method: set
    for method in ("increment", "decrement"):
        client.update(f"g/{method}", method=method, value="whatever")
    assert client.get("/statistics/g/decrement")["value"] == -1
    assert bad(client.ask("POST", "/statistics/g/s", {"method": "add"})) == "value: is required"
    known = "method: must be one of set, increment, decrement, add, subtract"
    assert bad(client.ask("POST", "/statistics/g/s", {"method": "create", "value": 1})) == known


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_updates_by_post_and_put_and_by_id(client: Client, method: str) -> None:
    made = client.update("g/s")
    group = client.get("/statistic-groups/g")["id"]
    for number, path in enumerate(("g/s", f"{group}/{made['id']}", made["id"], f"{made['id']}/"), 2):
        body = {"method": "increment", "reference_date": DAY}
        assert good(client.ask(method, f"/statistics/{path}", body), 200)["value"] == number
    nobody = f"sta_{'0' * 32}"
    for path in (nobody, f"g/{nobody}", f"grp_{'0' * 16}/s"):
        absent(client.ask(method, f"/statistics/{path}", {"value": 1}))


def test_what_the_body_names_is_what_the_path_names(client: Client) -> None:
    made = client.update("g/s")
    group = client.get("/statistic-groups/g")["id"]
    client.update("other/s")
    other = client.get("/statistic-groups/other")["id"]
    for path in ("g/s", f"{group}/s", f"g/{made['id']}", made["id"]):
        for fields in ({"group": "g", "name": "s"}, {"group": group}, {"name": made["id"]}, {"group": None}):
            assert client.update(path, **fields)["id"] == made["id"]
        for field, values in (("group", ("other", other, "x")), ("name", ("t", f"sta_{'0' * 32}"))):
            for value in values:
                reply = client.ask("POST", f"/statistics/{path}", {"value": 1, field: value})
                assert bad(reply) == f"{field}: is not what the path names"
    assert bad(client.ask("POST", "/statistics/g/s", {"value": 1, "group": 5})) == "group: must be a string"


def test_delete_a_day(client: Client) -> None:
    client.update("g/s", DAY, "set", value=4)
    client.update("g/s", NEXT, "set", value=5)
    deleted = client.delete(f"/statistics/g/s?reference_date={NEXT}")
    assert (deleted["value"], deleted["reference_date"]) == (5, NEXT)
    assert client.get("/statistics/g/s")["value"] == 4
    assert absent(client.ask("DELETE", f"/statistics/g/s?reference_date={NEXT}")) == "there is no such value"
    last = client.delete(f"/statistics/{deleted['id']}?reference_date={DAY}&purge=False")
    assert last["value"] == 4
    empty = client.get("/statistics/g/s")
    assert (empty["value"], empty["reference_date"], empty["values"]) == (None, None, [])
    assert client.get("/statistics")[0]["value"] is None


def test_a_purge_shows_every_value_of_however_many_months(client: Client) -> None:
    days = [f"{year}-{month:02}-0{day}" for year in range(2020, 2026) for month in range(1, 13) for day in (1, 2)]
    updates = [{"group": "g", "name": "s", "value": n, "reference_date": day} for n, day in enumerate(days)]
    client.post("/statistics/batch", updates)
    shown = client.delete("/statistics/g/s?purge=true")
    assert shown["values"] == [{"reference_date": day, "value": n} for n, day in enumerate(days)]
    assert (shown["reference_date"], shown["value"]) == (days[-1], len(days) - 1)
    assert client.update("g/s", day=days[0])["value"] == 1


@pytest.mark.parametrize("purge", ["True", "true", "1"])
def test_purge(client: Client, purge: str) -> None:
    made = client.update("g/s", DAY, "set", value=4)
    purged = client.delete(f"/statistics/g/s?purge={purge}")
    assert (purged["id"], purged["value"]) == (made["id"], 4)
    assert absent(client.ask("GET", "/statistics/g/s")) == "there is no such statistic"
    assert client.get("/statistic-groups/g")["statistics"] == 0
    assert absent(client.ask("DELETE", f"/statistics/{made['id']}?purge={purge}")) == "there is no such statistic"


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("", "reference_date"),
        ("purge=False", "reference_date"),
        ("purge=yes", "purge"),
        (f"purge=True&reference_date={DAY}", "purge"),
        ("reference_date=", "reference_date"),
        ("reference_date=2026-02-30", "reference_date"),
        ("purge=false&reference_date=today", "reference_date"),
    ],
)
def test_a_delete_that_does_not_say_what_deletes_nothing(client: Client, query: str, field: str) -> None:
    client.update("g/s")
    assert bad(client.ask("DELETE", f"/statistics/g/s?{query}")).startswith(f"{field}: ")
    assert client.get("/statistics/g/s")["value"] == 1


# Numbers, days and names (rules 3 to 5)


@pytest.mark.parametrize(
    "number",
    [
        *("0", "9223372036854775807", "-9223372036854775808", "9999999999999999999", "-9999999999999999999"),
        *("0.1", "0.000000000000000001", "1234567890123456789.123456789012345678"),
    ],
)
def test_rule_3_numbers_come_back_exactly(client: Client, number: str) -> None:
    body = f'{{"value": {number}, "reference_date": "{DAY}"}}'.encode()
    reply = client.ask("POST", "/statistics/g/s", body)
    assert f'"value":{number},' in reply.text
    assert f'"value":{number},' in client.ask("GET", "/statistics/g/s").text


def test_rule_3_a_tenth_added_ten_times_is_one(client: Client) -> None:
    for _ in range(10):
        client.ask("POST", "/statistics/g/s", f'{{"method": "add", "value": 0.1, "reference_date": "{DAY}"}}'.encode())
    assert '"value":1,' in client.ask("GET", "/statistics/g/s").text


@pytest.mark.parametrize("headers", [{}, {"idempotency_key": "k"}])
def test_rule_3_more_decimals_than_are_kept_are_rounded_at_every_door(client: Client, headers: dict[str, str]) -> None:
    third = repr(1 / 300)  # 0.0033333333333333335
    for path, method, expected in (
        ("/statistics", '"group": "g", "name": "s"', "0.003333333333333334"),
        ("/statistics/g/s", '"method": "set"', "0.003333333333333334"),
        ("/statistics/g/s", '"method": "add"', "0.006666666666666668"),
        ("/statistics/g/s", '"method": "subtract"', "0.003333333333333334"),
        ("/statistics/g/s", '"method": "increment"', "1.003333333333333334"),
    ):
        once = {name: f"{value}{method}" for name, value in headers.items()}
        body = f'{{{method}, "value": {third}, "reference_date": "{DAY}"}}'
        reply = client.ask("POST", path, body.encode(), **once)
        assert f'"value":{expected},' in reply.text
    entry = f'{{"group": "g", "name": "s", "method": "add", "value": {third}, "reference_date": "{DAY}"}}'
    reply = client.ask("POST", "/statistics/batch", f'{{"updates": [{entry}, {entry}]}}'.encode(), **headers)
    assert '"value":1.010000000000000002,' in reply.text
    assert client.get("/statistics/g/s")["value"] == Decimal("1.010000000000000002")


@pytest.mark.usefixtures("stopped")
@pytest.mark.parametrize("headers", [{}, {"idempotency_key": "k"}])
def test_setting_what_is_there_already_and_adding_nothing_answer_it(client: Client, headers: dict[str, str]) -> None:
    """As often as one likes within a second, by each method, for each sign and way to write a number."""
    steps = [
        ("set", "-5"),
        ("set", "-5"),
        ("set", "-5.0"),
        ("add", "0"),
        ("subtract", "0.0"),
        ("add", "-0"),
        ("set", "0"),
    ]
    value = Decimal(0)
    for number, (method, digits) in enumerate(steps):
        once = {name: f"{key}{number}" for name, key in headers.items()}
        body = f'{{"method": "{method}", "value": {digits}, "reference_date": "{DAY}"}}'.encode()
        value = Decimal(digits) if method == "set" else value
        assert good(client.ask("POST", "/statistics/g/s", body, **once), 200)["value"] == value
    entries = [{"group": "g", "name": "s", "method": "set", "value": 0, "reference_date": DAY}] * 2
    results = client.post("/statistics/batch", {"updates": entries})["results"]
    assert [result["statistic"]["value"] for result in results] == [0, 0]
    assert client.delete(f"/statistics/g/s?reference_date={DAY}")["value"] == 0


def test_rule_3_a_sum_that_would_leave_the_range_changes_nothing(client: Client) -> None:
    client.update("g/s", method="set", value=9999999999999999999)
    for headers in ({}, {"idempotency_key": "k"}):
        body = {"method": "increment", "reference_date": DAY}
        assert bad(client.ask("POST", "/statistics/g/s", body, **headers)).startswith("value: ")
    assert client.get("/statistics/g/s")["value"] == 9999999999999999999


@pytest.mark.parametrize("number", ["1e300", "NaN", "Infinity", '"1"', "true", "null", "10000000000000000000"])
def test_rule_3_everything_else_is_refused_by_name(client: Client, number: str) -> None:
    for path, more in (("/statistics/g/s", ""), ("/statistics", '"group": "g", "name": "s", ')):
        assert bad(client.ask("POST", path, f'{{{more}"value": {number}}}'.encode())).startswith("value: ")
    assert client.get("/statistic-groups") == []


def test_rule_4_a_missing_day_is_today_in_utc(client: Client, stopped: list[float]) -> None:
    stopped[0] = 1795305599.5  # 2026-11-21T23:59:59.5Z
    assert client.post("/statistics/g/s", {"method": "increment"})["reference_date"] == "2026-11-21"
    stopped[0] += 1
    for body in ({"method": "increment"}, {"method": "increment", "reference_date": None}):
        assert client.post("/statistics/g/s", body)["reference_date"] == "2026-11-22"
    made = client.post("/statistics", {"group": "g", "name": "t", "value": 1}, 201)
    assert made["reference_date"] == "2026-11-22"


def test_rule_4_days_may_be_past_or_future_but_must_exist(client: Client) -> None:
    for day in ("0001-01-01", "9999-12-31", "2024-02-29"):
        assert client.update("g/s", day)["reference_date"] == day
    for wrong in ("2026-02-30", "2025-02-29", "0000-01-01", "2026-1-1", "20261120", "2026-11-20T00:00:00Z", 5, ""):
        reply = client.ask("POST", "/statistics/g/s", {"method": "increment", "reference_date": wrong})
        assert bad(reply).startswith("reference_date: ")


BAD_NAMES = {
    "": "must not be empty",
    "   ": "must not be empty",
    "a/b": 'must not contain "/"',
    "x" * 201: "must have at most 200 characters",
    "a\x00b": "must not contain control characters",
    "a\nb": "must not contain control characters",
    "\ud800": "must not contain control characters",
}


@pytest.mark.parametrize("name", BAD_NAMES)
def test_rule_5_names_keep_the_rules_wherever_they_are_made(client: Client, name: str) -> None:
    client.update("g/s")
    value = {"value": 1}
    for path, field, body in (
        ("/statistic-groups", "name", {"name": name}),
        ("/statistic-groups/g", "name", {"name": name}),
        ("/domains", "name", {"name": name}),
        (f"/domains/{client.token}", "name", {"name": name}),
        ("/statistics", "group", {**value, "group": name, "name": "s"}),
        ("/statistics", "name", {**value, "group": "g", "name": name}),
        ("/exports", "group", {"group": name}),
    ):
        assert bad(client.ask("POST", path, body)) == f"{field}: {BAD_NAMES[name]}"
    [entry] = client.post("/statistics/batch", [{**value, "group": "g", "name": name}])["results"]
    assert entry == {"error": {"code": "BAD_REQUEST", "message": f"name: {BAD_NAMES[name]}"}}


@pytest.mark.parametrize("name", ["", 5, None, True, [], {}])
def test_rule_5_names_are_texts(client: Client, name: object) -> None:
    assert bad(client.ask("POST", "/statistic-groups", {"name": name})).startswith("name: ")


@pytest.mark.parametrize("path", ["statistics/a/b/c", "statistics/a/b/c/d/", "statistic-groups/a/b", "statistics//s"])
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_a_name_with_a_slash_leads_nowhere_and_is_told_why(client: Client, method: str, path: str) -> None:
    message = absent(client.ask(method, f"/{path}", {"value": 1} if method == "POST" else None))
    assert message == 'there is no such path: names of groups and statistics may not contain "/"'


def test_a_slash_that_is_hidden_in_a_path_is_a_bad_name(client: Client) -> None:
    assert bad(client.ask("POST", "/statistics/a%2Fb/s", {"value": 1})) == 'group: must not contain "/"'
    assert bad(client.ask("POST", "/statistics/g/a%2Fb", {"value": 1})) == 'name: must not contain "/"'
    absent(client.ask("GET", "/statistics/g/a%2Fb"))


NAMES = [
    *("100%", "%41", "%2541", "a?b", "a#b", "a&b=c", "a+b", ".", "..", "...", "a.b", "a;b", "a:b", "~", "batch"),
    *("ä ö ü", "統計", "🏠", "a\u0301", "null", "None", "sta_x", "grp_0000000000000000", '"quoted"', "<b>", "\\", "'"),
]


@pytest.mark.parametrize("name", NAMES)
def test_names_of_every_kind_work_as_the_client_quotes_them(client: Client, name: str) -> None:
    round_trip(client, name, f"{name} {name}")


def round_trip(client: Client, group: str, name: str) -> None:
    """Made, found, listed, renamed, counted and deleted, as the published client writes its paths."""
    group, name = group.strip(), name.strip()
    path = f"{quote(group)}/{quote(name)}"  # leaves "/" alone, as the client does
    if not group.startswith("grp_0"):
        made = client.update(path, group=group, name=name)
    else:  # what could be an id is none's unless it was made as a name
        client.post("/statistics", {"group": "x", "name": name, "value": 1, "reference_date": DAY}, 201)
        client.post("/statistic-groups/x", {"name": group})
        made = client.get(f"/statistics/{path}")
    assert (made["group"], made["name"], made["value"]) == (group, name, 1)
    assert without(client.get(f"/statistics/{path}"), "values") == without(made, "values")
    assert client.get(f"/statistic-groups/{quote(group)}")["name"] == group
    assert [found["id"] for found in client.get("/statistics?" + urlencode({"group": group}))] == [made["id"]]
    assert client.update(path, method="add", value=2)["value"] == 3
    assert client.delete(f"/statistics/{path}?{urlencode({'reference_date': DAY})}")["value"] == 3
    assert client.delete(f"/statistics/{path}?purge=True")["id"] == made["id"]
    assert client.delete(f"/statistic-groups/{quote(group)}")["name"] == group
    assert client.get("/statistics") == client.get("/statistic-groups") == []


_letters = st.characters(exclude_categories=["Cc", "Cs"], exclude_characters="/")
_names = st.one_of(
    st.text(_letters, min_size=1, max_size=8), st.text("%?#. +&=;:é統🏠", min_size=1, max_size=6)
).filter(lambda name: bool(name.strip()) and name.strip() == name)


@pytest.fixture(scope="module")
def lasting(quick: Chalice) -> Client:
    return client_of(settle(FrontDoor(quick)))


@effort(max_examples=40, deadline=None)
@given(group=_names, name=_names)
def test_any_name_that_keeps_the_rules_works(lasting: Client, group: str, name: str) -> None:
    round_trip(lasting, group, name)


# Ranges and plots


def test_values_of_a_range(client: Client) -> None:
    days = ("2025-12-31", "2026-01-01", "2026-01-31", "2026-02-01")
    for number, day in enumerate(days, 1):
        client.update("g/s", day, "set", value=number)

    def asked(query: str) -> list[str]:
        return [value["reference_date"] for value in client.get(f"/statistics/g/s?{query}")["values"]]

    assert asked("") == list(days)
    assert asked("from=2026-01-01&to=2026-01-31") == list(days[1:3])
    assert asked("from=2026-01-02") == list(days[2:])
    assert asked("to=2026-01-01") == list(days[:2])
    assert asked("from=2030-01-01") == []
    assert client.get("/statistics/g/s?to=2026-01-01")["reference_date"] == days[-1]  # the newest, whatever is asked


def test_the_newest_366_days_unless_others_are_asked_for(client: Client) -> None:
    """One more than that many, over three years."""
    updates = [
        {"group": "g", "name": "s", "value": 1, "reference_date": f"{y}-{m:02}-{d:02}"}
        for y in (2024, 2025)
        for m in range(1, 13)
        for d in range(1, 17)
    ][:367]
    assert all("statistic" in one for one in client.post("/statistics/batch", {"updates": updates})["results"])
    values = client.get("/statistics/g/s")["values"]
    assert [value["reference_date"] for value in values] == [update["reference_date"] for update in updates[1:]]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        *(("from=2026-02-30", "from"), ("to=x", "to"), ("from=", "from"), ("interval=year", "interval")),
        *(("from=2026-01-02&to=2026-01-01", "to"), ("from=1900-01-01&to=2026-01-01", "to")),
    ],
)
def test_ranges_that_cannot_be_are_refused_by_name(client: Client, query: str, field: str) -> None:
    client.update("g/s")
    assert bad(client.ask("GET", f"/statistics/g/s?{query}")).startswith(f"{field}: ")


def test_plots_by_day_week_and_month(client: Client) -> None:
    for day, value in (("2026-11-01", 1), ("2026-11-02", 2.5), ("2026-11-08", 3), ("2026-11-30", 4)):
        client.update("g/s", day, "set", value=value)
    found = client.get("/statistics/g/s?interval=week")
    assert "values" not in found
    assert [list(bucket) for bucket in found["intervals"]] == [["from", "to", "sum", "min", "max", "mean", "count"]] * 3
    second = found["intervals"][1]
    assert (second["from"], second["to"], second["count"]) == ("2026-11-02", "2026-11-08", 2)
    assert (second["sum"], second["min"], second["max"]) == (Decimal("5.5"), Decimal("2.5"), 3)
    assert second["mean"] == Decimal("2.75")
    [month] = client.get("/statistics/g/s?interval=month")["intervals"]
    assert (month["from"], month["to"], month["sum"]) == ("2026-11-01", "2026-11-30", Decimal("10.5"))
    [day] = client.get("/statistics/g/s?interval=day&from=2026-11-02&to=2026-11-07")["intervals"]
    assert (day["from"], day["to"], day["mean"]) == ("2026-11-02", "2026-11-02", Decimal("2.5"))


def test_a_plot_of_the_newest_values_tells_its_first_interval_whole(client: Client) -> None:
    """366 days end in the midst of a month, of which all counts."""
    days = [(date(2026, 11, 20) - timedelta(back)).isoformat() for back in range(400)]
    updates = [{"group": "g", "name": "s", "value": 1, "reference_date": day} for day in days]
    client.post("/statistics/batch", {"updates": updates})
    assert client.get("/statistics/g/s")["values"][0]["reference_date"] == "2025-11-20"
    first, second, *_ = client.get("/statistics/g/s?interval=month")["intervals"]
    assert (first["from"], first["sum"], first["count"]) == ("2025-11-01", 30, 30)
    assert (second["from"], second["sum"]) == ("2025-12-01", 31)
    assert client.get("/statistics/g/s?interval=week")["intervals"][0]["sum"] == 7


def test_plots_of_the_longest_range_are_answers_that_a_function_may_give(person: Person) -> None:
    """6 MB, in which every quotation mark counts twice: whatever the values are."""
    client, dynamo = client_of(person), clients.dynamodb()
    key = wiring.accounts().key(client.token)
    made = client.update("g/s", "2000-01-01")
    days = {f"d{day:02}": {"N": "-9999999999999999999.999999999999999999"} for day in range(1, 32)}
    for year in range(1950, 2001):
        for month in range(1, 13):
            there = {f"d{day:02}": days[f"d{day:02}"] for day in range(1, monthrange(year, month)[1] + 1)}
            place = {"pk": f"{key.account}/{key.domain}/values", "sk": f"{made['id']}#{year}-{month:02}"}
            item = {"u": {"N": "1"}, **{name: {"S": value} for name, value in place.items()}, **there}
            dynamo.put_item(TableName=wiring.settings().statistics_table, Item=item)
    for query, most in (("interval=day&from=1950-01-01", 18_300), ("from=1950-01-01", 18_628)):
        reply = client.ask("GET", f"/statistics/g/s?{query}")
        [found] = [reply.json()[name] for name in ("intervals", "values") if name in reply.json()]
        assert len(found) == most
        assert len(json.dumps(reply.text)) < 5_500_000
    assert bad(client.ask("GET", "/statistics/g/s?interval=day&from=1950-01-01&to=2001-01-01")).startswith("to: ")


# Once (rule 2)


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_rule_2_a_repeated_update_counts_once_and_is_answered_as_the_first(client: Client, method: str) -> None:
    body = {"method": "increment", "reference_date": DAY}
    first = client.ask(method, "/statistics/g/s", body, idempotency_key="a b!")
    client.update("g/s")
    again = client.ask(method, "/statistics/g/s", body, idempotency_key="a b!")
    assert (again.status, again.body) == (first.status, first.body)
    assert client.get("/statistics/g/s")["value"] == 2
    other = {"method": "decrement", "reference_date": DAY}
    assert bad(client.ask(method, "/statistics/g/s", other, idempotency_key="a b!")).startswith("Idempotency-Key: ")
    assert bad(client.ask(method, "/statistics/g/t", body, idempotency_key="a b!")).startswith("Idempotency-Key: ")
    assert good(client.ask(method, "/statistics/g/s", body, idempotency_key="c"), 200)["value"] == 3


def test_rule_2_creating_and_batches_count_once_too(client: Client) -> None:
    body = {"group": "g", "name": "s", "value": 1, "reference_date": DAY}
    first = client.ask("POST", "/statistics", body, idempotency_key="k")
    assert (first.status, client.ask("POST", "/statistics", body, idempotency_key="k").body) == (201, first.body)
    several = [{**body, "method": "increment"}, {"group": "g"}, {**body, "name": "t", "method": "add"}]
    replies = [client.ask("POST", "/statistics/batch", several, idempotency_key="b") for _ in range(3)]
    assert {reply.body for reply in replies} == {replies[0].body}
    assert [found["value"] for found in client.get("/statistics")] == [2, 1]


def test_rule_2_names_as_long_as_they_may_be_are_no_hindrance(client: Client) -> None:
    """What a batch came to is kept, but no more than an item of 400 KB can hold."""
    chance = random.Random(5)

    def name() -> str:
        return "".join(chr(chance.randrange(0x20000, 0x2A6D0)) for _ in range(200))

    places = [{"group": name(), "name": name()} for _ in range(80)]
    updates = [{**place, "method": "increment", "reference_date": DAY} for _ in range(6) for place in places]
    first = client.ask("POST", "/statistics/batch", updates, idempotency_key="k")
    values = [one["statistic"]["value"] for one in good(first, 200)["results"]]
    assert values == [times for times in range(1, 7) for _ in places]
    assert client.ask("POST", "/statistics/batch", updates, idempotency_key="k").body == first.body
    shown = good(first, 200)["results"][-1]["statistic"]
    assert (shown["group"], shown["name"]) == tuple(places[-1].values())


def test_rule_2_a_key_of_another_batch_is_refused_before_anything_counts(client: Client) -> None:
    """Even if that one's first transaction had nothing to write, and so left nothing behind."""
    client.update("g/full", method="set", value=9999999999999999999)
    full = [{"group": "g", "name": "full", "method": "increment", "reference_date": DAY}] * 10
    nobody = [{"group": f"grp_{number:016}", "name": "x", "value": 1, "reference_date": DAY} for number in range(89)]
    last = {"group": "g", "name": "s", "method": "increment", "reference_date": DAY}
    results = client.post("/statistics/batch", [*full, *nobody, last], idempotency_key="k")["results"]
    assert [next(iter(one)) for one in results] == ["error"] * 99 + ["statistic"]
    other = [{**last, "name": f"t{number}"} for number in range(91)]
    assert bad(client.ask("POST", "/statistics/batch", other, idempotency_key="k")).startswith("Idempotency-Key: ")
    assert [found["name"] for found in client.get("/statistics")] == ["full", "s"]


def test_rule_2_what_could_not_be_written_is_not_overtaken_when_it_is_sent_again(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch is written in several transactions. If one fails, those after it wait for the next try."""
    fill = [{"group": "g", "name": f"s{number}", "value": 1, "reference_date": DAY} for number in range(90)]
    updates = [*fill, {**fill[0], "name": "t"}, {**fill[0], "value": 2}]
    assert all("statistic" in one for one in client.post("/statistics/batch", updates)["results"])
    original = BaseClient._make_api_call  # type: ignore[attr-defined]

    def refusing(self: BaseClient, operation: str, arguments: dict[str, Any]) -> Any:
        if len(arguments.get("TransactItems", ())) > 50:
            raise ConnectTimeoutError(endpoint_url="https://dynamodb")
        return original(self, operation, arguments)

    with monkeypatch.context() as patch:
        patch.setattr(BaseClient, "_make_api_call", refusing)
        patch.setattr(calls, "pause", lambda _: None)
        results = client.post("/statistics/batch", updates, idempotency_key="k")["results"]
    assert all("error" in one for one in results)
    results = client.post("/statistics/batch", updates, idempotency_key="k")["results"]
    assert [one["statistic"]["value"] for one in results[-2:]] == [1, 2]
    assert client.get("/statistics/g/s0")["value"] == 2


def test_rule_2_an_idempotency_key_is_its_owners(person: Person) -> None:
    body = {"method": "increment", "reference_date": DAY}
    for client in (client_of(person), client_of(person)):
        assert client.post("/statistics/g/s", body, idempotency_key="the same")["value"] == 1


@pytest.mark.parametrize("header", ["", "x" * 256, "a\tb", "é"])
def test_an_idempotency_key_that_is_none_is_refused_where_it_matters(client: Client, header: str) -> None:
    for path, body in (("/statistics/g/s", {"value": 1}), ("/statistics/batch", [{"group": "g", "name": "s"}])):
        reply = client.ask("POST", path, body, idempotency_key=header)
        if path.endswith("batch") and reply.status == 200:  # nothing to be counted once
            assert "error" in reply.json()["results"][0]
        else:
            assert bad(reply).startswith("Idempotency-Key: ")
    client.post("/statistic-groups", {"name": "g"}, 201, idempotency_key=header)
    assert client.get("/statistics") == []


# Batches (rule 12)


def test_rule_12_a_batch_answers_each_in_order(client: Client) -> None:
    client.update("g/full", method="set", value=9999999999999999999)
    updates = [
        {"group": "g", "name": "a", "value": 1, "reference_date": DAY},
        {"group": "g", "name": "a", "method": "add", "value": 2, "reference_date": DAY},
        {"group": "g", "name": "b", "method": "oops", "reference_date": DAY},
        "nothing",
        {"group": "g", "name": "full", "method": "increment", "reference_date": DAY},
        {"group": f"grp_{'0' * 16}", "name": "x", "value": 1},
        {"group": "h", "name": "c", "method": "decrement"},
    ]
    for body in (updates, {"updates": updates}):
        results = client.post("/statistics/batch", body)["results"]
        kinds = [next(iter(one)) for one in results]
        assert kinds == ["statistic", "statistic", "error", "error", "error", "error", "statistic"]
        assert [one["statistic"]["value"] for one in results[:2]] == [1, 3]
        codes = [one["error"]["code"] for one in results if "error" in one]
        assert codes == ["BAD_REQUEST", "BAD_REQUEST", "BAD_REQUEST", "NOT_FOUND"]
        assert all("values" not in one.get("statistic", {}) for one in results)
    assert client.get("/statistics/g/a")["value"] == 3
    assert client.get("/statistics/h/c")["value"] == -2


def test_rule_12_at_most_500_updates(client: Client) -> None:
    entry = {"group": "g", "name": "s", "method": "increment", "reference_date": DAY}
    assert len(client.post("/statistics/batch", [entry] * 500)["results"]) == 500
    assert client.get("/statistics/g/s")["value"] == 500
    message = refused(client.ask("POST", "/statistics/batch", [entry] * 501), 413, "PAYLOAD_TOO_LARGE")
    assert message == "updates: must be at most 500 in one request"
    assert client.get("/statistics/g/s")["value"] == 500
    assert client.post("/statistics/batch", []) == {"results": []}
    assert bad(client.ask("POST", "/statistics/batch", {})) == "updates: is required"


def test_a_group_named_batch_is_a_group(client: Client) -> None:
    client.update("batch/x")
    client.update("batch/batch")
    assert client.get("/statistics/batch/x")["value"] == client.get("/statistics/batch/batch")["value"] == 1
    assert client.get("/statistic-groups/batch")["statistics"] == 2
    for method in ("GET", "PUT", "DELETE"):
        absent(client.ask(method, "/statistics/batch", {"value": 1} if method == "PUT" else None))


# Transport


@pytest.mark.parametrize("path", ["", "/nope", "/domains/x/y", "/exports/x/y", "/exports/x/download/y", "/statistic"])
def test_unknown_paths_and_methods_have_the_same_shape(client: Client, path: str) -> None:
    if path:
        assert absent(client.ask("GET", path)) == "there is no such path"
    for method in ("PATCH", "OPTIONS"):
        reply = client.ask(method, path)
        refused(reply, *((405, "METHOD_NOT_ALLOWED") if not path else (404, "NOT_FOUND")))
    refused(client.ask("PUT", "/statistics", {}), 405, "METHOD_NOT_ALLOWED")
    refused(client.ask("DELETE", "/domains"), 405, "METHOD_NOT_ALLOWED")


def test_there_is_one_spelling_of_paths(client: Client) -> None:
    assert client.person.ask("GET", "/v1/api/statistics").status == 404  # /s/CODE is for sites


@pytest.mark.parametrize(
    "how", ["", "text/plain", "application/json; charset=latin1", "application/x-www-form-urlencoded"]
)
def test_a_body_is_json_whatever_its_type(client: Client, how: str) -> None:
    assert client.post("/statistics/g/s", {"method": "increment"}, content_type=how)["value"] == 1


def test_a_body_above_what_lambda_takes_is_too_large(client: Client) -> None:
    refused(client.ask("POST", "/statistics/g/s", b" " * 4_500_001), 413, "PAYLOAD_TOO_LARGE")


def test_rule_10_a_client_without_its_key_is_told_what_to_do(client: Client) -> None:
    for method, path in (("GET", "/statistics"), ("DELETE", "/domains"), ("GET", "/nope"), ("POST", "/domains")):
        message = refused(client.ask(method, path, authorization="Bearer None"), 401, "UNAUTHORIZED")
        assert "set_domain_key(" in message
        assert "ossit.domain_key" in message
    assert client.ask("GET", "", authorization="Bearer None").status == 200


def test_requests_are_limited_by_key_wherever_they_come_from(person: Person, stopped: list[float]) -> None:
    """So many in an hour, said on every answer; past them 429 with the wait in it."""
    assert (PLANS["statistics"].requests, PLANS["statistics"].seconds) == (1000, 3600)
    client = client_of(person)
    client.token = person.key(ALL, limits="statistics:3/3600")
    for remaining, path in ((2, "/statistics"), (1, "/nope"), (0, "/statistics/x/y")):
        reply = client.ask("GET", path)
        headers = [reply.headers[f"x-rate-limit-{name}"] for name in ("limit", "remaining", "reset")]
        assert headers == ["3", str(remaining), "3600"]
    stopped[0] += 0.5
    reply = client.ask("GET", "/statistics")
    assert refused(reply, 429, "TOO_MANY_REQUESTS") == "3 requests are used up; try again in 3600 seconds"
    assert (reply.headers["retry-after"], reply.headers["x-rate-limit-remaining"]) == ("3600", "0")
    stopped[0] += 3600
    assert client.ask("GET", "/statistics").status == 200


def test_everything_else_has_the_headers_of_the_limit_too(person: Person) -> None:
    for headers in ({}, {"authorization": "Bearer None"}, {"authorization": "Bearer " + "x" * 50}):
        reply = person.front.get(f"{PREFIX}/statistics", headers=headers, client=address())
        assert (reply.status, reply.headers["x-rate-limit-limit"]) == (401, "1000")


# Errors of ours


def _failing(error: Exception, *operations: str) -> Any:
    original = BaseClient._make_api_call  # type: ignore[attr-defined]

    def call(self: BaseClient, operation: str, arguments: dict[str, Any]) -> Any:
        if operation in operations:
            raise error
        return original(self, operation, arguments)

    return call


def test_a_database_that_cannot_answer_is_503(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    client.update("g/s")
    unreachable = ConnectTimeoutError(endpoint_url="https://dynamodb")
    with monkeypatch.context() as patch:
        patch.setattr(BaseClient, "_make_api_call", _failing(unreachable, "BatchGetItem"))
        for method, path in (("GET", "/statistics/g/s"), ("POST", "/statistics/g/s"), ("GET", "/domains")):
            message = refused(client.ask(method, path, {"method": "increment"}), 503, "UNAVAILABLE")
            assert "try again later" in message
    assert client.get("/statistics/g/s")["value"] == 1


def test_a_lost_answer_is_500_and_says_how_to_repeat_safely(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    client.update("g/s")
    client.get("/statistics/g/s")
    lost = ReadTimeoutError(endpoint_url="https://dynamodb")
    with monkeypatch.context() as patch:
        patch.setattr(BaseClient, "_make_api_call", _failing(lost, "UpdateItem"))
        body = {"method": "increment", "reference_date": DAY}
        message = refused(client.ask("POST", "/statistics/g/s", body), 500, "INTERNAL_ERROR")
    assert "counted once or not at all" in message
    assert "Idempotency-Key" in message


def _of_statistics(operation: str, arguments: dict[str, Any]) -> bool:
    """Whether it is a transaction over statistics, and not one of the limits'."""
    return operation == "TransactWriteItems" and wiring.settings().statistics_table in str(arguments)


def test_a_purge_whose_answer_was_lost_shows_what_it_took(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was done, so nobody else will ever show those values."""
    client.update("g/s")
    client.update("g/s")
    original, done = BaseClient._make_api_call, list[str]()  # type: ignore[attr-defined]

    def losing(self: BaseClient, operation: str, arguments: dict[str, Any]) -> Any:
        found = original(self, operation, arguments)
        if _of_statistics(operation, arguments) and not done:
            done.append(operation)
            raise ReadTimeoutError(endpoint_url="https://dynamodb")
        return found

    with monkeypatch.context() as patch:
        patch.setattr(BaseClient, "_make_api_call", losing)
        purged = client.ask("DELETE", "/statistics/g/s?purge=true")
    assert done
    assert (purged.status, purged.json()["value"]) == (200, 2)


def test_a_batch_that_was_written_is_never_said_to_have_done_nothing(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its answer was lost, its repetition met its own work, and then nobody answered."""
    client.update("g/s")
    client.get("/statistics/g/s")
    original, sent = BaseClient._make_api_call, list[str]()  # type: ignore[attr-defined]

    def losing(self: BaseClient, operation: str, arguments: dict[str, Any]) -> Any:
        if operation == "BatchGetItem" and len(sent) > 1:
            raise ConnectTimeoutError(endpoint_url="https://dynamodb")
        if _of_statistics(operation, arguments):
            sent.append(operation)
        found = original(self, operation, arguments)
        if _of_statistics(operation, arguments) and len(sent) == 1:
            metadata: Any = {"HTTPStatusCode": 400, clients.LOST: True}
            slow: Any = {"Code": "ThrottlingException", "Message": "slow"}
            raise ClientError({"Error": slow, "ResponseMetadata": metadata}, operation)
        return found

    with monkeypatch.context() as patch:
        patch.setattr(BaseClient, "_make_api_call", losing)
        body = {"updates": [{"group": "g", "name": "s", "method": "increment", "reference_date": DAY}]}
        reply = client.ask("POST", "/statistics/batch", body)
    assert len(sent) > 1, reply.json()
    assert reply.status != 503
    assert "counted once or not at all" in json.dumps(reply.json())


def test_a_transaction_that_nobody_answers_is_not_tried_for_longer_than_a_request_lasts(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each call waits for its answer until it gives up, and a request has 29 seconds."""
    client.update("g/s")
    clock, original = [0.0], BaseClient._make_api_call  # type: ignore[attr-defined]

    def hanging(self: BaseClient, operation: str, arguments: dict[str, Any]) -> Any:
        if operation != "TransactWriteItems":
            return original(self, operation, arguments)
        clock[0] += clients.READ * clients.ATTEMPTS
        raise ReadTimeoutError(endpoint_url="https://dynamodb")

    with monkeypatch.context() as patch:
        patch.setattr(BaseClient, "_make_api_call", hanging)
        patch.setattr("chalicelib.aws.updates.time.monotonic", lambda: clock[0])
        body = {"method": "increment", "reference_date": DAY}
        refused(client.ask("POST", "/statistics/g/s", body, idempotency_key="k"), 500, "INTERNAL_ERROR")
    assert clock[0] < 29
    assert client.post("/statistics/g/s", body, idempotency_key="k")["value"] == 2


def test_what_nobody_thought_of_is_500_with_a_code(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wiring, "statistics", lambda: None)
    message = refused(client.ask("GET", "/statistics"), 500, "INTERNAL_ERROR")
    assert re.fullmatch("unexpected error code [0-9a-z]+; this has been reported for investigation", message)


def test_a_warm_increment_takes_three_calls(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    """One for the limit, one that reads all that there is to know, one that counts."""
    client = client_of(person)
    client.token = person.key(ALL)
    for _ in range(2):
        client.update("g/s")
    sent: list[str] = []
    original = BaseClient._make_api_call  # type: ignore[attr-defined]

    def listening(self: BaseClient, operation: str, arguments: dict[str, Any]) -> Any:
        sent.append(operation)
        return original(self, operation, arguments)

    monkeypatch.setattr(BaseClient, "_make_api_call", listening)
    client.update("g/s")
    assert sent == ["UpdateItem", "BatchGetItem", "UpdateItem"]


# Exports


def exported(client: Client, body: Any) -> Any:
    """An export that is finished."""
    made = client.post("/exports", body, 201)
    job = wiring.exports().job(client.person.created.account.id, made["id"])
    wiring.exporter().run(job, SOURCES["statistics"], lambda: 600.0)
    return client.get(f"/exports/{made['id']}")


def rows(client: Client, found: Any) -> list[list[str]]:
    """What an export's file holds."""
    job = wiring.exports().job(client.person.created.account.id, found["id"])
    return list(csv.reader(io.StringIO(gzip.decompress(wiring.exports().read(job)).decode(), newline="")))


NAMES_OF_AN_EXPORT = [
    *("id", "object", "state", "format", "group", "rows", "size", "sha256", "error", "download_url"),
    *("created_at", "updated_at", "expires_at"),
]


def test_an_export_is_asked_for_watched_and_downloaded(client: Client, world: World) -> None:
    one = client.update('a, "b"/s', DAY, "set", value=1.5)
    two = client.update("h/t", NEXT, "set", value=2)
    world.drain("COUNTLESS_EXPORTS_QUEUE")
    made = client.post("/exports", None, 201)
    assert list(made) == NAMES_OF_AN_EXPORT
    shown = (made["object"], made["state"], made["format"], made["group"], made["rows"], made["download_url"])
    assert shown == ("export", "queued", "csv", None, 0, None)
    assert len(world.drain("COUNTLESS_EXPORTS_QUEUE")) == 1
    path = f"/exports/{made['id']}"
    assert "not finished" in refused(client.ask("GET", f"{path}/download"), 409, "CONFLICT")
    found = exported(client, {})
    assert (found["state"], found["rows"], found["error"]) == ("finished", 2, None)
    assert len(found["sha256"]) == 64
    header, *lines = rows(client, found)
    assert header == ["group_id", "group", "statistic_id", "statistic", "reference_date", "value"]
    assert [line[1:4:2] + line[4:] for line in lines] == [['a, "b"', "s", DAY, "1.5"], ["h", "t", NEXT, "2"]]
    assert [line[2] for line in lines] == [one["id"], two["id"]]
    assert [job["id"] for job in client.get("/exports")] == [made["id"], found["id"]]
    assert list(pages(client, "/exports?limit=1")) == [[client.get(path)], [found]]


def test_an_export_of_a_group(client: Client) -> None:
    client.update("g/s")
    client.update("h/t")
    group = client.get("/statistic-groups/h")
    for ref in ("h", group["id"]):
        found = exported(client, {"group": ref})
        assert (found["group"], found["rows"]) == ("h", 1)
    assert absent(client.ask("POST", "/exports", {"group": "nothing"})) == "there is no such group"
    assert bad(client.ask("POST", "/exports", {"format": "xlsx"})) == "format: must be csv"


def test_a_download_takes_a_key_or_our_link_and_leads_to_the_file(client: Client, person: Person) -> None:
    client.update("g/s")
    found = exported(client, {})
    link = urlsplit(found["download_url"])
    assert link.path == f"/v1/api/exports/{found['id']}/download"
    for reply in (
        client.ask("GET", f"/exports/{found['id']}/download"),
        person.front.get(found["download_url"], client=address()),
    ):
        assert reply.status == 302
        assert reply.json()["url"] == reply.headers["location"]
        assert "X-Amz-Expires=60" in reply.headers["location"] or "Expires=" in reply.headers["location"]
        assert "countless-domain-" in reply.headers["location"]
    for broken in (
        found["download_url"][:-1] + ("0" if found["download_url"][-1] != "0" else "1"),
        re.sub("expires=1", "expires=2", found["download_url"]),
        found["download_url"].replace(found["id"], client.post("/exports", {}, 201)["id"]),
        f"{link.path}?signature=x",
    ):
        refused(person.front.get(broken, client=address()), 403, "FORBIDDEN")
    refused(person.front.get(link.path, client=address()), 401, "UNAUTHORIZED")


def test_a_link_holds_no_longer_than_the_file_and_the_domain(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    client = client_of(person)
    found, other = exported(client, {}), exported(client_of(person), {})
    client.delete(f"/domains/{client.token}")
    assert absent(person.front.get(found["download_url"], client=address())) == "there is no such domain"
    later = wiring.now() + 86_401
    monkeypatch.setattr(wiring, "now", lambda: later)
    refused(person.front.get(other["download_url"], client=address()), 403, "FORBIDDEN")


def test_an_expired_export_is_shown_as_such_and_is_not_found(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    found = exported(client, {})
    later = wiring.now() + 86_401
    monkeypatch.setattr(wiring, "now", lambda: later)
    expired = client.get(f"/exports/{found['id']}")
    assert (expired["state"], expired["download_url"]) == ("expired", None)
    assert "expired" in absent(client.ask("GET", f"/exports/{found['id']}/download"))


def test_a_deleted_export_cannot_be_downloaded_any_more(client: Client) -> None:
    """Not by the link that somebody may have got hold of; deleting it twice changes nothing."""
    client.update("g/s")
    found = exported(client, {})
    link = found["download_url"]
    assert client.person.front.get(link, client=address()).status == 302
    ended = client.delete(f"/exports/{found['id']}")
    assert (ended["state"], ended["download_url"]) == ("expired", None)
    assert client.delete(f"/exports/{found['id']}") == ended
    assert "expired" in absent(client.person.front.get(link, client=address()))


def test_exports_of_other_domains_are_not_found(client: Client, person: Person) -> None:
    found = exported(client_of(person), {})
    for path in (f"/exports/{found['id']}", f"/exports/{found['id']}/download", "/exports/exp_0", "/exports/x%2Fy"):
        assert absent(client.ask("GET", path)) == "there is no such export"
    assert client.get("/exports") == []


def test_exports_have_a_limit_of_their_own(person: Person) -> None:
    assert (PLANS["statistics-export"].requests, PLANS["statistics-export"].seconds) == (10, 3600)
    client = client_of(person)
    client.token = person.key(ALL, limits="statistics-export:1/3600")
    client.post("/exports", {}, 201)
    refused(client.ask("POST", "/exports", {}), 429, "TOO_MANY_REQUESTS")
    assert client.ask("GET", "/exports").status == 200


@pytest.mark.parametrize(
    ("domain", "file"),
    [
        ("shop.example", "shop.example"),
        ('a "b"; c\\d', "a-b-c-d"),
        ("..", "domain"),
        ("Straße 7", "Straße-7"),
        ("x" * 200, "x" * 100),
    ],
)
def test_a_file_is_called_after_its_domain(quick: Chalice, domain: str, file: str) -> None:
    person = settle(FrontDoor(quick))
    client = Client(person, person.token)
    client.post(f"/domains/{client.token}", {"name": domain})
    made = client.post("/exports", {}, 201)
    name = wiring.exports().job(person.created.account.id, made["id"]).name
    assert re.fullmatch(rf"countless-{re.escape(file)}-\d{{4}}-\d\d-\d\d\.csv\.gz", name)


# Whatever is sent


_QUERY = st.dictionaries(
    st.sampled_from(["limit", "after", "from", "to", "interval", "group", "purge", "reference_date", "x"]),
    st.one_of(st.text(max_size=12), st.sampled_from(["1", "true", DAY, "week", "grp_0", "sta_0"])),
    max_size=4,
)
_PART = st.one_of(st.text(max_size=6), st.sampled_from(["g", "s", "batch", "x" * 201, f"grp_{'0' * 16}"]))
_PATH = st.one_of(
    st.sampled_from(["/statistics", "/statistic-groups", "/domains", "/exports", "", "/statistics/batch"]),
    st.tuples(
        st.sampled_from(["/statistics", "/statistic-groups", "/exports", "/domains"]),
        st.lists(_PART, min_size=1, max_size=3),
    ).map(lambda found: "/".join([found[0], *(quote(part, errors="replace") for part in found[1])])),
)
_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just(DAY),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
_FIELDS = st.sampled_from(["group", "name", "value", "reference_date", "method", "updates", "format"])
_BODY = st.one_of(
    st.binary(max_size=30),
    _json.map(lambda value: json.dumps(value).encode()),
    st.dictionaries(_FIELDS, _json, max_size=5).map(lambda value: json.dumps(value).encode()),
    st.lists(st.dictionaries(_FIELDS, _json, max_size=5), max_size=3).map(lambda value: json.dumps(value).encode()),
)


@effort(max_examples=250, deadline=None)
@given(
    method=st.sampled_from(["GET", "POST", "PUT", "DELETE", "PATCH"]),
    path=_PATH,
    query=_QUERY,
    body=_BODY,
    once=st.one_of(st.none(), st.text(string.printable, max_size=5)),
)
def test_nothing_that_is_sent_ends_in_an_error_of_ours(  # noqa: PLR0917 - hypothesis names them
    lasting: Client, method: str, path: str, query: dict[str, str], body: bytes, once: str | None
) -> None:
    headers = {} if once is None else {"idempotency_key": once}
    asked = f"{path}?{urlencode(query, errors='replace')}" if query else path
    reply = lasting.ask(method, asked, body, **headers)
    assert reply.status in {200, 201, 400, 404, 405, 409, 413}, reply.text
    if reply.status >= 400:
        assert list(reply.json()) == ["error"]
        if reply.status == 400:
            assert ": " in reply.json()["error"]["message"]
