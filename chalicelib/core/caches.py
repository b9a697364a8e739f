"""A small memory with an end to everything: what a process may remember of the world, and for how long."""

import threading
import time
from collections import OrderedDict
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


class Shelf(Generic[K, V]):
    """Keeps what was worked on last: at most `size` bytes in all, or one value if it alone is larger, each for
    `seconds` after it was put there.

    Safe to share between threads: whoever takes a value has it alone until it is put back. Each call takes the same
    time however many values there are.
    """

    def __init__(self, size: int, seconds: float, clock: Callable[[], float] = time.time) -> None:
        self._most = size
        self._seconds = seconds
        self._clock = clock
        self._kept: OrderedDict[K, tuple[float, int, V]] = OrderedDict()
        self._lock = threading.Lock()
        self._size = 0

    def __contains__(self, key: K) -> bool:
        """Whether it is there now."""
        return key in self._kept

    @property
    def size(self) -> int:
        """Bytes of all that is there, as those said who put it there."""
        return self._size

    def take(self, key: K) -> V | None:
        """The value, which is not there any more then; None if there is none, or it is too old."""
        with self._lock:
            since, size, value = self._kept.pop(key, (0.0, 0, None))
            self._size -= size
        return value if self._clock() - since <= self._seconds else None

    def put(self, key: K, value: V, size: int) -> None:
        """Keeps a value of so many bytes; those that were put there first make room for it."""
        now = self._clock()
        with self._lock:
            self._size -= self._kept.pop(key, (0.0, 0, None))[1]
            self._kept[key] = (now, size, value)
            self._size += size
            while len(self._kept) > 1:
                oldest, (since, weight, _) = next(iter(self._kept.items()))
                if self._size <= self._most and now - since <= self._seconds:
                    return
                del self._kept[oldest]
                self._size -= weight
