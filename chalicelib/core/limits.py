"""Rate limits: the plans, and exact fixed windows that start at a caller's first request.

What is stored of a caller is one small record with, for each window, when it opened and how much of it is
used. `plan_step` says what a request may do to that record; whoever stores it makes the step conditional on
nothing having changed its premises (`aws.limits`). A request charges all of its windows or none: one that the
window of a second refuses costs nothing in the window of an hour (page-view contract, sections 8.5 and 9).

Whoever may make keys could have as many windows of a key as it likes. So what the keys of an account use counts in a
window of the account as well, in portions: a key is granted some requests at a time, and what it does not use of them
is used up all the same. The sum of what keys may do is therefore never more than the account's window, while most
requests touch the record of their key alone.
"""

import math
import re
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from . import addresses
from .errors import RateLimited


class Window(NamedTuple):
    """At most `requests` in `seconds`, from the caller's first request on."""

    name: str
    requests: int
    seconds: int

    @property
    def slot(self) -> str:
        """What it is called in a caller's record.

        Windows of one name share a count, however many requests they let through, but not if they differ in length:
        the shorter one, opening anew, would empty the longer one.
        """
        return f"{self.name}/{self.seconds}"


Plans = Mapping[str, Window]
"""Windows by name."""

_TABLE = (
    (Window("count", 4, 1), "the pixel /count, by address and browser"),
    (Window("count-address", 1000, 60), "the same, by address alone"),
    (Window("counter", 200, 60), "visitor counters, by address"),
    (Window("assets", 1000, 60), "the script, /status and links, by address"),
    (Window("pages", 60, 60), "descriptions and other pages, by address"),
    (Window("api2", 500, 3600), "other requests for page views, by address"),
    (Window("api", 4, 1), "the same requests, in a shorter time"),
    (Window("api-count", 60, 120), "POST /api/v0/count, by address"),
    (Window("export", 1, 3600), "new exports of page views, by address"),
    (Window("login", 20, 60), "logins, of which there are none yet"),
    (Window("statistics", 1000, 3600), "requests for statistics, by key"),
    (Window("statistics-account", 20_000, 3600), "the same, by all keys of an account"),
    (Window("statistics-export", 10, 3600), "new exports of statistics, by key"),
    (Window("statistics-export-account", 100, 3600), "such exports, by all keys of an account"),
)
PLANS: Plans = {window.name: window for window, _ in _TABLE}
"""What everybody gets unless the deployment says otherwise (page-view contract, section 9; statistics contract)."""
LIMITED: Mapping[str, str] = {window.name: what for window, what in _TABLE}
"""What each of the plans limits, for those who are to choose one."""
FORM = "NAME:REQUESTS/SECONDS or NAME:none, several by comma; on; off"
"""How changes to plans are written, in short."""

_OF_ACCOUNT = "-account"
"""Ends the name of the plan that limits the keys of an account together; before it stands what each may do."""
_PORTIONS = 1000
"""A portion is this part of an account's window, and at least one request."""

_CHANGE = re.compile(r"([a-z0-9-]+):(?:(none)|([1-9][0-9]{0,8})/([1-9][0-9]{0,6}))")


def plans(text: str) -> dict[str, Window]:
    """The plans of a deployment: `on`, `off`, or the changes to them, such as `api:8/1,export:none`.

    Raises:
        ValueError: the text is none of these.
    """
    if text == "":
        raise _no_limit(text)
    return changed(PLANS, text)


def changed(plans: Plans, text: str) -> dict[str, Window]:
    """Plans after the changes that a text names: a site's or a key's, in the words that a deployment has for its own.

    Nothing, or `on`, leaves them as they are; `off` removes them all. Whoever lets one key do more than the account
    may, lets the account do as much, unless the text says how much that is.

    Raises:
        ValueError: the text says none of these.
    """
    if text == "off":
        return {}
    out = dict(plans)
    changes = _changes(text)
    named = {name for name, _ in changes}
    for name, window in changes:
        _change_one(out, name, window)
        account = out.get(name + _OF_ACCOUNT)
        if account and account.name not in named:
            _change_one(out, account.name, _wider(account, window))
    return out


def _change_one(plans: dict[str, Window], name: str, window: Window | None) -> None:
    if window is None:
        plans.pop(name, None)
    else:
        plans[name] = window


