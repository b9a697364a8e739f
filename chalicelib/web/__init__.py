"""Between Chalice and the views: who asks, for which site, whether they may, how often, and in whose words we refuse.

A `Surface` is one protocol with its own words for errors. Its paths are registered with Chalice for every method and
for all of their spellings (`/api/v0/me` and `/s/CODE/api/v0/me`), so that a wrong method is answered in the
surface's words and not in the gateway's. `catch_all` does the same for paths that nobody knows.
"""

from .answers import Answer, Reply, Words
from .callers import Caller, Holder, holder, identify, key_of, no_site, public_site, roster_of, visit
from .checks import (
    LARGEST_BODY,
    body_within,
    charge_if_done,
    charge_key,
    cross_origin,
    json_body,
    limited,
    limited_by_key,
    no_trailing_slash,
    plans_for,
    tell,
)
from .requests import Request, read, target_length
from .surfaces import METHODS, Check, Path, Surface, Unknown, catch_all, preflight, prepare

__all__ = [
    "LARGEST_BODY",
    "METHODS",
    "Answer",
    "Caller",
    "Check",
    "Holder",
    "Path",
    "Reply",
    "Request",
    "Surface",
    "Unknown",
    "Words",
    "body_within",
    "catch_all",
    "charge_if_done",
    "charge_key",
    "cross_origin",
    "holder",
    "identify",
    "json_body",
    "key_of",
    "limited",
    "limited_by_key",
    "no_site",
    "no_trailing_slash",
    "plans_for",
    "preflight",
    "prepare",
    "public_site",
    "read",
    "roster_of",
    "target_length",
    "tell",
    "visit",
]
