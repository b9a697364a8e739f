"""The `countless` command: `import` for everybody, and in a checkout the operator's commands as well."""

import functools
import importlib
import sys
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

import click
import httpx

from countless.client import MAXIMUM_HITS, PATIENCE, PageViews, Wait
from countless.errors import CountlessError
from countless.importer import COUNT_PERMISSION, Importer, Refusal, Report
from countless.logs import FORMATS, Source, opened
from countless.selection import PARTS, ROBOTS_FILES, WELL_KNOWN, Reason

if TYPE_CHECKING:
    from click._termui_impl import ProgressBar  # what click.progressbar returns has no public name

EXIT_STOPPED = 1
EXIT_REFUSED = 3
EXIT_OTHER_FORMAT = 4

FIRST_PATIENCE = 30.0
"""Seconds to try an address where nobody ever answered: more likely it is wrong than down."""

_STEP = 500
"""Lines between two looks at the progress bar."""


class Commands(click.Group):
    """A group that asks for the operator's commands only when one of them, or the list, is wanted."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Ours and the operator's, by name."""
        return sorted({*super().list_commands(ctx), *operator_commands()})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """One of ours, else one of the operator's."""
        return super().get_command(ctx, cmd_name) or operator_commands().get(cmd_name)


def operator_commands() -> dict[str, click.Command]:
    """What `infrastructure.commands.COMMANDS` offers, by name; nothing where only the library is."""
    try:
        module = importlib.import_module("infrastructure.commands")
    except ModuleNotFoundError as error:
        if error.name not in {"infrastructure", "infrastructure.commands"}:
            click.echo(f"The operator's commands need {error.name}, which is not installed.", err=True)
        return {}
    return {str(command.name): command for command in module.COMMANDS}


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="countless", prog_name="countless")
def main() -> None:
    """Count anything, serverless."""


_IMPORT_HELP = """\
Import the page views of a web server's access log.

FILE is a log in Apache's and nginx's combined or common format, plain or compressed with gzip; - reads standard
input. Lines are sent in the order of the file.

Page views are GET requests answered with 2xx or 304, except for

\b
{parts}
- {robots}, and all below {well_known}

Documents and downloads (pdf, zip, txt) count. The query is cut off the path; it is only searched for campaigns.
Robots and referrer spam are sent too: the service recognises them and does not count them.

Visits are told apart by address and browser, with 8 hours between two visits. The common format has no browsers,
so that each of its page views is a visit of its own.

Every batch carries a key made from its lines. If an import ends early, start the same command again (same file,
same --batch, same --format), from the start or with --from-line where the report says: for 24 hours the service
knows the batches that it has and counts none twice. Later than that, or when the file has grown since, go on with
--from-line where the report says. A --from-line amid a batch that has been sent makes that another batch, which
counts again.

Exit status: 0 all page views were taken; 1 stopped before the end; 2 wrong usage; 3 the service refused some
lines, which are listed; 4 no line is in the format.
"""


def _import_help() -> str:
    parts = "\n".join(f"- {kind}: {' '.join(endings)}" for kind, endings in PARTS.items())
    return _IMPORT_HELP.format(parts=parts, robots=", ".join(sorted(ROBOTS_FILES)), well_known=WELL_KNOWN)


def _checked_url(_context: click.Context, _option: click.Parameter, value: str) -> str:
    """Refuse as wrong usage what cannot be a site's base."""
    try:
        url = httpx.URL(value.strip())
    except httpx.InvalidURL as error:
        raise click.BadParameter(f"{value!r}: {error}") from error
    if url.scheme not in {"http", "https"} or not url.host:
        raise click.BadParameter(f"{value!r} does not begin with https://host or http://host")
    return value


