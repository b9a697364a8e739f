"""Numbers, sizes and times as callers write them (page-view contract, sections 1.6, 1.7 and 3.1)."""

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from functools import lru_cache

_LONGEST_SIZE, _LONGEST_TIME = 100, 64
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,2})?")
_INTEGER = re.compile(r"[+-]?[0-9]{1,19}", re.ASCII)
_INT64 = 2**63
_RFC_3339 = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]+)?(?:Z|[+-][0-9]{2}:[0-9]{2})", re.ASCII
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = timedelta(seconds=1)

ZERO_TIME = (datetime(1, 1, 1, tzinfo=UTC) - _EPOCH) / _SECOND
"""What clients send for "not set", in Unix seconds."""


def integer(text: str) -> int | None:
    """A whole number of 64 bits, with or without a sign; None if it is none."""
    number = int(text) if _INTEGER.fullmatch(text) else _INT64
    return number if -_INT64 <= number < _INT64 else None


def size(text: str) -> tuple[int, ...] | None:
    """The numbers of `1920` or `1920,1080,2`, cut; none of an empty text; None if it holds anything else."""
    return _size(text) if len(text) <= _LONGEST_SIZE else None


@lru_cache(1024)
def _size(text: str) -> tuple[int, ...] | None:
    if not text.strip():
        return ()
    parts = [part.strip() for part in text.split(",")]
    return whole(map(float, parts)) if all(map(_NUMBER.fullmatch, parts)) else None


def whole(values: Iterable[object]) -> tuple[int, ...] | None:
    """Numbers cut to whole ones; None if one is no number, or not finite."""
    numbers = []
    for value in values:
        if type(value) is not int and type(value) is not float:
            return None
        try:
            numbers.append(int(value))
        except (ValueError, OverflowError):
            return None
    return tuple(numbers)


def moment(text: str) -> float | None:
    """A time of RFC 3339 in Unix seconds; None if it is none. Dates without a time are none."""
    return _moment(text) if len(text) <= _LONGEST_TIME else None


@lru_cache(2048)
def _moment(text: str) -> float | None:
    if not _RFC_3339.fullmatch(text):
        return None
    try:
        return (datetime.fromisoformat(text) - _EPOCH) / _SECOND
    except ValueError:
        return None
