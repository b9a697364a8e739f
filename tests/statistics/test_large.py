"""A domain with many values: answers stay right, and what they cost depends on what is asked for, not on what there is.

`make test` tries 30,000 values, `make prove` ten times as many.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

import pytest

from chalicelib import wiring
from chalicelib.aws import clients
from chalicelib.core.accounts import Scope
from chalicelib.core.statistics import Dated, Interval, Method, Span, Statistic, Update, buckets
from tests.conftest import World
from tests.dynamo import Dynamo, standing_in

DAYS = 300
FIRST = date(2025, 3, 17)


@dataclass(frozen=True)
class Large:
    """A domain with so many statistics, each with a value on 300 days, in ten groups."""

    dynamo: Dynamo
    scope: Scope
    statistics: int

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

    def calls(self) -> int:
        return self.dynamo.bill.calls.total()


@pytest.fixture(scope="module", params=[100, pytest.param(1000, marks=pytest.mark.prove)], ids=["30,000", "300,000"])
def large(request: pytest.FixtureRequest, world: World) -> Iterator[Large]:
    assert world
    with standing_in() as dynamo:
        wiring.forget()
        made = Large(dynamo, Scope("account", "dom_domainabcdef"), request.param)
        key = {"pk": {"S": "account#account"}, "sk": {"S": f"domain#{made.scope.entity}"}}
        clients.dynamodb().put_item(
            TableName=wiring.settings().documents_table, Item={**key, "statistics": {"S": made.scope.domain}}
        )
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
