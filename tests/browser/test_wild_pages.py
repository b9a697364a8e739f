"""The tracking script in pages that are not made for it: slow ones, ones that hide what the browser says behind names
of their own, that take the script's tag away, or whose texts end in half a letter (page-view contract, section 4.3).
"""

import pytest

from tests.browser.chrome import Browser, Pages, until
from tests.clients.people import Person

pytestmark = pytest.mark.browser

WWW = "www.pages.test"
TITLE = "A page & more"
"""What every page is called."""
WAITS = "<script>window.goatcounter = {no_onload: true}</script>"


# Names of elements

HIDING = {
    "form": "<form name={}></form>",
    "image": "<img name={} id={}>",
    "frame": "<iframe name={}></iframe>",
    "object": "<object id={}></object>",
    "two": "<form name={}></form><form name={}></form>",
}
READ = (
    "title referrer body readyState visibilityState prerendering currentScript querySelector querySelectorAll"
    " createElement addEventListener removeEventListener location documentElement"
)
"""What a script may ask its document for."""


@pytest.mark.parametrize("how", HIDING)
def test_elements_hide_nothing_from_the_script(
    fresh: Browser, pages: Pages, person: Person, snippet: str, how: str
) -> None:
    """An element's name is a property of its document; the page is counted as if it had none."""
    elements = "".join(HIDING[how].replace("{}", name) for name in READ.split())
    pages.put("/names", f"<link rel=canonical href=/canonical>{elements}", f"{elements}{snippet}")
    pages.put("/from", '<meta name=referrer content="unsafe-url">', f'<a href="{pages.url(WWW, "/names")}">on')
    fresh.open(pages.url(WWW, "/from"))
    fresh.click("a")
    (sent,) = fresh.sends(person.host, 1)
    expected = {"p": "/canonical", "t": TITLE, "r": pages.url(WWW, "/from"), "b": "0"}
    assert {name: sent.data.get(name) for name in expected} == expected


def test_no_element_of_a_document_hides_anything(fresh: Browser, pages: Pages, person: Person, snippet: str) -> None:
    """Not even where all properties that a document has are names of elements; nor where beacons are refused."""
    names = "var all = ''; for (var name in document) all += '<img name=' + name + '>'; document.write(all)"
    pages.put("/all", body=f"<script>navigator.sendBeacon = null; {names}</script>{snippet}")
    fresh.open(pages.url(WWW, "/all"))
    (sent,) = fresh.sends(person.host, 1)
    assert (sent.kind, sent.data["p"], sent.data["t"]) == ("Image", "/all", TITLE)


def test_browsers_that_show_no_getters_count_as_well(
    fresh: Browser, pages: Pages, person: Person, snippet: str
) -> None:
    """As those had it that came before 2016; a name that is hidden there is left out."""
    old = """var show = Object.getOwnPropertyDescriptor
        Object.getOwnPropertyDescriptor = function (object, name) {
            var found = show(object, name)
            return found && found.get && /^(Document|Element|HTML.*)$/.test(object.constructor.name)
                ? {value: undefined, configurable: false} : found
        }"""
    pages.put(
        "/old", f"<script>{old}</script>{snippet}", "<b id=b data-goatcounter-click>b</b><form name=title></form>"
    )
    fresh.open(pages.url(WWW, "/old"))
    (sent,) = fresh.sends(person.host, 1)
    assert (sent.data["p"], sent.data.get("t")) == ("/old", None)
    fresh.click("b")
    assert fresh.sends(person.host, 1)[0].data["p"] == "b"


def test_no_field_of_a_form_hides_anything(fresh: Browser, pages: Pages, person: Person, snippet: str) -> None:
    """A form is named, titled, bound once and counted, whatever its fields are called."""
    fields = "var all = ''; for (var name in form) all += '<input name=' + name + '>'"
    pages.put(
        "/form",
        WAITS,
        f"""<form id=order name=order-form title=Order data-goatcounter-click></form>{snippet}
        <script>var form = document.forms[0]; {fields}; form.innerHTML = all</script>""",
    )
    fresh.open(pages.url(WWW, "/form"))
    fresh.counting()
    fresh.run("goatcounter.bind_events(); goatcounter.bind_events(); HTMLElement.prototype.click.call(form)")
    (sent,) = fresh.sends(person.host, 1)
    assert (sent.data["p"], sent.data["t"], sent.data["e"]) == ("order-form", "Order", "true")
    fresh.run("goatcounter.visit_count({append: 'form'})")
    until("the counter is in the form", lambda: fresh.run("return document.querySelectorAll('form > iframe').length"))


