"""Paths of pages and names of events, as the page-view contract has them in section 7.1."""

from urllib.parse import quote_from_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.pageviews import paths, texts

READER = "/storage/emulated/0/Android/data/jonas.tool.saveForOffline/files"


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        ("foo.html", "/foo.html"),
        ("//page/", "/page"),
        ("//a/", "/a"),
        ("//", "/"),
        ("/", "/"),
        ("  /a  ", "/a"),
        ("", ""),
        ("   ", ""),
        ("/page?fbclid=1&a=b", "/page?a=b"),
        ("/page?b=2&a=1&b=1", "/page?a=1&b=2&b=1"),
        ("/page?", "/page"),
        ("/page?a=1&", "/page?a=1"),
        ("/page/?", "/page"),
        ("& &", "/"),
        ("/a/&/&", "/a"),
        ("/a ?/?", "/a"),
        ("/p/?a=1", "/p/?a=1"),
        ("/p/?fbclid=x", "/p"),
        ("/p?a", "/p?a="),
        ("/p?q=a b", "/p?q=a+b"),
        ("/p?utm_source=x&utm_whatever=y&ref=z&gclid=1&_x_tr_sl=en&keep=1", "/p?keep=1"),
        ("/p?from=singlemessage", "/p"),
        ("/p?from=groupmessage&isappinstalled=0", "/p"),
        ("/p?from=me", "/p?from=me"),
        (f"{READER}/x123/rest/of", "/rest/of"),
        ("/web/20200101123456/https://example.com/a/b?c=1", "/a/b?c=1"),
        ("/web/20200101123456im_/http://example.com/", "/"),
        ("/web/20200101123456/http:/example.com/a", "/a"),
        ("/web/2019/report", "/web/2019/report"),
        ("/Über?q=ü", "/Über?q=%C3%BC"),
        ("/s?q=%e4", "/s?q=%E4"),
        ("/s?%e4=1&q=%F6", "/s?q=%F6&%E4=1"),
        ("/s?q=ä%C4%E3+%C3%BC%ff", "/s?q=%C3%A4%C4%E3+%C3%BC%FF"),
        ("/s?q=%ED%A0%80", "/s?q=%ED%A0%80"),
    ],
)
def test_a_page_is_stored_under_one_spelling(sent: str, stored: str) -> None:
    """However a page is linked to, it is stored with one leading slash and without what trackers add."""
    assert paths.page(sent) == stored


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        ("/foo", "foo"),
        ("///foo/", "foo/"),
        ("foo", "foo"),
        (" /foo ", "foo"),
        ("/", "(no event name)"),
        ("", "(no event name)"),
        ("click?utm_source=x", "click?utm_source=x"),
    ],
)
def test_an_event_has_a_name_without_leading_slashes(sent: str, stored: str) -> None:
    """Only leading slashes and blanks go; a name is never empty."""
    assert paths.event(sent) == stored


@pytest.mark.parametrize(
    ("path", "ignored"),
    [
        ("/favicon.ico", True),
        ("/servlet/redirect.srv/x", True),
        ("/a<html>b", True),
        ("/a<HTML>b", True),
        ("/a<Html>b", False),
        ("/x/favicon.ico", False),
        ("/servlet/redirect.srv", False),
    ],
)
def test_only_some_paths_are_ignored(path: str, ignored: bool) -> None:
    """The three rules of paths that nobody wants to see hold exactly."""
    assert paths.ignored(path) is ignored


URLISH = st.text(st.sampled_from("/?&=%a b.ü;#+\n\t")) | st.text()


@given(st.lists(st.binary(min_size=1, max_size=6), min_size=2, max_size=2, unique=True))
def test_pages_stay_apart_whatever_bytes_their_queries_hold(values: list[bytes]) -> None:
    """In any encoding: names and values of queries are bytes, which browsers escape."""
    first, second = (quote_from_bytes(value, safe="") for value in values)
    assert paths.page(f"/s?q={first}") != paths.page(f"/s?q={second}")
    assert paths.page(f"/s?k{first}=1") != paths.page(f"/s?k{second}=1")


@given(URLISH)
def test_a_stored_page_is_stored_the_same_again(text: str) -> None:
    """Normalising what was normalised changes nothing, so that an export can be imported."""
    stored = paths.page(text)
    assert paths.page(stored) == stored


@given(URLISH)
def test_a_stored_page_has_the_form_of_a_path(text: str) -> None:
    """Whatever was sent: one leading slash, none trailing, no blanks around; empty only for blank text."""
    stored = paths.page(text)
    if not text.strip():
        assert stored == ""
    elif "\0" not in text:
        assert stored == "/" or (stored[0] == "/" and stored[1] != "/" and stored[-1] != "/")
        assert stored == stored.strip()


@given(URLISH)
def test_a_stored_event_is_stored_the_same_again(text: str) -> None:
    """An event's name is never empty, starts with no slash, and stays what it is."""
    stored = paths.event(text)
    assert stored
    assert not stored.startswith("/")
    assert paths.event(stored) == stored


@given(st.text(st.characters(categories=None)))
def test_no_text_is_too_strange(text: str) -> None:
    """Lone surrogates and NUL bytes pass through for validation to find."""
    strange = "\0" in text or any("\ud800" <= letter <= "\udfff" for letter in text)
    stored = paths.page(text)
    paths.event(text)
    if strange:
        assert stored == text.strip()


def test_all_blanks_are_known() -> None:
    """What is stripped together with slashes is what `str.strip` would strip."""
    assert {chr(code) for code in range(0x110000) if chr(code).isspace()} == set(texts.BLANKS)
