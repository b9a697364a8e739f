"""The names that people are shown for places and languages, in English (page-view contract, sections 2.8 and 2.9).

They come from two lists in `data`, 0.2 MB, each read in 3 ms when the first of its names is asked for. The libraries
that know as much take ten times as long, 20 to 30 MB, and have no English names for regions.
"""

from collections.abc import Mapping
from functools import cache
from pathlib import Path

UNKNOWN = "(unknown)"
_DATA = Path(__file__).parent / "data"


def country(code: str) -> str:
    """A country's name by its ISO 3166-1 code, `(unknown)` for none; a code that nobody has stands for itself."""
    return _places().get(code, code) or UNKNOWN


def region(code: str) -> str:
    """A region's name by its ISO 3166-2 code (`US-TX`), `(unknown)` if it has none."""
    return _places().get(code, UNKNOWN)


def language(code: str) -> str:
    """A language's name by its ISO 639-3 code, `(unknown)` for none; a code that nobody has stands for itself."""
    return _languages().get(code, code) or UNKNOWN


@cache
def _places() -> Mapping[str, str]:
    return _read("places.txt")


@cache
def _languages() -> Mapping[str, str]:
    return _read("languages.txt")


def _read(name: str) -> Mapping[str, str]:
    lines = (_DATA / name).read_text(encoding="utf-8").splitlines()
    return {code: shown for code, _, shown in (line.partition(" ") for line in lines)}
