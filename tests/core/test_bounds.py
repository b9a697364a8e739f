"""What strangers can make a stream remember has bounds, and what is beyond them is decided in the log."""

import copy
import random
from collections import Counter
from collections.abc import Iterator
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib import wiring
from chalicelib.core import folding, names, sessions
from chalicelib.core.events import Hit
from chalicelib.core.log import load, read_manifest
from chalicelib.core.messages import Message
from chalicelib.core.names import OTHER, Candidates
from chalicelib.core.segments import FIRST, GONE, Kind, Renamed, unpack
from chalicelib.core.writer import Bounds, Stream
from tests.core.test_invariants import _agrees, _holds
from tests.core.world import START, Faults, Universe, struck
from tests.dynamo import Dynamo
from tests.histories import histories

_streams = count(1)
_ids = count(1)
HOUR, DAY = 3600, 86400
PAGE = Hit("/", "", False, "", "o", "", None, None, "", "", 0, START, 0, 0)


@pytest.fixture
def tables(world: object) -> Iterator[None]:
    """Tables in memory."""
    assert world
    with struck(Faults(enabled=False, aws=Dynamo())):
        yield


def universe(bounds: Bounds) -> Universe:
    return Universe(f"acc/pageviews/bounds{next(_streams)}", bounds=bounds)


def send(of: Universe, *hits: Hit, process: int = 0, keyed: bool = False) -> None:
    placed = tuple(hit._replace(at=of.now) for hit in hits)
    message = Message(next(_ids) << 20, of.now, of.stream, False, placed, keyed=keyed)
    of.accept(message)
    of.deliver(process, [message])


def visits(of: Universe) -> list[int]:
    return [flag & FIRST for segment in of.segments() for flag in segment.events.flags]


def paths(of: Universe) -> Counter[str]:
    """The views of each path, as the log has them."""
    known = names.Names()
    found: Counter[str] = Counter()
    for segment in of.segments():
        known.replay(segment)
        found.update(known.path(path)[0] for path in segment.events.path)
    return found


def flood(of: Universe, number: int, process: int = 0) -> None:
    """So many page views of paths that a stranger makes up."""
    send(of, *(PAGE._replace(path=f"/{random.getrandbits(60):x}") for _ in range(number)), process=process)


