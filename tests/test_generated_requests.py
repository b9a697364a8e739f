"""Requests generated from `/api.json` find no answer outside it, and none of 5xx.

Whatever the description allows is asked for, and much that it does not; each answer has to be one that it describes:
status, type of the body, the body itself, and headers. Half of what names something that is there names what is.
"""

import io
from collections.abc import Iterator
from typing import Any

import pytest
import requests
import schemathesis
from chalice.app import Chalice
from hypothesis import HealthCheck, Phase, assume, given
from hypothesis import settings as effort
from hypothesis import strategies as st
from requests.adapters import BaseAdapter, HTTPAdapter
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS, load_all_checks
from schemathesis.schemas import APIOperation
from urllib3 import HTTPResponse

from chalicelib.pageviews.description import Where, document
from infrastructure.local.pump import Pump
from tests.conftest import World
from tests.front import FrontDoor
from tests.people import Person, address, settle

load_all_checks()
LOOKS = CHECKS.get_by_names(
    [
        "not_a_server_error",
        "status_code_conformance",
        "content_type_conformance",
        "response_headers_conformance",
        "response_schema_conformance",
    ]
)
DESCRIPTION = schemathesis.openapi.from_dict(document(Where("http", "localhost"), "0"))
OPERATIONS: dict[str, APIOperation[Any, Any, Any, Any]] = {
    operation.label: operation
    for result in DESCRIPTION.get_all_operations()
    if (operation := result.ok()) is not None  # type: ignore[union-attr]
}
# Where nothing can be wrong, only what is right is asked for.
every = pytest.mark.parametrize(
    ("label", "mode"),
    [
        (label, mode)
        for label, operation in OPERATIONS.items()
        for mode in GenerationMode
        if mode.is_positive or any(given["in"] != "header" for given in operation.definition.raw["parameters"])
    ],
)
KNOWN: dict[str, list[Any]] = {
    "/api/v0/export/{id}": [1, 2],
    "/api/v0/export/{id}/download": [1, 2],
    "/api/v0/stats/hits/{path_id}": [1, 2],
    "/api/v0/stats/{page}/{id}": ["Firefox", "NL", "1", "phone", "Google", "example.com/a"],
    "/counter/{path}.json": ["/a", "a", "TOTAL"],
    "/counter/{path}.{extension}": ["/a", "a", "TOTAL"],
}
"""What there is, by the path that names it; a site's id is its own."""
HITS = [
    {"path": "/a", "session": "x", "ref": "https://www.google.com/", "user_agent": "Mozilla/5.0 Firefox/115.0"},
    {"path": "/b", "session": "x", "query": "utm_source=s&utm_campaign=c", "location": "NL", "size": "400"},
    {"path": "e", "session": "y", "ref": "https://example.com/a", "event": True, "language": "fr"},
]


class Door(BaseAdapter):
    """Takes requests of the library `requests` to the service's front door, each from an address of its own."""

    def __init__(self, front: FrontDoor) -> None:
        super().__init__()
        self._front = front

    def send(self, request: requests.PreparedRequest, *_: Any, **__: Any) -> requests.Response:
        target = str(request.url).removeprefix("http://localhost")
        headers = {
            name: value.decode("latin-1") if isinstance(value, bytes) else value
            for name, value in request.headers.items()
        }
        body = request.body or b""
        assert isinstance(body, bytes | str)
        reply = self._front.request(str(request.method), target, headers=headers, body=body, client=address())
        raw = HTTPResponse(io.BytesIO(reply.body), dict(reply.headers), reply.status, preload_content=False)
        return HTTPAdapter().build_response(request, raw)

    def close(self) -> None: ...


@pytest.fixture(scope="module")
def somebody(quick: Chalice, world: World) -> Person:
    """The owner of a site with a few visits, counters for everybody, and two exports."""
    person = settle(FrontDoor(quick))
    site = person.created.site.id
    settings = {"settings": {"allow_counter": True, "collect": 510, "ignore_ips": ["203.0.113.9"]}}
    assert person.ask("PATCH", f"/api/v0/sites/{site}", json_body=settings).status == 200
    assert person.post("/api/v0/count", json_body={"no_sessions": True, "hits": HITS}).status == 202
    pump = Pump.of(quick, world.environment, world.client("sqs"))
    pump.settle()
    for kind in ("csv", "json"):
        assert person.post("/api/v0/export", json_body={"format": kind}).status == 202
    pump.settle()
    return person


@pytest.fixture(scope="module")
def session(quick: Chalice, somebody: Person) -> Iterator[requests.Session]:
    """Sends requests as that owner."""
    with requests.Session() as session:
        session.mount("http://localhost", Door(FrontDoor(quick)))
        session.headers["Authorization"] = f"Bearer {somebody.token}"
        yield session


def answers(label: str, somebody: Person, session: requests.Session, examples: int, mode: GenerationMode) -> None:
    """Asks that often, and looks at each answer."""
    operation = OPERATIONS[label]
    known: list[Any] = {**KNOWN, "/api/v0/sites/{id}": [somebody.created.site.id]}.get(operation.path, [])
    cases = operation.as_strategy(generation_mode=mode)
    base = "http://localhost" if operation.path == "/status" else f"http://localhost{somebody.prefix}"

    @effort(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=True,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    @given(cases, st.sampled_from([*known, *[None] * max(1, len(known))]))
    def ask(case: schemathesis.Case[Any], thing: Any) -> None:
        if thing is not None:
            (*_, name) = [name for name in case.path_parameters if name not in ("page", "extension")]
            case.path_parameters[name] = thing
        try:
            reply = case.call(base_url=base, session=session)
        except requests.exceptions.InvalidURL:
            assume(False)  # a request that nobody can send
        case.validate_response(reply, checks=LOOKS)  # type: ignore[arg-type]  # its own list of its own checks

    ask()


@every
def test_no_request_gets_an_answer_that_is_not_described(
    label: str, mode: GenerationMode, somebody: Person, session: requests.Session
) -> None:
    """Right ones, and wrong ones."""
    answers(label, somebody, session, 5, mode)


@pytest.mark.prove
@every
def test_no_request_of_many_gets_an_answer_that_is_not_described(
    label: str, mode: GenerationMode, somebody: Person, session: requests.Session
) -> None:
    """The same with hundreds of each."""
    answers(label, somebody, session, 400, mode)
