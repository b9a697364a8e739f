"""Counts the visits of a web server's log anew, by the rules alone, sharing no code with service or importer.

    python tests/recount.py LOG

prints JSON. Which lines are page views is as `countless import --help` says. The rest are the rules of the
page-view contract: paths by section 7.1, referrers and their spam by 7.2, campaigns by 7.3, browsers and systems by
7.4, robots by 7.6, sessions by section 6 and quirk 24 (all hits are taken to be older than an hour, so that the eight
hours run on their own times). A log knows nothing of screens and languages, and of places only addresses.
"""

import gzip
import json
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

from crawlerdetect import CrawlerDetect

SPAMMERS = Path(__file__).parent.parent / "chalicelib" / "pageviews" / "data" / "spammers.txt"
"""The public list of referrer spammers, one host a line: data that the service ships."""

SESSION = timedelta(hours=8)

NOT_PAGES = """
    css js mjs map json wasm webmanifest png jpg jpeg gif svg webp avif bmp ico cur tif tiff ttf otf woff woff2 eot
    mp3 m4a ogg oga opus wav flac aac mp4 m4v ogv avi mov mkv webm flv swf xml rss atom xsl xslt
""".split()  # noqa: SIM905 - reads better
LIBRARIES = """
    Go-http-client HttpClient Java/ PycURL Python-urllib python-requests Ruby Wget WinHttp curl/ libwww-perl
    Robosourcer
""".split()  # noqa: SIM905 - reads better
KNOWN_ROBOTS = [
    "HeadlessChrome",
    "Chrome-Lighthouse",
    "BingPreview",
    "Google-Ad",
    "Google favicon",
    "WordPress.com",
    "okhttp",
    "wkhtmltopdf",
    "SlimerJS",
    "zgrab",
    "Dataprovider.com",
    "RuxitSynthetic",
    "Wappalyzer",
]

ESCAPED = {
    b'"': b'"',
    b"\\": b"\\",
    b"b": b"\b",
    b"n": b"\n",
    b"r": b"\r",
    b"t": b"\t",
    b"v": b"\v",
}
TOKEN = re.compile(r'"(?:\\.|[^"\\])*"|\[[^]]*\]|\S+')


class View(NamedTuple):
    """One request that the importer sends."""

    path: str
    at: datetime
    referrer: str
    user_agent: str
    address: str
    query: str


class Visit(NamedTuple):
    """What counts: a first view."""

    path: str
    """In its first spelling."""
    at: datetime
    referrer: str
    """In its first spelling."""
    scheme: str
    campaign: str
    """In its first spelling; empty for none."""
    browser: tuple[str, str]
    """Name and version, of which either may be empty."""
    system: tuple[str, str]


@dataclass
class Recount:
    """What the statistics should say, and what became of everything else."""

    lines: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    """Lines that the importer does not send: malformed, method, status, static."""
    sent: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    """Hits that are sent and not counted: refused, bot, spam, ignored; `repeat` for what is no first view."""
    visits: dict[str, Counter[datetime]] = field(default_factory=lambda: defaultdict(Counter))
    """By path, in its first spelling, and UTC hour."""
    each: list[Visit] = field(default_factory=list)
    """The same, one by one."""

    @property
    def total(self) -> int:
        """Visits of all paths."""
        return sum(hours.total() for hours in self.visits.values())

    @property
    def paths(self) -> dict[str, int]:
        """Visits by path."""
        return {path: hours.total() for path, hours in self.visits.items()}

    @property
    def days(self) -> dict[str, int]:
        """Visits by UTC day (YYYY-MM-DD)."""
        days: Counter[str] = Counter()
        for hours in self.visits.values():
            for hour, count in hours.items():
                days[hour.strftime("%Y-%m-%d")] += count
        return dict(sorted(days.items()))

    def hourly(self, path: str | None = None) -> dict[str, list[int]]:
        """24 figures for each UTC day that has visits, of one path or of all."""
        days: dict[str, list[int]] = defaultdict(lambda: [0] * 24)
        for hours in self.visits.values() if path is None else [self.visits[path]]:
            for hour, count in hours.items():
                days[hour.strftime("%Y-%m-%d")][hour.hour] += count
        return dict(sorted(days.items()))

    def as_json(self) -> dict[str, Any]:
        """All of it."""
        return {
            "lines": self.lines,
            "left_out": dict(self.left_out),
            "sent": self.sent,
            "dropped": dict(self.dropped),
            "total": self.total,
            "days": self.days,
            "hourly": self.hourly(),
            "paths": {
                path: {"count": count, "hourly": self.hourly(path)} for path, count in sorted(self.paths.items())
            },
        }


