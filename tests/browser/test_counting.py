"""The tracking script in a browser: what it counts, when, and as what (page-view contract, section 4.3)."""

import re
from functools import partial

import pytest

from tests.browser.chrome import Browser, Pages, until
from tests.clients.people import Person

pytestmark = pytest.mark.browser

WWW = "www.pages.test"
"""The host of pages."""


def _settings(script: str) -> str:
    """A page's settings."""
    return f"<script>window.goatcounter = {script}</script>"


def test_a_page_written_for_goatcounter_is_counted(fresh: Browser, pages: Pages, person: Person, snippet: str) -> None:
    """Only the address in its snippet is ours. One beacon, whose values the log and the statistics have."""
    pages.put("/blog/post", body=snippet)
    pages.put("/from", '<meta name=referrer content="unsafe-url">', f'<a href="{pages.url(WWW, "/blog/post?x=1")}">on')
    fresh.open(pages.url("elsewhere.test", "/from"))
    fresh.click("a")
    (sent,) = fresh.sends(person.host, 1)
    width = fresh.run("return screen.width")
    assert re.fullmatch("[0-9a-z]{5}", sent.data.pop("rnd"))
    assert (sent.method, sent.kind, sent.body) == ("POST", "Ping", False)
    assert sent.data == {
        "p": "/blog/post?x=1",
        "r": pages.url("elsewhere.test", "/from"),
        "t": "A page & more",
        "s": str(width),
        "b": "0",
        "q": "?x=1",
    }
    person.sees({"/blog/post?x=1": 1})
    (event,) = person.events()
    assert (event.first, event.event, event.width) == (True, False, width)
    assert (event.ref, event.scheme) == (f"elsewhere.test:{pages.port}/from", "h")
    (path,) = person.figures("/api/v0/paths")["paths"]
    assert (path["path"], path["title"], path["event"]) == ("/blog/post?x=1", "A page & more", False)


def test_a_page_that_is_read_again_is_no_second_visit(
    fresh: Browser, pages: Pages, person: Person, snippet: str
) -> None:
    """The server recognises its reader, and nothing is left in the browser for that."""
    pages.put("/again", body=snippet)
    for _ in range(2):
        fresh.open(pages.url(WWW, "/again"))
        fresh.sends(person.host, 1)
    until("both arrive", lambda: len(person.events()) == 2)
    assert [event.first for event in person.events()] == [True, False]
    assert fresh.tell("Network.getAllCookies")["cookies"] == []
    assert fresh.run("return localStorage.length + sessionStorage.length") == 0


def test_a_page_in_a_background_tab_is_counted_once_it_is_seen(
    fresh: Browser, pages: Pages, person: Person, snippet: str
) -> None:
    """Not while it is hidden; and once, however often it is hidden again."""
    pages.put("/hidden", body=snippet)
    first = fresh.driver.current_window_handle
    fresh.driver.switch_to.new_window("tab")
    other = fresh.driver.current_window_handle
    fresh.driver.switch_to.window(first)
    fresh.run("setTimeout(() => { location = arguments[0] }, 300)", pages.url(WWW, "/hidden"))
    fresh.tell("Target.activateTarget", targetId=other)
    fresh.counting()
    until("the page is loaded", lambda: fresh.run("return document.readyState") == "complete")
    assert fresh.run("return document.visibilityState") == "hidden"
    assert fresh.sent(person.host) == []
    for seen, state in ((first, "visible"), (other, "hidden"), (first, "visible")):
        fresh.tell("Target.activateTarget", targetId=seen)
        until(f"the tab is {state}", partial(_is, fresh, state))
    assert [sent.data["p"] for sent in fresh.sends(person.host, 1)] == ["/hidden"]
    person.sees({"/hidden": 1})


def _is(browser: Browser, state: str) -> bool:
    return bool(browser.run("return document.visibilityState") == state)


def test_a_prerendered_page_is_counted_once_it_is_seen(
    fresh: Browser, pages: Pages, person: Person, snippet: str
) -> None:
    """Browsers prepare pages that nobody may ever look at."""
    rules = '{"prerender": [{"urls": ["/next"], "eagerness": "immediate"}]}'
    state = "[document.prerendering, document.visibilityState, !!goatcounter.count]"
    pages.put("/next", f"{snippet}<script>onload = () => {{ window.was = {state}; fetch('/prepared') }}</script>")
    pages.put("/now", f"<script type=speculationrules>{rules}</script>", "<a href=/next>on</a>")
    fresh.open(pages.url(WWW, "/now"))
    until("it is prepared", lambda: "/prepared" in pages.asked)
    assert fresh.sent(person.host) == []
    fresh.click("a")
    until("it is seen", lambda: fresh.run("return location.pathname") == "/next")
    assert fresh.run("return window.was") == [True, "hidden", True]
    person.sees({"/next": 1})
    assert len(person.events()) == 1


