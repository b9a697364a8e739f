"""The wire-compatibility checklist (page-view contract, section 15) over HTTP, rows 57 to 62: exports."""

import csv
import gzip
import hashlib
import io
import json
import re
import zipfile
from typing import Any

import pytest

from tests.clients.people import FIREFOX, People, Person, ask, error, errors
from tests.clients.stack import Service, until
from tests.front import Reply

HEADER = (
    b"2Path,Title,Event,UserAgent,Browser,System,Session,Bot,Referrer,Referrer scheme,Screen size,Location,FirstVisit,"
    b"Date\n"
)


def export(person: Person, body: str | None = None) -> dict[str, Any]:
    """A new export, as it is shown."""
    reply = person.ask("POST", "/api/v0/export", body)
    assert reply.status == 202, reply
    return dict(reply.json())


def finished(person: Person, number: int) -> dict[str, Any]:
    """An export once it is made."""
    found: dict[str, Any] = {}

    def done() -> bool:
        found.update(person.figures(f"/api/v0/export/{number}"))
        return found["finished_at"] is not None

    until("the export is made", done)
    return found


def download(person: Person, number: int) -> Reply:
    """Its file."""
    reply = person.get(f"/api/v0/export/{number}/download")
    assert reply.status == 200, reply
    return reply


def rows(data: bytes) -> list[dict[str, str]]:
    """The rows of a file."""
    return list(csv.DictReader(io.StringIO(gzip.decompress(data).decode(), newline="")))


@pytest.fixture(scope="module")
def counted(people: People) -> Person:
    """The owner of a site with a visitor who comes back, another, and an event without a session."""
    person = people.settle()
    shared = {"user_agent": FIREFOX, "title": "One, two"}
    hits = [
        {"path": "/a", "session": "x", "ref": "https://example.com/b", "size": "1920,1080,2", **shared},
        {"path": "/a", "session": "x", "location": "US-TX", **shared},
        {"path": "/a", "session": "y", **shared},
    ]
    assert person.count(*hits).status == 202
    assert person.count({"path": "bought", "event": True}, no_sessions=True).status == 202
    person.sees({"/a": 2, "bought": 1})
    return person


@pytest.mark.parametrize("body", ["{}", None, '{"start_from_hit_id":0}', '{"format":""}', '{"FORMAT":"csv"}'])
def test_row_57_an_export_is_begun(somebody: Person, body: str | None) -> None:
    """With nothing more said than that there shall be one; its ids count up."""
    found = export(somebody, body)
    assert (found["format"], found["finished_at"], found["error"]) == ("csv", None, None)
    assert (found["num_rows"], found["last_hit_id"], found["size"], found["hash"]) == (None, None, None, None)
    assert ("start_from_hit_id" in found) == (body is not None and "start" in body)
    assert re.fullmatch(r"goatcounter-export-\w+-\d{8}T\d{6}Z-0\.csv\.gz", found["path"])
    assert export(somebody)["id"] == found["id"] + 1


def test_row_58_a_second_export_within_the_hour_is_refused(limited: Service) -> None:
    """Bad requests are charged nothing."""
    bad = limited.request("POST", "export", json={"format": "xml"})
    assert (bad.status_code, bad.json()) == (400, {"error": 'unknown format: "xml"'})
    first = limited.request("POST", "export", json={})
    assert (first.status_code, first.headers["x-rate-limit-remaining"]) == (202, "0")
    second = limited.request("POST", "export", json={})
    assert second.status_code == 429
    assert second.text.startswith('{"error": "rate limited exceeded; try again in ')
    assert second.headers["x-rate-limit-limit"] == "1"
    assert 3500 < int(second.headers["retry-after"]) <= 3600


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ('{"format":"json","start_from_hit_id":5}', "start_from_hit_id is only valid for CSV exports"),
        ('{"format":"xml"}', 'unknown format: "xml"'),
        ('{"start_from_day":"2026-01-01T00:00:00Z"}', "start_from_day is only valid for JSON exports"),
        ('{"colour":"x"}', 'unknown parameter: "colour"'),
        ('{"start_from_hit_id":"5"}', "invalid JSON: start_from_hit_id must be a whole number of 64 bits"),
        ('{"format":"json","start_from_day":"2026"}', "invalid JSON: start_from_day must be a time like"),
        ("{{{{", "invalid JSON:"),
    ],
)
def test_row_58_what_a_format_has_no_use_for_is_refused(somebody: Person, body: str, text: str) -> None:
    """In the contract's words."""
    reply = somebody.ask("POST", "/api/v0/export", body)
    assert reply.status == 400
    assert error(reply).startswith(text)


def test_row_58_a_negative_cursor_is_refused(somebody: Person) -> None:
    """By the name of its field."""
    reply = somebody.ask("POST", "/api/v0/export", '{"start_from_hit_id":-1}')
    assert (reply.status, errors(reply)) == (400, {"start_from_hit_id": ["must be 0 or higher"]})


