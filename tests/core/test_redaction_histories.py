"""Generated histories: what is to go goes for good, all else stays as it was, whatever goes wrong meanwhile."""

from itertools import count
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core.events import Hit
from chalicelib.core.wishes import Act
from tests.core.redacting import Redactor
from tests.core.staging import DAY, PAGE, agrees, ends, seen, send, stage
from tests.core.wishing import hits, placed, spelled, wish_of, wishes
from tests.core.world import INTERLEAVE, KINDS, Universe
from tests.histories import histories

pytestmark = pytest.mark.usefixtures("world")

operations = st.one_of(
    st.tuples(st.just("send"), st.lists(hits, min_size=1, max_size=6), st.integers(0, 2)),
    st.tuples(st.just("send"), st.lists(hits, min_size=1, max_size=6), st.integers(0, 2)),
    st.tuples(st.just("fold"), st.booleans(), st.integers(0, 2)),
    st.tuples(st.just("time"), st.sampled_from((30, 20_000, 2 * DAY, 45 * DAY)), st.none()),
    st.tuples(
        st.just("redact"),
        wishes,
        st.lists(st.tuples(st.integers(0, 25), st.integers(0, KINDS - 1), st.booleans()), max_size=5),
    ),
    st.tuples(st.just("drop"), st.none(), st.none()),
)


def _history(script: list[tuple[str, Any, Any]], segment_hits: int, read: int) -> None:
    with stage(segment_hits, read=read, names_at_once=read % 5 + 1) as (world, redact):
        late: list[Hit] = [PAGE._replace(path="/meanwhile", at=-5), PAGE._replace(path="/a", at=-5, session=2)]
        turns = count()

        def meanwhile() -> None:
            """Between two calls of the redaction others write, fold and sweep."""
            turn = next(turns)
            if turn % 3 < 2:
                send(world, *placed(world, late[turn % 2 :]), process=2)
            else:
                world.fold(2, sweep=turn % 2 == 0)

        world.faults.meanwhile = meanwhile
        for name, first, second in script:
            if name == "send":
                send(world, *placed(world, first), process=second)
            elif name == "fold":
                world.fold(second, sweep=first)
            elif name == "time":
                world.now += first
                world.fold(0, sweep=True)  # as happens every day: old segments end once they were merged
                ends(world)
            elif name == "drop":
                world.drop()
            else:
                _redact(world, redact, first, second)
        world.fold(0, sweep=True)
        redact.tidy()
        agrees(world)
        rows = redact.rows()
        world.drop()
        world.fold(0, sweep=True)
        agrees(world)
        world.deliver(1, [m for m in world.accepted.values() if world.now - m.accepted < 29 * DAY])
        assert redact.rows() == rows, "a second delivery brings nothing back"


def _redact(world: Universe, redact: Redactor, wanted: Any, plan: list[tuple[int, int, bool]]) -> None:
    asked = wish_of(redact, world, wanted)
    if asked is None:
        return
    what, becomes = asked
    before = redact.rows()
    born = len(world.accepted)
    world.faults.plan = list(plan)
    world.faults.enabled = True
    try:
        done = redact(wanted[0], **what)
    finally:
        world.faults.enabled = False
        world.faults.plan = []
        world.faults._left = 0
    rows = redact.rows()
    expected = {i: row for i, row in ((i, becomes(row)) for i, row in before.items()) if row is not None}
    if not done.error:
        came = {hit.path for message in list(world.accepted.values())[born:] for hit in message.hits}
        stayed = {i: row for i, row in rows.items() if i in before}
        assert stayed == spelled(expected, what.get("name", ""), came, redact)
    else:
        assert {i: row for i, row in rows.items() if i in before} == before
    others = sum(len(message.hits) for message in list(world.accepted.values())[born:])
    fresh = {i: row for i, row in rows.items() if i not in before}
    assert len(fresh) == others or done.removed, "what came meanwhile is there"
    for process in (0, 1):
        world.now += 61
        figures: dict[str, int] = {}
        for row in rows.values():
            if row.flags & 1:
                figures[row.path] = figures.get(row.path, 0) + 1
        assert seen(world, process) == figures
    world.fold(0, sweep=True)
    agrees(world)


any_history = given(
    st.lists(operations, max_size=14), st.sampled_from((1, 3, 20_000)), st.sampled_from((1, 900, 4_000_000))
)


def test_a_renamed_path_joins_one_of_its_new_name_that_came_meanwhile_in_another_spelling() -> None:
    """As the generated histories found: the model said that the new spelling would win."""
    with stage(read=900) as (world, redact):
        send(world, PAGE._replace(path="/b"))
        world.faults.meanwhile = lambda: (send(world, PAGE._replace(path="/a"), process=2), None)[1]
        _redact(world, redact, (Act.RENAME, "/b", "/A"), [(3, INTERLEAVE, True)])
        assert {row.path for row in redact.rows().values()} == {"/a"}
        _redact(world, redact, (Act.RENAME, "/a", "/A"), [])
        assert {row.path for row in redact.rows().values()} == {"/A"}


class TestHistories:
    """Everything goes wrong at once: calls fail before and after they act, workers die, others write meanwhile."""

    @histories(20)
    @any_history
    def test_what_is_to_go_goes_and_all_else_stays(
        self, script: list[tuple[str, Any, Any]], segment_hits: int, read: int
    ) -> None:
        """Held against a plain model: what becomes of each event by each wish."""
        _history(script, segment_hits, read)

    @pytest.mark.prove
    @pytest.mark.usefixtures("share")
    @histories(1_250)
    @any_history
    def test_so_it_is_for_as_long_as_one_cares_to_try(
        self, script: list[tuple[str, Any, Any]], segment_hits: int, read: int
    ) -> None:
        """As above, for an hour."""
        _history(script, segment_hits, read)
