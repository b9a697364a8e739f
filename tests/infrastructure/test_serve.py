"""`countless serve` as a script meets it: processes, signals and the file with the keys."""

import json
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from chalicelib.pageviews.start import snippet
from infrastructure.local import credentials
from infrastructure.local.credentials import Credentials
from tests.clients.stack import COUNTLESS, environment

PATIENCE = 90
"""Seconds for a process to start on a machine that is busy with other tests; alone it takes about one."""
KEYS = {"url", "account", "site_id", "domain", "domain_key", "api_token", "username", "password"}
WRITTEN = Credentials("http://x", "a", 1, "d", "k", "t", "u", "p")


class Process:
    """A `countless` command that runs."""

    def __init__(self, *arguments: str) -> None:
        self.popen = subprocess.Popen(
            [*COUNTLESS, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment(),
        )

    def stop(self, number: int = signal.SIGINT) -> str:
        """Send a signal and wait for the end; what the process printed."""
        self.popen.send_signal(number)
        return self.popen.communicate(timeout=PATIENCE)[0]


@contextmanager
def _serving(file: Path, *arguments: str) -> Iterator[tuple[Process, dict[str, Any]]]:
    """A service that answers, and its credentials."""
    process = Process("serve", "--port", "0", "--credentials", str(file), "--limits", "off", *arguments)
    try:
        until = time.monotonic() + PATIENCE
        while not file.exists():
            assert process.popen.poll() is None, process.popen.communicate()[0]
            assert time.monotonic() < until, "it does not serve"
            time.sleep(0.02)
        yield process, json.loads(file.read_text(encoding="utf-8"))
    finally:
        if process.popen.poll() is None:
            process.popen.kill()
        process.popen.communicate()


def _client(keys: dict[str, Any]) -> httpx.Client:
    return httpx.Client(base_url=f"{keys['url']}/api/v0", headers={"Authorization": f"Bearer {keys['api_token']}"})


def _total(client: httpx.Client) -> int:
    answer = client.get("/stats/total", headers={"Content-Type": "application/json"})
    answer.raise_for_status()
    return int(answer.json()["total"])


def _wait_for_total(client: httpx.Client, total: int) -> None:
    until = time.monotonic() + PATIENCE
    while _total(client) != total:
        assert time.monotonic() < until, f"the total is {_total(client)}, not {total}"
        time.sleep(0.05)


def _every_address() -> str:
    """What listens on all addresses of IPv6; of IPv4, where the machine has no other."""
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return "::"
    except OSError:
        return "0.0.0.0"


@pytest.mark.parametrize(("number", "host"), [(signal.SIGINT, "0.0.0.0"), (signal.SIGTERM, _every_address())])
def test_it_serves_counts_and_stops(tmp_path: Path, number: int, host: str) -> None:
    """The file is there once it serves, for its owner only; a page view is counted; a signal ends it with 0. What it
    prints and writes answers: first of all the page for whoever opens its address.
    """
    file = tmp_path / "keys.json"
    with _serving(file, "--host", host) as (process, keys):
        opened = httpx.get(keys["url"])
        assert (opened.status_code, "Countless" in opened.text) == (200, True)
        assert set(keys) == KEYS
        assert file.stat().st_mode & 0o777 == 0o600
        with _client(keys) as client:
            assert client.get("/me").json()["token"]["permissions"] == 126
            body = {"no_sessions": True, "hits": [{"path": "/one"}, {"path": "/two"}]}
            assert client.post("/count", json=body).status_code == 202
            _wait_for_total(client, 2)
            printed = process.stop(number)  # with a connection still open
    assert process.popen.returncode == 0
    assert printed.startswith(f"\nCountless serves {keys['url']}\n")
    assert snippet(keys["url"], local=True) in printed
    assert keys["api_token"] in printed
    assert "ends with it" in printed
    assert "Traceback" not in printed
    assert "EventsAppended" not in printed  # metrics are CloudWatch's
    assert not file.exists()


def test_the_service_goes_on_after_a_crash_with_the_same_account_and_keys(tmp_path: Path) -> None:
    """AWS in another process: what was counted, the account, its keys and its password survive a SIGKILL."""
    file = tmp_path / "keys.json"
    aws = Process("aws", "--port", "0")
    try:
        assert aws.popen.stdout is not None
        url = aws.popen.stdout.readline().split()[-1]
        with _serving(file, "--aws", url) as (process, before):
            with _client(before) as client:
                body = {"no_sessions": True, "hits": [{"path": "/one"}]}
                assert client.post("/count", json=body).status_code == 202
                _wait_for_total(client, 1)
            process.stop(signal.SIGKILL)
        file.replace(tmp_path / ".keys.json.previous")  # as if it had been killed while it started again
        with _serving(file, "--aws", url) as (process, after):
            assert {**after, "url": ""} == {**before, "url": ""}
            with _client(after) as client:
                _wait_for_total(client, 1)
            assert "ends with it" not in process.stop()
        file.unlink()
        with _serving(file, "--aws", url) as (_, fresh), _client(fresh) as client:
            assert fresh["account"] == before["account"]
            assert fresh["api_token"] != before["api_token"]
            assert _total(client) == 1
        assert "Traceback" not in aws.stop()
        assert aws.popen.returncode == 0
    finally:
        if aws.popen.poll() is None:
            aws.popen.kill()
        aws.popen.communicate()


def test_a_port_that_is_taken_is_said(tmp_path: Path) -> None:
    """No keys are written, and the exit status is not 0."""
    with _serving(tmp_path / "first.json") as (_, keys):
        port = keys["url"].rpartition(":")[2]
        second = Process("serve", "--port", port, "--credentials", str(tmp_path / "second.json"))
        printed = second.popen.communicate(timeout=PATIENCE)[0]
    assert second.popen.returncode not in (0, None)
    assert f"port {port} of 127.0.0.1 cannot be had (Address already in use)" in printed
    assert not (tmp_path / "second.json").exists()


def test_an_aws_that_does_not_answer_is_said(tmp_path: Path) -> None:
    """One line, no traceback."""
    process = Process("serve", "--port", "0", "--aws", "http://127.0.0.1:9", "--credentials", str(tmp_path / "k.json"))
    printed = process.popen.communicate(timeout=PATIENCE)[0]
    assert process.popen.returncode == 1
    assert "AWS does not answer at http://127.0.0.1:9" in printed
    assert "Traceback" not in printed


def test_a_service_is_no_aws_and_is_told_to_be_none(tmp_path: Path) -> None:
    with _serving(tmp_path / "first.json") as (_, keys):
        process = Process("serve", "--port", "0", "--aws", keys["url"], "--credentials", str(tmp_path / "k.json"))
        printed = process.popen.communicate(timeout=PATIENCE)[0]
    assert process.popen.returncode == 1
    [line] = printed.splitlines()
    assert line.startswith(f"Error: {keys['url']} does not play AWS: it answers CreateTable with 405.")


@pytest.mark.parametrize("text", ["", "\n"])
def test_an_empty_file_is_as_good_as_none(tmp_path: Path, text: str) -> None:
    """The service starts, and the file is out of the way until it answers."""
    file = tmp_path / "keys.json"
    file.write_text(text, encoding="utf-8")
    assert credentials.take(file) is None
    assert not file.exists()


@pytest.mark.parametrize("name", ["keys.json", ".keys.json.previous"])
@pytest.mark.parametrize(
    "text",
    [
        b"notes",
        b"{",
        b"[]",
        b"[" * 9999,
        b'{"url": "x"}',
        b'{"unknown": 1}',
        b"\xff\x00",
        json.dumps({**asdict(WRITTEN), "site_id": "1"}).encode(),
        json.dumps({**asdict(WRITTEN), "mine": "1"}).encode(),
        json.dumps(asdict(WRITTEN)).encode() + b" " * (1 << 16) + b"mine",
    ],
)
def test_a_file_that_is_not_ours_stays(tmp_path: Path, name: str, text: bytes) -> None:
    """In the place of the file, and in the place where an earlier one is kept."""
    file = tmp_path / name
    file.write_bytes(text)
    with pytest.raises(credentials.NotOurs, match=re.escape(f"{file} exists and holds something else")):
        credentials.take(tmp_path / "keys.json")
    assert (list(tmp_path.iterdir()), file.read_bytes()) == ([file], text)


def test_what_is_no_plain_file_is_not_ours(tmp_path: Path) -> None:
    """Nothing is read from it: that might never end."""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(credentials.NotOurs, match="/pipe exists and holds something else"):
        credentials.take(tmp_path / "pipe")
    assert (tmp_path / "pipe").is_fifo()


def test_only_what_was_written_is_deleted_in_the_end(tmp_path: Path) -> None:
    """Nor are the keys of another service that runs since."""
    file = tmp_path / "keys.json"
    credentials.write(file, WRITTEN)
    credentials.withdraw(file, None)
    credentials.withdraw(file, replace(WRITTEN, api_token="another"))
    assert file.exists()
    credentials.withdraw(file, WRITTEN)
    assert not file.exists()
    credentials.withdraw(file, WRITTEN)
    file.write_text("notes", encoding="utf-8")
    credentials.withdraw(file, WRITTEN)
    assert file.read_text(encoding="utf-8") == "notes"


def test_written_credentials_are_found_again(tmp_path: Path) -> None:
    """Also by a third run, if the second ended before it served."""
    file = tmp_path / "keys.json"
    credentials.write(file, WRITTEN)
    assert credentials.take(file) == WRITTEN
    assert credentials.take(file) == WRITTEN
    credentials.write(file, WRITTEN)
    assert list(tmp_path.iterdir()) == [file]
