"""Packs numbers and texts into few bytes, column by column, behind a checksum.

Everything that the log and the rollups store goes through `Writer` and `Reader`: a frame of a kind, a format version
and a CRC-32, around one deflate stream. Columns are stored as a base and the narrowest width that holds the rest,
byte plane by byte plane, which is what deflate likes best; all of it runs at the speed of C.
"""

import sys
import zlib
from array import array
from collections.abc import Iterable, Sequence
from itertools import accumulate, chain
from operator import sub

from .errors import BrokenLog

_TYPECODES = {1: "B", 2: "H", 4: "I", 8: "Q"}
_LEVEL = 6  # beyond it deflate takes twice the time for two per cent


def _width(span: int) -> int:
    if span < 1 << 8:
        return 1
    if span < 1 << 16:
        return 2
    return 4 if span < 1 << 32 else 8


def _planes(values: Iterable[int], width: int) -> bytes:
    packed = array(_TYPECODES[width], values)
    if sys.byteorder == "big":
        packed.byteswap()
    raw = packed.tobytes()
    return raw if width == 1 else b"".join(raw[plane::width] for plane in range(width))


def _unplanes(raw: bytes, width: int, count: int) -> list[int]:
    if width > 1:
        joined = bytearray(len(raw))
        for plane in range(width):
            joined[plane::width] = raw[plane * count : (plane + 1) * count]
        raw = bytes(joined)
    packed = array(_TYPECODES[width])
    packed.frombytes(raw)
    if sys.byteorder == "big":
        packed.byteswap()
    return packed.tolist()


class Writer:
    """Collects values in order; `frame` seals them. What is put must be read back in the same order."""

    __slots__ = ("_parts",)

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def uint(self, value: int) -> None:
        """One whole number of any size, not negative."""
        out = bytearray()
        while value > 127:
            out.append(value & 127 | 128)
            value >>= 7
        out.append(value)
        self._parts.append(bytes(out))

    def sint(self, value: int) -> None:
        """One whole number of any size and sign."""
        self.uint(value << 1 if value >= 0 else (-value << 1) - 1)

    def raw(self, value: bytes) -> None:
        """Bytes, with their length."""
        self.uint(len(value))
        self._parts.append(value)

    def column(self, values: Sequence[int]) -> None:
        """Whole numbers whose range spans less than 2^64."""
        self.uint(len(values))
        if not values:
            return
        base = min(values)
        span = max(values) - base
        self.sint(base)
        if span == 0:
            self._parts.append(b"\0")
            return
        width = _width(span)
        self._parts.append(bytes((width,)))
        rest = values if base == 0 else [value - base for value in values]
        self._parts.append(_planes(rest, width))

    def deltas(self, values: Sequence[int]) -> None:
        """A column whose neighbours are close, such as times or sorted ids: stored as differences."""
        self.uint(len(values))
        if values:
            self.sint(values[0])
            self.column(list(map(sub, values[1:], values)))

    def texts(self, values: Sequence[str]) -> None:
        """Texts, as one run of UTF-8 and a column of lengths."""
        encoded = [value.encode() for value in values]
        self.column([len(value) for value in encoded])
        self._parts.extend(encoded)

    def frame(self, kind: bytes, version: int) -> bytes:
        """The sealed frame. `kind` is one byte that says what it holds."""
        body = zlib.compress(b"".join(self._parts), _LEVEL)
        head = kind + bytes((version,))
        return head + zlib.crc32(head + body).to_bytes(4, "little") + body


class Reader:
    """Reads a frame back.

    Raises:
        BrokenLog: the frame is not of this kind and version, or its checksum does not fit.
    """

    __slots__ = ("_at", "_data")

    def __init__(self, frame: bytes, kind: bytes, version: int) -> None:
        if frame[:2] != kind + bytes((version,)):
            raise BrokenLog(f"expected a frame {kind!r} of version {version}, found {frame[:2]!r}")
        if zlib.crc32(frame[:2] + frame[6:]) != int.from_bytes(frame[2:6], "little"):
            raise BrokenLog(f"the checksum of a frame {kind!r} does not fit")
        self._data = zlib.decompress(frame[6:])
        self._at = 0

    def uint(self) -> int:
        """As `Writer.uint`."""
        value = shift = 0
        while True:
            byte = self._data[self._at]
            self._at += 1
            value |= (byte & 127) << shift
            if byte < 128:
                return value
            shift += 7

    def sint(self) -> int:
        """As `Writer.sint`."""
        value = self.uint()
        return -((value + 1) >> 1) if value & 1 else value >> 1

    def raw(self) -> bytes:
        """As `Writer.raw`."""
        return self._take(self.uint())

    def column(self) -> list[int]:
        """As `Writer.column`."""
        count = self.uint()
        if not count:
            return []
        base = self.sint()
        width = self._take(1)[0]
        if not width:
            return [base] * count
        values = _unplanes(self._take(width * count), width, count)
        return values if base == 0 else [value + base for value in values]

    def deltas(self) -> list[int]:
        """As `Writer.deltas`."""
        if not self.uint():
            return []
        first = self.sint()
        return list(accumulate(chain((first,), self.column())))

    def texts(self) -> list[str]:
        """As `Writer.texts`."""
        ends = list(accumulate(self.column()))
        data, at = self._data, self._at
        out = [data[at + start : at + end].decode() for start, end in zip(chain((0,), ends), ends, strict=False)]
        self._at = at + (ends[-1] if ends else 0)
        return out

    def _take(self, count: int) -> bytes:
        taken = self._data[self._at : self._at + count]
        self._at += count
        return taken
