"""The endpoints of the statistics API: `/v1/api`."""

from . import domains, exports, groups, statistics
from .surface import UNKNOWN, api, blueprint

__all__ = ["UNKNOWN", "api", "blueprint", "domains", "exports", "groups", "statistics"]