@main.command("import", help=_import_help())
@click.argument("file", type=click.Path(exists=True, dir_okay=False, allow_dash=True))
@click.option(
    "--url", required=True, callback=_checked_url, help="The site's base: https://host, or https://host/s/CODE."
)
@click.option(
    "--token",
    required=True,
    envvar="COUNTLESS_TOKEN",
    show_envvar=True,
    help="An API token with the permission to record page views; better given by the environment.",
)
@click.option("--format", "layout", type=click.Choice(sorted(FORMATS)), default="combined", show_default=True)
@click.option(
    "--batch",
    type=click.IntRange(1, MAXIMUM_HITS),
    default=MAXIMUM_HITS,
    show_default=True,
    help="Page views in a request.",
)
@click.option("--from-line", type=click.IntRange(1), default=1, help="Leave out the lines before this one.")
@click.option(
    "--patience",
    type=click.FloatRange(0),
    default=PATIENCE,
    show_default=True,
    help=f"Seconds to keep trying while the service does not answer; at first at most {FIRST_PATIENCE:.0f} to connect.",
)
def import_log(  # noqa: PLR0913, PLR0917 - one argument for each option
    file: str, url: str, token: str, layout: str, batch: int, from_line: int, patience: float
) -> None:
    """Send the log, report, and leave with the status that the help promises."""
    begun = time.monotonic()
    on_wait = functools.partial(_say_wait, patience)
    with PageViews(url, token, patience=patience, first_patience=FIRST_PATIENCE, on_wait=on_wait) as service:
        importer = Importer(service, FORMATS[layout], batch, from_line, on_refused=_say_refusal)
        problem = _run(importer, file)
    report = importer.report
    if problem and not report.lines:
        click.echo(f"Stopped: {problem}", err=True)
        sys.exit(EXIT_STOPPED)
    click.echo(as_text(report, time.monotonic() - begun))
    if problem:
        click.echo(f"Stopped: {problem}\n{_advice(report)}", err=True)
        sys.exit(EXIT_STOPPED)
    if report.refused:
        sys.exit(EXIT_REFUSED)
    if report.excluded[Reason.MALFORMED] == report.lines - report.skipped > 0:
        lines = f"No line from {from_line} on" if report.skipped else "No line"
        click.echo(f"{lines} is in the {layout} format; see --format", err=True)
        sys.exit(EXIT_OTHER_FORMAT)


def _run(importer: Importer, file: str) -> str:
    """Import; empty if all went through, else what stopped it."""
    try:
        with opened(file) as source:
            _check_permission(importer.service)
            with _progress(source) as bar:
                importer.on_line = bar.line
                importer.run(source)
    except CountlessError as error:
        return str(error)
    except (OSError, EOFError, zlib.error) as error:
        return f"{file} cannot be read: {error}"
    except KeyboardInterrupt:
        return "interrupted."
    return ""


class _Lines(Protocol):
    """Hears of every line read."""

    def line(self) -> None: ...


class _Silence:
    """No terminal, no progress."""

    def line(self) -> None: ...


class _Bar:
    """Draws how much of the file has been read, now and then: drawing costs more than reading a line."""

    def __init__(self, source: Source, bar: "ProgressBar[int]") -> None:
        self._source = source
        self._bar = bar
        self._lines = 0

    def line(self) -> None:
        self._lines += 1
        if self._lines % _STEP == 0:
            self._bar.update(self._source.position() - self._bar.pos)


@contextmanager
def _progress(source: Source) -> Iterator[_Lines]:
    """A bar on a terminal, for a file whose size is known."""
    if source.size is None or not sys.stderr.isatty():
        yield _Silence()
        return
    with click.progressbar(length=source.size, label="Importing", file=sys.stderr) as bar:
        yield _Bar(source, bar)
        bar.update(source.size - bar.pos)


def _check_permission(service: PageViews) -> None:
    """Find out now rather than after reading the file that the token does not do."""
    token = service.me()["token"]
    if not token["permissions"] & COUNT_PERMISSION:
        raise CountlessError(f"the token {token['name']!r} may not record page views")


def _advice(report: Report) -> str:
    return (
        f"Everything up to line {report.done} is done. Start the same command again within 24 hours, or go "
        f"on with --from-line {report.done + 1}: nothing counts twice."
    )


def as_text(report: Report, seconds: float) -> str:
    """The report for people: one figure a line."""
    rows = [
        ("lines read", report.lines),
        ("skipped by --from-line", report.skipped),
        *((f"left out: {reason.value}", count) for reason, count in report.excluded.most_common()),
        ("sent", report.sent),
        ("accepted", report.accepted),
        ("ignored by the site's settings", report.ignored),
        ("refused", report.refused),
    ]
    shown = [(name, f"{count:,}") for name, count in rows if count or name in {"lines read", "sent", "accepted"}]
    shown.append(("duration", f"{seconds:.1f} s"))
    return "\n".join(f"{name:<58} {value:>12}" for name, value in shown)


def _say_wait(patience: float, wait: Wait) -> None:
    """The first failure of a request says what and where; those that follow only that we are still at it."""
    if wait.failures == 1:
        option = " (--patience)" if wait.limit == patience else ""
        click.echo(f"{wait.reason}: trying again for up to {wait.limit:.0f} s{option}", err=True)
    elif wait.seconds >= 1 and wait.failures:
        click.echo(f"trying again in {wait.seconds:.0f} s", err=True)
    elif wait.seconds >= 1:
        click.echo(f"{wait.reason}: trying again in {wait.seconds:.0f} s", err=True)


def _say_refusal(refusal: Refusal) -> None:
    click.echo(f"line {refusal.line}: {refusal.message}", err=True)
