"""What the endpoints of the statistics API share: the surface of `/v1/api`, and what its views ask of a request.

A position in a path has one variable, whatever stands there: API Gateway allows no other, and a fixed word beside it
would hide a group of that name. So `/statistics/{group}` is a statistic by its id, and, for POST, the word `batch`.
"""

from typing import TYPE_CHECKING, Any

from chalice.app import Blueprint

from chalicelib import wiring
from chalicelib.core import keys, statistics
from chalicelib.core.accounts import Permission, Scope
from chalicelib.core.errors import Forbidden, Invalid, NotFound, Unauthenticated
from chalicelib.core.periods import DAY, day_text
from chalicelib.statistics import requests, responses
from chalicelib.statistics.responses import Said
from chalicelib.statistics.versions import PREFIX
from chalicelib.web import Check, Holder, Request, Surface, Unknown, body_within, holder, limited_by_key

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chalicelib.core.accounts import StatisticsDomain

READ, WRITE, DOMAINS = Permission.STATISTICS_READ, Permission.STATISTICS_WRITE, Permission.DOMAINS
LIMITS = ("statistics",)
"""What every request is charged to."""
NO_DOMAIN = "this key opens no domain of statistics"

blueprint = Blueprint(__name__)


def _client_has_a_key(request: Request, path: object) -> None:  # noqa: ARG001 - as every check
    """Stops a client that was never told its key, before whatever else is wrong (statistics contract, rule 10).

    Raises:
        Unauthenticated: with what to do about it.
    """
    said = request.headers.get("authorization", "").lower().split()
    if said == ["bearer", "none"] and request.path.rstrip("/") != PREFIX:
        raise Unauthenticated(responses.NOT_SET)


def _checks(surface: "Surface[Any]") -> "Sequence[Check]":
    return (limited_by_key, body_within(surface), _client_has_a_key)


api = Surface(blueprint, responses.ApiWords(), _checks, identify=holder, coded=False)

UNKNOWN = (
    Unknown(f"{PREFIX}/(statistics|statistic-groups)/.*", api, LIMITS, NotFound(responses.SLASHES)),
    Unknown(f"{PREFIX}(/.*)?", api, LIMITS),
    Unknown("/v[^/]*/api(/.*)?", api, LIMITS, NotFound(responses.VERSION)),
)
"""What the rest of `/v1/api`, and other versions of it, are answered."""


def own_domain(caller: Holder) -> "StatisticsDomain | None":
    """The domain that the caller's key opens, if it is one that does.

    Raises:
        Unauthenticated: the domain was deleted, and the key with it, though not every process knows that yet.
    """
    if not caller.key.domain:
        return None
    try:
        return wiring.domains().get(caller.key.account, caller.key.domain)
    except NotFound:
        raise Unauthenticated(keys.UNKNOWN) from None


def scope_of(caller: Holder) -> Scope:
    """Whose statistics the caller's key opens.

    Raises:
        Forbidden: nobody's.
    """
    if not caller.key.domain:
        raise Forbidden(NO_DOMAIN)
    return Scope(caller.key.account, caller.key.domain)


def named(request: Request, parameter: str) -> str:
    """What the path calls something that must be there.

    Raises:
        NotFound: nothing is called so.
    """
    try:
        return statistics.name(parameter, request.parameters[parameter])
    except Invalid:
        raise NotFound(parameter) from None


def today() -> str:
    """The day in UTC, as `YYYY-MM-DD`."""
    return day_text(int(wiring.now()) // DAY)


def listed(request: Request, path: str, entries: list[dict[str, Any]], after: str | None) -> Said:
    """A page of a list, and where the next one is."""
    if after is None:
        return responses.said(entries)
    query = requests.following(request.query, after)
    return responses.said(entries, 200, responses.link(wiring.settings().url, path, query))
