"""What a process remembers ends: with time, with space, and when the clock is set back."""

import sys
from concurrent.futures import ThreadPoolExecutor

from chalicelib.core.caches import Memory


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_value_is_asked_for_once_until_its_time_is_over() -> None:
    clock, asked = Clock(), list[int]()
    memory: Memory[str, int] = Memory(2, 30, clock)

    def ask() -> int:
        asked.append(1)
        return len(asked)

    assert [memory.get("a", ask), memory.get("a", ask)] == [1, 1]
    clock.now += 29.9
    assert memory.get("a", ask) == 1
    clock.now += 0.1
    assert memory.get("a", ask) == 2


def test_absence_is_remembered_as_well() -> None:
    memory: Memory[str, None] = Memory(2, 30, Clock())
    memory.put("a", None)
    assert "a" in memory


def test_a_clock_that_is_set_back_forgets() -> None:
    clock = Clock()
    memory: Memory[str, int] = Memory(2, 30, clock)
    memory.put("a", 1)
    clock.now -= 1
    assert memory.get("a", lambda: 2) == 2


def test_the_value_remembered_longest_makes_room() -> None:
    memory: Memory[str, int] = Memory(2, 30, Clock())
    for key in "abc":
        memory.put(key, 1)
    assert [key for key, _ in memory.items()] == ["b", "c"]
    memory.forget("b")
    assert "b" not in memory
    memory.clear()
    assert "c" not in memory


def test_threads_that_make_room_at_once_do_not_meet() -> None:
    memory: Memory[tuple[int, int], int] = Memory(3, 30, Clock())

    def fill(thread: int) -> None:
        for number in range(20_000):
            memory.put((thread, number), number)

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(fill, range(8)))
    finally:
        sys.setswitchinterval(before)
    assert len(list(memory.items())) <= 3 + 8
