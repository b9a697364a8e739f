"""Where visitors are: ISO 3166 codes, as exact as the site wants them (page-view contract, section 7.5)."""

import re
from functools import lru_cache

from chalicelib.core.accounts import Collect, Site

_CODE = re.compile(r"[A-Z]{2}(?:-[A-Z0-9]{1,3})?")


@lru_cache(4096)
def _normalised(location: str) -> str:
    location = location.strip().upper()
    return location if _CODE.fullmatch(location) else ""


def normalise(location: str) -> str:
    """`NL` or `US-TX`, upper-cased; empty for whatever is no ISO 3166-1 or 3166-2 code in form."""
    return _normalised(location) if len(location) <= 16 else ""


def trim(location: str, site: Site) -> str:
    """A normalised location, without its region if the site does not collect regions or not those of the country."""
    country = location[:2]
    wanted = not site.collect_regions or country in site.collect_regions
    return location if wanted and site.collects(Collect.REGION) else country
