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

# First match wins. The version is what the groups hold, joined with a point.
_BROWSERS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("Internet Explorer", re.compile(r"\([^)]*\bMSIE (\d+)")),
    ("Internet Explorer 11", re.compile(r"\([^)]*\bTrident/")),
    *(
        (name, re.compile(rf"\b{name}/(\d+)(?:\.(\d+))?"))
        for name in ("PhantomJS", "BingPreview", "Dillo", "PaleMoon", "Basilisk")
    ),
    ("Edge", re.compile(r"\bEdge/(1\d)\b")),
    ("Chrome", re.compile(r"\b(?:Chrome|Chromium|HeadlessChrome)/(\d+)")),
    ("Firefox", re.compile(r"\bFirefox/(\d+)")),
    ("Opera Mini", re.compile(r"^Opera/.*\bOpera Mini/(\d+)(?:\.(\d+))?")),
    ("Opera", re.compile(r"\bOpera/.*\bVersion/(\d+)(?:\.(\d+))?")),
    ("Opera", re.compile(r"\bOpera/(\d+)(?:\.(\d+))?")),
)
_SAFARI = re.compile(r"\bSafari/|\bMobile/15E148\b")
_SAFARI_VERSION = re.compile(r"\bVersion/(\d+)(?:\.(\d+))?")
_WEBKIT = re.compile(r"\bAppleWebKit/(\d+)")
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
# First match wins. A group, where there is one, is the version.
_SYSTEMS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("Windows Phone", re.compile(r"\bWindows Phone(?: OS)?(?: (\d+(?:\.\d+)?))?")),
    ("Tizen", re.compile(r"\bTizen\b")),
    ("KaiOS", re.compile(r"\bKAIOS\b", re.IGNORECASE)),
    ("Sailfish", re.compile(r"\bSailfish\b")),
    ("Android", re.compile(r"\bAndroid\b(?:[ /](\d+(?:\.\d+)?))?")),
    ("iOS", re.compile(r"\bCPU (?:iPhone )?OS (\d+(?:_\d+)?)")),
    ("iOS", re.compile(r"\b(?:iPhone|iPad|iPod)\b")),
    ("macOS", re.compile(r"\bIntel Mac OS X (\d+(?:[._]\d+)?)")),
    ("macOS", re.compile(r"\bMac OS X\b")),
    ("Windows", re.compile(r"\bWindows NT (\d+\.\d+)")),
    ("Windows", re.compile(r"\bWindows\b")),
    ("Chrome OS", re.compile(r"\bCrOS\b")),
    *((name, re.compile(rf"\b{name}\b")) for name in ("OpenBSD", "FreeBSD", "NetBSD")),
    ("DragonFly BSD", re.compile(r"\bDragonFly\b")),
    *((name, re.compile(rf"\b{name}\b")) for name in ("SunOS", "PlayStation 4", "Haiku", "Fuchsia")),
    ("Java ME", re.compile(r"\bJ2ME\b")),
    ("Linux", re.compile(r"\bLinux\b")),
)
_DISTRIBUTION = re.compile(r"\b(Ubuntu|Debian|Fedora|CentOS)\b")


@remembered(8192)
def read(user_agent: str) -> Agent:
    """The browser and the system that a User-Agent text speaks of."""
    system = _system(user_agent)
    return Agent(_browser(user_agent, system), system)


def _browser(user_agent: str, system: str) -> str:
    for name, pattern in _BROWSERS:
        if found := pattern.search(user_agent):
            return _joined(name, ".".join(filter(None, found.groups())))
    if system.startswith(("macOS", "iOS")) and _SAFARI.search(user_agent):
        return _joined("Safari", _safari_version(user_agent, system))
    for name, major, minor in _PRODUCT.findall(_COMMENT.sub(" ", user_agent)):
        if name.lower() not in _GENERIC:
            return _joined(name, f"{major}.{minor}" if minor else major)
    return ""


def _safari_version(user_agent: str, system: str) -> str:
    if found := _SAFARI_VERSION.search(user_agent):
        return ".".join(filter(None, found.groups()))
    if system.startswith("iOS "):
        return system.removeprefix("iOS ")  # they are released together, while WebKit's build stands still
    found = _WEBKIT.search(user_agent)
    return _SAFARI_OF_WEBKIT.get(found[1], "") if found else ""


def _system(user_agent: str) -> str:
    for name, pattern in _SYSTEMS:
        if found := pattern.search(user_agent):
            return _joined(name, _version(name, found, user_agent))
    return ""


def _version(name: str, found: re.Match[str], user_agent: str) -> str:
    version = (found.groups() or ("",))[0] or ""
    match name:
        case "Windows":
            return _WINDOWS.get(version, "")
        case "Android":
            return version.removesuffix(".0")
        case "Linux":
            distribution = _DISTRIBUTION.search(user_agent)
            return distribution[1] if distribution else ""
        case _:
            return version.replace("_", ".")


def _joined(name: str, version: str) -> str:
    return f"{name} {version}" if version else name
