"""Account owners who talk to a running service in raw HTTP, and what they may find there.

`http.client` sends a request as it is given: no header is added but `Host`, `Accept-Encoding` and `Content-Length`, and
nothing of the target is encoded anew.
"""

import base64
import http.client
import json
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from chalicelib.aws.log import DynamoLog
from chalicelib.core.names import NO_REF
from chalicelib.core.segments import EVENT, FIRST, Kind, unpack
from infrastructure.local.context import REGION
from infrastructure.local.gateway import TOO_LONG
from tests.clients.stack import Aws, Service, environment
from tests.front import Reply
from tests.refusals import look_at

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:109.0) Gecko/20100101 Firefox/115.0"
FLUSH = 10.0
"""Seconds until what was accepted has to be in the figures (page-view contract, section 3.3)."""
COLLECT = 446
"""What the checklist's site collects: the usual, and individual page views."""


class Event(NamedTuple):
    """A page view as the log holds it, with names in the place of ids."""

    path: str
    first: bool
    """Whether it is a visit."""
    event: bool
    ref: str
    scheme: str
    language: str
    width: int
    """0: unknown."""


def ask(
    url: str, method: str, target: str, headers: Mapping[str, str | None], body: bytes | str | None = None
) -> Reply:
    """Sends a request over a connection of its own; headers of None are not sent."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=30)
    try:
        sent = {name: value for name, value in headers.items() if value is not None}
        connection.request(method, target, body, sent)
        answer = connection.getresponse()
        received: dict[str, str] = {}
        for name, value in answer.getheaders():
            known = received.get(name.lower())
            received[name.lower()] = f"{known}, {value}" if known else value
        read = answer.read()
        if read != TOO_LONG.body:  # the gateway's own answer
            look_at(method, target.partition("?")[0], answer.status, received, read)
        return Reply(answer.status, received, read)
    finally:
        connection.close()


def wire(url: str, *lines: str) -> bytes:
    """Sends these lines, and that it will not ask again; everything that comes back until the service hangs up."""
    parts = urlsplit(url)
    with socket.create_connection((str(parts.hostname), int(parts.port or 80)), timeout=30) as connection:
        connection.sendall("".join(f"{line}\r\n" for line in (*lines, "Connection: close", "")).encode())
        received = b""
        while part := connection.recv(65_536):
            received += part
        return received


def error(reply: Reply) -> str:
    """The text of an error; it is the only key of the body, and the body is JSON."""
    body = _json(reply)
    assert list(body) == ["error"]
    return str(body["error"])


def errors(reply: Reply) -> dict[str, Any]:
    """The errors of single hits, by index."""
    body = _json(reply)
    assert list(body) == ["errors"]
    return dict(body["errors"])


def _json(reply: Reply) -> Any:
    assert reply.headers["content-type"] == "application/json; charset=utf-8", reply
    return reply.json()


@dataclass
class Person:
    """The owner of an account, with a site of their own. Requests carry what the checklist's setup says."""

    people: "People"
    made: dict[str, Any]
    token: str

    @property
    def url(self) -> str:
        return self.people.service.url

    @property
    def host(self) -> str:
        """The host that selects this person's site."""
        return str(self.made["site"]["host"])

    def another_site(self) -> dict[str, Any]:
        """Another site of the same account: its id, host and stream. To be made before anything is asked for."""
        return dict(self.people.wish("site", account=self.made["account"], name=f"p{secrets.token_hex(5)}"))

    def key(self, permissions: int = 126, sites: tuple[int, ...] = (-1,)) -> str:
        """The token of another key of this account."""
        made = self.made
        return str(
            self.people.wish(
                "key", account=made["account"], owner=made["owner"], permissions=permissions, sites=list(sites)
            )
        )

    def first_hit_at(self) -> int:
        """Since when the site has data, as stored: no endpoint of these shows it."""
        made = self.made
        return int(self.people.wish("first_hit_at", account=made["account"], domain=made["site"]["domain"]))

    def ask(
        self,
        method: str,
        target: str,
        body: bytes | str | None = None,
        headers: Mapping[str, str | None] | None = None,
    ) -> Reply:
        """A request with key and JSON content type; `headers` override, None leaves one out."""
        own = {"Host": self.host, "Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        return ask(self.url, method, target, {**own, **(headers or {})}, body)

    def get(self, target: str, headers: Mapping[str, str | None] | None = None) -> Reply:
        return self.ask("GET", target, headers=headers)

    def figures(self, target: str) -> Any:
        """The JSON of an answer that is a success."""
        reply = self.get(target)
        assert reply.status == HTTPStatus.OK, reply
        return _json(reply)

    def count(self, *hits: dict[str, Any], **batch: Any) -> Reply:
        """`POST /api/v0/count`; the batch's other keys are arguments."""
        return self.ask("POST", "/api/v0/count", json.dumps({**batch, "hits": list(hits)}))

    def view(self, query: str, headers: Mapping[str, str | None] | None = None, method: str = "GET") -> Reply:
        """`/count`, as a browser asks for it: without a key."""
        given = {"Host": self.host, "User-Agent": FIREFOX, **(headers or {})}
        return ask(self.url, method, f"/count?{query}" if query else "/count", given)

    def visits(self, query: str = "") -> dict[str, int]:
        """Visits by path: the first hundred."""
        found = self.figures(f"/api/v0/stats/hits?limit=100{query}")
        return {row["path"]: row["count"] for row in found["hits"]}

    def sees(self, expected: dict[str, int], query: str = "") -> None:
        """Waits for the flush: in time the visits by path are these, and nothing else was ever counted."""
        end = time.monotonic() + FLUSH
        while (found := self.visits(query)) != expected and time.monotonic() < end:
            time.sleep(0.1)
        assert found == expected

    def sees_none_but_a_marker(self) -> None:
        """Sends a page view that counts, and waits until it does: whatever was sent before has not been counted."""
        marker = f"/{secrets.token_hex(4)}"
        assert self.count({"path": marker}, no_sessions=True).status == HTTPStatus.ACCEPTED
        self.sees({marker: 1})
        assert [event.path for event in self.events()] == [marker]

    def events(self) -> list[Event]:
        """What the log holds, in order."""
        return self.people.events(self.made["site"]["stream"])

    def basic(self, user: str) -> str:
        """The `Authorization` header that a client sends which only knows users and passwords."""
        return "Basic " + base64.b64encode(f"{user}:{self.token}".encode()).decode()


class People:
    """Makes account owners of a service over an AWS in another process."""

    def __init__(self, aws: Aws, service: Service) -> None:
        self.service = service
        found = aws.environment()
        self._log = DynamoLog(aws.dynamodb, found["COUNTLESS_LOG_TABLE"])
        variables = {
            **environment(),
            **found,
            "AWS_ENDPOINT_URL": aws.url,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ACCESS_KEY_ID": "none",
            "AWS_SECRET_ACCESS_KEY": "none",
        }
        self._clerk = subprocess.Popen(
            [sys.executable, "-m", "tests.clients.clerk"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=variables,
            cwd=Path(__file__).parent.parent.parent,
        )

    def wish(self, wish: str, **arguments: Any) -> Any:
        """What the clerk answers."""
        assert self._clerk.stdin is not None
        assert self._clerk.stdout is not None
        self._clerk.stdin.write(json.dumps({"wish": wish, **arguments}) + "\n")
        self._clerk.stdin.flush()
        return json.loads(self._clerk.stdout.readline())

    def settle(self, collect: int = COLLECT, ignore_ips: tuple[str, ...] = ()) -> Person:
        """Makes an account with an empty site, found by its host alone; its settings are those of the checklist."""
        made = self.wish("account", name=f"p{secrets.token_hex(5)}", collect=collect, ignore_ips=list(ignore_ips))
        return Person(self, made, made["token"])

    def events(self, stream: str) -> list[Event]:
        """Every event of a stream's log, in order."""
        names: dict[Kind, dict[int, str]] = {kind: {0: ""} for kind in Kind}
        names[Kind.REF][1] = NO_REF
        found = []
        for item in self._log.read(stream, 0):
            segment = unpack(item.data)
            for kind in Kind:
                names[kind].update(enumerate(segment.names[kind], segment.first_names[kind]))
            columns = segment.events
            for path, ref, language, width, flags in zip(
                columns.path, columns.ref, columns.language, columns.width, columns.flags, strict=True
            ):
                referrer = names[Kind.REF][ref]
                found.append(
                    Event(
                        path=names[Kind.PATH][path].partition("\0")[0],
                        first=bool(flags & FIRST),
                        event=bool(flags & EVENT),
                        ref=referrer[1:],
                        scheme=referrer[:1],
                        language=names[Kind.LANGUAGE][language],
                        width=width,
                    )
                )
        return found

    def close(self) -> None:
        """Lets the clerk go."""
        self._clerk.communicate(timeout=30)
