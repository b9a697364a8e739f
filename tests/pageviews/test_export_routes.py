"""Exports of page views through the front door: what is charged, and what becomes of files that are large or gone."""

import json
from io import BytesIO
from typing import Any
from urllib.request import urlopen
from zipfile import ZipFile

import pytest
from chalice.app import Chalice

from chalicelib import wiring
from chalicelib.aws.accounts import Created
from chalicelib.core.errors import RateLimited, Unavailable
from chalicelib.core.exports import CHANGED, KEPT
from chalicelib.functions.export import SOURCES
from chalicelib.pageviews.requests_export import SURFACE
from chalicelib.pageviews.responses_export import DELETED
from chalicelib.pageviews.routes import exports as routes
from infrastructure.local.pump import Pump
from tests.front import FrontDoor
from tests.people import Person, address

EXPORT = "/api/v0/export"


@pytest.fixture
def person(quick: Chalice, owner: Created) -> Person:
    """The owner of a new account."""
    return Person(FrontDoor(quick), owner, owner.token)


def _later(patch: pytest.MonkeyPatch, seconds: float) -> None:
    """Sets the clock to so much later, and stops it."""
    at = wiring.now() + seconds
    patch.setattr(wiring, "now", lambda: at)


def finished(person: Person) -> dict[str, Any]:
    """An export that is made at once."""
    made: dict[str, Any] = person.post(EXPORT, json_body={}).json()
    account = person.created.account.id
    job = wiring.exports().numbered(account, made["id"])
    wiring.exporter().run(job, SOURCES[SURFACE], lambda: 600.0)
    found: dict[str, Any] = person.get(f"{EXPORT}/{made['id']}").json()
    assert found["finished_at"] is not None
    return found


