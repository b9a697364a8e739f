"""The tracking script at `/count.js`, `/status` for those who watch whether the service is there, and `/robots.txt`."""

import time

from chalicelib import web
from chalicelib.core.errors import NotFound
from chalicelib.core.limits import duration
from chalicelib.pageviews import assets, responses
from chalicelib.pageviews.responses import Said

from .public import limited_quietly, of_a_site
from .surface import blueprint

_DAY = 86400
_WEEK = 7 * _DAY
_STARTED = time.monotonic()

_limited = limited_quietly("assets")
scripts = web.Surface(blueprint, assets.PlainWords(), lambda _: (_limited, of_a_site), identify=web.identify)
monitors = web.Surface(blueprint, assets.PlainWords(), lambda _: (_limited,), identify=web.identify, coded=False)
UNKNOWN = [web.Unknown(r"/count\.v[0-9]+\.js", scripts, (), NotFound(assets.FROZEN))]
"""The frozen scripts of GoatCounter: pages pin their hashes, so that no other file can stand in for them."""
_script = scripts.path("/count.js")
_status = monitors.path("/status")
_robots = monitors.path("/robots.txt")


@_script.public("GET")
def count_script(request: web.Request) -> Said:
    """The tracking script, for a week; nothing, if the browser has this very version (page-view contract, 4.3)."""
    headers = {
        **assets.HEADERS,
        "Content-Type": "text/javascript; charset=utf-8",
        assets.POLICY: assets.INERT,
    }
    return assets.served(assets.script(), request.headers.get("if-none-match", ""), _WEEK, headers)


@_status.public("GET")
def status(request: web.Request) -> Said:  # noqa: ARG001 - as every view
    """Which version answers, and for how long this process has (page-view contract, section 2)."""
    up = duration(time.monotonic() - _STARTED)
    return responses.said({"version": assets.VERSION, "uptime": up}, 200, assets.HEADERS)


@_robots.public("GET")
def robots(request: web.Request) -> Said:  # noqa: ARG001 - as every view
    """Keeps crawlers out of everything (RFC 9309): nothing here is a page of the site that is counted."""
    headers = {**assets.HEADERS, "Content-Type": "text/plain; charset=utf-8"}
    return Said(200, "User-agent: *\nDisallow: /\n", {**headers, "Cache-Control": f"public, max-age={_DAY}"})
