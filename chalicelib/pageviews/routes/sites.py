"""The account's sites: `/api/v0/sites`. They are read as they are now, not as a request may remember them.

A request is about the site that its host or code selects. It sees that one and its direct children: all others of the
account, and everybody else's, are not there (page-view contract, section 2.3).
"""

from typing import TYPE_CHECKING

from chalicelib import web, wiring
from chalicelib.core.accounts import Permission, Roster, Site
from chalicelib.core.errors import Forbidden, Invalid, NotFound
from chalicelib.pageviews import responses, scalars
from chalicelib.pageviews.responses import Said

from .surface import LIMITS, api, undeclared

if TYPE_CHECKING:
    from chalicelib.core.keys import Key

_sites = api.path("/api/v0/sites", limits=LIMITS)
_site = api.path("/api/v0/sites/{id}", limits=LIMITS)


@_sites.keyed("GET", permission=Permission.SITE_READ)
def list_sites(request: web.Request, caller: web.Caller) -> Said:  # noqa: ARG001 - as every view
    """Lists the site that the request is about, and then its children, as far as the key opens them."""
    roster, (site, *children) = _family(caller)
    family = [(site, roster.parent(site)), *((child, site.id) for child in children)]
    found = [_shown(each, parent, caller.key) for each, parent in family if caller.key.covers(each.id)]
    return responses.said({"sites": found})


@_sites.keyed("PUT", permission=Permission.SITE_CREATE)
def create_site(request: web.Request, caller: web.Caller) -> Said:
    """Makes a site. Like all others of the account it belongs to the first one; it copies nothing from that."""
    from chalicelib.pageviews import sites  # noqa: PLC0415 - most functions never see one

    if refusal := undeclared(request):
        return refusal
    wanted = sites.creation(request.body)
    account = caller.roster.account.id
    made = wiring.accounts().create_site(account, wanted.name, wanted.code, wanted.cname, wanted.settle)
    return responses.said(_shown(made, caller.roster.parent(made), caller.key))


@_site.keyed("GET", permission=Permission.SITE_READ)
def show_site(request: web.Request, caller: web.Caller) -> Said:
    """One of the sites that `GET /api/v0/sites` lists."""
    roster, site = _named(request, caller)
    return responses.said(_shown(site, roster.parent(site), caller.key))


@_site.keyed("POST", "PATCH", permission=Permission.SITE_UPDATE)
def change_site(request: web.Request, caller: web.Caller) -> Said:
    """Changes what is named of a site (PATCH), or that and everything else to what a new site has (POST)."""
    from chalicelib.pageviews import sites  # noqa: PLC0415 - most functions never see one

    if refusal := undeclared(request):
        return refusal
    change = sites.change(request.body, blank=request.method == "POST")
    roster, site = _named(request, caller)
    changed = wiring.accounts().update_site(site.account, site.id, change)
    return responses.said(_shown(changed, roster.parent(changed), caller.key))


def _family(caller: web.Caller) -> tuple[Roster, list[Site]]:
    """The account as it is now, the site that the request is about, and its children.

    Raises:
        NotFound: the site was deleted meanwhile.
    """
    roster = wiring.accounts().current_roster(caller.site.account)
    site = next((site for site in roster.sites() if site.id == caller.site.id), None)
    if site is None:
        raise NotFound("site")
    return roster, roster.family(site)


def _named(request: web.Request, caller: web.Caller) -> tuple[Roster, Site]:
    """The site that the path names by its id.

    Raises:
        Invalid: the id is no number.
        NotFound: there is no such site, or not for this request.
        Forbidden: the key does not open it.
    """
    number = scalars.integer(request.parameters["id"])
    if number is None:
        raise Invalid(fields={"id": ["must be a whole number"]})
    roster, family = _family(caller)
    site = next((site for site in family if site.id == number), None)
    if site is None:
        raise NotFound("site")
    if not caller.key.covers(site.id):
        raise Forbidden("this token does not have access to this site")
    return roster, site


def _shown(site: Site, parent: int | None, key: "Key") -> dict[str, object]:
    """A site as the key's holder may see it: its secret is for those who may read sites."""
    from chalicelib.pageviews import sites  # noqa: PLC0415 - most functions never see one

    return sites.shown(site, parent, secret=bool(key.permissions & Permission.SITE_READ))
