"""What browsers load besides pixels and counters, and how refusals are worded for those who look at them."""

from __future__ import annotations

import hashlib
import html
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from chalicelib.core.errors import CountlessError, Forbidden, Invalid, NotFound, RateLimited, Taken, TooLarge
from chalicelib.core.limits import duration

from .responses import TEXT, Said, dumps

if TYPE_CHECKING:
    from collections.abc import Mapping

VERSION = "0.4.0"
"""The service's: a function on Lambda has no package metadata to look it up in."""
_STATIC = Path(__file__).parent / "static"
FROZEN = (
    "there is no such version of the script here: use /count.js, without an integrity attribute "
    "(pages that pin count.v1.js to count.v5.js by hash need the original's files)"
)
HEADERS = {
    "Access-Control-Allow-Origin": "*",
    "Cross-Origin-Resource-Policy": "cross-origin",
    "Strict-Transport-Security": "max-age=7776000",
    "X-Content-Type-Options": "nosniff",
}
"""For everything that pages of other origins show or run."""
POLICY = "Content-Security-Policy"
INERT = "default-src 'none'"
"""For what is no document, if somebody opens it as one."""


class Asset(NamedTuple):
    """A text that is served as it is, and kept by browsers and those between."""

    text: str
    tag: str
    """What tells its versions apart, as `ETag` has it."""


def asset(text: str) -> Asset:
    """A text, and the tag that it alone has."""
    return Asset(text, f'"{hashlib.sha256(text.encode()).hexdigest()[:32]}"')


@cache
def script() -> Asset:
    """The tracking script, as browsers get it."""
    return asset((_STATIC / "count.min.js").read_text(encoding="utf-8"))


def served(found: Asset, condition: str, seconds: int, headers: Mapping[str, str]) -> Said:
    """An asset, to be kept for so many seconds; nothing of it, if `If-None-Match` names this very version."""
    said = {**headers, "Cache-Control": f"public, max-age={seconds}", "ETag": found.tag}
    return Said(304, "", said) if known(found.tag, condition) else Said(200, found.text, said)


def known(tag: str, condition: str) -> bool:
    """Whether `If-None-Match` names the version that this tag stands for; gateways that compress weaken tags."""
    named = (word.strip().removeprefix("W/") for word in condition.split(","))
    return any(word in {tag, "*"} for word in named)


class PlainWords:
    """What browsers are told when something is wrong: a sentence of text."""

    def failure(self, error: CountlessError) -> Said:
        """A problem of the core's."""
        match error:
            case RateLimited():
                sentence = f"rate limited exceeded; try again in {duration(error.reset)}"
                return plain(429, sentence, {"Retry-After": str(round(error.reset))})
            case Forbidden():
                return plain(403, error.reason)
            case NotFound():
                return plain(404, str(error))
            case Invalid() | Taken() | TooLarge():
                return plain(400, error.message)
        return self.unexpected(500, "0")

    def wrong_method(self) -> Said:
        """None of those that are allowed."""
        return plain(405, "method not allowed")

    def wrong_type(self) -> Said:
        """Never said: a body is not looked at."""
        return plain(400, "no body is read here")

    def too_large(self) -> Said:
        """As `wrong_type`."""
        return self.wrong_type()

    def unexpected(self, status: int, code: str) -> Said:
        """An error of ours."""
        return plain(status, f"unexpected error code {code}")


def plain(status: int, sentence: str, headers: dict[str, str] | None = None) -> Said:
    """A sentence of text."""
    return Said(status, f"{sentence}\n", {"Content-Type": TEXT, **HEADERS, POLICY: INERT, **(headers or {})})


def page(status: int, sentence: str) -> Said:
    """A sentence as a page."""
    text = f"<!doctype html><meta charset=utf-8><title>{status}</title><p>{html.escape(sentence)}</p>\n"
    return Said(status, text, {"Content-Type": "text/html; charset=utf-8", **HEADERS, POLICY: INERT})


def as_json(status: int, sentence: str) -> Said:
    """A sentence as JSON."""
    return Said(status, dumps({"error": sentence}), {"Content-Type": "application/json; charset=utf-8", **HEADERS})
