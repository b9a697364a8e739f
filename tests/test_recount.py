"""The recount is right on logs small enough to count by hand, and agrees with the importer on what is sent."""

import gzip
import json
import subprocess
import sys
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest

from countless import selection
from countless.formats import FORMATS
from countless.importer import read
from countless.lines import UnreadError
from countless.sources import opened
from tests import recount as recount_module
from tests.recount import Recount, View, is_robot, is_spam, normalised, page_views, recount

REAL_LOG = Path(__file__).parent / "data" / "access.log.gz"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:139.0) Gecko/20100101 Firefox/139.0"
CHROME = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0 Safari/537.36"


def line_of(
    time: str = "10:00:00",
    path: str = "/",
    *,
    day: str = "17",
    address: str = "192.0.2.1",
    agent: str = FIREFOX,
    referrer: str = "-",
) -> bytes:
    request = f"GET {path} HTTP/1.1"
    return f'{address} - - [{day}/May/2015:{time} +0000] "{request}" 200 5 "{referrer}" "{agent}"\n'.encode()


def test_a_day_counted_by_hand() -> None:
    result = recount(
        [
            line_of("09:59:59", "/About"),  # counts
            line_of("10:00:00", "/about/"),  # the same page again
            line_of("10:00:01", "/about", agent=CHROME),  # another browser: counts
            line_of("10:30:00", "/about", address="192.0.2.2"),  # another address: counts
            line_of("23:30:00", "/b?x=1"),  # a new session: counts
            line_of("00:10:00", "/b?x=2", day="18"),  # the same page, past midnight
            line_of("00:20:00", "/about", day="18"),  # in the new session: counts
            line_of("00:30:00", "/about", day="18", agent="curl/7.8 (x)"),  # a robot
            line_of("00:30:00", "/style.css", day="18"),  # not sent
        ],
    )
    assert result.as_json() == {
        "lines": 9,
        "left_out": {"static": 1},
        "sent": 8,
        "dropped": {"repeat": 2, "bot": 1},
        "total": 5,
        "days": {"2015-05-17": 4, "2015-05-18": 1},
        "hourly": {
            "2015-05-17": [0] * 9 + [1, 2] + [0] * 12 + [1],
            "2015-05-18": [1] + [0] * 23,
        },
        "paths": {
            "/About": {
                "count": 4,
                "hourly": {"2015-05-17": [0] * 9 + [1, 2] + [0] * 13, "2015-05-18": [1] + [0] * 23},
            },
            "/b": {"count": 1, "hourly": {"2015-05-17": [0] * 23 + [1]}},
        },
    }


@pytest.mark.parametrize(
    ("times", "visits"),
    [
        (["00:00:00", "08:00:00"], 1),
        (["00:00:00", "08:00:01"], 2),
        (["00:00:00", "07:00:00", "14:00:00", "21:00:00"], 1),
        (["10:00:00", "02:00:00"], 1),
        (["10:00:00", "01:59:59"], 2),
        # Earlier, but within the hours: the session's last moment stays 10:00.
        (["10:00:00", "03:00:00", "18:00:00"], 1),
        (["10:00:00", "03:00:00", "18:00:01"], 2),
        # Sessions stand side by side: 10:00 goes on after 01:59.
        (["10:00:00", "01:59:00", "10:00:00"], 2),
        (["10:00:00", "20:00:00", "10:05:00"], 2),
    ],
)
def test_sessions_slide_on_the_times_of_their_hits(times: list[str], visits: int) -> None:
    assert recount(line_of(time) for time in times).total == visits


def test_browser_or_address_alone_tell_visitors_apart() -> None:
    """Without both, each view is a visit."""
    lines = [line_of(agent="-"), line_of(address="-"), line_of(address="192.0.2.2", agent="-")]
    assert recount(lines * 2).total == 3
    assert recount([line_of(address="-", agent="-")] * 3).total == 3


def test_other_hits_keep_a_session_alive() -> None:
    assert recount([line_of("00:00:00", "/a"), line_of("07:00:00", "/b"), line_of("14:00:00", "/a")]).total == 2


