"""What callers of exports send: the body of `POST /api/v0/export`, and ids in paths (page-view contract, section 2.2).

Nothing but `Invalid` and `NotFound` ever leaves here.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple

from chalicelib.core.errors import Invalid, NotFound

from . import bodies, scalars
from .texts import mended

SURFACE = "pageviews"
"""What exports call this surface."""
_DAY = 86_400
_YES, _NO = frozenset({"1", "true"}), frozenset({"0", "false", ""})
_MAX_ID = 2**63 - 1
_MAX_NUMBER = 10**9
_KEYS = frozenset({"format", "start_from_hit_id", "start_from_day"})
_READ_ONLY = frozenset(
    {"id", "site_id", "last_hit_id", "path", "created_at", "finished_at", "num_rows", "size", "hash", "error"}
)
"""What an export has and nobody may set: passed over (page-view contract, section 1.7)."""


class Format(StrEnum):
    """What an export is written as."""

    CSV = "csv"
    JSON = "json"


class Wanted(NamedTuple):
    """An export that is asked for."""

    format: Format
    start: int | None = None
    """The last event that is not wanted; None if nothing was said of it."""
    day: int | None = None
    """The first day that is wanted, from 1970."""


def decode_export(body: bytes) -> Wanted:
    """What an export's request asks for. An empty one, or one without a format, asks for CSV (quirk 4).

    Raises:
        Invalid: it is no JSON, of the wrong shape, holds an unknown key or format, or what the format has no use for.
    """
    fields = bodies.named(bodies.as_object(bodies.parse(body), "the body"), _KEYS | _READ_ONLY)
    name = bodies.as_text(fields.get("format"), "format")
    if name not in {"", *Format}:
        raise Invalid(f'unknown format: "{mended(name[:100])}"')
    wanted = Wanted(Format(name or Format.CSV), _start(fields.get("start_from_hit_id")), _day(fields))
    if wanted.format is Format.JSON and wanted.start:
        raise Invalid("start_from_hit_id is only valid for CSV exports")
    if wanted.format is Format.CSV and wanted.day is not None:
        raise Invalid("start_from_day is only valid for JSON exports")
    return wanted


def decode_safe(query: Mapping[str, Sequence[str]]) -> bool:
    """Whether a file is to be safe to open in a spreadsheet; other parameters are passed over.

    Raises:
        Invalid: `safe` says neither.
    """
    given = next(iter(query.get("safe", ())), "")
    if given not in _YES | _NO:
        raise Invalid(f'safe must be 1 or 0, not "{mended(given[:100])}"')
    return given in _YES


def _start(value: object) -> int | None:
    if value is None:
        return None
    if type(value) is not int or abs(value) > _MAX_ID:
        bodies.refuse("start_from_hit_id must be a whole number of 64 bits")
    if value < 0:
        raise Invalid(fields={"start_from_hit_id": ["must be 0 or higher"]})
    return value


def _day(fields: dict[str, object]) -> int | None:
    value = fields.get("start_from_day")
    if value is None:
        return None
    moment = scalars.moment(value) if isinstance(value, str) else None
    if moment is None:
        bodies.refuse("start_from_day must be a time like 2026-01-31T00:00:00Z")
    return None if moment == scalars.ZERO_TIME else int(moment // _DAY)


def export_number(text: str) -> int:
    """The export that a path names.

    Raises:
        Invalid: no number.
        NotFound: no number that an export may have.
    """
    number = scalars.integer(text)
    if number is None:
        raise Invalid(fields={"id": ["must be a whole number"]})
    if not 0 < number <= _MAX_NUMBER:
        raise NotFound("export")
    return number
