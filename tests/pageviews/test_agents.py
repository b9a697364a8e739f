"""Browsers and systems, as the page-view contract has them in section 7.4."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.pageviews import agents

WEBKIT = "AppleWebKit/537.36 (KHTML, like Gecko)"


@pytest.mark.parametrize(
    ("user_agent", "browser", "system"),
    [
        (
            "Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:139.0) Gecko/20100101 Firefox/139.0",
            "Firefox 139",
            "Linux Ubuntu",
        ),
        (
            f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {WEBKIT} Chrome/120.0.0.0 Safari/537.36",
            "Chrome 120",
            "Windows 10",
        ),
        (
            f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {WEBKIT} Chrome/120.0.0.0 Safari/537.36 Edg/121.0.0.0",
            "Chrome 120",
            "Windows 10",
        ),
        (
            f"Mozilla/5.0 (Windows NT 10.0) {WEBKIT} Chrome/64.0.3282.140 Safari/537.36 Edge/17.17134",
            "Edge 17",
            "Windows 10",
        ),
        (
            f"Mozilla/5.0 (Linux; Android 13; SM-G991B) {WEBKIT} SamsungBrowser/23.0 Chrome/115.0.0.0 Mobile Safari/1",
            "Chrome 115",
            "Android 13",
        ),
        (
            (
                "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) "
                "Version/17.1 Safari/605.1.15"
            ),
            "Safari 17.1",
            "macOS 10.15",
        ),
        (
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 17_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
                "CriOS/120.0.6099.119 Mobile/15E148 Safari/604.1"
            ),
            "Safari 17.1",
            "iOS 17.1",
        ),
        (
            "Mozilla/5.0 (iPad; CPU OS 12_2 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148",
            "Safari 12.2",
            "iOS 12.2",
        ),
        (
            "Mozilla/5.0 (Macintosh; Intel Mac OS X 10.9) AppleWebKit/537.71 (KHTML, like Gecko) Safari/537.71",
            "Safari 7.0",
            "macOS 10.9",
        ),
        ("Mozilla/5.0 (compatible; MSIE 9.0; Windows NT 6.1; Trident/5.0)", "Internet Explorer 9", "Windows 7"),
        ("Mozilla/5.0 (Windows NT 6.3; Trident/7.0; rv:11.0) like Gecko", "Internet Explorer 11", "Windows 8.1"),
        ("Mozilla/5.0 (Windows NT 5.2; rv:6.0.2) Gecko/20100101 Firefox/6.0.2", "Firefox 6", "Windows XP"),
        ("Mozilla/5.0 (Windows NT 6.0) Gecko/20100101 PaleMoon/29.1.2", "PaleMoon 29.1", "Windows Vista"),
        ("Opera/9.80 (Windows NT 6.2; WOW64) Presto/2.12.388 Version/12.18", "Opera 12.18", "Windows 8"),
        ("Opera/9.25 (Windows NT 9.9; U)", "Opera 9.25", "Windows"),
        (
            "Opera/9.80 (Android; Opera Mini/36.2.2254/119.132; U; id) Presto/2.12.423 Version/12.16",
            "Opera Mini 36.2",
            "Android",
        ),
        (f"Mozilla/5.0 (Linux; Android 9.0; K) {WEBKIT} Chrome/99.0 Safari/1", "Chrome 99", "Android 9"),
        (f"Mozilla/5.0 (Linux; U; Android 4.4.2; K) {WEBKIT} Version/4.0 Safari/1", "", "Android 4.4"),
        (
            f"Mozilla/5.0 (Windows Phone 10.0; Android 6.0.1) {WEBKIT} Chrome/52.0 Mobile Safari/1 Edge/15.14977",
            "Edge 15",
            "Windows Phone 10.0",
        ),
        ("Mozilla/5.0 (X11; Linux x86_64; Debian) Konqueror/4.10", "Konqueror 4.10", "Linux Debian"),
        (f"Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) {WEBKIT} Chrome/120.0 Safari/1", "Chrome 120", "Chrome OS"),
        (f"Mozilla/5.0 (X11; Linux x86_64) {WEBKIT} HeadlessChrome/120.0 Safari/1", "Chrome 120", "Linux"),
        (f"Mozilla/5.0 (PlayStation 4 3.11) {WEBKIT}", "", "PlayStation 4"),
        ("Mozilla/5.0 (Mobile; Nokia 8110; rv:48.0) Gecko/48.0 Firefox/48.0 KAIOS/2.5", "Firefox 48", "KaiOS 2.5"),
        ("Mozilla/5.0 (X11; U; DragonFly i386) Gecko/20 Firefox/3.6", "Firefox 3", "DragonFly BSD"),
        ("Mozilla/4.0 (compatible; J2ME/MIDP)", "", "Java ME"),
        (
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 17_4 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
                "Version/17.0 EdgiOS/124.0.2478.50 Mobile/15E148 Safari/604.1"
            ),
            "Safari 17.0",
            "iOS 17.4",
        ),
        (
            f"Mozilla/5.0 (Linux; Android 13; SM-A536B; wv) {WEBKIT} Version/4.0 Chrome/123.0 Safari/1 [FB_IAB/FB4A;]",
            "Chrome 123",
            "Android 13",
        ),
        (
            f"Mozilla/5.0 (Linux; Android 12; HarmonyOS) {WEBKIT} Chrome/99.0 HuaweiBrowser/14.0.0.300 Safari/1",
            "Chrome 99",
            "Android 12",
        ),
        ("Mozilla/4.0 (compatible; MSIE 7.0; Windows NT 6.1; Trident/5.0; SLCC2)", "Internet Explorer 7", "Windows 7"),
        ("Mozilla/4.0 (compatible; MSIE 6.0; Windows NT 5.1; en) Opera 8.50", "Internet Explorer 6", "Windows XP"),
        ("Mozilla/5.0 (Windows NT 6.3; ARM; Trident/7.0; rv:11.0) like Gecko", "Internet Explorer 11", "Windows 8.1"),
        (
            "Mozilla/5.0 (Windows NT 10.0; rv:68.0) Gecko/20100101 Goanna/4.8 Firefox/68.0 Basilisk/20230125",
            "Basilisk 20230125",
            "Windows 10",
        ),
        ("Mozilla/5.0 (X11; Linux x86_64; rv:24.0) Gecko/2014 Firefox/24.0 Iceweasel/24.3.0", "Firefox 24", "Linux"),
        ("Mozilla/5.0 (X11; Haiku x86_64) WebPositive/1.3 Safari/615.1", "WebPositive 1.3", "Haiku"),
        ("Mozilla/5.0 (X11; SunOS i86pc; rv:60.0) Gecko/20100101 Firefox/60.0", "Firefox 60", "SunOS"),
        (f"Mozilla/5.0 (Fuchsia) {WEBKIT} Chrome/101.0 Safari/537.36 CrKey/1.56", "Chrome 101", "Fuchsia"),
        ("Mozilla/5.0 (Sailfish 4.5; Mobile; rv:91.0) Gecko/91.0 Firefox/91.0", "Firefox 91", "Sailfish 4.5"),
        ("Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/1 Chrome/120 Safari/1", "Chrome 120", "Linux"),
        (
            "Mozilla/5.0 (SMART-TV; LINUX; Tizen 5.5.1) AppleWebKit/1 Samsung/2.1 TV Safari/1",
            "Samsung 2.1",
            "Tizen 5.5",
        ),
        ("Mozilla/5.0 (Mobile; rv:84.0) Gecko/84.0 Firefox/84.0 KaiOS/3.1.2", "Firefox 84", "KaiOS 3.1"),
        ("Links (2.28; Linux 6.1.0 x86_64; GNU C 12.2; text)", "Links 2.28", "Linux"),
        ("ELinks (0.4.3; NetBSD 3.0.2_PATCH sparc64; 141x19)", "ELinks 0.4", "NetBSD"),
        ("ELinks/0.16.1.1 (textmode; Linux 6.1.0 x86_64; 120x50-2)", "ELinks 0.16", "Linux"),
        ("w3m/0.5.3+git20230121", "w3m 0.5", ""),
        ("Mozilla/4.0 (compatible; Dillo 3.0)", "Dillo 3.0", ""),
        ("", "", ""),
        ("something else", "", ""),
    ],
)
def test_a_user_agent_tells_browser_and_system(user_agent: str, browser: str, system: str) -> None:
    """The contract's rules hold in their order: the first that fits counts."""
    assert _shown(agents.read(user_agent)) == (browser, system)


