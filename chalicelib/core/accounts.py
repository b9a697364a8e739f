"""Who is who: accounts own users, keys and domains; a domain has facets, one for each surface."""

from dataclasses import dataclass, field
from enum import IntFlag


class Permission(IntFlag):
    """What a key may do. Values are stored and shown to clients, so they never change.

    The first seven are GoatCounter's (contract page views, section 1.3).
    """

    NOTHING = 1
    COUNT = 2
    EXPORT = 4
    SITE_READ = 8
    SITE_CREATE = 16
    SITE_UPDATE = 32
    STATS = 64


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
    ignore_ips: frozenset[str] = frozenset()
    collect: Collect = DEFAULT_COLLECT
    collect_regions: frozenset[str] = field(default_factory=lambda: frozenset({"US", "RU", "CN"}))
    created_at: int = 0
    first_hit_at: int = 0

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
