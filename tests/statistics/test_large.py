"""A domain with many values: answers stay right, and what they cost depends on what is asked for, not on what there is.

`make test` tries 30,000 values, `make prove` ten times as many.
"""

import gzip
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from urllib.request import urlopen

import pytest
from chalice.app import Chalice

from chalicelib import wiring
from chalicelib.core.accounts import Scope
from chalicelib.core.exports import State
from chalicelib.core.statistics import Dated, Interval, Method, Span, Statistic, Update, buckets
from chalicelib.functions import export
from infrastructure.local.pump import Pump
from tests.conftest import World
from tests.core.exporting import CRASH_AFTER, CRASH_BEFORE, PART, Stage, Strike
from tests.dynamo import Dynamo, standing_in
from tests.front import FrontDoor
from tests.people import Person, settle

DAYS = 300
FIRST = date(2025, 3, 17)


@dataclass(frozen=True)
class Large:
    """A domain with so many statistics, each with a value on 300 days, in ten groups."""

    dynamo: Dynamo
    person: Person
    statistics: int

    @property
    def scope(self) -> Scope:
        return self.person.scope

    def value(self, number: int, day: int) -> Decimal:
        """What the statistic of a number has on a day."""
        return Decimal(number * 1_000 + day) / 8

    def day(self, day: int) -> str:
        return (FIRST + timedelta(days=day)).isoformat()

    def place(self, number: int) -> tuple[str, str]:
        """Names of a statistic and of its group."""
        return f"group {number % 10}", f"statistic, the {number}th"

    def fill(self) -> None:
        """Sends everything as clients would: in batches."""
        for number in range(self.statistics):
            group, name = self.place(number)
            updates = [Update(group, name, Method.SET, self.value(number, day), self.day(day)) for day in range(DAYS)]
            outcomes = wiring.statistics().batch(self.scope, updates, None)
            assert all(isinstance(outcome, Statistic) for outcome in outcomes)

    def csv(self) -> str:
        """All of it as a file, worked out from the ids that lists show and from nothing else of the store's."""
        lines = ["group_id,group,statistic_id,statistic,reference_date,value"]
        numbers = {self.place(number): number for number in range(self.statistics)}
        groups = {group.name: group.id for group in wiring.statistics().groups(self.scope, 100).entries}
        after: str | None = ""
        while after is not None:
            page = wiring.statistics().statistics(self.scope, 1000, after)
            for found in page.entries:
                head = f'{groups[found.group]},{found.group},{found.id},"{found.name}"'
                number = numbers.pop((found.group, found.name))
                lines += [f"{head},{self.day(day)},{self.value(number, day).normalize():f}" for day in range(DAYS)]
            after = page.after
        assert not numbers
        return "".join(f"{line}\r\n" for line in lines)

    def calls(self) -> int:
        return self.dynamo.bill.calls.total()


@pytest.fixture(scope="module", params=[100, pytest.param(1000, marks=pytest.mark.prove)], ids=["30,000", "300,000"])
def large(request: pytest.FixtureRequest, world: World, app: Chalice) -> Iterator[Large]:
    assert world
    with standing_in() as dynamo:
        wiring.forget()
        made = Large(dynamo, settle(FrontDoor(app)), request.param)
        made.fill()
        yield made
    wiring.forget()


@pytest.mark.parametrize("limit", [7, 100, 1000])
def test_lists_name_everything_once_in_a_few_calls_a_page(large: Large, limit: int) -> None:
    found: list[Statistic] = []
    after = ""
    while True:
        before = large.calls()
        page = wiring.statistics().statistics(large.scope, limit, after)
        assert large.calls() - before <= 3 + len(page.entries) // 100
        found += page.entries
        if page.after is None:
            break
        after = page.after
    assert [statistic.id for statistic in found] == sorted({statistic.id for statistic in found})
    newest = {
        (*large.place(number), Dated(large.day(DAYS - 1), large.value(number, DAYS - 1)))
        for number in range(large.statistics)
    }
    assert {(statistic.group, statistic.name, statistic.shown) for statistic in found} == newest


def test_a_group_lists_its_own_alone(large: Large) -> None:
    page = wiring.statistics().statistics(large.scope, 1000, group="group 3")
    assert {statistic.name for statistic in page.entries} == {
        large.place(number)[1] for number in range(3, large.statistics, 10)
    }
    groups = wiring.statistics().groups(large.scope, 100).entries
    assert {group.name: group.statistics for group in groups} == {
        f"group {number}": large.statistics // 10 for number in range(10)
    }


