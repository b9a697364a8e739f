"""`countless import` sends every page view once, in order, and says what became of each line."""

import functools
import gzip
import importlib
import io
import json
import os
import pty
import re
import subprocess
import sys
import zlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import Any

import click
import httpx
import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

import countless.cli
import countless.importing
import countless.merging
from countless.client import Counted, Hit, PageViews
from countless.errors import UnreachableError
from countless.formats import FORMATS
from countless.importer import Importer
from countless.selection import PARTS, ROBOTS_FILES
from countless.sources import Source

REAL_LOG = Path(__file__).parent.parent / "data" / "access.log.gz"
URL = "https://stats.test/s/ACME"

Answer = Callable[[list[dict[str, Any]]], httpx.Response]


def line_of(
    path: str, status: int = 200, method: str = "GET", *, at: str = "10:05:03", visitor: str = "192.0.2.1"
) -> str:
    asked = f'[17/May/2015:{at} +0000] "{method} {path} HTTP/1.1"'
    return f'{visitor} - - {asked} {status} 5 "https://a.example/" "Mozilla/5.0 (X11; Linux x86_64)"\n'


def accept(_hits: list[dict[str, Any]]) -> httpx.Response:
    return httpx.Response(202, json={"status": "ok"})


class Site:
    """A site that knows the keys that it has seen, as the service does, and fails when it is told to."""

    def __init__(self, permissions: int = 2) -> None:
        self.permissions = permissions
        self.answer: Answer = accept
        self.counted: list[dict[str, Any]] = []
        self.batches: list[list[dict[str, Any]]] = []
        self.keys: list[str] = []
        self.tokens: set[str] = set()
        self.failures: list[Exception | httpx.Response] = []
        self.slept: list[float] = []
        self.refuses = False

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if self.refuses:
            raise httpx.ConnectError("refused")
        self.tokens.add(request.headers["Authorization"])
        if request.url == f"{URL}/api/v0/me":
            return httpx.Response(200, json={"token": {"name": "importer", "permissions": self.permissions}})
        assert (request.method, str(request.url)) == ("POST", f"{URL}/api/v0/count")
        body = json.loads(request.content)
        assert body.keys() == {"no_sessions", "filter", "hits"}
        assert (body["no_sessions"], body["filter"]) == (True, None)
        answer = self.answer(body["hits"])
        failure = self.failures.pop(0) if self.failures else None
        if not isinstance(failure, httpx.ConnectError) and not (failure is None and answer.is_server_error):
            if request.headers["Idempotency-Key"] in self.keys:
                answer.headers["X-Countless-Repeated"] = "yes"
            self._take(request.headers["Idempotency-Key"], body["hits"])
        if isinstance(failure, Exception):
            raise failure
        return failure or answer

    def _take(self, key: str, hits: list[dict[str, Any]]) -> None:
        self.batches.append(hits)
        if key not in self.keys:
            self.keys.append(key)
            self.counted += hits

    @property
    def paths(self) -> list[str]:
        return [hit["path"] for hit in self.counted]


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Site:
    """What the command talks to instead of the network; time passes only by sleeping."""
    site = Site()
    client = functools.partial(
        PageViews, transport=httpx.MockTransport(site), sleep=site.slept.append, clock=lambda: sum(site.slept)
    )
    monkeypatch.setattr(countless.importing, "PageViews", client)
    return site


def run(*arguments: str, stdin: bytes | None = None, token: str = "secret", url: str = URL) -> Result:
    return CliRunner().invoke(
        countless.cli.main, ["import", *arguments, "--url", url], input=stdin, env={"COUNTLESS_TOKEN": token}
    )


def figures(result: Result) -> dict[str, int]:
    """The report's whole numbers by their names."""
    rows = (line.rsplit(maxsplit=1) for line in result.stdout.splitlines() if not line.startswith("duration"))
    return {name.strip(): int(number.replace(",", "")) for name, number in rows}


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """1,000 page views, numbered, between other lines."""
    path = tmp_path / "access.log"
    visitors = [f"192.0.2.{n % 9}" for n in range(1000)]
    path.write_text("".join(line_of(f"/{n}", visitor=visitors[n]) + line_of("/style.css") for n in range(1000)))
    return path


