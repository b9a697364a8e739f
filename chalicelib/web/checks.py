"""What comes before the views: redirects, origins, bodies, and how often somebody may ask.

A limit's window belongs to whoever asks: to the address, or on some surfaces to the key. How large the window is, the
deployment says; the site that the request is about may change that, and then the key. So key and site are looked up
first; both are remembered for half a minute, and for as long a changed plan may go unnoticed.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

from chalicelib import observability, wiring
from chalicelib.core import limits
from chalicelib.core.errors import CountlessError, RateLimited
from chalicelib.core.keys import Key
from chalicelib.core.limits import NO_SHARES, Plans, Shares, Standing, Window

from .answers import Answer, Reply
from .callers import key_of, roster_of
from .requests import Request
from .surfaces import METHODS, Check, Path, Surface

T = TypeVar("T")

_READING = ("GET", "HEAD")
LARGEST_BODY = 4_500_000
"""Bytes of a body: in base64, and with the rest of its event, Lambda takes no more."""


def no_trailing_slash(request: Request, path: Path[Any]) -> Answer | None:  # noqa: ARG001 - as every check
    """Sends `/api/v0/me/` to `/api/v0/me`, query and all."""
    if not request.path.endswith("/"):
        return None
    query = urlencode([(name, value) for name, values in request.query.items() for value in values])
    # The path begins with a surface's prefix, so this cannot lead to another host.
    target = quote(request.prefix + request.path.rstrip("/")) + (f"?{query}" if query else "")
    return Reply(301, "", {"Location": target})


def cross_origin(request: Request, path: Path[Any]) -> Answer | None:  # noqa: ARG001
    """Lets scripts of every origin read the answer, if one asks (page-view contract, section 1.4)."""
    if "origin" in request.headers:
        request.said["Access-Control-Allow-Origin"] = "*"
        request.said["Access-Control-Allow-Credentials"] = "true"
        if request.method == "OPTIONS":
            allowed = ", ".join(sorted(METHODS))
            request.said["Access-Control-Allow-Headers"] = "Authorization, Content-Type"
            request.said["Access-Control-Allow-Methods"] = allowed
            request.said["Allow"] = allowed
    return None


def body_within(surface: Surface[Any], largest: int = LARGEST_BODY) -> Check:
    """Refuses bodies with more bytes than this."""

    def check(request: Request, path: Path[Any]) -> Answer | None:  # noqa: ARG001
        return surface.words.too_large() if len(request.body) > largest else None

    return check


def json_body(surface: Surface[Any]) -> Check:
    """Refuses bodies that are too large or, but for GET and HEAD, which read none, no JSON."""
    within = body_within(surface)

    def check(request: Request, path: Path[Any]) -> Answer | None:
        if (refusal := within(request, path)) is not None:
            return refusal
        if request.body and request.method not in _READING and request.media_type != "application/json":
            return surface.words.wrong_type()
        return None

    return check


# How often


def limited(request: Request, path: Path[Any]) -> Answer | None:
    """Charges the request to its address's windows, and says in the headers what is left.

    Nothing of what a request claims to be about goes into whose windows they are: whoever may choose a part of that
    would get windows without end.

    Raises:
        RateLimited: one of the windows is used up.
    """
    standing = _charge(request, path.limits, _site_meant, round, by_key=False)
    if standing:
        tell(request, standing)
    return None


def limited_by_key(request: Request, path: Path[Any]) -> Answer | None:
    """As `limited`, but charges the request's key, if there is one that is known, wherever it is used from.

    What the headers say is long enough to wait, in whole seconds; `Retry-After` says the same where it refuses.

    Raises:
        RateLimited: one of the windows is used up.
    """
    standing = _charge(request, path.limits, _site_of_domain, math.ceil, by_key=True)
    if standing:
        tell(request, standing, math.ceil)
    return None


def charge_key(request: Request, names: Sequence[str]) -> None:
    """Charges the request's key to windows besides those of the path: for views that know only after they have
    looked whether the request is worth a charge. Only if one is used up do the headers speak of it.

    Raises:
        RateLimited: one of the windows is used up.
    """
    _charge(request, names, _site_of_domain, math.ceil, by_key=True)


def charge_if_done(request: Request, names: Sequence[str], do: Callable[[], T], undo: Callable[[T], None]) -> T:
    """Does what the request's address may do only so often, and charges it to these windows once it is done: what
    fails costs nothing. The headers speak of the last of them.

    Raises:
        RateLimited: one of the windows is used up. Nothing was done; or it was undone, if others did it meanwhile.
        CountlessError: what `do` raises, or `undo` then.
    """
    allowance = _allowance(request, names, _site_meant, by_key=False)
    if allowance is None:
        return do()
    with _refusing(request, round):
        allowance.check()
    done = do()
    try:
        with _refusing(request, round):
            standing = allowance.take()
    except RateLimited:
        undo(done)
        raise
    tell(request, standing)
    return done


def _charge(
    request: Request,
    names: Sequence[str],
    site: Callable[[Request, Key], str],
    whole: Callable[[float], int],
    *,
    by_key: bool,
) -> Standing | None:
    """Where the caller stands in the last of these windows afterwards; None if none of them is limited."""
    allowance = _allowance(request, names, site, by_key=by_key)
    if allowance is None:
        return None
    with _refusing(request, whole):
        return allowance.take()


@dataclass(frozen=True, slots=True)
class _Allowance:
    """What a caller may do: the windows that a request is charged to."""

    caller: str
    windows: list[Window]
    keep: int
    """Seconds for which the caller's other windows may be open."""
    shares: Shares
    """The windows of the account that these draw on, if they are a key's."""

    def check(self) -> None:
        """Refuses what `take` would refuse, without a charge."""
        wiring.limiter().check(self.caller, self.windows)

    def take(self) -> Standing:
        """Charges the request; where the caller stands in the last of the windows afterwards."""
        standing = wiring.limiter().take(self.caller, self.windows, keep=self.keep, shares=self.shares)
        if not standing.charged:
            observability.count("LimiterUnavailable")
        return standing