def test_a_restored_page_counts_nothing(fresh: Browser, pages: Pages, person: Person, snippet: str) -> None:
    """Whoever goes back sees the page as it was left (decision 5)."""
    pages.put("/first", body=f"{snippet}<script>onpageshow = event => {{ window.back = event.persisted }}</script>")
    pages.put("/second")
    fresh.open(pages.url(WWW, "/first"))
    fresh.sends(person.host, 1)
    fresh.open(pages.url(WWW, "/second"))
    fresh.run("history.back()")
    until("the page is back", lambda: fresh.run("return window.back"))
    person.sees({"/first": 1})
    assert len(person.events()) == 1
    assert fresh.sent(person.host) == []


# Events


def test_clicks_are_counted_as_events(fresh: Browser, pages: Pages, person: Person, snippet: str) -> None:
    """With either button; named by attribute, name or id, and titled; each bound once."""
    pages.put(
        "/page",
        body=f"""
        <button data-goatcounter-click=bought title="A title" data-goatcounter-referrer=from>Buy</button>
        <a id=by-id data-goatcounter-click data-goatcounter-title="Own" name=by-name
            data-goatcounter-no-session=true>a</a>
        <i id=only-id data-goatcounter-click>some <b>text</b></i>{snippet}""",
    )
    fresh.open(pages.url(WWW, "/page"))
    fresh.sends(person.host, 1)
    fresh.run("goatcounter.bind_events()")
    assert fresh.run("return document.querySelectorAll('[data-goatcounter-bound=true]').length") == 3
    fresh.click("button")
    (bought,) = fresh.sends(person.host, 1)
    expected = {"p": "bought", "t": "A title", "r": "from", "e": "true", "b": "0"}
    assert {name: bought.data[name] for name in expected} == expected
    fresh.run("document.querySelector('a').dispatchEvent(new MouseEvent('auxclick', {button: 1}))")
    (named,) = fresh.sends(person.host, 1)
    assert {name: named.data.get(name) for name in ("p", "t", "r", "ns")} == {
        "p": "by-name",
        "t": "Own",
        "r": None,
        "ns": "true",
    }
    fresh.click("i")
    (plain,) = fresh.sends(person.host, 1)
    assert (plain.data["p"], plain.data["t"], plain.data.get("ns")) == ("only-id", "some <b>text</b>", None)
    person.sees({"/page": 1, "bought": 1, "by-name": 1, "only-id": 1})
    events = {path["path"] for path in person.figures("/api/v0/paths")["paths"] if path["event"]}
    assert events == {"bought", "by-name", "only-id"}


def test_an_application_counts_by_itself(fresh: Browser, pages: Pages, person: Person, snippet: str) -> None:
    """With `no_onload` nothing is counted or bound before it says so, and then what it says."""
    button = "<button data-goatcounter-click=pressed>b</button>"
    pages.put("/app", _settings("{no_onload: true}"), button + snippet)
    fresh.open(pages.url(WWW, "/app"))
    fresh.counting()
    fresh.click("button")
    fresh.run("goatcounter.count({path: '/view', title: 'View', referrer: 'https://ref.test/', no_session: true})")
    fresh.run("goatcounter.count({path: p => p + '/2', no_session: () => true})")
    fresh.run("goatcounter.count({path: 'done', event: true})")
    fresh.run("goatcounter.bind_events()")
    fresh.click("button")
    paths = [sent.data["p"] for sent in fresh.sends(person.host, 4)]
    assert paths == ["/view", "/app/2", "done", "pressed"]
    person.sees({"/view": 1, "/app/2": 1, "done": 1, "pressed": 1})


def test_a_view_without_a_session_is_always_a_visit(fresh: Browser, pages: Pages, person: Person, snippet: str) -> None:
    """`no_session` reaches the server as `ns`."""
    pages.put("/ns", _settings("{no_onload: true}"), snippet)
    fresh.open(pages.url(WWW, "/ns"))
    fresh.counting()
    for _ in range(2):
        fresh.run("goatcounter.count({no_session: true})")
    assert [sent.data["ns"] for sent in fresh.sends(person.host, 2)] == ["true", "true"]
    person.sees({"/ns": 2})


