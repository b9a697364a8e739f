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


PHONE = "AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Mobile Safari/537.36"
IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko)"
PEOPLE = [
    "Lynx/2.9.0 libwww-FM/2.14 SSL-MM/1.4.1 GNUTLS/3.7.8",
    "Lynx/2.8.9rel.1",
    "w3m/0.5.3+git20230121",
    "Emacs-w3m/1.4.632 w3m/0.5.3",
    "URL/Emacs Emacs/29.1 (X11; x86_64-pc-linux-gnu)",
    "Links (2.28; Linux 6.1.0 x86_64; GNU C 12.2; text)",
    "ELinks/0.16.1.1 (textmode; Linux 6.1.0 x86_64; 120x50-2)",
    "ELinks (0.4.3; NetBSD 3.0.2PATCH sparc64; 141x19)",
    "Dillo/3.0.5",
    "NetSurf/3.10 (Linux)",
    "edbrowse/3.8.0",
    "amaya/11.4.7 libwww/5.4.0",
    f"Mozilla/5.0 (Linux; Android 11; Cubot X30) {PHONE}",
    f"Mozilla/5.0 (Linux; Android 7.0; CUBOT_NOTE_S) {PHONE}",
    f"Mozilla/5.0 (Linux; Android 10; CUBOT) {PHONE}",
    f"Mozilla/5.0 (Linux; Android 13; FOSSiBOT F101) {PHONE}",
    f"Mozilla/5.0 (Linux; U; Android 6.0; fr-fr; M bot 60 Build/MRA58K) {PHONE}",
    f"Mozilla/5.0 (Linux; Android 8.1; POWER BOT) {PHONE}",
    f"Mozilla/5.0 (Linux; Android 12; XBot Senior) {PHONE}",
    f"Mozilla/5.0 (Linux; Android 12; Spider 8; wv) {PHONE}",
    f"Mozilla/5.0 (Linux; Android 9; Talbot Build/PPR1) {PHONE}",
    f"Mozilla/5.0 (Linux; Android 9; Web Crawler X Build/PPR1; wv) {PHONE}",
    f"Mozilla/5.0 (Linux; Android 4.4.2; Galaxy Buddy 3) {PHONE}",
    f"Mozilla/5.0 (Linux; U; Android 2.0; en-us;) {PHONE} (Kobo eReader)",
    "Outlook-iOS/709.2226530.prod.iphone (3.24.1)",
    f"{IPHONE} Mobile/15E148 Outlook-iOS/713.2340.0",
    "Reeder/5050001 CFNetwork/1568.200.51 Darwin/24.1.0",
    f"{IPHONE} Version/17.0 Mobile/15E148 Safari/604.1 Reeder/5.4.1",
    f"{IPHONE} Mobile/15E148 Instapaper/8.4",
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/605.1.15 (KHTML, like Gecko) Liferea/1.13 Safari/605.1.15",
]
ROBOTS = [
    "Lynxbot/1.0 (linux)",
    "Lynx/2.8 (compatible; SomeBot/1.0)",
    "Lynx/2.8 libwww-FM/2.14 libwww-perl/6.0",
    "w3m/0.5 Crawler",
    "Links/2.0 (http://example.com/scripts/links/)",
    "LinksCrawler/1.0 (x)",
    "Linkspider (2.0; x/y)",
    "Dillo/3.0 spider",
    "CubotCrawler/1.0 (x)",
    f"Mozilla/5.0 (Linux; Android 11; Cubot X30) {PHONE} (compatible; Googlebot/2.1)",
    f"Mozilla/5.0 (Linux; Android 8.0; Pixel 2 Build/OPD3.170816.012; Storebot-Google/1.0) {PHONE}",
    f"Mozilla/5.0 (Linux; Android 10; SomeBot) {PHONE}",
    f"Mozilla/5.0 (Linux; Android 10; SomeBot/2.0) {PHONE}",
    f"Mozilla/5.0 (Linux; Android 10; compatible; Bot 7) {PHONE}",
    f"Mozilla/5.0 (Linux; Android 10; K) {PHONE} Bytespider",
    "Mozilla/5.0 (compatible; MBot/1.0)",
    "IDBot/1.0 (x)",
    "Reeder/5.4 bot",
    "theoldreader.com; 2 subscribers/1",
    "Instapaper/1.0 (fetcher)",
    "Slackbot-LinkExpanding 1.0 (x/y)",
    "Liferea/1.13 (Linux)",
    "WhatsApp/2.23.20.0 A",
]


@pytest.mark.parametrize("user_agent", PEOPLE)
def test_people_are_counted_whatever_their_browsers_and_devices_are_called(user_agent: str) -> None:
    """Text browsers, whose texts are short and whose libraries robots use as well; phones and apps for reading."""
    assert bots.recognise(user_agent) == Reason.NONE


@pytest.mark.parametrize("user_agent", ROBOTS)
def test_a_robot_that_borrows_a_name_of_peoples_is_one(user_agent: str) -> None:
    """The rest of its text says so; nor does a name that only begins like theirs help."""
    assert bots.recognise(user_agent) != Reason.NONE


@given(st.text(st.characters(categories=None)))
def test_any_text_is_recognised_or_not(user_agent: str) -> None:
    """Nothing makes the rules fail; the answer is one of the reasons, as a plain number."""
    code = bots.recognise(user_agent)
    assert type(code) is int
    assert code in set(map(int, Reason))


@given(st.text(), st.sampled_from(["bot", "CRAWLER", "Spider"]), st.text())
def test_whoever_calls_itself_a_bot_is_one(before: str, word: str, after: str) -> None:
    """The three words are found anywhere and in any case, but for names of devices that hold one."""
    text = before + word + after
    if "cubot" not in text.lower():
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