def test_an_element_has_a_name_where_it_is_a_property(
    fresh: Browser, pages: Pages, person: Person, snippet: str
) -> None:
    """As forms and buttons have one; what else says `name` goes by its id."""
    elements = "".join(
        f"<{tag} id=id-{tag} name=name-{tag} data-goatcounter-click>x</{tag}>" for tag in ("button", "div", "b", "a")
    )
    pages.put("/named", WAITS, elements + snippet)
    fresh.open(pages.url(WWW, "/named"))
    fresh.counting()
    fresh.run("goatcounter.bind_events(); document.querySelectorAll('[id^=id-]').forEach(e => e.click())")
    sent = fresh.sends(person.host, 4)
    assert [view.data["p"] for view in sent] == ["name-button", "id-div", "id-b", "name-a"]


@pytest.mark.parametrize(
    "named",
    [
        "<a id=goatcounter title=x></a>",
        "<a id=goatcounter></a><b id=goatcounter></b>",
        "<form name=goatcounter><input name=title><input name=path></form>",
        "<iframe name=goatcounter src=//other.test/></iframe>",
        "<script>window.goatcounter = null</script>",
        "<script>window.goatcounter = 'no settings'</script>",
        "<script>window.goatcounter = document.createElement('form')</script>",
    ],
)
def test_settings_are_those_of_the_pages_scripts(
    fresh: Browser, pages: Pages, person: Person, snippet: str, named: str
) -> None:
    """Not an element that happens to be called so, nor what cannot hold any."""
    pages.put("/settings", body=named + snippet)
    fresh.open(pages.url(WWW, "/settings"))
    (sent,) = fresh.sends(person.host, 1)
    assert (sent.data["p"], sent.data["t"]) == ("/settings", TITLE)
    assert fresh.run("return Object.prototype.toString.call(goatcounter)") == "[object Object]"
    fresh.run("goatcounter.count({path: '/more'})")
    assert fresh.sends(person.host, 1)[0].data["p"] == "/more"


def test_a_tag_that_is_called_goatcounter_holds_no_settings(
    fresh: Browser, pages: Pages, person: Person, snippet: str
) -> None:
    """The script's own one, for example."""
    pages.put("/own", body=snippet.replace("<script", "<script id=goatcounter"))
    fresh.open(pages.url(WWW, "/own"))
    assert fresh.sends(person.host, 1)[0].data["t"] == TITLE


@pytest.mark.parametrize(
    "named",
    [
        "<h2 id=phantom>Of the Opera</h2>",
        "<form name=_phantom></form><a id=callPhantom></a>",
        "<img name=__nightmare id=__nightmare>",
        "<form name=__webdriver_evaluate></form><iframe name=__selenium_unwrapped></iframe>",
        "<script>var parent = 'no frame', screen = null, console = {}</script>",
    ],
)
def test_a_page_that_names_something_so_makes_nobody_a_robot(
    fresh: Browser, pages: Pages, person: Person, snippet: str, named: str
) -> None:
    """Nor does it make a page a frame, or stop the script."""
    pages.put("/phantom", body=named + snippet)
    fresh.open(pages.url(WWW, "/phantom"))
    (sent,) = fresh.sends(person.host, 1)
    assert (sent.data["p"], sent.data["b"]) == ("/phantom", "0")


# Halves of letters


