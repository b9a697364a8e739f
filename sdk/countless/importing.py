"""`countless import`: sends logs, and says what became of each line."""

import functools
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Protocol

import click
import httpx

from countless.client import MAXIMUM_HITS, PATIENCE, PageViews, Wait
from countless.errors import CountlessError
from countless.formats import FORMATS, FormatError, Layout, layouts
from countless.importer import COUNT_PERMISSION, Importer, Remark, Report
from countless.lines import UNREAD, Reason, shown
from countless.merging import MAXIMUM_WINDOW, WINDOW
from countless.printing import say
from countless.selection import PARTS, ROBOTS_FILES, WELL_KNOWN
from countless.sources import STDIN, Source, opened

if TYPE_CHECKING:
    from click._termui_impl import ProgressBar  # what click.progressbar returns has no public name

_FILE = click.Path(exists=True, dir_okay=False, allow_dash=True)

EXIT_STOPPED = 1
EXIT_REFUSED = 3
EXIT_OTHER_FORMAT = 4

FIRST_PATIENCE = 30.0
"""Seconds to try an address where nobody ever answered: more likely it is wrong than down."""

_STEP = 500
"""Lines between two looks at the progress bar."""

_DIFFERENT = 10
"""From so many page views on it is worth a word that nearly all come from one address, …"""
_NEARLY_ALL = 0.9
"""… which is this part of them."""
_REMARKS = 5
"""So many lines are shown for each reason why they cannot be read; the report has how many there were."""

_IMPORT_HELP = """\
Import the page views of web servers' access logs.

FILE is a log, plain or compressed with gzip; - reads standard input. The page views of several logs, as of servers
behind one balancer, are put in order by time, and so are those of one log, as far as --window reaches.

--format is one of

\b
- combined, common: Apache's and nginx's formats, with and without referrer and browser
- combined-vhost, common-vhost: the same behind the host that was asked (Debian's other_vhosts_access.log)
- cloudfront: CloudFront's standard log
- alb: an Application Load Balancer's access log
- caddy: Caddy's JSON

or a format in the words of Apache's LogFormat (%a %t "%r" %>s) or nginx's log_format ($remote_addr [$time_local]
"$request" $status), as it stands in the server's settings. It needs a time and a request; an address that a proxy
passed on ($http_x_forwarded_for, %{{X-Forwarded-For}}i) goes before the proxy's own.

Page views are GET requests answered with 2xx or 304, except for

\b
{parts}
- {robots}, and all below {well_known}

Documents and downloads (pdf, zip, txt) count. The query is cut off the path; it is only searched for campaigns.
Robots and referrer spam are sent too: the service recognises them and does not count them.

Visits are told apart by address and browser, with 8 hours between two visits.

Every batch carries a key made from its lines. If an import ends early, start the same command again (same files,
--batch, --format and --window), from the start or with --from-line where the report says: for 24 hours the service
knows the batches that it has and counts none twice. Later than that, or when the file has grown since, go on with
--from-line where the report says. A --from-line amid a batch that has been sent makes that another batch, which
counts again.

Exit status: 0 all page views were taken; 1 stopped before the end, or a file is damaged; 2 wrong usage; 3 the service
refused some lines, which are listed; 4 no line is in the format.
"""


def _import_help() -> str:
    parts = "\n".join(f"- {kind}: {' '.join(endings)}" for kind, endings in PARTS.items())
    robots = ", ".join(sorted(ROBOTS_FILES))
    return _IMPORT_HELP.format(parts=parts, robots=robots, well_known=WELL_KNOWN)


def _checked_url(_context: click.Context, _option: click.Parameter, value: str) -> str:
    """Refuse as wrong usage what cannot be a site's base."""
    try:
        url = httpx.URL(value.strip())
    except httpx.InvalidURL as error:
        raise click.BadParameter(f"{value!r}: {error}") from error
    if url.scheme not in {"http", "https"} or not url.host:
        raise click.BadParameter(f"{value!r} does not begin with https://host or http://host")
    return value


def _checked_format(_context: click.Context, _option: click.Parameter, value: str) -> Callable[[], Layout]:
    """Refuse as wrong usage what is no format."""
    try:
        return layouts(value)
    except FormatError as error:
        raise click.BadParameter(f"{value!r} {error}; formats with a name: {', '.join(FORMATS)}") from error