def test_spam_is_not_counted_and_keeps_no_session_alive() -> None:
    log = [
        line_of("00:00:00", "/a"),
        line_of("07:00:00", "/b", referrer="https://www.Spam.example/x"),
        line_of("14:00:00", "/a"),
    ]
    result = recount(log, frozenset({"spam.example"}))
    assert (result.total, result.dropped) == (2, {"spam": 1})


@pytest.mark.parametrize(
    ("referrer", "spam"),
    [
        ("https://spam.example", True),
        ("http://a.b.spam.example:8080/?x", True),
        ("http://localhost:4000/", True),
        ("https://notspam.example/", False),
        ("https://example/spam.example", False),
        ("spam.example", False),
        ("http://[/", False),
        ("", False),
    ],
)
def test_spam_is_told_by_its_host(referrer: str, spam: bool) -> None:
    assert is_spam(referrer, frozenset({"spam.example"})) is spam


@pytest.mark.parametrize(
    ("agent", "robot"),
    [
        (FIREFOX, False),
        (CHROME, False),
        ("short a/b", True),
        ("nospacehere/1.0", True),
        ("no slash here at all", True),
        ("Mozilla/5.0 (Linux; Android 9; CUBOT_X19) Chrome/90", False),
        ("Mozilla/5.0 (X11) see http://example.com", True),
        ("Mozilla/5.0 (compatible) curl/8.1", True),
        ("Mozilla/5.0 (X11) HeadlessChrome/90", True),
        ("Mozilla/5.0 (X11) okhttp/4", True),
        ("Mozilla/5.0 (compatible; SomeCRAWLER)", True),
        ("Mozilla/5.0 (compatible; YandexBot/3.0)", True),
    ],
)
def test_robots_are_told_by_their_browser(agent: str, robot: bool) -> None:
    assert is_robot(agent) is robot


@pytest.mark.parametrize(
    ("path", "stored"),
    [
        ("/", "/"),
        ("//", "/"),
        ("/a/", "/a"),
        ("//a//b//", "/a//b"),
        ("a", "/a"),
        ("/a&", "/a"),
        ("/A%20b", "/A%20b"),
        ("/storage/emulated/0/Android/data/jonas.tool.saveForOffline/files/x/rest", "/rest"),
        ("/web/20150517100503/http://example.com/a/", "/a"),
        ("", ""),
    ],
)
def test_paths_are_stored_one_way(path: str, stored: str) -> None:
    assert normalised(path) == stored


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (line_of(path="/servlet/redirect.srv/x"), "ignored"),
        (line_of(path="/<html>"), "ignored"),
        (line_of(path="/" + "a" * 2047), ""),
        (line_of(path="/" + "a" * 2048), "refused"),
        (line_of(referrer="x" * 2048), ""),
        (line_of(referrer="x" * 2049), "refused"),
        (line_of(referrer="https://example.com/?" + "x" * 3000), ""),
        (line_of(referrer="https://example.com/" + "x" * 3000), "refused"),
        (line_of(agent=FIREFOX + "x" * 500), "refused"),
        (line_of(path=r"/\x00"), "refused"),
    ],
)
def test_what_the_service_drops_is_not_counted(line: bytes, reason: str) -> None:
    result = recount([line])
    assert (result.total, result.dropped) == ((0, {reason: 1}) if reason else (1, {}))


@pytest.mark.parametrize(
    ("referrer", "query", "found"),
    [
        ("", "", ("", "o", "")),
        ("https://Example.com/A/?q=1#x", "", ("example.com/A", "h", "")),
        ("https://me@example.com:81", "x=1", ("example.com:81", "h", "")),
        ("http://www.google.co.nz/search?q=1", "", ("Google", "g", "")),
        ("https://news.ycombinator.com/item?id=1", "", ("Hacker News", "g", "")),
        ("https://m.facebook.com/x", "", ("www.facebook.com/x", "h", "")),
        ("https://l.facebook.com/x", "", ("www.facebook.com", "g", "")),
        ("https://old.reddit.com/r/x/top/", "", ("www.reddit.com/r/x", "h", "")),
        ("https://lobste.rs/newest", "", ("lobste.rs", "h", "")),
        ("https://lobste.rs/s/abc", "", ("lobste.rs/s/abc", "h", "")),
        ("https://t.co/abc", "", ("twitter.com/search?q=https%3A%2F%2Ft.co%2Fabc", "h", "")),
        ("http:///x", "", ("", "o", "")),
        (" free text/ ", "", ("free text", "o", "")),
        ("https://example.com/", "utm_source=&ref=R+S&source=T", ("R S", "c", "")),
        ("https://example.com/", "utm_medium=m&campaign=C", ("example.com", "c", "C")),
        ("", "utm_campaign=C", ("", "o", "C")),
    ],
)
def test_referrers_and_campaigns_are_stored_one_way(referrer: str, query: str, found: tuple[str, str, str]) -> None:
    assert recount_module.origin(View("/", datetime.now(UTC), referrer, FIREFOX, "", query)) == found


