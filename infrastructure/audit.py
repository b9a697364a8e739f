"""`countless audit` counts streams again from their logs and says whether the rollups agree.

`countless rebuild` has the rollups counted anew.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import click

from countless.printing import say
from infrastructure.reaching import at_aws, reaching

if TYPE_CHECKING:
    from chalicelib.core.audit import Audit


@click.command(short_help="Prove that the figures are those of the log.")
@click.argument("streams", nargs=-1, metavar="[STREAM]...")
@at_aws()
def audit(streams: tuple[str, ...], url: str | None) -> None:
    """Prove that the figures are what the log says: for every site's stream, or those named, also by
    their sites' codes or ids.

    Each stream's log is read from its first segment on and counted anew; nothing is changed, and counting may go
    on meanwhile. Prints a line a stream (its watermark is the last segment that the rollups hold; what came later
    is read from the log itself), and below it what differs. Against AWS itself, the variables that the
    functions have (COUNTLESS_...) say where log and rollups are.

    Where only the rollups differ, `countless rebuild STREAM` counts them anew from the log.

    Exit status: 0 log and rollups agree; 1 they differ somewhere; 2 there is no such stream.
    """
    with reaching(url):
        differing = 0
        for found in audits(streams):
            say(*as_lines(found))
            differing += bool(found.differences)
    if differing:
        raise SystemExit(1)


@click.command(short_help="Count figures anew from the log.")
@click.argument("streams", nargs=-1, required=True, metavar="STREAM...")
@at_aws()
def rebuild(streams: tuple[str, ...], url: str | None) -> None:
    """Count the figures of each STREAM anew from its log. A site's code or id names its stream as well.

    For figures of which the audit says that they differ from the log, or that parts of them are missing. Counting and
    reading go on meanwhile; the new figures take the place of the old ones all at once. An audit follows.

    Exit status: 0 the figures are those of the log; 1 they are not, or could not be counted; 2 there is no such stream.
    """
    from chalicelib.core.errors import BrokenLog, Conflict  # noqa: PLC0415

    differing = 0
    with reaching(url):
        from chalicelib import wiring  # noqa: PLC0415 - reads its settings from the environment

        for stream in known_streams(streams):
            try:
                segments = wiring.rebuilder().rebuild(stream)
            except (BrokenLog, Conflict) as error:
                say(f"{stream}: {error}")
                differing += 1
                continue
            say(f"{stream}: counted anew from {segments:,} segments")
            for found in audits([stream]):
                say(*as_lines(found))
                differing += bool(found.differences)
    if differing:
        raise SystemExit(1)


def known_streams(streams: Sequence[str]) -> Sequence[str]:
    """The streams that are named, also by the codes or ids of their sites; every site's if none is.

    Raises:
        click.BadParameter: no site has such a stream.
    """
    from chalicelib import wiring  # noqa: PLC0415 - as above

    sites = list(wiring.accounts().all_sites())
    known = {str(site.id): site.stream for site in sites} | {site.code: site.stream for site in sites}
    known |= {site.stream: site.stream for site in sites}
    found = {name: known.get(name, known.get(name.lower(), "")) for name in streams}
    if unknown := sorted(name for name, stream in found.items() if not stream):
        raise click.BadParameter(f"no site has the stream {', '.join(unknown)}", param_hint="STREAM")
    return list(dict.fromkeys(found.values() if streams else known.values()))


def audits(streams: Sequence[str] = ()) -> Iterator[Audit]:
    """Audits streams that are named as `known_streams` says, one after the other.

    Raises:
        click.BadParameter: no site has such a stream; nothing has been audited then.
    """
    from chalicelib import wiring  # noqa: PLC0415 - as above
    from chalicelib.core.audit import audit as audited  # noqa: PLC0415

    for stream in known_streams(streams):
        yield audited(wiring.log(), wiring.rollups(), stream)


def as_lines(found: Audit) -> list[str]:
    """What is said of one stream: a line, and one more for each difference."""
    verdict = f"{len(found.differences)} differences" if found.differences else "ok"
    line = f"{found.stream}: {found.events:,} events in {found.segments:,} segments, watermark {found.watermark:,}"
    lines = [f"{line}: {verdict}", *(f"  {difference}" for difference in found.differences)]
    if found.rollups:
        lines.append(f"  the log is sound: `countless rebuild {found.stream}` counts anew from it")
    return lines
