"""`/api.json` and `/api2.html`: they describe every endpoint, wherever the service was reached, and nothing else."""

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import pytest
from chalice.app import Chalice

from chalicelib.core.keys import named
from chalicelib.pageviews import routes
from chalicelib.pageviews.description import Where, document, page
from tests.endpoints import ENDPOINTS, PAGEVIEWS
from tests.front import FrontDoor
from tests.people import settle

HELP = {"/api"}
"""What leads to the description, which is no part of it."""
BLOG = "blog-described"


@pytest.fixture(scope="module")
def door(quick: Chalice) -> FrontDoor:
    """Behind it there is a site with the code `BLOG`."""
    front = FrontDoor(quick)
    settle(front, code=BLOG)
    return front


@pytest.fixture(scope="module")
def described() -> dict[str, Any]:
    return document(Where(), "0")


def operations(described: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def test_every_endpoint_of_the_api_is_described_and_no_other(described: dict[str, Any]) -> None:
    """As many methods of as many paths as are registered."""
    registered = {
        (method, path.replace("+}", "}"))
        for path, known in routes.api.paths.items()
        if path not in HELP
        for method in known.views
    }
    found = {(method, path) for method, path, _ in operations(described) if path.startswith("/api/")}
    assert found == registered


def test_what_browsers_ask_for_is_described(described: dict[str, Any]) -> None:
    """The pixel, by both of its methods; counters; and whether the service answers."""
    assert {path for path in described["paths"] if not path.startswith("/api/")} == {
        "/count",
        "/count.js",
        "/counter/{path}.json",
        "/counter/{path}.{extension}",
        "/status",
    }
    assert set(described["paths"]["/count"]) == {method.lower() for method in routes.pixels.paths["/count"].views}


@pytest.mark.parametrize("endpoint", [endpoint for endpoint in ENDPOINTS if endpoint.protocol is PAGEVIEWS], ids=str)
def test_permissions_and_success_are_described_as_they_are(described: dict[str, Any], endpoint: Any) -> None:
    """The description names what the key needs, and the status of an answer if all is well."""
    operation = described["paths"][endpoint.path.replace("+}", "}")][endpoint.method.lower()]
    assert operation["security"] == [{"bearer": []}, {"basic": []}]
    assert str(endpoint.status) in operation["responses"]
    needed = " or ".join(f"`{name}`" for name in named(endpoint.permission))
    assert (f"needs the permission {needed}." in operation.get("description", "")) == bool(needed)
    bodies = [parameter for parameter in operation["parameters"] if parameter["in"] == "body"]
    assert bool(bodies) == (endpoint.body is not None)


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if "$ref" in value:
            yield value["$ref"]
        for part in value.values():
            yield from references(part)
    elif isinstance(value, list):
        for part in value:
            yield from references(part)


def test_every_object_is_there_and_used(described: dict[str, Any]) -> None:
    """References lead somewhere, and no object is left over."""
    assert set(references(described)) == {f"#/definitions/{name}" for name in described["definitions"]}


def test_names_of_operations_and_tags_fit(described: dict[str, Any]) -> None:
    """Names are unique, since generated clients are made of them; what stands in a path is a parameter."""
    names = [operation["operationId"] for _, _, operation in operations(described)]
    assert len(names) == len(set(names))
    tags = [tag["name"] for tag in described["tags"]]
    for _, path, operation in operations(described):
        assert set(operation["tags"]) <= set(tags)
        inside = {parameter["name"] for parameter in operation["parameters"] if parameter["in"] == "path"}
        assert inside == set(re.findall(r"{(\w+)}", path))


@pytest.mark.parametrize(
    ("host", "prefix", "said"),
    [
        ("stats.example", "", ("stats.example", "/", ["https"])),
        ("Stats.Example:8443", f"/s/{BLOG}", ("stats.example:8443", f"/s/{BLOG}", ["https"])),
        ("localhost:8000", "", ("localhost:8000", "/", ["http"])),
        ("[::1]:8000", f"/s/{BLOG}", ("[::1]:8000", f"/s/{BLOG}", ["http"])),
        ('x"><script>', "", (None, "/", ["https"])),
    ],
)
def test_the_description_says_where_it_was_asked_for(
    door: FrontDoor, host: str, prefix: str, said: tuple[str | None, str, list[str]]
) -> None:
    """Also below a site's code; a host that is none is left out."""
    reply = door.get(f"{prefix}/api.json", headers={"host": host})
    found = reply.json()
    assert (reply.status, found["swagger"]) == (200, "2.0")
    assert (found.get("host"), found["basePath"], found["schemes"]) == said
    assert reply.headers["content-type"] == "application/json; charset=utf-8"
    assert reply.headers["access-control-allow-origin"] == "*"
    assert reply.headers["cache-control"] == "public, max-age=3600"


@pytest.mark.parametrize("path", ["/api.json", "/api2.html"])
def test_a_description_is_sent_once_and_kept_by_those_between(door: FrontDoor, path: str) -> None:
    """For an hour; its tag stands for what it says, which depends on the host and on the path."""
    told = {"host": "stats.example"}
    first = door.get(path, headers=told)
    kept = {name: first.headers[name] for name in ("cache-control", "vary", "etag")}
    assert (kept["cache-control"], kept["vary"]) == ("public, max-age=3600", "Host, X-Countless-Host")
    again = door.get(path, headers={**told, "if-none-match": first.headers["etag"]})
    assert (again.status, again.body) == (304, b"")
    assert {name: again.headers[name] for name in kept} == kept
    asked = door.request("HEAD", path, headers=told)
    assert (asked.status, asked.body, asked.headers) == (200, b"", first.headers)
    others = [door.get(path, headers={"host": "other.example"}), door.get(f"/s/{BLOG}{path}", headers=told)]
    assert [reply.headers["etag"] == first.headers["etag"] for reply in others] == [
        reply.body == first.body for reply in others
    ]
    assert door.get(path, headers={**told, "origin": "https://a.example"}).headers == first.headers


@pytest.mark.parametrize("path", ["/api.json", "/api2.html", "/api/v0/nope"])
@pytest.mark.parametrize("code", ["anything", "%00", "a" * 300])
def test_below_a_code_that_no_site_has_there_is_no_description(door: FrontDoor, code: str, path: str) -> None:
    """The API's own words for it, which nobody keeps."""
    reply = door.get(f"/s/{code}{path}")
    assert (reply.status, reply.json()) == (404, {"error": "not found"})
    assert reply.headers["cache-control"] == "no-store,no-cache"


class Reading(HTMLParser):
    """What a page holds: elements, texts, and where its links lead."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.ids: list[str] = []
        self.links: set[str] = set()
        self.attributes: set[str] = set()
        self.texts = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.ids += [str(value) for name, value in attrs if name == "id"]
        self.links |= {str(value) for name, value in attrs if name == "href"}

    def handle_data(self, data: str) -> None:
        self.texts += data


def test_the_page_shows_every_endpoint_and_object_without_a_script(door: FrontDoor) -> None:
    """Its links lead to itself, and to the description; nothing is loaded."""
    reply = door.get(f"/s/{BLOG}/api2.html")
    assert (reply.status, reply.headers["content-type"]) == (200, "text/html; charset=utf-8")
    policy = reply.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy
    found = Reading(reply.text)
    assert not found.tags & {"script", "img", "iframe", "form", "link", "object", "embed"}
    assert not {name for name in found.attributes if name.startswith("on")} | found.attributes & {"src", "style"}
    described = door.get(f"/s/{BLOG}/api.json").json()
    assert "/status" not in described["paths"]
    wanted = {operation["operationId"] for _, _, operation in operations(described)}
    wanted |= {f"object-{name}" for name in described["definitions"]}
    assert sorted(found.ids) == sorted(wanted)
    assert found.links == {f"#{name}" for name in found.ids if f"#{name}" in found.links} | {f"/s/{BLOG}/api.json"}
    for method, path, operation in operations(described):
        assert f"{method} /s/{BLOG}{path}" in found.texts
        assert operation["summary"] in found.texts
    for parameter in described["paths"]["/api/v0/stats/hits"]["get"]["parameters"]:
        assert parameter["name"] in found.texts


def test_whatever_stands_in_the_description_is_text_on_the_page() -> None:
    """Markup in it is shown, not obeyed."""
    evil = document(Where(base="/s/<script>alert(1)</script>"), "<img src=x onerror=alert(1)>")
    evil = {**evil, "info": {**evil["info"], "description": "`<b onclick=x>` <script>\n\n</p>"}}
    found = Reading(page(evil, '"><script>').html)
    assert not found.tags & {"script", "img"}
    assert "onclick" not in found.attributes
    assert "<script>alert(1)</script>" in found.texts
