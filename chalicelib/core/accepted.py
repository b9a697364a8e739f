"""Blocks of accepted message ids: how a message that was folded long ago is recognised when it is delivered again."""

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Sequence

from .columns import Reader, Writer
from .lifetimes import KEY_REACH
from .manifest import Ref
from .segments import Segment, Taken

DERIVED = KEY_REACH // 60
"""Minutes either way in which an idempotency key is looked for."""
BLOCK = 20_000
"""Ids in a block at most: 160 KB."""


def minute(accepted: int) -> int:
    """The minute of acceptance, by which blocks are found."""
    return accepted // 60


def pack(ids: Iterable[int]) -> bytes:
    """A block's bytes."""
    out = Writer()
    out.deltas(sorted(ids))
    return out.frame(b"I", 1)


def unpack(data: bytes) -> "array[int]":
    """A block's ids, sorted, eight bytes each."""
    return array("Q", Reader(data, b"I", 1).deltas())


def holds(block: "array[int]", message: int) -> bool:
    """Whether an id stands in a block."""
    at = bisect_left(block, message)
    return at < len(block) and block[at] == message


def span(accepted: int, *, derived: bool) -> tuple[int, int]:
    """The minutes in which another copy of a message may have been accepted."""
    reach = DERIVED if derived else 0
    return minute(accepted) - reach, minute(accepted) + reach


def candidates(refs: Sequence[Ref], accepted: int, *, derived: bool) -> list[Ref]:
    """The blocks that may hold a message."""
    low, high = span(accepted, derived=derived)
    return [ref for ref in refs if ref.low <= high and ref.high >= low]


def settle(
    opened: Iterable[tuple[int, int, int]], segments: Iterable[Segment]
) -> tuple[list[Taken], list[tuple[int, int, int]]]:
    """Which messages are in as a whole after these segments, and which are open: id, hits taken in, hits in all."""
    still = {message: (done, total) for message, done, total in opened}
    whole = []
    for segment in segments:
        for taken in segment.taken:
            done = taken.start + taken.held
            if done >= taken.total:
                still.pop(taken.id, None)
                whole.append(taken)
            else:
                still[taken.id] = (done, taken.total)
    return whole, [(message, done, total) for message, (done, total) in still.items()]