def test_a_statistic_is_read_in_three_calls_with_its_newest_days_or_with_those_asked_for(large: Large) -> None:
    number = large.statistics // 2
    place = large.place(number)
    everything = tuple(Dated(large.day(day), large.value(number, day)) for day in range(DAYS))
    wiring.statistics().statistic(large.scope, *place)  # from now on its names are known
    before = large.calls()
    assert wiring.statistics().statistic(large.scope, *place).values == everything
    assert large.calls() - before <= 3
    span = Span(large.day(40), large.day(250))
    before = large.calls()
    found = wiring.statistics().statistic(large.scope, *place, span)
    assert large.calls() - before <= 3
    assert found.values == everything[40:251]
    assert found.shown == everything[-1]
    plotted = buckets(found.values, Interval.MONTH)
    assert sum(bucket.sum for bucket in plotted) == sum(dated.value for dated in everything[40:251])


def test_an_update_costs_what_it_costs_in_an_empty_domain(large: Large) -> None:
    """One call to look, one to write: one write unit."""
    update = Update(*large.place(5), Method.ADD, Decimal("0.5"), large.day(7))
    back = Update(*large.place(5), Method.SUBTRACT, Decimal("0.5"), large.day(7))
    wiring.statistics().update(large.scope, update)
    before = large.dynamo.bill.copy()
    wiring.statistics().update(large.scope, back)
    spent = large.dynamo.bill - before
    assert dict(spent.calls) == {"BatchGetItem": 1, "UpdateItem": 1}
    assert spent.write_units == 1
    assert spent.read_units <= 5


def test_an_export_reads_every_value_once_in_order_a_megabyte_at_a_time(large: Large) -> None:
    before = large.calls()
    rows = [row for batch in wiring.statistics().rows(large.scope) for row in batch.rows]
    months = large.statistics * 11
    assert large.calls() - before <= 4 + 10 + months * 800 // 1_000_000 + large.statistics * 300 // 1_000_000
    assert [(row[2], row[4]) for row in rows] == sorted((row[2], row[4]) for row in rows)
    assert {(row[1], row[3], row[4], row[5]) for row in rows} == {
        (*large.place(number), large.day(day), f"{large.value(number, day).normalize():f}")
        for number in range(large.statistics)
        for day in range(DAYS)
    }
    assert len(rows) == large.statistics * DAYS


def test_an_export_goes_on_where_another_stopped(large: Large) -> None:
    batches = list(wiring.statistics().rows(large.scope))
    middle = len(batches) // 3
    assert list(wiring.statistics().rows(large.scope, after=batches[middle].after)) == batches[middle + 1 :]


def test_the_file_that_a_client_downloads_is_the_whole_domain_row_by_row(
    large: Large, app: Chalice, world: World, bucket: None
) -> None:
    """From the request to the link that needs no key: each row once, in order, and the hash that the API tells."""
    del bucket
    person = large.person
    headers = {"authorization": f"Bearer {person.token}"}
    asked = person.front.post("/v1/api/exports", headers=headers, body="{}")
    assert asked.status == 201
    Pump.of(app, world.environment, world.client("sqs")).settle()
    shown = person.front.get(f"/v1/api/exports/{asked.json()['id']}", headers=headers).json()
    assert (shown["state"], shown["rows"]) == ("finished", large.statistics * DAYS)
    sent_on = person.front.get(shown["download_url"])
    assert sent_on.status == 302
    with urlopen(sent_on.headers["location"]) as answer:
        data = answer.read()
    assert (len(data), hashlib.sha256(data).hexdigest()) == (shown["size"], shown["sha256"])
    assert gzip.decompress(data).decode() == large.csv()


def test_an_export_whose_function_is_killed_is_the_same_bytes(large: Large, world: World) -> None:
    """At calls from the first to the last one, before and after they take effect; also if each run makes one part."""
    with Stage(world, large.scope.account, source=export._statistics).set() as stage:

        def made(strike: Strike, seconds: float) -> bytes:
            stage.seconds = seconds
            job = stage.begin(domain=large.scope.domain)
            stage.settle(strike)
            job = stage.job(job)
            assert (job.state, job.rows) == (State.FINISHED, large.statistics * DAYS)
            data = stage.file(job)
            assert hashlib.sha256(data).hexdigest() == job.sha256
            return data

        files = set()
        for seconds, died_before, died_after in ((300.0, (0, 5), (3, 8)), (1.0, (2, 7), (1, 6))):
            whole = Strike(10**9)
            files.add(made(whole, seconds))
            for kind, eighths in ((CRASH_BEFORE, died_before), (CRASH_AFTER, died_after)):
                for eighth in eighths:
                    before = stage.deaths
                    files.add(made(Strike((whole.calls - 1) * eighth // 8, kind), seconds))
                    assert stage.deaths == before + 1
        (file,) = files
        assert gzip.decompress(file).decode() == large.csv()
        assert len(file) > 3 * PART, "parts enough to be killed between"
        assert stage.parked == []