@pytest.mark.parametrize(
    ("agent", "browser", "system"),
    [
        (FIREFOX, ("Firefox", "139"), ("Linux", "")),
        (CHROME, ("Chrome", "126"), ("Linux", "")),
        ("Mozilla/4.0 (compatible; MSIE 6.0; Windows NT 5.1)", ("Internet Explorer", "6"), ("Windows", "XP")),
        ("Mozilla/5.0 (Windows NT 6.3; Trident/7.0; rv:11.0)", ("Internet Explorer", "11"), ("Windows", "8.1")),
        ("Opera/9.80 (Windows NT 6.1) Presto/2.12.388 Version/12.16", ("Opera", "12.16"), ("Windows", "7")),
        ("Opera/9.80 (iPhone; Opera Mini/7.0.3/34.1) Presto/2.8", ("Opera Mini", "7.0"), ("iOS", "")),
        (
            "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_9_1) AppleWebKit/537.73.11 Version/7.0.1 Safari/537.73.11",
            ("Safari", "7.0"),
            ("macOS", "10.9"),
        ),
        ("Mozilla/5.0 (Linux; Android 4.4.2) Chrome/32.0 Mobile", ("Chrome", "32"), ("Android", "4.4")),
        ("Mozilla/5.0 (X11; Ubuntu; Linux) Gecko/20050105 Epiphany/1.4.8", ("Epiphany", "1.4"), ("Linux", "Ubuntu")),
        ("Windows NT 4.0", ("", ""), ("Windows", "")),
        ("", ("", ""), ("", "")),
    ],
)  # fmt: skip
def test_browsers_and_systems_have_one_name(agent: str, browser: tuple[str, str], system: tuple[str, str]) -> None:
    assert recount_module.system_of(agent) == system
    assert recount_module.browser_of(agent, system[0]) == browser


def test_each_visit_is_told_with_the_spelling_that_came_first() -> None:
    result = recount(
        [
            line_of(path="/?ref=Letter&campaign=Sale", address="192.0.2.1"),
            line_of(path="/?ref=letter&campaign=SALE", address="192.0.2.2", agent=CHROME),
        ]
    )
    assert [(visit.referrer, visit.scheme, visit.campaign, visit.browser[0]) for visit in result.each] == [
        ("Letter", "c", "Sale", "Firefox"),
        ("Letter", "c", "Sale", "Chrome"),
    ]
    assert result.total == len(result.each) == 2


def test_recount_and_importer_send_the_same_page_views() -> None:
    with gzip.open(REAL_LOG) as log:
        ours = list(page_views(log, Recount()))
    theirs = []
    combined = FORMATS["combined"]()
    with opened(str(REAL_LOG)) as source:
        for raw in source:
            with suppress(UnreadError):
                line = read(raw, combined)
                if selection.exclusion(line) is None:
                    theirs.append(View(line.path, line.at, line.referrer, line.user_agent, line.address, line.query))
    assert ours == theirs
    assert len(ours) == 4005


def test_the_recount_shares_no_code_with_what_it_checks() -> None:
    source = Path(recount_module.__file__).read_text(encoding="utf-8")
    imports = {line.split()[1].split(".")[0] for line in source.splitlines() if line.startswith(("import ", "from "))}
    assert imports <= sys.stdlib_module_names | {"crawlerdetect"}


def test_it_runs_as_a_script_and_prints_json(tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    log.write_bytes(line_of() + line_of("20:00:00"))
    command = [sys.executable, "-P", recount_module.__file__, str(log)]
    printed = subprocess.run(command, check=True, capture_output=True).stdout
    assert json.loads(printed)["total"] == 2
