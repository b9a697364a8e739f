"""The tuned local HTTP server: uvicorn in front of the gateway, with the app called in a pool of threads."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import uvicorn

from infrastructure.local.gateway import LARGEST_REQUEST, TOO_LONG, Answer, Gateway, Request

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

THREADS = 16
"""Enough for the app to wait on AWS for several callers; Python runs one of them at a time anyway."""
GRACE = 2
"""Seconds that requests under way get to finish when the server stops."""
BACKLOG = 1024
BODILESS = frozenset({204, 304})


class Door:
    """The ASGI application: reads a request whole, has a thread answer it, sends the answer whole."""

    def __init__(self, gateway: Gateway, pool: ThreadPoolExecutor) -> None:
        self._gateway = gateway
        self._pool = pool

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """One request, as ASGI says it."""
        try:
            body = await _body(receive)
        except ConnectionError:
            return
        if body is None:
            await _send(send, TOO_LONG, scope["method"], close=True)
            return
        request = Request(
            method=scope["method"],
            path=scope["raw_path"].decode("latin-1").partition("?")[0],
            query=scope["query_string"].decode("latin-1"),
            headers=tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]),
            body=body,
            client=(scope["client"] or ("127.0.0.1", 0))[0],
        )
        loop = asyncio.get_running_loop()
        answer = await loop.run_in_executor(self._pool, self._gateway.answer, request)
        await _send(send, answer, request.method)


async def _body(receive: Receive) -> bytes | None:
    """The whole body, however it was sent; None if it is more than the gateway takes."""
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ConnectionResetError
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > LARGEST_REQUEST:
            return None
        if not message.get("more_body", False):
            return b"".join(parts)


async def _send(send: Send, answer: Answer, method: str, *, close: bool = False) -> None:
    headers = [(name.encode("latin-1"), value.encode("latin-1", "replace")) for name, value in answer.headers]
    if answer.status not in BODILESS:
        length = len(answer.body) if answer.length is None else answer.length
        headers.append((b"content-length", str(length).encode()))
    if close:  # what is left of the request is never read
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    body = b"" if method == "HEAD" or answer.status in BODILESS else answer.body
    await send({"type": "http.response.body", "body": body})


class _Uvicorn(uvicorn.Server):
    """uvicorn that says when it serves, and leaves signals to whoever started it."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[str, int], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: Any = None) -> None:  # noqa: ANN401 - as uvicorn has it
        await super().startup(sockets)
        host, port = self.servers[0].sockets[0].getsockname()[:2]
        await asyncio.get_running_loop().run_in_executor(None, self._ready, host, port)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Server:
    """Serves a gateway until it is stopped; made and run in one thread, stopped from any, or from a signal."""

    def __init__(
        self, gateway: Gateway, host: str, port: int, ready: Callable[[str, int], None] = lambda *_: None
    ) -> None:
        """`port` 0 takes a free one; `ready` is called with host and port once connections are accepted."""
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="api")
        config = uvicorn.Config(
            Door(gateway, self._pool),
            host=host,
            port=port,
            lifespan="off",
            ws="none",
            proxy_headers=False,  # the gateway believes the connection, as a deployed one does
            server_header=False,
            access_log=False,
            log_config=None,
            backlog=BACKLOG,
            timeout_graceful_shutdown=GRACE,
        )
        self._server = _Uvicorn(config, ready)

    def run(self) -> None:
        """Serve until `stop`. A port that cannot be had ends in SystemExit, after a line in the log."""
        try:
            self._server.run()
        finally:
            self._pool.shutdown(wait=False, cancel_futures=True)

    def stop(self) -> None:
        """Take no more requests, finish those under way within a grace period, return from `run`."""
        self._server.should_exit = True
