"""What was taken out of a stream stays out, also of messages that were accepted before and come later.

A message may wait in a queue, or in a dead-letter queue, for weeks. So whoever purges or erases leaves a tombstone in
the log: what went, as hashes alone, of everything accepted up to a moment. It is kept for as long as messages of that
age are taken (`lifetimes.HORIZON`).
"""

from collections.abc import Collection, Iterable, Sequence
from hashlib import blake2b, sha256
from typing import NamedTuple

from .columns import Reader, Writer
from .events import Bot, Hit

ALWAYS = 1 << 62
"""Later than any event: what stands for an end that is not set."""


class Tombstone(NamedTuple):
    """What was taken out of a stream: a visitor, if `keys` or `agents` are given; else what happened in a time."""

    at: int
    """Of messages that were accepted up to this moment, in Unix seconds."""
    start: int = -ALWAYS
    """Events from this moment on …"""
    end: int = ALWAYS
    """… to this one, which is included."""
    paths: tuple[int, ...] = ()
    """`hashed` paths in lower case; none for all paths."""
    keys: tuple[int, ...] = ()
    """`hashed` session keys."""
    agents: tuple[int, ...] = ()
    """`hashed` `agent_key`s, for bots."""

    @property
    def erases(self) -> bool:
        """Whether it is about a visitor."""
        return bool(self.keys or self.agents)


def hashed(text: str) -> int:
    """63 bits of a text's hash: the same text, but nobody can read it."""
    return int.from_bytes(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()) >> 1


def agent_key(user_agent: str) -> str:
    """What stands for a User-Agent while it is looked for, so that nobody has to write it down."""
    return sha256(user_agent.encode("utf-8", "surrogatepass")).hexdigest()


def kept(tombstones: Iterable[Tombstone], hits: Sequence[Hit], accepted: Sequence[int]) -> list[bool] | None:
    """For each hit, accepted at the moment beside it, whether it stays; None if all do, as nearly always."""
    oldest = min(accepted, default=0)
    stays: list[bool] | None = None
    for tombstone in tombstones:
        if tombstone.at < oldest:
            continue
        goes = _Rule(tombstone)
        found = [moment > tombstone.at or not goes.hit(hit) for hit, moment in zip(hits, accepted, strict=True)]
        stays = found if stays is None else [one and other for one, other in zip(stays, found, strict=True)]
    return None if stays is None or all(stays) else stays


def kept_bots(tombstones: Iterable[Tombstone], bots: Collection[Bot], accepted: int) -> tuple[Bot, ...]:
    """The bots' hits of a message that stay."""
    rules = [_Rule(tombstone) for tombstone in tombstones if tombstone.at >= accepted]
    return tuple(bot for bot in bots if not any(rule.bot(bot) for rule in rules))


class _Rule:
    """A tombstone that hits and bots are held against; texts that were hashed once are not hashed again."""

    def __init__(self, tombstone: Tombstone) -> None:
        self._of = tombstone
        self._paths = frozenset(tombstone.paths)
        self._keys = frozenset(tombstone.keys)
        self._agents = frozenset(tombstone.agents)
        self._known: dict[str, int] = {}

    def hit(self, hit: Hit) -> bool:
        """Whether a hit was taken out."""
        if self._of.erases:
            keys = self._keys
            return bool(keys) and any(key and self._hash(str(key)) in keys for key in (hit.session, hit.previous))
        return self._happened(hit.path, hit.at)

    def bot(self, bot: Bot) -> bool:
        """Whether a bot's hit was taken out."""
        if self._of.erases:
            return bool(self._agents) and self._hash(agent_key(bot.user_agent)) in self._agents
        return self._happened(bot.path, bot.at)

    def _happened(self, path: str, at: int) -> bool:
        within = self._of.start <= at <= self._of.end
        return within and (not self._paths or self._hash(path.lower()) in self._paths)

    def _hash(self, text: str) -> int:
        found = self._known.get(text)
        if found is None:
            found = self._known[text] = hashed(text)
        return found


def put(out: Writer, tombstones: Sequence[Tombstone]) -> None:
    """Writes tombstones; `get` reads them."""
    out.uint(len(tombstones))
    for tombstone in tombstones:
        for number in tombstone[:3]:
            out.sint(number)
        for column in tombstone[3:]:
            out.column(column)


def get(reader: Reader) -> list[Tombstone]:
    """What `put` wrote."""
    return [
        Tombstone(
            reader.sint(),
            reader.sint(),
            reader.sint(),
            tuple(reader.column()),
            tuple(reader.column()),
            tuple(reader.column()),
        )
        for _ in range(reader.uint())
    ]


def pack(tombstones: Sequence[Tombstone]) -> bytes:
    """Tombstones as the rollups keep them."""
    out = Writer()
    put(out, tombstones)
    return out.frame(b"T", 1)


def unpack(data: bytes) -> list[Tombstone]:
    """What `pack` packed."""
    return get(Reader(data, b"T", 1))
