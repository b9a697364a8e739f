"""The tracking script at `/count.js`, and `/status` for those who watch whether the service is there."""

import time

from chalicelib import web
from chalicelib.core.errors import NotFound
from chalicelib.core.limits import duration
from chalicelib.pageviews import assets, responses
from chalicelib.pageviews.responses import Said

from .surface import blueprint

_WEEK = 7 * 86400
_STARTED = time.monotonic()

scripts = web.Surface(blueprint, assets.PlainWords(), lambda _: (), identify=web.identify)
monitors = web.Surface(blueprint, assets.PlainWords(), lambda _: (), identify=web.identify, coded=False)
UNKNOWN = [web.Unknown(r"/count\.v[0-9]+\.js", scripts, (), NotFound(assets.FROZEN))]
"""The frozen scripts of GoatCounter: pages pin their hashes, so that no other file can stand in for them."""
_script = scripts.path("/count.js")
_status = monitors.path("/status")


@_script.public("GET", "HEAD")
def count_script(request: web.Request) -> Said:
    """The tracking script, for a week; nothing, if the browser has this very version (page-view contract, 4.3)."""
    script = assets.script()
    headers = {
        **assets.HEADERS,
        "Content-Type": "text/javascript; charset=utf-8",
        "Cache-Control": f"public, max-age={_WEEK}",
        "ETag": script.tag,
        assets.POLICY: assets.INERT,
    }
    if assets.known(script.tag, request.headers.get("if-none-match", "")):
        return Said(304, "", headers)
    return Said(200, script.text, headers)


@_status.public("GET", "HEAD")
def status(request: web.Request) -> Said:  # noqa: ARG001 - as every view
    """Which version answers, and for how long this process has (page-view contract, section 2)."""
    up = duration(time.monotonic() - _STARTED)
    return responses.said({"version": assets.VERSION, "uptime": up}, 200, assets.HEADERS)