class TestSessions:
    """A window that is full."""

    @pytest.mark.usefixtures("tables")
    def test_whoever_comes_when_there_is_no_room_is_a_visit_of_its_own(self) -> None:
        """Sessions that there are go on, but remember no more pages; when they end there is room again."""
        world = universe(Bounds(sessions=10 * sessions.GROWTH))
        people = [PAGE._replace(session=number) for number in range(1, 16)]
        send(world, *people)
        send(world, *people, process=1)
        assert visits(world)[15:] == [0] * 10 + [1] * 5
        send(world, people[0]._replace(path="/b"), people[0]._replace(path="/b"))
        assert visits(world)[30:] == [1, 1]
        world.now += 9 * HOUR
        send(world, *people[10:])
        send(world, *people[10:])
        assert visits(world)[32:] == [1] * 5 + [0] * 5
        world.fold(2, sweep=True)
        _holds(world)

    @pytest.mark.usefixtures("tables")
    def test_a_flood_of_visitors_takes_no_more_memory_than_it_may(self) -> None:
        """Neither in who writes, nor in who folds."""
        bound = 100 * sessions.GROWTH
        world = universe(Bounds(sessions=bound))
        for _ in range(5):
            send(world, *(PAGE._replace(session=next(_ids)) for _ in range(100)))
            world.now += HOUR
        state = load(wiring.rollups(), world.stream, read_manifest(wiring.rollups(), world.stream), world.bounds)
        for segment in world.segments():
            state.replay(segment)
            assert state.window.size <= bound
        world.fold(1, sweep=False)
        state = load(wiring.rollups(), world.stream, read_manifest(wiring.rollups(), world.stream), world.bounds)
        assert 0 < state.window.size <= bound
        assert visits(world) == [1] * 500

    @pytest.mark.usefixtures("tables")
    def test_a_checkpoint_does_not_grow_by_those_who_come_again_and_again(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Once it takes twice what its sessions do, it is written anew, and says the same."""
        monkeypatch.setattr(folding, "CHECKPOINT_BYTES", 500)
        world = universe(Bounds())
        people = [PAGE._replace(session=random.getrandbits(63)) for _ in range(40)]
        most = 0
        for turn in range(12):
            send(world, *people)
            world.now += 60
            world.fold(1, sweep=False)
            most = max(most, sum(ref.size for ref in read_manifest(wiring.rollups(), world.stream).sessions))
            world.crash(turn % 2)
        assert most <= 500 + 2 * 40 * 18 + 700
        assert sum(visits(world)) == 40
        _holds(world)


class TestNames:
    """A stream that has as many names as strangers may make."""

    @pytest.mark.usefixtures("tables")
    def test_a_flood_of_names_leaves_room_for_what_is_sent_with_a_key(self) -> None:
        world = universe(Bounds(names=100))
        flood(world, 300)
        send(world, PAGE._replace(path="/new"), PAGE._replace(path="/newer"), keyed=True)
        found = paths(world)
        assert (found["/new"], found["/newer"], found[OTHER]) == (1, 1, 220)
        assert len(found) == 83
        send(world, *(PAGE._replace(path=f"/own/{number}") for number in range(30)), keyed=True)
        assert len(paths(world)) == 100
        _agrees(world)

    @pytest.mark.usefixtures("tables")
    def test_a_name_that_is_seen_often_enough_earns_its_place_whoever_writes(self) -> None:
        """Folds, cold writers and strangers in between do not make it begin anew; the flood earns nothing."""
        world = universe(Bounds(names=1000))
        flood(world, 1000)
        for turn in range(names.EARNED + 1):
            flood(world, 20, process=turn % 2)
            send(world, PAGE._replace(path="/new"), process=turn % 3)
            world.crash(turn % 3)
            if turn % 4 == 0:
                world.fold(2, sweep=turn % 8 == 0)
        found = paths(world)
        assert found["/new"] == 2
        assert len(found) == 802
        _agrees(world)

    @pytest.mark.usefixtures("tables")
    def test_not_more_names_earn_a_place_in_a_day_than_may(self) -> None:
        """Whoever sends each of his names ten times needs weeks to fill what is kept."""
        world = universe(Bounds(names=200))
        flood(world, 200)
        for day in range(1, 4):
            send(world, *(PAGE._replace(path=f"/{day}/{number}") for number in range(9) for _ in range(12)))
            world.fold(1, sweep=False)
            world.crash(0)
            assert len(paths(world)) == 161 + 2 * day
            world.now += DAY
        _agrees(world)

    @given(st.lists(st.integers(0, 12), max_size=200))
    def test_of_many_candidates_those_are_kept_that_are_seen_most(self, seen: list[int]) -> None:
        """Whoever made up more than one in five of all sightings, if there is room for four; no count is too high."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(names, "CANDIDATES", 4)
            found, true = Candidates(), Counter(seen)
            for each in seen:
                found.see(each)
                assert len(found.counts) <= 4
            assert all(found.counts[each] <= true[each] for each in found.counts)
            assert {each for each, times in true.items() if times > len(seen) / 5} <= found.counts.keys()


_hits = st.builds(
    lambda path, ref, session: PAGE._replace(path=path, ref=ref, ref_scheme="h" if ref else "o", session=session),
    st.sampled_from([f"/{letter}" for letter in "aAbcdefgh"]),
    st.sampled_from(["", "x.example", "y.example", "z.example"]),
    st.integers(0, 5),
)


@histories(60)
@given(
    st.lists(st.tuples(st.lists(_hits, min_size=1, max_size=8), st.booleans(), st.sampled_from((1, 400, 30_000)))),
    st.sampled_from((Bounds(), Bounds(5, 400), Bounds(3, 200), Bounds(6, 0))),
)
def test_whoever_reads_a_segment_knows_what_its_writer_knew(
    batches: list[tuple[list[Hit], bool, int]], bounds: Bounds
) -> None:
    """Ids, sessions and candidates, however little there is room for."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(names, "EARNED", 3)
        patch.setattr(names, "CANDIDATES", 3)
        writer, reader = Stream(bounds=bounds), Stream(bounds=bounds)
        now = START
        for drawn, keyed, later in batches:
            now += later
            hits = tuple(hit._replace(at=now) for hit in drawn)
            before = copy.deepcopy(writer.candidates)
            draft = writer.draft([Message(next(_ids), now, "s", False, hits, keyed=keyed)], 100)
            assert writer.candidates == before, "a draft changes nothing"
            writer.commit(draft)
            reader.replay(unpack(draft.segment.pack()))
            for each in (writer, reader):
                each.window.evict()
            assert reader.ids == writer.ids
            assert reader.candidates == writer.candidates
            assert reader.window._held == writer.window._held
            assert reader.window.size == writer.window.size <= max(bounds.sessions, 0)
            assert all(len(writer.ids[kind]) <= bounds.names + 1 for kind in Kind)


def test_names_that_are_redacted_make_room_for_others_at_once() -> None:
    """A warm writer has as many characters as one that begins with what is left."""
    warm = Stream()
    warm.learn_names([["/a\0A title", "/gone\0Another", "/b\0"], ["o", "hgone.example"], *([] for _ in range(5))])
    warm.rename([Renamed(Kind.PATH, 2, GONE), Renamed(Kind.REF, 2, GONE), Renamed(Kind.PATH, 3, "/longer")])
    cold = Stream()
    cold.learn_names([["/a\0A title", GONE, "/longer\0"], ["o", GONE], *([] for _ in range(5))])
    assert warm.characters == cold.characters
