"""What the statistics API says of itself: its versions, what changed in each release, and every call that there is."""

from typing import NamedTuple

PREFIX = "/v1/api"
"""Where the current version is."""
VERSIONS = {"v1": PREFIX}
"""Every version that answers, and where."""


class Call(NamedTuple):
    """Something that the API does."""

    method: str
    path: str
    """Below the prefix, with `{…}` for what the caller puts in."""
    summary: str


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

_DAY = "reference_date (YYYY-MM-DD; missing: today in UTC)"
_PAGES = "?limit= (1 to 1000; missing: 100) and ?after= (an id) page through it; the Link header has the next page"
_CHANGE = (
    f"body: value, {_DAY}, method (set, increment, decrement, add or subtract; missing: set). "
    "With an Idempotency-Key header, repeating it counts once"
)
_MADE = "group and statistic are made if they are not there"
_RENAME = "body: name"
_REMOVE = (
    "?reference_date= deletes that day's value, ?purge=true the statistic, and answers every value that it had: an "
    "update that comes at the same time is among them, or begins the statistic anew"
)
_VALUES = (
    "with its newest 366 values, those of ?from= and ?to=, or, in their place, sum, min, max, mean and count for each "
    "?interval= (day, week or month)"
)
CALLS = (
    Call("GET", "", "This description."),
    Call("GET", "/domains", f"The account's domains. {_PAGES}."),
    Call("POST", "/domains", "A new domain, with its key, which is shown this once; body: name."),
    Call("GET", "/domains/{domain}", "A domain, by its key or id."),
    Call("POST", "/domains/{domain}", f"Renames a domain; {_RENAME}."),
    Call("PUT", "/domains/{domain}", f"Renames a domain; {_RENAME}."),
    Call("DELETE", "/domains/{domain}", "Deletes a domain with its groups, statistics and keys."),
    Call("GET", "/statistic-groups", f"The domain's groups. {_PAGES}."),
    Call("POST", "/statistic-groups", "A new group; body: name."),
    Call("GET", "/statistic-groups/{group}", "A group, by its name or id."),
    Call("POST", "/statistic-groups/{group}", f"Renames a group; its statistics move with it; {_RENAME}."),
    Call("PUT", "/statistic-groups/{group}", f"Renames a group; its statistics move with it; {_RENAME}."),
    Call("DELETE", "/statistic-groups/{group}", "Deletes a group with its statistics."),
    Call("GET", "/statistics", f"The domain's statistics, or those of ?group=, each with its newest value. {_PAGES}."),
    Call("POST", "/statistics", f"A new statistic, or a new day of one; body: group, name, value, {_DAY}."),
    Call(
        "POST",
        "/statistics/batch",
        "Up to 500 updates, each counted once; body: updates, an array of objects with group, name, value, "
        "reference_date and method. The answer has a result or an error for each, in order.",
    ),
    Call("GET", "/statistics/{id}", f"A statistic, {_VALUES}."),
    Call("POST", "/statistics/{id}", f"Changes a value; {_CHANGE}."),
    Call("PUT", "/statistics/{id}", f"Changes a value; {_CHANGE}."),
    Call("DELETE", "/statistics/{id}", f"{_REMOVE}."),
    Call("GET", "/statistics/{group}/{statistic}", f"A statistic, by names or ids, {_VALUES}."),
    Call("POST", "/statistics/{group}/{statistic}", f"Changes a value; {_MADE}; {_CHANGE}."),
    Call("PUT", "/statistics/{group}/{statistic}", f"Changes a value; {_MADE}; {_CHANGE}."),
    Call("DELETE", "/statistics/{group}/{statistic}", f"{_REMOVE}."),
    Call("GET", "/exports", f"The domain's exports. {_PAGES}."),
    Call("POST", "/exports", "Asks for a CSV file of all values; body: group, or nothing for the whole domain."),
    Call("GET", "/exports/{export}", "How far an export is, and once it is finished where it can be downloaded."),
    Call("DELETE", "/exports/{export}", "Deletes an export's file; links to it lead nowhere from then on."),
    Call("GET", "/exports/{export}/download", "Sends on to the file, for a key of the domain or by download_url."),
)
"""Every call, in the order in which people want to read of them."""
