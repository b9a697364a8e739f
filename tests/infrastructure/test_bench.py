"""The budgets that are counted are kept; the table says what was measured."""

import pytest

from infrastructure.bench import race, rows, table, workloads
from infrastructure.bench.table import Row


def test_a_real_log_costs_a_twentieth_of_a_write_unit_a_page_view() -> None:
    """In batches of 1,000, folds and sweep included."""
    outcome = workloads.real_log()
    assert outcome.views > 1500
    assert outcome.per_view <= rows.LOG_UNITS
    assert 0 < outcome.share("drops") <= 0.003, "a write for each batch, whatever is dropped of it"


def test_a_quiet_day_costs_little_more_than_a_write_unit_a_page_view() -> None:
    """Fifty lone views, each appended by itself, folded and swept once."""
    outcome = workloads.day(workloads.QUIET)
    assert outcome.views == workloads.QUIET
    assert outcome.per_view <= rows.QUIET_UNITS


def test_a_dashboard_over_a_month_takes_a_dozen_calls() -> None:
    """Ten requests to a warm process, whether or not it was asked for these days before."""
    looks = workloads.dashboard(30)
    assert 9 <= looks.warm.calls.total() <= rows.MONTH_CALLS
    assert looks.first.calls.total() <= rows.MONTH_CALLS


def test_writers_that_race_count_every_hit_once() -> None:
    """And the same race ends the same way."""
    first, second = (race.race(batches=12) for _ in range(2))
    assert first.commits == 12
    assert first.lost > 0
    assert (first.lost, first.seconds) == (second.lost, second.seconds)


@pytest.mark.prove
def test_a_million_lone_views_cost_a_tenth_of_a_write_unit_each() -> None:
    """A whole day of them, with all of its folds and the sweep."""
    assert workloads.day(workloads.BUSY).per_view <= rows.BUSY_UNITS


@pytest.mark.prove
def test_a_dashboard_over_a_year_takes_forty_calls() -> None:
    """Nearly a million views of thousands of paths."""
    looks = workloads.dashboard(365)
    assert looks.warm.calls.total() <= rows.YEAR_CALLS
    assert looks.first.calls.total() <= rows.YEAR_CALLS


def test_the_table_says_which_budgets_are_kept() -> None:
    """A row without a budget promises nothing."""
    kept, missed = Row("a", 0.03, "units", 0.05), Row("b", 12_345.6, budget=10, note="why")
    lines = table.markdown([kept, missed, Row("c", 2)]).splitlines()
    assert lines[2:] == ["| a | 0.03 units | ≤ 0.05 | yes |", "| b | 12,346 (why) | ≤ 10 | **no** |", "| c | 2 |  |  |"]
    assert (kept.kept, missed.kept) == (True, False)


@pytest.mark.parametrize("held", ["\n", "\nan old table\n<!-- /bench -->\n"])
def test_the_table_takes_its_place_in_the_readme(held: str) -> None:
    """Between its marks; the closing one is made if it is missing, and doing it again changes nothing."""
    once = table.written(f"before\n<!-- bench -->{held}\nafter\n", "new")
    assert once == "before\n<!-- bench -->\nnew\n<!-- /bench -->\n\nafter\n"
    assert table.written(once, "new") == once
    with pytest.raises(ValueError, match="has no"):
        table.written("nothing", "new")
