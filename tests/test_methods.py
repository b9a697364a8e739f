"""HTTP's methods, on every path of every surface: what HEAD is told, and which methods a refusal names (RFC 9110)."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from chalice.app import Chalice

from chalicelib.web import METHODS, Path, Surface
from tests.endpoints import ENDPOINTS, PUBLIC, SURFACES, Endpoint
from tests.front import FrontDoor, Reply
from tests.people import Person, address, settle

BROWSER = {"user-agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"}
OTHERS = ("PROPFIND", "TRACE", "BREW")
"""Methods that no route is registered for."""
CHANGING = ("x-rate-limit-", "location", "expires", "age")
"""What headers that may differ between two requests begin with; `location` is signed for a method and a moment."""
every_get = pytest.mark.parametrize("endpoint", [one for one in ENDPOINTS if one.method == "GET"], ids=str)


@pytest.fixture(scope="module")
def person(quick: Chalice) -> Person:
    return settle(FrontDoor(quick))


def every_path() -> Iterator[tuple[str, Surface[Any], Path[Any]]]:
    """Every path that has views, with something in the place of what varies."""
    for surface in SURFACES:
        for pattern, path in surface.paths.items():
            if path.views:
                yield "/".join("x" if part.startswith("{") else part for part in pattern.split("/")), surface, path


def lasting(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers that the next answer has too, and of the others only that they are there."""
    return {name: "" if name.startswith(CHANGING) else value for name, value in headers.items()}


def same(head: Reply, got: Reply) -> None:
    assert (head.status, lasting(head.headers), head.body) == (got.status, lasting(got.headers), b"")


def test_every_wrong_method_is_refused_with_those_that_are_right(person: Person) -> None:
    """On every path of every surface, and for a site of somebody; also methods that HTTP does not know."""
    walked = set()
    for url, surface, path in every_path():
        answers = {method: person.front.request(method, url, client=address()) for method in (*METHODS, *OTHERS)}
        right = {method for method, reply in answers.items() if reply.status != 405}
        assert right - {"OPTIONS"} == set(path.views) | ({"HEAD"} if "GET" in path.views else set()), url
        if surface.coded:
            answers["coded"] = person.front.request("BREW", f"{person.prefix}{url}", client=address())
        for method in answers.keys() - right:
            assert answers[method].headers["allow"] == ", ".join(sorted(right)), (method, url)
            assert answers[method].headers["content-type"] == surface.words.wrong_method().headers["Content-Type"]
        walked.add(surface)
    assert walked == set(SURFACES)


@every_get
def test_head_is_told_what_get_is_without_the_body(person: Person, endpoint: Endpoint) -> None:
    """By every endpoint that asks for a key: with one, and without."""
    parameters = endpoint.parameters(person)
    for key in (f"Bearer {person.token}", None):
        got = endpoint.ask(person, key, parameters)
        assert got.status == (endpoint.status if key else 401)
        head = person.front.request(
            "HEAD",
            endpoint.url(parameters, endpoint.protocol.prefix(person)),
            headers={"authorization": key} if key else {},
            client=address(),
        )
        same(head, got)


def test_head_is_told_what_get_is_by_everything_that_asks_for_no_key(person: Person) -> None:
    """Pixels, counters, scripts, pages and links, and what is nowhere."""
    walked = {path for method, path in PUBLIC if method == "GET"}
    here = {f"{{{name}}}": "x" for name in ("id", "account", "user", "proxy+")}
    for path in (*sorted(walked), "/count?p=/x", "/counter//a.json", "/counter//a.nope", "/", "/nowhere"):
        for name, value in here.items():
            path = path.replace(name, value)  # noqa: PLW2901 - bit by bit
        got = person.front.get(path, headers=BROWSER, client=address())
        same(person.front.request("HEAD", path, headers=BROWSER, client=address()), got)
    tag = {"if-none-match": person.front.get("/count.js").headers["etag"]}
    known = person.front.get("/count.js", headers=tag)
    assert known.status == 304
    same(person.front.request("HEAD", "/count.js", headers=tag), known)