def _allowance(
    request: Request, names: Sequence[str], site: Callable[[Request, Key], str], *, by_key: bool
) -> _Allowance | None:
    """What the caller may do as far as these windows are concerned; None if none of them is limited."""
    if not names or not wiring.plans():
        return None
    key = _known(request)
    plans = plans_for(site(request, key), key.limits) if key else wiring.plans()
    windows = [plans[name] for name in names if name in plans]
    keep = max((window.seconds for window in plans.values()), default=0)
    limiter = wiring.limiter()
    if not by_key or key is None:
        return _Allowance(limiter.caller(request.address), windows, keep, NO_SHARES) if windows else None
    shares = Shares(limiter.account(key.account), limits.of_accounts(plans, names))
    if windows:
        return _Allowance(limiter.keyed(key.account, key.id), windows, keep, shares)
    own = list(shares.windows.values())
    return _Allowance(shares.caller, own, keep, NO_SHARES) if own else None


@contextmanager
def _refusing(request: Request, whole: Callable[[float], int]) -> Iterator[None]:
    """Has the headers speak of the window that refuses."""
    try:
        yield
    except RateLimited as refusal:
        tell(request, Standing(refusal.limit, 0, refusal.reset), whole)
        request.said["Retry-After"] = request.said["X-Rate-Limit-Reset"]
        raise


def _known(request: Request) -> Key | None:
    """The request's key, if it has one that is known. What is wrong with it is said later, by those who need it."""
    try:
        return key_of(request)
    except CountlessError:
        return None


def _site_meant(request: Request, key: Key) -> str:  # noqa: ARG001 - as `_site_of_domain`
    """How the site changes the limits that a request to one of its account's sites means."""
    try:
        site = roster_of(request).site(request.code, request.host)
    except CountlessError:
        return ""
    return site.limits if site else ""


def _site_of_domain(request: Request, key: Key) -> str:
    """How the site of the domain that a key opens changes the limits, if the domain has one."""
    try:
        domains = roster_of(request).domains
    except CountlessError:
        return ""
    own = (domain.site for domain in domains if domain.statistics and domain.statistics.scope.domain == key.domain)
    site = next(own, None)
    return site.limits if site else ""


def plans_for(*changes: str) -> Plans:
    """The deployment's plans after these changes to them, of a site and then of a key; none where it has none.

    A change that cannot be read is logged and changes nothing: whoever stored it was told so then.
    """
    plans = wiring.plans()
    if not plans:
        return plans
    for text in changes:
        try:
            plans = limits.changed(plans, text)
        except ValueError as error:
            observability.failed("limits that cannot be read", error)
    return plans


def tell(request: Request, standing: Standing, whole: Callable[[float], int] = round) -> None:
    """Puts where a caller stands into the headers of the answer; `whole` makes seconds whole ones."""
    request.said["X-Rate-Limit-Limit"] = str(standing.limit)
    request.said["X-Rate-Limit-Remaining"] = str(standing.remaining)
    request.said["X-Rate-Limit-Reset"] = str(whole(standing.reset))
