"""GoatCounter's commands `dashboard` and `import` of v2.7.0 against a running service (checklist, row 70).

`tests.clients.goatcounter` sends what they send. If `COUNTLESS_TEST_GOATCOUNTER` names the binary itself, that is run
as well.
"""

import csv
import gzip
import io
import os
import random
import secrets
import subprocess
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.clients.goatcounter import BATCH, Commands
from tests.clients.people import FIREFOX, People, Person
from tests.clients.stack import Aws, Service, until

HEADER = [
    *("2Path", "Title", "Event", "UserAgent", "Browser", "System", "Session", "Bot"),
    *("Referrer", "Referrer scheme", "Screen size", "Location", "FirstVisit", "Date"),
]
BEGINNING = datetime(2026, 1, 18, 14, 42, tzinfo=UTC)
IN_JANUARY = "&start=2026-01-01&end=2026-01-31"
BINARY = os.environ.get("COUNTLESS_TEST_GOATCOUNTER", "")
needs_binary = pytest.mark.skipif(not BINARY, reason="COUNTLESS_TEST_GOATCOUNTER names no binary of GoatCounter v2.7.0")


@pytest.fixture(scope="session")
def hurried(aws: Aws, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """`countless serve` with the limits that everybody gets; but whoever counts too much has to wait a second only."""
    arguments = ("--limits", "api-count:2/1", "--aws", aws.url)
    service = Service(tmp_path_factory.mktemp("hurried") / "keys.json", arguments)
    try:
        service.start()
        yield service
    finally:
        service.kill()


def own(service: Service, person: Person) -> str:
    """The URL of a person's site at this service."""
    return f"{service.url}/s/{person.made['site']['code']}"


def exported(views: int, seed: int = 70) -> list[list[str]]:
    """Rows as a CSV export has them (page-view contract, section 8.1): sessions come again, some rows have none."""
    chance = random.Random(seed)
    sessions = [f"{chance.getrandbits(60):x}-{chance.getrandbits(63):x}" for _ in range(views // 4)]
    rows = []
    for number in range(views):
        at = (BEGINNING + timedelta(seconds=number)).strftime("%Y-%m-%dT%H:%M:%SZ")
        session = chance.choice(sessions) if chance.random() < 0.9 else "0-0"
        path = f"/{chance.randrange(20)}, said “so”"
        size = f"{chance.choice((0, 360, 1920))},0,1"
        named = [path, "A title", "0", "", "Firefox 139", "Linux ", session, "0"]
        rows.append([*named, "example.com/a", "h", size, "NL", "1", at])
    return rows


def as_csv(rows: Iterable[list[str]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([HEADER, *rows])
    return text.getvalue()


def visits(rows: Iterable[list[str]]) -> dict[str, int]:
    """How many sessions have seen each path; what has no session makes one together."""
    seen = {(row[0], row[6]) for row in rows}
    return {path: sum(path == other for other, _ in seen) for path, _ in seen}


def test_row_70_importing_an_exported_file_reproduces_its_visits(hurried: Service, person: Person) -> None:
    """The command waits when it is told to, and all batches arrive; nothing of them is wrong."""
    rows = exported(3 * BATCH + 1)
    command = Commands(own(hurried, person), person.token)
    assert command.import_csv(io.StringIO(as_csv(rows))) == len(rows)
    assert command.answered == ["GET /api/v0/me", *["POST /api/v0/count"] * 4]
    assert command.refused["/api/v0/count"] >= 1
    assert command.complaints == []
    person.sees(visits(rows), IN_JANUARY)


def downloaded(person: Person) -> bytes:
    """The file of a new export of all of a person's page views."""
    made = person.ask("POST", "/api/v0/export", "{}")
    assert made.status == 202
    where = f"/api/v0/export/{made.json()['id']}"
    until("the export is finished", lambda: person.figures(where)["finished_at"] is not None)
    return person.get(f"{where}/download").body


def counted(person: Person) -> dict[str, int]:
    """Counts some page views of sessions that come again; the visits by path."""
    chance = random.Random(7)
    hits = []
    for number in range(BATCH):
        at = (BEGINNING + timedelta(seconds=number)).strftime("%Y-%m-%dT%H:%M:%SZ")
        hits.append(
            {
                "path": f"/{chance.randrange(12)}?q={chance.randrange(3)}",
                "title": 'A "title", said',
                "session": str(chance.randrange(60)),
                "user_agent": FIREFOX,
                "ref": "https://example.com/a",
                "location": "NL",
                "size": "1920",
                "created_at": at,
            }
        )
    assert person.count(*hits).status == 202
    expected = Counter(path for path, _ in {(hit["path"], hit["session"]) for hit in hits})
    person.sees(dict(expected), IN_JANUARY)
    return dict(expected)


def test_row_70_what_one_site_has_exported_another_imports(hurried: Service, people: People, person: Person) -> None:
    """Through the file alone, every visit is there again."""
    expected, other = counted(person), people.settle()
    lines = gzip.decompress(downloaded(person)).decode().splitlines(keepends=True)
    command = Commands(own(hurried, other), other.token)
    assert command.import_csv(lines) == BATCH
    other.sees(expected, IN_JANUARY)
    rows, again = (list(csv.reader(text)) for text in (lines, gzip.decompress(downloaded(other)).decode().splitlines()))
    assert [row[:2] + row[12:] for row in rows] == [row[:2] + row[12:] for row in again]


def test_row_70_the_dashboard_command_completes(hurried: Service, person: Person) -> None:
    """Ten requests at four a second, and what is refused is asked for again at once, which must not use up the hour."""
    hits = [
        {
            "path": path,
            "session": session,
            "user_agent": FIREFOX,
            "location": "NL",
            "size": "1920",
            "ref": "example.com",
        }
        for path, session in (("/a", "x"), ("/a", "y"), ("/b", "x"))
    ]
    assert person.count(*hits).status == 202
    command = Commands(own(hurried, person), person.token)
    person.sees({"/a": 2, "/b": 1})
    now = datetime.now(UTC)
    found = command.dashboard(now - timedelta(days=7), now + timedelta(hours=1))
    assert (found["total"]["total"], found["total"]["total_utc"]) == (3, 3)
    assert [(hit["path"], hit["count"], hit["title"]) for hit in found["hits"]["hits"]] == [
        ("/a", 2, ""),
        ("/b", 1, ""),
    ]
    assert found["hits"]["total"] == 3
    shown = {page: [(row["name"], row["count"]) for row in found[page]["stats"]] for page in ("browsers", "locations")}
    assert shown == {"browsers": [("Firefox", 3)], "locations": [("Netherlands", 3)]}
    assert [row["count"] for row in found["sizes"]["stats"]] == [0, 0, 3, 0, 0]
    assert found["campaigns"]["stats"] == []
    assert sum(command.refused.values()) > 0
    assert len(command.answered) == 10


# The commands themselves


def run(hurried: Service, person: Person, *arguments: str) -> str:
    """Runs the binary to its end, which has to be a good one; what it printed."""
    command, *operands = arguments
    done = subprocess.run(
        [BINARY, command, f"-site={own(hurried, person)}", *operands],
        env={"GOATCOUNTER_API_KEY": person.token, "PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@needs_binary
def test_row_70_the_import_binary_completes(hurried: Service, person: Person, tmp_path: Path) -> None:
    """The same as above, by the real command and from a compressed file."""
    rows = exported(3 * BATCH + 1, seed=71)
    file = tmp_path / "export.csv.gz"
    file.write_bytes(gzip.compress(as_csv(rows).encode()))
    printed = run(hurried, person, "import", str(file))
    assert f"{len(rows)} rows" in printed
    person.sees(visits(rows), IN_JANUARY)


@needs_binary
def test_row_70_the_import_binary_reads_what_was_exported(
    hurried: Service, people: People, person: Person, tmp_path: Path
) -> None:
    """A file from one site goes into another as it is."""
    expected, other = counted(person), people.settle()
    file = tmp_path / "export.csv.gz"
    file.write_bytes(downloaded(person))
    assert f"{BATCH} rows" in run(hurried, other, "import", str(file))
    other.sees(expected, IN_JANUARY)


@needs_binary
def test_row_70_the_dashboard_binary_completes(hurried: Service, person: Person) -> None:
    """It shows what was counted."""
    path = f"/{secrets.token_hex(4)}"
    assert person.count({"path": path, "user_agent": FIREFOX, "location": "NL"}, no_sessions=True).status == 202
    person.sees({path: 1})
    printed = run(hurried, person, "dashboard")
    assert path in printed
    assert "Firefox" in printed
