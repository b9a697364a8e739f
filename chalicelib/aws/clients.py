"""boto3 clients, each made when it is first asked for: from one session, with time limits that suit a
function.
"""

import os
import threading
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from botocore.config import Config
    from types_boto3_dynamodb import DynamoDBClient
    from types_boto3_s3 import S3Client
    from types_boto3_sesv2 import SESV2Client
    from types_boto3_sqs import SQSClient
    from types_boto3_ssm import SSMClient

_making = threading.Lock()
CONNECT, READ = 2.0, 5.0
"""Seconds to wait for a connection and for an answer: a request has 29, and several calls to make."""
ATTEMPTS = 4
BRIEF = 1.0
"""Seconds to wait for what a request can do without."""
PATIENT = 60.0
"""Seconds to wait for an answer that no request waits for."""


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
        return boto3.client("dynamodb", config=_config(ATTEMPTS))


@cache
def dynamodb_once() -> "DynamoDBClient":
    """DynamoDB for calls that must not be repeated, such as `ADD`: one attempt, and a lost answer is the
    caller's.
    """
    import boto3  # noqa: PLC0415

    with _making:
        return boto3.client("dynamodb", config=_config(1))


@cache
def sqs() -> "SQSClient":
    """SQS."""
    import boto3  # noqa: PLC0415

    with _making:
        return boto3.client("sqs", config=_config(ATTEMPTS))


@cache
def s3() -> "S3Client":
    """S3."""
    import boto3  # noqa: PLC0415

    with _making:
        return boto3.client("s3", config=_config(ATTEMPTS))


@cache
def s3_brief() -> "S3Client":
    """S3 for what a request can do without: it waits a second, and asks once."""
    import boto3  # noqa: PLC0415
    from botocore.config import Config  # noqa: PLC0415

    with _making:
        return boto3.client("s3", config=_config(1).merge(Config(connect_timeout=BRIEF, read_timeout=BRIEF)))


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
        return boto3.client("s3", endpoint_url=endpoint or None, config=config)


@cache
def ses_once() -> "SESV2Client":
    """SES, for sending: one attempt, since a mail that is sent again arrives again."""
    import boto3  # noqa: PLC0415

    with _making:
        return boto3.client("sesv2", config=_config(1))


@cache
def ssm() -> "SSMClient":
    """The parameter store."""
    import boto3  # noqa: PLC0415

    with _making:
        return boto3.client("ssm", config=_config(ATTEMPTS))


def forget() -> None:
    """Drops every client, and the session they came from: for tests, whose worlds end."""
    import boto3  # noqa: PLC0415

    for made in (dynamodb, dynamodb_once, sqs, s3, s3_brief, files, ses_once, ssm):
        made.cache_clear()
    boto3.DEFAULT_SESSION = None