def test_events_are_left_alone_if_the_page_wants_that(
    fresh: Browser, pages: Pages, person: Person, snippet: str
) -> None:
    """`no_events`, here in the attribute of the script."""
    own = snippet.replace(" async", """ data-goatcounter-settings='{"no_events": true, "path": "/own"}' async""")
    pages.put("/page", body=f"<button data-goatcounter-click=pressed>b</button>{own}")
    fresh.open(pages.url(WWW, "/page"))
    assert [sent.data["p"] for sent in fresh.sends(person.host, 1)] == ["/own"]
    fresh.click("button")
    assert fresh.run("return document.querySelector('button').dataset.goatcounterBound") is None
    person.sees({"/own": 1})


# What is said of the page


@pytest.mark.parametrize(
    ("settings", "sent"),
    [
        ("{path: '/fixed', title: 'T', referrer: 'ref', event: false}", {"p": "/fixed", "t": "T", "r": "ref"}),
        ("{path: p => p.replace(/\\?.*/, ''), title: t => t + '!'}", {"p": "/page", "t": "A page & more!"}),
        ("{referrer: () => 'other', event: () => true, path: 'named'}", {"p": "named", "r": "other", "e": "true"}),
        ("{title: ''}", {"t": None, "p": "/page?a=b"}),
    ],
)
def test_a_page_says_what_it_is_counted_as(  # noqa: PLR0917 - fixtures are arguments
    fresh: Browser, pages: Pages, person: Person, snippet: str, settings: str, sent: dict[str, str | None]
) -> None:
    """By values, or by functions that are given what would be said."""
    pages.put("/page", _settings(settings), snippet)
    fresh.open(pages.url(WWW, "/page?a=b"))
    (found,) = fresh.sends(person.host, 1)
    assert {name: found.data.get(name) for name in sent} == sent
    person.sees({str(sent["p"]): 1})


def test_a_path_of_null_counts_nothing(fresh: Browser, pages: Pages, person: Person, snippet: str) -> None:
    """A function may leave a page out."""
    pages.put("/page", _settings("{path: () => null}"), snippet)
    fresh.open(pages.url(WWW, "/page"))
    fresh.counting()
    assert fresh.run("return goatcounter.url() === undefined")
    assert fresh.sent(person.host) == []
    person.sees_none_but_a_marker()


@pytest.mark.parametrize(
    ("canonical", "path"),
    [
        ("/article?id=1", "/article?id=1"),
        ("http://pages.test/without-www", "/without-www"),
        ("https://other.test/elsewhere", "/page?utm=x"),
    ],
)
def test_a_canonical_address_is_the_path_if_it_is_the_hosts_own(  # noqa: PLR0917 - fixtures are arguments
    fresh: Browser, pages: Pages, person: Person, snippet: str, canonical: str, path: str
) -> None:
    """With or without `www.`; one of another host says nothing about this one."""
    pages.put("/page", f'<link rel="canonical" href="{canonical}">', snippet)
    fresh.open(pages.url(WWW, "/page?utm=x"))
    (found,) = fresh.sends(person.host, 1)
    assert (found.data["p"], found.data["q"]) == (path, "?utm=x")


def test_the_functions_say_what_pages_expect(fresh: Browser, pages: Pages, person: Person, snippet: str) -> None:
    """`get_query`, `get_data`, `url`, `filter`."""
    pages.put("/page", _settings("{no_onload: true}"), snippet)
    fresh.open(pages.url(WWW, "/page?Ref=a%20b&x="))
    fresh.counting()
    asked = fresh.run("return ['ref', 'REF', 'x', 'none'].map(name => String(goatcounter.get_query(name)))")
    assert asked == ["a%20b", "a%20b", "", "undefined"]
    data = fresh.run("return goatcounter.get_data()")
    assert sorted(data) == ["b", "e", "p", "q", "r", "s", "t"]
    assert (data["p"], data["e"], data["b"], data["r"]) == ("/page?Ref=a%20b&x=", False, 0, "")
    assert fresh.run("return goatcounter.get_data({no_session: true}).ns") is True
    url = fresh.run("return goatcounter.url({path: '/ä?&='})")
    assert re.fullmatch(
        rf"http://{person.host}:\d+/count\?p=%2F%C3%A4%3F%26%3D&t=A%20page%20%26%20more&s=\d+&b=0"
        r"&q=%3FRef%3Da%2520b%26x%3D&rnd=[0-9a-z]{5}",
        url,
    )
    assert fresh.run("return goatcounter.filter()") is False


