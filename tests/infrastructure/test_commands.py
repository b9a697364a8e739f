"""Wrong usage of the operator's commands is said in a line, before anything is started."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import boto3
import click
import pytest
from click.testing import CliRunner, Result

from infrastructure import commands, operate, storage
from infrastructure.commands import redrive, serve
from infrastructure.local import serve as local
from infrastructure.local.aws import moto_server

EVERY = [
    ["keys", "list"],
    ["users", "list"],
    ["mail", "login", "me", "--password", "p"],
    ["sites", "limits", "demo", ""],
    ["redrive"],
    ["audit"],
]
"""Commands that reach for AWS; `serve` does so as well."""


def run(*arguments: str) -> Result:
    """`countless` with these arguments."""
    group = {str(command.name): command for command in commands.COMMANDS}[arguments[0]]
    return CliRunner().invoke(group, list(arguments[1:]))


def said_in_a_line(result: Result) -> str:
    """What a failed command says is wrong: one line, below the usage if that is what was wrong."""
    assert isinstance(result.exception, SystemExit)
    usage, _, said = result.stderr.rpartition("Error: ")
    assert bool(usage) == (result.exit_code == 2)
    assert said.count("\n") == 1
    return said


@pytest.fixture
def options(monkeypatch: pytest.MonkeyPatch) -> list[local.Options]:
    """What `serve` would have begun with."""
    begun: list[local.Options] = []
    monkeypatch.setattr(local, "serve", begun.append)
    return begun


@pytest.fixture
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment in which nothing stays of where a command looked for AWS."""
    for name in ("AWS_ENDPOINT_URL", *storage.ENVIRONMENT, "COUNTLESS_SECRETS"):
        monkeypatch.setenv(name, "")


@pytest.fixture
def nothing_of_aws() -> Iterator[str]:
    """The URL of a server that answers everything with 404, in words of its own, as a Countless service does."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_error(404)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize("url", ["foo", "nonsense://x", "http://", "http://x:port", "http://x:0", "http://[::1", "//x"])
@pytest.mark.parametrize("command", [*EVERY, ["serve"]], ids=" ".join)
def test_an_aws_that_is_no_url_is_wrong_usage(command: list[str], url: str, options: list[local.Options]) -> None:
    result = run(*command, "--aws", url)
    assert result.exit_code == 2
    said = said_in_a_line(result)
    assert f"'--aws' (env var: 'COUNTLESS_AWS'): '{url}' is not a URL such as http://127.0.0.1:4566" in said
    assert options == []


@pytest.mark.parametrize("url", ["http://127.0.0.1:4566", "https://aws.example/", "http://[::1]:4566"])
def test_an_aws_may_be_anywhere(url: str, options: list[local.Options]) -> None:
    assert run("serve", "--aws", url).exit_code == 0
    assert [found.aws for found in options] == [url]


def leaves(command: click.Command) -> Iterator[click.Command]:
    """A command, or those of a group."""
    if isinstance(command, click.Group):
        for inner in command.commands.values():
            yield from leaves(inner)
    else:
        yield command


def test_every_command_that_reaches_for_aws_is_told_where_by_a_variable_as_well() -> None:
    """All of the operator's but the one that plays AWS. What a command says of days is for people."""
    every = [leaf for known in commands.COMMANDS for leaf in leaves(known)]
    for command in [leaf for leaf in every if leaf is not commands.aws]:
        by_name = {parameter.name: parameter for parameter in command.params}
        assert by_name["url"].envvar == "COUNTLESS_AWS", command.name
        help_ = CliRunner().invoke(command, ["--help"]).output
        assert "COUNTLESS_AWS" in help_
        assert "%Y" not in help_


