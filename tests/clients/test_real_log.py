"""A real log, imported by the command: the figures are those of an independent count."""

import time
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.clients import breakdowns
from tests.clients.stack import Aws, Service, countless
from tests.recount import Recount, recount_file

LOG = Path(__file__).parent.parent / "data" / "access.log.gz"
FIRST, LAST = date(2015, 5, 17), date(2015, 5, 20)
RANGE = {"start": FIRST.isoformat(), "end": f"{LAST.isoformat()}T23:59:59Z"}
DAYS = [(FIRST + timedelta(days=n)).isoformat() for n in range((LAST - FIRST).days + 1)]
NOTHING = [0] * 24


@pytest.fixture(scope="session")
def recounted() -> Recount:
    """The log, counted by a script that shares nothing with the service."""
    found = recount_file(LOG)
    assert list(found.days) == DAYS
    return found


def import_log(service: Service) -> str:
    """Imports the log; what the command printed."""
    found = countless("import", str(LOG), "--url", service.url, "--token", service.token)
    assert found.returncode == 0, found.stdout
    return found.stdout


def check(service: Service, recounted: Recount) -> None:
    """Totals and paths are those of the recount: by day, by hour, by path."""
    total = service.get("stats/total", **RANGE)
    assert (total["total"], total["total_utc"], total["total_events"]) == (recounted.total, recounted.total, 0)
    assert _series(total["stats"]) == _days(recounted.hourly())
    assert {day["day"]: day["daily"] for day in total["stats"]} == recounted.days
    rows = list(service.pages(**RANGE))
    assert not any(row["event"] for row in rows)
    assert {row["path"]: row["count"] for row in rows} == recounted.paths
    assert {row["path"]: _series(row["stats"]) for row in rows} == {
        path: _days(recounted.hourly(path)) for path in recounted.paths
    }
    assert [row["count"] for row in rows] == sorted(recounted.paths.values(), reverse=True)


def check_breakdowns(service: Service, recounted: Recount, *, details: bool) -> None:
    """Every breakdown is that of the recount, and if asked for the details of each row and each path's referrers.

    Without a filter, and for the most visited path, for three, for one that has no visit, and for some by name.
    """
    ids = {row["path"]: row["path_id"] for row in service.pages(**RANGE)}
    first, second, third, *others = sorted(ids, key=lambda path: (-recounted.paths[path], path))
    last = [path for path in others if not set(path) & set(", ")][-20:]
    asked: list[tuple[dict[str, str], set[str] | None]] = [
        ({"include_paths": str(ids[first])}, {first}),
        ({"include_paths": ",".join(str(ids[path]) for path in (third, first, second))}, {first, second, third}),
        ({"include_paths": "999999"}, set()),
        ({"include_paths": ",".join(path.upper() for path in last), "path_by_name": "true"}, set(last)),
    ]
    for query, paths in asked:
        _check_filtered(service, query, Recount(visits={path: recounted.visits[path] for path in paths or ()}))
    done = breakdowns.compare(service, RANGE, recounted, asked, details=details)
    assert done.pages == 7 * (1 + len(asked))
    if details:
        assert done.details > 300
        assert breakdowns.compare_paths(service, RANGE, recounted, ids) == len(recounted.paths)


def _check_filtered(service: Service, query: dict[str, str], left: Recount) -> None:
    """Total and paths of a filter are those of the paths that it leaves."""
    total = service.get("stats/total", **RANGE, **query)
    assert (total["total"], total["total_utc"], total["total_events"]) == (left.total, left.total, 0)
    assert _series(total["stats"]) == _days(left.hourly())
    rows = service.get("stats/hits", **RANGE, **query, limit="100")["hits"]
    assert {row["path"]: (row["count"], _series(row["stats"])) for row in rows} == {
        path: (count, _days(left.hourly(path))) for path, count in left.paths.items()
    }


def _series(days: list[dict[str, Any]]) -> dict[str, list[int]]:
    assert all(day["daily"] == sum(day["hourly"]) for day in days)
    return {day["day"]: day["hourly"] for day in days}


def _days(hourly: dict[str, list[int]]) -> dict[str, list[int]]:
    return {day: hourly.get(day, NOTHING) for day in DAYS}


def test_the_figures_of_an_import_are_those_of_a_recount(service: Service, recounted: Recount) -> None:
    """Within a minute, and again after the same file was imported once more: nothing counts twice."""
    begun = time.monotonic()
    printed = import_log(service)
    service.imports_arrived()
    assert time.monotonic() - begun < 60
    figures = {line[:58].rstrip(): line[58:].strip() for line in printed.splitlines()}
    assert figures["lines read"] == f"{recounted.lines:,}"
    assert figures["sent"] == f"{recounted.sent:,}"
    check(service, recounted)
    import_log(service)
    service.imports_arrived()
    check(service, recounted)


def test_sweeps_and_audits_agree_with_the_recount(aws: Aws, beside: Service, recounted: Recount) -> None:
    """Read from the tail, from folded rollups, and from rollups to which the same file came again."""
    import_log(beside)
    assert not any(aws.settle().values())
    check(beside, recounted)
    check_breakdowns(beside, recounted, details=False)
    aws.audit(beside.stream)
    aws.sweep(beside.stream)
    check(beside, recounted)
    aws.audit(beside.stream)
    import_log(beside)
    assert not any(aws.settle().values())
    check(beside, recounted)
    aws.sweep(beside.stream)
    check(beside, recounted)
    check_breakdowns(beside, recounted, details=True)
    assert "watermark 0" not in aws.audit(beside.stream)
