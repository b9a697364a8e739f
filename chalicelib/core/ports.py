"""What the engine asks of the world. `aws` answers with DynamoDB, S3 and SQS."""

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple, Protocol


class Item(NamedTuple):
    """A segment as the log holds it, under the first number that it covers."""

    number: int
    data: bytes


class LogStore(Protocol):
    """The segments of every stream, by number."""

    def read(self, stream: str, after: int, up_to: int | None = None, at_most: int | None = None) -> Sequence[Item]:
        """Consistently reads the segments with numbers above `after`, in order.

        Ends after `up_to`, or once roughly `at_most` bytes are read (then it may read more later).
        """

    def put(self, stream: str, number: int, data: bytes, expires: int | None) -> None:
        """Writes a new segment. One with a number that others follow never `expires`.

        Raises:
            Conflict: the number is taken, perhaps by this very call if its first answer was lost.
        """

    def replace(self, stream: str, number: int, old: bytes, new: bytes) -> None:
        """Rewrites a segment, and takes its end away if it has one.

        Raises:
            Conflict: it is not, or no longer, what `old` says.
        """

    def overwrite(self, stream: str, number: int, data: bytes, expires: int | None) -> None:
        """Writes a segment, whatever is there."""

    def remove(self, stream: str, numbers: Collection[int]) -> None:
        """Deletes items; those that are gone are fine."""


class RollupStore(Protocol):
    """Manifest and parts of every stream's rollups."""

    def manifest(self, stream: str) -> tuple[int, bytes] | None:
        """Consistently reads the manifest's version and bytes; None if there is none yet."""

    def manifests(self, streams: Collection[str]) -> dict[str, tuple[int, bytes]]:
        """As `manifest`, for many streams at once; those that have none yet are missing from the answer."""

    def swing(self, stream: str, version: int, data: bytes) -> None:
        """Writes the manifest of this version over the one before it (or over none, for version 1).

        Raises:
            Conflict: the one that is there is another, perhaps this very one if the first answer was lost.
        """

    def get(self, stream: str, ids: Collection[str]) -> dict[str, bytes]:
        """Reads parts; those that are gone are missing from the answer."""

    def get_all(self, wanted: Mapping[str, Collection[str]]) -> dict[str, dict[str, bytes]]:
        """As `get`, for the parts of many streams at once."""

    def put(self, stream: str, parts: Mapping[str, bytes], expires: int | None) -> None:
        """Writes parts. Writing the same again changes nothing."""

    def expire(self, stream: str, ids: Collection[str], at: int) -> None:
        """Lets parts end at a moment, in Unix seconds."""

    def missing(self, stream: str, ids: Collection[str]) -> set[str]:
        """Which of these parts are not there, consistently."""

    def lasting(self, stream: str) -> list[str]:
        """The ids of every part that does not end by itself, also of those that no manifest names."""

    def stored(self, stream: str) -> list[str]:
        """Consistently lists the ids of every part, of those that end by themselves too."""

    def remove(self, stream: str, ids: Collection[str]) -> None:
        """Deletes parts; those that are gone are fine."""

    def drop(self, stream: str, version: int) -> None:
        """Removes the manifest of this version: the rollups start anew from the log."""


class Held(NamedTuple):
    """What a redaction that is under way needs of its stream."""

    parts: frozenset[str]
    """The ids of parts that it has written and that no manifest names yet."""


class Folds(Protocol):
    """Where a fold is asked for."""

    def ask(self, stream: str, head: int) -> None:
        """Asks for a fold of the stream, soon; asking twice is harmless."""
