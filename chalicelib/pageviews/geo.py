"""Looks addresses up in a country or city database in MaxMind's format, which the operator supplies."""

from collections.abc import Callable, Mapping
from functools import lru_cache


@lru_cache(4)
def locator(path: str) -> Callable[[str], str]:
    """The function that finds an address's location by the database at `path`; opened once, mapped into memory.

    It gives `NL`, `US-TX` (with a city database), or an empty text for what the database does not know and for what
    is no address. Without a path it knows nothing.

    Raises:
        OSError: the file cannot be read.
        maxminddb.InvalidDatabaseError: it is no such database.
    """
    if not path:
        return _nowhere
    import maxminddb  # noqa: PLC0415 - only for those who have a database

    database = maxminddb.open_database(path)

    def locate(address: str) -> str:
        try:
            record = database.get(address)
        except ValueError:
            return ""
        return _location(record) if isinstance(record, Mapping) else ""

    return locate


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
