"""Logs of several servers behind one balancer count the same in whatever order they are imported."""

from itertools import permutations
from pathlib import Path

import pytest

from tests.clients.people import FIREFOX, Person
from tests.clients.stack import Service, countless

VIEWS = [(10, 0, "/a"), (10, 5, "/a"), (12, 0, "/b"), (20, 30, "/z"), (20, 31, "/a")]
"""A visitor's morning and evening: /a is seen twice in the morning, and again in the evening."""
LOGS = {"first": VIEWS[::2], "second": VIEWS[1::2]}
MARCH = "&start=2026-03-01&end=2026-03-31T23:59:59Z"


def line_of(hour: int, minute: int, path: str) -> str:
    at = f"10/Mar/2026:{hour:02}:{minute:02}:00 +0000"
    return f'203.0.113.1 - - [{at}] "GET {path} HTTP/1.1" 200 1 "-" "{FIREFOX}"\n'


@pytest.mark.parametrize("order", list(permutations(LOGS)))
def test_logs_that_are_imported_one_after_the_other_count_as_merged(
    beside: Service, person: Person, tmp_path: Path, order: tuple[str, ...]
) -> None:
    for name in order:
        log = tmp_path / name
        log.write_text("".join(line_of(*view) for view in LOGS[name]))
        where = f"{beside.url}/s/{person.made['site']['code']}"
        done = countless("import", str(log), "--url", where, "--token", person.token)
        assert done.returncode == 0, done.stdout
    person.sees({"/a": 2, "/b": 1, "/z": 1}, MARCH)
