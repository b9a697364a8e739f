"""Every command of `countless` prints what strangers made up so that no terminal obeys it.

The commands are those that click knows, so that a new one is not forgotten: it needs a line in `CALLS`.
"""

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import click
import pytest
from botocore.client import BaseClient
from botocore.exceptions import ClientError
from click.testing import CliRunner, Result

from chalicelib import wiring
from chalicelib.aws.accounts import Created
from chalicelib.core.events import Hit
from chalicelib.core.mail import Refused
from chalicelib.core.messages import Message
from countless.cli import main
from infrastructure import care, operate
from tests.conftest import World
from tests.operating import new_account, own_tables
from tests.sdk.test_printing import is_harmless

EVIL = "\x1b]0;owned\x07\x1b[2J\x9b31m\x7f\r\u202efeed\u2028\tx\nforged: line"
"""The title of the window, an empty screen, red letters, words from right to left, lines that nobody wrote."""
LOG = b'192.0.2.1 - - [20/Nov/2026:10:00:00 +0000] "GET /a HTTP/1.1" 200 1 "-" "Mozilla/5.0 Firefox/115.0"\n'


@dataclass(frozen=True)
class Stranger:
    """A deployment in which every name that somebody may choose is evil."""

    made: Created
    url: str
    """A service that answers with evil errors."""
    log: Path


CALLS: dict[str, Any] = {
    "audit": lambda _: [],
    "aws": lambda _: ["--host", EVIL],
    "erase": lambda _: ["--session", EVIL],
    "import": lambda stranger: [str(stranger.log), "--url", stranger.url, "--token", "t"],
    "keys issue": lambda _: ["--domain", EVIL],
    "keys limits": lambda _: [EVIL, "api:20/1"],
    "keys list": lambda _: [],
    "keys revoke": lambda _: [EVIL],
    "mail login": lambda _: [EVIL, "--password", "p"],
    "mail test": lambda _: ["somebody@example.com"],
    "paths delete": lambda _: [f"/{EVIL}", "--yes"],
    "paths list": lambda _: [],
    "paths merge": lambda _: [f"/{EVIL}", "--into", "/target"],
    "paths purge": lambda _: [f"/{EVIL}", "--to", "2026-01-01"],
    "paths rename": lambda _: [f"/{EVIL}", "/new"],
    "rebuild": lambda _: [EVIL],
    "redrive": lambda _: ["ingest"],
    "secrets list": lambda _: [],
    "secrets rotate": lambda _: [EVIL],
    "secrets show": lambda _: ["edge"],
    "serve": lambda _: ["--host", EVIL],
    "sites create": lambda _: ["--host", EVIL],
    "sites delete": lambda _: [EVIL],
    "sites limits": lambda _: [EVIL, "api:20/1"],
    "sites list": lambda _: [],
    "sites set": lambda _: [EVIL, f"{EVIL}=1"],
    "users add": lambda _: [EVIL, EVIL, "--password", "correct horse"],
    "users email": lambda _: [EVIL, EVIL],
    "users list": lambda _: [],
    "users preview": lambda _: [EVIL],
    "users remove": lambda _: [f"{EVIL}!", "--yes"],
    "users reports": lambda _: [EVIL, "weekly"],
}
"""Each command, with arguments with which it has something of a stranger's to say."""
SHOWING = {"import", "keys list", "mail login", "mail test", "paths list", "paths merge", "users list", "users reports"}
"""Those that show it where all is well."""


def leaves(group: click.Command, name: str = "") -> Iterator[tuple[str, click.Command]]:
    """Every command below a group, by the words that call it."""
    if not isinstance(group, click.Group):
        yield name, group
        return
    context = click.Context(group)
    for word in group.list_commands(context):
        found = group.get_command(context, word)
        assert found is not None
        yield from leaves(found, f"{name} {word}".strip())


COMMANDS = dict(leaves(main))


def test_every_command_has_a_call_here() -> None:
    assert sorted(CALLS) == sorted(COMMANDS)


