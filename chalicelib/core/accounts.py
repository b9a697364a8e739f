"""Who is who: accounts own users, keys and domains; a domain has facets, one for each surface."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import IntEnum, IntFlag, StrEnum

from . import ids


class Permission(IntFlag):
    """What a key may do. Values are stored and shown to clients, so they never change.

    The first seven are GoatCounter's (contract page views, section 1.3), the next three are for statistics.
    """

    NOTHING = 1
    COUNT = 2
    EXPORT = 4
    SITE_READ = 8
    SITE_CREATE = 16
    SITE_UPDATE = 32
    STATS = 64
    STATISTICS_READ = 128
    STATISTICS_WRITE = 256
    DOMAINS = 512


PAGEVIEWS = Permission(127)
"""What the page-view API knows of permissions, and shows."""
STATISTICS = Permission.STATISTICS_READ | Permission.STATISTICS_WRITE | Permission.DOMAINS
"""What the statistics API knows of them."""
EVERYTHING = (PAGEVIEWS & ~Permission.NOTHING) | STATISTICS
"""Every permission there is."""


class Collect(IntFlag):
    """What a site collects about its visitors (contract page views, section 10)."""

    NOTHING = 1
    REFERRER = 2
    USER_AGENT = 4
    SCREEN_SIZE = 8
    LOCATION = 16
    REGION = 32
    LANGUAGE = 64
    SESSION = 128
    HITS = 256


DEFAULT_COLLECT = Collect(190)


class Role(StrEnum):
    """What a user may do in the account. Letters are stored and shown to clients, so they never change."""

    READ = "r"
    SETTINGS = "s"
    ADMIN = "a"
    SUPERUSER = "*"

    @property
    def administers(self) -> bool:
        """Whether this role may make keys and use them."""
        return self in (Role.ADMIN, Role.SUPERUSER)


class EmailReports(IntEnum):
    """How often a user is mailed a report. Values are stored and shown to clients, so they never change."""

    NEVER = 0
    DAILY = 1
    WEEKLY = 2
    FORTNIGHTLY = 3
    MONTHLY = 4


class Visibility(StrEnum):
    """Who may see a site's figures besides those with a key. Words are stored and shown to clients."""

    PRIVATE = "private"
    SECRET = "secret"  # noqa: S105 - a word of the API
    """Whoever knows the site's secret."""
    PUBLIC = "public"


class SiteState(StrEnum):
    """Whether a site is there. Letters are stored and shown to clients."""

    ACTIVE = "a"
    DELETED = "d"


@dataclass(frozen=True, slots=True)
class Site:
    """The page-view facet of a domain: a GoatCounter site."""

    account: str
    domain: str
    """The id of the domain that this is a facet of."""
    id: int
    """Small, positive, unique in the account's deployment, never reused."""
    code: str
    """Names the site in paths (`/s/CODE/count`); unique in the deployment."""
    cname: str | None = None
    """The host that selects this site; lower case, without a port."""
    link_domain: str = ""
    """Where the pages are; its referrers are the site's own."""
    state: SiteState = SiteState.ACTIVE
    visibility: Visibility = Visibility.PRIVATE
    secret: str = field(default="", repr=False)
    allow_counter: bool = False
    """Whether anybody may ask for the visitor counters."""
    allow_bosmang: bool = False
    """Kept for clients that set it: support access, which nobody has here."""
    data_retention: int = 0
    """Days for which page views are kept; 0 for ever."""
    ignore_ips: tuple[str, ...] = ()
    collect: Collect = DEFAULT_COLLECT
    collect_regions: tuple[str, ...] = ("US", "RU", "CN")
    allow_embed: tuple[str, ...] = ()
    """Domains and URLs whose pages may frame the dashboard."""
    user_defaults: str = ""
    """Settings for new users, as JSON; empty for the service's own."""
    created_at: int = 0
    updated_at: int | None = None
    cname_setup_at: int | None = None
    first_hit_at: int = 0
    received_data: bool = False
    """Whether anything was ever counted here."""
    limits: str = ""
    """Changes to the deployment's plans for requests to this site, as `limits.plans` reads them."""

    @property
    def stream(self) -> str:
        """The id of the log that this site's page views go to; it starts with the account."""
        return f"{self.account}/pageviews/{self.id}"

    def collects(self, flag: Collect) -> bool:
        """Whether the site keeps this about its visitors. Regions imply locations; 0 means the default."""
        flags = self.collect or DEFAULT_COLLECT
        if flag is Collect.LOCATION:
            return bool(flags & (Collect.LOCATION | Collect.REGION))
        return bool(flags & flag)


