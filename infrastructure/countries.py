"""Puts databases of countries into the package, to be shipped with it: one for IPv4, one for IPv6, or either.

    npm pack @ip-location-db/geo-whois-asn-country-mmdb && tar xzf ip-location-db-*.tgz
    python -m infrastructure.countries package/*.mmdb

Any files in MaxMind's format do whose licence allows it and that are small enough for a Lambda package.
"""

import shutil
import time
from collections.abc import Sequence
from pathlib import Path

import click
import maxminddb

from chalicelib.pageviews import geo
from countless.printing import say

LARGEST = 10_000_000
"""Bytes of all files: every function's package carries them."""
OLDEST = 366 * 86400
"""Seconds: addresses change hands."""
KNOWN = {4: ("8.8.8.8", "193.0.6.139"), 6: ("2001:4860:4860::8888", "2001:67c:2e8:22::c100:68b")}
"""Addresses that any such database places, of each version."""


class Unfit(Exception):
    """A file that must not be shipped, and why."""


def install(files: Sequence[Path], folder: Path = geo.DATA, now: float | None = None) -> list[Path]:
    """Checks all files, then puts them where the service looks for them; what was there before is gone.

    Raises:
        Unfit: nothing was changed.
    """
    versions = [_version(file, time.time() if now is None else now) for file in files]
    if len(set(versions)) != len(versions):
        raise Unfit("two files are for the same kind of address")
    if sum(file.stat().st_size for file in files) > LARGEST:
        raise Unfit(f"together they have more than {LARGEST:,} bytes")
    names = {4: geo.SHIPPED[0], 6: geo.SHIPPED[1]}
    placed = [
        Path(shutil.copyfile(file, folder / names[version])) for file, version in zip(files, versions, strict=True)
    ]
    for name in names.values():
        if folder / name not in placed:
            (folder / name).unlink(missing_ok=True)
    return placed


def _version(file: Path, now: float) -> int:
    """The version of the addresses that a database is for, if it is fit to be shipped."""
    try:
        with maxminddb.open_database(str(file)) as database:
            told = database.metadata()
    except (OSError, maxminddb.InvalidDatabaseError) as error:
        raise Unfit(f"{file}: {error}") from error
    if told.build_epoch < now - OLDEST:
        raise Unfit(f"{file} was made more than a year ago")
    locate = geo.locator(str(file))
    if unknown := [address for address in KNOWN[told.ip_version] if len(locate(address)) != 2]:
        raise Unfit(f"{file} knows no country of {', '.join(unknown)}")
    return told.ip_version


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
def main(files: tuple[Path, ...]) -> None:
    """Check databases of countries, and put them into the package."""
    try:
        placed = install(files)
    except Unfit as error:
        raise click.ClickException(str(error)) from error
    for path in placed:
        say(f"{path}: {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