@pytest.fixture
def stranger(world: World, tmp_path: Path) -> Iterator[Stranger]:
    """Somebody of each test's own, since commands delete."""
    assert world
    log = tmp_path / "access.log"
    log.write_bytes(LOG)
    with own_tables(), evil_service() as url:
        made = new_account(EVIL)
        wiring.accounts().issue_key(made.account.id, made.user.id, EVIL)
        page = Hit("/", EVIL, False, f"example.com/{EVIL}", "h", EVIL, None, None, "", "", int(wiring.now()), 0, 0, 0)
        hits = tuple(page._replace(path=path) for path in (f"/{EVIL}", f"{EVIL}", "/target"))
        wiring.appender().append(made.site.stream, [Message(1, int(wiring.now()), made.site.stream, False, hits)])
        yield Stranger(made, url, log)


@pytest.fixture(autouse=True)
def _outside(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Redactions go on at once; mails are refused, and queues are moved, with evil words."""
    monkeypatch.setattr(care, "sleep", lambda _: _work())
    monkeypatch.setattr(operate, "redrive", lambda *_: 1)
    monkeypatch.setattr(wiring, "mailer", Refusing)
    monkeypatch.setenv("COUNTLESS_MAIL_FROM", "reports@example.com")
    wiring.settings.cache_clear()
    yield
    wiring.settings.cache_clear()


@pytest.fixture(scope="module", autouse=True)
def _no_login_stays(world: World) -> Iterator[None]:
    """Secrets are not kept in tables: what `countless mail login` was told would be there for all who come later."""
    yield
    world.client("ssm").delete_parameters(Names=[f"{wiring.settings().secrets}/smtp"])
    wiring.secrets.cache_clear()


class Refusing:
    """A server for mails."""

    def send(self, _: object) -> str:
        raise Refused(EVIL) from ValueError(EVIL)


def _work() -> None:
    for site in wiring.accounts().all_sites():
        wiring.redactor().work(site.stream, lambda: 100.0)


class evil_service:  # noqa: N801 - used like a function
    """A service that has an error for each page view."""

    def __enter__(self) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._say(200, {"token": {"name": EVIL, "permissions": 2}, "user": {}})

            def do_POST(self) -> None:
                self._say(400, {"errors": {"0": EVIL}})

            def _say(self, status: int, body: Any) -> None:
                text = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def call(words: str, arguments: list[str]) -> Result:
    result = CliRunner().invoke(main, [*words.split(), *arguments], input="y\n")
    said = result.stdout + result.stderr
    assert result.exception is None or isinstance(result.exception, SystemExit), repr(result.exception)
    assert said, f"countless {words} says nothing"
    for line in said.removesuffix("\n").split("\n"):
        assert is_harmless(line), f"countless {words} prints {line!r}"
        assert not line.startswith("forged"), f"countless {words} prints a line that is none of its own: {line!r}"
    return result


@pytest.mark.parametrize("words", sorted(COMMANDS))
def test_a_command_says_safely_what_it_is_given(words: str) -> None:
    """Whatever it makes of arguments of which none is right, and of an option that nobody has."""
    required = [f"--{option.name}" for option in COMMANDS[words].params if option.required and option.name != "file"]
    call(words, [EVIL, EVIL, *(part for name in required for part in (name, EVIL))])
    call(words, [f"--{EVIL}"])


@pytest.mark.parametrize("words", sorted(CALLS))
def test_a_command_says_safely_what_is_kept(stranger: Stranger, words: str) -> None:
    """Names of users, keys, domains, paths, titles and referrers, and the errors of others."""
    result = call(words, CALLS[words](stranger))
    if words in SHOWING:
        assert r"\x1b]0;owned\x07\x1b[2J\x9b31m\x7f\r\u202efeed\u2028\tx\nforged: line" in result.output


@pytest.mark.parametrize("words", sorted(set(CALLS) - {"aws", "serve", "import"}))
def test_a_command_says_safely_what_aws_says(stranger: Stranger, monkeypatch: pytest.MonkeyPatch, words: str) -> None:
    """Or whoever plays it."""

    def evil(*_: object) -> None:
        raise ClientError({"Error": {"Code": EVIL, "Message": EVIL}}, "GetItem")

    arguments = CALLS[words](stranger)
    wiring.accounts().forget(stranger.made.account.id)
    wiring.secrets.cache_clear()
    monkeypatch.setattr(BaseClient, "_make_api_call", evil)
    monkeypatch.setattr(operate, "redrive", evil)
    assert call(words, arguments).exit_code != 0
