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


# --- people's programs and devices that sound like robots -----------------------------------------------------------
#
# If a text is a robot's with their names, it is asked again without them: a robot that borrows such a name is known by
# the rest of its text.

# Text browsers and other small ones. Their texts may be shorter than those of others.
_SMALL_BROWSER = re.compile(
    r"^(?:Lynx|w3m|Emacs-w3m|Emacs-W3|E?Links|Dillo|NetSurf|edbrowse|retawq|netrik|amaya|W3CLineMode|URL/Emacs Emacs)"
    r"[ /]\(?v?\d[^\s;()]*(?: libwww(?:-FM)?/[\w.]+)?"
)
# The model in the text of a device: what is between the version of Android and the build, or the end of the comment.
# Without a build it has a digit, as nearly all models have, and robots' names have not.
_DEVICE = re.compile(
    r"Android \d[\d.]*; (?:U; )?(?:[a-z]{2}(?:[-_][A-Za-z]{2,4})?; )?(?!compatible)"
    r"(?:[^;()/]*(?= Build/)|[^;()/]*\d[^;()/]*(?=[;)]))"
)
_BRANDS = re.compile(
    r"(?<![a-z])(?:cubot|fossibot|botech|cron(?:o|os|y)|e-?reader)(?![a-z])"
    r"|; (?:[BCM]|ID|VR|POWER)[ _]BOT\b|; IDbot\b|htc_botdugls|\bXBot[ _](?:Senior|Junior)\b|StudoBrowser",
    re.IGNORECASE,
)
# Apps to read mail and news in.
_READERS = re.compile(r"\b(?:Outlook-iOS|Reeder)/[\w.]*")
# Apps that show pages within themselves: what they add to the text of a browser, while their services that fetch pages
# say the same without it.
_VIEWS = re.compile(
    r"(?<=KHTML, like Gecko\) )(.*?)\b(?:NetNewsWire|Liferea|RSSOwl|QuiteRSS|FeedDemon|Feeddler\w*|Feedly"
    r"|GoodReader|Airmail|Instapaper|Slack|WhatsApp|1Password)/[\d.]+"
)


def _without_people(user_agent: str) -> str:
    """A text without the names of people's programs and devices that sound like robots."""
    user_agent = _VIEWS.sub(r"\1 ", _DEVICE.sub("Android;", _SMALL_BROWSER.sub(" ", user_agent)))
    return _READERS.sub(" ", _BRANDS.sub(" ", user_agent))


# --- robots ---------------------------------------------------------------------------------------------------------

# In the order that they are asked in.
_TESTS: tuple[tuple[Callable[[str], object], Reason], ...] = (
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
    if not _long_enough(user_agent):
        return Reason.SHORT.value
    return _reason(user_agent) and _reason(_without_people(user_agent))


def _reason(user_agent: str) -> int:
    return next((reason.value for test, reason in _TESTS if test(user_agent)), 0)


def _long_enough(user_agent: str) -> bool:
    """Whether it has ten bytes, a space and a slash, as browsers' texts have, or is a small browser's."""
    if " " in user_agent and "/" in user_agent and len(user_agent.encode("utf-8", "replace")) >= _SHORTEST:
        return True
    return bool(_SMALL_BROWSER.match(user_agent))


_AHEAD = {
    "x-moz": frozenset({"prefetch"}),
    "purpose": frozenset({"prefetch", "preview"}),
    "x-purpose": frozenset({"prefetch", "preview"}),
}


def prefetched(headers: Mapping[str, str]) -> bool:
    """Whether a browser only looks ahead, by a request's headers, whose names are in lower case (section 4.2)."""
    return any(headers.get(name, "").lower() in values for name, values in _AHEAD.items())
