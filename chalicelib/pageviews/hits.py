"""The way of a page view from what was sent to what is stored (page-view contract, sections 3.2, 4.2 and 7)."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from math import floor
from typing import NamedTuple

from chalicelib.core import addresses
from chalicelib.core.accounts import Collect, Site
from chalicelib.core.drops import Reason
from chalicelib.core.errors import Invalid
from chalicelib.core.events import Bot, Hit
from chalicelib.core.salts import Salts

from . import agents, bots, campaigns, clouds, languages, locations, paths, referrers, screens, spam
from .requests import CountBatch, PixelView, RawHit
from .texts import storable
from .visitors import NOBODY, Visitors

MAX_PATH, MAX_TITLE, MAX_REF, MAX_USER_AGENT = 2048, 1024, 2048, 512
TOLERANCE = 5
"""Seconds that a caller's clock may be ahead."""

NO_IDENTIFIERS = "session or browser/IP not set; use no_sessions if you don't want to track unique visits"

Locate = Callable[[str], str]
"""Finds the location of an address: `NL`, `US-TX`, or an empty text."""


class Dropped(NamedTuple):
    """A view that is silently not counted, and why."""

    reason: Reason
    header: str = ""
    """What the `X-Goatcounter` header says about it, if anything."""


class Refused(NamedTuple):
    """A view that breaks a rule; the message is the contract's."""

    message: str


Outcome = Hit | Bot | Dropped | Refused


@dataclass(slots=True)
class Accepted:
    """What became of a batch. Each hit of it stands in `hits`, `errors` or `uncounted`."""

    hits: list[Hit] = field(default_factory=list)
    bots: list[Bot] = field(default_factory=list)
    filtered: list[int] = field(default_factory=list)
    """Zero-based indexes of hits that the site's list of ignored addresses keeps out."""
    errors: dict[int, str] = field(default_factory=dict)
    """By zero-based index, what is wrong with a hit."""
    uncounted: dict[Reason, list[int]] = field(default_factory=dict)
    """The zero-based indexes of hits that are valid and not counted, by reason: also of what is filtered, and bots'."""

    @property
    def dropped(self) -> dict[Reason, int]:
        """How many hits became neither hit nor bot, by reason."""
        return {reason: len(places) for reason, places in self.uncounted.items() if reason is not Reason.ROBOT}

    def drop(self, index: int, reason: Reason) -> None:
        """Notes that a hit is not counted."""
        self.uncounted.setdefault(reason, []).append(index)


def accept_batch(  # noqa: PLR0913 - as below
    batch: CountBatch,
    site: Site,
    *,
    now: float,
    salts: Salts,
    locate: Locate,
    spams: spam.Spams | None = None,
) -> Accepted:
    """Takes in what `POST /api/v0/count` sends; `now` is in Unix seconds. `spams` as for `accept_pixel`."""
    accepted = Accepted()
    pipeline = _Pipeline(site, now, salts, locate, spams, anonymous=batch.no_sessions)
    ignored = _ignored(site) if "ip" in batch.filters else frozenset()
    one_form = cache(addresses.one_form)
    for index, sent in enumerate(batch.hits):
        ip = one_form(sent.ip)
        if ip in ignored:
            accepted.filtered.append(index)
            accepted.drop(index, Reason.ADDRESS)
            continue
        raw = sent if ip == sent.ip else sent._replace(ip=ip)
        match pipeline.run(raw, _code(raw)):
            case Hit() as hit:
                accepted.hits.append(hit)
            case Bot() as bot:
                accepted.bots.append(bot)
                accepted.drop(index, Reason.ROBOT)
            case Dropped(reason):
                accepted.drop(index, reason)
            case Refused(message):
                accepted.errors[index] = message
    return accepted


def accept_pixel(  # noqa: PLR0913 - the request's parts, each by its name
    view: PixelView,
    site: Site,
    *,
    now: float,
    salts: Salts,
    locate: Locate,
    ip: str,
    user_agent: str,
    accept_language: str,
    spams: spam.Spams | None = None,
    cloud: clouds.Clouds = clouds.NONE,
) -> Hit | Bot | Dropped:
    """Takes in what `/count` is asked; `now` is in Unix seconds. `spams` tells spammers' hosts, by the list that is
    shipped if nothing is given; whoever comes from a `cloud` is a bot.

    Raises:
        Invalid: with the text for the `X-Goatcounter` header.
    """
    ip = addresses.one_form(ip)
    if header := ignored_address(site, ip):
        return Dropped(Reason.ADDRESS, header)
    if 1 <= view.bot < bots.FIRST_SCRIPTED:
        raise Invalid(f"wrong value: b={view.bot}")
    if len(view.path.encode("utf-8", "replace")) > MAX_PATH:
        raise Invalid(f"ignored because path is longer than {MAX_PATH} bytes ({view.target_length} bytes)")
    raw = RawHit(
        path=view.path,
        title=view.title,
        ref=view.ref,
        query=view.query,
        user_agent=user_agent,
        language=languages.preferred(accept_language) if site.collects(Collect.LANGUAGE) else "",
        ip=ip,
        event=view.event,
        size=view.size,
    )
    pipeline = _Pipeline(site, now, salts, locate, spams, anonymous=True)
    code = bots.recognise(user_agent) or cloud.code(ip) or max(view.bot, 0)
    outcome = pipeline.run(raw, code, own=view.no_session)
    if isinstance(outcome, Refused):
        raise Invalid("not valid: " + outcome.message.strip().replace("\n", " "))
    return outcome


def ignored_address(site: Site, ip: str) -> str:
    """What `X-Goatcounter` says of a view from an address, in one form, that the site ignores; empty for any other."""
    return f'ignored because "{ip}" is in the IP ignore list' if ip in _ignored(site) else ""


