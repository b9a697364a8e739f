"""The file that tells scripts the URL and keys of a local run. It exists while the service answers.

Loads quickly: an old file must be out of the way before anybody can mistake it for a new one.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Credentials:
    """All that a client needs to know. Token and key may do everything; the key only with its one site."""

    url: str
    account: str
    site_id: int
    domain: str
    domain_key: str = field(repr=False)
    api_token: str = field(repr=False)
    username: str
    password: str = field(repr=False)


def take(file: Path) -> Credentials | None:
    """The credentials that an earlier run wrote; None if there are none that make sense.

    Until `write` the file is gone, so that whoever waits for it waits for a service that answers. What it said
    is kept beside it, for the case that this run ends before it serves.
    """
    if file.exists():
        file.replace(_previous(file))
    try:
        return Credentials(**json.loads(_previous(file).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def write(file: Path, credentials: Credentials) -> None:
    """Write them for the owner's eyes only, all at once: whoever finds the file finds it whole."""
    with _temporary(file) as (descriptor, name):
        with os.fdopen(descriptor, "w", encoding="utf-8") as handle:
            json.dump(asdict(credentials), handle, indent=2)
            handle.write("\n")
        Path(name).replace(file)
    _previous(file).unlink(missing_ok=True)


def _previous(file: Path) -> Path:
    return file.with_name(f".{file.name}.previous")


@contextlib.contextmanager
def _temporary(file: Path) -> Iterator[tuple[int, str]]:
    """A file of mode 600 beside the one that it will replace; gone if it does not."""
    descriptor, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    try:
        yield descriptor, name
    finally:
        Path(name).unlink(missing_ok=True)