def recount(log: Iterable[bytes], spammers: frozenset[str] = frozenset(), *, by_time: bool = False) -> Recount:
    """The visits of a combined log, in the order of its lines, or of their times as the importer sends them."""
    result = Recount()
    spelling: dict[str, str] = {}
    known: dict[tuple[str, str], str] = {}
    campaigns: dict[str, str] = {}
    sessions: dict[tuple[str, str], list[tuple[datetime, set[str]]]] = defaultdict(list)
    views = page_views(log, result)
    for view in sorted(views, key=lambda view: view.at) if by_time else views:
        path = normalised(view.path)
        if reason := dropped(view, path, spammers):
            result.dropped[reason] += 1
            continue
        name = spelling.setdefault(path.lower(), path)
        text, scheme, campaign = origin(view)
        campaign = campaigns.setdefault(campaign.lower(), campaign)
        text = known.setdefault((text.lower(), scheme), text)
        if view.user_agent or view.address:
            key = view.user_agent, view.address
            near = [each for each in sessions[key] if abs(view.at - each[0]) <= SESSION]
            session = min(near, key=lambda each: abs(view.at - each[0]), default=(view.at, set()))
            last, seen = session
            if near:
                sessions[key].remove(session)
            sessions[key].append((max(last, view.at), seen))
            if name in seen:
                result.dropped["repeat"] += 1
                continue
            seen.add(name)
        result.visits[name][view.at.replace(minute=0, second=0)] += 1
        system = system_of(view.user_agent)
        result.each.append(Visit(name, view.at, text, scheme, campaign, browser_of(view.user_agent, system[0]), system))
    return result


def page_views(log: Iterable[bytes], result: Recount) -> Iterator[View]:
    """The requests that the importer sends; what it leaves out is counted by reason."""
    for raw in log:
        result.lines += 1
        tokens = TOKEN.findall(raw.decode(errors="backslashreplace"))
        try:
            address, at, request, status, referrer, user_agent = fields(tokens)
            method, path, query = asked(request)
        except (ValueError, IndexError):
            result.left_out["malformed"] += 1
            continue
        if reason := left_out(method, status, path):
            result.left_out[reason] += 1
            continue
        result.sent += 1
        yield View(path, at, referrer, user_agent, address, query)


def fields(tokens: list[str]) -> tuple[str, datetime, str, int, str, str]:
    """Address, time, request, status, referrer and browser. Raises ValueError or IndexError without them."""
    time = next(index for index, token in enumerate(tokens) if token[0] == "[" and token[-1] == "]" and index > 2)
    request, status, _, referrer, user_agent = tokens[time + 1 : time + 6]
    at = datetime.strptime(tokens[time], "[%d/%b/%Y:%H:%M:%S %z]").astimezone(UTC)
    return plain(tokens[0]), at, unquoted(request), int(status), unquoted(referrer), unquoted(user_agent)


def unquoted(token: str) -> str:
    """A field without its quotes. Raises ValueError if it has none."""
    if len(token) < 2 or token[0] != '"' or token[-1] != '"':
        raise ValueError(token)
    return plain(token[1:-1])


