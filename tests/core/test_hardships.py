"""Hardships that once were bugs, or would be: each is one story, told to the end."""

import random
from itertools import count
from types import SimpleNamespace
from typing import Any

import pytest

from chalicelib import wiring
from chalicelib.core import compaction, reading, sessions
from chalicelib.core import log as log_module
from chalicelib.core.audit import audit
from chalicelib.core.events import Bot, Hit
from chalicelib.core.log import read_manifest
from chalicelib.core.messages import Message
from chalicelib.core.wishes import Act
from tests.core.redacting import Redactor
from tests.core.test_invariants import _holds
from tests.core.world import START, Crash, Faults, Universe, struck
from tests.dynamo import Dynamo

_streams = count(1)
HOUR, DAY = 3600, 86400
PAGE = Hit("/", "", False, "", "o", "", None, None, "", "", 0, START, 0, 0)
_random = random.Random(3)
pytestmark = pytest.mark.usefixtures("world")


def universe(segment_hits: int = 20_000) -> Universe:
    return Universe(f"acc/pageviews/hard{next(_streams)}", segment_hits)


def noise(length: int) -> str:
    return "".join(chr(_random.randrange(33, 126)) for _ in range(length))


def send(of: Universe, number: int, *hits: Hit, process: int = 0, bots: tuple[Bot, ...] = ()) -> Message:
    """A message that is accepted now and delivered at once."""
    message = Message(number, of.now, of.stream, False, hits, bots)
    of.accept(message)
    of.deliver(process, [message])
    return message


def events(of: Universe) -> int:
    return sum(map(len, of.segments()))


def dies_at(of: Universe, process: int, number: int) -> None:
    """The process dies as it is about to write this segment."""
    real = wiring.log()

    def put(stream: str, segment: int, data: bytes, expires: int | None) -> None:
        if segment == number:
            raise Crash
        real.put(stream, segment, data, expires)

    of.processes[process].appender._log = SimpleNamespace(put=put, read=real.read)


def test_two_requests_with_one_idempotency_key_and_other_contents_count_the_first() -> None:
    """Even if the first one's writer died half way, and the second is shorter than what is in."""
    with struck(Faults(aws=Dynamo())):
        world = universe(2)
        long = Message(7, START, world.stream, True, (PAGE,) * 5)
        short = Message(7, START + 1, world.stream, True, (PAGE,))
        dies_at(world, 0, 2)
        world.deliver(0, [long])
        world.deliver(0, [short])
        world.deliver(1, [long])
        assert events(world) == 5
        assert all(map(len, world.segments()))


def test_half_a_message_is_completed_after_a_fold_by_whoever_comes() -> None:
    """The checkpoint remembers what is open, for cold writers and for those that look at the manifest again."""
    with struck(Faults(aws=Dynamo())), pytest.MonkeyPatch.context() as patch:
        patch.setattr(log_module, "TAIL_SEGMENTS", 0)
        world = universe(2)
        send(world, 9, PAGE, process=1)
        half = Message(1, START, world.stream, False, (PAGE,) * 5)
        world.accept(half)
        dies_at(world, 0, 3)
        world.deliver(0, [half])
        world.fold(2, sweep=False)
        send(world, 10, PAGE, process=1)
        world.deliver(1, [half])
        world.deliver(2, [half])
        assert events(world) == 7
        _holds(world)


def test_a_writer_that_saw_a_fold_still_knows_what_was_folded() -> None:
    """It lets go of the ids in the tail, and finds them in the blocks."""
    with struck(Faults(aws=Dynamo())), pytest.MonkeyPatch.context() as patch:
        patch.setattr(log_module, "TAIL_SEGMENTS", 3)
        world = universe(2)
        asked: list[int] = []
        world.processes[0].appender._folds = SimpleNamespace(ask=lambda _, head: asked.append(head))
        sent = []
        for number in range(1, 9):
            sent.append(send(world, number, PAGE, PAGE, PAGE))
            world.fold(1, sweep=False)
        assert not asked, "a fold that was made is noticed, and no other is asked for"
        world.deliver(0, sent)
        world.deliver(1, sent)
        assert events(world) == 24
        for number in range(10, 14):
            send(world, number, PAGE)
        assert asked


def test_an_idempotency_key_counts_once_within_a_day_and_again_after_two() -> None:
    """Also after a fold, when only the blocks of ids know it."""
    with struck(Faults(aws=Dynamo())):
        world = universe()
        copies = [Message(5, START + after, world.stream, True, (PAGE,)) for after in (0, 23 * HOUR, 49 * HOUR)]
        for process, (copy, expected) in enumerate(zip(copies, (1, 1, 2), strict=True)):
            world.now = copy.accepted
            world.deliver(process, [copy])
            world.fold(0, sweep=True)
            assert events(world) == expected