def _ignored(site: Site) -> frozenset[str]:
    """The addresses that a site ignores, in one form."""
    return frozenset(map(addresses.one_form, site.ignore_ips))


def _code(raw: RawHit) -> int:
    """Why a hit of the API is a bot's; an empty User-Agent says nothing here."""
    recognised = bots.recognise(raw.user_agent) if raw.user_agent else 0
    return recognised or max(raw.bot, 0)


class _Pipeline:
    """The steps that every view goes through, for one site at one moment."""

    def __init__(  # noqa: PLR0913 - as above
        self, site: Site, now: float, salts: Salts, locate: Locate, spams: spam.Spams | None, *, anonymous: bool
    ) -> None:
        self._site = site
        self._now = now
        self._anonymous = anonymous
        self._locate = locate
        self._spams = spams or spam.by_default()
        self._places: dict[tuple[str, str], str] = {}
        self._visitors = Visitors(site, salts)
        collects = site.collects
        self._referrers = collects(Collect.REFERRER)
        self._agents = collects(Collect.USER_AGENT)
        self._screens = collects(Collect.SCREEN_SIZE)
        self._locations = collects(Collect.LOCATION)
        self._languages = collects(Collect.LANGUAGE)
        self._sessions = collects(Collect.SESSION)
        self._listed = collects(Collect.HITS)

    def run(self, raw: RawHit, code: int, *, own: bool = False) -> Outcome:
        """Takes a view through all steps; `code` says why it is a bot's, `own` that it is a visit of its own."""
        if not (raw.session or self._anonymous or (raw.user_agent and raw.ip)):
            return Refused(NO_IDENTIFIERS)
        path = paths.event(raw.path) if raw.event else paths.page(raw.path)
        referrer, campaign = self._origin(raw)
        at = self._now if raw.created_at is None else raw.created_at
        if not _sound(raw, path, referrer.text, at - self._now):
            return Refused(_faults(raw, path, referrer.text, at - self._now))
        if code:
            return Bot(path, floor(at), code, raw.user_agent)
        if raw.ref and self._spams(host := referrers.host(raw.ref)):
            return Dropped(Reason.LOCALHOST if spam.is_local(host) else Reason.SPAM)
        if paths.ignored(path):
            return Dropped(Reason.PATH)
        browser, system = agents.read(raw.user_agent) if self._agents else (None, None)
        session, previous = NOBODY if own or not self._sessions else self._session(raw)
        return Hit(
            path,
            raw.title,
            raw.event,
            referrer.text,
            referrer.scheme,
            campaign,
            browser,
            system,
            self._place(raw.location, raw.ip) if self._locations else "",
            languages.code(raw.language) if self._languages and raw.language else "",
            screens.width(raw.size) if self._screens else 0,
            floor(at),
            session,
            previous,
            self._listed,
        )

    def _origin(self, raw: RawHit) -> tuple[referrers.Referrer, str]:
        """The referrer, and the name of the campaign; a campaign's source takes the referrer's place."""
        if not self._referrers:
            return referrers.NONE, ""
        referrer = referrers.normalise(raw.ref) if raw.ref else referrers.NONE
        if not raw.query or raw.event:
            return referrer, ""
        campaign = campaigns.read(raw.query)
        text = campaign.source or referrer.text
        if text and campaign != campaigns.NONE:
            referrer = referrers.Referrer(text, referrers.CAMPAIGN)
        return referrer, campaign.name

    def _place(self, location: str, ip: str) -> str:
        """The caller's location, else the address's, as exact as the site wants it; each is looked up once."""
        key = (location, "" if location else ip)
        place = self._places.get(key)
        if place is None:
            found = locations.normalise(location) or (locations.normalise(self._locate(ip)) if ip else "")
            place = self._places[key] = locations.trim(found, self._site)
        return place

    def _session(self, raw: RawHit) -> tuple[int, int]:
        if raw.session:
            return self._visitors.named(raw.session)
        if raw.user_agent or raw.ip:
            return self._visitors.seen(raw.user_agent, raw.ip)
        return NOBODY


def _sound(raw: RawHit, path: str, ref: str, ahead: float) -> bool:
    """Whether `_faults` would find nothing, told in one look."""
    return (
        ahead <= TOLERANCE
        and 0 < len(path) <= MAX_PATH
        and len(raw.title) <= MAX_TITLE
        and len(ref) <= MAX_REF
        and len(raw.user_agent) <= MAX_USER_AGENT
        and (not raw.size or screens.out_of_range(raw.size) is None)
        and storable(path + raw.title + ref + raw.user_agent)
    )


def _faults(raw: RawHit, path: str, ref: str, ahead: float) -> str:
    """What is wrong with a hit, in the contract's words. `ahead`: seconds into the future."""
    faults = {
        "created_at": ["in the future"] if ahead > TOLERANCE else [],
        "path": _text_faults(path, MAX_PATH) if path else ["must be set", "must be longer than 1 characters"],
        "ref": _text_faults(ref, MAX_REF),
        "size": _size_faults(raw.size),
        "title": _text_faults(raw.title, MAX_TITLE),
        "user_agent_header": _text_faults(raw.user_agent, MAX_USER_AGENT),
    }
    lines = [f"{name}: {', '.join(messages)}." for name, messages in sorted(faults.items()) if messages]
    return lines[0] if len(lines) == 1 else "".join(f"{line}\n" for line in lines)


def _text_faults(text: str, limit: int) -> list[str]:
    faults = [] if storable(text) else ["must be UTF-8"]
    return [*faults, f"must be shorter than {limit} characters"] if len(text) > limit else faults


def _size_faults(size: tuple[int, ...]) -> list[str]:
    number = screens.out_of_range(size)
    return [] if number is None else [f"screen size {number} is out of range of int32"]