def test_only_what_is_begun_is_charged(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither bad requests, nor other methods, nor one that nobody could be asked for (quirk 18)."""
    here = address()
    assert person.post(EXPORT, json_body={"format": "xml"}, client=here).status == 400
    assert person.get(EXPORT, client=here).status == 405
    undeclared = person.ask("POST", EXPORT)
    assert (undeclared.status, undeclared.json()) == (415, {"error": 'unable to handle Content-Type ""'})
    with monkeypatch.context() as patch:

        def failing(*_: object) -> None:
            raise Unavailable("SQS")

        patch.setattr("chalicelib.aws.queues.SqsExports.ask", failing)
        assert person.post(EXPORT, json_body={}, client=here).status == 503
    first = person.post(EXPORT, json_body={}, client=here)
    assert (first.status, first.headers["x-rate-limit-limit"], first.headers["x-rate-limit-remaining"]) == (
        202,
        "1",
        "0",
    )
    wiring.limiter()._seen.clear()  # as another process
    _later(monkeypatch, 2.0)
    second = person.post(EXPORT, json_body={}, client=here)
    assert second.status == 429
    assert second.text.startswith('{"error": "rate limited exceeded; try again in 59m')
    assert person.get(f"{EXPORT}/{first.json()['id'] + 1}").status == 404, "nothing was begun"


def test_a_safe_file_is_asked_for_when_it_is_made(person: Person) -> None:
    """Not when it is loaded: it is made once."""
    made = person.post(f"{EXPORT}?safe=1", json_body={})
    job = wiring.exports().numbered(person.created.account.id, made.json()["id"])
    assert (made.status, job.parameters["safe"]) == (202, "1")
    plain = finished(person)
    asked = {"safe=1": 400, "safe=0": 200, "safe=maybe": 400}
    found = {query: person.get(f"{EXPORT}/{plain['id']}/download?{query}") for query in asked}
    assert {query: reply.status for query, reply in found.items()} == asked
    assert "POST /api/v0/export?safe=1" in found["safe=1"].json()["error"]
    for query, body in (("safe=maybe", {}), ("safe=1", {"format": "json"})):
        refused = person.post(f"{EXPORT}?{query}", json_body=body)
        assert (refused.status, refused.json()["error"][:4]) == (400, "safe")


def test_of_two_at_once_one_is_undone(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both see an open window; the one that finds it used up afterwards leaves nothing."""
    here = address()
    with monkeypatch.context() as patch:
        patch.setattr("chalicelib.aws.limits.Limiter.check", lambda *_: None)
        first, second = (person.post(EXPORT, json_body={}, client=here) for _ in range(2))
    assert (first.status, second.status) == (202, 429)
    jobs = wiring.exports().jobs(person.created.account.id, SURFACE, 10, "")
    assert [job.number for job in jobs.entries] == [first.json()["id"]]
    assert person.get(f"{EXPORT}/{first.json()['id'] + 1}").status == 404


@pytest.mark.usefixtures("quick")
def test_a_window_that_is_used_up_refuses_without_a_charge() -> None:
    """As often as it is asked."""
    limiter, window = wiring.limiter(), wiring.plans()["export"]
    caller = limiter.caller(address())
    limiter.check(caller, [window])
    assert limiter.take(caller, [window]).remaining == 0
    for _ in range(2):
        with pytest.raises(RateLimited):
            limiter.check(caller, [window])


def test_a_large_file_is_sent_for_by_a_link_that_holds(
    person: Person, monkeypatch: pytest.MonkeyPatch, bucket: None
) -> None:
    """Whoever has the link needs no key; it leads to the file each time, until that is gone. None other does."""
    del bucket
    made = finished(person)
    whole = person.get(f"{EXPORT}/{made['id']}/download")
    monkeypatch.setattr(routes, "LARGEST", 10)
    sent = person.get(f"{EXPORT}/{made['id']}/download")
    assert sent.status == 302
    link = sent.headers["location"]
    assert link.startswith(f"{person.prefix}/api/v0/export/exp_")
    for _ in range(2):
        minted = person.front.get(link, client=address())
        assert minted.status == 302
        with urlopen(minted.headers["location"]) as answer:
            assert answer.read() == whole.body
            assert answer.headers["content-type"] == "application/gzip"
            assert answer.headers["content-encoding"] is None
    wrong = person.front.get(link[:-1] + ("0" if link[-1] != "0" else "1"), client=address())
    assert (wrong.status, wrong.json()) == (403, {"error": "this link does not hold, or not any more"})
    _later(monkeypatch, KEPT + 1)
    assert person.front.get(link, client=address()).status == 403


def test_a_file_that_has_expired_or_was_withdrawn_is_gone_and_its_record_stays(
    person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the contract's words (quirk 11), however it is asked for."""
    withdrawn, late = finished(person), finished(person)
    site = person.created.site
    link = None
    with monkeypatch.context() as patch:
        patch.setattr(routes, "LARGEST", 10)
        link = person.get(f"{EXPORT}/{withdrawn['id']}/download").headers["location"]
    _later(monkeypatch, KEPT + 2)
    expired = person.get(f"{EXPORT}/{late['id']}/download")
    assert (expired.status, expired.json()) == (400, {"error": DELETED})
    monkeypatch.undo()
    wiring.exports().withdraw(site.account, SURFACE, {"site": str(site.id)})
    for gone in (person.get(f"{EXPORT}/{withdrawn['id']}/download"), person.front.get(link, client=address())):
        assert (gone.status, gone.json()) == (400, {"error": DELETED})
    assert person.get(f"{EXPORT}/{withdrawn['id']}").json() == withdrawn


def test_an_export_of_which_something_was_taken_out_fails_and_says_so(person: Person) -> None:
    """It never has an end, as clients that wait for one expect it; its error says why."""
    site = person.created.site
    wanted = {"site": "999", "format": "csv", "head": "0", "event": "0"}
    job = wiring.exports().begin(site.account, SURFACE, "x.csv.gz", wanted, wiring.now(), numbered=True)
    assert person.get(f"{EXPORT}/{job.number}").status == 404, "it is another site's"
    made = person.post(EXPORT, json_body={}).json()
    wiring._withdraw(site.stream)  # as when page views are redacted, or all of the site
    found = person.get(f"{EXPORT}/{made['id']}").json()
    assert (found["finished_at"], found["error"]) == (None, CHANGED)
    gone = person.get(f"{EXPORT}/{made['id']}/download")
    assert (gone.status, gone.json()) == (400, {"error": CHANGED})


def test_the_function_makes_what_was_asked_for(person: Person, pump: Pump) -> None:
    """From the request over the queue to the file; while it is made, its words are no error."""
    made = [person.post(EXPORT, json_body=body).json() for body in ({}, {"format": "json"})]
    waiting = person.get(f"{EXPORT}/{made[0]['id']}/download")
    assert (waiting.status, waiting.json()) == (202, {"status": "still being generated"})
    pump.settle()
    types = [person.get(f"{EXPORT}/{each['id']}/download").headers["content-type"] for each in made]
    assert types == ["application/gzip", "application/zip"]


@pytest.mark.parametrize(
    ("name", "status"),
    [("0", 404), ("-1", 404), ("9" * 18, 404), (str(2**63 - 1), 404), (str(2**63), 400), ("x", 400), ("1.0", 400)],
)
def test_a_number_that_no_export_has_is_not_found(person: Person, name: str, status: int) -> None:
    """However large, up to 64 bits; what is no number is said to be none."""
    for path in (name, f"{name}/download"):
        reply = person.get(f"{EXPORT}/{path}")
        said = {"error": "not found"} if status == 404 else {"errors": {"id": ["must be a whole number"]}}
        assert (reply.status, reply.json()) == (status, said)


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("9999-12-31T23:59:59-23:59", "9999-12-31T23:59:59Z"),
        ("0001-01-01T00:00:00+23:59", "0001-01-01T00:00:00Z"),
        ("0001-01-02T00:00:00Z", "0001-01-02T00:00:00Z"),
    ],
)
def test_a_first_day_may_be_at_the_ends_of_the_calendar(person: Person, given: str, shown: str) -> None:
    """In some zones it lies beyond."""
    made = person.post(EXPORT, json_body={"format": "json", "start_from_day": given})
    assert (made.status, made.json()["start_from_day"]) == (202, shown)


def test_an_archive_of_everything_has_visits_of_any_year(person: Person, pump: Pump) -> None:
    """Those imported from before 1970 too; a first day of long ago leaves out what is older."""
    for year in ("0480", "0550", "1969"):
        hits = [{"path": "/old", "created_at": f"{year}-03-01T00:00:00Z"}]
        assert person.post("/api/v0/count", json_body={"no_sessions": True, "hits": hits}).status == 202
    pump.settle()
    years = []
    for start in ({}, {"start_from_day": "0500-01-01T00:00:00Z"}):
        made = person.post(EXPORT, json_body={"format": "json", **start}).json()
        assert {key: made[key] for key in start} == start
        pump.settle()
        with ZipFile(BytesIO(person.get(f"{EXPORT}/{made['id']}/download").body)) as file:
            lines = file.read(f"{made['path'].removesuffix('.zip')}/hit_stats.jsonl").splitlines()
        years.append([json.loads(line)["hour"][:4] for line in lines])
    assert years == [["0480", "0550", "1969"], ["0550", "1969"]]
