"""What strangers can make a stream remember: the budgets of `make bench`, in an everyday cut."""

import pytest

from chalicelib.core.writer import Bounds
from infrastructure.bench import crowd, rows


def test_a_flood_of_names_leaves_room_and_a_page_that_is_seen_earns_its_name() -> None:
    """A tenth of what the bench sends; the share that is kept is the same."""
    found = crowd.flood(60_000, Bounds(names=10_000))
    assert found.names <= 8_100
    assert found.left >= 1_900
    assert found.earned


def test_a_crowd_is_counted_whether_it_has_sessions_or_not() -> None:
    """Each of them is a visit, and all are folded; this few have sessions."""
    found = crowd.come(40_000)
    assert (found["visitors"], found["alone"]) == (40_000, 0)
    assert found["largest"] < rows.CROWD_FOLD * 1e6


@pytest.mark.prove
def test_ten_million_visitors_take_no_more_memory_than_a_function_has() -> None:
    """In a process of its own: most of them are visits of their own."""
    found = crowd.measure(rows.VISITORS)
    assert found.alone > rows.VISITORS / 2
    assert found.memory <= rows.CROWD_MEMORY * 1e6
    assert found.largest <= rows.CROWD_FOLD * 1e6
