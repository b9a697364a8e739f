"""What the paths for browsers share: they are asked without a key, and limited without a look into a table."""

from collections.abc import Callable
from typing import Any

from chalicelib import observability, web, wiring
from chalicelib.core import limits
from chalicelib.core.errors import NotFound, RateLimited, Unavailable
from chalicelib.core.limits import Standing

Who = Callable[[web.Request], str]
"""Says whose window a request is charged to."""


def by_address(request: web.Request) -> str:
    """Whoever asks, told apart by the network of the address alone."""
    return limits.network(request.address)


def limited_here(*windows: tuple[str, Who]) -> web.Check:
    """Charges a request to windows in this process's memory, all of them or none: a write for each request would cost
    more than the answer.

    Each window is the name of its plan, and who says whose it is. The headers speak of the last of them that the site
    has, or of the one that refuses. Requests from the machine itself are not charged. The check raises `RateLimited`
    where one of the windows is used up.
    """

    def check(request: web.Request, path: web.Path[Any]) -> None:  # noqa: ARG001 - as every check
        try:
            site = web.public_site(request)
        except Unavailable:
            site = None  # the view says so
        plans = web.plans_for(site.limits if site else "")
        claims = [(who(request), plans[name]) for name, who in windows if name in plans]
        if standing := _taken(request, claims):
            web.tell(request, standing)

    return check


def limited_quietly(name: str) -> web.Check:
    """Charges a request to this window of its address, as the deployment has it, in this process's memory. Answers
    that may be kept by those between say nothing of it, for it would be somebody else's; only refusals do.
    """

    def check(request: web.Request, path: web.Path[Any]) -> None:  # noqa: ARG001
        window = wiring.plans().get(name)
        _taken(request, [(by_address(request), window)] if window else [])

    return check


def of_a_site(request: web.Request, path: web.Path[Any]) -> None:  # noqa: ARG001
    """Refuses what is asked for below `/s/CODE` if no site has this code: otherwise there would be as many copies of
    it, each to be kept by those between, as somebody can think of codes. While nobody can say, it passes.

    Raises:
        NotFound: there is no such site.
    """
    if request.code is None:
        return
    try:
        site = web.public_site(request)
    except Unavailable as error:
        observability.failed("nobody can say whether there is such a site", error)
        return
    if site is None:
        raise NotFound("there is no site with this code")


def _taken(request: web.Request, claims: "list[limits.Claim]") -> Standing | None:
    """Where the caller stands in the last window after this request; None without windows."""
    if not claims:
        return None
    if limits.is_loopback(request.address):
        return limits.untouched(claims[-1][1])
    try:
        return wiring.pixels().take(claims, wiring.now())
    except RateLimited as refusal:
        web.tell(request, Standing(refusal.limit, 0, refusal.reset))
        raise
