"""A user's settings, as clients see them (page-view contract, sections 2.1 and 12.1)."""

from typing import Any

from chalicelib.core.accounts import User

WIDGETS: list[dict[str, Any]] = [
    {"n": "pages", "s": {"limit_pages": 10, "limit_refs": 10, "style": "line"}},
    {"n": "totalpages", "s": {"align": False, "no-events": False, "style": "line"}},
    *(
        {"n": name, "s": {"limit": 6}}
        for name in ("toprefs", "campaigns", "browsers", "systems", "locations", "languages")
    ),
    {"n": "sizes", "s": {"sort-count": False}},
]
"""Every widget as it comes."""
DEFAULTS: dict[str, Any] = {
    "twenty_four_hours": True,
    "sunday_starts_week": False,
    "language": "en-GB",
    "date_format": "2 Jan ’06",  # noqa: RUF001 - as clients know it
    "number_format": 0x202F,
    "timezone": ".UTC",
    "widgets": WIDGETS,
    "views": [{"name": "default", "filter": "", "group": 0, "period": "week"}],
    "email_reports": 0,
    "fewer_numbers": False,
    "fewer_numbers_lock_until": "0001-01-01T00:00:00Z",
    "theme": "",
    "datepicker": True,
}
"""What holds for a user who never changed anything: every setting there is."""


def shown(user: User) -> dict[str, Any]:
    """The settings of a user, those that are stored in place of the defaults."""
    return {
        **DEFAULTS,
        "sunday_starts_week": user.sunday_starts_week,
        "number_format": user.number_format,
        "timezone": f".{user.timezone}",
        "email_reports": int(user.email_reports),
    }