@pytest.mark.parametrize("known", [True, False])
def test_half_an_emoji_is_a_letter_that_was_lost(
    fresh: Browser, pages: Pages, person: Person, snippet: str, known: bool
) -> None:
    """Wherever a text was cut, in every browser; whole ones stay."""
    old = "" if known else "<script>delete String.prototype.toWellFormed</script>"
    pages.put("/half", f"{WAITS}{old}", f"<b data-goatcounter-click='x\U0001f600'>b</b>{snippet}")
    fresh.open(pages.url(WWW, "/half"))
    fresh.counting()
    fresh.run(r"goatcounter.count({path: '/a\ud83d', title: '\ude00b\ud83d\ude00', referrer: 'r\ud83d\ud83d\ude00'})")
    fresh.run(r"document.title = 'Breaking \ud83d'; goatcounter.title = t => t + '!\udfff'; goatcounter.count()")
    fresh.run(r"document.querySelector('b').setAttribute('data-goatcounter-click', 'cut \ud83d')")
    fresh.run("goatcounter.bind_events(); document.querySelector('b').click()")
    first, titled, clicked = (view.data for view in fresh.sends(person.host, 3))
    assert (first["p"], first["t"], first["r"]) == ("/a\ufffd", "\ufffdb\U0001f600", "r\ufffd\U0001f600")
    assert (titled["p"], titled["t"]) == ("/half", "Breaking \ufffd!\ufffd")
    assert clicked["p"] == "cut \ufffd"
    person.sees({"/a\ufffd": 1, "/half": 1, "cut \ufffd": 1})
    fresh.run(r"goatcounter.visit_count({path: '/a\ud83d', style: '\ud83d', attr: {id: 'c'}})")
    source = until("the counter is there", lambda: fresh.run("return (document.getElementById('c') || {}).src"))
    assert source.endswith("/counter/%2Fa%EF%BF%BD.html?style=%EF%BF%BD")


def test_the_beginning_of_an_element_ends_with_a_whole_letter(
    fresh: Browser, pages: Pages, person: Person, snippet: str
) -> None:
    """Its first 200 units are the title; an emoji that would be cut is left out."""
    long = "x" * 199 + "\U0001f600 download"
    pages.put("/long", WAITS, f"<b data-goatcounter-click=dl>{long}</b>{snippet}")
    fresh.open(pages.url(WWW, "/long"))
    fresh.counting()
    fresh.run("goatcounter.bind_events(); document.querySelector('b').click()")
    assert fresh.sends(person.host, 1)[0].data["t"] == "x" * 199


# The script's own tag

GONE = {
    "taken away": "tag.remove()",
    "replaced by one without an endpoint": "tag.outerHTML = '<script data-goatcounter><' + '/script>'",
    "replaced by one with another": "tag.setAttribute('data-goatcounter', 'http://other.test/count')",
    "taken away with all of the page": "document.documentElement.innerHTML = '<head><title>New</title><body><p>p'",
}


@pytest.mark.parametrize("how", GONE)
def test_the_script_remembers_what_its_tag_said(
    fresh: Browser, pages: Pages, person: Person, snippet: str, how: str
) -> None:
    """An application draws its pages anew, and counts each of them with the endpoint and settings of the first."""
    own = snippet.replace(" async", """ data-goatcounter-settings='{"referrer": "ref"}' async""")
    pages.put("/app", body=f"<button data-goatcounter-click=pressed>b</button>{own}")
    fresh.open(pages.url(WWW, "/app"))
    fresh.sends(person.host, 1)
    fresh.run(
        f"""window.button = document.querySelector('button'); var tag = document.querySelector('[data-goatcounter]');
        {GONE[how]}; history.pushState({{}}, '', '/app/2'); goatcounter.count(); button.click()"""
    )
    view, event = fresh.sends(person.host, 2)
    assert (view.data["p"], view.data["r"], event.data["p"]) == ("/app/2", "ref", "pressed")
    fresh.run("goatcounter.visit_count({attr: {id: 'counter'}})")
    until("the counter is there", lambda: fresh.run("return !!document.getElementById('counter')"))
    assert fresh.run("return new URL(document.getElementById('counter').src).hostname") == person.host


def test_the_script_knows_its_tag_when_it_is_gone_before_it_runs(
    fresh: Browser, pages: Pages, person: Person, snippet: str
) -> None:
    """As loaders take away what they have inserted."""
    endpoint, source = snippet.split('"')[1], snippet.split('"')[3]
    load = f"""var tag = document.createElement('script'); tag.src = '{source}'
        tag.setAttribute('data-goatcounter', '{endpoint}'); document.head.appendChild(tag).remove()"""
    pages.put("/loader", body=f"<script>{load}</script>")
    fresh.open(pages.url(WWW, "/loader"))
    assert [sent.data["p"] for sent in fresh.sends(person.host, 1)] == ["/loader"]


# Time

SLOW = "<script src=/held></script>"


