"""Browser and system out of a User-Agent text, by the rules of the page-view contract, section 7.4.

The library ua-parser reads the text, and the tables below say what the contract calls what it found. The contract
counts engines, where the library tells browsers apart (Edge, Opera, Samsung's browser and a hundred others are Chrome,
with Chromium's own version; whatever runs on an iPhone is Safari): shown the whole text, it names 122 of the 446
browsers of the log in tests/data otherwise. So it is shown the tokens that the contract's rules speak of, and no more.

It is loaded with the first text: some 80 ms of processor time and 13 MB in a process that has the app, without its
rules for devices, which would double that. A text that was not seen before takes some 25 µs.
"""

import re
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from chalicelib.core.names import versioned

from .texts import remembered

if TYPE_CHECKING:
    from ua_parser import OS, UserAgent


class Agent(NamedTuple):
    """Names with their versions where there are any (Firefox 139, macOS 10.15), as `names.versioned` joins them; empty
    if unknown.
    """

    browser: str
    system: str


UNKNOWN = Agent("", "")


class _Called(NamedTuple):
    """What the contract calls something, and how many parts of its version count."""

    name: str
    parts: int


# Browsers, by the library's names for them.
_BROWSERS = {
    "IE": _Called("Internet Explorer", 1), "Edge": _Called("Edge", 1),
    "Chrome": _Called("Chrome", 1), "Chromium": _Called("Chrome", 1),
    "Firefox": _Called("Firefox", 1), "Opera": _Called("Opera", 2), "Opera Mini": _Called("Opera Mini", 2),
}  # fmt: skip
_SHOWN = re.compile(r"(Chrome|Chromium|Firefox|Version|Safari|Edge(?=/1)|Opera(?: Mini)?)/(\d{1,9})(?:\.(\d{1,9}))?")
# The same without a version, outside of comments.
_BARE = re.compile(r"(?<!\S)(?:Headless)?(Chrome|Chromium|Firefox|Edge|Opera(?: Mini)?)(?!\S)")
_EXPLORER = re.compile(r"MSIE (\d{1,9})")
_ITSELF = re.compile(r"(PhantomJS|BingPreview|Dillo|PaleMoon|Basilisk)(?:[/ ](\d{1,9})(?:\.(\d{1,9}))?|(?=[\s;)]|$))")
_LINKS = re.compile(r"(E?Links) \((\d{1,9})(?:\.(\d{1,9}))?")
_PRODUCT = re.compile(r"(?<!\S)([A-Za-z][A-Za-z0-9._-]{0,39})/v?(\d{1,9})(?:\.(\d{1,9}))?")
_COMMENT = re.compile(r"\([^()]*(?:\([^()]*\)[^()]*)*\)?")
_SAFARI = re.compile(r"Safari/|(?<!\S)Safari(?!\S)|Mobile/15E148")
_STATED = re.compile(r"Version/(\d{1,9})(?:\.(\d{1,9}))?")
_GENERIC = frozenset({"mozilla", "applewebkit", "webkit", "khtml", "gecko", "version", "mobile", "safari", "build"})

_WEBKIT = re.compile(r"AppleWebKit/(\d{1,9})")
# The version of Safari that came with a build of WebKit. Build 605 stayed for all later ones.
_SAFARI_OF_WEBKIT = {
    "412": "2.0", "419": "2.0", "523": "3.0", "525": "3.1", "526": "4.0", "528": "4.0", "530": "4.0", "531": "4.0",
    "532": "4.0", "533": "5.0", "534": "5.1", "536": "6.0", "537": "7.0", "538": "8.0", "600": "8.0", "601": "9.0",
    "602": "10.0", "603": "10.1", "604": "11.0", "605": "11.1",
}  # fmt: skip

# Systems, by the library's names for them. Distributions count as versions of Linux.
_SYSTEMS = {
    "Android": _Called("Android", 2), "iOS": _Called("iOS", 2), "Mac OS X": _Called("macOS", 2),
    "Windows": _Called("Windows", 2), "Windows Phone": _Called("Windows Phone", 2),
    "Chrome OS": _Called("Chrome OS", 0), "Linux": _Called("Linux", 0), "Solaris": _Called("SunOS", 0),
    "Chromecast Fuchsia": _Called("Fuchsia", 0),
    **{name: _Called(name, 0) for name in ("OpenBSD", "FreeBSD", "NetBSD", "Fuchsia")},
    **{name: _Called(name, 2) for name in ("Tizen", "KaiOS", "Sailfish")},
    **{name: _Called(versioned("Linux", name), 0) for name in ("Ubuntu", "Debian", "Fedora", "CentOS")},
}  # fmt: skip
_WINDOWS = {"NT": "", "RT": "8", "RT 8.1": "8.1"}
# What the library does not know, calls by something finer, or knows with a version only; with the mark that tells it.
_MARKED = {
    "CrOS": "Chrome OS", "DragonFly": "DragonFly BSD", "PlayStation 4": "PlayStation 4", "Haiku": "Haiku",
    "J2ME": "Java ME", "Tizen": "Tizen", "KaiOS": "KaiOS", "KAIOS": "KaiOS", "Sailfish": "Sailfish",
    "Fuchsia": "Fuchsia", "Linux": "Linux", "Windows": "Windows",
}  # fmt: skip


