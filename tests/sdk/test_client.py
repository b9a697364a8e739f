"""The client waits, repeats and pages as the protocol asks, and never counts twice."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone

import httpx
import pytest

from countless.client import Counted, Hit, PageViews, Wait
from countless.errors import (
    BadRequestError,
    ForbiddenError,
    NotFoundError,
    RateLimitedError,
    RefusedError,
    UnauthorizedError,
    UnexpectedError,
    UnreachableError,
)

OK = {"status": "ok"}
TWO: list[Hit] = [{"path": "/a"}, {"path": "/b"}]


class Time:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    def __call__(self) -> float:
        return self.now


class Service:
    """Answers each request with the next of some answers, the last of them for ever, and remembers what was asked."""

    def __init__(self, *answers: httpx.Response | Exception) -> None:
        self.answers = list(answers)
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


def client(
    service: Callable[[httpx.Request], httpx.Response], time: Time | None = None, url: str = "https://stats.test"
) -> PageViews:
    time = time or Time()
    return PageViews(url, "secret", httpx.MockTransport(service), sleep=time.sleep, clock=time)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://stats.test", "https://stats.test/api/v0/count"),
        ("https://stats.test/", "https://stats.test/api/v0/count"),
        ("https://stats.test/s/ACME", "https://stats.test/s/ACME/api/v0/count"),
        ("https://stats.test/s/ACME/api/v0", "https://stats.test/s/ACME/api/v0/count"),
        ("https://stats.test/count", "https://stats.test/api/v0/count"),
    ],
)
def test_the_base_of_a_site_leads_to_its_api(url: str, expected: str) -> None:
    service = Service(httpx.Response(202, json=OK))
    client(service, url=url).count(TWO)
    assert str(service.requests[0].url) == expected


def test_a_batch_is_sent_as_the_protocol_has_it() -> None:
    service = Service(httpx.Response(202, json=OK))
    counted = client(service).count(TWO, no_sessions=True, filter=[], idempotency_key="k")
    (request,) = service.requests
    assert request.method == "POST"
    assert request.headers["Authorization"] == "Bearer secret"
    assert request.headers["Content-Type"] == "application/json"
    assert request.headers["Idempotency-Key"] == "k"
    assert json.loads(request.content) == {"no_sessions": True, "filter": [], "hits": TWO}
    assert counted == Counted(frozenset(), {}, repeated=False)


def test_filtered_and_refused_hits_are_told_by_their_position() -> None:
    answer = httpx.Response(
        400, json={"errors": {"1": "path: must be set.\n"}}, headers={"X-Goatcounter-Filter": "0, 4"}
    )
    hits: list[Hit] = [{"path": "/"}] * 5
    assert client(Service(answer)).count(hits) == Counted(frozenset({0, 4}), {1: "path: must be set."})


@pytest.mark.parametrize(
    ("status", "body", "kind", "message"),
    [
        (400, {"error": "no hits"}, BadRequestError, "no hits"),
        (400, {"errors": {"hits": ["must be set"]}}, BadRequestError, '{"hits": ["must be set"]}'),
        (400, {"errors": {"7": "beyond what was sent"}}, BadRequestError, '{"7": "beyond what was sent"}'),
        (401, {"error": "unknown token"}, UnauthorizedError, "unknown token"),
        (403, {"error": "requires 'count' permissions"}, ForbiddenError, "requires 'count' permissions"),
        (404, {"error": "not found"}, NotFoundError, "not found"),
        (415, None, BadRequestError, "Unsupported Media Type"),
        (302, None, UnexpectedError, "Found"),
    ],
)
def test_a_refusal_is_raised_at_once_with_the_words_of_the_service(
    status: int, body: object, kind: type[RefusedError], message: str
) -> None:
    service = Service(httpx.Response(status, json=body) if body else httpx.Response(status))
    with pytest.raises(kind) as caught:
        client(service).count(TWO)
    assert (caught.value.status, caught.value.message) == (status, message)
    assert len(service.requests) == 1


def test_what_gets_no_answer_is_repeated_byte_for_byte_under_the_same_key() -> None:
    service = Service(
        httpx.ConnectError("refused"),
        httpx.ReadTimeout("slow"),
        httpx.Response(502),
        httpx.Response(503, json={"error": "later"}),
        httpx.Response(202, json=OK),
    )
    time = Time()
    client(service, time).count(TWO)
    assert len({(r.content, r.headers["Idempotency-Key"]) for r in service.requests}) == 1
    assert service.requests[0].headers["Idempotency-Key"]
    assert time.slept == pytest.approx([0.1, 0.4, 0.9, 1.6])


def test_two_calls_without_a_key_are_two_messages() -> None:
    service = Service(httpx.Response(202, json=OK))
    counting = client(service)
    counting.count(TWO)
    counting.count(TWO)
    first, second = (request.headers["Idempotency-Key"] for request in service.requests)
    assert first != second


def test_patience_ends() -> None:
    service, time = Service(httpx.ConnectError("refused")), Time()
    with pytest.raises(UnreachableError, match="ConnectError"):
        client(service, time).me()
    assert 240 < sum(time.slept) <= 300
    assert max(time.slept) == 30


def test_a_success_renews_the_patience() -> None:
    time = Time()
    failures = [httpx.ConnectError("refused")] * 15
    service = Service(*failures, httpx.Response(200, json={}), *failures, httpx.Response(200, json={}))
    counting = client(service, time)
    counting.me()
    counting.me()
    assert sum(time.slept) > 150


def test_an_address_of_another_protocol_is_not_tried_again() -> None:
    time = Time()
    with pytest.raises(UnreachableError):
        PageViews("ftp://stats.test", "t", sleep=time.sleep, clock=time).me()
    assert time.slept == []


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "7", "X-Rate-Limit-Reset": "9"}, 7),
        ({"X-Rate-Limit-Reset": "9"}, 9),
        ({"Retry-After": "0"}, 1),
        ({"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT", "X-Rate-Limit-Reset": "3"}, 3),
        ({}, 1),
    ],
)
def test_a_429_is_waited_out_for_as_long_as_it_says(headers: dict[str, str], seconds: int) -> None:
    service, time = Service(httpx.Response(429, headers=headers), httpx.Response(202, json=OK)), Time()
    waits: list[Wait] = []
    with PageViews(
        "https://stats.test", "t", httpx.MockTransport(service), sleep=time.sleep, clock=time, on_wait=waits.append
    ) as counting:
        counting.count(TWO)
    assert time.slept == [seconds]
    assert [wait.seconds for wait in waits] == [seconds]
    assert service.requests[0].headers["Idempotency-Key"] == service.requests[1].headers["Idempotency-Key"]


def test_a_429_that_asks_for_days_is_an_error() -> None:
    service = Service(httpx.Response(429, headers={"Retry-After": "86400"}, json={"error": "rate limited exceeded"}))
    with pytest.raises(RateLimitedError) as caught:
        client(service).me()
    assert caught.value.seconds == 86400


def test_429s_do_not_use_up_the_patience() -> None:
    busy = httpx.Response(429, headers={"Retry-After": "100"})
    service = Service(busy, busy, busy, busy, httpx.Response(202, json=OK))
    client(service).count(TWO)
    assert len(service.requests) == 5


def test_when_nothing_remains_the_next_request_waits_for_the_window() -> None:
    used_up = {"X-Rate-Limit-Remaining": "0", "X-Rate-Limit-Reset": "42"}
    service, time = Service(httpx.Response(202, json=OK, headers=used_up), httpx.Response(202, json=OK)), Time()
    counting = client(service, time)
    counting.count(TWO)
    assert time.slept == []
    time.now += 2
    counting.count(TWO)
    counting.count(TWO)
    assert time.slept == [40]


def test_a_window_that_has_passed_meanwhile_costs_no_wait() -> None:
    used_up = {"X-Rate-Limit-Remaining": "0", "X-Rate-Limit-Reset": "42"}
    service, time = Service(httpx.Response(202, json=OK, headers=used_up)), Time()
    counting = client(service, time)
    counting.count(TWO)
    time.now += 43
    counting.count(TWO)
    assert time.slept == []


def test_moments_are_sent_in_utc_and_texts_as_they_are() -> None:
    service = Service(httpx.Response(200, json={"total": 3, "total_events": 0, "total_utc": 3, "stats": []}))
    start = datetime(2015, 5, 17, 2, tzinfo=timezone(timedelta(hours=2)))
    assert client(service).total(start, "2015-05-20")["total"] == 3
    assert dict(service.requests[0].url.params) == {"start": "2015-05-17T00:00:00Z", "end": "2015-05-20"}


def test_an_answer_that_is_no_object_is_not_mistaken_for_one() -> None:
    with pytest.raises(UnexpectedError):
        client(Service(httpx.Response(200, text="<html>"))).me()


def numbered_site(count: int) -> Callable[[httpx.Request], httpx.Response]:
    """A site with paths 1 to count, each visited as often as its number."""

    def answer(request: httpx.Request) -> httpx.Response:
        query = request.url.params
        limit = int(query["limit"])
        if request.url.path.endswith("/paths"):
            ids = [i for i in range(1, count + 1) if i > int(query["after"])]
            rows = [{"id": i, "path": f"/{i}", "title": "", "event": False} for i in ids[:limit]]
            return httpx.Response(200, json={"paths": rows, "more": len(ids) > limit})
        assert len(str(request.url)) < 10_000
        wanted, unwanted = query.get("include_paths"), query.get("exclude_paths", "")
        ids = [i for i in range(count, 0, -1) if str(i) not in unwanted.split(",")]
        ids = [i for i in ids if wanted is None or str(i) in wanted.split(",")]
        rows = [{"path_id": i, "count": i} for i in ids[:limit]]
        return httpx.Response(200, json={"hits": rows, "total": 0, "more": len(ids) > limit})

    return answer


@pytest.mark.parametrize("count", [0, 1, 100, 101, 250, 2500])
def test_every_path_and_its_visits_are_listed_once(count: int) -> None:
    site = client(numbered_site(count))
    assert [path["id"] for path in site.paths()] == list(range(1, count + 1))
    rows = [row["path_id"] for row in site.hits("2015-05-17", "2015-05-20")]
    assert sorted(rows) == list(range(1, count + 1))
    assert rows[:1000] == list(range(count, 0, -1))[:1000]


def test_paths_can_be_chosen_by_id() -> None:
    rows = client(numbered_site(500)).hits("2015-05-17", "2015-05-20", include_paths=range(1, 251))
    assert sorted(row["path_id"] for row in rows) == list(range(1, 251))


def test_no_moment_is_shifted() -> None:
    service = Service(httpx.Response(200, json={"hits": [], "total": 0, "more": False}))
    list(client(service).hits(datetime(2015, 5, 17, tzinfo=UTC), datetime(2015, 5, 20, 23, 59, 59, tzinfo=UTC)))
    assert service.requests[0].url.params["end"] == "2015-05-20T23:59:59Z"
