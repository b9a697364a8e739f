"""GoatCounter's endpoints: `/api/v0`, and what browsers ask for."""

from . import counting, figures
from .counting import pixels
from .surface import LIMITS, api, blueprint

__all__ = ["LIMITS", "api", "blueprint", "counting", "figures", "pixels"]
