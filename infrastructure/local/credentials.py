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


_LARGEST = 1 << 16
"""Bytes that no file of ours comes near."""


class NotOurs(Exception):
    """What stands in the place of the file is somebody's, and stays as it is; the message is a sentence."""


def take(file: Path) -> Credentials | None:
    """The credentials that an earlier run wrote; None if there are none, or the file is empty.

    Until `write` the file is gone, so that whoever waits for it waits for a service that answers. What it said
    is kept beside it, for the case that this run ends before it serves.

    Raises:
        NotOurs: the file holds anything else. It stays there, untouched.
        OSError: it cannot be read or moved, or there is no such folder.
    """
    if not file.parent.is_dir():
        raise NotADirectoryError(f"there is no folder {file.parent}")
    if not os.access(file.parent, os.W_OK | os.X_OK):
        raise PermissionError(f"nothing can be written into the folder {file.parent}")
    found, before = _read(file), _read(_previous(file))
    if file.exists():
        file.replace(_previous(file))
        return found
    return before


def _read(file: Path) -> Credentials | None:
    """What a file says; None if it is absent or empty.

    Raises:
        NotOurs: it says something else than `write` writes.
        OSError: it cannot be read.
    """
    refusal = NotOurs(f"{file} exists and holds something else than keys of `countless serve`: choose another file")
    if not file.exists():
        return None
    if not file.is_file():  # a device: to read one may never end, and to replace one is never meant
        raise refusal
    with file.open("rb") as handle:
        text = handle.read(_LARGEST + 1)
    if len(text) > _LARGEST:
        raise refusal
    if not text.strip():
        return None
    try:
        said = json.loads(text)
        found = Credentials(**said)
    except (ValueError, TypeError, RecursionError):
        raise refusal from None
    wanted = {name: int if name == "site_id" else str for name in said}
    if any(type(said[name]) is not kind for name, kind in wanted.items()):
        raise refusal
    return found


def withdraw(file: Path, credentials: Credentials | None) -> None:
    """Deletes the file if it still says what was written into it, and nobody has put anything else there."""
    with contextlib.suppress(NotOurs, OSError):
        if credentials is not None and _read(file) == credentials:
            file.unlink()


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