def _wider(account: Window, key: Window | None) -> Window | None:
    """An account's window that holds all that one key may do, which is without end if it has no window."""
    if key is None:
        return None
    return account._replace(requests=max(account.requests, math.ceil(key.requests * account.seconds / key.seconds)))


def of_accounts(plans: Plans, names: Sequence[str]) -> dict[str, Window]:
    """The windows of accounts that those of keys with these names draw on, by the names of the latter."""
    return {name: plans[name + _OF_ACCOUNT] for name in names if name + _OF_ACCOUNT in plans}


@lru_cache(maxsize=256)
def _changes(text: str) -> tuple[tuple[str, Window | None], ...]:
    return tuple(_change(part) for part in text.split(",")) if text not in {"", "on"} else ()


def _change(part: str) -> tuple[str, Window | None]:
    match = _CHANGE.fullmatch(part.strip())
    if match is None or match[1] not in PLANS:
        raise _no_limit(part)
    return match[1], None if match[2] else Window(match[1], int(match[3]), int(match[4]))


def _no_limit(text: str) -> ValueError:
    return ValueError(f"not a limit: {text!r} (write {FORM}; the names are {', '.join(PLANS)})")


@dataclass(frozen=True, slots=True)
class Used:
    """A window of one caller: when it opened, in Unix milliseconds, and how many requests passed since."""

    opened: int
    count: int
    granted: int = 0
    """Of a key's window: how many requests the account has granted it."""


Record = Mapping[str, Used]
"""A caller's windows by slot, as last seen."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a caller stands after a request; what the `X-Rate-Limit-*` headers tell."""

    limit: int
    remaining: int
    reset: float
    """Seconds until the window ends."""
    charged: bool = True
    """False if nobody could say, so that the request passed uncounted."""


class Grant(NamedTuple):
    """A portion of an account's window for a window of one of its keys."""

    name: str
    """The key's window."""
    window: Window
    """The account's."""
    used: Used | None
    """The account's, if it is open; None opens it."""
    amount: int


@dataclass(frozen=True, slots=True)
class Step:
    """What a request does to a caller's record: windows to open anew, and open ones to charge; and what has to be
    granted for that by the caller's account.
    """

    opens: tuple[Window, ...]
    charges: tuple[tuple[Window, Used], ...]
    grants: tuple[Grant, ...] = ()

    def granted(self, window: Window) -> int:
        """How many requests are granted to a window in this step."""
        return sum(grant.amount for grant in self.grants if grant.name == window.name)

    def after(self, record: Record, now: int) -> dict[str, Used]:
        """What a record that was as it is believed to be is after this step."""
        opened = {window.slot: Used(now, 1, self.granted(window)) for window in self.opens}
        charged = {
            window.slot: Used(
                used.opened, used.count + 1, used.count + more if (more := self.granted(window)) else used.granted
            )
            for window, used in self.charges
        }
        return {**record, **opened, **charged}

    def after_grants(self, record: Record, now: int) -> dict[str, Used]:
        """The same for the record of the account."""
        return {**record, **{grant.window.slot: grant_after(grant, now) for grant in self.grants}}


def grant_after(grant: Grant, now: int) -> Used:
    """What the window of an account is after a grant, if nobody else was granted anything meanwhile."""
    return Used(grant.used.opened, grant.used.count + grant.amount) if grant.used else Used(now, grant.amount)


def is_open(window: Window, used: Used | None, now: int) -> bool:
    """Whether the window is still running at `now`, in Unix milliseconds."""
    return used is not None and now < used.opened + window.seconds * 1000


class Shares(NamedTuple):
    """What the windows of a key draw on."""

    caller: str
    """What stands for the key's account."""
    windows: Mapping[str, Window]
    """The account's, by the names of the key's."""


NO_SHARES = Shares("", {})
_NOTHING: Record = {}


def plan_step(
    windows: Sequence[Window],
    record: Record,
    now: int,
    shares: Shares = NO_SHARES,
    shared: Record = _NOTHING,
) -> Step:
    """What a request may do at `now` (Unix milliseconds) to a record that was last seen so. `shared` is the record of
    the account that the windows draw on.

    Raises:
        RateLimited: the first window that is used up refuses it. As a window only fills while it is open, that
            holds for the true record too, however old `record` is. A window that has become smaller since it opened
            may be used up for long, one that has become larger has room again.
    """
    opens, charges, grants = [], [], []
    for window in windows:
        used = _room(window, record, now)
        if used is None:
            opens.append(window)
        else:
            charges.append((window, used))
        share = shares.windows.get(window.name)
        if share and (used is None or used.count >= used.granted):
            left = window.requests - (used.count if used else 0)
            grants.append(_grant(window.name, left, share, _room(share, shared, now)))
    return Step(tuple(opens), tuple(charges), tuple(grants))


