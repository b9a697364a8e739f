"""Domains: `/v1/api/domains`, and what the API says of itself at `/v1/api`."""

from typing import TYPE_CHECKING

from chalicelib import wiring
from chalicelib.core.accounts import STATISTICS
from chalicelib.core.errors import NotFound
from chalicelib.statistics import requests, responses
from chalicelib.statistics.responses import Said
from chalicelib.statistics.versions import PREFIX
from chalicelib.web import Holder, Request

from .surface import DOMAINS, LIMITS, READ, WRITE, api, listed, own_domain

if TYPE_CHECKING:
    from chalicelib.core.accounts import StatisticsDomain

_about = api.path(PREFIX, limits=LIMITS)
_domains = api.path(f"{PREFIX}/domains", limits=LIMITS)
_domain = api.path(f"{PREFIX}/domains/{{domain}}", limits=LIMITS)


@_about.public("GET")
def describe(request: Request) -> Said:  # noqa: ARG001 - as every view
    """What this is, which versions there are, what changed, and whom to ask."""
    given = wiring.settings()
    return responses.said(responses.description(given.url, given.support))


@_domains.keyed("GET", permission=DOMAINS)
def list_domains(request: Request, caller: Holder) -> Said:
    """The account's domains."""
    own_domain(caller)
    asked = requests.decode_paging(request.query, requests.DOMAIN_IDS)
    page = wiring.domains().list(caller.key.account, asked.limit, asked.after)
    return listed(request, "/domains", [responses.domain(found) for found in page.entries], page.after)


@_domains.keyed("POST", permission=DOMAINS)
def create_domain(request: Request, caller: Holder) -> Said:
    """A new domain with a key, which may do with it what the caller's own may do, and as often, and is shown here
    alone.
    """
    own_domain(caller)
    name = requests.decode_name(request.body)
    made, token = wiring.domains().create(
        caller.key.account,
        name,
        caller.key.permissions & STATISTICS,
        caller.user.id,
        name,
        limits=caller.key.limits,
    )
    return responses.said(responses.domain(made, token), 201)


@_domain.keyed("GET", permission=READ | DOMAINS)
def show_domain(request: Request, caller: Holder) -> Said:
    """A domain, by its key or id."""
    return responses.said(responses.domain(_meant(request, caller)))


@_domain.keyed("POST", "PUT", permission=WRITE | DOMAINS)
def rename_domain(request: Request, caller: Holder) -> Said:
    """Gives a domain another name."""
    found = _meant(request, caller)
    renamed = wiring.domains().rename(found.scope, requests.decode_name(request.body))
    return responses.said(responses.domain(renamed))


@_domain.keyed("DELETE", permission=DOMAINS)
def delete_domain(request: Request, caller: Holder) -> Said:
    """Deletes a domain with all that is in it, and its keys."""
    found = _meant(request, caller)
    deleted = wiring.domains().delete(found.scope)
    wiring.removals().ask(found.scope, found.scope.domain)
    return responses.said(responses.domain(deleted))


def _meant(request: Request, caller: Holder) -> "StatisticsDomain":
    """The domain that the path means: the caller's own, or with the permission another one of the account.

    Raises:
        NotFound: there is none, or none that is the caller's concern.
    """
    own, ref = own_domain(caller), request.parameters["domain"]
    if own is not None and ref == own.scope.domain:
        return own
    found = wiring.domains().get(caller.key.account, ref)
    if found.scope.domain != caller.key.domain and not caller.key.permissions & DOMAINS:
        raise NotFound("domain")
    return found
