"""What calls of the statistics API cost in DynamoDB: the README's table, counted."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from chalice.app import Chalice

from chalicelib import wiring
from infrastructure.bench.meter import Bill
from tests.docs import README
from tests.dynamo import Dynamo, standing_in
from tests.front import FrontDoor
from tests.people import Person, settle

DAY = "2026-11-20"
PORTION = 20
"""Requests of a key that its account grants at a time, which costs three write units more."""
ROW = re.compile(r"^\| ([^|]+) \| ([\d,]+) \| ([\d,]+) \|$", re.MULTILINE)


class Payer:
    """Asks for things, and says what each cost."""

    def __init__(self, dynamo: Dynamo, person: Person) -> None:
        self.dynamo = dynamo
        self.person = person

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Bill:
        """A request that succeeds; what it cost."""
        before = self.dynamo.bill.copy()
        reply = self.person.front.request(
            method,
            f"/v1/api{path}",
            headers={"authorization": f"Bearer {self.person.token}", **headers},
            json_body=body,
        )
        assert reply.status < 300, reply
        return self.dynamo.bill - before

    def update(self, path: str = "/statistics/G/s", day: str = DAY, **headers: str) -> Bill:
        """An increment."""
        return self.ask("POST", path, {"method": "increment", "reference_date": day}, **headers)

    def batch(self, entries: list[dict[str, Any]]) -> Bill:
        """Many updates in one request."""
        return self.ask("POST", "/statistics/batch", {"updates": entries})


def _entry(name: str, day: str = DAY) -> dict[str, Any]:
    return {"group": "B", "name": name, "method": "increment", "reference_date": day}


MANY = [_entry(f"s{number}") for number in range(500)]
MONTH = [_entry("s1", f"2026-11-{number % 30 + 1:02}") for number in range(500)]
NEW = [{**_entry("s"), "group": f"new {number}"} for number in range(500)]
LATER = [_entry(f"s{number}", "2027-02-01") for number in range(500)]
CALLS: dict[str, Callable[[Payer], Bill]] = {
    "one update": lambda payer: payer.update(),
    "… in a month later than any before": lambda payer: payer.update(day="2027-01-01"),
    "… with an `Idempotency-Key`": lambda payer: payer.update(**{"idempotency-key": "a"}),
    "… the same once more": lambda payer: payer.update(**{"idempotency-key": "known"}),
    "… that makes the statistic": lambda payer: payer.update("/statistics/G/new"),
    "… and its group": lambda payer: payer.update("/statistics/New/new"),
    "500 updates of 500 statistics": lambda payer: payer.batch(MANY),
    "… all in a month later than any before": lambda payer: payer.batch(LATER),
    "… in 500 new groups": lambda payer: payer.batch(NEW),
    "500 updates of one statistic's month": lambda payer: payer.batch(MONTH),
    "retrieve a statistic with a year of values": lambda payer: payer.ask("GET", "/statistics/G/s"),
    "list 100 statistics": lambda payer: payer.ask("GET", "/statistics"),
    "delete a day": lambda payer: payer.ask("DELETE", f"/statistics/G/s?reference_date={DAY}"),
    "purge a statistic with values in 13 months": lambda payer: payer.ask("DELETE", "/statistics/G/s?purge=True"),
    "create a group": lambda payer: payer.ask("POST", "/statistic-groups", {"name": "another"}),
    "rename a group": lambda payer: payer.ask("POST", "/statistic-groups/G", {"name": "F"}),
    "delete a group": lambda payer: payer.ask("DELETE", "/statistic-groups/B"),
}


@pytest.fixture(scope="module")
def spent(app: Chalice) -> Iterator[dict[str, Bill]]:
    """What each of the calls cost somebody whose statistics are there already, in a process that knows their names."""
    with standing_in() as dynamo, pytest.MonkeyPatch.context() as patch:
        wiring.forget()
        began = wiring.now()
        patch.setattr(wiring, "now", lambda: began)  # or what is known of accounts is read again on a busy machine
        payer = Payer(dynamo, settle(FrontDoor(app)))  # its key has used up a portion once all is there
        for month in range(12):
            payer.update(day=f"2026-{month + 1:02}-20")
        payer.update(**{"idempotency-key": "known"})
        payer.batch(MANY)
        for _ in range(PORTION - 12 - 1):
            payer.ask("GET", "/statistic-groups/G")
        yield {name: call(payer) for name, call in CALLS.items()}
    wiring.forget()


@pytest.mark.parametrize("call", CALLS)
def test_a_call_costs_what_the_readme_says(call: str, spent: dict[str, Bill]) -> None:
    """So many calls to DynamoDB, so many write units, the limiter's included."""
    listed = {name: [int(cell.replace(",", "")) for cell in cells] for name, *cells in ROW.findall(README)}
    calls, units = listed[call]
    # Ids that are made at one moment are in order by chance, so the statistic of many months is among the first or not.
    more = 1 if call == "list 100 statistics" else 0
    assert calls <= spent[call].calls.total() <= calls + more
    # How well the answers of many updates compress depends on their ids.
    assert abs(spent[call].write_units - units) <= units // 100


def test_the_readme_lists_no_other_calls() -> None:
    assert [name for name, _, _ in ROW.findall(README)] == list(CALLS)
