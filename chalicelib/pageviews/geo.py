"""Looks addresses up in databases in MaxMind's format: of countries or cities, which the operator supplies, and of
countries, which the package may bring.
"""

from collections.abc import Callable, Mapping
from functools import cache, lru_cache
from pathlib import Path

DATA = Path(__file__).parent / "data"
SHIPPED = ("countries-ipv4.mmdb", "countries-ipv6.mmdb")
"""Files of `DATA`, where a maintainer has put them: data/README.md says how."""

Locator = Callable[[str], str]


@lru_cache(4)
def locator(path: str) -> Locator:
    """The function that finds an address's location by the database at `path`; opened once, mapped into memory.

    It gives `NL`, `US-TX` (with a city database), or an empty text for what the database does not know, where it is
    damaged, and for what is no address. Without a path it knows nothing.

    Raises:
        OSError: the file cannot be read.
        RuntimeError: it is no such database (`maxminddb.InvalidDatabaseError`).
    """
    if not path:
        return _nowhere
    import maxminddb  # noqa: PLC0415 - only for those who have a database

    database = maxminddb.open_database(path)

    def locate(address: str) -> str:
        try:
            record = database.get(address)
        except (ValueError, maxminddb.InvalidDatabaseError):
            return ""
        return _location(record) if isinstance(record, Mapping) else ""

    return locate


@cache
def countries(folder: Path = DATA) -> Locator:
    """The function that finds an address's country by the databases that are shipped, as far as there are any."""
    found = [locator(str(folder / name)) for name in SHIPPED if (folder / name).exists()]
    return lambda address: next(filter(None, (locate(address) for locate in found)), "")[:2]


def _nowhere(_address: str) -> str:
    return ""


def _location(record: Mapping[str, object]) -> str:
    """Out of a record of GeoIP2's form, or of the flat form of free country databases."""
    flat = record.get("country_code")
    if isinstance(flat, str):
        return flat
    country = _iso_code(record.get("country"))
    regions = record.get("subdivisions")
    region = _iso_code(regions[0]) if isinstance(regions, list) and regions else ""
    return f"{country}-{region}" if country and region else country


def _iso_code(place: object) -> str:
    found = place.get("iso_code") if isinstance(place, Mapping) else None
    return found if isinstance(found, str) else ""
