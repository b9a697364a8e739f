"""What the paths for browsers share: they are asked without a key, and limited without a look into a table."""

import ipaddress
from collections.abc import Callable
from typing import Any

from chalicelib import web, wiring
from chalicelib.core import limits
from chalicelib.core.errors import RateLimited, Unavailable
from chalicelib.core.limits import Standing


def by_address(request: web.Request) -> str:
    """Whoever asks, told apart by address alone."""
    return request.address


def limited_here(name: str, who: Callable[[web.Request], str] = by_address) -> web.Check:
    """Charges a request to a window in this process's memory: a write for each would cost more than the answer.

    `name` is the window's, `who` says whose it is. Requests from the machine itself are not charged. The check
    raises `RateLimited` where the window is used up.
    """

    def check(request: web.Request, path: web.Path[Any]) -> None:  # noqa: ARG001 - as every check
        try:
            site = web.public_site(request)
        except Unavailable:
            site = None  # the view says so
        window = web.plans_for(site.limits if site else "").get(name)
        if window is None:
            return
        if _is_loopback(request.address):
            web.tell(request, limits.untouched(window))
            return
        try:
            standing = wiring.pixels().take(who(request), window, wiring.now())
        except RateLimited as refusal:
            web.tell(request, Standing(refusal.limit, 0, refusal.reset))
            raise
        web.tell(request, standing)

    return check


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False
