"""The versions of the statistics API, and what changed in each release: kept here, told by `GET /v1/api`."""

from typing import NamedTuple

PREFIX = "/v1/api"
"""Where the current version is."""
VERSIONS = {"v1": PREFIX}
"""Every version that answers, and where."""


class Release(NamedTuple):
    """What a release of the API brought."""

    version: str
    released: str
    """`YYYY-MM-DD`."""
    summary: tuple[str, ...]


CHANGELOG = (
    Release(
        "v1",
        "2026-11-21",
        (
            "Domains, statistic groups and statistics: create, list, retrieve, update and delete, by name or id.",
            "Set, increment, decrement, add and subtract, atomically; an Idempotency-Key makes repeating safe.",
            "Up to 500 updates in one request; lists in pages; values by range of days, or by day, week and month.",
            "Exports of a group or a domain as CSV.",
        ),
    ),
)
"""The newest first."""


def unknown(version: str) -> str:
    """What to say to whoever asks for a version that there is not."""
    known = ", ".join(f"{name} ({path})" for name, path in VERSIONS.items())
    return f"there is no version {version} of this API; versions: {known}"
