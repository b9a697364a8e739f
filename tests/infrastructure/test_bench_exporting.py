"""What exports cost, held to the budgets: less strictly where other tests run beside."""

import pytest

from infrastructure.bench import exporting
from infrastructure.bench.rows import EXPORT_MEMORY

MB = 1_000_000


def test_an_export_takes_little_memory() -> None:
    """Also when its file has several parts."""
    cost = exporting.measure(150_000)
    assert cost.memory < EXPORT_MEMORY * MB
    assert cost.rows == 150_000
    assert cost.size > 1_000_000


@pytest.mark.prove
def test_an_export_takes_no_more_memory_the_larger_it_is() -> None:
    """Three parts or fifteen."""
    small, large = exporting.measure(3_000_000), exporting.measure(15_000_000)
    assert large.size > 4 * small.size
    assert large.memory < small.memory + 10 * MB
    assert large.memory < EXPORT_MEMORY * MB
