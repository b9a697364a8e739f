"""README.md's samples, as printed, against a running service."""

import gzip
import hashlib
import html
import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.clients.people import FIREFOX
from tests.clients.stack import COUNTLESS, Service, environment, until
from tests.docs import README, ROOT, block, code, commands

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
    command = command.replace("DOMAIN-KEY", str(service.keys["domain_key"]))
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
    """Its four commands, one after the other, each with what the README says of it."""
    token, count, total, log, increment = commands(block("token=…"))
    assert token == "token=…"
    service.views_arrived()
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
    assert [json.loads(_run(increment, service))["value"] for _ in range(2)] == [1, 2]


def test_pages_count_by_script_or_picture(service: Service) -> None:
    """Both addresses answer with a pixel to a browser; the script adds the path."""
    snippet = block("<script")
    endpoint, script, picture = re.findall(r'"(https://stats\.example\.com/count[^"]*)"', snippet)
    for address in (f"{endpoint}?p=/by/script", picture):
        answer = httpx.get(address.replace(THEIRS, service.url), headers={"User-Agent": FIREFOX})
        assert (answer.status_code, answer.headers["content-type"]) == (200, "image/gif")
    served = httpx.get(script.replace(THEIRS, service.url))
    assert (served.status_code, served.headers["content-type"]) == (200, "text/javascript; charset=utf-8")
    by_name = {"path_by_name": "true", "include_paths": "/by/script,/this-page"}
    until("both are seen", lambda: service.total(**by_name) == 2, patience=10)


@needs_curl
def test_a_site_is_made_and_shown_to_whoever_knows_its_secret(service: Service) -> None:
    """And its counter, once that is on."""
    [make] = commands(block('"code": "shop"'))
    made = json.loads(_run(make, service))
    assert (made["code"], made["cname"], made["parent"]) == ("shop", None, service.keys["site_id"])
    [endpoint] = [text for text in code() if text == f"{THEIRS}/s/{made['code']}/count"]
    seen = httpx.get(f"{endpoint.replace(THEIRS, service.url)}?p=/", headers={"User-Agent": FIREFOX})
    assert (seen.status_code, seen.headers["content-type"]) == (200, "image/gif")
    at = f"{service.url}/s/{made['code']}"
    assert f"{at}/count" in html.unescape(httpx.get(at).text)
    [secret] = [text for text in code() if text.startswith('{"settings": {"public": "secret"')]
    [counter] = [text for text in code() if text.startswith('{"settings": {"allow_counter"')]
    for settings in (secret, counter):
        changed = service.request("PATCH", f"sites/{made['id']}", content=settings)
        assert changed.status_code == 200, changed.text
    assert "/api/v0/stats/*?access-token=opensesame1" in code()
    wanted = {"access-token": "opensesame1"}
    until("it is counted", lambda: httpx.get(f"{at}/api/v0/stats/total", params=wanted).json()["total"] == 1)
    assert httpx.get(f"{at}/api/v0/stats/total").status_code == 401
    [path] = [text for text in code() if text.startswith("/counter/%2F")]
    found = httpx.get(f"{at}{path}")
    assert (found.status_code, found.headers["content-type"]) == (404, "image/svg+xml")  # nobody was there yet


@needs_curl
def test_page_views_are_exported(service: Service) -> None:
    """The site is told to collect them, and the file is asked for, watched and loaded as the text says."""
    collect, export = commands(block('{"format": "csv"}'))
    assert json.loads(_run(collect, service))["setttings"]["collect"] == 190 + 256
    service.count({"path": "/exported", "session": "a"})
    visits = {"path_by_name": "true", "include_paths": "/exported"}
    until("it is counted", lambda: service.total(**visits) == 1, patience=10)
    asked = json.loads(_run(export, service))
    show = f"export/{asked['id']}"
    until("it is finished", lambda: service.request("GET", show).json()["finished_at"] is not None)
    head, *rows = gzip.decompress(service.request("GET", f"{show}/download").content).decode().splitlines()
    assert head.startswith("2Path,Title,Event,")
    assert [row.split(",")[0] for row in rows] == ["/exported"]


@needs_curl
def test_a_backend_sends_a_batch(service: Service) -> None:
    """With a key of its own, so that sending it again changes nothing."""
    [count] = commands(block('"path": "/buy"'))
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


