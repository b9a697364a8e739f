"""The service's front door without a network: what the local server would do with a request, done at once."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from chalice.app import Chalice

from infrastructure.local.gateway import FAILED, MISSING_ROUTE, TOO_LONG, Gateway, Request
from tests.refusals import look_at

_GATEWAYS_OWN = (FAILED, MISSING_ROUTE, TOO_LONG)
"""Answers that the service has no part in."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer, as an HTTP client sees it."""

    status: int
    headers: Mapping[str, str]
    """Names in lower case; several values of one name are joined by a comma."""
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    def json(self) -> Any:
        return json.loads(self.body)


class FrontDoor:
    """Sends requests through the same gateway code as `countless serve`, headers and all."""

    def __init__(self, app: Chalice, host: str = "localhost") -> None:
        self._gateway = Gateway(app)
        self._host = host

    def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | str = b"",
        json_body: Any = None,
        client: str = "127.0.0.1",
    ) -> Reply:
        """Answer one request; `json_body` sets body and content type, other headers are the caller's."""
        sent = {"host": self._host} | {name.lower(): value for name, value in (headers or {}).items()}
        if json_body is not None:
            body = json.dumps(json_body)
            sent.setdefault("content-type", "application/json")
        parts = urlsplit(url)
        answer = self._gateway.answer(
            Request(
                method=method,
                path=parts.path,
                query=parts.query,
                headers=tuple(sent.items()),
                body=body.encode() if isinstance(body, str) else body,
                client=client,
            )
        )
        received: dict[str, str] = {}
        for name, value in answer.headers:
            received[name] = f"{received[name]}, {value}" if name in received else value
        if answer not in _GATEWAYS_OWN:
            look_at(method, parts.path, answer.status, received, answer.body)
        return Reply(answer.status, received, answer.body)

    def get(self, url: str, **kwargs: Any) -> Reply:
        return self.request("GET", url, **kwargs)

    def post(self, url: str, **kwargs: Any) -> Reply:
        return self.request("POST", url, **kwargs)
