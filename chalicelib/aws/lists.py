"""An operator's lists: fetched from where the operator keeps them, and stored in the bucket under `lists/`."""

import time
import urllib.request
from collections.abc import Callable
from http.client import HTTPException, HTTPResponse
from ssl import SSLContext, create_default_context
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from chalicelib.core.errors import Damaged, Unavailable
from chalicelib.core.lists import LARGEST

from .calls import code

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

TIMEOUT = 20.0
"""Seconds to wait for each answer of whoever has a list: a job waits, nobody else."""
PATIENCE = 40.0
"""Seconds for a whole list, so that the job, which has 120, has time for the other as well."""
_PIECE = 1 << 16
_MISSING = {"NoSuchKey", "404"}


class Shelf:
    """The bucket's part for lists."""

    def __init__(self, s3: "S3Client", bucket: str) -> None:
        self._s3 = s3
        self._bucket = bucket

    def put(self, name: str, body: bytes) -> None:
        """Stores a list in the place of an older one.

        Raises:
            Unavailable: S3 does not say that it did.
        """
        try:
            self._s3.put_object(Bucket=self._bucket, Key=_key(name), Body=body, ContentType="text/plain; charset=utf-8")
        except (BotoCoreError, ClientError) as error:
            raise Unavailable(f"S3: {code(error)}") from error

    def get(self, name: str) -> bytes | None:
        """The list; None if none was ever stored.

        Raises:
            Unavailable: S3 does not say it.
        """
        return _read(self._s3, self._bucket, _key(name))


def fetch(address: str, s3: Callable[[], "S3Client"], context: SSLContext | None = None) -> bytes:
    """What stands at an `https://` address, or at `s3://BUCKET/KEY`. Redirects lead to https only.

    Raises:
        Unavailable: nobody answers, or not with a list; there is no such address.
        Damaged: it is larger than a list may be, or came only in part.
    """
    scheme, _, rest = address.partition("://")
    match scheme:
        case "https":
            return _download(address, context or create_default_context())
        case "s3":
            bucket, _, key = rest.partition("/")
            found = _read(s3(), bucket, key)
            if found is None:
                raise Unavailable("S3: NoSuchKey")
            return found
    raise Unavailable("a list's address begins with https:// or s3://")


def _key(name: str) -> str:
    return f"lists/{name}.txt"


def _read(s3: "S3Client", bucket: str, key: str) -> bytes | None:
    try:
        found = s3.get_object(Bucket=bucket, Key=key)
        if found["ContentLength"] > LARGEST:
            raise Damaged(f"more than {LARGEST} bytes")
        return found["Body"].read()
    except ClientError as error:
        if code(error) in _MISSING:
            return None
        raise Unavailable(f"S3: {code(error)}") from error
    except (BotoCoreError, OSError, HTTPException) as error:
        raise Unavailable(f"S3: {code(error)}") from error


def _download(address: str, context: SSLContext) -> bytes:
    # Knows https and nothing else, so that neither an address nor a redirect leads to a file or past TLS.
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.HTTPSHandler(context=context),
        urllib.request.HTTPRedirectHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.UnknownHandler(),
    ):
        opener.add_handler(handler)
    try:
        with opener.open(address, timeout=TIMEOUT) as answer:
            body = _all_of(answer)
            told = answer.headers.get("Content-Length")
    except (OSError, HTTPException, ValueError) as error:
        raise Unavailable(f"{type(error).__name__}") from error
    if len(body) > LARGEST:
        raise Damaged(f"more than {LARGEST} bytes")
    if told is not None and told != str(len(body)):
        raise Damaged("came only in part")
    return body


def _all_of(answer: HTTPResponse) -> bytes:
    """An answer's body, or as much of it as shows that it is too large.

    Raises:
        TimeoutError: it takes too long.
    """
    end = time.monotonic() + PATIENCE
    body = bytearray()
    while len(body) <= LARGEST and (piece := answer.read1(_PIECE)):
        body += piece
        if time.monotonic() > end:
            raise TimeoutError
    return bytes(body)