@click.command("import", help=_import_help())
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=_FILE)
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
@click.option(
    "--format", "layout", callback=_checked_format, metavar="NAME|WORDS", default="combined", show_default=True
)
@click.option("--host", default="", help="Take requests to this host alone, where the format has hosts.")
@click.option(
    "--batch",
    type=click.IntRange(1, MAXIMUM_HITS),
    default=MAXIMUM_HITS,
    show_default=True,
    help="Page views in a request.",
)
@click.option(
    "--window",
    type=click.IntRange(1, MAXIMUM_WINDOW),
    default=WINDOW,
    show_default=True,
    help="Page views that wait in memory, to be put in order by time.",
)
@click.option("--from-line", type=click.IntRange(1), default=1, help="Leave out the lines of FILE before this one.")
@click.option(
    "--patience",
    type=click.FloatRange(0),
    default=PATIENCE,
    show_default=True,
    help=f"Seconds to keep trying while the service does not answer; at first at most {FIRST_PATIENCE:.0f} to connect.",
)
def import_logs(  # noqa: PLR0913, PLR0917 - one argument for each option
    files: tuple[str, ...],
    url: str,
    token: str,
    layout: Callable[[], Layout],
    host: str,
    batch: int,
    window: int,
    from_line: int,
    patience: float,
) -> None:
    """Send the logs, report, and leave with the status that the help promises."""
    if len(files) > 1 and (from_line > 1 or STDIN in files):
        raise click.UsageError("--from-line and standard input go with one FILE alone.")
    begun = time.monotonic()
    said = _Remarks(files)
    with PageViews(
        url,
        token,
        patience=patience,
        first_patience=FIRST_PATIENCE,
        on_wait=functools.partial(_say_wait, patience),
    ) as service:
        importer = Importer(service, layout, batch, from_line, host.lower(), window, on_remark=said.hear)
        problem, damage = _run(importer, files)
    report = importer.report
    if problem and not report.lines:
        say(f"Stopped: {problem}", err=True)
        sys.exit(EXIT_STOPPED)
    say(*as_text(report, time.monotonic() - begun).split("\n"))
    for line in (*said.rest(), *_doubts(report), *damage):
        say(line, err=True)
    if problem:
        say(f"Stopped: {problem}", _advice(report, several=len(files) > 1), err=True)
    sys.exit(_status(report, from_line, stopped=bool(problem or damage)))


def _status(report: Report, from_line: int, *, stopped: bool) -> int:
    if stopped:
        return EXIT_STOPPED
    if report.refused:
        return EXIT_REFUSED
    unread = sum(report.excluded[reason] for reason in UNREAD)
    if unread and unread == report.lines - report.skipped - report.excluded[Reason.REMARK]:
        lines = f"No line from {from_line} on" if report.skipped else "No line"
        say(f"{lines} is in this format; see --format in countless import --help", err=True)
        return EXIT_OTHER_FORMAT
    return 0


def _run(importer: Importer, files: Sequence[str]) -> tuple[str, list[str]]:
    """Import; empty if all went through, else what stopped it. Then what is wrong with the files."""
    damage: list[str] = []
    try:
        with ExitStack() as stack:
            sources = [stack.enter_context(opened(file)) for file in files]
            _check_permission(importer.service)
            with _progress(sources) as bar:
                importer.on_line = bar.line
                importer.run(sources)
            damage = [
                f"{source.name}: {source.damage}. All that could be read was sent."
                for source in sources
                if source.damage
            ]
    except CountlessError as error:
        return str(error), damage
    except OSError as error:
        return f"a file cannot be read: {error}", damage
    except KeyboardInterrupt:
        return "interrupted.", damage
    return "", damage


class _Remarks:
    """Says what is wrong with lines: all that the service refuses, and the first few of those that cannot be read."""

    def __init__(self, files: Sequence[str]) -> None:
        self._files = files
        self._heard: Counter[Reason | None] = Counter()

    def hear(self, remark: Remark) -> None:
        """Says it, unless enough was said for the same reason."""
        if not remark.message:  # a line without anything on it
            return
        self._heard[remark.reason] += 1
        if remark.reason is Reason.REMARK or (remark.reason and self._heard[remark.reason] > _REMARKS):
            return
        where = f"{self._files[remark.file]}: " if len(self._files) > 1 else ""
        say(f"{where}line {remark.line}: {remark.message}", err=True)

    def rest(self) -> Iterator[str]:
        """What was not said."""
        for reason, count in self._heard.items():
            if reason in UNREAD and count > _REMARKS:
                yield f"{count - _REMARKS:,} more lines: {reason}"


