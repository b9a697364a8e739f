"""What a process remembers ends: with time, with space, and when the clock is set back."""

import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core.caches import Kept, Memory, Shelf
from chalicelib.core.errors import Unavailable


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


def _refuse() -> int:
    raise Unavailable("throttled")


def test_what_is_old_is_better_than_nothing_until_it_is_stale() -> None:
    """An old value is worked out anew; where that cannot be done, it serves on."""
    clock = Clock()
    kept: Kept[str, int] = Kept(2, 10, 100, clock)
    assert kept.get("a", lambda: 1) == (1, 100.0)
    clock.now += 9.9
    assert kept.get("a", lambda: 2) == (1, 100.0)
    clock.now += 0.1
    assert kept.get("a", _refuse) == (1, 100.0)
    assert kept.get("a", lambda: 3) == (3, 110.0)
    clock.now += 100
    with pytest.raises(Unavailable):
        kept.get("a", _refuse)
    assert kept.get("a", lambda: 4) == (4, 210.0)


def test_what_is_worth_nothing_is_asked_for_each_time() -> None:
    """A page that nobody has seen may be seen the next moment."""
    kept: Kept[str, int] = Kept(2, 10, 100, Clock())
    assert [kept.get("a", lambda: 0)[0], kept.get("a", lambda: 1)[0], kept.get("a", lambda: 2)[0]] == [0, 1, 1]
    kept.clear()
    assert kept.get("a", lambda: 3)[0] == 3


def test_one_works_it_out_anew_while_the_others_get_the_old_value() -> None:
    """Nobody waits for what somebody else is doing already."""
    clock, began, go_on = Clock(), threading.Event(), threading.Event()
    kept: Kept[str, int] = Kept(2, 10, 100, clock)
    kept.get("a", lambda: 1)
    clock.now += 20

    def slowly() -> int:
        began.set()
        assert go_on.wait(10)
        return 2

    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(kept.get, "a", slowly)
        assert began.wait(10)
        assert kept.get("a", _refuse) == (1, 100.0)
        go_on.set()
        assert first.result(10) == (2, 120.0)
    assert kept.get("a", _refuse) == (2, 120.0)


def test_a_failure_that_is_nobodys_fault_lets_the_next_try() -> None:
    """Whatever `ask` raises, it is not waited for ever after."""
    clock = Clock()
    kept: Kept[str, int] = Kept(2, 10, 100, clock)
    kept.get("a", lambda: 1)
    clock.now += 20
    with pytest.raises(ZeroDivisionError):
        kept.get("a", lambda: 1 // 0)
    assert kept.get("a", lambda: 2) == (2, 120.0)


@given(
    st.lists(st.tuples(st.sampled_from(("put", "take", "wait")), st.integers(0, 5), st.integers(0, 60)), max_size=40)
)
def test_a_shelf_keeps_what_was_put_there_last_within_its_bounds(steps: list[tuple[str, int, int]]) -> None:
    """As much of it as fits, at least the last; nothing for longer than its time; and who takes it has it alone."""
    now = 0.0
    shelf: Shelf[int, int] = Shelf(100, 60, lambda: now)
    kept: dict[int, tuple[float, int]] = {}
    for step, key, number in steps:
        if step == "wait":
            now += number
        elif step == "take":
            since, size = kept.pop(key, (-100.0, 0))
            assert shelf.take(key) == (size if now - since <= 60 else None)
            assert shelf.take(key) is None
        else:
            kept.pop(key, None)
            kept[key] = (now, number)
            shelf.put(key, number, number)
            while len(kept) > 1:
                oldest, (since, _) = next(iter(kept.items()))
                if sum(size for _, size in kept.values()) <= 100 and now - since <= 60:
                    break
                del kept[oldest]
        assert {key for key in range(6) if key in shelf} == kept.keys()
        assert shelf.size == sum(size for _, size in kept.values())


def _lines(work: Callable[[], object]) -> int:
    """How many lines of code it runs."""
    ran = 0

    def trace(*_: object) -> object:
        nonlocal ran
        ran += 1
        return trace

    before = sys.gettrace()
    sys.settrace(trace)  # type: ignore[arg-type]
    try:
        work()
    finally:
        sys.settrace(before)
    return ran


def test_a_shelf_of_thousands_takes_as_little_work_for_each_as_one_of_few() -> None:
    """It is not looked through for each: of two thousand streams, that took seconds."""

    def fill(number: int) -> None:
        shelf: Shelf[int, int] = Shelf(number // 2, 60)
        for key in range(number):
            shelf.put(key, key, 1)

    assert _lines(lambda: fill(2_000)) <= 11 * _lines(lambda: fill(200))
