"""Browser and system out of a User-Agent text, by the rules of the page-view contract, section 7.4.

The rules are the contract's own and few, so they stand here as tables. General parsers name Chromium's descendants one
by one, which the contract counts as Chrome, and take 200 ms and 4 MB to get going.
"""

import re
from typing import NamedTuple

from .texts import remembered


class Agent(NamedTuple):
    """A name and, after a space, a version where there is one (`Firefox 139`, `macOS 10.15`); empty if unknown."""

    browser: str
    system: str


UNKNOWN = Agent("", "")


class _Rule(NamedTuple):
    """Whoever's text holds `mark` is called `name`; the version is what the groups find, joined with a point."""

    mark: str
    name: str
    version: re.Pattern[str] | None = None


def _two_parts(mark: str) -> re.Pattern[str]:
    return re.compile(re.escape(mark) + r"(\d{1,9})(?:\.(\d{1,9}))?")


def _one_part(mark: str) -> re.Pattern[str]:
    return re.compile(re.escape(mark) + r"(\d{1,9})")


# The first rule that fits counts.
_BROWSERS = (
    _Rule("MSIE ", "Internet Explorer", _one_part("MSIE ")),
    _Rule("Trident/", "Internet Explorer 11"),
    *(
        _Rule(f"{name}/", name, _two_parts(f"{name}/"))
        for name in ("PhantomJS", "BingPreview", "Dillo", "PaleMoon", "Basilisk")
    ),
    _Rule("Edge/1", "Edge", _one_part("Edge/")),
    _Rule("Chrome/", "Chrome", _one_part("Chrome/")),
    _Rule("Chromium/", "Chrome", _one_part("Chromium/")),
    _Rule("Firefox/", "Firefox", _one_part("Firefox/")),
    _Rule("Opera Mini/", "Opera Mini", _two_parts("Opera Mini/")),
    _Rule("Opera/9.80", "Opera", _two_parts("Version/")),  # all from 10 on call themselves 9.80
    _Rule("Opera/", "Opera", _two_parts("Opera/")),
)
_SAFARI_VERSION = _two_parts("Version/")
_WEBKIT = _one_part("AppleWebKit/")
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
_APPLE_PHONE = re.compile(r"\bOS (\d{1,9})(?:_(\d{1,9}))?")
_SYSTEMS = (
    _Rule("Windows Phone", "Windows Phone", re.compile(r"Windows Phone (?:OS )?(\d{1,9})(?:\.(\d{1,9}))?")),
    _Rule("Tizen", "Tizen"),
    _Rule("KAIOS", "KaiOS"),
    _Rule("Sailfish", "Sailfish"),
    _Rule("Android", "Android", re.compile(r"Android[ /](\d{1,9})(?:\.([1-9]\d{0,8}))?")),
    *(_Rule(mark, "iOS", _APPLE_PHONE) for mark in ("iPhone", "iPad", "iPod")),
    _Rule("Mac OS X", "macOS", re.compile(r"Intel Mac OS X (\d{1,9})(?:[._](\d{1,9}))?")),
    _Rule("Windows", "Windows", re.compile(r"Windows NT (\d{1,2})\.(\d)")),
    _Rule("CrOS", "Chrome OS"),
    *(_Rule(name, name) for name in ("OpenBSD", "FreeBSD", "NetBSD")),
    _Rule("DragonFly", "DragonFly BSD"),
    *(_Rule(name, name) for name in ("SunOS", "PlayStation 4", "Haiku", "Fuchsia")),
    _Rule("J2ME", "Java ME"),
    _Rule("Linux", "Linux", re.compile(r"\b(Ubuntu|Debian|Fedora|CentOS)\b")),
)


@remembered(4096)
def read(user_agent: str) -> Agent:
    """The browser and the system that a User-Agent text speaks of."""
    system = _system(user_agent)
    return Agent(_browser(user_agent, system), system)


def _browser(user_agent: str, system: str) -> str:
    for mark, name, version in _BROWSERS:
        if mark in user_agent:
            return _joined(name, _version(version, user_agent))
    if system.startswith(("macOS", "iOS")) and ("Safari/" in user_agent or "Mobile/15E148" in user_agent):
        return _joined("Safari", _safari_version(user_agent, system))
    for name, major, minor in _PRODUCT.findall(_COMMENT.sub(" ", user_agent)):
        if name.lower() not in _GENERIC:
            return _joined(name, f"{major}.{minor}" if minor else major)
    return ""


def _safari_version(user_agent: str, system: str) -> str:
    if version := _version(_SAFARI_VERSION, user_agent):
        return version
    if system.startswith("iOS "):
        return system.removeprefix("iOS ")  # they are released together, while WebKit's build stands still
    return _SAFARI_OF_WEBKIT.get(_version(_WEBKIT, user_agent), "")


def _system(user_agent: str) -> str:
    for mark, name, pattern in _SYSTEMS:
        if mark in user_agent:
            version = _version(pattern, user_agent)
            return _joined(name, _WINDOWS.get(version, "") if name == "Windows" else version)
    return ""


def _version(pattern: re.Pattern[str] | None, user_agent: str) -> str:
    found = pattern.search(user_agent) if pattern else None
    return ".".join(filter(None, found.groups())) if found else ""


def _joined(name: str, version: str) -> str:
    return f"{name} {version}" if version else name
