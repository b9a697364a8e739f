"""The tracking script as it is served, and what watches the service."""

import gzip
import tomllib
from pathlib import Path

import pytest
import rjsmin
from calmjs.parse import es5
from calmjs.parse.exceptions import ECMASyntaxError
from chalice.app import Chalice
from chalice.test import Client

from chalicelib import wiring
from chalicelib.aws.accounts import Created
from chalicelib.core.errors import Unavailable
from chalicelib.pageviews import assets
from tests.front import FrontDoor

ROOT = Path(__file__).parent.parent.parent
STATIC = ROOT / "chalicelib" / "pageviews" / "static"
LARGEST = 3 * 1024
"""Bytes of the script over the wire."""


def test_what_is_served_is_made_of_the_source() -> None:
    """Whoever changes `count.js` runs `make script`."""
    assert (STATIC / "count.min.js").read_text() == rjsmin.jsmin((STATIC / "count.js").read_text())


def test_the_script_is_small() -> None:
    """Every page loads it."""
    assert len(gzip.compress((STATIC / "count.min.js").read_bytes())) < LARGEST


def test_the_oldest_browsers_can_read_the_script() -> None:
    """It is ECMAScript 5: one arrow function would stop all of it."""
    es5((STATIC / "count.min.js").read_text())
    with pytest.raises(ECMASyntaxError):
        es5("var f = () => 1")


@pytest.mark.parametrize("prefix", ["", "/s/{}"])
def test_pages_of_other_origins_may_load_the_script(front: FrontDoor, owner: Created, prefix: str) -> None:
    """From the root, and beside every site's `/count`; for a week, as a script and nothing else."""
    reply = front.get(f"{prefix.format(owner.site.code)}/count.js")
    assert (reply.status, reply.text) == (200, (STATIC / "count.min.js").read_text())
    assert {name: value for name, value in reply.headers.items() if name != "etag"} == {
        "content-type": "text/javascript; charset=utf-8",
        "access-control-allow-origin": "*",
        "cross-origin-resource-policy": "cross-origin",
        "cache-control": "public, max-age=604800",
        "content-security-policy": "default-src 'none'",
        "strict-transport-security": "max-age=7776000",
        "x-content-type-options": "nosniff",
    }


@pytest.mark.parametrize("condition", ["{}", "W/{}", '"other", {}', "*"])
def test_a_browser_that_has_the_script_is_not_sent_it_again(front: FrontDoor, condition: str) -> None:
    """Its tag names what it has; gateways that compress call tags weak."""
    tag = front.get("/count.js").headers["etag"]
    reply = front.get("/count.js", headers={"If-None-Match": condition.format(tag)})
    assert (reply.status, reply.body, reply.headers["etag"]) == (304, b"", tag)


def test_a_browser_with_an_older_script_is_sent_the_new_one(front: FrontDoor) -> None:
    """Another tag, or none."""
    assert front.get("/count.js", headers={"If-None-Match": '"older"'}).status == 200


def test_the_script_may_be_asked_about(front: FrontDoor) -> None:
    """HEAD answers as GET, without the body; other methods are refused in a sentence."""
    asked, got = front.request("HEAD", "/count.js"), front.get("/count.js")
    assert (asked.status, asked.body, asked.headers) == (200, b"", got.headers)
    refused = front.post("/count.js")
    assert (refused.status, refused.text, refused.headers["allow"]) == (405, "method not allowed\n", "GET, HEAD")


def test_below_a_code_that_no_site_has_there_is_no_script(front: FrontDoor, monkeypatch: pytest.MonkeyPatch) -> None:
    """But while nobody can say whether a site has it, the script comes: pages must not go without."""
    reply = front.get("/s/anything/count.js")
    assert (reply.status, reply.text) == (404, "there is no site with this code\n")
    assert reply.headers["cache-control"] == "no-store,no-cache"

    def unavailable(*_: object) -> None:
        raise Unavailable("documents")

    monkeypatch.setattr(wiring.accounts(), "public_site", unavailable)
    assert front.get("/s/anything/count.js").status == 200


@pytest.mark.parametrize("path", ["/count.v1.js", "/count.v5.js", "/s/{}/count.v3.js"])
def test_frozen_scripts_are_not_there_and_say_so(front: FrontDoor, owner: Created, path: str) -> None:
    """Pages pin their hashes: another script under their names would be refused by browsers without a word."""
    reply = front.get(path.format(owner.site.code))
    assert (reply.status, reply.headers["content-type"]) == (404, "text/plain; charset=utf-8")
    assert "use /count.js" in reply.text


def test_those_who_watch_learn_the_version_and_the_uptime(front: FrontDoor) -> None:
    """From any host, without a key, and from pages of any origin."""
    reply = front.get("/status", headers={"Host": "nobody.example"})
    assert (reply.status, reply.headers["access-control-allow-origin"]) == (200, "*")
    assert set(reply.json()) == {"version", "uptime"}
    assert reply.json()["uptime"].endswith("s")


def test_the_version_is_that_of_the_release() -> None:
    """What a function says of itself is what `pyproject.toml` says."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == assets.VERSION


def test_chalices_own_gateway_finds_them_too(app: Chalice) -> None:
    """As `chalice local` would serve them."""
    with Client(app) as client:
        assert client.http.get("/count.js").status_code == 200
        assert client.http.get("/status").json_body["version"] == assets.VERSION
