"""Who is no visitor: bots by their User-Agent (page-view contract, section 7.6)."""

import re
from collections.abc import Callable, Mapping
from enum import IntEnum

from . import crawlers
from .texts import remembered


class Reason(IntEnum):
    """Why something counts as a bot. Codes 8 to 17 are those of `clouds`."""

    NONE = 0
    PREFETCH = 2
    LINK = 3
    CLIENT_LIBRARY = 4
    KNOWN = 5
    WORD = 6
    SHORT = 7


FIRST_SCRIPTED = 150
"""From here on, codes are what the tracking script reports."""

_SHORTEST, _LONGEST = 10, 512
_CLIENT_LIBRARY = re.compile(
    "Go-http-client|HttpClient|Java/|PycURL|Python-urllib|python-requests|Ruby|Wget|WinHttp|curl/|libwww-perl"
    "|Robosourcer"
)
# What the contract names and the library does not always know.
_NAMED = re.compile(
    "HeadlessChrome|Chrome-Lighthouse|BingPreview|Google-Ad|Google [Ff]avicon|WordPress.com|okhttp|wkhtmltopdf|SlimerJS"
    "|zgrab|Dataprovider.com|RuxitSynthetic|Wappalyzer"
)


# In the order that they are asked in.
_TESTS: tuple[tuple[Callable[[str], object], Reason], ...] = (
    (lambda user_agent: not _long_enough(user_agent), Reason.SHORT),
    (re.compile("CUBOT|StudoBrowser").search, Reason.NONE),
    (re.compile("://").search, Reason.LINK),
    (_CLIENT_LIBRARY.search, Reason.CLIENT_LIBRARY),
    (_NAMED.search, Reason.KNOWN),
    (lambda user_agent: crawlers.known().recognise(user_agent), Reason.KNOWN),
    (re.compile("bot|crawler|spider", re.IGNORECASE).search, Reason.WORD),
)


@remembered(4096)
def recognise(user_agent: str) -> int:
    """Why a User-Agent is a bot's, as a `Reason`; 0 for a visitor's. An empty one is a bot's (`Reason.SHORT`).

    Only the first 512 characters are looked at: validation refuses whatever is longer.
    """
    user_agent = user_agent[:_LONGEST]
    return next((reason.value for test, reason in _TESTS if test(user_agent)), 0)


def _long_enough(user_agent: str) -> bool:
    """Whether it has ten bytes, a space and a slash, as browsers' texts have."""
    return len(user_agent.encode("utf-8", "replace")) >= _SHORTEST and " " in user_agent and "/" in user_agent


_AHEAD = {
    "x-moz": frozenset({"prefetch"}),
    "purpose": frozenset({"prefetch", "preview"}),
    "x-purpose": frozenset({"prefetch", "preview"}),
}


def prefetched(headers: Mapping[str, str]) -> bool:
    """Whether a browser only looks ahead, by a request's headers, whose names are in lower case (section 4.2)."""
    return any(headers.get(name, "").lower() in values for name, values in _AHEAD.items())
