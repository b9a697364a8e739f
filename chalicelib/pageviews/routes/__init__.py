"""GoatCounter's endpoints: `/api/v0`, and what browsers ask for."""

from . import counting, description, figures
from .counting import pixels
from .surface import LIMITS, api, blueprint

__all__ = ["LIMITS", "api", "blueprint", "counting", "description", "figures", "pixels"]
