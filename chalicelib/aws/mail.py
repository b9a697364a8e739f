"""Sends mails by SES."""

from email.utils import formatdate
from typing import TYPE_CHECKING

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
    ProxyConnectionError,
)

from chalicelib.core.errors import Uncertain
from chalicelib.core.mail import Mail, NotSent, Refused

if TYPE_CHECKING:
    from types_boto3_sesv2 import SESV2Client

_UNSENT = (
    ConnectTimeoutError,
    EndpointConnectionError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
    ProxyConnectionError,
)
"""What goes wrong before SES has heard of the mail."""
_REFUSED = {"BadRequestException", "MessageRejected"}
_UNPROVEN = "not verified"
"""SES's word for a sender, or in its sandbox a recipient, whose address nobody has confirmed: that can be mended."""
_BUSY = 503
_SERVER = 500


class Ses:
    """Amazon SES, version 2 of its API. The client makes one attempt (`clients.ses_once`): SendEmail is not idempotent,
    and botocore would repeat it whenever an answer is lost.
    """

    def __init__(self, client: "SESV2Client") -> None:
        self._client = client

    def send(self, mail: Mail) -> str:
        """Sends a mail; as `core.mail.Mailer`."""
        addresses = [mailbox.address for mailbox in mail.to]
        raw = mail.mime({"Date": formatdate()})
        try:
            answer = self._client.send_email(Destination={"ToAddresses": addresses}, Content={"Raw": {"Data": raw}})
        except ClientError as error:
            raise _meaning(error) from error
        except _UNSENT as error:
            raise NotSent(f"SES: {type(error).__name__}") from error
        except BotoCoreError as error:
            raise Uncertain(f"SES: {type(error).__name__}") from error
        return answer["MessageId"]


def _meaning(error: ClientError) -> NotSent | Refused | Uncertain:
    """What an answer of SES's that is an error says about the mail."""
    code = error.response["Error"].get("Code", "")
    status = error.response["ResponseMetadata"]["HTTPStatusCode"]
    if status >= _SERVER and status != _BUSY:
        return Uncertain(f"SES: {code}")
    if code in _REFUSED and _UNPROVEN not in error.response["Error"].get("Message", ""):
        return Refused(f"SES: {code}")
    return NotSent(f"SES: {code}")  # throttled, paused, not allowed to: no fault of the mail
