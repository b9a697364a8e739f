"""Logs are cut into lines, whatever their size, their ends and their packing; what can be read is read."""

import gzip
import io
import os
import random
import sys
import threading
import tracemalloc
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from countless.gunzip import BEHIND, DAMAGED, TORN
from countless.sources import LONGEST_LINE, Source, UnreadableError, opened


def source(content: bytes) -> Source:
    return Source("a.log", io.BytesIO(content))


@pytest.mark.parametrize("packed", [False, True])
def test_a_log_is_read_plain_or_packed_whatever_its_name(tmp_path: Path, *, packed: bool) -> None:
    path = tmp_path / "access.log"
    path.write_bytes(gzip.compress(b"a\nb\n") if packed else b"a\nb\n")
    with opened(str(path)) as found:
        assert list(found) == [b"a", b"b"]
        assert found.position() == found.size == path.stat().st_size


def test_a_pipe_is_read_like_a_file(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(gzip.compress(b"a\nb\n"),))
    writer.start()
    with opened(str(pipe)) as found:
        assert list(found) == [b"a", b"b"]
        assert (found.size, found.position()) == (None, 0)
    writer.join()


@pytest.mark.parametrize("packed", [False, True])
def test_standard_input_is_read_plain_or_packed(monkeypatch: pytest.MonkeyPatch, *, packed: bool) -> None:
    content = b"a\nb\n"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(gzip.compress(content) if packed else content)))
    with opened("-") as found:
        assert list(found) == [b"a", b"b"]
        assert found.size is None


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        (b"", []),
        (b"a", [b"a"]),
        (b"a\r\nb\r\n", [b"a", b"b"]),
        (b"a\rb\r", [b"a", b"b"]),
        (b"a\n\nb", [b"a", b"", b"b"]),
        (b"\xef\xbb\xbfa\nb", [b"a", b"b"]),
        (b"\0" * 200_000 + b"a\n" + b"\0" * 200_000 + b"b\n", [b"a", b"b"]),
        (b"a" * (LONGEST_LINE + 9) + b"\nb", [b"a" * (LONGEST_LINE + 1), b"b"]),
        (b"a" * 300_000 + b"\r\nb", [b"a" * (LONGEST_LINE + 1), b"b"]),
        (b"a" * (LONGEST_LINE - 1) + b"\r\nb", [b"a" * (LONGEST_LINE - 1), b"b"]),
        (b"a" * (LONGEST_LINE - 1) + b"\rb\r", [b"a" * (LONGEST_LINE - 1), b"b"]),
    ],
)
def test_lines_end_as_they_may_and_begin_after_what_is_no_text(content: bytes, lines: list[bytes]) -> None:
    """NULs are what a log has that was cut while it was written to; the bytes before a text say how it is coded."""
    assert list(source(content)) == list(source(gzip.compress(content, 1))) == lines


@given(st.lists(st.text("ab ä\x85\u2028", max_size=5).map(str.encode), min_size=1))
def test_lines_are_those_between_ends(lines: list[bytes]) -> None:
    content = b"".join(line + random.choice([b"\n", b"\r\n", b"\r"]) + b"" for line in [*lines, b"z"])
    joined = content.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    assert list(source(content)) == joined.split(b"\n")[:-1]


@pytest.mark.parametrize("packed", [False, True])
def test_memory_does_not_grow_with_a_line(tmp_path: Path, *, packed: bool) -> None:
    path = tmp_path / "access.log"
    content = b"x" * 6_000_000 + b"\n" + b"\0" * 6_000_000 + b"a\n"
    path.write_bytes(gzip.compress(content, 1) if packed else content)
    del content
    tracemalloc.start()
    with opened(str(path)) as found:
        assert [len(line) for line in found] == [LONGEST_LINE + 1, 1]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1_500_000


NUMBERED = [b"%d" % number for number in range(50_000)]
PLAIN = b"\n".join(NUMBERED) + b"\n"
PACKED = gzip.compress(PLAIN)


def unpacked(packed: bytes) -> tuple[list[bytes], str]:
    """The lines that can be read, and what is said of the rest."""
    found = source(packed)
    return list(found), found.damage


def test_members_follow_one_another_with_zeros_between() -> None:
    parts = gzip.compress(b"a\nb") + gzip.compress(b"c\n") + b"\0" * 40_000 + gzip.compress(b"d\n") + b"\0" * 9
    assert unpacked(parts) == ([b"a", b"bc", b"d"], "")


def test_what_follows_the_end_is_left_out_and_told() -> None:
    assert unpacked(PACKED + b"junk") == (NUMBERED, BEHIND)
    assert unpacked(PACKED + b"\0\0junk") == (NUMBERED, BEHIND)


@pytest.mark.parametrize("kept", [len(PACKED) - 1, len(PACKED) - 8, len(PACKED) - 40, len(PACKED) // 2, 11, 2])
def test_of_a_torn_file_all_is_read_that_is_there(kept: int) -> None:
    lines, damage = unpacked(PACKED[:kept])
    whole = zlib.decompressobj(31).decompress(PACKED[:kept])
    assert b"\n".join(lines) == whole.removesuffix(b"\n")
    assert damage == TORN


@pytest.mark.parametrize("at", [len(PACKED) - 8, len(PACKED) - 1, len(PACKED) // 2, 20])
def test_of_a_damaged_file_all_is_read_up_to_the_damage(at: int) -> None:
    """As much as of a file that ends there, give or take what the wrong byte itself stands for."""
    broken = bytearray(PACKED)
    broken[at] ^= 0x55
    lines, damage = unpacked(bytes(broken))
    assert damage in {DAMAGED, TORN}
    certain = zlib.decompressobj(31).decompress(PACKED[:at]).split(b"\n")[:-1]
    assert lines[: len(certain)] == certain


@pytest.mark.parametrize(
    ("start", "told"),
    [
        (b"BZh91AY", "bzip2"),
        (b"\xfd7zXZ\0", "xz"),
        (b"\x28\xb5\x2f\xfd", "zstd"),
        (b"PK\x03\x04", "zip"),
        ("\ufeff192.0.2.1 - -".encode("utf-16-le"), "UTF-16"),
        ("192.0.2.1 - -".encode("utf-16-le"), "UTF-16"),
        ("192.0.2.1 - -".encode("utf-16-be"), "UTF-16"),
    ],
)
def test_other_packings_and_codings_are_refused_with_what_to_do(start: bytes, told: str) -> None:
    with pytest.raises(UnreadableError, match=rf"a\.log is .*{told}.*countless import -"):
        list(source(start + bytes(100)))


def test_a_file_that_cannot_be_read_to_its_end_says_so() -> None:
    class Broken(io.RawIOBase):
        def __init__(self) -> None:
            self.blocks = [b"a\nb\n"]

        def readable(self) -> bool:
            return True

        def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]
            if not self.blocks:
                raise OSError("input/output error")
            block = self.blocks.pop()
            buffer[: len(block)] = block
            return len(block)

    found = Source("a.log", Broken())  # type: ignore[arg-type]
    assert list(found) == [b"a", b"b"]
    assert found.damage == "it cannot be read: input/output error"
