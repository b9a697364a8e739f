"""boto3 clients, each made when it is first asked for: from one session, with time limits that suit a
function, and bound by the deadline of the request that uses them, if it is one that does (`core.deadlines`).
"""

import os
import threading
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

from botocore.exceptions import BotoCoreError, ConnectTimeoutError, EndpointConnectionError

from chalicelib.core import deadlines

if TYPE_CHECKING:
    from botocore.awsrequest import AWSPreparedRequest
    from botocore.client import BaseClient
    from botocore.config import Config
    from types_boto3_dynamodb import DynamoDBClient
    from types_boto3_s3 import S3Client
    from types_boto3_sesv2 import SESV2Client
    from types_boto3_sqs import SQSClient
    from types_boto3_ssm import SSMClient

C = TypeVar("C", bound="BaseClient")
_making = threading.Lock()
CONNECT, READ = 2.0, 5.0
"""Seconds to wait for a connection and for an answer, where no deadline is nearer."""
ATTEMPTS = 4
BRIEF = 1.0
"""Seconds to wait for what a request can do without."""
PATIENT = 60.0
"""Seconds to wait for an answer that no request waits for."""


_RETRY_AFTER = 5.0
"""Seconds by which a service may ask botocore to wait longer."""
LOST = "AnswersLost"
"""In the metadata of an answer, or in what an exception of botocore's says: whether an attempt was sent and not
answered, so that it may have taken effect.
"""


class OutOfTime(BotoCoreError):
    """A call was not sent at all, since its request's deadline has come too near."""

    fmt = "no time is left"


def bound(client: C) -> C:
    """The client, whose calls keep the deadline of the request that makes them."""
    service = client.meta.service_model.service_id.hyphenize()  # as botocore's own handlers are registered, or they win
    client.meta.events.register_first(f"before-send.{service}", _limit)
    client.meta.events.register_first(
        f"needs-retry.{service}",
        _enough,  # type: ignore[arg-type]  # its answer is looked at
    )
    return client


def _limit(request: "AWSPreparedRequest", **_: Any) -> None:  # noqa: ANN401 - as botocore calls it
    """Has an attempt wait for its answer no longer than its request may.

    Raises:
        OutOfTime: it is a call's first one, and has no time left. Others begin only if they have (`_enough`).
    """
    left = deadlines.left()
    context: dict[str, Any] = getattr(request, "context", {})  # older versions of botocore do not say
    if left < deadlines.LEAST and context.get("retries", {}).get("attempt", 1) == 1:
        raise OutOfTime
    configured = getattr(context.get("client_config"), "read_timeout", READ)
    if left < configured:
        context["read_timeout"] = max(left, deadlines.LEAST)  # botocore's own way to say it for one request


def _enough(
    response: Any,  # noqa: ANN401 - as botocore calls it
    caught_exception: Exception | None,
    attempts: int,
    request_dict: dict[str, Any],
    **_: Any,  # noqa: ANN401
) -> bool | None:
    """Ends botocore's attempts where there is no time for the pause before the next one; None leaves it to botocore.

    What came of the last one is raised or returned then, as after the last attempt of all. It says (`LOST`) if nobody
    knows what came of one before.
    """
    context = request_dict["context"]
    pause = 2.0 ** (attempts - 1)
    if response is None:
        never_sent = isinstance(caught_exception, OutOfTime | ConnectTimeoutError | EndpointConnectionError)
        context[LOST] = context.get(LOST, False) or not never_sent
        if isinstance(caught_exception, BotoCoreError):
            caught_exception.kwargs = {**caught_exception.kwargs, LOST: context[LOST]}
    else:
        http, parsed = response
        if context.get(LOST):
            parsed.setdefault("ResponseMetadata", {})[LOST] = True
        context[LOST] = context.get(LOST, False) or http.status_code >= 500
        pause += _RETRY_AFTER if "x-amz-retry-after" in http.headers else 0
    return False if deadlines.left() < pause + deadlines.LEAST else None


def _config(attempts: int) -> "Config":
    from botocore.config import Config  # noqa: PLC0415

    return Config(
        connect_timeout=CONNECT,
        read_timeout=READ,
        retries={"total_max_attempts": attempts, "mode": "standard"},
        max_pool_connections=16,
        tcp_keepalive=True,
    )


@cache
def dynamodb() -> "DynamoDBClient":
    """DynamoDB for calls that may be repeated: botocore does so when an answer is lost."""
    import boto3  # noqa: PLC0415 - nothing is connected, or loaded, before it is needed

    with _making:
        return bound(boto3.client("dynamodb", config=_config(ATTEMPTS)))


@cache
def dynamodb_once() -> "DynamoDBClient":
    """DynamoDB for calls that must not be repeated, such as `ADD`: one attempt, and a lost answer is the
    caller's.
    """
    import boto3  # noqa: PLC0415

    with _making:
        return bound(boto3.client("dynamodb", config=_config(1)))


@cache
def sqs() -> "SQSClient":
    """SQS."""
    import boto3  # noqa: PLC0415

    with _making:
        return bound(boto3.client("sqs", config=_config(ATTEMPTS)))


@cache
def s3() -> "S3Client":
    """S3."""
    import boto3  # noqa: PLC0415

    with _making:
        return bound(boto3.client("s3", config=_config(ATTEMPTS)))


@cache
def s3_brief() -> "S3Client":
    """S3 for what a request can do without: it waits a second, and asks once."""
    import boto3  # noqa: PLC0415
    from botocore.config import Config  # noqa: PLC0415

    with _making:
        return bound(boto3.client("s3", config=_config(1).merge(Config(connect_timeout=BRIEF, read_timeout=BRIEF))))


@cache
def files(endpoint: str = "") -> "S3Client":
    """S3 for generated files: patient, since to join thousands of parts may take S3 minutes, and without checksums of
    botocore's, whose parts S3 would want to be told again when it joins them. With an `endpoint`, a client that
    only signs addresses there.

    Left to itself, botocore signs addresses for S3's global endpoint, which sends on to the bucket's region while a
    bucket is young: to another host than was signed, so that S3 refuses. Asked for virtual hosts, it names the region.
    """
    import boto3  # noqa: PLC0415
    from botocore.config import Config  # noqa: PLC0415

    elsewhere = endpoint or os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    config = _config(ATTEMPTS).merge(
        Config(
            read_timeout=PATIENT,
            signature_version="s3v4",
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            s3={"addressing_style": "path" if elsewhere else "virtual"},
        )
    )
    with _making:
        return bound(boto3.client("s3", endpoint_url=endpoint or None, config=config))


@cache
def ses_once() -> "SESV2Client":
    """SES, for sending: one attempt, since a mail that is sent again arrives again."""
    import boto3  # noqa: PLC0415

    with _making:
        return bound(boto3.client("sesv2", config=_config(1)))


@cache
def ssm() -> "SSMClient":
    """The parameter store."""
    import boto3  # noqa: PLC0415

    with _making:
        return bound(boto3.client("ssm", config=_config(ATTEMPTS)))


def forget() -> None:
    """Drops every client, and the session they came from: for tests, whose worlds end."""
    import boto3  # noqa: PLC0415

    for made in (dynamodb, dynamodb_once, sqs, s3, s3_brief, files, ses_once, ssm):
        made.cache_clear()
    boto3.DEFAULT_SESSION = None