def test_rows_59_and_60_a_finished_export_says_what_it_is_and_is_loaded(counted: Person) -> None:
    """The hash is that of the bytes that come, which nothing on the way has packed again."""
    found = finished(counted, export(counted)["id"])
    assert (found["num_rows"], found["last_hit_id"], found["size"]) == (4, 4, "0.1")
    reply = download(counted, found["id"])
    assert found["hash"] == f"sha256-{hashlib.sha256(reply.body).hexdigest()}"
    assert reply.headers["content-type"] == "application/gzip"
    assert reply.headers["content-disposition"] == f'attachment; filename="{found["path"]}"'
    assert "content-encoding" not in reply.headers
    assert gzip.decompress(reply.body).startswith(HEADER)
    listed = rows(reply.body)
    assert [row["2Path"] for row in listed] == ["/a", "/a", "/a", "bought"]
    assert [row["FirstVisit"] for row in listed] == ["1", "0", "1", "1"]
    assert [row["Event"] for row in listed] == ["0", "0", "0", "1"]
    assert [row["Session"] == listed[0]["Session"] for row in listed] == [True, True, False, False]
    assert (listed[0]["Browser"], listed[0]["System"], listed[3]["Session"]) == ("Firefox 115", "Linux ", "0-0")
    assert (listed[0]["Referrer"], listed[0]["Referrer scheme"]) == ("example.com/b", "h")
    assert (listed[0]["Title"], listed[0]["Screen size"], listed[1]["Location"]) == ("One, two", "1920,0,1", "US-TX")


def test_row_61_there_is_no_file_yet(somebody: Person) -> None:
    """The words are no error: no success ever holds one."""
    reply = somebody.get(f"/api/v0/export/{export(somebody)['id']}/download")
    if reply.status == 202:  # else it was made at once
        assert reply.json() == {"status": "still being generated"}
    assert reply.status in (200, 202)


@pytest.mark.parametrize("suffix", ["", "/download"])
def test_row_61_there_is_no_such_export(somebody: Person, person: Person, suffix: str) -> None:
    """None that nobody has, and none that somebody else has."""
    theirs = max(export(somebody)["id"], export(somebody)["id"])
    for number in (999_999, 0, -1, theirs):
        reply = person.get(f"/api/v0/export/{number}{suffix}")
        assert (reply.status, error(reply)) == (404, "not found"), number
    reply = person.get(f"/api/v0/export/abc{suffix}")
    assert (reply.status, errors(reply)) == (400, {"id": ["must be a whole number"]})


def test_row_62_the_next_export_has_what_is_new(people: People) -> None:
    """And together they are the whole."""
    person = people.settle()
    assert person.count({"path": "/a"}, {"path": "/b"}, no_sessions=True).status == 202
    person.sees({"/a": 1, "/b": 1})
    first = finished(person, export(person)["id"])
    assert person.count({"path": "/c"}, {"path": "/a"}, no_sessions=True).status == 202
    person.sees({"/a": 2, "/b": 1, "/c": 1})
    after = first["last_hit_id"]
    second = finished(person, export(person, json.dumps({"start_from_hit_id": after}))["id"])
    assert (second["start_from_hit_id"], second["num_rows"], second["last_hit_id"]) == (2, 2, 4)
    assert second["path"].endswith("-2.csv.gz")
    whole, old, new = (
        gzip.decompress(download(person, number).body)
        for number in (finished(person, export(person)["id"])["id"], first["id"], second["id"])
    )
    assert old + new.removeprefix(HEADER) == whole
    third = finished(person, export(person, '{"start_from_hit_id":4}')["id"])
    assert (third["num_rows"], third["last_hit_id"]) == (0, 4)


def test_an_export_of_counts_is_an_archive(counted: Person) -> None:
    """From a day on, if one is named (page-view contract, section 8.2)."""
    body = '{"format":"json","start_from_day":"2020-01-01T12:00:00+02:00"}'
    found = finished(counted, export(counted, body)["id"])
    assert (found["start_from_day"], found["num_rows"], found["last_hit_id"]) == ("2020-01-01T00:00:00Z", None, None)
    reply = download(counted, found["id"])
    assert reply.headers["content-type"] == "application/zip"
    assert found["hash"] == f"sha256-{hashlib.sha256(reply.body).hexdigest()}"
    with zipfile.ZipFile(io.BytesIO(reply.body)) as archive:
        folder = found["path"].removesuffix(".zip")
        lines = archive.read(f"{folder}/hit_stats.jsonl").decode().splitlines()
    assert sum(json.loads(line)["count"] for line in lines) == 3


def test_a_file_that_was_exported_counts_the_same_where_it_is_imported(counted: Person, people: People) -> None:
    """Visits of those who had a session, sent as the reference's import command sends them (contract, section 8.4)."""
    found = rows(download(counted, finished(counted, export(counted)["id"])["id"]).body)
    keys: dict[str, str] = {}
    hits = [
        {
            "path": row["2Path"],
            "title": row["Title"],
            "event": row["Event"] == "1",
            "ref": row["Referrer"],
            "session": keys.setdefault(row["Session"], f"{len(keys):x}-{len(keys) + 7:x}"),
            "size": row["Screen size"],
            "location": row["Location"],
            "created_at": row["Date"],
            "bot": int(row["Bot"]),
            "query": "",
            "user_agent": "",
            "ip": "",
        }
        for row in found
    ]
    person = people.settle()
    assert person.count(*hits, no_sessions=True, filter=None).status == 202
    person.sees({"/a": 2, "bought": 1})


def test_nobody_without_the_permission_exports(somebody: Person) -> None:
    """Nor without a key."""
    key = {"Authorization": f"Bearer {somebody.key(2)}"}
    reply = somebody.ask("POST", "/api/v0/export", "{}", key)
    assert (reply.status, error(reply)) == (403, "requires 'export' permissions")
    assert ask(somebody.url, "POST", "/api/v0/export", {"Host": somebody.host}).status == 401
