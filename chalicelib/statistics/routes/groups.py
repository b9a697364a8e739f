"""Groups of statistics: `/v1/api/statistic-groups`."""

from chalicelib import wiring
from chalicelib.core import statistics
from chalicelib.statistics import requests, responses
from chalicelib.statistics.responses import Said
from chalicelib.statistics.versions import PREFIX
from chalicelib.web import Holder, Request

from .surface import LIMITS, READ, WRITE, api, listed, named, scope_of

_groups = api.path(f"{PREFIX}/statistic-groups", limits=LIMITS)
_group = api.path(f"{PREFIX}/statistic-groups/{{group}}", limits=LIMITS)


@_groups.keyed("GET", permission=READ)
def list_groups(request: Request, caller: Holder) -> Said:
    """The domain's groups."""
    scope = scope_of(caller)
    asked = requests.decode_paging(request.query, requests.GROUP_IDS)
    page = wiring.statistics().groups(scope, asked.limit, asked.after)
    return listed(request, "/statistic-groups", [responses.group(found) for found in page.entries], page.after)


@_groups.keyed("POST", permission=WRITE)
def create_group(request: Request, caller: Holder) -> Said:
    """A new group."""
    scope = scope_of(caller)
    made = wiring.statistics().create_group(scope, requests.decode_name(request.body))
    return responses.said(responses.group(made), 201)


@_group.keyed("GET", permission=READ)
def show_group(request: Request, caller: Holder) -> Said:
    """A group, by its name or id."""
    found = wiring.statistics().group(scope_of(caller), named(request, "group"))
    return responses.said(responses.group(found))


@_group.keyed("POST", "PUT", permission=WRITE)
def rename_group(request: Request, caller: Holder) -> Said:
    """Gives a group another name; its statistics move with it."""
    scope = scope_of(caller)
    ref = statistics.name("group", request.parameters["group"])
    renamed = wiring.statistics().update_group(scope, ref, requests.decode_name(request.body))
    return responses.said(responses.group(renamed))


@_group.keyed("DELETE", permission=WRITE)
def delete_group(request: Request, caller: Holder) -> Said:
    """Deletes a group with its statistics."""
    scope = scope_of(caller)
    deleted = wiring.statistics().delete_group(scope, named(request, "group"))
    wiring.removals().ask(scope, deleted.id)
    return responses.said(responses.group(deleted))
