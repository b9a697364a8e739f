"""What a log is made of is nobody's business: other segments, folds and epochs give the same answers."""

import random
from collections import Counter
from itertools import count

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chalicelib import wiring
from chalicelib.core.audit import audit
from chalicelib.core.compaction import plan
from chalicelib.core.events import Hit
from chalicelib.core.messages import Message
from chalicelib.core.names import OTHER
from chalicelib.core.periods import Range
from chalicelib.core.reports import HitLists, PathFilter, Total
from chalicelib.core.segments import Kind, Segment
from chalicelib.core.wishes import Act
from chalicelib.core.writer import Bounds
from tests.core.redacting import Redactor
from tests.core.world import START, Faults, Universe, struck
from tests.dynamo import Dynamo

_streams = count(1)
_universe_settings = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
DAY = 86400

hits = st.builds(
    lambda path, title, session, age: Hit(
        path, title, not path.startswith("/"), "", "o", "", "Firefox 139", "", "", "", 0, START - age, session, 0
    ),
    st.sampled_from(("/", "/a", "/b", "/c", "buy")),
    st.sampled_from(("", "One", "Two")),
    st.integers(0, 4),
    st.sampled_from((0, 60, 7200, DAY, 3 * DAY, 40 * DAY)),
)
batches = st.lists(st.lists(hits, min_size=1, max_size=9), min_size=1, max_size=8)


def _universe(segment_hits: int = 20_000) -> Universe:
    return Universe(f"acc/pageviews/log{next(_streams)}", segment_hits)


def _messages(universe: Universe, drawn: list[list[Hit]]) -> list[Message]:
    made = []
    for number, chosen in enumerate(drawn, 1):
        made.append(Message(number << 40, START + number, universe.stream, False, tuple(chosen)))
        universe.accept(made[-1])
    return made


def _answers(universe: Universe, offset: int = 0) -> tuple[Total, HitLists, HitLists]:
    universe.crash(0)
    reports = universe.processes[0].reports
    when = Range(START - 50 * DAY, START + DAY, offset)
    weekly = reports.hits(universe.stream, when, limit=3, group="week", exclude=PathFilter(ids=frozenset({2})))
    return reports.total(universe.stream, when), reports.hits(universe.stream, when, limit=100), weekly


