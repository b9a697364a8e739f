"""Counting: `POST /api/v0/count` for backends, and the pixel at `/count` for browsers."""

import hashlib
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from chalicelib import observability, web, wiring
from chalicelib.core import drops
from chalicelib.core.accounts import Permission, Site
from chalicelib.core.drops import Reason
from chalicelib.core.errors import Invalid, RateLimited, Unavailable
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
    _accept(caller.site, found.hits, found.bots, found.dropped, derived=derived, keyed=True)
    headers = {"X-Goatcounter-Filter": ", ".join(map(str, found.filtered))} if found.filtered else {}
    if found.uncounted:
        headers[drops.HEADER] = drops.said_of(found.uncounted)
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


def _within_limits(request: web.Request, path: "web.Path[Any]") -> "web.Answer | None":
    with _telling(request):
        return _limited(request, path)


pixels = web.Surface(blueprint, responses.PixelWords(), lambda _: (_within_limits,), identify=web.identify)
_pixel = pixels.path("/count")


@_pixel.public("GET", "POST")
def count_view(request: web.Request) -> Said:
    """Counts one page view; the answer is a pixel whatever happens (page-view contract, section 4.2).

    HEAD is told what GET would be, and counts nothing: whoever sends it looks at no page.
    """
    if bots.prefetched(request.headers):
        _not_counted(request, Reason.PREFETCH)
        return responses.pixel()
    site = web.public_site(request)
    if site is None:
        raise web.no_site(request)
    if ignored := hits.ignored_address(site, request.address):
        _not_counted(request, Reason.ADDRESS)
        return responses.pixel(202, ignored)
    with _telling(request):
        found = _view(request, site)
    if isinstance(found, hits.Dropped):
        _not_counted(request, found.reason)
    elif isinstance(found, Bot):
        request.said[drops.HEADER] = drops.said(Reason.ROBOT)
    if request.method != "HEAD":
        _accept(site, *_sorted(found))
    return responses.pixel()


def _view(request: web.Request, site: Site) -> Hit | Bot | hits.Dropped:
    """What becomes of the page view that a request speaks of."""
    first = {name: values[0] for name, values in request.query.items() if values}
    return hits.accept_pixel(
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


def _sorted(found: Hit | Bot | hits.Dropped) -> tuple[list[Hit], list[Bot]]:
    """What became of a view: a hit, a bot, or neither."""
    return [found] if isinstance(found, Hit) else [], [found] if isinstance(found, Bot) else []


@contextmanager
def _telling(request: web.Request) -> Iterator[None]:
    """Notes what is refused: what is wrong with it, or too much of it."""
    try:
        yield
    except Invalid:
        _not_counted(request, Reason.INVALID)
        raise
    except RateLimited:
        _not_counted(request, Reason.LIMIT)
        raise


def _not_counted(request: web.Request, reason: Reason) -> None:
    """Says in the answer why a view is not counted, and adds it to the site's drops; HEAD is no view."""
    request.said[drops.HEADER] = drops.said(reason)
    if request.method == "HEAD":
        return
    try:
        site = web.public_site(request)
    except Unavailable:
        return  # the answer says so, or nobody needs to know
    if site is not None:
        _hold(site, {reason: 1})


# Acceptance


def _hold(site: Site, dropped: Mapping[Reason, int]) -> None:
    """Notes drops of a request that sends no message. At most once a minute they are one by themselves."""
    waiting, now = wiring.waiting_drops(), wiring.now()
    due = [waiting.add(site.stream, reason, count, now) for reason, count in dropped.items()]
    if any(due):
        try:
            wiring.ingest().tell(_message(site, [], []))
        except Unavailable as error:
            observability.failed("drops were not told", error)


def _accept(  # noqa: PLR0913 - what a message is made of
    site: Site,
    accepted: "list[Hit]",
    refused: "list[Bot]",
    dropped: Mapping[Reason, int] | None = None,
    derived: int = 0,
    *,
    keyed: bool = False,
) -> None:
    """Hands hits over as one message, whole or not at all, with what else was dropped of the site. `derived`: the id
    that `_derived` gives it; `keyed`: whether whoever sent it has a key.
    """
    if not accepted and not refused:
        _hold(site, dropped or {})
        return
    for reason, count in (dropped or {}).items():
        wiring.waiting_drops().add(site.stream, reason, count, wiring.now())
    if accepted:
        wiring.accounts().note_hits(site, min(hit.at for hit in accepted))
    wiring.ingest().accept(_message(site, accepted, refused, derived, keyed=keyed))


def _message(
    site: Site, accepted: "list[Hit]", refused: "list[Bot]", derived: int = 0, *, keyed: bool = False
) -> Message:
    """A message with all that waits of the site's drops."""
    now = wiring.now()
    told = wiring.waiting_drops().take(site.stream, now)
    return Message(
        id=derived or secrets.randbits(63) or 1,
        accepted=int(now),
        stream=site.stream,
        derived=bool(derived),
        hits=tuple(accepted),
        bots=tuple(refused),
        keyed=keyed,
        dropped=tuple((day, reason, count) for (day, reason), count in sorted(told.items())),
    )


def _derived(key: "Key", site: Site, header: str, body: bytes) -> int:
    """The id of every message that this key sends to this site with this body under this header: 63 bits, never 0.

    The body is part of it so that another request under the same header, such as one that was corrected after a
    400, counts as another and is not dropped for the first.
    """
    text = f"{key.id}\n{site.stream}\n{header}\n".encode(errors="replace")
    return int.from_bytes(hashlib.sha256(text + hashlib.sha256(body).digest()).digest()[:8]) >> 1 or 1