def test_the_endpoint_may_be_a_setting(fresh: Browser, pages: Pages, person: Person, snippet: str) -> None:
    """Where the script has no attribute, as pages have it that load it by themselves."""
    endpoint = snippet.split('"')[1]
    bare = snippet.replace(f'data-goatcounter="{endpoint}"', "")
    pages.put("/page", _settings(f"{{endpoint: '{endpoint}'}}"), bare)
    fresh.open(pages.url(WWW, "/page"))
    assert [sent.data["p"] for sent in fresh.sends(person.host, 1)] == ["/page"]


# What is not counted


@pytest.mark.parametrize(
    ("host", "counted"),
    [
        ("localhost", False),
        ("app.localhost", False),
        ("127.0.0.1", False),
        ("10.0.0.7", False),
        ("172.16.1.1", False),
        ("172.31.1.1", False),
        ("192.168.178.1", False),
        ("172.32.1.1", True),
        ("11.0.0.7", True),
        ("10.pages.test", True),
        ("localhost.pages.test", True),
    ],
)
def test_local_addresses_are_not_counted(fresh: Browser, pages: Pages, snippet: str, host: str, counted: bool) -> None:
    """Who develops a page is no visitor; unless the page wants it."""
    pages.put("/local", _settings("{no_onload: true}"), snippet)
    fresh.open(pages.url(host, "/local"))
    fresh.counting()
    assert fresh.run("return goatcounter.filter()") == (False if counted else "localhost")
    assert fresh.run("goatcounter.allow_local = true; return goatcounter.filter()") is False


def test_a_local_page_is_counted_if_it_wants_that(fresh: Browser, pages: Pages, person: Person, snippet: str) -> None:
    """`allow_local`; without it nothing is sent."""
    pages.put("/no", body=snippet)
    pages.put("/yes", _settings("{allow_local: true}"), snippet)
    fresh.open(pages.url("localhost", "/no"))
    fresh.counting()
    fresh.open(pages.url("localhost", "/yes"))
    assert [sent.data["p"] for sent in fresh.sends(person.host, 1)] == ["/yes"]
    person.sees({"/yes": 1})


def test_a_frame_is_counted_only_if_it_wants_that(fresh: Browser, pages: Pages, person: Person, snippet: str) -> None:
    """The page around it has been counted already."""
    pages.put("/plain", body=snippet)
    pages.put("/wanted", _settings("{allow_frame: true}"), snippet)
    pages.put("/around", body=f"<iframe src=/plain></iframe><iframe src=/wanted></iframe>{snippet}")
    fresh.open(pages.url(WWW, "/around"))
    assert sorted(sent.data["p"] for sent in fresh.sends(person.host, 2)) == ["/around", "/wanted"]
    fresh.driver.switch_to.frame(0)
    assert fresh.run("return goatcounter.filter()") == "frame"
    person.sees({"/around": 1, "/wanted": 1})


def test_who_does_not_want_to_be_counted_is_not(fresh: Browser, pages: Pages, person: Person, snippet: str) -> None:
    """One address turns it off in this browser, and on again; the page says which."""
    pages.put("/own", body=snippet)
    texts = []
    for _ in range(2):
        fresh.open("about:blank")
        fresh.run("location = arguments[0]", pages.url("own.pages.test", "/own#toggle-goatcounter"))
        alert = until("the page says so", lambda: _alert(fresh))
        texts.append(alert.text)
        alert.accept()
        fresh.counting()
        off = fresh.run("return localStorage.skipgc === 't'")
        assert fresh.run("return goatcounter.filter()") == ("disabled with #toggle-goatcounter" if off else False)
        if off:
            fresh.open(pages.url("own.pages.test", "/own?really"))
            fresh.counting()
            assert fresh.sent(person.host) == []
    assert "not counted any more" in texts[0]
    assert "not" not in texts[1]
    assert len(fresh.sends(person.host, 1)) == 1
    person.sees({"/own": 1})


def _alert(browser: Browser) -> object:
    from selenium.common.exceptions import NoAlertPresentException  # noqa: PLC0415

    try:
        return browser.driver.switch_to.alert
    except NoAlertPresentException:
        return None