@pytest.mark.parametrize(
    ("user_agent", "browser", "system"),
    [
        (f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {WEBKIT} Chrome Safari/537.36", "Chrome", "Windows 10"),
        (f"Mozilla/5.0 (X11; FreeBSD amd64) {WEBKIT} HeadlessChrome Safari", "Chrome", "FreeBSD"),
        (f"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15) {WEBKIT} Chromium Safari/1", "Chrome", "macOS 10.15"),
        (f"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15) {WEBKIT} Version/17.1 Safari", "Safari 17.1", "macOS 10.15"),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 17_1 like Mac OS X) Safari", "Safari 17.1", "iOS 17.1"),
        ("Mozilla/5.0 (X11; OpenBSD amd64; rv:1) Gecko/20100101 Firefox", "Firefox", "OpenBSD"),
        ("Opera (Windows NT 5.1; U; en)", "Opera", "Windows XP"),
        ("Opera Mini (J2ME)", "Opera Mini", "Java ME"),
        ("Mozilla/4.0 (compatible; MSIE; Windows NT 6.1)", "Internet Explorer", "Windows 7"),
        ("Mozilla/5.0 (Windows NT 6.1) Gecko PaleMoon", "PaleMoon", "Windows 7"),
        ("Mozilla/4.0 (compatible; Dillo)", "Dillo", ""),
        (f"Mozilla/5.0 (X11; CrOS x86_64) {WEBKIT} Chrome/120.0.0.0 Safari/1", "Chrome 120", "Chrome OS"),
        ("Mozilla/5.0 (X11; CrOS) Firefox/120.0", "Firefox 120", "Chrome OS"),
        ("Mozilla/5.0 (Linux; Tizen) X/1.0", "X 1.0", "Tizen"),
        ("Mozilla/5.0 (Mobile; rv:48.0) Gecko/48.0 Firefox/48.0 KAIOS", "Firefox 48", "KaiOS"),
        ("Mozilla/5.0 (Maemo; Linux; U; Jolla; Sailfish; Mobile; rv:31.0) Firefox/31.0", "Firefox 31", "Sailfish"),
        ("Mozilla/5.0 (Fuchsia) Chrome/99.0", "Chrome 99", "Fuchsia"),
        ("Mozilla/5.0 (compatible; like Firefox and Chrome) Kon/4.10", "Kon 4.10", ""),
    ],
)
def test_a_name_is_known_without_a_version_too(user_agent: str, browser: str, system: str) -> None:
    """Browsers and systems that say no more than their names, outside of what a text says in passing."""
    assert _shown(agents.read(user_agent)) == (browser, system)


