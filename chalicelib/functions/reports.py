"""Mails the reports that users want: the function `send_reports`."""

from chalice.app import Blueprint, CloudWatchEvent, Rate

from chalicelib import wiring
from chalicelib.observability import event_function

blueprint = Blueprint(__name__)


@blueprint.schedule(Rate(1, unit=Rate.HOURS), name="send_reports")
@event_function
def send_reports(event: CloudWatchEvent) -> None:
    """Sends every report that is due, if anything sends mails here."""
    mailer = wiring.mailer()
    if mailer is None:
        return
    from . import reporting  # noqa: PLC0415 - what it loads is nothing for the app, which loads this module

    reporting.send_due(mailer, wiring.mail_sender(), event.context)
