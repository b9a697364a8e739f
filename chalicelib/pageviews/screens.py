"""Screen widths, and the five sizes that they are shown as (page-view contract, section 7.4)."""

from bisect import bisect_left
from typing import NamedTuple

MAX_WIDTH = 2**31 - 1


class Bucket(NamedTuple):
    """A size that screens are counted as; it holds widths up to `widest`."""

    id: str
    widest: int
    label: str


BUCKETS = (
    Bucket("unknown", 0, "(unknown)"),
    Bucket("phone", 600, "Phones"),
    Bucket("tablet", 1000, "Tablets and large phones"),
    Bucket("desktop", 1920, "Computer monitors"),
    Bucket("desktophd", MAX_WIDTH, "Computer monitors larger than HD"),
)
"""Narrowest first."""
_WIDEST = [bucket.widest for bucket in BUCKETS]


def bucket(width: int) -> Bucket:
    """The size that a width of 0 to `MAX_WIDTH` pixels belongs to; 0 stands for unknown."""
    return BUCKETS[bisect_left(_WIDEST, width)]


def width(size: tuple[int, ...]) -> int:
    """The width out of a size of width, height and scale, of which only the first must be given."""
    return max(size[0], 0) if size else 0


def out_of_range(size: tuple[int, ...]) -> int | None:
    """The first of the numbers that no screen can have."""
    return next((number for number in size if number > MAX_WIDTH), None)