def test_a_version_is_kept_apart_from_its_name() -> None:
    """Statistics group by names, and show the versions of one beneath it; distributions count as versions of Linux."""
    explorer = agents.read("Mozilla/5.0 (Windows NT 6.3; Trident/7.0; rv:11.0) like Gecko")
    assert explorer == ("Internet Explorer\0" + "11", "Windows\0" + "8.1")
    assert agents.read("Mozilla/5.0 (X11; Ubuntu; Linux; rv:9.0) Firefox/9.0") == ("Firefox\0" + "9", "Linux\0Ubuntu")


def _shown(agent: agents.Agent) -> tuple[str, ...]:
    return tuple(name.replace("\0", " ") for name in agent)


@given(st.text() | st.text(st.sampled_from("Mozilla/5.0 (Android;) Opera/9 Version/1.2")))
def test_any_text_is_a_user_agent(user_agent: str) -> None:
    """Nothing makes the rules fail, and names stay short whatever is sent."""
    assert all(len(name) < 100 for name in agents.read(user_agent))


@given(st.from_regex(r"Chrome/[0-9]{1,3}(\.[0-9]{1,5}){3}", fullmatch=True), st.text(st.sampled_from("aB/1. ")))
def test_descendants_of_chromium_are_chrome(product: str, more: str) -> None:
    """Whatever else a browser calls itself, `Chrome/` makes it Chrome with that major version."""
    version = product.removeprefix("Chrome/").partition(".")[0]
    read = agents.read(f"Mozilla/5.0 (X11; Linux x86_64) {product} {more}")
    assert _shown(read)[0] == f"Chrome {version}"