def _room(window: Window, record: Record, now: int) -> Used | None:
    """What is used of a window in which there is room; None if it is not open.

    Raises:
        RateLimited: there is none.
    """
    used = record.get(window.slot)
    if used is None or not is_open(window, used, now):
        return None
    if used.count >= window.requests:
        raise RateLimited(window.requests, (used.opened + window.seconds * 1000 - now) / 1000, window.name)
    return used


def _grant(name: str, wanted: int, share: Window, used: Used | None) -> Grant:
    """As much of an account's window as a key is given at a time, and no more than it can use."""
    room = share.requests - (used.count if used else 0)
    return Grant(name, share, used, min(max(share.requests // _PORTIONS, 1), wanted, room))


def standing(window: Window, record: Record, now: int) -> Standing:
    """How much of a window is left in a record, at `now` in Unix milliseconds."""
    used = record.get(window.slot)
    if used is None or not is_open(window, used, now):
        return untouched(window)
    ends = used.opened + window.seconds * 1000
    return Standing(window.requests, max(window.requests - used.count, 0), (ends - now) / 1000)


def untouched(window: Window) -> Standing:
    """Where a caller stands who is not charged."""
    return Standing(window.requests, window.requests, 0.0)


Claim = tuple[str, Window]
"""A caller, and one of its windows."""


class Local:
    """Windows in this process's memory alone: for what is public, where a write for each would cost too much.

    Of each plan `size` windows are remembered; beyond, the one that opened first is forgotten. Plans do not make room
    for each other: a visitor who takes a new name for each request fills the windows of names, and not those of
    addresses. Safe to share between threads.
    """

    def __init__(self, size: int = 10_000) -> None:
        self._size = size
        self._records: dict[str, dict[tuple[str, str], Used]] = {}
        self._lock = threading.Lock()

    def take(self, claims: Sequence[Claim], now: float) -> Standing:
        """Charges one request to all of these windows, or to none of them, at `now` in Unix seconds. Returns where
        the caller of the last one stands in it.

        Raises:
            RateLimited: the first of the windows that is used up.
        """
        at = round(now * 1000)
        with self._lock:
            after = [self._charged(claim, at) for claim in claims]
            for claim, used in zip(claims, after, strict=True):
                self._keep(claim, used)
        window = claims[-1][1]
        return standing(window, {window.slot: after[-1]}, at)

    def _charged(self, claim: Claim, at: int) -> Used:
        """What a window is after one more request, which is not noted yet."""
        caller, window = claim
        used = self._records.get(window.name, {}).get((caller, window.slot))
        step = plan_step((window,), {window.slot: used} if used else {}, at)
        return Used(step.charges[0][1].opened, step.charges[0][1].count + 1) if step.charges else Used(at, 1)

    def _keep(self, claim: Claim, used: Used) -> None:
        caller, window = claim
        records, place = self._records.setdefault(window.name, {}), (caller, window.slot)
        if used.count == 1:
            records.pop(place, None)  # so that the windows stand in the order in which they opened
            if len(records) >= self._size:
                del records[next(iter(records))]
        records[place] = used


def network(address: str) -> str:
    """Whose requests from an address count together: those of an IPv4 address, or of an IPv6 address's /64 network,
    which is the least that one subscriber is given. What is no address stands for itself.
    """
    found = addresses.read(address)
    if found is None:
        return address
    return str(found) if found.version == 4 else f"{type(found)(int(found) >> 64 << 64)}/64"


def is_loopback(address: str) -> bool:
    """Whether an address is the machine's own."""
    found = addresses.read(address)
    return found is not None and found.is_loopback


def duration(seconds: float) -> str:
    """A span as clients of GoatCounter know it, to a tenth of a second: `59m59.2s`, `1s`, `800ms`."""
    tenths = max(math.floor(seconds * 10 + 0.5), 0)
    if 0 < tenths < 10:
        return f"{tenths * 100}ms"
    minutes, rest = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    text = f"{rest // 10}.{rest % 10}s" if rest % 10 else f"{rest // 10}s"
    if hours:
        return f"{hours}h{minutes}m{text}"
    return f"{minutes}m{text}" if minutes else text