@pytest.mark.parametrize(
    ("sign", "code"),
    [
        ("window.callPhantom = 1", 150),
        ("window.__nightmare = 1", 151),
        ("document.__webdriver_evaluate = 1", 152),
        ("Object.defineProperty(navigator, 'webdriver', {value: true})", 153),
    ],
)
def test_robots_are_told_by_what_they_leave(  # noqa: PLR0917 - fixtures are arguments
    fresh: Browser, pages: Pages, person: Person, snippet: str, sign: str, code: int
) -> None:
    """The server keeps them apart."""
    pages.put("/page", f"<script>{sign}</script>", snippet)
    fresh.open(pages.url(WWW, "/page"))
    assert [sent.data["b"] for sent in fresh.sends(person.host, 1)] == [str(code)]
    person.sees_none_but_a_marker()


# How it is sent

NO_BEACON: dict[str, str] = {
    "refused": "navigator.sendBeacon = () => false",
    "broken": "navigator.sendBeacon = () => { throw new TypeError('no') }",
    "missing": "Object.defineProperty(navigator, 'sendBeacon', {value: undefined})",
}


@pytest.mark.parametrize("how", NO_BEACON)
def test_where_there_are_no_beacons_there_are_images(
    fresh: Browser, pages: Pages, person: Person, snippet: str, how: str
) -> None:
    """An image that nobody sees, and that goes when it is loaded."""
    pages.put("/page", f"<script>{NO_BEACON[how]}</script>", snippet)
    fresh.open(pages.url(WWW, "/page"))
    (sent,) = fresh.sends(person.host, 1)
    assert (sent.method, sent.kind, sent.data["p"]) == ("GET", "Image", "/page")
    until("the image is gone", lambda: fresh.run("return document.images.length === 0"))
    person.sees({"/page": 1})


def test_a_page_may_count_before_it_has_a_body(fresh: Browser, pages: Pages, person: Person, snippet: str) -> None:
    """Its own script goes on after the call, whatever carries the view."""
    begun = f"<script>{NO_BEACON['refused']}; window.goatcounter = {{no_onload: true, allow_local: true}}</script>"
    counted = "<script>goatcounter.count({path: '/head'}); window.went_on = document.body === null</script>"
    pages.put("/early", f"{begun}{snippet.replace(' async', '')}{counted}")
    fresh.open(pages.url(WWW, "/early"))
    (sent,) = fresh.sends(person.host, 1)
    assert (sent.kind, sent.data["p"]) == ("Image", "/head")
    assert fresh.run("return window.went_on === true")


@pytest.mark.parametrize("beacon", [True, False])
def test_a_strict_page_allows_what_the_contract_names(
    fresh: Browser, pages: Pages, person: Person, snippet: str, beacon: bool
) -> None:
    """The script's host, and `/count` for beacons and images: nothing else, no style and no inline script."""
    at = f"http://{person.host}:{person.url.rpartition(':')[2]}"
    allowed = f"connect-src {at}/count" if beacon else "connect-src 'none'"
    policy = f"default-src 'none'; script-src {at} 'nonce-n'; img-src {at}/count; {allowed}"
    breaks = "" if beacon else f"<script nonce=n>{NO_BEACON['refused']}</script>"
    pages.put("/strict", breaks, snippet, {"Content-Security-Policy": policy})
    fresh.open(pages.url(WWW, "/strict"))
    assert [sent.kind for sent in fresh.sends(person.host, 1)] == ["Ping" if beacon else "Image"]
    person.sees({"/strict": 1})


def test_a_page_without_scripts_is_counted_by_an_image(
    fresh: Browser, pages: Pages, person: Person, snippet: str
) -> None:
    """In `noscript`, so that nobody is counted twice."""
    endpoint = snippet.split('"')[1]
    pages.put("/page", body=f'{snippet}<noscript><img src="{endpoint}?p=/without-scripts" alt=""></noscript>')
    fresh.tell("Emulation.setScriptExecutionDisabled", value=True)
    try:
        fresh.open(pages.url(WWW, "/page"))
        (sent,) = fresh.sends(person.host, 1)
    finally:
        fresh.tell("Emulation.setScriptExecutionDisabled", value=False)
    assert (sent.method, sent.kind, sent.data) == ("GET", "Image", {"p": "/without-scripts"})
    person.sees({"/without-scripts": 1})
    fresh.open(pages.url(WWW, "/page"))
    assert [sent.data["p"] for sent in fresh.sends(person.host, 1)] == ["/page"]
    person.sees({"/without-scripts": 1, "/page": 1})
