"""A request on its way to the log: everything that it counts, in one message that is accepted whole or not at all."""

import base64
import zlib
from dataclasses import dataclass
from typing import Any

import orjson

from .errors import Poison
from .events import Bot, Hit

_VERSION = 3
_READ = {2, 3}
"""Versions that may still wait in a queue: 2 does not say whether it was sent with a key."""
_TEXT: set[type] = {str}
_MAYBE: set[type] = {str, type(None)}
_NUMBER: set[type] = {int}
_TYPES: tuple[set[type], ...] = (
    _TEXT,
    _TEXT,
    {bool},
    _TEXT,
    _TEXT,
    _TEXT,
    _MAYBE,
    _MAYBE,
    _TEXT,
    _TEXT,
    *[_NUMBER] * 4,
    {bool},
)
"""What the columns of hits may hold, in the order of `Hit`."""
_LEVEL = 1  # most of the gain for a third of the time: the queue is not charged by the byte
LIVE = 3600
"""Hits that are older than this when they are accepted, in seconds, are an import: their own time rules them."""


class BodyGone(Poison):
    """The body of a message is not where it was put; who the message was, its name still says."""

    def __init__(self, stream: str, accepted: int, message: int) -> None:
        super().__init__("the body is gone from the bucket")
        self.stream = stream
        self.accepted = accepted
        self.message = message


@dataclass(frozen=True, slots=True)
class Message:
    """What one request adds to one stream.

    `id` is 63 bits, made by whoever accepted the request, and stays the same through every redelivery; `derived`
    says that it comes from the caller's idempotency key and the request's body, so that another message may carry
    it up to a day apart.
    `accepted` is the moment of acceptance in Unix seconds.
    """

    id: int
    accepted: int
    stream: str
    derived: bool
    hits: tuple[Hit, ...]
    bots: tuple[Bot, ...] = ()
    keyed: bool = False
    """Whether it was sent with a key, by somebody who may name things: not by a stranger's browser."""
    dropped: tuple[tuple[int, str, int], ...] = ()
    """What else was not counted: day from 1970, reason, how many."""

    @property
    def historic(self) -> bool:
        """Whether any of its hits is older than `LIVE`, so that the order of arrival matters to its sessions."""
        return any(self.accepted - hit.at > LIVE for hit in self.hits)

    def encode(self) -> str:
        """The body of a queue message: base64 of compressed JSON."""
        body = {
            "v": _VERSION,
            "id": self.id,
            "accepted": self.accepted,
            "stream": self.stream,
            "derived": self.derived,
            "hits": list(zip(*self.hits, strict=True)),
            "bots": list(map(tuple, self.bots)),
            "keyed": self.keyed,
            **({"dropped": self.dropped} if self.dropped else {}),
        }
        return base64.b64encode(zlib.compress(orjson.dumps(body), _LEVEL)).decode()


def decode(text: str) -> Message:
    """The message that `Message.encode` wrote.

    Raises:
        Poison: this is no such message.
    """
    try:
        body = orjson.loads(zlib.decompress(base64.b64decode(text, validate=True)))
        if body["v"] not in _READ:
            raise Poison(f"a message of version {body['v']}; this code reads {_VERSION}")
        return Message(
            id=int(body["id"]),
            accepted=int(body["accepted"]),
            stream=str(body["stream"]),
            derived=bool(body["derived"]),
            hits=_hits(body["hits"]),
            bots=tuple(map(Bot._make, body["bots"])),
            keyed=bool(body.get("keyed")),
            dropped=tuple((int(day), str(reason), int(count)) for day, reason, count in body.get("dropped", ())),
        )
    except (ValueError, KeyError, TypeError, zlib.error) as error:
        raise Poison(f"not a message of ours: {type(error).__name__}") from error


def _hits(columns: list[list[Any]]) -> tuple[Hit, ...]:
    """The hits of these columns; a look at the types keeps what is not ours from harming whoever is in its batch."""
    if not columns:
        return ()
    for column, allowed in zip(columns, _TYPES, strict=True):
        if not set(map(type, column)) <= allowed:
            raise TypeError("a column holds other values than it may")
    return tuple(map(Hit._make, zip(*columns, strict=True)))
