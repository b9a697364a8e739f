"""What goes back: answers, the words that a surface has for problems, and Chalice's response to both."""

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from chalice.app import Response

from chalicelib.core.errors import CountlessError

_BODILESS = frozenset({204, 304})
"""Answers that have no body whatever the method, and so say nothing of its length."""
_NOT_PRINTABLE = re.compile(r"[^\x20-\x7e]")


class Answer(Protocol):
    """What a view gives back."""

    @property
    def status(self) -> int:
        """The HTTP status."""

    @property
    def body(self) -> str | bytes:
        """Text, or bytes for what is none."""

    @property
    def headers(self) -> Mapping[str, str]:
        """At least the content type, if there is a body."""


@dataclass(frozen=True, slots=True)
class Reply:
    """The plainest `Answer`."""

    status: int
    body: str | bytes = ""
    headers: Mapping[str, str] = field(default_factory=dict)


class Words(Protocol):
    """How a surface says what went wrong."""

    def failure(self, error: CountlessError) -> Answer:
        """A problem of the caller's, or a write whose answer was lost.

        One of `Unauthenticated`, `Forbidden`, `NotFound`, `Invalid`, `Taken`, `TooLarge`, `RateLimited`, `Uncertain`.
        """

    def wrong_method(self) -> Answer:
        """The path exists, but not for this method."""

    def wrong_type(self) -> Answer:
        """A body of another type than the surface takes."""

    def too_large(self) -> Answer:
        """A body with more bytes than the surface takes."""

    def unexpected(self, status: int, code: str) -> Answer:
        """An error of ours, to be found in the logs by this code; with 503, a service that cannot answer now."""


class _Encoded(Response):
    """A response whose bytes travel in base64 whatever their type is, and text as text.

    Chalice decides by the content type, and refuses images to clients that send no Accept header.
    """

    def to_dict(self, binary_types: list[str] | None = None) -> dict[str, Any]:  # noqa: ARG002
        """What Lambda gives back."""
        binary = isinstance(self.body, bytes)
        return {
            "statusCode": self.status_code,
            "headers": self.headers,
            "multiValueHeaders": {},
            "body": base64.b64encode(self.body).decode("ascii") if binary else self.body,
            "isBase64Encoded": binary,
        }


def response(answer: Answer, said: Mapping[str, str] | None = None, method: str = "GET") -> Response:
    """An answer to this method as Chalice wants it, with the headers that were `said` on the way to it.

    To HEAD it is what GET would be told, without the body but with its length (RFC 9110, section 9.3.2).
    """
    said = {"Cache-Control": "no-store,no-cache", **(said or {}), **answer.headers}
    headers: dict[str, str | list[str]] = {
        # Some values quote the request: nothing of it may end a header, or begin another.
        name: _NOT_PRINTABLE.sub("?", value)
        for name, value in said.items()
    }
    if method != "HEAD":
        return _Encoded(answer.body, headers, answer.status)
    if answer.status not in _BODILESS:
        size = len(answer.body if isinstance(answer.body, bytes) else answer.body.encode("utf-8", "replace"))
        headers["Content-Length"] = str(size)
    return _Encoded("", headers, answer.status)