class _Library(NamedTuple):
    browser: Callable[[str], "UserAgent | None"]
    system: Callable[[str], "OS | None"]


@cache
def _library() -> _Library:
    from ua_parser import Domain  # noqa: PLC0415 - with what follows, the 80 ms told above
    from ua_parser.loaders import load_lazy_builtins  # noqa: PLC0415
    from ua_parser.regex import Resolver  # noqa: PLC0415

    browsers, systems, _ = load_lazy_builtins()
    resolve = Resolver((browsers, systems, []))
    return _Library(
        lambda shown: resolve(shown, Domain.USER_AGENT).user_agent,
        lambda user_agent: resolve(user_agent, Domain.OS).os,
    )


@remembered(4096)
def read(user_agent: str) -> Agent:
    """The browser and the system that a User-Agent text speaks of. The text must be `storable`."""
    system = _system(user_agent)
    return Agent(_browser(user_agent, system), system)


def _browser(user_agent: str, system: str) -> str:
    shown = _shown(user_agent)
    itself = None if "MSIE" in shown else _ITSELF.search(user_agent)
    if itself:
        return versioned(itself[1], _version(itself[2], itself[3]))
    found = _library().browser(shown) if shown else None
    if found and found.family in _BROWSERS:
        called = _BROWSERS[found.family]
        return versioned(called.name, _version(*(found.major, found.minor)[: called.parts]))
    return _unversioned(user_agent) or _other(user_agent, system)


def _unversioned(user_agent: str) -> str:
    """A browser that only says its name."""
    if "MSIE" in user_agent:
        return _BROWSERS["IE"].name
    bare = _BARE.search(_COMMENT.sub(" ", user_agent))
    return _BROWSERS[bare[1]].name if bare else ""


def _other(user_agent: str, system: str) -> str:
    """Safari, else the first product that says more than an engine's name."""
    if system.startswith(("macOS", "iOS")) and _SAFARI.search(user_agent):
        stated = _STATED.search(user_agent)
        return versioned("Safari", _version(*stated.groups()) if stated else _inferred_safari(user_agent, system))
    for name, major, minor in _PRODUCT.findall(_COMMENT.sub(" ", user_agent)):
        if name.lower() not in _GENERIC:
            return versioned(name, _version(major, minor))
    links = _LINKS.match(user_agent)  # which has no slash
    return versioned(links[1], _version(links[2], links[3])) if links else ""


def _shown(user_agent: str) -> str:
    """What the library gets to see of a text to find the browser in it."""
    if explorer := _EXPLORER.search(user_agent):
        return f"(compatible; MSIE {explorer[1]}.0)"
    if "Trident/" in user_agent:
        return "(Trident/7.0; rv:11.0) like Gecko"
    return " ".join(f"{name}/{major}.{minor or 0}" for name, major, minor in _SHOWN.findall(user_agent))


def _inferred_safari(user_agent: str, system: str) -> str:
    if system.startswith("iOS\0"):
        return system.removeprefix("iOS\0")  # they are released together, while WebKit's build stands still
    build = _WEBKIT.search(user_agent)
    return _SAFARI_OF_WEBKIT.get(build[1], "") if build else ""


def _system(user_agent: str) -> str:
    found = _library().system(user_agent) if user_agent else None
    family = found.family if found else ""
    if found and family in _SYSTEMS and family != "Linux":
        name, parts = _SYSTEMS[family]
        version = _version(*(found.major, found.minor)[:parts])
        if name == "Android":
            version = version.removesuffix(".0")
        elif name == "Windows":
            version = _WINDOWS.get(version, version)
        return versioned(name, version) if parts else name
    return next((name for mark, name in _MARKED.items() if mark in user_agent), family if family in _SYSTEMS else "")


def _version(*parts: str | None) -> str:
    return ".".join(filter(None, parts))
