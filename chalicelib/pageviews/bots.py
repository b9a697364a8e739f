"""Who is no visitor: bots by their User-Agent (page-view contract, section 7.6)."""

import re
from enum import IntEnum
from functools import cache

from .texts import remembered


class Reason(IntEnum):
    """Why something counts as a bot. Codes 8 to 17 (cloud address ranges) need a list of an operator's own."""

    NONE = 0
    PREFETCH = 2
    LINK = 3
    CLIENT_LIBRARY = 4
    KNOWN = 5
    WORD = 6
    SHORT = 7


FIRST_SCRIPTED = 150
"""From here on, codes are what the tracking script reports."""

_SHORTEST = 10
_HARMLESS = re.compile("CUBOT|StudoBrowser")
_CLIENT_LIBRARY = re.compile(
    "Go-http-client|HttpClient|Java/|PycURL|Python-urllib|python-requests|Ruby|Wget|WinHttp|curl/|libwww-perl"
    "|Robosourcer"
)
# What the contract names and the library does not always know.
_NAMED = re.compile(
    "HeadlessChrome|Chrome-Lighthouse|BingPreview|Google-Ad|Google [Ff]avicon|WordPress.com|okhttp|wkhtmltopdf|SlimerJS"
    "|zgrab|Dataprovider.com|RuxitSynthetic|Wappalyzer"
)
_WORD = re.compile("bot|crawler|spider", re.IGNORECASE)
_LETTERS = re.compile("[a-z]{3}", re.IGNORECASE)


@remembered(8192)
def recognise(user_agent: str) -> int:
    """Why a User-Agent is a bot's, as a `Reason`; 0 for a visitor's. An empty one is a bot's (`Reason.SHORT`)."""
    if len(user_agent.encode("utf-8", "replace")) < _SHORTEST or " " not in user_agent or "/" not in user_agent:
        return Reason.SHORT
    if _HARMLESS.search(user_agent):
        return Reason.NONE
    if "://" in user_agent:
        return Reason.LINK
    if _CLIENT_LIBRARY.search(user_agent):
        return Reason.CLIENT_LIBRARY
    if _NAMED.search(user_agent) or _known(user_agent):
        return Reason.KNOWN
    return Reason.WORD if _WORD.search(user_agent) else Reason.NONE


def prefetched(x_moz: str, purpose: str, x_purpose: str) -> bool:
    """Whether a browser only looks ahead, by the headers `X-Moz`, `Purpose` and `X-Purpose` (section 4.2)."""
    ahead = {"prefetch", "preview"}
    return x_moz.lower() == "prefetch" or purpose.lower() in ahead or x_purpose.lower() in ahead


def _known(user_agent: str) -> bool:
    """What `CrawlerDetect().is_crawler` says, sooner.

    The library first takes away what ordinary browsers say of themselves. Mostly nothing is left but punctuation, in
    which none of its 1,400 patterns can be found: they all ask for three letters in a row.
    """
    exclusions, crawlers = _patterns()
    rest = exclusions.sub("", user_agent.strip())
    return bool(_LETTERS.search(rest)) and crawlers.search(rest) is not None


@cache
def _patterns() -> tuple[re.Pattern[str], re.Pattern[str]]:
    # Imported late: compiling them takes 20 ms, which requests without a User-Agent need not wait for.
    from crawlerdetect.providers import crawlers, exclusions  # noqa: PLC0415

    return _any_of(exclusions.data), _any_of(crawlers.data)


def _any_of(patterns: list[str]) -> re.Pattern[str]:
    return re.compile("|".join(patterns), re.IGNORECASE)