def plain(text: str) -> str:
    """A field without escapes; one that is no UTF-8 stays as it is. `-` is nothing."""
    if text == "-":
        return ""
    out = bytearray()
    rest = text.encode()
    while rest:
        before, backslash, rest = rest.partition(b"\\")
        out += before
        if rest[:1] == b"x" and re.match(rb"x[0-9a-fA-F]{2}", rest):
            out.append(int(rest[1:3], 16))
            rest = rest[3:]
        elif rest[:1] in ESCAPED and rest:
            out += ESCAPED[rest[:1]]
            rest = rest[1:]
        else:
            out += backslash
    try:
        return out.decode()
    except UnicodeDecodeError:
        return text


def asked(request: str) -> tuple[str, str, str]:
    """Method, path and query. Raises ValueError if it is no request."""
    words = request.split(" ")
    if words[-1].startswith("HTTP/"):
        words.pop()
    method, target = words[0], " ".join(words[1:])
    if not method.isalpha() or not target:
        raise ValueError(request)
    if re.match("https?://", target, re.IGNORECASE):
        target = re.sub("^[^/]+//[^/?]*", "", target)
        target = target if target.startswith("/") else f"/{target}"
    path, _, query = target.partition("?")
    return method, path, query


def left_out(method: str, status: int, path: str) -> str:
    """Why this request is no page view; empty if it is one."""
    if method != "GET":
        return "method"
    if status // 100 != 2 and status != 304:
        return "status"
    name = path.lower().split("/")[-1]
    if "." in name and name.split(".")[-1] in NOT_PAGES:
        return "static"
    if name in {"robots.txt", "ads.txt", "app-ads.txt"} or path.lower().startswith("/.well-known/"):
        return "static"
    return ""


def normalised(path: str) -> str:
    """Section 7.1 for paths without a query: the importer never sends one."""
    path = path.strip()
    if not path:
        return ""
    path = "/" + path.strip("/")
    path = re.sub(r"^/storage/emulated/0/Android/data/jonas\.tool\.saveForOffline/files/[^/]*", "", path) or "/"
    path = re.sub(r"^/web/20\d{2,}[^/]*/https?:/+[^/]*", "", path) or "/"
    return "/" + path.rstrip("?&").strip("/")


def dropped(view: View, path: str, spammers: frozenset[str]) -> str:
    """Why a hit is sent but not counted; empty if it counts."""
    if view.user_agent and is_robot(view.user_agent):
        return "bot"
    if is_spam(view.referrer, spammers):
        return "spam"
    texts = (path, origin(view)[0], view.user_agent)
    if not path or any("\0" in text for text in texts):
        return "refused"
    if any(len(text) > limit for text, limit in zip(texts, (2048, 2048, 512), strict=True)):
        return "refused"
    if path.startswith("/servlet/redirect.srv/") or path == "/favicon.ico" or re.search("<html>|<HTML>", path):
        return "ignored"
    return ""


@cache
def is_robot(agent: str) -> bool:
    """Section 7.6, in its order: people, too short, an address, libraries, known robots, robot words."""
    if re.search(r"^(Lynx|E?Links|w3m)[ /]|^Reeder/", agent):
        return False
    if len(agent.encode()) < 10 or " " not in agent or "/" not in agent:
        return True
    if re.search("cubot|studobrowser", agent, re.IGNORECASE):
        return False
    if "://" in agent or any(library in agent for library in LIBRARIES + KNOWN_ROBOTS):
        return True
    return bool(CrawlerDetect().is_crawler(agent)) or bool(re.search("bot|crawler|spider", agent, re.IGNORECASE))


def is_spam(referrer: str, spammers: frozenset[str]) -> bool:
    """Whether its host is a spammer's or below one, or `localhost`."""
    try:
        host = (urlsplit(referrer).hostname or "").lower().rstrip(".").split(".")
    except ValueError:
        return False
    return any(".".join(host[start:]) in spammers | {"localhost"} for start in range(len(host)))


