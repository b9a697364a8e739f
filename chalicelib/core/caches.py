"""A small memory with an end to everything: what a process may remember of the world, and for how long."""

import time
from collections.abc import Callable, Hashable, Iterator
from typing import Generic, TypeVar

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
