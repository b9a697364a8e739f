"""AWS for a local run: simulated in this process, simulated in a process of its own, or an emulator at some URL."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from infrastructure.local.addresses import url
from infrastructure.local.context import REGION

STOP_WITHIN = 0.05
"""Seconds between two looks of a server at whether it is to stop: longest wait for its end."""
SWEEP = 60.0
"""Seconds between two looks for items whose time to live has passed. On AWS it takes up to some days."""


@contextmanager
def in_process() -> Iterator[None]:
    """Every AWS client of this process talks to moto, whose data end when this is left.

    The same moto also answers over HTTP on a port of its own, for presigned URLs lead clients past the service.
    """
    # Imported here: whoever runs against another process need not have moto.
    from infrastructure.local import simulation  # noqa: PLC0415

    with simulation.simulated(), moto_server("127.0.0.1", 0) as files:
        os.environ["AWS_DEFAULT_REGION"] = REGION
        os.environ["COUNTLESS_FILES_URL"] = files
        os.environ.pop("AWS_ENDPOINT_URL", None)
        yield


@contextmanager
def elsewhere(address: str) -> Iterator[None]:
    """Every AWS client of this process talks to `address`, with made-up credentials unless there are some."""
    os.environ["AWS_ENDPOINT_URL"] = address
    os.environ.setdefault("AWS_DEFAULT_REGION", REGION)
    os.environ.setdefault("AWS_ACCESS_KEY_ID", "countless")
    os.environ.setdefault("AWS_SECRET_ACCESS_KEY", "countless")
    yield


@contextmanager
def _expiring(expire: Callable[[float], int]) -> Iterator[None]:
    stop = threading.Event()

    def run() -> None:
        while not stop.wait(SWEEP):
            expire(time.time())

    thread = threading.Thread(target=run, name="time-to-live", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(1.0)


@contextmanager
def moto_server(host: str, port: int) -> Iterator[str]:
    """While this is open, the simulation answers over HTTP, for processes that come and go; gives its URL."""
    from moto.moto_server.werkzeug_app import (  # noqa: PLC0415
        DomainDispatcherApplication,
        MotoRequestHandler,
        create_backend_app,
    )
    from werkzeug.serving import make_server  # noqa: PLC0415

    from infrastructure.local import simulation  # noqa: PLC0415

    class Handler(MotoRequestHandler):
        """Silent, and quick: connections stay open, answers leave in one piece."""

        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        wbufsize = -1

        def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
            """Says nothing: there are hundreds of requests a second."""

    simulation.mend()
    server = make_server(
        host, port, DomainDispatcherApplication(create_backend_app), threaded=True, request_handler=Handler
    )
    thread = threading.Thread(target=server.serve_forever, args=(STOP_WITHIN,), name="moto", daemon=True)
    with _expiring(simulation.expire):
        thread.start()
        try:
            bound, listening = str(server.server_address[0]), int(server.server_address[1])
            yield url(host, bound, listening)
        finally:
            server.shutdown()
            server.server_close()