def origin(view: View) -> tuple[str, str, str]:
    """Section 7.3: referrer, scheme and campaign; a source takes the referrer's place."""
    said = {key: next((value for value in values if value.strip()), "") for key, values in parse_qs(view.query).items()}
    source = next((said[key] for key in ("utm_source", "ref", "src", "source") if said.get(key)), "")
    campaign = next((said[key] for key in ("utm_campaign", "campaign") if said.get(key)), "")
    text, scheme = referrer(view.referrer)
    if not source and not campaign:
        return text, scheme, ""
    text = source or text
    return text, "c" if text else "o", campaign


GROUPS = {
    "baidu.com www.baidu.com m.baidu.com tieba.baidu.com c.tieba.baidu.com": "Baidu",
    "news.ycombinator.com hn.algolia.com hckrnews.com hn.premii.com hackerweb.app quiethn.com hnews.xyz "
    "hackernewsmobile.com": "Hacker News",
    "mail.google.com mail.yahoo.com": "Email",
    "inoreader.com www.inoreader.com feedly.com usepanda.com": "RSS",
    "l.facebook.com lm.facebook.com": "www.facebook.com",
}
SAME_HOST = {
    "old.reddit.com i.reddit.com np.reddit.com fr.reddit.com": "www.reddit.com",
    "en.m.wikipedia.org": "en.wikipedia.org",
    "m.habr.com": "habr.com",
    "m.facebook.com": "www.facebook.com",
}


@cache
def referrer(text: str) -> tuple[str, str]:
    """Section 7.2: what is stored, and its scheme. The log has no referrers of Android's apps."""
    text = text.strip()
    address = re.fullmatch(r"https?://(?:[^/?#]*@)?([^/?#]*)([^?#]*).*", text, re.IGNORECASE | re.DOTALL)
    if not address:
        return text.rstrip("/ "), "o"
    host, path = address[1].lower(), address[2]
    if not host:
        return "", "o"
    host = next((name for hosts, name in SAME_HOST.items() if host in hosts.split()), host)
    groups = {r"(www\.)?google\.": "Google", r".*yandex\.": "Yandex", r".*search\.yahoo\.com": "Yahoo"}
    group = next((name for hosts, name in GROUPS.items() if host in hosts.split()), "") or next(
        (name for begin, name in groups.items() if re.match(begin, host)), ""
    )
    if group:
        return group, "g"
    if re.match(r"link\.oreilly\.com|(app\.)?getpocket\.com|lobste\.rs(?!/s/)|gambe\.ro(?!/s/)", host + path):
        return {"app.getpocket.com": "getpocket.com", "gambe.ro": "lobste.rs"}.get(host, host), "h"
    if host == "www.reddit.com":
        path = re.sub(r"(/top|/new|/search|\.compact)/*$", "", path)
    if host == "t.co" and path.strip("/"):
        return f"twitter.com/search?q=https%3A%2F%2Ft.co%2F{path.strip('/')}", "h"
    return (host + path).rstrip("/ "), "h"


def version(agent: str, pattern: str) -> str:
    """What stands in the groups of the first place that fits; empty if there is none."""
    found = re.search(pattern, agent)
    return ".".join(part for part in found.groups() if part) if found else ""


@cache
def browser_of(agent: str, system: str) -> tuple[str, str]:
    """Section 7.4, browsers: name and version."""
    for mark, name, pattern in BROWSERS:
        if mark in agent:
            return name, version(agent, pattern)
    if "Opera/" in agent:
        # From version 10 on the product stays 9.80, and the version has a place of its own.
        return "Opera", version(agent, r"Version/(\d+)\.(\d+)") or version(agent, r"Opera/(\d+)\.(\d+)")
    if system in ("macOS", "iOS") and ("Safari/" in agent or "Mobile/15E148" in agent):
        own = version(agent, r"Version/(\d+)(?:\.(\d+))?")
        # Apple's phones get it with their system.
        phone = system_of(agent)[1] if system == "iOS" else ""
        return "Safari", own or phone or SAFARI[version(agent, r"AppleWebKit/(\d+)")]
    outside = re.sub(r"\([^)]*\)", " ", agent)
    products = re.findall(r"(?:^|\s)([A-Za-z][\w.-]*)/v?(\d+(?:\.\d+)?)", outside)
    return next(((name, number) for name, number in products if name.lower() not in NOT_BROWSERS), ("", ""))


