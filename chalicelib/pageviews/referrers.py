"""Where visitors come from: referrers cleaned, and grouped where many hosts are one place (page-view contract, 7.2)."""

from typing import NamedTuple
from urllib.parse import quote

from .texts import BLANKS, remembered

URL, GROUP, CAMPAIGN, OTHER = "h", "g", "c", "o"


class Referrer(NamedTuple):
    """A referrer as it is stored, and its scheme: `h` URL, `g` group, `c` campaign, `o` other or none."""

    text: str
    scheme: str


NONE = Referrer("", OTHER)

_LONGEST_HOST = 253
_ANDROID = "android-app://"
_GROUPS = {
    "Google": ("android-app://com.google.android.googlequicksearchbox",),
    "Baidu": ("baidu.com", "www.baidu.com", "m.baidu.com", "tieba.baidu.com", "c.tieba.baidu.com"),
    "Hacker News": (
        "news.ycombinator.com", "hn.algolia.com", "hckrnews.com", "hn.premii.com", "hackerweb.app",
        "quiethn.com", "hnews.xyz", "hackernewsmobile.com",
        "android-app://io.github.hidroh.materialistic", "android-app://com.stefandekanski.hackernews.free",
    ),
    "Email": ("mail.google.com", "mail.yahoo.com", "android-app://com.google.android.gm"),
    "RSS": (
        "inoreader.com", "www.inoreader.com", "feedly.com", "usepanda.com",
        "android-app://com.innologica.inoreader", "android-app://org.fox.ttrss",
    ),
    "www.reddit.com": (
        "android-app://com.reddit.frontpage", "android-app://com.andrewshu.android.reddit",
        "android-app://com.laurencedawson.reddit_sync", "android-app://com.laurencedawson.reddit_sync.dev",
        "android-app://com.laurencedawson.reddit_sync.pro",
    ),
    "www.facebook.com": ("l.facebook.com", "lm.facebook.com"),
    "Telegram Messenger": ("android-app://org.telegram.messenger",),
    "Slack Chat": ("android-app://com.slack",),
}  # fmt: skip
_GROUP_OF = {host: group for group, hosts in _GROUPS.items() for host in hosts}
_GROUP_OF_PREFIX = {"www.google.": "Google", "google.": "Google"}
_GROUP_OF_PART = {"yandex.": "Yandex", "search.yahoo.com": "Yahoo"}

_ALIASES = {
    "old.reddit.com": "www.reddit.com", "i.reddit.com": "www.reddit.com", "np.reddit.com": "www.reddit.com",
    "fr.reddit.com": "www.reddit.com", "en.m.wikipedia.org": "en.wikipedia.org", "m.habr.com": "habr.com",
    "m.facebook.com": "www.facebook.com",
}  # fmt: skip
_HOST_ONLY = {
    "link.oreilly.com": "link.oreilly.com",
    "getpocket.com": "getpocket.com",
    "app.getpocket.com": "getpocket.com",
}
_LOBSTERS = frozenset({"lobste.rs", "gambe.ro"})
_REDDIT_VIEWS = ("/top", "/new", "/search", ".compact")


@remembered(4096)
def normalise(text: str) -> Referrer:
    """A referrer as it is stored: a URL or an app's without scheme, query and trailing slash, a group's name, or free
    text.
    """
    text = text.strip()
    scheme, separator, rest = text.partition("://")
    scheme = scheme.lower()
    if separator and scheme in {"http", "https"}:
        return _url(rest)
    if separator and scheme == "android-app":
        group = _GROUP_OF.get(_ANDROID + _host(rest))
        return Referrer(group, GROUP) if group else Referrer(_trimmed(_host(rest) + _path(rest)), OTHER)
    return Referrer(_trimmed(text), OTHER)


@remembered(4096)
def host(text: str) -> str:
    """The host, lower-cased and without a port, of a referrer that is an http(s) URL; else empty."""
    scheme, separator, rest = text.strip().partition("://")
    if not separator or scheme.lower() not in {"http", "https"}:
        return ""
    name = _host(rest).partition(":")[0].rstrip(".")
    return name if len(name) <= _LONGEST_HOST else ""


def _authority(rest: str) -> str:
    """What follows the `://` up to the path, the query or the fragment."""
    for end in "/?#":
        rest = rest.partition(end)[0]
    return rest


def _host(rest: str) -> str:
    """The host and its port, lower-cased; who signs in there is nobody's business."""
    return _authority(rest).rpartition("@")[2].strip().lower()


def _path(rest: str) -> str:
    """What stands between the host and the query or the fragment."""
    return rest[len(_authority(rest)) :].partition("?")[0].partition("#")[0]


def _url(rest: str) -> Referrer:
    name = _host(rest)
    if not name:
        return NONE
    path = _path(rest)
    name = _ALIASES.get(name, name)
    if group := _group(name):
        return Referrer(group, GROUP)
    return Referrer(_trimmed(_page(name, path)), URL)


def _group(name: str) -> str:
    if name in _GROUP_OF:
        return _GROUP_OF[name]
    for prefix, group in _GROUP_OF_PREFIX.items():
        if name.startswith(prefix):
            return group
    return next((group for part, group in _GROUP_OF_PART.items() if part in name), "")


def _page(name: str, path: str) -> str:
    """Host and path, as the rules for a few well-known hosts will have them."""
    if name in _HOST_ONLY:
        return _HOST_ONLY[name]
    if name in _LOBSTERS and not path.startswith("/s/"):
        return "lobste.rs"
    if name == "www.reddit.com":
        path = path.rstrip("/")
        for view in _REDDIT_VIEWS:
            path = path.removesuffix(view)
    if name == "t.co" and path.strip("/"):
        return "twitter.com/search?q=" + quote(f"https://t.co{path.rstrip('/')}", safe="", errors="replace")
    return name + path


def _trimmed(text: str) -> str:
    """Without blanks and slashes at the end."""
    return text.rstrip("/" + BLANKS)
