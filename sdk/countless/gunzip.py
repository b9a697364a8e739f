"""Unpacks gzip as `gzip -dc` does: all members, and of a damaged file all that comes before the damage."""

import io
import zlib
from collections.abc import Iterator

MAGIC = b"\x1f\x8b"

_WITH_HEADER = 16 + zlib.MAX_WBITS
_PACKED = 16 * 1024
_BLOCK = 64 * 1024
"""Bytes that are unpacked at a time: a small file may unpack to any size."""

TORN = "its gzip data end too early"
DAMAGED = "its gzip data are damaged"
BEHIND = "what follows the end of its gzip data is not gzip"


class Gunzip:
    """One file; `damage` says, once all blocks are read, why there are no more, if that is not its end."""

    def __init__(self, file: io.BufferedReader) -> None:
        self.damage = ""
        self._file = file

    def blocks(self) -> Iterator[bytes]:
        """The bytes without compression."""
        packed = self._file.read1(_PACKED)
        while packed:
            if not MAGIC.startswith(packed[:2]):
                self.damage = BEHIND
                return
            member = zlib.decompressobj(_WITH_HEADER)
            while not member.eof:
                before = member.copy()
                try:
                    block = member.decompress(packed, _BLOCK)
                except zlib.error:
                    yield from _salvaged(before, packed)
                    self.damage = DAMAGED
                    return
                if block:
                    yield block
                packed = member.unconsumed_tail
                if not (packed or block or member.eof or (packed := self._file.read1(_PACKED))):
                    self.damage = TORN
                    return
            packed = self._following(member.unused_data)

    def _following(self, packed: bytes) -> bytes:
        """What comes after a member and the zeros that may fill up its last block."""
        while not (packed := packed.lstrip(b"\0")):
            packed = self._file.read1(_PACKED)
            if not packed:
                return b""
        return packed


def _salvaged(member: "zlib._Decompress", packed: bytes) -> Iterator[bytes]:
    """What can be unpacked before the byte that is wrong."""
    blocks, size = [], 0
    for at in range(len(packed)):
        try:
            blocks.append(member.decompress(packed[at : at + 1]))
        except zlib.error:
            break
        size += len(blocks[-1])
        if size >= _BLOCK:
            yield b"".join(blocks)
            blocks, size = [], 0
    yield b"".join(blocks)