BROWSERS = [
    *((f"{name} (", name, rf"{name} \((\d+)\.(\d+)") for name in ("ELinks", "Links")),
    ("MSIE ", "Internet Explorer", r"MSIE (\d+)"),
    ("Trident/", "Internet Explorer", r"rv:(11)"),
    *(
        (f"{name}/", name, rf"{name}/(\d+)(?:\.(\d+))?")
        for name in ("PhantomJS", "BingPreview", "Dillo", "PaleMoon", "Basilisk")
    ),
    ("Edge/1", "Edge", r"Edge/(\d+)"),
    ("Chrome/", "Chrome", r"Chrome/(\d+)"),
    ("Chromium/", "Chrome", r"Chromium/(\d+)"),
    ("Firefox/", "Firefox", r"Firefox/(\d+)"),
    ("Opera Mini/", "Opera Mini", r"Opera Mini/(\d+)(?:\.(\d+))?"),
]
"""In this order: what stands in a text, whose it is, and where its version is."""
SAFARI = {"537": "7.0", "536": "6.0", "534": "5.1", "533": "5.0"}
"""The version of Safari by WebKit's, for the few that do not say: those that the log has."""
NOT_BROWSERS = "mozilla applewebkit webkit khtml gecko version mobile safari build".split()  # noqa: SIM905
NT = {"5.0": "2000", "5.1": "XP", "5.2": "XP", "6.0": "Vista", "6.1": "7", "6.2": "8", "6.3": "8.1", "10.0": "10"}
WINDOWS = {f"NT {number}": name for number, name in NT.items()}
PHONE = r"\bOS (\d+)(?:_(\d+))?"
NONE = "$^"
SYSTEMS = [
    ("Windows Phone", "Windows Phone", r"Windows Phone (?:OS )?(\d+)(?:\.(\d+))?"),
    ("Android", "Android", r"Android[ /](\d+)(?:\.([1-9]\d*))?"),
    ("; KFAPWI ", "Android", NONE),  # a Kindle Fire, which does not say that it is one
    *((name, "iOS", PHONE) for name in ("iPhone", "iPad", "iPod")),
    ("Mac OS X", "macOS", r"Intel Mac OS X (\d+)(?:[._](\d+))?"),
    ("Windows", "Windows", r"Windows (NT \d+\.\d|95|98|2000|XP)"),
    ("CrOS", "Chrome OS", NONE),
    ("DragonFly", "DragonFly BSD", NONE),
    ("J2ME", "Java ME", NONE),
    *((name, name, NONE) for name in ("OpenBSD", "FreeBSD", "NetBSD", "SunOS", "PlayStation 4", "Haiku")),
    ("Linux", "Linux", r"\b(Ubuntu|Debian|Fedora|CentOS)\b"),
]
"""In this order, as the browsers."""


@cache
def system_of(agent: str) -> tuple[str, str]:
    """Section 7.4, systems: name and version."""
    if "CFNetwork/672." in agent:  # apps name the system's library
        return "iOS", "7.0"
    for mark, name, pattern in SYSTEMS:
        if mark in agent:
            found = version(agent, pattern)
            return name, WINDOWS.get(found, "" if found.startswith("NT") else found)
    return "", ""


def known_spammers() -> frozenset[str]:
    """The list that the service ships; `#` begins a comment."""
    lines = (line.split("#")[0].strip() for line in SPAMMERS.read_text(encoding="utf-8").lower().splitlines())
    return frozenset(line for line in lines if line)


def recount_file(name: Path) -> Recount:
    """The visits of a log, plain or `.gz`."""
    with gzip.open(name) if name.suffix == ".gz" else name.open("rb") as log:
        return recount(log, known_spammers(), by_time=True)


if __name__ == "__main__":
    json.dump(recount_file(Path(sys.argv[1])).as_json(), sys.stdout, indent=2)
