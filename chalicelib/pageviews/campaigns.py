"""Campaigns: what a page's query string says about where its visitor was won (page-view contract, section 7.3)."""

from typing import NamedTuple
from urllib.parse import parse_qsl

from .texts import NO_UTF8, mended, remembered, spelt

_SOURCES = ("utm_source", "ref", "src", "source")
_NAMES = ("utm_campaign", "campaign")
_LONGEST, _LONGEST_QUERY = 2048, 16_384


class Campaign(NamedTuple):
    """What a query says; an empty text where it says nothing."""

    source: str
    name: str


NONE = Campaign("", "")


@remembered(2048)
def read(query: str) -> Campaign:
    """The campaign of a query string, with or without its `?`; the first key with a value wins, the rest is ignored.

    A name is cut to 2048 characters, and a query is read for 16,384: the contract has no error for longer ones, and a
    hit is worth more than its label. Escapes that are no UTF-8 stay.
    """
    if "=" not in query:
        return NONE
    values: dict[str, str] = {}
    for key, value in parse_qsl(query[:_LONGEST_QUERY].removeprefix("?"), errors=NO_UTF8):
        if (trimmed := spelt(value).strip()) and key not in values:
            values[key] = trimmed
    return Campaign(_first(values, _SOURCES), mended(_first(values, _NAMES))[:_LONGEST])


def _first(values: dict[str, str], keys: tuple[str, ...]) -> str:
    return next((values[key] for key in keys if key in values), "")
