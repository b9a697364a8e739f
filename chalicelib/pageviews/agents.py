"""Browser and system out of a User-Agent text, by the rules of the page-view contract, section 7.4.

The rules are the contract's own and few, so they stand here as tables. General parsers name Chromium's descendants one
by one, which the contract counts as Chrome, and take 200 ms and 4 MB to get going.
"""

import re
from typing import NamedTuple

from chalicelib.core.names import versioned

from .texts import remembered


class Agent(NamedTuple):
    """Names with their versions where there are any (Firefox 139, macOS 10.15), as `names.versioned` joins them; empty
    if unknown.
    """

    browser: str
    system: str


UNKNOWN = Agent("", "")


class _Browser(NamedTuple):
    """Whoever's text holds `mark` is called `name`; the version has so many parts and follows `before`."""

    mark: str
    name: str
    parts: int
    before: str


def _browser_rule(mark: str, name: str, parts: int = 1, before: str = "") -> _Browser:
    return _Browser(mark, name, parts, before or mark)


# The first rule that fits counts.
_BROWSERS = (
    _browser_rule("MSIE ", "Internet Explorer"),
    _browser_rule("Trident/", "Internet Explorer 11", 0),
    *(_browser_rule(f"{name}/", name, 2) for name in ("PhantomJS", "BingPreview", "Dillo", "PaleMoon", "Basilisk")),
    _browser_rule("Edge/1", "Edge", before="Edge/"),
    _browser_rule("Chrome/", "Chrome"),
    _browser_rule("Chromium/", "Chrome"),
    _browser_rule("Firefox/", "Firefox"),
    _browser_rule("Opera Mini/", "Opera Mini", 2),
    _browser_rule("Opera/9.80", "Opera", 2, "Version/"),  # all from 10 on call themselves 9.80
    _browser_rule("Opera/", "Opera", 2),
)
_NUMBERS = re.compile(r"(\d{1,9})(?:\.(\d{1,9}))?")
# The version of Safari that came with a build of WebKit. Build 605 stayed for all later ones.
_SAFARI_OF_WEBKIT = {
    "412": "2.0", "419": "2.0", "523": "3.0", "525": "3.1", "526": "4.0", "528": "4.0", "530": "4.0", "531": "4.0",
    "532": "4.0", "533": "5.0", "534": "5.1", "536": "6.0", "537": "7.0", "538": "8.0", "600": "8.0", "601": "9.0",
    "602": "10.0", "603": "10.1", "604": "11.0", "605": "11.1",
}  # fmt: skip
_COMMENT = re.compile(r"\([^()]*(?:\([^()]*\)[^()]*)*\)?")
_PRODUCT = re.compile(r"(?<!\S)([A-Za-z][A-Za-z0-9._-]{0,39})/v?(\d{1,9})(?:\.(\d{1,9}))?")
_GENERIC = frozenset({"mozilla", "applewebkit", "webkit", "khtml", "gecko", "version", "mobile", "safari", "build"})

_WINDOWS = {
    "5.1": "XP", "5.2": "XP", "6.0": "Vista", "6.1": "7", "6.2": "8", "6.3": "8.1", "10.0": "10",
}  # fmt: skip


class _System(NamedTuple):
    """Whoever's text holds `mark` is called `name`; the version is what the groups find, joined with a point."""

    mark: str
    name: str
    version: re.Pattern[str] | None = None


_APPLE_PHONE = re.compile(r"\bOS (\d{1,9})(?:_(\d{1,9}))?")
_SYSTEMS = (
    _System("Windows Phone", "Windows Phone", re.compile(r"Windows Phone (?:OS )?(\d{1,9})(?:\.(\d{1,9}))?")),
    _System("Tizen", "Tizen"),
    _System("KAIOS", "KaiOS"),
    _System("Sailfish", "Sailfish"),
    _System("Android", "Android", re.compile(r"Android[ /](\d{1,9})(?:\.([1-9]\d{0,8}))?")),
    *(_System(mark, "iOS", _APPLE_PHONE) for mark in ("iPhone", "iPad", "iPod")),
    _System("Mac OS X", "macOS", re.compile(r"Intel Mac OS X (\d{1,9})(?:[._](\d{1,9}))?")),
    _System("Windows", "Windows", re.compile(r"Windows NT (\d{1,2})\.(\d)")),
    _System("CrOS", "Chrome OS"),
    *(_System(name, name) for name in ("OpenBSD", "FreeBSD", "NetBSD")),
    _System("DragonFly", "DragonFly BSD"),
    *(_System(name, name) for name in ("SunOS", "PlayStation 4", "Haiku", "Fuchsia")),
    _System("J2ME", "Java ME"),
    _System("Linux", "Linux", re.compile(r"\b(Ubuntu|Debian|Fedora|CentOS)\b")),
)


@remembered(4096)
def read(user_agent: str) -> Agent:
    """The browser and the system that a User-Agent text speaks of."""
    system = _system(user_agent)
    return Agent(_browser(user_agent, system), system)


def _browser(user_agent: str, system: str) -> str:
    for mark, name, parts, before in _BROWSERS:
        if mark in user_agent:
            return versioned(name, _version_after(before, parts, user_agent))
    if system.startswith(("macOS", "iOS")) and ("Safari/" in user_agent or "Mobile/15E148" in user_agent):
        return versioned("Safari", _safari_version(user_agent, system))
    for name, major, minor in _PRODUCT.findall(_COMMENT.sub(" ", user_agent)):
        if name.lower() not in _GENERIC:
            return versioned(name, f"{major}.{minor}" if minor else major)
    return ""


def _safari_version(user_agent: str, system: str) -> str:
    if version := _version_after("Version/", 2, user_agent):
        return version
    if system.startswith("iOS\0"):
        return system.removeprefix("iOS\0")  # they are released together, while WebKit's build stands still
    return _SAFARI_OF_WEBKIT.get(_version_after("AppleWebKit/", 1, user_agent), "")


def _version_after(before: str, parts: int, user_agent: str) -> str:
    """The first numbers that follow a text, at most so many."""
    _, found, rest = user_agent.partition(before)
    numbers = _NUMBERS.match(rest) if found else None
    return ".".join(filter(None, numbers.groups()[:parts])) if numbers else ""


def _system(user_agent: str) -> str:
    for mark, name, pattern in _SYSTEMS:
        if mark in user_agent:
            found = pattern.search(user_agent) if pattern else None
            version = ".".join(filter(None, found.groups())) if found else ""
            return versioned(name, _WINDOWS.get(version, "") if name == "Windows" else version)
    return ""