@pytest.mark.parametrize("where", ["head", "body"])
def test_readers_of_a_slow_page_are_counted(
    fresh: Browser, pages: Pages, person: Person, snippet: str, where: str
) -> None:
    """As soon as there is a body, also if the rest never comes; what can be clicked is bound when all is there."""
    now = snippet.replace(" async", "")
    button = "<button data-goatcounter-click=pressed>b</button>"
    held = pages.hold(f"/held-{where}")
    slow = SLOW.replace("/held", f"/held-{where}") + button
    pages.put("/slow", *((now, slow) if where == "head" else ("", now + slow)))
    fresh.run("setTimeout(() => { location = arguments[0] }, 50)", pages.url(WWW, "/slow"))
    try:
        (sent,) = fresh.sends(person.host, 1)
        assert (sent.data["p"], sent.data["t"]) == ("/slow", TITLE)
        assert not held.is_set()
    finally:
        held.set()
    until("all is there", lambda: fresh.run("return document.querySelector('[data-goatcounter-bound]') !== null"))
    fresh.click("button")
    assert fresh.sends(person.host, 1)[0].data["p"] == "pressed"


def test_a_script_in_the_head_waits_for_all_of_it(fresh: Browser, pages: Pages, person: Person, snippet: str) -> None:
    """What stands behind it belongs to the page as well."""
    held = pages.hold("/held-inside")
    inside = f"{snippet.replace(' async', '')}<script src=/held-inside></script><link rel=canonical href=/canonical>"
    pages.put("/head", inside)
    fresh.run("setTimeout(() => { location = arguments[0] }, 50)", pages.url(WWW, "/head"))
    until("the head waits", lambda: "/held-inside" in pages.asked)
    assert fresh.sent(person.host) == []
    held.set()
    assert [sent.data["p"] for sent in fresh.sends(person.host, 1)] == ["/canonical"]


@pytest.mark.parametrize("state", ["hidden", "prerender", "unloaded", "something new"])
def test_a_page_is_counted_when_it_is_visible(
    fresh: Browser, pages: Pages, person: Person, snippet: str, state: str
) -> None:
    """And in no other state, whatever it is called."""
    define = "Object.defineProperty(document, 'visibilityState', {configurable: true, value: '%s'})"
    pages.put("/state", f"<script>{define % state}</script>", snippet)
    fresh.open(pages.url(WWW, "/state"))
    fresh.counting()
    fresh.run("document.dispatchEvent(new Event('visibilitychange'))")
    assert fresh.sent(person.host) == []
    fresh.run(f"{define % 'visible'}; for (var i of [1, 2]) document.dispatchEvent(new Event('visibilitychange'))")
    assert [sent.data["p"] for sent in fresh.sends(person.host, 1)] == ["/state"]


# Clicks


def test_a_click_is_what_may_open_something(fresh: Browser, pages: Pages, person: Person, snippet: str) -> None:
    """The left and the middle button and the keyboard are; the right one opens a menu, and others lead elsewhere."""
    from selenium.webdriver import ActionChains, Keys  # noqa: PLC0415 - it may be missing where these tests are skipped

    pages.put("/click", WAITS, f"<a href=#x data-goatcounter-click=out>out</a>{snippet}")
    fresh.open(pages.url(WWW, "/click"))
    fresh.counting()
    fresh.run("goatcounter.bind_events()")
    link = fresh.all("a")[0]
    ActionChains(fresh.driver).context_click(link).perform()
    dispatch = "arguments[0].dispatchEvent(new MouseEvent('auxclick', {button: arguments[1]}))"
    for button in (2, 3, 4):
        fresh.run(dispatch, link, button)
    link.click()
    fresh.run(dispatch, link, 1)
    link.send_keys(Keys.ENTER)
    assert [sent.data["p"] for sent in fresh.sends(person.host, 3)] == ["out"] * 3


@pytest.mark.parametrize(
    ("attr", "size"), [("undefined", ["200", "60"]), ("{}", [None, None]), ("{width: 7}", ["7", None])]
)
def test_a_counter_has_a_size_unless_it_has_attributes(
    fresh: Browser, pages: Pages, snippet: str, attr: str, size: list[str | None]
) -> None:
    """Who gives it attributes gives it its size."""
    pages.put("/size", WAITS, snippet)
    fresh.open(pages.url(WWW, "/size"))
    fresh.counting()
    fresh.run(f"goatcounter.visit_count({{no_branding: true, attr: {attr}}})")
    frame = until("the counter is there", lambda: fresh.all("iframe"))[0]
    assert [frame.get_dom_attribute(name) for name in ("width", "height")] == size
