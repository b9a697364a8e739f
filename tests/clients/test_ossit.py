"""The client of the statistics API, as it is published, against a running service: only its base URL is changed."""

import secrets
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import ossit as published
import pytest
from ossit.api_requestor import APIRequestor

from tests.clients.stack import Service, until

TORONTO = "America/Toronto"
ossit: Any = published
"""It has no types."""


@pytest.fixture
def client(service: Service, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The client, pointed at the service, with the key of a domain of its own."""
    monkeypatch.setattr(APIRequestor, "base_url", service.url)
    monkeypatch.setattr(ossit.config, "domain_key", str(service.keys["domain_key"]))
    monkeypatch.setattr(type(ossit.config), "TIME_ZONE", TORONTO)
    made = ossit.Domain.create(f"domain {secrets.token_hex(4)}")
    ossit.set_domain_key(made["key"])
    return ossit


def today() -> str:
    return datetime.now(ZoneInfo(TORONTO)).date().isoformat()


def test_every_method_of_domains(client: Any) -> None:
    """Create, retrieve, list, update and delete; what is deleted is gone, key and all."""
    first = client.Domain.create("shop.example " + secrets.token_hex(4))
    assert first["object"] == "domain"
    client.set_domain_key(first["key"])
    found = client.Domain.retrieve()
    assert found == {key: value for key, value in first.items() if key != "key"}
    assert found in client.Domain.list()
    renamed = client.Domain.update("new name " + first["id"])
    assert (renamed["id"], renamed["name"]) == (first["id"], "new name " + first["id"])
    assert client.Domain.retrieve() == renamed
    client.Statistic.increment("Group", "statistic")
    assert client.Domain.delete()["id"] == first["id"]
    for answer in (client.Domain.retrieve(), client.Statistic.list(), client.StatisticGroup.list()):
        assert answer["error"]["code"] == "UNAUTHORIZED"


def test_every_method_of_groups(client: Any) -> None:
    """Create, list, retrieve, update and delete; statistics move with the name, and go with the group."""
    made = client.StatisticGroup.create("Automations")
    assert (made["object"], made["name"], made["statistics"]) == ("statistic_group", "Automations", 0)
    assert client.StatisticGroup.list() == [made]
    assert client.StatisticGroup.retrieve("Automations") == made
    client.Statistic.add("Automations", "emails sent", 17)
    renamed = client.StatisticGroup.update("Automations", "Mails & more?")
    assert (renamed["id"], renamed["name"], renamed["statistics"]) == (made["id"], "Mails & more?", 1)
    assert client.Statistic.retrieve("Mails & more?", "emails sent")["value"] == 17
    assert client.Statistic.retrieve("Automations", "emails sent")["error"]["code"] == "NOT_FOUND"
    assert client.StatisticGroup.delete("Mails & more?")["id"] == made["id"]
    assert client.StatisticGroup.list() == []
    assert client.Statistic.list() == []
    assert client.StatisticGroup.retrieve("Mails & more?")["error"]["code"] == "NOT_FOUND"


def test_every_method_of_statistics(client: Any) -> None:
    """Create, retrieve, list, the five updates, delete and purge."""
    made = client.Statistic.create("Website Traffic", "page views", 4, "2026-11-19")
    assert (made["group"], made["name"], made["value"]) == ("Website Traffic", "page views", 4)
    assert made["reference_date"] == "2026-11-19"
    assert client.Statistic.create("Website Traffic", "page views", 5, "2026-11-19")["error"]["code"] == "CONFLICT"
    steps = [
        (client.Statistic.increment, (), 1),
        (client.Statistic.increment, (), 2),
        (client.Statistic.decrement, (), 1),
        (client.Statistic.add, (2.5,), 3.5),
        (client.Statistic.subtract, (0.5,), 3),
        (client.Statistic.update, (17,), 17),
        (client.Statistic.update, (17,), 17),
        (client.Statistic.add, (0,), 17),
        (client.Statistic.update, (1 / 300,), 0.003333333333333334),
        (client.Statistic.subtract, (1 / 300,), 0),
        (client.Statistic.update, (17,), 17),
    ]
    for method, arguments, expected in steps:
        found = method("Website Traffic", "page views", *arguments)
        assert (found["value"], found["reference_date"]) == (expected, today()), method
    whole = client.Statistic.retrieve("Website Traffic", "page views")
    assert whole["values"] == [
        {"reference_date": "2026-11-19", "value": 4},
        {"reference_date": today(), "value": 17},
    ]
    (listed,) = client.Statistic.list()
    assert (listed["id"], listed["value"]) == (made["id"], 17)
    assert client.Statistic.delete("Website Traffic", "page views", "2026-11-19")["value"] == 4
    left = client.Statistic.retrieve("Website Traffic", "page views")["values"]
    assert left == [{"reference_date": today(), "value": 17}]
    assert client.Statistic.purge("Website Traffic", "page views")["id"] == made["id"]
    assert client.Statistic.list() == []
    assert client.Statistic.increment("Website Traffic", "page views")["value"] == 1


@pytest.mark.parametrize(
    "name",
    ["50% off?", "a#b", "é à 🎉", "a.b", "...", "x%41y", "a+b & c=d", 'it\'s "so"', "batch", "a;b,c:d@e", "~_-!*()"],
)
def test_names_travel_as_the_client_quotes_them(client: Any, name: str) -> None:
    """Whatever a name holds but a slash, what was counted under it is found under it."""
    assert client.Statistic.increment(name, name)["value"] == 1
    assert client.Statistic.increment(name, name)["value"] == 2
    assert client.Statistic.retrieve(name, name)["name"] == name
    assert client.StatisticGroup.retrieve(name)["name"] == name
    assert client.StatisticGroup.delete(name)["name"] == name


def test_a_slash_in_a_name_is_refused_with_a_clear_message(client: Any) -> None:
    """The client cannot quote it, so nothing may be called so."""
    for answer in (
        client.StatisticGroup.create("a/b"),
        client.Statistic.create("a/b", "x", 1),
        client.Statistic.create("a", "x/y", 1),
        client.Statistic.increment("a/b", "x"),
    ):
        assert "/" in answer["error"]["message"]
    assert client.StatisticGroup.list() == []


def test_200_threaded_increments_end_at_exactly_200(client: Any) -> None:
    """The client's own threads, and as many connections: none is lost, though the first has to make the statistic."""
    requests = [client.OssitRequest(client.Statistic.increment, group="Threads", statistic="calls") for _ in range(200)]
    client.send_threaded_requests(*requests)

    def value() -> int:
        found = client.Statistic.retrieve("Threads", "calls")
        return int(found.get("value") or 0)

    until("all are counted", lambda: value() >= 200, patience=60)
    assert value() == 200


def test_200_increments_from_many_threads_are_each_answered(client: Any) -> None:
    """Every caller sees a value of its own: those from 1 to 200."""
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: client.Statistic.increment("Crowd", "calls")["value"], range(200)))
    assert sorted(answers) == list(range(1, 201))


