"""Opens logs and cuts them into lines, plain or compressed with gzip, in memory of a size that no log changes."""

import io
import os
import re
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

from countless.errors import CountlessError
from countless.gunzip import MAGIC, Gunzip

STDIN = "-"

LONGEST_LINE = 64 * 1024
"""Bytes; no server writes a longer line for a request that it accepted."""

_BLOCK = 64 * 1024
_ENDS = re.compile(rb"\r\n|\n|\r")
"""Servers escape both letters inside of lines, and some programs end lines by CR alone."""
_BEFORE = b"\0\xef\xbb\xbf"
"""The letters of what is passed over at the beginning of a line: NULs, which `copytruncate` leaves, and the mark by
which some programs say that a file is UTF-8. No line begins with any of them."""

_COMPRESSED = (
    (b"BZh", "bzip2", "bzip2 -dc"),
    (b"\xfd7zXZ\0", "xz", "xz -dc"),
    (b"\x28\xb5\x2f\xfd", "zstd", "zstd -dc"),
    (b"\x04\x22\x4d\x18", "lz4", "lz4 -dc"),
    (b"\x1f\x9d", "compress", "gzip -dc"),
    (b"PK\x03\x04", "zip", "unzip -p"),
)
_SENT = "`{} FILE | countless import - …` imports it"
_UTF_16 = re.compile(rb"\xff\xfe|\xfe\xff|(?:[\t -~]\0){8}|(?:\0[\t -~]){8}")


class UnreadableError(CountlessError):
    """The file is of a kind that is not read here; the message says what to do."""


class Source:
    """The lines of a log, and how far they have been read.

    Lines come without their ends, and without NULs and a byte order mark before them. One that is longer than
    `LONGEST_LINE` is cut to one byte more. `damage` says, once all lines are read, what ended the file before its end.
    """

    def __init__(self, name: str, file: IO[bytes], size: int | None = None) -> None:
        self.name = name
        self.size = size
        """Bytes of the file, compressed if it is; None for what has no end that is known."""
        self.damage = ""
        self._file = file
        # Looks ahead, so that it also works where nobody can seek.
        self._ahead = file if isinstance(file, io.BufferedReader) else io.BufferedReader(cast("io.RawIOBase", file))

    def position(self) -> int:
        """Bytes of the file read so far; 0 if its size is not known."""
        return 0 if self.size is None else self._file.tell()

    def __iter__(self) -> Iterator[bytes]:
        """Raises `UnreadableError` before the first line if the file is of another kind."""
        held = b""
        for block in self._blocks():
            if not held:
                block = block.lstrip(_BEFORE)  # noqa: PLW2901 - a run of NULs may be longer than a block
            pieces = _ENDS.split(held + block)
            held = pieces.pop().lstrip(_BEFORE)
            if not held and block.endswith(b"\r"):  # perhaps the first half of an end
                held = pieces.pop() + b"\r"
            for piece in pieces:
                yield _line(piece)
            if len(held) > LONGEST_LINE + 1:
                held = held[: LONGEST_LINE + 1] + held[-1:]
        if held:
            yield _line(held.removesuffix(b"\r"))

    def _blocks(self) -> Iterator[bytes]:
        """The bytes without compression; what comes before damage is given, and what comes behind it is not."""
        try:
            start = self._ahead.peek(64)[:64]
            self._refuse(start)
            if start.startswith(MAGIC):
                packed = Gunzip(self._ahead)
                yield from packed.blocks()
                self.damage = packed.damage
            else:
                yield from iter(lambda: self._ahead.read1(_BLOCK), b"")
        except OSError as error:
            self.damage = f"it cannot be read: {error}"

    def _refuse(self, start: bytes) -> None:
        for magic, kind, command in _COMPRESSED:
            if start.startswith(magic):
                raise UnreadableError(f"{self.name} is compressed with {kind}: {_SENT.format(command)}")
        if _UTF_16.match(start):
            raise UnreadableError(f"{self.name} is in UTF-16: {_SENT.format('iconv -f UTF-16 -t UTF-8')}")


def _line(piece: bytes) -> bytes:
    return piece.lstrip(_BEFORE)[: LONGEST_LINE + 1]


@contextmanager
def opened(name: str) -> Iterator[Source]:
    """The log of this name, plain or gzip (told by its first bytes, not its name); `-` is standard input.

    Raises OSError if it cannot be opened.
    """
    if name == STDIN:
        yield Source("standard input", sys.stdin.buffer)
        return
    with Path(name).open("rb") as file:
        found = os.fstat(file.fileno())
        yield Source(name, file, found.st_size if stat.S_ISREG(found.st_mode) else None)
