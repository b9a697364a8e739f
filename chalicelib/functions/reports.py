"""Mails the reports that users want: the function `send_reports`."""

from chalice.app import Blueprint, CloudWatchEvent, Rate

from chalicelib import wiring
from chalicelib.observability import event_function

from . import walks

blueprint = Blueprint(__name__)


@blueprint.schedule(Rate(1, unit=Rate.HOURS), name="send_reports")
@event_function
def send_reports(event: CloudWatchEvent) -> None:
    """Sends every report that is due, if anything sends mails here."""
    if wiring.mailer() is not None:
        wiring.mail_sender()  # nobody's report can be sent without: then this fails, so that somebody learns of it
        walks.begin("send_reports", event.context)