@pytest.mark.usefixtures("clean")
@pytest.mark.parametrize("by_variable", [False, True])
@pytest.mark.parametrize("command", EVERY, ids=" ".join)
def test_an_aws_that_is_something_else_is_told_to_be(
    command: list[str], by_variable: bool, nothing_of_aws: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COUNTLESS_AWS", nothing_of_aws if by_variable else "")
    result = run(*command, *([] if by_variable else ["--aws", nothing_of_aws]))
    assert result.exit_code == 1
    said = said_in_a_line(result)
    assert said.startswith(f"{nothing_of_aws} does not play AWS: it answers GetQueueUrl with 404.")
    assert "not that of a Countless service" in said


@pytest.mark.usefixtures("clean")
def test_tables_cannot_be_made_in_what_is_not_aws(nothing_of_aws: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As `serve` tries to."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", nothing_of_aws)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    with pytest.raises(click.ClickException, match="does not play AWS: it answers CreateTable with 404"):
        local._prepare(local.Options(aws=nothing_of_aws))


@pytest.mark.usefixtures("clean")
def test_an_aws_where_no_service_ran_is_told_to_be() -> None:
    with moto_server("127.0.0.1", 0) as url:
        found = boto3.client("sqs", "us-west-1", endpoint_url=url, aws_access_key_id="x", aws_secret_access_key="x")
        assert "QueueUrls" not in found.list_queues()
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("AWS_DEFAULT_REGION", "us-west-1")
            result = run("keys", "list", "--aws", url)
    assert said_in_a_line(result) == (
        f"No service keeps anything at {url} yet: start one with `countless serve --aws {url}`.\n"
    )


def test_a_port_that_is_taken_is_said_of_aws_too(nothing_of_aws: str) -> None:
    port = nothing_of_aws.rpartition(":")[2]
    result = run("aws", "--port", port)
    assert result.exit_code == 1
    assert said_in_a_line(result) == (
        f"port {port} of 127.0.0.1 cannot be had (Address already in use); choose another with --port\n"
    )


@pytest.mark.parametrize(
    ("variable", "arguments", "limits"),
    [
        ("", [], "on"),
        ("api:7/1", [], "api:7/1"),
        ("off", [], "off"),
        ("api:7/1", ["--limits", "api:8/1"], "api:8/1"),
        ("nonsense", ["--limits", "on"], "on"),
    ],
)
def test_serve_goes_by_the_variable_unless_limits_are_given(
    variable: str, arguments: list[str], limits: str, options: list[local.Options], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COUNTLESS_LIMITS", variable)
    assert run("serve", *arguments).exit_code == 0
    assert [found.limits for found in options] == [limits]


def test_a_variable_that_names_no_limits_is_wrong_usage(
    options: list[local.Options], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COUNTLESS_LIMITS", "exports:7/60")
    result = run("serve")
    assert (result.exit_code, options) == (2, [])
    said = said_in_a_line(result)
    assert "COUNTLESS_LIMITS" in said
    assert "not a limit: 'exports:7/60'" in said


def test_keys_cannot_be_written_where_there_is_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local.Stop, "listen", lambda _: None)
    (tmp_path / "file").touch()
    for folder in ("nowhere", "file"):
        result = run("serve", "--port", "0", "--credentials", str(tmp_path / folder / "k.json"))
        assert result.exit_code == 2
        assert "--credentials" in said_in_a_line(result)


@pytest.mark.parametrize("aws", [[], ["--aws", "http://127.0.0.1:9"]])
def test_a_file_with_something_else_than_keys_is_left_alone(
    tmp_path: Path, aws: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local.Stop, "listen", lambda _: None)
    file = tmp_path / "notes.txt"
    file.write_text("mine", encoding="utf-8")
    result = run("serve", "--port", "0", "--credentials", str(file), *aws)
    assert result.exit_code == 2
    assert f"{file} exists and holds something else than keys of `countless serve`" in said_in_a_line(result)
    assert (list(tmp_path.iterdir()), file.read_text(encoding="utf-8")) == ([file], "mine")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--limits", "nonsense"], "not a limit: 'nonsense'"),
        (["--limits", "api:0/0,what:none"], "not a limit"),
        (["--port", "99999"], "99999 is not in the range"),
    ],
)
def test_serve_refuses_what_it_cannot_do(arguments: list[str], said: str) -> None:
    """With the status for wrong usage, and no service."""
    result = CliRunner().invoke(serve, arguments)
    assert result.exit_code == 2
    assert said in result.output


def test_redrive_says_what_it_needs_to_know(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a traceback."""
    for name in ("COUNTLESS_PARKED_QUEUE", "COUNTLESS_INGEST_QUEUE"):
        monkeypatch.delenv(name, raising=False)
    result = CliRunner().invoke(redrive, ["ingest"])
    assert result.exit_code == 1
    assert "COUNTLESS_PARKED_QUEUE and COUNTLESS_INGEST_QUEUE must say where the queues are" in result.output


def test_every_queue_that_has_a_parked_one_can_be_named() -> None:
    """The command writes their names down a second time."""
    [queues] = [parameter for parameter in redrive.params if parameter.name == "queues"]
    assert isinstance(queues.type, click.Choice)
    assert list(queues.type.choices) == list(operate.PARKED)
