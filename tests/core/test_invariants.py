"""The promises of the log, over generated histories in which everything goes wrong."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib import wiring
from chalicelib.core import sessions
from chalicelib.core.audit import audit
from chalicelib.core.events import Hit
from chalicelib.core.log import read_manifest
from chalicelib.core.messages import Message
from chalicelib.core.segments import FIRST
from chalicelib.core.writer import Bounds
from tests.core.world import KINDS, Faults, Naive, Universe, struck
from tests.dynamo import Aws, Dynamo, moto
from tests.histories import histories

Operation = tuple[str, Any, Any]
_streams = count(1)
_PATHS = ("/", "/a", "/A", "/b", "signup", "/a?q=1")
_AGES = (0, 0, 0, 5, 3600, 3601, 30_000, 400_000)

hits = st.builds(
    lambda path, title, ref, session, previous, age: Hit(
        path,
        title,
        not path.startswith("/"),
        ref,
        "h" if ref else "o",
        "",
        "Firefox 139",
        None,
        "NL",
        "",
        1920,
        -age,
        session,
        previous,
    ),
    st.sampled_from(_PATHS),
    st.sampled_from(("", "One", "Two")),
    st.sampled_from(("", "example.com")),
    st.integers(0, 3),
    st.integers(0, 3),
    st.sampled_from(_AGES),
)
operations = st.one_of(
    st.tuples(st.just("accept"), st.lists(hits, min_size=1, max_size=6), st.booleans()),
    st.tuples(st.just("deliver"), st.integers(0, 2), st.lists(st.integers(0, 30), min_size=1, max_size=5)),
    st.tuples(st.just("deliver"), st.integers(0, 2), st.just([-1, -2])),
    st.tuples(st.just("fold"), st.integers(0, 2), st.booleans()),
    st.tuples(st.just("look"), st.integers(0, 2), st.none()),
    st.tuples(st.just("crash"), st.integers(0, 2), st.none()),
    st.tuples(st.just("time"), st.sampled_from((1, 30, 3000, 20_000, 90_000, 200_000, -5, -4000)), st.none()),
    st.tuples(st.just("drop"), st.none(), st.none()),
)
faults = st.lists(st.tuples(st.integers(0, 8), st.integers(0, KINDS - 1), st.booleans()), max_size=6)


def _message(universe: Universe, number: int, drawn: list[Hit], *, derived: bool) -> Message:
    placed = tuple(hit._replace(at=universe.now + hit.at) for hit in drawn)
    return Message(number * 7_919_777 + 1, universe.now, universe.stream, derived, placed)


def _perform(universe: Universe, operation: Operation, messages: list[Message]) -> None:
    name, first, second = operation
    if name == "accept":
        messages.append(_message(universe, len(messages), first, derived=second))
        universe.accept(messages[-1])
    elif name == "deliver" and messages:
        universe.deliver(first, [messages[i % len(messages)] for i in second])
    elif name == "fold":
        universe.fold(first, sweep=second)
    elif name == "look":
        universe.look(first)
    elif name == "crash":
        universe.crash(first)
    elif name == "time":
        universe.now += first
        if isinstance(universe.faults.aws, Dynamo):
            universe.faults.aws.expire(universe.now)
    elif name == "drop":
        universe.drop()


@contextmanager
def _history(
    script: list[Operation], plan: list[tuple[int, int, bool]], size: tuple[int, int], aws: Aws
) -> Iterator[Universe]:
    """A world after a history and with everything delivered, in which nothing fails any more."""
    universe = Universe(f"acc/pageviews/{next(_streams)}", size[0], bounds=Bounds(sessions=size[1]))
    messages: list[Message] = []
    faults = Faults(list(plan), aws=aws)

    def meanwhile() -> None:
        """Another process delivers, folds or sweeps between two calls of this one."""
        turns.append(len(turns))
        if len(turns) % 3 and messages:
            universe.deliver(2, messages[-3:])
        else:
            universe.fold(2, sweep=len(turns) % 2 == 0)

    turns: list[int] = []
    faults.meanwhile = meanwhile
    universe.faults = faults
    with struck(faults):
        for operation in script:
            _perform(universe, operation, messages)
        faults.enabled = False
        universe.deliver(0, messages)
        universe.deliver(1, messages[::-1])
        universe.look(0)
        assert universe.acknowledged == universe.accepted.keys()
        yield universe


def _holds(universe: Universe) -> None:
    log = universe.segments()
    events = [event for segment in log for event in segment.events.id]
    assert events == list(range(1, len(events) + 1)), "ids are dense and ordered"
    assert len(events) == sum(len(message.hits) for message in universe.accepted.values()), "accepted is counted"
    naive = Naive(universe.bounds.sessions)
    for segment in log:
        for taken in segment.taken:
            naive.take(universe.accepted[taken.id], taken.start, taken.held)
    flags = [flag & FIRST for segment in log for flag in segment.events.flags]
    assert flags == list(map(int, naive.firsts)), "visits are as the contract has them"
    for process in (0, 1):  # one that has seen everything happen, and one that has seen nothing
        universe.crash(1)
        snapshot = universe.processes[process].reports._reader.snapshot(universe.stream)
        visits: dict[tuple[str, int], int] = {}
        for part in snapshot.parts(2, -(10**9), 10**9):
            assert part.visits is not None
            rows = zip(part.visits.path, part.visits.time, part.visits.visits, strict=True)
            for path, hour, number in rows:
                key = (snapshot.names.path(path)[0].lower(), hour)
                visits[key] = visits.get(key, 0) + number
        assert visits == naive.visits
    _agrees(universe)


def _agrees(universe: Universe) -> None:
    found = audit(wiring.log(), wiring.rollups(), universe.stream, now=lambda: universe.now)
    assert not found.differences


def _test(script: list[Operation], plan: list[tuple[int, int, bool]], size: tuple[int, int], aws: Aws) -> None:
    with _history(script, plan, size, aws) as universe:
        _holds(universe)
        universe.fold(0, sweep=True)
        _holds(universe)
        universe.now += 45 * 86400
        universe.fold(1, sweep=True)
        universe.drop()
        universe.fold(2, sweep=False)
        _agrees(universe)
        assert _folded(universe)
        universe.deliver(2, list(universe.accepted.values()))
        _agrees(universe)


def _folded(universe: Universe) -> bool:
    """Whether the rollups reach to the end of the log, so that it is they that answer."""
    segments = universe.segments()
    return not segments or read_manifest(wiring.rollups(), universe.stream).watermark == segments[-1].number


sizes = st.tuples(st.sampled_from((1, 2, 3, 20_000)), st.sampled_from((sessions.BYTES, 0, 200, 400)))
"""Hits of a segment, and bytes of sessions, at most."""
any_history = given(st.lists(operations, max_size=25), faults, sizes)


@pytest.mark.usefixtures("world")
class TestInvariants:
    """Each history: messages come twice, late and in any order; processes die; calls fail before and after they act."""

    @histories(80)
    @any_history
    def test_whatever_happens_everything_accepted_is_counted_once(
        self, script: list[Operation], plan: list[tuple[int, int, bool]], size: tuple[int, int]
    ) -> None:
        """Accepted is counted, once; ids are dense; readers never go back; rollups are what the log says."""
        _test(script, plan, size, Dynamo(late=len(script) % 3 == 0, page=len(plan) % 3 or None))

    @histories(10)
    @any_history
    def test_so_it_is_on_moto(
        self, script: list[Operation], plan: list[tuple[int, int, bool]], size: tuple[int, int]
    ) -> None:
        """What holds on our stand-in for DynamoDB holds on another that we did not write."""
        _test(script, plan, size, moto)

    @pytest.mark.prove
    @pytest.mark.usefixtures("share")
    @histories(5_000)
    @any_history
    def test_so_it_is_for_as_long_as_one_cares_to_try(
        self, script: list[Operation], plan: list[tuple[int, int, bool]], size: tuple[int, int]
    ) -> None:
        """As above, for an hour."""
        _test(script, plan, size, Dynamo(late=len(script) % 3 == 0, page=len(plan) % 3 or None))
