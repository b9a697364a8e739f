"""Small databases in MaxMind's format, made for tests."""

import struct
from pathlib import Path


def _encoded(value: object) -> bytes:
    """A value in the data format of MaxMind's databases, as far as it is needed here."""
    match value:
        case str():
            return bytes([0x40 | len(value)]) + value.encode()
        case dict():
            return bytes([0xE0 | len(value)]) + b"".join(_encoded(key) + _encoded(value[key]) for key in value)
        case list():
            return bytes([len(value), 4]) + b"".join(map(_encoded, value))
        case bytes():
            return value
    raise TypeError(value)


def database(path: Path, record: object, version: int = 4, made: int = 1) -> str:
    """A database for addresses of a version: those whose first bit is 0 (below 128.0.0.0) have this record, the others
    none. `made` says when, in Unix seconds.
    """

    def short(number: int) -> bytes:
        return struct.pack(">BH", 0xA2, number)

    tree = (1 + 16).to_bytes(3, "big") + (1).to_bytes(3, "big")
    meta = {
        "node_count": struct.pack(">BI", 0xC4, 1),
        "record_size": short(24),
        "ip_version": short(version),
        "database_type": "Test",
        "languages": [],
        "binary_format_major_version": short(2),
        "binary_format_minor_version": short(0),
        "build_epoch": struct.pack(">BBQ", 8, 2, made),
        "description": {},
    }
    path.write_bytes(tree + bytes(16) + _encoded(record) + b"\xab\xcd\xefMaxMind.com" + _encoded(meta))
    return str(path)
