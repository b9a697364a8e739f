"""The objects that travel: schemas of OpenAPI 2.0, by name (page-view contract, sections 1.5, 2 and 3).

The objects of answers are closed: a key that is not listed is never there. What "may be null" is marked `x-nullable`,
since OpenAPI 2.0 has no word for it.
"""

from collections.abc import Mapping
from typing import Any

Schema = dict[str, Any]

INT32, INT64 = 2**31 - 1, 2**63 - 1
TIME = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$"
"""How answers write times."""
DAY = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"
COLLECT_BITS = 511
PERMISSION_BITS = 127


def ref(name: str) -> Schema:
    """A reference to one of the objects."""
    return {"$ref": f"#/definitions/{name}"}


def closed(properties: Mapping[str, Schema], *, optional: tuple[str, ...] = (), description: str = "") -> Schema:
    """An object that has these keys and no other; all of them but the optional ones are always there."""
    schema: Schema = {"type": "object"}
    if description:
        schema["description"] = description
    schema["required"] = [name for name in properties if name not in optional]
    return {**schema, "properties": dict(properties), "additionalProperties": False}


def text(description: str = "", **more: Any) -> Schema:  # noqa: ANN401 - whatever a schema may say
    """A text."""
    return _typed("string", description, more)


def number(description: str = "", **more: Any) -> Schema:  # noqa: ANN401
    """A whole number."""
    return _typed("integer", description, more)


def flag(description: str = "", **more: Any) -> Schema:  # noqa: ANN401
    """True or false."""
    return _typed("boolean", description, more)


def rows(items: Schema, description: str = "", **more: Any) -> Schema:  # noqa: ANN401
    """A list; empty rather than null."""
    return _typed("array", description, {"items": items, **more})


def time(description: str = "", **more: Any) -> Schema:  # noqa: ANN401
    """A moment in UTC, in whole seconds."""
    return text(description, format="date-time", pattern=TIME, **more)


def nullable(schema: Schema) -> Schema:
    """The same, or null."""
    return {**schema, "x-nullable": True}


def _typed(kind: str, description: str, more: Mapping[str, Any]) -> Schema:
    return {"type": kind, **({"description": description} if description else {}), **more}


def _id(what: str, largest: int = INT32) -> Schema:
    return number(what, minimum=1, maximum=largest)


def _count(what: str) -> Schema:
    return number(what, minimum=0, maximum=INT64)


_SCHEME = text(
    "What kind of referrer it is: `h` a page on the web, `g` a group such as a search engine, `c` a campaign's source, "
    "`o` anything else.",
    enum=["h", "g", "c", "o"],
)
_HOURLY = rows(_count("Visits in an hour."), "Visits by hour of the day.", minItems=24, maxItems=24)
_SETTINGS = {
    "public": text(
        "Who may see the figures: nobody else, whoever has the secret, or everybody.",
        enum=["private", "secret", "public"],
    ),
    "secret": text("For `secret`: 8 to 40 letters and digits.", maxLength=40),
    "allow_counter": flag("Whether the visitor counter answers."),
    "allow_bosmang": flag("Kept for clients that set it."),
    "data_retention": number("For how many days page views are kept: 0 for ever, or 31 to 1825.", maximum=1825),
    "ignore_ips": text("Addresses whose page views are not counted, joined by commas."),
    "collect": number(
        "What is kept of a page view, a sum of: 2 referrer, 4 browser and system, 8 screen size, 16 country, "
        "32 region, 64 language, 128 sessions, 256 individual page views (for CSV exports). 0 is the default, 190.",
        minimum=0,
        maximum=COLLECT_BITS,
    ),
    "collect_regions": text("Countries of which regions are kept, joined by commas; empty for all."),
    "allow_embed": text("Sites that may embed the figures, joined by commas."),
}