def test_many_small_blocks_of_ids_become_one_that_knows_them_all() -> None:
    """Whatever the minute of acceptance."""
    with struck(Faults(aws=Dynamo())):
        world = universe()
        sent = []
        for number in range(1, 7):
            world.now += 600
            sent.append(send(world, number, PAGE))
            world.fold(0, sweep=False)
        world.fold(0, sweep=True)
        assert len(read_manifest(wiring.rollups(), world.stream).ids) == 1
        world.crash(0)
        world.deliver(0, sent)
        assert events(world) == 6


def test_a_message_of_31_days_ago_is_parked_and_never_counted() -> None:
    """It could be a second delivery of one that nobody remembers."""
    with struck(Faults(aws=Dynamo())):
        world = universe()
        message = Message(3, world.now, world.stream, False, (PAGE,))
        world.now += 31 * DAY
        world.deliver(0, [message])
        assert world.segments() == []
        assert world.parked == [message.encode()]


def test_new_titles_by_the_hundred_fit_into_the_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of each path the last one is kept."""
    monkeypatch.setattr("chalicelib.core.writer.TITLE_SIGHTINGS", 0)
    with struck(Faults(aws=Dynamo())):
        world = universe()
        send(world, 1, *(PAGE._replace(path=f"/{i}") for i in range(800)))
        for batch in range(2):
            hits = [PAGE._replace(path=f"/{i}", title=noise(1020)) for i in range(400 * batch, 400 * batch + 400)]
            send(world, 2 + batch, *hits)
        world.fold(0, sweep=False)
        assert not audit(wiring.log(), wiring.rollups(), world.stream).differences
        paths, _ = world.processes[1].reports.paths(world.stream, 0, 1000)
        assert {len(path.title) for path in paths} == {1020}


def test_bots_of_any_size_keep_nobody_from_being_counted() -> None:
    """They are kept in as many items as it takes."""
    with struck(Faults(aws=Dynamo())):
        world = universe()
        bots = tuple(Bot("/" + noise(2000), START, 6, "bot" + noise(500)) for _ in range(500))
        messages = [Message(1, START, world.stream, False, (PAGE,)), Message(2, START, world.stream, False, (), bots)]
        world.deliver(0, messages)
        assert events(world) == 1
        assert len(list(wiring.rollups().bots(world.stream))) == 500


def test_segments_are_merged_only_into_what_fits_an_item() -> None:
    """And what cannot be merged is kept for good by itself."""
    with struck(Faults(aws=Dynamo())):
        world = universe()
        for size in (110, 170, 1, 1):
            send(
                world, size + len(world.accepted) * 1000, *(PAGE._replace(path="/" + noise(2040)) for _ in range(size))
            )
        world.now += 45 * DAY
        world.fold(0, sweep=True)
        assert [segment.first for segment in world.segments()] == [1, 2, 3]
        assert not any(segment.taken for segment in world.segments())


@pytest.mark.parametrize("how", ["drop", "redact"])
def test_after_old_segments_were_merged_rollups_are_built_anew_and_nothing_counts_twice(how: str) -> None:
    """Also when a parked message is sent back on the last day on which it is taken."""
    with struck(Faults(aws=Dynamo())), pytest.MonkeyPatch.context() as patch:
        patch.setattr(compaction, "FULL", 1)
        world = universe()
        old = send(world, 1, PAGE._replace(session=4), PAGE._replace(path="/b"))
        world.now += 20 * DAY
        young = send(world, 2, PAGE._replace(at=world.now))
        for days in (9, 6):
            world.now += days * DAY
            world.fold(0, sweep=True)
            if how == "drop":
                world.drop()
                world.fold(0, sweep=False)
            else:
                assert Redactor(world)(Act.PURGE, end=0).removed == 0
            assert read_manifest(wiring.rollups(), world.stream).watermark == world.segments()[-1].number
            world.deliver(0, [young])
            if days == 9:
                world.deliver(1, [old])
            assert events(world) == 3
            _agree(world)
        assert world.segments()[0].merged


def _agree(world: Universe) -> None:
    assert not audit(wiring.log(), wiring.rollups(), world.stream, now=lambda: world.now).differences


def test_days_of_two_thousand_years_do_not_outgrow_the_manifest() -> None:
    """Somebody imports a random date for each hit."""
    with struck(Faults(aws=Dynamo())):
        world = universe()
        for number in range(1, 60):
            hits = [PAGE._replace(at=START - DAY * _random.randrange(730_000)) for _ in range(500)]
            send(world, number, *hits)
        world.fold(0, sweep=True)
        assert len(read_manifest(wiring.rollups(), world.stream).pack()) < 60_000
        _agree(world)


def test_a_session_with_paths_without_end_stays_small() -> None:
    """It forgets the oldest of them."""
    entry = sessions.start(1, START, START, sessions.path_key(1))
    for path in range(2, sessions.PATHS + 11):
        entry = sessions.follow(entry, START, START, sessions.path_key(path))
    assert len(entry) == len(sessions.start(1, START, START, b"")) + 4 * sessions.PATHS
    assert not sessions.has_seen(entry, sessions.path_key(10))
    assert sessions.has_seen(entry, sessions.path_key(11))
    assert sessions.has_seen(entry, sessions.path_key(sessions.PATHS + 10))


def _walk(steps: list[tuple[int, int, int]], aws: Dynamo | None = None) -> Universe:
    """One visitor: after so many seconds a hit with this key and the one before, each taken in by a cold writer."""
    world = universe()
    for number, (seconds, key, before) in enumerate(steps, 1):
        world.now += seconds
        if aws is not None:
            aws.expire(world.now)
        send(world, number, PAGE._replace(at=world.now, session=key, previous=before))
        world.fold(1, sweep=False)
        world.crash(0)
    _holds(world)
    return world


@pytest.mark.parametrize(
    "steps",
    [
        [(0, 1, 0), (8 * HOUR, 1, 0)],
        [(0, 1, 0), (8 * HOUR + 1, 1, 0)],
        [(0, 1, 0), (5 * HOUR, 2, 0), (2 * HOUR, 1, 0), (8 * HOUR, 1, 0)],
        [(0, 1, 0), (60, 2, 1), (60, 1, 0)],
        [(0, 1, 0), (60, 2, 1), (60, 2, 1), (60, 3, 2)],
    ],
)
def test_a_session_lives_by_the_second_and_changes_its_key_for_good(steps: list[tuple[int, int, int]]) -> None:
    """For writers that know it from the checkpoint alone."""
    with struck(Faults(aws=Dynamo())):
        _walk(steps)


def test_a_session_outlives_a_queue_that_stood_still_for_days() -> None:
    """It ends by the time of acceptance, not by the time of counting."""
    with struck(Faults(aws=(aws := Dynamo()))):
        world = universe()
        first, second = (
            Message(number, START + 60 * number, world.stream, False, (PAGE._replace(session=9),)) for number in (1, 2)
        )
        for message in (first, second):
            world.accept(message)
        world.deliver(0, [first])
        world.fold(0, sweep=True)
        world.now += 12 * DAY
        aws.expire(world.now)
        world.crash(0)
        world.deliver(0, [second])
        _holds(world)


def test_rollups_outlive_a_month_without_a_sweep() -> None:
    """Nothing that a manifest names ends before somebody had the time to mend what is broken."""
    with struck(Faults(aws=(aws := Dynamo()))):
        world = universe()
        send(world, 1, PAGE)
        world.fold(0, sweep=False)
        world.now += 30 * DAY
        aws.expire(world.now)
        world.crash(0)
        _holds(world)
        world.fold(0, sweep=True)
        _agree(world)


def test_an_audit_of_a_site_that_went_quiet_finds_nothing_wrong() -> None:
    """Ids of messages that could not be taken in any more may be forgotten."""
    with struck(Faults(aws=Dynamo())):
        world = universe()
        old = Message(1, START, world.stream, False, (PAGE,))
        world.now += 10 * DAY
        new = Message(2, world.now, world.stream, False, (PAGE,))
        for message in (new, old):
            world.accept(message)
            world.deliver(0, [message])
            world.fold(0, sweep=True)
        world.now += 22 * DAY
        world.fold(0, sweep=True)
        _agree(world)


def test_a_reader_with_a_long_tail_reads_on_instead_of_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """And finds out in time that there has been a fold."""
    monkeypatch.setattr(reading, "LONG_TAIL", 4)
    with struck(Faults(aws=Dynamo())):
        world = universe()
        for number in range(1, 9):
            send(world, number, PAGE)
        reader = world.processes[1].reports._reader
        warm = reader.snapshot(world.stream)
        assert reader.snapshot(world.stream) is warm
        world.now += 10
        assert reader.snapshot(world.stream) is warm
        world.fold(0, sweep=False)
        world.now += 10
        assert reader.snapshot(world.stream).manifest.watermark == 8


def test_warm_writers_and_readers_notice_a_redaction() -> None:
    """Without being told, and without a restart."""
    with struck(Faults(aws=Dynamo())):
        world = universe()
        send(world, 1, PAGE._replace(session=3), PAGE._replace(path="/secret", session=3))
        reports = world.processes[0].reports
        paths = dict.fromkeys(["/", "/secret"])
        found, _ = reports.paths(world.stream, 0, 9)
        ids = {path.path: path.id for path in found if path.path in paths}
        Redactor(world)(Act.PURGE, paths=(ids["/secret"],))
        send(world, 2, PAGE._replace(session=3), PAGE._replace(path="/c"))
        for process in (0, 1):
            snapshot = world.processes[process].reports._reader.snapshot(world.stream)
            views: Any = sum(sum(part.hours.views) for part in snapshot.parts(1, 0, 10**6) if part.hours)
            assert views == 3 == events(world)
        world.fold(2, sweep=True)
        _agree(world)