@dataclass(frozen=True, slots=True)
class Account:
    """Who everything belongs to: an entity, as some clients call it."""

    id: str
    name: str
    created_at: int = 0


@dataclass(frozen=True, slots=True)
class User:
    """A person who may sign in. Names and mail addresses are unique in the deployment."""

    id: int
    account: str
    name: str
    email: str
    role: Role = Role.ADMIN
    password: str = field(default="", repr=False)
    """An argon2 hash."""
    email_verified: bool = True
    timezone: str = "UTC"
    """The name of an IANA zone."""
    created_at: int = 0
    email_reports: EmailReports = EmailReports.NEVER
    last_report_at: int = 0
    """A moment in the period that the next report is about, in Unix seconds; 0 until the user first wants any."""
    report_claim: str = ""
    """Who is mailing a report at the moment, or died while doing so; empty for nobody."""
    sunday_starts_week: bool = False
    number_format: int = 0x202F
    """The code point that stands between thousands; 1 for none."""

    def offset(self, now: float) -> int:
        """How far the user's clock is ahead of UTC at a moment, in seconds; 0 if nobody knows the zone."""
        if self.timezone == "UTC":
            return 0
        from zoneinfo import ZoneInfo  # noqa: PLC0415 - most deployments never leave UTC

        try:
            ahead = datetime.fromtimestamp(now, UTC).astimezone(ZoneInfo(self.timezone)).utcoffset()
        except (KeyError, ValueError, OSError):
            return 0
        return int(ahead.total_seconds()) if ahead else 0


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose statistics are meant: every key under which they are stored begins with it."""

    account: str
    domain: str
    """The id of the statistics facet, `dom_…`, never given twice."""

    @property
    def entity(self) -> str:
        """The id of the domain that this is a facet of; the facet's id is made from it (`facet_id`)."""
        return self.domain[len(DOMAIN_PREFIX) : -FACET_LENGTH]


DOMAIN_PREFIX = "dom_"
FACET_LENGTH = 6
"""Characters that tell a facet from an earlier one of the same domain."""


def facet_id(entity: str) -> str:
    """A new id for the statistics facet of a domain, never given twice."""
    return f"{DOMAIN_PREFIX}{entity}{ids.chance(FACET_LENGTH)}"


@dataclass(frozen=True, slots=True)
class StatisticsDomain:
    """The statistics facet of a domain: what the statistics API calls a domain. Times are Unix seconds."""

    scope: Scope
    name: str
    """Unique among the account's statistics facets."""
    created_at: int
    updated_at: int


@dataclass(frozen=True, slots=True)
class Domain:
    """What is counted about, with a facet for each surface that knows it; a surface makes and removes its
    own.
    """

    id: str
    account: str
    name: str
    created_at: int = 0
    site: Site | None = None
    statistics: StatisticsDomain | None = None


@dataclass(frozen=True, slots=True)
class Roster:
    """Everybody and everything of one account, as read in one go."""

    account: Account
    users: tuple[User, ...]
    domains: tuple[Domain, ...]

    def user(self, number: int) -> User | None:
        """The user with this id."""
        return next((user for user in self.users if user.id == number), None)

    def sites(self) -> Iterator[Site]:
        """The account's sites by id, so that the first one stays the first. Deleted ones are none."""
        found = (domain.site for domain in self.domains if domain.site and domain.site.state is SiteState.ACTIVE)
        return iter(sorted(found, key=lambda site: site.id))

    def parent(self, site: Site) -> int | None:
        """The id of the site that a site belongs to: the account's first one; None for that itself.

        There is one level only, as users and keys are the account's. Since nothing of this is stored, whatever
        deletes the first site makes the next one the parent of all others at once (page-view contract, section 10).
        """
        first = next(self.sites(), site)
        return None if first.id == site.id else first.id

    def family(self, site: Site) -> list[Site]:
        """One of these sites, and then its direct children by code: what a request to the site may see of sites."""
        first, *others = self.sites()
        return [site, *sorted(others if first.id == site.id else (), key=lambda child: child.code)]

    def site(self, code: str | None, host: str) -> Site | None:
        """The site that a request means: by code, else by host, else the account's only or first one.

        None if the code is not one of this account's (page-view contract, section 16, decision 1).
        """
        sites = list(self.sites())
        if code is not None:
            return next((site for site in sites if site.code == code), None)
        return next((site for site in sites if site.cname == host), sites[0] if sites else None)
