"""The timed jobs: one function a row of the table below.

sweep           daily at 00:30 UTC    asks for a sweep of every site's stream
rotate_salts    hourly                gives the session keys a new salt once a day
rotate_secrets  daily at 04:20 UTC    makes new versions of the other secrets, and removes those that are done with
expire_exports  hourly                removes the files whose day is over, and asks again for exports that lie idle
ask_removals    hourly                asks for removals whose messages were lost
refresh_lists   daily at 03:10 UTC    fetches the operator's lists of spammers and of clouds, if there are any
"""

import time

from chalice.app import Blueprint, CloudWatchEvent, Cron, Rate

from chalicelib import wiring
from chalicelib.core import rotation
from chalicelib.core.errors import Damaged, Unavailable
from chalicelib.observability import event_function, failed
from chalicelib.pageviews import clouds, spam

from . import walks

blueprint = Blueprint(__name__)


@blueprint.schedule(Cron(30, 0, "*", "*", "?", "*"), name="sweep")
@event_function
def sweep(event: CloudWatchEvent) -> None:
    """Asks for the sweep of every site: it folds what no appender asked for, and closes the days that are over."""
    walks.begin("sweep", event.context)


@blueprint.schedule(Rate(1, unit=Rate.HOURS), name="rotate_salts")
@event_function
def rotate_salts(event: CloudWatchEvent) -> None:  # noqa: ARG001 - Lambda hands it over
    """Rotates the salts if they are a day old; asking more often makes up for a missed time."""
    wiring.secrets().rotate(int(time.time()))


@blueprint.schedule(Cron(20, 4, "*", "*", "?", "*"), name="rotate_secrets")
@event_function
def rotate_secrets(event: CloudWatchEvent) -> None:  # noqa: ARG001 - Lambda hands it over
    """Rotates each secret if it is old enough. One that cannot be rotated now keeps no other from it; then this fails,
    so that somebody learns of it.
    """
    broken: list[Exception] = []
    for name in rotation.RULES:
        try:
            wiring.secrets().renew(name)
        except Unavailable as error:
            failed("a secret could not be rotated", error, secret=name)
            broken.append(error)
    if broken:
        raise broken[0]


@blueprint.schedule(Rate(1, unit=Rate.HOURS), name="ask_removals")
@event_function
def ask_removals(event: CloudWatchEvent) -> None:
    """Asks for what was deleted long enough ago to be removed, and is not."""
    walks.begin("ask_removals", event.context)


@blueprint.schedule(Rate(1, unit=Rate.HOURS), name="expire_exports")
@event_function
def expire_exports(event: CloudWatchEvent) -> None:
    """Looks after every export whose time has come. One that cannot be helped now stops no other, and comes again."""
    walks.begin("expire_exports", event.context)


@blueprint.schedule(Cron(10, 3, "*", "*", "?", "*"), name="refresh_lists")
@event_function
def refresh_lists(event: CloudWatchEvent) -> None:  # noqa: ARG001 - Lambda hands it over
    """Stores what the operator's lists say today. One that cannot be had, or is damaged, keeps no other from it, and
    what was stored of it stays; then this fails, so that somebody learns of it.
    """
    given = wiring.settings()
    lists = (("spam", given.spam_list, spam.read), ("clouds", given.cloud_ranges, clouds.read))
    broken: list[Exception] = []
    for name, address, parse in lists:
        try:
            if address:
                wiring.refresh_list(name, address, parse)
        except (Damaged, Unavailable) as error:
            failed("a list could not be refreshed", error, list=name, line=getattr(error, "line", None))
            broken.append(error)
    if broken:
        raise broken[0]