DEFINITIONS: dict[str, Schema] = {
    "Error": closed(
        {
            "error": text("What is wrong.", minLength=1),
            "errors": {
                "type": "object",
                "description": "What is wrong, by the name of the field: a list of texts for each.",
                "minProperties": 1,
                "additionalProperties": rows(text(), minItems=1),
            },
        },
        optional=("error", "errors"),
        description="Why a request was refused: either `error` or `errors`, never both.",
    )
    | {"minProperties": 1, "maxProperties": 1},
    "CountError": closed(
        {
            "error": text("What is wrong with the whole request: nothing was counted.", minLength=1),
            "errors": {
                "type": "object",
                "description": (
                    "What is wrong with single page views, by their place in `hits`, from 0: a text for each. All "
                    "others were accepted and must not be sent again."
                ),
                "minProperties": 1,
                "additionalProperties": text(),
            },
        },
        optional=("error", "errors"),
        description="Why page views were refused: either `error` or `errors`, never both.",
    )
    | {"minProperties": 1, "maxProperties": 1},
    "Accepted": closed({"status": text(enum=["ok"])}),
    "Batch": {
        "type": "object",
        "description": "Page views to count.",
        "required": ["hits"],
        "properties": {
            "no_sessions": flag(
                "Accept page views of which nothing tells who made them; each is a visit of its own.", default=False
            ),
            "filter": nullable(
                rows(
                    text(enum=["ip"]),
                    "`ip` leaves out page views from addresses that the site ignores: the default. `[]` leaves out "
                    "none.",
                )
            ),
            "hits": rows(ref("Hit"), minItems=1, maxItems=500),
        },
        "additionalProperties": False,
    },
    "Hit": {
        "type": "object",
        "description": "A page view or event. Empty texts, and the year 1 for `created_at`, mean that it is not said.",
        "required": ["path"],
        "properties": {
            "path": text("The page's path, or the event's name.", minLength=1, maxLength=2048),
            "title": text("The page's title.", maxLength=1024),
            "event": flag("Whether this is an event.", default=False),
            "ref": text("Where the visitor came from: a URL or any text.", maxLength=2048),
            "size": text(
                "The screen's width, or width, height and scale joined by commas. A number, or an array of numbers, "
                "is understood as well.",
                pattern=r"^([0-9]{1,9}(,[0-9]{1,9}){0,2})?$",
            ),
            "query": text("The page's query string: campaigns are found in it."),
            "bot": number("More than 0 marks a robot, which is not counted.", minimum=0, maximum=INT32),
            "user_agent": text("The visitor's User-Agent.", maxLength=512),
            "location": text("Where the visitor is: ISO 3166-1 alpha-2 or 3166-2; wins over `ip`."),
            "language": text("The visitor's language, BCP 47."),
            "ip": text("The visitor's address: to tell visitors apart and to place them. It is never stored."),
            "created_at": text(
                "When it was, RFC 3339; now, if it is not said. At most 5 seconds ahead.", format="date-time"
            ),
            "session": text("Whatever tells visitors apart; else `user_agent` and `ip` together do. Never stored."),
        },
        "additionalProperties": False,
    },
    "Me": closed({"user": ref("User"), "token": ref("Token")}),
    "User": closed(
        {
            "id": _id("The user."),
            "site": _id("The account's first site."),
            "email": text(),
            "email_verified": flag(),
            "totp_enabled": flag(),
            "access": closed(
                {"all": text("`r` reads, `s` changes settings, `a` and `*` administer.", enum=["r", "s", "a", "*"])}
            ),
            "login_at": nullable(time()),
            "open_at": nullable(time()),
            "reset_at": nullable(time()),
            "settings": ref("UserSettings"),
            "last_report_at": time(),
            "created_at": time(),
            "updated_at": nullable(time()),
        }
    ),
    "UserSettings": closed(
        {
            "twenty_four_hours": flag(),
            "sunday_starts_week": flag(),
            "language": text(),
            "date_format": text(),
            "number_format": number(
                "Code point of the thousands separator; 1 for none.", enum=[8239, 160, 44, 46, 39, 1]
            ),
            "timezone": text("A country's code or nothing, a dot, and a time zone.", pattern=r"^([A-Z]{2})?\..+$"),
            "widgets": rows(
                closed({"n": text("Which widget."), "s": {"type": "object", "description": "Its settings."}}),
                "What the dashboard shows, in order.",
            ),
            "views": rows(
                closed(
                    {
                        "name": text(),
                        "filter": text(),
                        "group": number("0 hour, 1 day, 2 week, 3 month.", enum=[0, 1, 2, 3]),
                        "period": text("`day`, `week`, `month`, `quarter`, `half-year`, `year`, or a number of days."),
                    }
                )
            ),
            "email_reports": number("0 never, 1 daily, 2 weekly, 3 every two weeks, 4 monthly.", enum=[0, 1, 2, 3, 4]),
            "fewer_numbers": flag(),
            "fewer_numbers_lock_until": time(),
            "theme": text(enum=["", "light", "dark"]),
            "datepicker": flag(),
        }
    ),
    "Token": closed(
        {
            "name": text(),
            "permissions": number(
                "What the key may do, a sum of: 2 count, 4 export, 8 site-read, 16 site-create, 32 site-update, "
                "64 stats.",
                minimum=0,
                maximum=PERMISSION_BITS,
            ),
            "sites": rows(number(minimum=-1), "The sites that it opens; `[-1]` for all of the account."),
        }
    ),
    "ExportRequest": {
        "type": "object",
        "properties": {
            "format": text(
                "`csv`: individual page views. `json`: a ZIP of figures and names.", enum=["csv", "json"], default="csv"
            ),
            "start_from_hit_id": number(
                "For CSV: only page views that came after this one, the `last_hit_id` of an earlier export.",
                minimum=0,
                maximum=INT64,
            ),
            "start_from_day": text("For JSON: only figures from this day on.", format="date-time"),
        },
        "additionalProperties": False,
    },
    "Export": closed(
        {
            "id": _id("The export."),
            "site_id": _id("The site that it is of."),
            "format": text(enum=["csv", "json"]),
            "start_from_hit_id": number("As it was asked for.", minimum=0, maximum=INT64),
            "start_from_day": time("As it was asked for."),
            "last_hit_id": nullable(
                number("Of a finished CSV: where the next export may start.", minimum=0, maximum=INT64)
            ),
            "path": text("The file's name.", minLength=1),
            "created_at": time(),
            "finished_at": nullable(time("Null until the file is there.")),
            "num_rows": nullable(_count("Rows of a finished CSV.")),
            "size": nullable(text("MiB of a finished file.", pattern=r"^[0-9]+\.[0-9]$")),
            "hash": nullable(text("SHA-256 of a finished file.", pattern="^sha256-[0-9a-f]{64}$")),
            "error": nullable(text("Why there will be no file.")),
        },
        optional=("start_from_hit_id", "start_from_day"),
    ),
    "Running": closed(
        {"status": text(minLength=1)},
        description="The file is not there yet: ask again.",
    ),
    "Sites": closed({"sites": rows(ref("Site"))}),
    "Site": closed(
        {
            "id": _id("The site."),
            "parent": nullable(_id("The account's first site, for all others.")),
            "cname": nullable(text("The host that selects the site.")),
            "cname_setup_at": nullable(time()),
            "code": text("Names the site in paths: `/s/CODE/count`."),
            "link_domain": text("Where the site's pages are."),
            "setttings": ref("SiteSettings"),
            "user_defaults": ref("UserSettings"),
            "received_data": flag("Whether anything was ever counted."),
            "state": text("`a` active, `d` deleted.", enum=["a", "d", "r"]),
            "created_at": time(),
            "updated_at": nullable(time()),
            "first_hit_at": time("Since when there are page views."),
        },
        description="A site. The key of its settings is spelt with three t, as clients expect it.",
    ),
    "SiteSettings": closed(_SETTINGS),
    "NewSite": {
        "type": "object",
        "description": "A new site; what is not said takes its default. Keys that are not the client's are skipped.",
        "properties": {
            "cname": nullable(text("The host that selects the site; unique.", maxLength=255)),
            "code": text("Names the site in paths; unique. Made up, if it is not said.", maxLength=50),
            "link_domain": text("Where the site's pages are."),
            "setttings": ref("SomeSiteSettings"),
            "user_defaults": {"type": "object", "description": "Settings for new users: as a user's `settings`."},
        },
    },
    "SiteChange": {
        "type": "object",
        "properties": {
            "cname": nullable(text("The host that selects the site; unique.", maxLength=255)),
            "link_domain": text("Where the site's pages are."),
            "settings": ref("SomeSiteSettings"),
        },
        "additionalProperties": False,
    },
    "SomeSiteSettings": {
        "type": "object",
        "description": (
            "Settings of a site. `ignore_ips`, `collect_regions` and `allow_embed` may be arrays of texts as well."
        ),
        "properties": _SETTINGS,
        "additionalProperties": False,
    },
    "Paths": closed({"paths": rows(ref("Path")), "more": flag("Whether there are more.")}),
    "Path": closed({"id": _id("The path."), "path": text(), "title": text(), "event": flag()}),
    "Total": closed(
        {
            "total": _count("Visits in the range, events included."),
            "total_events": _count("How many of them are events."),
            "total_utc": _count(
                "Visits between the same times in UTC: what shares of browsers, systems and the like are of."
            ),
            "stats": rows(ref("Day"), "Each day of the range."),
        }
    ),
    "Drops": closed({"drops": rows(ref("DayOfDrops"))}),
    "DayOfDrops": closed(
        {
            "day": text(format="date"),
            "total": _count("Page views that were not counted."),
            "reasons": {
                "type": "object",
                "description": "How many, by reason: `robot`, `ignored address`, `spam`, `localhost`, `ignored path`, "
                "`prefetch`, `limit`, `invalid`.",
                "additionalProperties": {"type": "integer", "minimum": 1},
            },
        }
    ),
    "Hits": closed(
        {
            "hits": rows(ref("PathHits"), maxItems=100),
            "total": _count("The sum of `count` over these rows."),
            "more": flag("Whether there are more: ask again with these paths excluded."),
        }
    ),
    "PathHits": closed(
        {
            "count": _count("Visits in the range."),
            "path_id": _id("The path."),
            "path": text(),
            "event": flag(),
            "title": text(),
            "max": _count("The most visits of any hour; or of any day, week or month, if grouped so."),
            "stats": rows(ref("Day"), "Each day of the range."),
        }
    ),
    "Day": closed(
        {
            "day": text("In the user's time zone.", format="date", pattern=DAY),
            "hourly": _HOURLY,
            "daily": _count("Visits of the day."),
            "weekly": _count("On the first of each seven days, visits of these; left out if there are none."),
            "monthly": _count("On the first of a month or of the range, visits of the month; left out if none."),
        },
        optional=("weekly", "monthly"),
    ),
    "Refs": closed(
        {
            "refs": rows(
                closed(
                    {"name": text("The referrer; empty for none."), "count": _count("Visits."), "ref_scheme": _SCHEME}
                ),
                maxItems=100,
            ),
            "more": flag("Whether there are more."),
        }
    ),
    "Stats": closed(
        {
            "stats": rows(
                closed(
                    {
                        "id": text("What to ask for details by; left out if there is nothing to ask for.", minLength=1),
                        "name": text("Empty if it is not known, or goes without saying."),
                        "count": _count("Visits."),
                        "ref_scheme": _SCHEME,
                    },
                    optional=("id", "ref_scheme"),
                ),
                maxItems=100,
            ),
            "more": flag("Whether there are more."),
        }
    ),
    "Details": closed(
        {
            "stats": rows(
                closed(
                    {"name": text("Empty if it is not known."), "count": _count("Visits."), "ref_scheme": _SCHEME},
                    optional=("ref_scheme",),
                ),
                maxItems=100,
            ),
            "more": flag("Whether there are more."),
        }
    ),
    "Counter": closed(
        {
            "count": text("Visits, with the site's thousands separator.", minLength=1),
            "count_unique": text("The same.", minLength=1),
        }
    ),
    "Status": {
        "type": "object",
        "required": ["uptime", "version"],
        "properties": {"uptime": text("For how long this process has answered."), "version": text("Which release.")},
    },
}
"""Every object, by its name."""