def test_the_statistics_client_counts(service: Service, tmp_path: Path) -> None:
    """The sample in Python, in a process of its own, with one's own address and key."""
    script = block("import ossit").replace(THEIRS, service.url).replace("DOMAIN-KEY", service.keys["domain_key"])
    script = script.replace('"Automations"', '"Automations of the sample"')
    file = tmp_path / "sample.py"
    file.write_text(script, encoding="utf-8")
    for value in (1, 2):
        done = subprocess.run([sys.executable, str(file)], capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        assert f"'value': {value}}}]" in done.stdout


def test_the_statistics_client_raises_nothing_and_says_what_was_refused(service: Service, tmp_path: Path) -> None:
    """The sample counts; with a key that nobody has, it prints why it did not."""
    script = block("import ossit").replace(THEIRS, service.url) + "\n" + block('if "error" in answer')
    for key, printed in ((service.keys["domain_key"], ""), ("nobodys", "UNAUTHORIZED ")):
        said = (
            script.replace("DOMAIN-KEY", key)
            .replace('"Automations"', '"Automations that fail"')
            .replace('["values"]', "")
        )
        file = tmp_path / "refused.py"
        file.write_text(said.replace("print(ossit", "str(ossit"), encoding="utf-8")
        done = subprocess.run([sys.executable, str(file)], capture_output=True, text=True, timeout=60, check=False)
        assert (done.returncode, done.stdout[: len(printed)]) == (0, printed), done.stderr
        assert bool(done.stdout) == bool(printed)


def test_an_update_sets_unless_it_says_otherwise_and_an_increment_is_by_one(service: Service) -> None:
    """As the text beside the sample says."""
    assert "the value is **set**. `increment` and `decrement` move by 1" in " ".join(README.split())
    address = f"{service.url}/v1/api/statistics/Shop/methods"
    key = {"Authorization": f"Bearer {service.keys['domain_key']}"}
    updates = [{"value": 7}, {"value": 5}, {"method": "increment", "value": 9}, {"method": "decrement", "value": 9}]
    assert [httpx.post(address, headers=key, json=update).json()["value"] for update in updates] == [7, 5, 6, 5]


@needs_curl
def test_statistics_are_counted_read_and_plotted(service: Service) -> None:
    """A keyed update counts once however often it is sent; the batch counts each of its own."""
    add, show = commands(block("order-4711"))
    assert [json.loads(_run(add, service))["value"] for _ in range(2)] == [19.9, 19.9]
    values = {each["reference_date"]: each["value"] for each in json.loads(_run(show, service))["values"]}
    assert values["2026-11-20"] == 19.9  # other samples may have counted on other days
    [batch] = commands(block("statistics/batch"))
    results = json.loads(_run(batch, service))["results"]
    assert [result["statistic"]["name"] for result in results] == ["orders", "turnover"]
    [plot] = commands(block("interval=week"))
    week, *_ = json.loads(_run(plot, service))["intervals"]
    assert (week["from"], week["to"]) == ("2026-11-16", "2026-11-22")
    assert week["min"] <= week["mean"] <= week["max"] <= week["sum"]


@needs_curl
def test_a_domain_is_made_with_a_key(service: Service) -> None:
    """Which is shown, and opens it."""
    [make] = commands(block("/v1/api/domains"))
    made = json.loads(_run(make, service))
    assert made["name"] == "shop.example"
    found = httpx.get(f"{service.url}/v1/api/statistics", headers={"Authorization": f"Bearer {made['key']}"})
    assert (found.status_code, found.json()) == (200, [])


@needs_curl
def test_an_export_is_asked_for_and_downloaded(service: Service, tmp_path: Path) -> None:
    """With `curl -L`, as the text says, without a key."""
    [add, _] = commands(block("order-4711"))
    _run(add, service)
    [export] = commands(block("v1/api/exports"))
    asked = json.loads(_run(export, service))
    address = f"{service.url}/v1/api/exports/{asked['id']}"
    key = {"Authorization": f"Bearer {service.keys['domain_key']}"}
    until("it is finished", lambda: httpx.get(address, headers=key).json()["state"] == "finished")
    found = httpx.get(address, headers=key).json()
    file = tmp_path / "export.csv.gz"
    subprocess.run(["curl", "-sSfL", "-o", str(file), found["download_url"]], check=True, timeout=60)
    assert hashlib.sha256(file.read_bytes()).hexdigest() == found["sha256"]
    rows = gzip.decompress(file.read_bytes()).decode().splitlines()
    assert rows[0] == "group_id,group,statistic_id,statistic,reference_date,value"
    assert any(row.split(",")[1::2] == ["Shop", "turnover", "19.9"] for row in rows[1:])


def test_the_description_of_the_statistics_api_lists_its_calls(service: Service) -> None:
    """Without a key."""
    assert "`GET /v1/api` lists every call" in README
    found = httpx.get(f"{service.url}/v1/api").json()
    assert {call["path"] for call in found["documentation"]} > {"/v1/api/statistics/batch", "/v1/api/exports"}
