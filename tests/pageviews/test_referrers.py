"""Referrers and referrer spam, as the page-view contract has them in section 7.2."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core.errors import Damaged
from chalicelib.pageviews import referrers, spam


@pytest.mark.parametrize(
    ("sent", "stored", "scheme"),
    [
        ("https://www.google.co.nz/search?q=1", "Google", "g"),
        ("https://google.de/", "Google", "g"),
        ("https://googlesites.example/x", "googlesites.example/x", "h"),
        ("android-app://com.google.android.googlequicksearchbox/https/www.google.com", "Google", "g"),
        ("https://yandex.ru/search", "Yandex", "g"),
        ("https://r.search.yahoo.com/x", "Yahoo", "g"),
        ("https://m.baidu.com/s", "Baidu", "g"),
        ("https://news.ycombinator.com/item?id=1", "Hacker News", "g"),
        ("https://HN.Algolia.com", "Hacker News", "g"),
        ("https://mail.google.com/mail/u/0", "Email", "g"),
        ("https://feedly.com/i/latest", "RSS", "g"),
        ("https://l.facebook.com/l.php?u=x", "www.facebook.com", "g"),
        ("https://m.facebook.com/groups/1/", "www.facebook.com/groups/1", "h"),
        ("android-app://org.telegram.messenger", "Telegram Messenger", "g"),
        ("android-app://com.slack/", "Slack Chat", "g"),
        ("android-app://com.unheard.of/", "com.unheard.of", "o"),
        ("Android-App://me@COM.unheard.of/https/a.test/x/?q=1#f", "com.unheard.of/https/a.test/x", "o"),
        ("android-app://", "", "o"),
        ("ios-app://544007664/x", "ios-app://544007664/x", "o"),
        ("https://old.reddit.com/r/golang/", "www.reddit.com/r/golang", "h"),
        ("https://www.reddit.com/r/golang/top", "www.reddit.com/r/golang", "h"),
        ("https://www.reddit.com/r/golang.compact", "www.reddit.com/r/golang", "h"),
        ("https://www.reddit.com/r/golang/search?q=x", "www.reddit.com/r/golang", "h"),
        ("https://en.m.wikipedia.org/wiki/A", "en.wikipedia.org/wiki/A", "h"),
        ("https://link.oreilly.com/x/y", "link.oreilly.com", "h"),
        ("https://app.getpocket.com/read/1", "getpocket.com", "h"),
        ("https://lobste.rs/t/x", "lobste.rs", "h"),
        ("https://lobste.rs/s/abc/title", "lobste.rs/s/abc/title", "h"),
        ("https://t.co/AbC", "twitter.com/search?q=https%3A%2F%2Ft.co%2FAbC", "h"),
        ("https://t.co/", "t.co", "h"),
        ("https://example.com/a/?x=1", "example.com/a", "h"),
        ("HTTP://Example.com:8080/A/#top", "example.com:8080/A", "h"),
        ("https://ann:secret@example.com/a", "example.com/a", "h"),
        ("https://[::1", "[::1", "h"),
        ("https://", "", "o"),
        ("example", "example", "o"),
        ("example.com/a/", "example.com/a", "o"),
        ("my newsletter? no. ü", "my newsletter? no. ü", "o"),
        ("ftp://example.com/", "ftp://example.com", "o"),
        ("", "", "o"),
        ("/", "", "o"),
    ],
)
def test_a_referrer_is_cleaned_and_grouped(sent: str, stored: str, scheme: str) -> None:
    """URLs lose scheme, query and trailing slash, well-known places have one name, free text stays as sent."""
    assert referrers.normalise(sent) == (stored, scheme)


@given(st.text(st.characters(categories=None)) | st.builds("https://{}".format, st.text(st.sampled_from("/?#@:. a%"))))
def test_any_text_is_a_referrer(text: str) -> None:
    """Nothing makes the rules fail, the scheme is one of the four, and no blank or slash is left at the end."""
    stored, scheme = referrers.normalise(text)
    assert scheme in {"h", "g", "o"}
    assert stored == stored.rstrip().rstrip("/")
    if not stored:
        assert scheme == "o"


@given(st.text() | st.builds("https://{}".format, st.text(st.sampled_from("/?#@:. a%"))))
def test_a_stored_referrer_keeps_its_text(text: str) -> None:
    """What an export holds is the same text again after an import, unless it looks like a URL within a URL."""
    stored, _ = referrers.normalise(text)
    if "://" not in stored:
        assert referrers.normalise(stored)[0] == stored.strip()


@pytest.mark.parametrize(
    ("referrer", "host"),
    [
        ("https://Sub.Semalt.com:80/x?y", "sub.semalt.com"),
        ("https://semalt.com.", "semalt.com"),
        ("https://a@semalt.com", "semalt.com"),
        ("semalt.com/x", ""),
        ("android-app://semalt.com", ""),
    ],
)
def test_only_urls_have_a_host(referrer: str, host: str) -> None:
    """A host is looked for in http(s) URLs only; port and user do not belong to it."""
    assert referrers.host(referrer) == host


@pytest.mark.parametrize(
    ("host", "spams"),
    [
        ("semalt.com", True),
        ("a.b.semalt.com", True),
        ("notsemalt.com", False),
        ("semalt.com.example", False),
        ("com", False),
        ("localhost", True),
        ("app.localhost", True),
        ("", False),
    ],
)
def test_a_spammer_is_found_by_whole_labels(host: str, spams: bool) -> None:
    """A listed host and everything below it spams, and nothing that only looks alike."""
    assert spam.by_default()(host) is spams


@given(st.sampled_from(sorted(spam.shipped())), st.lists(st.text(st.sampled_from("ab-1"), min_size=1), max_size=3))
def test_every_listed_host_spams_with_all_its_subdomains(host: str, labels: list[str]) -> None:
    """The list is used as a whole."""
    assert spam.by_default()(".".join([*labels, host]))


def test_an_operators_list_takes_the_place_of_ours() -> None:
    """It says who spams, besides this very machine; comments, blanks, capitals and line ends of any kind do no harm."""
    spams = spam.read_spams("# ours\r\n Spam.Example \r\n\r\nxn--80aeb6argv.xn--p1ai # theirs\n")
    hosts = ("spam.example", "a.spam.example", "xn--80aeb6argv.xn--p1ai", "localhost", "semalt.com", "example")
    assert [spams(host) for host in hosts] == [True, True, True, True, False, False]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", 0),
        ("# nothing\n\n", 0),
        ("spam.example\ncom\n", 2),
        ("<!DOCTYPE html>\n<html>", 1),
        ("spam.example\nhttps://spam.example/\n", 2),
        ("a..example", 1),
        ("-a.example", 1),
        ("spam.example other.example", 1),
        (f"{'a' * 64}.example", 1),
        (f"{'a.' * 130}example", 1),
        ("spam.exa\0mple", 1),
        (".", 1),
    ],
)
def test_a_damaged_list_of_spammers_is_refused(text: str, line: int) -> None:
    """An empty list, an error page, or one label that half the web stands below: the error says in which line."""
    with pytest.raises(Damaged) as refusal:
        spam.read(text)
    assert refusal.value.line == line
