"""A request, as views see it, and how it is read from the event that API Gateway makes of it.

Of a request only the gateway's own context is believed, unless the CDN's function proves itself by the shared secret.
"""

import base64
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import unquote, urlencode

from chalicelib import wiring
from chalicelib.core import addresses, keys
from chalicelib.core.errors import CountlessError

_CODED = re.compile(r"/s/([^/]+)(/.*)?", re.DOTALL)
T = TypeVar("T")


@dataclass(slots=True)
class Request:
    """A request, as views see it."""

    method: str
    path: str
    """Without `/s/CODE`, still with a trailing slash if it came with one."""
    code: str | None
    """The site's code, if the path names one."""
    prefix: str
    """The `/s/CODE` that was taken off the path, or nothing."""
    parameters: Mapping[str, str]
    query: Mapping[str, Sequence[str]]
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes
    address: str
    """Of whoever asks, in one form."""
    host: str
    """Lower case, without a port."""
    country: str
    """As the CDN's function says it, `NL` or with a region `US-TX` (ISO 3166-1 or 3166-2); else empty."""
    said: dict[str, str] = field(default_factory=dict)
    """Headers for whatever answer there will be."""
    _asked: dict[str, tuple[Any, CountlessError | None]] = field(default_factory=dict, repr=False)

    @property
    def media_type(self) -> str:
        """The body's type, without its parameters and in lower case."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    def once(self, what: str, ask: Callable[[], T]) -> T:
        """What `ask` says, or its problem, asked once however many of a request's checks and views want to know.

        So they all speak of the same, and what cannot be reached is waited for once.

        Raises:
            CountlessError: what `ask` raised.
        """
        if what not in self._asked:
            try:
                self._asked[what] = ask(), None
            except CountlessError as error:
                self._asked[what] = None, error
        value, problem = self._asked[what]
        if problem is not None:
            raise problem
        found: T = value
        return found


def read(event: Mapping[str, Any], parameters: Mapping[str, str]) -> Request:
    """The request that an API Gateway event holds, as AWS, our gateway or Chalice's own make it."""
    context = event["requestContext"]
    headers = {str(name).lower(): str(value) for name, value in (event.get("headers") or {}).items()}
    path = path_of(event)
    coded = _CODED.fullmatch(path)
    address, host, country = _viewer(context, headers)
    return Request(
        method=str(context["httpMethod"]).upper(),
        path=(coded[2] or "/") if coded else path,
        code=unquote(coded[1]).lower() if coded else None,
        prefix=f"/s/{coded[1]}" if coded else "",
        parameters=parameters,
        query=event.get("multiValueQueryStringParameters") or {},
        headers=headers,
        body=_body(event),
        address=addresses.one_form(address),
        host=re.sub(r":\d+\Z", "", host).lower(),
        country=country,
    )


def path_of(event: Mapping[str, Any]) -> str:
    """The path of an event, as it came."""
    return str(event.get("path") or event["requestContext"].get("path") or "/")


def without_code(path: str) -> str:
    """A path without `/s/CODE`."""
    coded = _CODED.fullmatch(path)
    return (coded[2] or "/") if coded else path


def target_length(request: Request) -> int:
    """Bytes of the request's target: as good as known, since gateways hand queries over decoded."""
    query = urlencode([(name, value) for name, values in request.query.items() for value in values])
    return len(request.prefix) + len(request.path) + (len(query) + 1 if query else 0)


def _viewer(context: Mapping[str, Any], headers: Mapping[str, str]) -> tuple[str, str, str]:
    """Address, host and country of whoever asks.

    `X-Forwarded-For` and its kind are not looked at: anybody can send them. The CDN's function overwrites the three
    headers of ours and adds the secret, which never reaches a viewer.
    """
    given = headers.get("x-countless-edge", "")
    if given and (
        any(keys.same(given, secret) for secret in wiring.settings().edge_secrets) or wiring.secrets().edge(given)
    ):
        return (
            headers.get("x-countless-address", ""),
            headers.get("x-countless-host", ""),
            headers.get("x-countless-country", ""),
        )
    return str((context.get("identity") or {}).get("sourceIp") or ""), headers.get("host", ""), ""


def _body(event: Mapping[str, Any]) -> bytes:
    body = event.get("body") or b""
    if event.get("isBase64Encoded"):
        return base64.b64decode(body)
    return body if isinstance(body, bytes) else str(body).encode("utf-8", "surrogatepass")
