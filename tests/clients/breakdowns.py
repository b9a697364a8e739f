"""Compares every breakdown of a service, rows, order, pages and details, with what a recount of a log says."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple
from urllib.parse import quote

import httpx

from tests.clients.stack import Service
from tests.recount import Recount, Visit

PAGE = 100
"""Rows that an answer holds at most."""


class Compared(NamedTuple):
    """How many answers were right."""

    pages: int
    details: int


class Breakdowns:
    """What a service answers for a range, over one connection."""

    def __init__(self, service: Service, when: dict[str, str]) -> None:
        headers = {"Authorization": f"Bearer {service.token}"}
        self._client = httpx.Client(base_url=f"{service.url}/api/v0/stats/", headers=headers, timeout=60)
        self._when = when

    def close(self) -> None:
        """Hangs up."""
        self._client.close()

    def rows(self, path: str, query: dict[str, str], key: str = "stats") -> list[dict[str, Any]]:
        """All rows, page by page."""
        found: list[dict[str, Any]] = []
        while True:
            paged = {**self._when, **query, "limit": str(PAGE), "offset": str(len(found))}
            answer = self._client.get(path, params=paged)
            assert answer.status_code == 200, answer.text
            body = answer.json()
            assert list(body) == [key, "more"]
            found += body[key]
            if not body["more"]:
                return found
            assert len(body[key]) == PAGE


def ranked(counts: Iterable[Any]) -> list[tuple[Any, int]]:
    """Most first, of equals by name."""
    return sorted(Counter(counts).items(), key=lambda item: (-item[1], item[0]))


def compare(
    service: Service,
    when: dict[str, str],
    recounted: Recount,
    queries: Sequence[tuple[dict[str, str], set[str] | None]],
    *,
    details: bool,
) -> Compared:
    """Holds the service to the recount: unfiltered, and for queries with the paths they leave; details too or not.

    The log says nothing of screens and languages, and nobody knows where its addresses are.
    """
    asked = Breakdowns(service, when)
    pages = rows_detailed = 0
    try:
        for query, paths in [({}, None), *queries]:
            visits = [visit for visit in recounted.each if paths is None or visit.path in paths]
            for page, expected in _pages(visits).items():
                found = asked.rows(page, query)
                assert found == expected, (page, query)
                pages += 1
            for path, rows in _details(visits) if details else ():
                assert [(row["name"], row["count"]) for row in asked.rows(path, query)] == rows, (path, query)
                rows_detailed += 1
            pages += _compare_referrers(asked, query, visits)
            pages += _compare_campaigns(asked, query, visits)
    finally:
        asked.close()
    return Compared(pages, rows_detailed)


def _pages(visits: list[Visit]) -> dict[str, list[dict[str, Any]]]:
    """Rows of all pages but those whose order is by ids that are not known here."""
    unknown = [{"id": "(unknown)", "name": "(unknown)", "count": len(visits)}] if visits else []
    sizes = {"phone": 0, "tablet": 0, "desktop": 0, "desktophd": 0, "unknown": len(visits)}
    return {
        "browsers": _named(visit.browser[0] for visit in visits),
        "systems": _named(visit.system[0] for visit in visits),
        "locations": unknown,
        "languages": unknown,
        "sizes": [{"id": size, "name": "", "count": count} for size, count in sizes.items()],
    }


def _named(names: Iterable[str]) -> list[dict[str, Any]]:
    return [{**({"id": name} if name else {}), "name": name, "count": count} for name, count in ranked(names)]


def _details(visits: list[Visit]) -> Iterator[tuple[str, list[tuple[str, int]]]]:
    """The details of every id that the pages list, and their rows."""
    kinds: list[tuple[str, Callable[[Visit], tuple[str, str]]]] = [
        ("browsers", lambda visit: visit.browser),
        ("systems", lambda visit: visit.system),
    ]
    for page, of in kinds:
        for name in {of(visit)[0] for visit in visits} - {""}:
            found = (" ".join(of(visit)).strip() for visit in visits if of(visit)[0].lower() == name.lower())
            yield f"{page}/{quote(name, safe='')}", ranked(found)
    if visits:
        yield "locations/(unknown)", [("(unknown)", len(visits))]
        yield "sizes/unknown", [("\u2194\ufe0e 0px", len(visits))]
    for text in {visit.referrer for visit in visits} - {""}:
        found = (visit.path for visit in visits if visit.referrer.lower() == text.lower())
        yield f"toprefs/{quote(text, safe='')}", ranked(found)


def _compare_referrers(asked: Breakdowns, query: dict[str, str], visits: list[Visit]) -> int:
    """The page of referrers; of equals the ids decide, which are not shown."""
    rows = asked.rows("toprefs", query)
    assert all(row.get("id", "") == row["name"] for row in rows)
    _same_referrers(rows, visits)
    return 1


def _compare_campaigns(asked: Breakdowns, query: dict[str, str], visits: list[Visit]) -> int:
    """The page of campaigns, and the details of each by the id that it shows."""
    named = [visit for visit in visits if visit.campaign]
    rows = asked.rows("campaigns", query)
    assert {row["name"]: row["count"] for row in rows} == Counter(visit.campaign for visit in named)
    assert [(-row["count"], int(row["id"])) for row in rows] == sorted((-row["count"], int(row["id"])) for row in rows)
    for row in rows:
        sources = ranked(visit.referrer for visit in named if visit.campaign == row["name"])
        found = asked.rows(f"campaigns/{row['id']}", query)
        assert [(source["name"], source["count"]) for source in found] == sources
    return 1


def _same_referrers(rows: list[dict[str, Any]], visits: list[Visit]) -> None:
    counts = Counter((visit.referrer, visit.scheme) for visit in visits)
    assert len(rows) == len(counts)
    assert {(row["name"], row["ref_scheme"]): row["count"] for row in rows} == counts
    assert [row["count"] for row in rows] == sorted(counts.values(), reverse=True)


def compare_paths(service: Service, when: dict[str, str], recounted: Recount, ids: dict[str, int]) -> int:
    """Holds the referrers of each path to the recount; how many paths there were. `ids` by path."""
    asked = Breakdowns(service, when)
    try:
        for path, number in ids.items():
            rows = asked.rows(f"hits/{number}", {}, "refs")
            assert all("id" not in row for row in rows)
            _same_referrers(rows, [visit for visit in recounted.each if visit.path == path])
    finally:
        asked.close()
    return len(ids)
