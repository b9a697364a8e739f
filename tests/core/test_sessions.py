"""Sessions of one visitor that stand side by side, as logs make them that are imported one after the other."""

import random
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core import sessions
from chalicelib.core.events import Hit
from chalicelib.core.messages import Message
from chalicelib.core.segments import FIRST, Orders, Segment, unpack
from chalicelib.core.sessions import Window
from chalicelib.core.tracking import replay_sessions
from chalicelib.core.writer import Stream
from tests.core.world import START
from tests.histories import histories

HOUR, DAY = 3600, 86400
PAGE = Hit("/", "", False, "", "o", "", None, None, "", "", 0, START, 0, 0)
_ids = count(1)


def visits(stream: Stream, hits: list[Hit], now: int) -> int:
    """How many of these are visits, told to a stream in messages of a few hits each."""
    found = 0
    for start in range(0, len(hits), 3):
        draft = stream.draft([Message(next(_ids), now, "s", False, tuple(hits[start : start + 3]))], 100)
        stream.commit(draft)
        found += sum(flag & FIRST for flag in draft.segment.events.flags)
    return found


@st.composite
def stays(draw: st.DrawFn) -> list[Hit]:
    """What some visitors did, in the order of time: stays of at most eight hours, more than eight hours apart."""
    hits = []
    for visitor in range(1, draw(st.integers(1, 3)) + 1):
        at = START - 90 * DAY
        for _ in range(draw(st.integers(1, 5))):
            at += 8 * HOUR + draw(st.sampled_from((1, 60, 9 * HOUR, 6 * DAY)))
            moments = sorted(draw(st.lists(st.integers(0, 8 * HOUR), min_size=1, max_size=5)))
            hits += [
                PAGE._replace(at=at + moment, path=draw(st.sampled_from(("/a", "/b", "/c"))), session=visitor)
                for moment in moments
            ]
            at += moments[-1]
    return sorted(hits, key=lambda hit: hit.at)


@histories(200)
@given(stays(), st.integers(1, 4), st.integers(0, 2**32))
def test_logs_of_several_servers_count_the_same_one_after_the_other_as_merged(
    hits: list[Hit], servers: int, seed: int
) -> None:
    rng = random.Random(seed)
    logs: list[list[Hit]] = [[] for _ in range(servers)]
    for hit in hits:
        rng.choice(logs).append(hit)
    merged = visits(Stream(), hits, START)
    assert visits(Stream(), [hit for log in logs for hit in log], START) == merged


_hits = st.builds(
    lambda path, session, previous, age: PAGE._replace(path=path, session=session, previous=previous, at=-age),
    st.sampled_from("abcdef"),
    st.integers(0, 3),
    st.integers(0, 3),
    st.one_of(st.sampled_from((0, 0, 3600, 3601)), st.integers(0, 20 * DAY)),
)
_batches = st.lists(
    st.tuples(st.lists(_hits, min_size=1, max_size=8), st.sampled_from((1, 1, 400, 30_000))), max_size=12
)


@pytest.fixture
def little(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four sessions of a visitor fill what they may take together."""
    monkeypatch.setattr(sessions, "TOGETHER", 100)


@pytest.fixture(params=["all", "few"])
def room(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Room for all of a visitor's sessions, or for four."""
    if request.param == "few":
        monkeypatch.setattr(sessions, "TOGETHER", 100)


@pytest.mark.usefixtures("room")
@histories(60)
@given(_batches, st.sets(st.integers(1, 3)))
def test_readers_and_checkpoints_know_all_sessions_of_a_visitor(
    batches: list[tuple[list[Hit], int]], forgotten: set[int]
) -> None:
    writer, reader, folded = Stream(), Stream(), Window()
    now = START
    for drawn, later in batches:
        now += later
        hits = tuple(hit._replace(at=now + hit.at) for hit in drawn)
        draft = writer.draft([Message(next(_ids), now, "s", False, hits)], 100)
        writer.commit(draft)
        segment = unpack(draft.segment.pack())
        reader.replay(segment)
        touched = {key for session in segment.sessions for key in (session.key, session.previous) if key}
        folded.load(reader.window.pack(touched))
        folded.clock = reader.window.clock
        for window in (writer.window, reader.window, folded):
            window.evict()
        assert reader.window._held == writer.window._held == folded._held
        assert len(reader.window) == len(reader.window.numbers()) == len(folded)
        assert reader.window.size == writer.window.size == folded.size
        for held in map(sessions.each, reader.window._held.values()):
            assert list(held) == sorted(held, key=sessions._order)
            assert len(held) == 1 or sum(map(len, held)) <= sessions.TOGETHER
    orders = Segment(0, 0, orders=Orders(forgotten=sorted(forgotten)))
    writer.window.apply(replay_sessions(writer.window, orders), now)
    assert not forgotten & set(writer.window.keys())


@pytest.mark.usefixtures("little")
def test_of_too_many_sessions_of_a_visitor_the_earliest_are_forgotten() -> None:
    stream = Stream()
    days = [PAGE._replace(at=START - 30 * DAY + day * DAY, session=1) for day in range(6)]
    assert visits(stream, days, START) == 6
    assert len(stream.window) == 4
    assert visits(stream, days[2:], START) == 0
    assert visits(stream, days[:1], START) == 1


def test_the_nearest_session_goes_on_and_the_later_of_two_as_near() -> None:
    stream = Stream()
    page = PAGE._replace(session=1)
    begun = [page._replace(at=START - DAY, path="/a"), page._replace(at=START - 14 * HOUR, path="/b")]
    assert visits(stream, begun, START) == 2
    between = page._replace(at=START - 19 * HOUR)
    assert visits(stream, [between._replace(path="/b")], START) == 0
    assert visits(stream, [between._replace(path="/a", at=between.at - 1)], START) == 0


def test_a_live_visitor_has_one_session() -> None:
    """What has ended makes room for what begins."""
    stream = Stream()
    for day in range(5):
        now = START + day * DAY
        assert visits(stream, [PAGE._replace(at=now, session=1), PAGE._replace(at=now + 60, session=1)], now) == 1
        assert len(stream.window) == 1
