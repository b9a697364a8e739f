"""What requests learn from outside of what they say: places of addresses, and the operator's lists."""

from collections.abc import Callable
from functools import lru_cache
from typing import TypeVar

from chalicelib import web, wiring
from chalicelib.observability import failed
from chalicelib.pageviews import clouds, geo, hits, spam

T = TypeVar("T")


def locate(address: str) -> str:
    """Where an address is: by the operator's database, else by the one that is shipped."""
    return _operators(wiring.settings().geo_database)(address) or geo.countries()(address)


def locate_for(request: web.Request) -> hits.Locate:
    """The same, but of the viewer's own address the CDN knows more than what is shipped."""
    told = _operators(wiring.settings().geo_database)

    def found(address: str) -> str:
        said = request.country if address == request.address else ""
        return told(address) or said or geo.countries()(address)

    return found


@lru_cache(4)
def _operators(path: str) -> geo.Locator:
    """What places addresses by the operator's database. One that cannot be read places none: no view is lost for it."""
    try:
        return geo.locator(path)
    except (OSError, RuntimeError) as error:
        failed("the database of places cannot be read", error)
        return geo.locator("")


def spams() -> spam.Spams:
    """Tells spammers' hosts by the operator's list; by the one that is shipped, if there is none or none is stored."""
    return _listed("spam", wiring.settings().spam_list, spam.read_spams) or spam.by_default()


def cloud() -> clouds.Clouds:
    """The networks of clouds by the operator's list; without one, none."""
    return _listed("clouds", wiring.settings().cloud_ranges, clouds.read) or clouds.NONE


def _listed(name: str, address: str, parse: Callable[[str], T]) -> T | None:
    if not address:
        return None
    return wiring.lists().known(name, parse, lambda error: failed("a list could not be read", error, list=name))