def _doubts(report: Report) -> Iterator[str]:
    """What was taken and may be wrong all the same."""
    total = report.addresses.total
    for address, count in report.addresses.most()[:1]:
        if total >= _DIFFERENT and count >= total * _NEARLY_ALL:
            yield (
                f"{count:,} of {total:,} page views come from {shown(address)}. If that is a proxy, its visitors "
                "cannot be told apart: have the server log whom it passes on, and name that field with --format."
            )
    hosts = [host for host, _ in report.hosts.most() if host]
    if len(hosts) > 1:
        yield (
            f"The page views are of several hosts ({', '.join(map(shown, hosts[:3]))}{' …' if len(hosts) > 3 else ''}) "
            "and count for one site; --host takes those of one."
        )


class _Lines(Protocol):
    """Hears of every line read."""

    def line(self) -> None: ...


class _Silence:
    """No terminal, no progress."""

    def line(self) -> None: ...


class _Bar:
    """Draws how much of the files has been read, now and then: drawing costs more than reading a line."""

    def __init__(self, sources: Sequence[Source], bar: "ProgressBar[int]") -> None:
        self._sources = sources
        self._bar = bar
        self._lines = 0

    def line(self) -> None:
        self._lines += 1
        if self._lines % _STEP == 0:
            self._bar.update(sum(source.position() for source in self._sources) - self._bar.pos)


@contextmanager
def _progress(sources: Sequence[Source]) -> Iterator[_Lines]:
    """A bar on a terminal, for files whose size is known."""
    sizes = [source.size for source in sources if source.size is not None]
    if len(sizes) < len(sources) or not sys.stderr.isatty():
        yield _Silence()
        return
    with click.progressbar(length=sum(sizes), label="Importing", file=sys.stderr) as bar:
        yield _Bar(sources, bar)
        bar.update(sum(sizes) - bar.pos)


def _check_permission(service: PageViews) -> None:
    """Find out now rather than after reading the file that the token does not do."""
    token = service.me()["token"]
    if not token["permissions"] & COUNT_PERMISSION:
        raise CountlessError(f"the token {token['name']!r} may not record page views")


def _advice(report: Report, *, several: bool) -> str:
    again = "Start the same command again within 24 hours"
    if several:
        return f"{again}: nothing counts twice."
    if report.beyond:
        return (
            f"Everything up to line {report.done} is done, and {report.beyond:,} page views behind it, which are older "
            f"than others before them. {again}, if you like with --from-line {report.done + 1}: nothing counts twice."
        )
    return (
        f"Everything up to line {report.done} is done. {again}, or go on with --from-line {report.done + 1}: nothing "
        "counts twice."
    )


def as_text(report: Report, seconds: float) -> str:
    """The report for people: one figure a line."""
    rows = [
        ("lines read", report.lines),
        ("skipped by --from-line", report.skipped),
        *((f"left out: {reason.value}", count) for reason, count in report.excluded.most_common()),
        ("sent", report.sent),
        ("accepted", report.accepted),
        ("of these new", report.accepted - report.repeated if report.repeated else 0),
        ("of these counted before, and not again", report.repeated),
        *((f"of these not counted: {reason}", count) for reason, count in report.uncounted.most_common()),
        ("ignored by the site's settings", report.ignored),
        ("refused", report.refused),
    ]
    always = {"lines read", "sent", "accepted"} | ({"of these new"} if report.repeated else set())
    shown_rows = [(name, f"{count:,}") for name, count in rows if count or name in always]
    shown_rows.append(("duration", f"{seconds:.1f} s"))
    return "\n".join(f"{name:<58} {value:>12}" for name, value in shown_rows)


def _say_wait(patience: float, wait: Wait) -> None:
    """The first failure of a request says what and where; those that follow only that we are still at it."""
    if wait.failures == 1:
        option = " (--patience)" if wait.limit == patience else ""
        say(f"{wait.reason}: trying again for up to {wait.limit:.0f} s{option}", err=True)
    elif wait.seconds >= 1 and wait.failures:
        say(f"trying again in {wait.seconds:.0f} s", err=True)
    elif wait.seconds >= 1:
        say(f"{wait.reason}: trying again in {wait.seconds:.0f} s", err=True)