def test_page_views_arrive_once_and_in_the_order_of_the_file(site: Site, log: Path) -> None:
    result = run(str(log))
    assert result.exit_code == 0
    assert site.paths == [f"/{n}" for n in range(1000)]
    assert [len(batch) for batch in site.batches] == [500, 500]
    assert site.tokens == {"Bearer secret"}
    assert figures(result) == {
        "lines read": 2000,
        "left out: a part of a page, a feed or a robot's file": 1000,
        "sent": 1000,
        "accepted": 1000,
    }


def test_a_hit_has_every_key_of_the_protocol(site: Site) -> None:
    run("-", stdin=line_of("/a?utm_source=x").encode())
    assert site.counted == [
        {
            "path": "/a",
            "title": "",
            "event": False,
            "ref": "https://a.example/",
            "size": "",
            "query": "utm_source=x",
            "bot": 0,
            "user_agent": "Mozilla/5.0 (X11; Linux x86_64)",
            "location": "",
            "language": "",
            "ip": "192.0.2.1",
            "created_at": "2015-05-17T10:05:03Z",
            "session": "",
        }
    ]


@pytest.mark.parametrize(("batch", "sizes"), [("1", [1] * 5), ("2", [2, 2, 1]), ("5", [5]), ("6", [5]), ("500", [5])])
def test_batches_are_as_large_as_asked(site: Site, batch: str, sizes: list[int]) -> None:
    run("-", "--batch", batch, stdin="".join(line_of(f"/{n}") for n in range(5)).encode())
    assert [len(hits) for hits in site.batches] == sizes


def test_the_same_lines_elsewhere_in_the_file_are_other_hits(site: Site) -> None:
    run("-", "--batch", "2", stdin=line_of("/same").encode() * 6)
    assert site.paths == ["/same"] * 6


def test_an_import_that_is_run_again_counts_nothing_twice(site: Site, log: Path) -> None:
    """And says how much of it was counted before."""
    run(str(log), "--batch", "100")
    half = log.with_name("more.log")
    half.write_text(log.read_text() + line_of("/new") * 7)
    result = run(str(half), "--batch", "100")
    assert result.exit_code == 0
    assert len(site.counted) == 1007
    assert figures(result) == {
        "lines read": 2007,
        "left out: a part of a page, a feed or a robot's file": 1000,
        "sent": 1007,
        "accepted": 1007,
        "of these new": 7,
        "of these counted before, and not again": 1000,
    }


def test_a_batch_whose_answer_was_lost_is_new(site: Site, log: Path) -> None:
    """It was this import that sent it before."""
    site.failures = [httpx.ReadTimeout("taken, but the answer was lost")]
    assert "counted before" not in run(str(log)).stdout


def test_the_same_log_packed_is_the_same_import(site: Site, log: Path, tmp_path: Path) -> None:
    run(str(log))
    packed = tmp_path / "access.log.gz"
    packed.write_bytes(gzip.compress(log.read_bytes()))
    run(str(packed))
    run("-", stdin=packed.read_bytes())
    assert len(site.counted) == 1000
    assert len(site.batches) == 6


