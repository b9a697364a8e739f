"""Where the links in reports lead that stop them."""

from chalicelib import web, wiring
from chalicelib.core.accounts import EmailReports
from chalicelib.core.errors import Forbidden, NotFound
from chalicelib.pageviews import assets, stopping
from chalicelib.pageviews.responses import Said

from .public import limited_quietly
from .surface import blueprint

_limited = limited_quietly("assets")
links = web.Surface(blueprint, assets.PlainWords(), lambda _: (_limited,), identify=web.identify, coded=False)
_stop = links.path(stopping.PATH)


@_stop.public("GET")
def ask(request: web.Request) -> Said:
    """Asks whether reports shall stop; nothing has happened yet."""
    _checked(request)
    return Said(200, stopping.ASK, stopping.HEADERS)


@_stop.public("POST")
def stop(request: web.Request) -> Said:
    """Stops a user's reports; also for mail programs that have a button of their own (RFC 8058).

    Whether there are any is looked up now: what this process remembers may be older than a choice made elsewhere.
    """
    account, number = _checked(request)
    try:
        user = wiring.accounts().current_roster(account).user(int(number))
    except NotFound:
        user = None
    if user is not None and user.email_reports:
        wiring.reporting().choose(user, EmailReports.NEVER)
    return Said(200, stopping.DONE, stopping.HEADERS)


def _checked(request: web.Request) -> tuple[str, str]:
    """Whose reports the link means.

    Raises:
        Forbidden: it is none of ours, or too old.
    """
    account, user = request.parameters["account"], request.parameters["user"]
    query = {name: values[0] for name, values in request.query.items()}
    if not stopping.holds(wiring.secrets().signing(), account, user, query, wiring.now()):
        raise Forbidden("this link is not good, or not any more: take that of a newer report")
    return account, user
