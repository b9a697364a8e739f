"""Bots, as the page-view contract has them in section 7.6."""

import gzip
import re
from pathlib import Path

import pytest
from crawlerdetect import CrawlerDetect
from crawlerdetect.providers import crawlers as listed
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.pageviews import bots, crawlers
from chalicelib.pageviews.bots import Reason

LOG = Path(__file__).parents[1] / "data" / "access.log.gz"
CHROME = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36"
LIBRARY = CrawlerDetect()


@pytest.mark.parametrize(
    ("user_agent", "reason"),
    [
        (CHROME, Reason.NONE),
        ("", Reason.SHORT),
        ("curl/7.8", Reason.SHORT),
        ("Mozilla/5.0", Reason.SHORT),
        ("an unhelpful text", Reason.SHORT),
        ("Mozilla/5.0 (Linux; Android 7.0; CUBOT_NOTE_S) Chrome/60.0", Reason.NONE),
        ("Mozilla/5.0 (X11) StudoBrowser/1.0", Reason.NONE),
        ("Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", Reason.LINK),
        ("curl/7.88.1 (x86_64)", Reason.CLIENT_LIBRARY),
        ("python-requests/2.31 CPython", Reason.CLIENT_LIBRARY),
        (CHROME.replace("Chrome", "HeadlessChrome"), Reason.KNOWN),
        (CHROME + " Chrome-Lighthouse", Reason.KNOWN),
        (CHROME + " Google Favicon", Reason.KNOWN),
        ("Dalvik/2.1 okhttp/4.9.0", Reason.KNOWN),
        ("Feedbin feed-id:1 - 1 subscribers/2", Reason.KNOWN),
        ("Acme SpiDER/1.0", Reason.KNOWN),
    ],
)
def test_bots_are_told_by_their_user_agent(user_agent: str, reason: Reason) -> None:
    """The tests run in the contract's order, and the first that fits says why."""
    assert bots.recognise(user_agent) == reason


@given(st.text(st.characters(categories=None)))
def test_any_text_is_recognised_or_not(user_agent: str) -> None:
    """Nothing makes the rules fail; the answer is one of the reasons, as a plain number."""
    code = bots.recognise(user_agent)
    assert type(code) is int
    assert code in set(map(int, Reason))


@given(st.text(), st.sampled_from(["bot", "CRAWLER", "Spider"]), st.text())
def test_whoever_calls_itself_a_bot_is_one(before: str, word: str, after: str) -> None:
    """The three words are found anywhere and in any case, but for the two names that hold one by chance."""
    text = before + word + after
    if "CUBOT" not in text:
        assert bots.recognise(text) != Reason.NONE


def test_the_index_of_crawlers_agrees_with_its_library_on_real_visitors() -> None:
    """For every User-Agent of a real log, the faster search says what the library says."""
    with gzip.open(LOG, "rt", errors="replace") as lines:
        found = {match[1] for line in lines if (match := re.search(r'"([^"]*)"\s*$', line))}
    assert len(found) > 500
    assert [text for text in found if crawlers.known().recognise(text) != LIBRARY.is_crawler(text)] == []


PLAIN = [re.sub(r"\\(.)", r"\1", pattern) for pattern in listed.data]
PIECES = st.sampled_from([*PLAIN, "Mozilla/5.0 (", "Windows NT 10.0; ", ") Gecko/1 ", "Chrome/99 ", " ", "x", "7"])


@given(st.lists(PIECES, max_size=5).map("".join))
def test_the_index_of_crawlers_agrees_with_its_library_on_made_up_visitors(text: str) -> None:
    """For texts made of the library's own patterns and of what browsers say, too."""
    assert crawlers.known().recognise(text) == LIBRARY.is_crawler(text)


def test_every_listed_pattern_agrees_with_the_library() -> None:
    """Each of the library's patterns finds the same, alone and within an ordinary browser's text, as in the library."""
    texts = [text for pattern in PLAIN for text in (pattern, pattern[1:], f"{CHROME} {pattern.upper()}")]
    assert [text for text in texts if crawlers.known().recognise(text) != LIBRARY.is_crawler(text)] == []


@pytest.mark.parametrize(
    ("headers", "prefetched"),
    [
        ({"x-moz": "prefetch"}, True),
        ({"purpose": "preview"}, True),
        ({"x-purpose": "Prefetch"}, True),
        ({"x-moz": "preview"}, False),
        ({"purpose": "other"}, False),
        ({"accept": "prefetch"}, False),
        ({}, False),
    ],
)
def test_looking_ahead_is_not_a_view(headers: dict[str, str], prefetched: bool) -> None:
    """The three headers say when a browser only prefetches."""
    assert bots.prefetched(headers) is prefetched
