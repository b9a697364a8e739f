"""`countless audit`: counts streams again from their logs, and says whether the rollups agree."""

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

    Exit status: 0 log and rollups agree; 1 they differ somewhere; 2 there is no such stream.
    """
    with reaching(url):
        differing = 0
        for found in audits(streams):
            say(*as_lines(found))
            differing += bool(found.differences)
    if differing:
        raise SystemExit(1)


def audits(streams: Sequence[str] = ()) -> Iterator[Audit]:
    """Audits every site's stream by id of the site, or those that are named, one after the other. A stream may be named
    by the code or the id of its site as well.

    Raises:
        click.BadParameter: no site has such a stream; nothing has been audited then.
    """
    from chalicelib import wiring  # noqa: PLC0415 - reads its settings from the environment
    from chalicelib.core.audit import audit as audited  # noqa: PLC0415

    sites = list(wiring.accounts().all_sites())
    known = {str(site.id): site.stream for site in sites} | {site.code: site.stream for site in sites}
    known |= {site.stream: site.stream for site in sites}
    found = {name: known.get(name, known.get(name.lower(), "")) for name in streams}
    if unknown := sorted(name for name, stream in found.items() if not stream):
        raise click.BadParameter(f"no site has the stream {', '.join(unknown)}", param_hint="STREAM")
    for stream in dict.fromkeys(found.values() if streams else known.values()):
        yield audited(wiring.log(), wiring.rollups(), stream)


def as_lines(found: Audit) -> list[str]:
    """What is said of one stream: a line, and one more for each difference."""
    verdict = f"{len(found.differences)} differences" if found.differences else "ok"
    line = f"{found.stream}: {found.events:,} events in {found.segments:,} segments, watermark {found.watermark:,}"
    return [f"{line}: {verdict}", *(f"  {difference}" for difference in found.differences)]
