"""GoatCounter's endpoints: `/api/v0`, and what browsers ask for."""

from . import assets, counters, counting, description, exports, figures, sites, start, stopping
from .counting import pixels
from .surface import LIMITS, api, blueprint

__all__ = [
    "LIMITS",
    "api",
    "assets",
    "blueprint",
    "counters",
    "counting",
    "description",
    "exports",
    "figures",
    "pixels",
    "sites",
    "start",
    "stopping",
]