@pytest.mark.usefixtures("world")
class TestLog:
    """All over a DynamoDB of dictionaries; the histories hold the same on moto."""

    @_universe_settings
    @given(batches, st.integers(1, 4), st.integers(1, 3), st.sampled_from((0, 3600, -18_000, 20_700)))
    def test_answers_do_not_depend_on_how_the_log_was_cut(
        self, drawn: list[list[Hit]], segment_hits: int, every: int, offset: int
    ) -> None:
        """One segment or many, never folded or often, swept or not: total, lists and series are the same."""
        with struck(Faults(aws=Dynamo())):
            whole, cut = _universe(), _universe(segment_hits)
            whole.deliver(0, _messages(whole, drawn))
            for i, message in enumerate(_messages(cut, drawn)):
                cut.deliver(i % 2, [message])
                if i % every == 0:
                    cut.fold(2, sweep=i % 2 == 0)
            assert _answers(cut, offset) == _answers(whole, offset)
            cut.now += 70 * DAY
            cut.fold(2, sweep=True)
            assert _answers(cut, offset) == _answers(whole, offset)

    @_universe_settings
    @given(batches, st.integers(1, 4), st.integers(0, 6))
    def test_total_is_the_sum_of_its_days_hours_and_paths(
        self, drawn: list[list[Hit]], segment_hits: int, folds: int
    ) -> None:
        """And events are those visits whose path is an event's name."""
        with struck(Faults(aws=Dynamo())):
            universe = _universe(segment_hits)
            for i, message in enumerate(_messages(universe, drawn)):
                universe.deliver(0, [message])
                if i < folds:
                    universe.fold(0, sweep=False)
            total, listed, _ = _answers(universe)
            assert total.total == sum(day.daily for day in total.days) == listed.total
            assert all(sum(day.hourly) == day.daily for day in total.days)
            assert total.total_events == sum(hit.count for hit in listed.hits if hit.event)
            for hit in listed.hits:
                assert hit.count == sum(day.daily for day in hit.days)
                assert hit.max == max(max(day.hourly) for day in hit.days)
            by_day = Counter[str]()
            for hit in listed.hits:
                for day in hit.days:
                    by_day[day.day] += day.daily
            assert by_day == Counter({day.day: day.daily for day in total.days})

    @_universe_settings
    @given(batches, st.integers(1, 4), st.booleans(), st.sampled_from(("/", "/a", "buy")))
    def test_what_is_redacted_is_gone_and_all_else_is_as_before(
        self, drawn: list[list[Hit]], segment_hits: int, fold: bool, path: str
    ) -> None:
        """Figures, log and audit agree; ids of the others stay; a warm writer and a warm reader notice."""
        with struck(Faults(aws=Dynamo())):
            universe = _universe(segment_hits)
            messages = _messages(universe, drawn)
            for message in messages:
                universe.deliver(0, [message])
            if fold:
                universe.fold(0, sweep=True)
            before, listed, _ = _answers(universe)
            kept = {event for s in universe.segments() for event in _ids(s, universe, path, keep=True)}
            gone = next((hit.path_id for hit in listed.hits if hit.path == path), 0)
            removed = Redactor(universe)(Act.PURGE, paths=(gone,)).removed if gone else 0
            after, relisted, _ = _answers(universe)
            assert [hit for hit in listed.hits if hit.path_id != gone] == relisted.hits
            assert before.total - after.total == sum(hit.count for hit in listed.hits if hit.path_id == gone)
            assert {event for s in universe.segments() for event in s.events.id} == kept
            assert removed == sum(len(batch) for batch in drawn) - len(kept)
            assert not audit(wiring.log(), wiring.rollups(), universe.stream).differences
            universe.deliver(0, messages)
            assert _answers(universe)[0] == after, "a second delivery brings nothing back"

    @_universe_settings
    @given(batches, st.integers(1, 4))
    def test_old_segments_are_merged_without_keys_and_nothing_else_is_lost(
        self, drawn: list[list[Hit]], segment_hits: int
    ) -> None:
        """Every event, name and session number stays; session keys and message ids do not."""
        with struck(Faults(aws=Dynamo())):
            universe = _universe(segment_hits)
            for message in _messages(universe, drawn):
                universe.deliver(0, [message])
            universe.fold(0, sweep=False)
            answers = _answers(universe)
            events = [list(zip(*s.events.all(), strict=True)) for s in universe.segments()]
            universe.now += 45 * DAY
            universe.fold(0, sweep=True)
            (merged,) = universe.segments()
            assert (merged.first, merged.taken) == (1, [])
            assert not any(session.key or session.previous for session in merged.sessions)
            assert [row[:-2] for rows in events for row in rows] == [
                row[:-2] for row in zip(*merged.events.all(), strict=True)
            ]
            assert _answers(universe) == answers
            universe.drop()
            universe.fold(0, sweep=False)
            assert _answers(universe) == answers
            assert not plan(wiring.log(), universe.stream, merged.number, merged.number, universe.now)

    def test_names_beyond_the_limit_share_one(self) -> None:
        """`/count` is public: whoever invents paths for ever only makes one number grow."""
        with struck(Faults(aws=Dynamo())):
            universe = _universe()
            universe.processes[0].appender._bounds = Bounds(names=3)
            page = Hit("/", "", False, "", "o", "", None, None, "", "", 0, START, 0, 0)
            drawn = [[page._replace(path=f"/{i}") for i in range(10)], [page._replace(path="/new")]]
            for message in _messages(universe, drawn):
                universe.deliver(0, [message])
            again = universe.processes[0].appender.append(universe.stream, _messages(universe, drawn[:1]))
            assert again.crowded == (Kind.PATH,)
            listed = _answers(universe)[1]
            assert {hit.path: hit.count for hit in listed.hits} == {"/0": 1, "/1": 1, "/2": 1, OTHER: 8}

    def test_a_new_title_replaces_the_old_once_it_was_seen_more_than_ten_times(self) -> None:
        """By whichever writer, warm or cold, and not before; 48 hours are too long to remember."""
        with struck(Faults(aws=Dynamo())):
            universe = _universe()
            page = Hit("/", "Old", False, "", "o", "", None, None, "", "", 0, START, 0, 0)
            new = page._replace(title="New")
            for i, message in enumerate(_messages(universe, [[page], *([new] for _ in range(11))])):
                universe.deliver(i % 3, [message])
                if i % 4 == 0:
                    universe.fold(0, sweep=False)
                universe.crash(i % 3)
                title = universe.processes[1].reports.paths(universe.stream, 0, 1)[0][0].title
                assert title == ("New" if i == 11 else "Old")


def _ids(segment: Segment, universe: Universe, path: str, *, keep: bool) -> list[int]:
    names = universe.processes[0].reports._reader.snapshot(universe.stream).names.texts[Kind.PATH]
    return [
        event
        for event, number in zip(segment.events.id, segment.events.path, strict=True)
        if (names[number - 1].partition("\0")[0] != path) == keep
    ]


@pytest.mark.usefixtures("world")
def test_one_hot_stream_takes_every_hit_of_racing_writers() -> None:
    """Each writer loses some races, and none of them an event."""
    rolls = random.Random(7)
    with struck(faults := Faults(aws=Dynamo())):
        universe = _universe()
        page = Hit("/", "", False, "", "o", "", None, None, "", "", 0, START, 0, 0)
        messages = _messages(universe, [[page] for _ in range(120)])
        faults.plan = [(rolls.randrange(3), 5, False) for _ in range(60)]
        waiting = iter(messages[60:])
        faults.meanwhile = lambda: universe.deliver(rolls.randrange(1, 3), [m for m in [next(waiting, None)] if m])
        for message in messages[:60]:
            universe.deliver(0, [message])
        universe.deliver(1, messages)
        assert [event for s in universe.segments() for event in s.events.id] == list(range(1, 121))
