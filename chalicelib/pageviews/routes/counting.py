"""Counting: `POST /api/v0/count` for backends, and the pixel at `/count` for browsers."""

import hashlib
import secrets
from typing import TYPE_CHECKING

from chalicelib import web, wiring
from chalicelib.core.accounts import Permission, Site
from chalicelib.core.events import Bot, Hit
from chalicelib.core.messages import Message
from chalicelib.pageviews import bots, hits, responses
from chalicelib.pageviews.requests import decode_batch, decode_view
from chalicelib.pageviews.responses import Said

from . import enrichment
from .public import by_address, limited_here
from .surface import api, blueprint, undeclared

if TYPE_CHECKING:
    from chalicelib.core.keys import Key

_count = api.path("/api/v0/count", limits=("api-count",))


@_count.keyed("POST", permission=Permission.COUNT)
def count_batch(request: web.Request, caller: web.Caller) -> Said:
    """Counts up to 500 page views; those with errors are named, the others are accepted.

    Under an `Idempotency-Key`, the same body counts once within a day, and the answer says if it came before; another
    body counts as another request.
    """
    if refusal := undeclared(request):
        return refusal
    batch = decode_batch(request.body)
    found = hits.accept_batch(
        batch,
        caller.site,
        now=wiring.now(),
        salts=wiring.secrets().salts(),
        locate=enrichment.locate,
        spams=enrichment.spams(),
    )
    once = request.headers.get("idempotency-key", "")
    derived = _derived(caller.key, caller.site, once, request.body) if once else 0
    _accept(caller.site, found.hits, found.bots, derived=derived, keyed=True)
    headers = {"X-Goatcounter-Filter": ", ".join(map(str, found.filtered))} if found.filtered else {}
    if derived and (found.hits or found.bots) and wiring.repeats().note(derived):
        headers["X-Countless-Repeated"] = "yes"
    if found.errors:
        errors = {str(index): message for index, message in found.errors.items()}
        return responses.said({"errors": errors}, 400, headers)
    return responses.said({"status": "ok"}, 202, headers)


# The pixel


def _viewer(request: web.Request) -> str:
    """Whoever views: address and User-Agent, of which no more is remembered than what is not refused anyway."""
    return f"{by_address(request)} {request.headers.get('user-agent', '')[: hits.MAX_USER_AGENT]}"


_limited = limited_here(("count-address", by_address), ("count", _viewer))
"""By browser as the contract has it; and by address in a wider window, since anybody may name any browser."""
pixels = web.Surface(blueprint, responses.PixelWords(), lambda _: (_limited,), identify=web.identify)
_pixel = pixels.path("/count")


@_pixel.public("GET", "POST")
def count_view(request: web.Request) -> Said:
    """Counts one page view; the answer is a pixel whatever happens (page-view contract, section 4.2).

    HEAD is told what GET would be, and counts nothing: whoever sends it looks at no page.
    """
    if bots.prefetched(request.headers):
        return responses.pixel()
    site = web.public_site(request)
    if site is None:
        raise web.no_site(request)
    if ignored := hits.ignored_address(site, request.address):
        return responses.pixel(202, ignored)
    first = {name: values[0] for name, values in request.query.items() if values}
    found = hits.accept_pixel(
        decode_view(first, web.target_length(request)),
        site,
        now=wiring.now(),
        salts=wiring.secrets().salts(),
        locate=enrichment.locate_for(request),
        ip=request.address,
        user_agent=request.headers.get("user-agent", ""),
        accept_language=request.headers.get("accept-language", ""),
        spams=enrichment.spams(),
        cloud=enrichment.cloud(),
    )
    if request.method != "HEAD":
        _accept(site, *_sorted(found))
    return responses.pixel()


def _sorted(found: Hit | Bot | hits.Dropped) -> tuple[list[Hit], list[Bot]]:
    """What became of a view: a hit, a bot, or neither."""
    return [found] if isinstance(found, Hit) else [], [found] if isinstance(found, Bot) else []


# Acceptance


def _accept(site: Site, accepted: "list[Hit]", refused: "list[Bot]", derived: int = 0, *, keyed: bool = False) -> None:
    """Hands hits over as one message, whole or not at all. `derived`: the id that `_derived` gives it; `keyed`: whether
    whoever sent it has a key.
    """
    if not accepted and not refused:
        return
    if accepted:
        wiring.accounts().note_hits(site, min(hit.at for hit in accepted))
    message = Message(
        id=derived or secrets.randbits(63) or 1,
        accepted=int(wiring.now()),
        stream=site.stream,
        derived=bool(derived),
        hits=tuple(accepted),
        bots=tuple(refused),
        keyed=keyed,
    )
    wiring.ingest().accept(message)


def _derived(key: "Key", site: Site, header: str, body: bytes) -> int:
    """The id of every message that this key sends to this site with this body under this header: 63 bits, never 0.

    The body is part of it so that another request under the same header, such as one that was corrected after a
    400, counts as another and is not dropped for the first.
    """
    text = f"{key.id}\n{site.stream}\n{header}\n".encode(errors="replace")
    return int.from_bytes(hashlib.sha256(text + hashlib.sha256(body).digest()).digest()[:8]) >> 1 or 1