@pytest.mark.parametrize("first", [1, 2, 3, 500, 999, 1000, 1001, 1002, 1999, 2001])
def test_going_on_from_a_line_cuts_what_follows_as_before(site: Site, log: Path, first: int) -> None:
    result = run(str(log), "--batch", "100", "--from-line", str(first))
    assert site.paths == [f"/{n}" for n in range(first // 2, 1000)]
    assert figures(result).get("skipped by --from-line", 0) == first - 1
    first_keys = set(site.keys)
    run(str(log), "--batch", "100")
    assert len(set(site.keys) - first_keys) == -(-(first // 2) // 100)


def test_lost_answers_and_restarts_of_the_service_count_once(site: Site, log: Path) -> None:
    site.failures = [
        httpx.ConnectError("refused"),
        httpx.ReadTimeout("taken, but the answer was lost"),
        httpx.Response(503),
        httpx.RemoteProtocolError("disconnected"),
        httpx.Response(429, headers={"Retry-After": "2"}),
    ]
    result = run(str(log), "--batch", "250")
    assert result.exit_code == 0
    assert site.paths == [f"/{n}" for n in range(1000)]
    assert "the rate limit is used up: trying again in 2 s" in result.stderr


def test_an_import_that_had_to_stop_says_where_and_ends_right_when_started_again(site: Site, log: Path) -> None:
    answers: list[Answer] = [accept, lambda _hits: httpx.Response(503)]
    site.answer = lambda hits: answers.pop(0)(hits) if len(answers) > 1 else answers[0](hits)
    stopped = run(str(log), "--batch", "250", "--patience", "10")
    assert stopped.exit_code == 1
    assert figures(stopped) | {"lines read": 0} == {
        "lines read": 0,
        "left out: a part of a page, a feed or a robot's file": 1000,
        "sent": 500,
        "accepted": 250,
    }
    assert f"Stopped: {URL} answered 503, " in stopped.stderr
    assert "--from-line 500:" in stopped.stderr
    site.answer = accept
    assert run(str(log), "--batch", "250", "--from-line", "500").exit_code == 0
    assert site.paths == [f"/{n}" for n in range(1000)]


def test_the_window_is_waited_for_before_it_is_used_up(site: Site, log: Path) -> None:
    used_up = {"X-Rate-Limit-Remaining": "0", "X-Rate-Limit-Reset": "60"}
    site.answer = lambda _hits: httpx.Response(202, json={"status": "ok"}, headers=used_up)
    assert run(str(log)).exit_code == 0
    assert site.slept == [60]


def test_refused_lines_are_shown_by_their_number_and_the_rest_counts(site: Site, log: Path) -> None:
    refused = {"errors": {"3": "path: must be UTF-8.", "499": "created_at: in the future."}}
    said = {"X-Goatcounter-Filter": "0, 4", "X-Countless": "not counted: robot: 1, 2; ignored address: 0, 4; spam: 7"}
    site.answer = lambda _hits: httpx.Response(400, json=refused, headers=said)
    result = run(str(log))
    assert result.exit_code == 3
    assert result.stderr.splitlines() == [
        "line 7: path: must be UTF-8.",
        "line 999: created_at: in the future.",
        "line 1007: path: must be UTF-8.",
        "line 1999: created_at: in the future.",
    ]
    assert figures(result) == {
        "lines read": 2000,
        "left out: a part of a page, a feed or a robot's file": 1000,
        "sent": 1000,
        "accepted": 992,
        "of these not counted: robot": 4,
        "of these not counted: spam": 2,
        "ignored by the site's settings": 4,
        "refused": 4,
    }


def test_every_line_left_out_is_counted_by_its_reason(site: Site) -> None:
    lines = [
        line_of("/"),
        "no such line\n",
        "\n",
        line_of("/", method="POST"),
        line_of("/", 404),
        line_of("/", 301),
        line_of("/", 500),
        line_of("/logo.png"),
    ]
    result = run("-", stdin="".join(lines).encode())
    assert result.exit_code == 0
    assert site.paths == ["/"]
    assert figures(result) == {
        "lines read": 8,
        "left out: not a line of this format": 2,
        "left out: a method other than GET": 1,
        "left out: an error or a redirect": 3,
        "left out: a part of a page, a feed or a robot's file": 1,
        "sent": 1,
        "accepted": 1,
    }


def test_the_common_format_is_read_when_it_is_named(site: Site) -> None:
    line = b'192.0.2.1 - - [17/May/2015:10:05:03 +0000] "GET /a HTTP/1.1" 200 5\n'
    assert run("-", "--format", "common", stdin=line).exit_code == 0
    assert [(hit["path"], hit["user_agent"]) for hit in site.counted] == [("/a", "")]


def test_an_empty_log_sends_nothing(site: Site) -> None:
    result = run("-", stdin=b"")
    assert (result.exit_code, site.batches) == (0, [])


def test_a_token_that_may_not_count_is_told_before_anything_is_sent(site: Site, log: Path) -> None:
    site.permissions = 64
    result = run(str(log))
    assert (result.exit_code, result.stdout, site.batches) == (1, "", [])
    assert result.stderr == "Stopped: the token 'importer' may not record page views\n"


def test_what_the_service_refuses_as_a_whole_stops_the_import(site: Site, log: Path) -> None:
    site.answer = lambda _hits: httpx.Response(403, json={"error": "requires 'count' permissions"})
    result = run(str(log))
    assert result.exit_code == 1
    assert "requires 'count' permissions (status 403)" in result.stderr


@pytest.mark.parametrize("name", ["none.log", "."])
def test_a_file_that_is_not_there_or_a_directory_is_wrong_usage(site: Site, tmp_path: Path, name: str) -> None:
    result = run(str(tmp_path / name))
    assert (result.exit_code, result.stdout, site.tokens) == (2, "", set())
    assert "FILE" in result.stderr


@pytest.mark.parametrize("url", ["stats.test", "localhost:8000", "ftp://stats.test", "https://", ""])
def test_an_address_that_cannot_be_a_site_is_wrong_usage(site: Site, log: Path, url: str) -> None:
    result = run(str(log), url=url)
    assert (result.exit_code, result.stdout, site.tokens) == (2, "", set())
    assert "--url" in result.stderr


@pytest.mark.parametrize(
    ("patience", "first"),
    [("300", "for up to 30 s"), ("20", "for up to 20 s (--patience)")],
)
def test_where_nobody_ever_answered_is_given_up_soon(site: Site, log: Path, patience: str, first: str) -> None:
    site.refuses = True
    result = run(str(log), "--patience", patience)
    assert (result.exit_code, result.stdout) == (1, "")
    told = result.stderr.splitlines()
    assert told[0] == f"no answer from {URL} (ConnectError): trying again {first}"
    assert told[-1].startswith(f"Stopped: no answer from {URL} (ConnectError), ")
    assert set(told[1:-1]) <= {f"trying again in {seconds} s" for seconds in range(1, 10)}
    assert 13 < sum(site.slept) <= min(float(patience), 30)


def test_an_outage_during_the_import_has_all_the_patience(site: Site, log: Path) -> None:
    site.failures = [httpx.ConnectError("refused")] * 12
    result = run(str(log))
    assert (result.exit_code, len(site.counted)) == (0, 1000)
    assert f"no answer from {URL} (ConnectError): trying again for up to 300 s (--patience)\n" in result.stderr


def test_a_file_of_another_format_is_told(site: Site) -> None:
    common = b'192.0.2.1 - - [17/May/2015:10:05:03 +0000] "GET /a HTTP/1.1" 200 5\n'
    result = run("-", stdin=common * 3)
    assert (result.exit_code, site.batches) == (4, [])
    assert result.stderr.splitlines() == [
        *(f"line {number}: not a line of this format" for number in (1, 2, 3)),
        "No line is in this format; see --format in countless import --help",
    ]
    later = run("-", "--from-line", "2", stdin=line_of("/").encode() + common)
    assert later.exit_code == 4
    assert later.stderr.splitlines()[1:] == [
        "No line from 2 on is in this format; see --format in countless import --help"
    ]


@pytest.mark.usefixtures("site")
def test_lines_of_which_some_are_of_the_format_end_well() -> None:
    assert run("-", stdin=b"no such line\n" + line_of("/", 404).encode()).exit_code == 0
    assert run("-", "--from-line", "9", stdin=b"no such line\n").exit_code == 0


def test_the_help_has_no_gaps_inside_its_paragraphs() -> None:
    text = CliRunner().invoke(countless.cli.main, ["import", "--help"]).output.partition("Options:")[0]
    assert not re.search(r"\S {2,}", text)
    assert {len(line) - len(line.lstrip()) for line in text.splitlines()[1:] if line} == {2}


@pytest.mark.parametrize(
    ("damage", "told", "least"),
    [
        ("cut off", "its gzip data end too early", 400),
        ("overwritten", "its gzip data are damaged", 400),
        ("followed", "what follows the end of its gzip data is not gzip", 1000),
    ],
)
def test_of_a_damaged_file_everything_is_sent_that_can_be_read(
    site: Site, log: Path, *, damage: str, told: str, least: int
) -> None:
    packed = bytearray(gzip.compress(log.read_bytes(), zlib.Z_NO_COMPRESSION))
    if damage == "cut off":
        del packed[len(packed) // 2 :]
    elif damage == "overwritten":
        packed[len(packed) // 2 :] = b"\xff" * (len(packed) // 2)
    else:
        packed += line_of("/beyond").encode()
    path = log.with_suffix(".gz")
    path.write_bytes(packed)
    result = run(str(path))
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1] == f"{path}: {told}. All that could be read was sent."
    assert site.paths == [f"/{n}" for n in range(len(site.paths))]
    assert least <= len(site.paths) <= 1000


@pytest.mark.usefixtures("site")
def test_a_file_that_is_packed_otherwise_is_refused_with_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "access.log.xz"
    path.write_bytes(b"\xfd7zXZ\0" + bytes(100))
    result = run(str(path))
    assert (result.exit_code, result.stdout) == (1, "")
    assert "xz -dc FILE | countless import - …" in result.stderr


# --- lines that say something else than they seem to ------------------------------------------------------------------


def test_lines_with_a_column_before_the_address_are_refused_by_number(site: Site) -> None:
    lines = "".join(f"www.example.com:443 {line_of(f'/{n}', visitor=f'203.0.113.{n}')}" for n in range(9))
    result = run("-", stdin=lines.encode())
    assert (result.exit_code, site.batches) == (4, [])
    told = "there are other columns between 'www.example.com:443' and the time"
    assert result.stderr.splitlines() == [
        *(f"line {number}: {told}" for number in range(1, 6)),
        "4 more lines: no visitor's address where the format has it",
        "No line is in this format; see --format in countless import --help",
    ]
    assert run("-", "--format", "combined-vhost", stdin=lines.encode()).exit_code == 0
    assert [hit["ip"] for hit in site.counted] == [f"203.0.113.{n}" for n in range(9)]


def test_what_a_line_says_cannot_harm_a_terminal(site: Site) -> None:
    result = run("-", stdin=line_of("/", visitor="\x1b]0;x\x07\u202e\x9b2J").encode() + line_of("/").encode())
    assert result.exit_code == 0
    assert all(letter.isprintable() or letter == "\n" for letter in result.output)
    assert len(site.counted) == 1


def test_lines_may_end_by_cr_alone(site: Site) -> None:
    content = "".join(line_of(f"/{n}") for n in range(3)).replace("\n", "\r")
    assert run("-", stdin=content.encode()).exit_code == 0
    assert site.paths == ["/0", "/1", "/2"]


def test_one_address_with_nearly_all_lines_is_told(site: Site) -> None:
    """However it is written; it may be a proxy's."""
    behind = "".join(line_of("/", visitor=f"10.0.0.1:{n}") for n in range(60))
    others = "".join(line_of("/", visitor=f"192.0.2.{n}") for n in range(5))
    told = run("-", stdin=(behind + others).encode())
    assert told.exit_code == 0
    assert "60 of 65 page views come from '10.0.0.1'. If that is a proxy" in told.stderr
    assert run("-", stdin=(behind + others * 5).encode()).stderr == ""
    assert len(site.counted) == 65 + 85


VHOSTS = "".join(f"{host}:80 {line_of(f'/{host}')}" for host in ("a.example", "B.example", "a.example"))


def test_a_log_of_several_hosts_is_told_and_one_can_be_taken(site: Site) -> None:
    told = run("-", "--format", "combined-vhost", stdin=VHOSTS.encode())
    assert told.exit_code == 0
    assert "The page views are of several hosts ('a.example', 'b.example') and count for one site" in told.stderr
    one = run("-", "--format", "combined-vhost", "--host", "A.example", stdin=VHOSTS.encode())
    assert (one.stderr, figures(one)["left out: a request to another host"]) == ("", 1)
    assert site.paths == ["/a.example", "/B.example", "/a.example"] + ["/a.example"] * 2


def test_a_format_of_ones_own_is_written_as_in_the_servers_settings(site: Site) -> None:
    words = '$http_x_forwarded_for|[$time_local]|"$request"|$status'
    line = '203.0.113.7, 10.0.0.1|[17/May/2015:10:05:03 +0000]|"GET /a HTTP/1.1"|200\n'
    assert run("-", "--format", words, stdin=line.encode()).exit_code == 0
    assert [(hit["ip"], hit["path"]) for hit in site.counted] == [("203.0.113.7, 10.0.0.1", "/a")]
    wrong = run("-", "--format", "combinde", stdin=line.encode())
    assert (wrong.exit_code, "combined-vhost" in wrong.stderr) == (2, True)


# --- order by time ----------------------------------------------------------------------------------------------------


def minutes(*numbers: int) -> str:
    return "".join(line_of(f"/{n}", at=f"10:{n:02}:00") for n in numbers)


def test_lines_of_one_log_are_put_in_order_by_time(site: Site) -> None:
    run("-", "--batch", "2", stdin=minutes(3, 1, 2, 0, 4).encode())
    assert [[hit["path"] for hit in batch] for batch in site.batches] == [["/0", "/1"], ["/2", "/3"], ["/4"]]


def test_logs_of_several_servers_are_put_in_order_by_time(site: Site, tmp_path: Path) -> None:
    """Packed or not; started again, the import counts nothing twice, and with other files it is another."""
    names = ["a.log", "b.log.gz", "c.log"]
    contents = [minutes(0, 3, 6).encode(), gzip.compress(minutes(1, 4, 7).encode()), minutes(2, 5).encode() + b"x\n"]
    files = [str(tmp_path / name) for name in names]
    for file, content in zip(files, contents, strict=True):
        Path(file).write_bytes(content)
    first = run(*files, "--batch", "3")
    assert (first.exit_code, site.paths) == (0, [f"/{n}" for n in range(8)])
    assert first.stderr == f"{files[2]}: line 3: not a line of this format\n"
    assert figures(run(*files, "--batch", "3"))["of these counted before, and not again"] == 8
    assert run(*files[:2]).exit_code == 0
    assert len(site.counted) == 14


@pytest.mark.usefixtures("site")
@pytest.mark.parametrize("more", [["--from-line", "2"], ["-"]])
def test_of_several_logs_nothing_is_left_out_and_none_is_standard_input(log: Path, more: list[str]) -> None:
    result = run(str(log), str(log), *more)
    assert result.exit_code == 2
    assert "go with one FILE alone" in result.stderr


def test_the_window_is_of_a_size(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes later than it reaches, comes when it is read; long lines fill it sooner."""
    run("-", "--window", "2", stdin=minutes(1, 2, 3, 4, 0).encode())
    monkeypatch.setattr(countless.merging, "WINDOW_BYTES", 2 * len(minutes(1)))
    run("-", stdin=minutes(6, 7, 8, 9, 5).encode())
    assert site.paths == ["/1", "/2", "/0", "/3", "/4", "/6", "/7", "/5", "/8", "/9"]


@given(order=st.permutations(range(12)), window=st.integers(1, 12), batch=st.integers(1, 5), fails=st.integers(0, 11))
def test_an_import_of_lines_out_of_order_that_stops_ends_right_when_it_goes_on(
    order: list[int], window: int, batch: int, fails: int
) -> None:
    """Wherever it says to go on: what was sent before counts once, and nothing is left out."""
    taken: dict[str, list[str]] = {}
    left = fails

    class Service(PageViews):
        def __init__(self) -> None:
            """Without a connection."""

        def count(self, hits: Sequence[Hit], *, idempotency_key: str = "", **_fields: Any) -> Counted:
            nonlocal left
            if left == 0:
                raise UnreachableError("gone")
            left -= 1
            paths = [hit["path"] for hit in hits]
            assert taken.setdefault(idempotency_key, paths) == paths
            return Counted(frozenset(), {})

    def importing(first: int) -> Importer:
        return Importer(Service(), FORMATS["combined"], batch, first, window=window)

    content = minutes(*order).encode()
    stopped = importing(1)
    with suppress(UnreachableError):
        stopped.run([Source("a.log", io.BytesIO(content))])
    left = 99
    importing(stopped.report.done + 1).run([Source("a.log", io.BytesIO(content))])
    assert sorted(path for paths in taken.values() for path in paths) == sorted(f"/{n}" for n in range(12))


def test_the_token_never_shows(site: Site, log: Path) -> None:
    site.failures = [httpx.ConnectError("refused")] * 8
    site.answer = lambda _hits: httpx.Response(400, json={"error": "no"})
    result = run(str(log), token="t0psecret")
    assert site.tokens == {"Bearer t0psecret"}
    assert "t0psecret" not in result.output


def test_without_url_or_token_the_usage_is_explained(site: Site, log: Path) -> None:
    runner = CliRunner(env={"COUNTLESS_TOKEN": ""})
    assert runner.invoke(countless.cli.main, ["import", str(log), "--url", URL]).exit_code == 2
    assert runner.invoke(countless.cli.main, ["import", str(log), "--token", "t"]).exit_code == 2
    assert site.batches == []


def test_no_bar_is_drawn_where_there_is_no_terminal(site: Site, log: Path) -> None:
    assert run(str(log)).stderr == ""
    assert len(site.counted) == 1000


BEHIND_A_TERMINAL = """
import functools, httpx, sys
import countless.cli, countless.importing
from countless.client import PageViews

def answer(request):
    return httpx.Response(200, json={"status": "ok", "token": {"name": "importer", "permissions": 2}})

countless.importing.PageViews = functools.partial(PageViews, transport=httpx.MockTransport(answer))
countless.cli.main(["import", sys.argv[1], "--url", "https://stats.test", "--token", "t"])
"""


def test_a_terminal_shows_how_far_the_file_is_read() -> None:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-c", BEHIND_A_TERMINAL, str(REAL_LOG)]
    done = subprocess.run(
        command, check=True, stdout=subprocess.PIPE, stderr=theirs, env=os.environ | {"TERM": "xterm"}
    )
    os.close(theirs)
    shown = os.read(ours, 100_000).decode()
    os.close(ours)
    assert "Importing" in shown
    assert "100%" in shown
    assert b"accepted" in done.stdout


def test_the_help_names_everything_that_is_left_out() -> None:
    text = CliRunner().invoke(countless.cli.main, ["import", "--help"]).output.split()
    words = {word.strip(",") for word in text}
    assert words >= {ending for endings in PARTS.values() for ending in endings} | ROBOTS_FILES


@pytest.mark.usefixtures("site")
def test_the_real_log_is_read_whole() -> None:
    result = run(str(REAL_LOG))
    assert result.exit_code == 0
    assert figures(result) == {
        "lines read": 10000,
        "left out: a part of a page, a feed or a robot's file": 5575,
        "left out: an error or a redirect": 371,
        "left out: a method other than GET": 48,
        "left out: not a line of this format": 1,
        "sent": 4005,
        "accepted": 4005,
    }


def test_the_command_knows_its_version() -> None:
    result = CliRunner().invoke(countless.cli.main, ["--version"])
    assert result.exit_code == 0
    assert result.output == f"countless, version {metadata.version('countless')}\n"


class Operators:
    """Stands in for the module of a checkout."""

    COMMANDS = (click.Command("frobnicate", help="Ours."), click.Command("import", help="Never reached."))


def test_a_checkout_adds_its_commands_and_cannot_replace_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib, "import_module", lambda _name: Operators)
    runner = CliRunner()
    assert "frobnicate" in runner.invoke(countless.cli.main, ["--help"]).output
    assert runner.invoke(countless.cli.main, ["frobnicate"]).exit_code == 0
    assert "access log" in runner.invoke(countless.cli.main, ["import", "--help"]).output


@pytest.mark.parametrize(
    ("missing", "told"), [("infrastructure", False), ("infrastructure.commands", False), ("moto", True)]
)
def test_the_library_alone_has_its_own_commands(monkeypatch: pytest.MonkeyPatch, missing: str, *, told: bool) -> None:
    def absent(_name: str) -> object:
        raise ModuleNotFoundError(missing, name=missing)

    monkeypatch.setattr(importlib, "import_module", absent)
    result = CliRunner().invoke(countless.cli.main, ["--help"])
    assert result.exit_code == 0
    assert "import" in result.stdout
    assert (missing in result.stderr) is told
