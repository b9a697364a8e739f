"""A small memory with an end to everything: what a process may remember of the world, and for how long."""

import threading
import time
from collections.abc import Callable, Hashable, Iterator
from typing import Generic, TypeVar

from .errors import Unavailable

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Memory(Generic[K, V]):
    """Remembers at most `size` values, each for `seconds`; absence (`None` as a value) is remembered as well.

    Safe to share between threads: two that miss at once both ask, which costs a call and harms nothing.
    """

    def __init__(self, size: int, seconds: float, clock: Callable[[], float] = time.time) -> None:
        self._size = size
        self._seconds = seconds
        self._clock = clock
        self._kept: dict[K, tuple[float, V]] = {}

    def get(self, key: K, ask: Callable[[], V]) -> V:
        """The value that is remembered, else what `ask` says. A clock that was set back forgets."""
        kept = self._kept.get(key)
        if kept is not None and self._fresh(kept[0]):
            return kept[1]
        value = ask()
        self.put(key, value)
        return value

    def recall(self, key: K) -> V | None:
        """The value that is remembered; None if there is none."""
        kept = self._kept.get(key)
        return kept[1] if kept is not None and self._fresh(kept[0]) else None

    def __contains__(self, key: K) -> bool:
        """Whether it is remembered."""
        kept = self._kept.get(key)
        return kept is not None and self._fresh(kept[0])

    def items(self) -> Iterator[tuple[K, V]]:
        """What is remembered, also what is about to be forgotten."""
        for key, (_, value) in list(self._kept.items()):
            yield key, value

    def put(self, key: K, value: V) -> None:
        """Remembers a value from now on; the one remembered longest makes room for it."""
        self._kept.pop(key, None)
        while len(self._kept) >= self._size:
            try:
                oldest = next(iter(self._kept))
            except StopIteration:
                break
            except RuntimeError:  # another thread changed it between the two
                continue
            self._kept.pop(oldest, None)
        self._kept[key] = (self._clock(), value)

    def forget(self, key: K) -> None:
        """As if it had never been known."""
        self._kept.pop(key, None)

    def clear(self) -> None:
        """As if nothing had ever been known."""
        self._kept.clear()

    def _fresh(self, since: float) -> bool:
        return since <= self._clock() < since + self._seconds


class Kept(Generic[K, V]):
    """Remembers what is costly to work out and may be a little old: at most `size` values.

    A value that is older than `fresh` seconds is worked out anew by the first who asks; whoever asks meanwhile gets
    the old one, and so does everybody while it cannot be worked out, until it is `stale` seconds old. Safe to share
    between threads.
    """

    def __init__(self, size: int, fresh: float, stale: float, clock: Callable[[], float] = time.time) -> None:
        self._fresh = fresh
        self._clock = clock
        self._memory: Memory[K, tuple[float, V]] = Memory(size, stale, clock)
        self._busy: set[K] = set()
        self._lock = threading.Lock()

    def get(self, key: K, ask: Callable[[], V], worth: Callable[[V], bool] = bool) -> tuple[V, float]:
        """The value, and when it was worked out, in Unix seconds. What is not `worth` it is not remembered.

        Raises:
            Unavailable: there is none that is remembered, and `ask` says this.
        """
        known = self._memory.recall(key)
        if known is not None and self._clock() < known[0] + self._fresh:
            return known[1], known[0]
        if not self._begin(key) and known is not None:
            return known[1], known[0]
        try:
            value, at = ask(), self._clock()
        except Unavailable:
            if known is None:
                raise
            return known[1], known[0]
        finally:
            self._busy.discard(key)
        if worth(value):
            self._memory.put(key, (at, value))
        else:
            self._memory.forget(key)
        return value, at

    def clear(self) -> None:
        """As if nothing had ever been known."""
        self._memory.clear()

    def _begin(self, key: K) -> bool:
        """Whether nobody else works this out already."""
        with self._lock:
            if key in self._busy:
                return False
            self._busy.add(key)
            return True
