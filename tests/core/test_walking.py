"""Walks reach every entry of a list, whatever its length, in functions that end and by messages that come twice."""

import random
from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.core import walking
from chalicelib.core.errors import Poison, Unavailable
from chalicelib.core.walking import SPARE, Late, Stage, Walk

CALL = 0.006
"""Seconds that a call of AWS takes here."""


@dataclass
class Night:
    """A list that is walked, the queue, and functions that end after their time."""

    entries: list[str]
    page: int = 500
    at_once: int = 1
    timeout: float = 300.0
    calls_each: float = 2.0
    """Calls for one entry."""
    broken: frozenset[str] = frozenset()
    slow: frozenset[str] = frozenset()
    """Entries for which no function has time enough."""
    visited: Counter[str] = field(default_factory=Counter)
    queue: list[str] = field(default_factory=list)
    left: float = 0.0
    functions: int = 0
    calls: float = 0.0
    refuse: int = 0
    """So many sends are refused."""

    def spend(self, calls: float) -> None:
        self.calls += calls
        self.left -= calls * CALL
        assert self.left > 0, "a function is killed"

    def keys(self, after: str, limit: int) -> list[str]:
        self.spend(1)
        start = bisect_right(self.entries, after)
        return self.entries[start : start + limit]

    def read(self, after: str, until: str) -> list[tuple[str, str]]:
        self.spend(6)
        return [
            (key, key) for key in self.entries[bisect_right(self.entries, after) : bisect_right(self.entries, until)]
        ]

    def visit(self, entries: Sequence[str], day: int) -> list[str]:
        assert day == 7
        if not self.slow.isdisjoint(entries):
            raise Late
        self.spend(self.calls_each * len(entries))
        self.visited.update(entries)
        return [entry for entry in entries if entry in self.broken]

    def send(self, stages: Sequence[Stage]) -> None:
        self.spend(len(stages) / 10)
        if self.refuse:
            self.refuse -= 1
            raise Unavailable("the queue")
        self.queue += [stage.encode() for stage in stages]

    def run(self, stage: Stage) -> None:
        """One function. What fails comes again, as messages and schedules do."""
        walk = Walk(self.keys, self.read, self.visit, self.page, self.at_once)
        while True:
            self.left = self.timeout
            self.functions += 1
            try:
                walking.go(walk, stage, self.send, lambda: self.left)
            except Unavailable:
                continue
            return

    def walk(self, chance: random.Random | None = None) -> None:
        """From the schedule to the last message, in any order, some of them twice."""
        self.run(Stage("sweep", 7))
        while self.queue:
            at = chance.randrange(len(self.queue)) if chance else 0
            body = self.queue.pop(at)
            for _ in range(chance.choice((1, 1, 2)) if chance else 1):
                self.run(walking.decode(body, {"sweep"}))


def test_fifty_thousand_sites_are_all_reached_in_a_night() -> None:
    """Each page well within its function's time, whatever each job costs a site; and none of them twice."""
    names = [f"{number:010}" for number in range(50_000)]
    for calls, at_once in ((0.12, 100), (1.0, 1), (4.0, 1)):
        night = Night(names, at_once=at_once, calls_each=calls)
        night.walk()
        assert night.visited == Counter(names)
        assert night.functions <= 102
        assert night.calls <= 50_000 * calls + 1_000


@settings(max_examples=50)
@given(
    length=st.integers(0, 40),
    page=st.integers(1, 9),
    at_once=st.integers(1, 4),
    calls=st.sampled_from((1.0, 200.0, 800.0)),
    refuse=st.integers(0, 2),
    seed=st.integers(0, 1000),
)
def test_whatever_comes_twice_or_takes_long_every_entry_is_visited(  # noqa: PLR0917 - a story's parts
    length: int, page: int, at_once: int, calls: float, refuse: int, seed: int
) -> None:
    names = [f"{number:03}" for number in range(length)]
    night = Night(names, page, at_once, timeout=60.0, calls_each=calls, refuse=refuse)
    night.walk(random.Random(seed))
    assert set(night.visited) == set(names)


def test_an_entry_that_fails_is_tried_once_more_and_keeps_no_other_from_being_visited() -> None:
    names = list("abcdef")
    night = Night(names, broken=frozenset("c"), slow=frozenset("e"))
    night.walk()
    assert night.visited == {"a": 1, "b": 1, "c": 2, "d": 1, "f": 1}
    night.slow = frozenset("a")
    night.left = 100.0
    walk = Walk(night.keys, night.read, night.visit)
    assert walking.go(walk, Stage("sweep", 7), night.send, lambda: SPARE + 1) == (6, 2, 0)


def test_a_short_list_is_walked_without_a_message() -> None:
    night = Night(list("abc"), page=3)
    night.walk()
    assert (night.functions, night.visited.total()) == (1, 3)


@pytest.mark.parametrize(
    "body",
    ["", "[]", "{}", "null", '{"walk": "x", "day": 1, "after": "", "until": null}', '{"walk": ["sweep"], "day": 1}'],
)
def test_what_is_no_stage_is_refused(body: str) -> None:
    with pytest.raises(Poison):
        walking.decode(body, {"sweep"})


@settings(max_examples=20)
@given(st.builds(Stage, st.just("sweep"), st.integers(0, 10**6), st.text(), st.none() | st.text()))
def test_a_stage_is_read_as_it_was_written(stage: Stage) -> None:
    assert walking.decode(stage.encode(), {"sweep"}) == stage
