"""README.md's samples, as printed, against a running service."""

import gzip
import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import httpx
import pytest

from tests.clients.people import FIREFOX
from tests.clients.stack import COUNTLESS, Service, environment, until
from tests.docs import ROOT, block, code, commands

needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="the samples are for curl, which is not here")
THEIRS = "https://stats.example.com"
"""What the README calls a service of one's own."""
LINE = (
    '203.0.113.1 - - [01/Mar/1998:12:00:00 +0000] "GET /{} HTTP/1.1" 200 9 "-" "Mozilla/5.0 (X11; Linux) Firefox/9"\n'
)


def _run(command: str, service: Service, directory: Path = ROOT) -> str:
    """What a shell prints for a command of the README that succeeds, with the service's address and token filled in."""
    for address in (THEIRS, "http://127.0.0.1:8000"):
        command = command.replace(address, service.url)
    command = command.replace("TOKEN=…", f"TOKEN={service.token}").replace("Bearer TOKEN", f"Bearer {service.token}")
    command = re.sub(r"(?<![\w/.-])(?:\.venv/bin/)?countless (?=import)", f"{shlex.join(COUNTLESS)} ", command)
    done = subprocess.run(
        ["sh", "-ec", command],
        cwd=directory,
        env={**environment(), "token": service.token},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@needs_curl
def test_the_demo_counts_two_page_views_and_imports_a_log(service: Service) -> None:
    """Its three commands, one after the other, each with what the README says of it."""
    token, count, total, log = commands(block("token=…"))
    assert token == "token=…"
    before = service.total()
    assert json.loads(_run(count, service)) == {"status": "ok"}
    until("two visits are seen", lambda: service.total() == before + 2, patience=10)
    shown = json.loads(_run(total, service))
    assert (shown["total"], shown["stats"][-1]["daily"] >= 2) == (before + 2, True)
    assert "10,000" in _run(log, service)
    service.imports_arrived()
    [example] = [text for text in code() if text.startswith("stats/total?")]
    answer = service.request("GET", example)
    assert answer.status_code == 200
    days = answer.json()["stats"]
    assert [day["day"] for day in days] == ["2015-05-17", "2015-05-18", "2015-05-19", "2015-05-20"]
    assert all(day["daily"] for day in days)


def test_pages_count_by_script_or_picture(service: Service) -> None:
    """Both addresses answer with a pixel to a browser; the script adds the path."""
    addresses = [
        re.findall(r'"(https://stats\.example\.com/count[^"]*)"', block(tag))[0] for tag in ("<script", "<img")
    ]
    for address, query in zip(addresses, ("?p=/by/script", ""), strict=True):
        target = address.replace(THEIRS, service.url) + query
        answer = httpx.get(target, headers={"User-Agent": FIREFOX})
        assert (answer.status_code, answer.headers["content-type"]) == (200, "image/gif")
    by_name = {"path_by_name": "true", "include_paths": "/by/script,/the/path"}
    until("both are seen", lambda: service.total(**by_name) == 2, patience=10)


@needs_curl
def test_a_backend_sends_a_batch(service: Service) -> None:
    """With a key of its own, so that sending it again changes nothing."""
    [count] = commands(block("Idempotency-Key"))
    for _ in range(2):
        assert json.loads(_run(count, service)) == {"status": "ok"}


def test_a_log_is_imported_by_a_token_from_the_environment(service: Service, tmp_path: Path) -> None:
    """From the file that the sample names, a log of one's own."""
    with gzip.open(tmp_path / "access.log.gz", "wt", encoding="utf-8") as log:
        log.writelines(LINE.format(n) for n in range(3))
    [imported] = commands(block("COUNTLESS_TOKEN=…"))
    assert re.search(r"^accepted +3$", _run(imported, service, tmp_path), re.MULTILINE)
    march = {"start": "1998-03-01", "end": "1998-03-01T23:59:59Z"}
    until("they are counted", lambda: service.total(**march) == 3, patience=10)


def test_every_path_of_figures_answers(service: Service) -> None:
    """What the README names, it has."""
    named = sorted({text for text in code() if re.fullmatch(r"/api/v0/[a-z/]+", text)})
    assert len(named) > 2
    for path in named:
        assert service.request("GET", path.removeprefix("/api/v0/")).status_code == 200, path
