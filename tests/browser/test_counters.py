"""Visitor counters on pages, in a browser."""

import json

import pytest

from tests.browser.chrome import Browser, Pages, until
from tests.clients.people import Person

pytestmark = pytest.mark.browser

WWW = "www.pages.test"
PATH = "/seen?a=%C3%BC"


@pytest.fixture(autouse=True)
def seen(person: Person) -> Person:
    """Somebody whose site shows counters, and whose page was seen twice."""
    settings = json.dumps({"settings": {"allow_counter": True}})
    assert person.ask("PATCH", f"/api/v0/sites/{person.made['site']['id']}", settings).status == 200
    assert person.count({"path": PATH}, {"path": PATH}, no_sessions=True).status == 202
    person.sees({PATH: 2})
    return person


def _page(pages: Pages, snippet: str, call: str) -> None:
    """A page that calls the script once it is there."""
    pages.put(
        "/seen",
        "<script>window.goatcounter = {no_onload: true}</script>",
        f"""<div id=here></div>{snippet}
        <script>
            var t = setInterval(function() {{
                if (window.goatcounter && goatcounter.visit_count) {{
                    clearInterval(t)
                    {call}
                }}
            }}, 10)
        </script>""",
    )


def test_a_page_shows_how_often_it_was_seen(fresh: Browser, pages: Pages, snippet: str) -> None:
    """In a frame, by default at the end of its body; styled as it asks; without scripts of anybody's."""
    style = "#gcvc-views { color: rgb(1, 2, 3) } </style><script>top.broken = 1</script>"
    _page(
        pages,
        snippet,
        f"goatcounter.visit_count({{style: {json.dumps(style)}, start: '2020-01-01'}})".replace("</", "<\\/"),
    )
    fresh.open(pages.url(WWW, "/seen?a=ü"))
    frame = until("the counter is there", lambda: fresh.all("body > iframe"))[0]
    assert (frame.get_attribute("width"), frame.get_attribute("height")) == ("200", "80")
    fresh.driver.switch_to.frame(frame)
    assert fresh.run("return document.getElementById('gcvc-views').textContent") == "2"
    assert fresh.run("return getComputedStyle(document.getElementById('gcvc-views')).color") == "rgb(1, 2, 3)"
    assert fresh.run("return document.scripts.length") == 0
    fresh.driver.switch_to.default_content()
    assert fresh.run("return window.broken === undefined")


@pytest.mark.parametrize(("kind", "height"), [("svg", 80), ("png", 60)])
def test_a_page_shows_it_as_a_picture(fresh: Browser, pages: Pages, snippet: str, kind: str, height: int) -> None:
    """Where it likes, of the path that it names, with attributes of its own."""
    credit = "true" if height == 60 else "false"
    _page(
        pages,
        snippet,
        f"""goatcounter.visit_count({{type: '{kind}', append: '#here', path: 'TOTAL', no_branding: {credit},
            attr: {{id: 'mine', class: 'c'}}}})""",
    )
    fresh.open(pages.url(WWW, "/seen"))
    image = until("the counter is there", lambda: fresh.all("#here > img#mine.c"))[0]
    assert image
    until("it is loaded", lambda: fresh.run("return document.getElementById('mine').complete"))
    size = fresh.run("var i = document.getElementById('mine'); return [i.naturalWidth, i.naturalHeight]")
    assert size == [200, height]


def test_a_page_may_read_the_number(fresh: Browser, pages: Pages, snippet: str) -> None:
    """As JSON, from any origin."""
    pages.put("/reads")
    fresh.open(pages.url(WWW, "/reads"))
    url = snippet.split('"')[1] + "er/" + PATH.replace("/", "%2F").replace("?", "%3F").replace("%C3", "%25C3") + ".json"
    read = "fetch(arguments[0]).then(a => a.json()).then(arguments[1], e => arguments[1](String(e)))"
    assert fresh.driver.execute_async_script(read, url.replace("%BC", "%25BC")) == {"count": "2", "count_unique": "2"}


def test_a_kind_that_there_is_not_is_said_in_the_console(fresh: Browser, pages: Pages, snippet: str) -> None:
    """Nothing is inserted."""
    _page(pages, snippet, "window.said = []; console.warn = t => said.push(t); goatcounter.visit_count({type: 'gif'})")
    fresh.open(pages.url(WWW, "/seen"))
    assert (
        until("it is said", lambda: fresh.run("return window.said && said[0]"))
        == "goatcounter: visit_count: no type gif"
    )
    assert fresh.all("iframe, img") == []
