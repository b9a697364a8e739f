"""Leads the process's calls to DynamoDB to a stand-in, whichever client makes them and in whichever thread."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.compat import HTTPHeaders
from moto.core.botocore_stubber import BotocoreStubber
from moto.core.models import botocore_stubber

Aws = Callable[[AWSPreparedRequest], AWSResponse | None]
_ABOUT_TABLES = ("Table", "Tables", "TimeToLive", "ContinuousBackups")
"""The ends of names of operations that read and write no items."""
_AWS = re.compile(r"https?://[^/]+\.amazonaws\.com(/|$)")
"""Where AWS is, and not somebody who plays it over HTTP."""
_moto = BotocoreStubber.__call__


class RawBody:
    """A response's body, as botocore reads it."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def stream(self, **_: Any) -> Any:
        yield self._body


def response(request: AWSPreparedRequest, status: int, body: Any) -> AWSResponse:
    """An answer of DynamoDB's."""
    return AWSResponse(str(request.url), status, HTTPHeaders(), RawBody(json.dumps(body).encode()))


def operation(request: AWSPreparedRequest) -> tuple[str, str]:
    """The service and the operation that a request names; empty where it names none in its headers, as for S3."""
    target: Any = request.headers.get("X-Amz-Target", "")
    service, _, name = (target.decode() if isinstance(target, bytes) else target).partition(".")
    return service, name


def moto(request: AWSPreparedRequest) -> AWSResponse | None:
    """The answer of moto, also while another answers in its place."""
    return _moto(botocore_stubber, "before-send", request)


@contextmanager
def routed(aws: Aws, *, wherever: bool = False) -> Iterator[None]:
    """While this is open, `aws` answers what reads and writes items, and moto the rest, such as what makes tables;
    botocore does not wait for retries. What is sent to others than AWS gets there, unless it is `wherever` it is sent.

    moto has put itself between every client and the network, those that PynamoDB makes for each thread included: here
    it is asked to step aside.
    """

    def call(stubber: BotocoreStubber, event_name: str, request: AWSPreparedRequest, **rest: Any) -> AWSResponse | None:
        service, name = operation(request)
        meant = wherever or _AWS.match(str(request.url))
        if meant and service.startswith("DynamoDB_") and not name.endswith(_ABOUT_TABLES):
            return aws(request)
        return _moto(stubber, event_name, request, **rest)

    def add_auth(auth: SigV4Auth, request: Any) -> None:
        if vars(auth)["_service_name"] != "dynamodb" or not _AWS.match(request.url):
            sign(auth, request)

    sign = SigV4Auth.add_auth
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BotocoreStubber, "__call__", call)
        patch.setattr("botocore.endpoint.time", SimpleNamespace(sleep=lambda _: None))
        # Nobody reads who asks, nor with which signature: the one takes a tenth of a call's time, the other a fifth.
        # (Of other services moto learns from it which region is meant.)
        patch.setattr(SigV4Auth, "add_auth", add_auth)
        patch.setattr("botocore.useragent.UserAgentString.to_string", lambda _: "tests")
        yield