SETTING_THE_KEY = """
import ossit
ossit.set_domain_key('YOUR_SECRET_KEY')
ossit.set_time_zone('America/Toronto')
"""
CREATING_A_GROUP = """
import ossit

ossit.domain_key = 'YOUR-KEY'
group = ossit.StatisticGroup.create('Automations')
print(group)
"""
LISTING_GROUPS = """
groups = ossit.StatisticGroup.list()
print(groups)
"""


def test_the_documentations_examples_run(client: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """As printed, with the key of one's own, set by the call that the first of them shows."""
    key = client.config.domain_key
    client.set_domain_key(None)
    names: dict[str, Any] = {}
    exec(SETTING_THE_KEY.replace("YOUR_SECRET_KEY", key), names)
    exec(CREATING_A_GROUP.replace("ossit.domain_key = 'YOUR-KEY'", f"ossit.set_domain_key({key!r})"), names)
    exec(LISTING_GROUPS, names)
    assert names["group"]["name"] == "Automations"
    assert capsys.readouterr().out == f"{names['group']}\n{[names['group']]}\n"


def test_the_documentations_example_that_sets_an_attribute_says_what_to_call(
    client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`ossit.domain_key = …` sets a name that the client never reads: it then sends `Bearer None`."""
    monkeypatch.setattr(client, "domain_key", None, raising=False)  # so that the name is gone afterwards
    client.set_domain_key(None)
    names: dict[str, Any] = {}
    exec(CREATING_A_GROUP, names)
    assert names["group"]["error"]["code"] == "UNAUTHORIZED"
    assert "ossit.set_domain_key" in names["group"]["error"]["message"]
