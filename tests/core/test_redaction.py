"""What is to go goes for good, all else stays as it was, whoever writes, reads, folds, sweeps and dies meanwhile."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import count
from typing import Any

import pytest

from chalicelib import wiring
from chalicelib.core import compaction, redaction, sealing
from chalicelib.core.audit import UNDER_WAY, audit
from chalicelib.core.errors import BrokenLog, Unavailable
from chalicelib.core.events import Bot
from chalicelib.core.folding import Folder
from chalicelib.core.messages import Message
from chalicelib.core.redaction import overdue
from chalicelib.core.redactions import LATE, WAITING, Book, Outcome, Worker
from chalicelib.core.segments import GONE, Kind, unpack
from chalicelib.core.tombstones import agent_key
from chalicelib.core.wishes import Act
from chalicelib.core.writer import Bounds
from tests.core.redacting import Redactor
from tests.core.staging import DAY, PAGE, agrees, seen, send, stage
from tests.core.world import BEFORE, CRASH_AFTER, CRASH_BEFORE, INTERLEAVE, START

pytestmark = pytest.mark.usefixtures("world")


def test_a_purged_path_is_gone_from_everything_that_is_stored() -> None:
    """Its events, its name and title, the names that only it used, bots that asked for it; nothing else."""
    with stage() as (world, redact):
        secret = PAGE._replace(path="/secret-page", title="A secret", ref="only-here.example", browser="Rare\x001")
        send(world, PAGE, secret._replace(session=77), PAGE._replace(path="/b", session=77))
        send(world, secret, bots=(Bot("/Secret-Page", START, 1, "crawler"), Bot("/b", START, 1, "crawler")))
        world.fold(0, sweep=True)
        send(world, secret, PAGE)
        before = redact.rows()
        done = redact(Act.PURGE, paths=(redact.path("/secret-page"),))
        assert (done.removed, done.moved, done.error) == (3, 0, "")
        assert not redact.holds("ecret-page"), "parts that no manifest names any more go at once"
        redact.tidy()
        assert redact.rows() == {i: row for i, row in before.items() if row.path != "/secret-page"}
        for text in ("ecret-page", "ecret-Page", "A secret", "only-here", "Rare"):
            assert not redact.holds(text)
        assert [bot.path for bot in wiring.rollups().bots(world.stream)] == ["/b"]
        assert redact.outside.withdrawn == [world.stream]
        agrees(world)
        for process in (0, 1):
            assert seen(world, process) == {"/": 2, "/b": 1}
            found, more = world.processes[process].reports.paths(world.stream, 0, 2)
            assert ([path.path for path in found], more) == (["/", "/b"], False)


def test_a_purge_of_some_days_leaves_the_path_and_its_other_days() -> None:
    with stage() as (world, redact):
        send(world, *(PAGE._replace(path=path, at=START - days * DAY) for days in range(90) for path in ("/", "/b")))
        world.fold(0, sweep=True)
        before = redact.rows()
        start, end = START - 50 * DAY, START - 20 * DAY
        done = redact(Act.PURGE, paths=(redact.path("/b"),), start=start, end=end)
        assert done.removed == 31
        stay = {i: row for i, row in before.items() if row.path == "/" or not start <= row.at <= end}
        assert redact.rows() == stay
        agrees(world)


def test_merging_adds_the_visits_of_one_path_to_another_and_drops_its_name() -> None:
    """Visits stay visits; who comes to the old address makes a new path of it."""
    with stage() as (world, redact):
        send(world, PAGE._replace(path="/old", session=5, title="T"), PAGE._replace(path="/new", session=5))
        send(world, PAGE._replace(path="/old", session=6), PAGE._replace(path="/old", session=6))
        old, new = redact.path("/old"), redact.path("/new")
        before = redact.rows()
        done = redact(Act.MERGE, paths=(old,), target=new)
        assert (done.removed, done.moved) == (0, 3)
        assert redact.rows() == {i: row._replace(path="/new") for i, row in before.items()}
        redact.tidy()
        assert not redact.holds("/old")
        agrees(world)
        assert seen(world, 1) == {"/new": 3}
        send(world, PAGE._replace(path="/old", session=5), process=2)
        world.fold(2, sweep=False)
        agrees(world)
        assert redact.path("/old") == 3


def test_renaming_keeps_the_id_and_the_title_and_later_hits_of_the_new_name_join_it() -> None:
    with stage() as (world, redact):
        send(world, PAGE._replace(path="/old", title="Title"), PAGE)
        path = redact.path("/old")
        redact(Act.RENAME, paths=(path,), name="/New")
        redact.tidy()
        assert not redact.holds("/old")
        send(world, PAGE._replace(path="/new"), process=1)
        world.crash(2)
        found, _ = world.processes[2].reports.paths(world.stream, 0, 9)
        assert [(each.id, each.path, each.title) for each in found] == [(path, "/New", "Title"), (2, "/", "")]
        assert [row.path for row in redact.rows().values()] == ["/New", "/", "/New"]
        world.fold(0, sweep=True)
        agrees(world)
        redact(Act.RENAME, paths=(path,), name="/NEW")
        assert redact.path("/NEW") == path


def test_a_name_that_another_path_has_merges_the_two() -> None:
    """Also if that path came after the renaming was asked for."""
    with stage() as (world, redact):
        send(world, PAGE._replace(path="/old"))
        path = redact.path("/old")
        redact.redactions.begin(world.stream, Act.RENAME, paths=(path,), name="/New")
        send(world, PAGE._replace(path="/new"))
        redact.work()
        assert [row.path for row in redact.rows().values()] == ["/new", "/new"]
        agrees(world)


def test_an_erased_visitor_leaves_nothing_behind_and_comes_again_as_a_new_one() -> None:
    """All sessions under a key, before and after a change of salt; and bots of the same User-Agent."""
    with stage() as (world, redact):
        key, other = 1_234_567_890_123, 9_876_543_210_987
        send(world, PAGE._replace(session=key), PAGE._replace(session=other), PAGE._replace(path="/mine", session=key))
        world.fold(0, sweep=False)
        send(world, PAGE._replace(path="/b", session=key + 1, previous=key), bots=(Bot("/", START, 1, "Mozilla X"),))
        before = redact.rows()
        assert key in redact.session_keys()
        done = redact(Act.ERASE, keys=(key, key + 1), agent=agent_key("Mozilla X"))
        assert done.removed == 3
        redact.tidy()
        assert redact.rows() == {2: before[2]}
        assert redact.session_keys() == {other}
        assert not any(redact.holds(text) for text in ("/mine", "/b", "Mozilla", str(key), str(key + 1)))
        agrees(world)
        send(world, PAGE._replace(session=key + 1), PAGE._replace(session=other), process=1)
        flags = [row.flags for row in redact.rows().values()]
        assert flags == [1, 1, 0], "a new visitor, and one who is still here"


def test_retention_removes_what_is_too_old_and_does_nothing_when_nothing_is() -> None:
    with stage() as (world, redact):
        send(world, *(PAGE._replace(path=f"/{days}", at=START - days * DAY) for days in (0, 10, 40, 400)))
        world.fold(0, sweep=True)
        cutoff = (world.now // DAY - 31) * DAY
        assert overdue(wiring.rollups(), world.stream, cutoff)
        assert redact(Act.RETAIN, end=cutoff - 1).removed == 2
        redact.tidy()
        assert [row.path for row in redact.rows().values()] == ["/0", "/10"]
        assert not redact.holds("/40")
        agrees(world)
        assert not overdue(wiring.rollups(), world.stream, cutoff)
        log, parts = wiring.log().read(world.stream, 0), sorted(wiring.rollups().stored(world.stream))
        assert redact(Act.RETAIN, end=cutoff - 1).removed == 0
        assert wiring.log().read(world.stream, 0) == log
        assert sorted(wiring.rollups().stored(world.stream)) == parts


def test_merged_segments_are_redacted_and_so_are_their_originals() -> None:
    """Which wait for their end beneath the merged one."""
    with stage(2) as (world, redact), pytest.MonkeyPatch.context() as patch:
        patch.setattr(compaction, "FULL", 400)
        for number in range(12):
            send(world, PAGE._replace(path="/hidden"), PAGE._replace(path=f"/{number}"), PAGE)
        world.now += 45 * DAY
        world.fold(0, sweep=True)
        assert any(segment.number > segment.first for segment in world.segments())
        assert len(wiring.log().read(world.stream, 0)) > len(world.segments())
        send(world, PAGE._replace(path="/hidden", at=world.now))
        before = redact.rows()
        redact(Act.PURGE, paths=(redact.path("/hidden"),))
        redact.tidy()
        assert redact.rows() == {i: row for i, row in before.items() if row.path != "/hidden"}
        assert not redact.holds("/hidden")
        gone = before.keys() - redact.rows().keys()
        assert all(gone.isdisjoint(unpack(item.data).events.id) for item in wiring.log().read(world.stream, 0))
        agrees(world)
        world.drop()
        world.fold(0, sweep=True)
        agrees(world)


def test_nothing_comes_back_that_was_read_to_be_merged_before_it_was_redacted() -> None:
    """A sweep stalls between reading old segments and writing the merged one."""
    with stage(2) as (world, redact), pytest.MonkeyPatch.context() as patch:
        patch.setattr(compaction, "FULL", 1)
        for _ in range(6):
            send(world, PAGE, PAGE._replace(path="/hidden"), PAGE)
        world.fold(0, sweep=False)
        world.now += 45 * DAY
        path = redact.path("/hidden")
        real = compaction.join
        stalled: list[int] = []

        def join(run: Any) -> Any:
            made = real(run)
            if not stalled:
                stalled.append(1)
                redact(Act.PURGE, paths=(path,))
            return made

        patch.setattr(compaction, "join", join)
        world.fold(0, sweep=True)
        assert stalled
        world.fold(0, sweep=True)
        redact.tidy()
        assert not redact.holds("/hidden")
        assert len(redact.rows()) == 12
        agrees(world)


def test_more_names_than_one_marker_can_name_go_with_the_next() -> None:
    with stage(names_at_once=3) as (world, redact):
        send(world, PAGE, *(PAGE._replace(path="/gone", browser=f"Browser {i}\x001") for i in range(10)))
        redact(Act.PURGE, paths=(redact.path("/gone"),))
        redact.tidy()
        assert not redact.holds("Browser")
        assert [text for _, text in redact.names().live(Kind.PATH)] == ["/\0"]
        assert redact.names().texts[Kind.BROWSER] == [GONE] * 10
        agrees(world)


def test_redacted_names_make_room_for_others_and_their_ids_are_never_given_again() -> None:
    """The limit of names counts those that are there."""
    with stage() as (world, redact):
        for process in world.processes:
            process.appender._bounds = Bounds(names=3)
        send(world, *(PAGE._replace(path=f"/{i}") for i in range(3)))
        redact(Act.PURGE, paths=(1, 2))
        send(world, *(PAGE._replace(path=f"/new{i}") for i in range(3)))
        assert [row.path for row in redact.rows().values()] == ["/2", "/new0", "/new1", "(other)"]
        assert redact.path("/new0") == 4
        world.crash(1)
        world.processes[1].appender._bounds = Bounds(names=3)
        send(world, PAGE._replace(path="/new1"), PAGE._replace(path="/newer"), process=1)
        assert [row.path for row in redact.rows().values()][-2:] == ["/new1", "(other)"]
        world.fold(0, sweep=True)
        agrees(world)


def test_a_path_that_is_gone_when_its_turn_comes_ends_in_a_plain_sentence() -> None:
    with stage() as (world, redact):
        send(world, PAGE, PAGE._replace(path="/b"))
        first = redact.redactions.begin(world.stream, Act.PURGE, paths=(1,))
        second = redact.redactions.begin(world.stream, Act.MERGE, paths=(2,), target=1)
        redact.work()
        done = redact.redactions.done(world.stream, second.id)
        assert done
        assert done.error == "The path that others are to be merged into is not there any more."
        assert redact.redactions.done(world.stream, first.id)
        agrees(world)


def test_a_sealed_stream_takes_nothing_and_holds_nothing() -> None:
    """Whoever writes later, warm or cold, is told nothing and stores nothing; until messages are too old anyway."""
    with stage(2, read=400) as (world, redact):
        for number in range(4):
            send(world, PAGE._replace(path=f"/private{number}", session=99), bots=(Bot("/private", START, 1, "x"),))
        world.fold(0, sweep=True)
        send(world, PAGE._replace(path="/private"), process=1)
        assert redact(Act.SEAL).error == ""
        assert redact.outside.withdrawn
        redact.tidy()
        assert not redact.holds("private")
        assert redact.session_keys() == set()
        assert wiring.rollups().stored(world.stream) == []
        assert wiring.rollups().manifest(world.stream) is None
        world.crash(2)
        for process in range(3):
            late = Message(process + 10**9, world.now, world.stream, False, (PAGE._replace(path="/private"),))
            world.accept(late)
            world.deliver(process, [late])
            world.deliver(process, [late])
            world.fold(process, sweep=True)
        assert not world.parked
        assert not redact.holds("private")
        assert redact.rows() == {}
        assert redact(Act.PURGE, start=0).error == "The site is deleted."


def test_nothing_is_left_of_a_sealed_stream_by_those_who_were_at_work_on_it() -> None:
    """A fold, the stream's first, and a writer that had read the log each stall until the seal has removed all."""
    with stage() as (world, redact):
        send(world, PAGE._replace(path="/private"))
        send(world, PAGE._replace(path="/private"), process=1)
        real = wiring.log().put
        stalled: list[int] = []

        def put(stream: str, number: int, data: bytes, expires: int | None) -> None:
            if not stalled:
                stalled.append(number)
                patch.setattr(wiring.rollups(), "swing", swing)
                with suppress(BrokenLog):
                    wiring.folder().fold(stream)
            real(stream, number, data, expires)

        def swing(stream: str, version: int, data: bytes) -> None:
            patch.undo()
            send(world, PAGE._replace(path="/private"))
            send(world, PAGE._replace(path="/private"))
            redact(Act.SEAL)
            wiring.rollups().swing(stream, version, data)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(wiring.log(), "put", put)
            send(world, PAGE._replace(path="/private"), process=1, bots=(Bot("/private", START, 1, "x"),))
        assert stalled
        redact.tidy()
        assert not redact.holds("private")
        assert wiring.rollups().stored(world.stream) == []
        assert wiring.rollups().manifest(world.stream) is None


def test_an_erased_visitor_who_comes_while_that_is_done_is_a_new_one() -> None:
    """For whichever writer, and whether or not the rollups know of it."""
    with stage() as (world, redact):
        send(world, PAGE._replace(session=88))
        world.fold(0, sweep=False)
        redact.redactions.begin(world.stream, Act.ERASE, keys=(88,))
        world.now += 1  # what was accepted in the second of the wish goes as well
        came: list[str] = []

        def remaining() -> float:
            phase = book(redact).notes.phase if book(redact).running else ""
            if phase in {"fold", "rewrite"} and phase not in came:
                came.append(phase)
                send(world, PAGE._replace(session=88), process=len(came))
            return 100.0

        Worker(redact.ports).work(world.stream, remaining)
        assert came == ["fold", "rewrite"]
        assert [(row.session, row.flags) for row in redact.rows().values()] == [(2, 1), (2, 0)]
        assert seen(world, 0) == {"/": 1}
        agrees(world)


def test_a_visitor_of_whom_nothing_is_left_is_in_no_checkpoint_either() -> None:
    """Whatever took the page views: only those sessions are remembered that still have some."""
    with stage() as (world, redact):
        send(world, PAGE._replace(path="/gone", session=88), PAGE._replace(path="/gone", session=99))
        send(world, PAGE._replace(session=99))
        world.fold(0, sweep=False)
        redact(Act.PURGE, paths=(1,))
        redact.tidy()
        assert redact.session_keys() == {99}
        agrees(world)


def test_parts_that_a_fold_left_behind_go_as_well() -> None:
    """It died, or lost its race, when they were written."""
    with stage() as (world, redact), pytest.MonkeyPatch.context() as patch:
        send(world, PAGE, PAGE._replace(path="/hidden"))

        def swing(stream: str, version: int, data: bytes) -> None:
            raise Unavailable(f"{stream} {version} {len(data)}")

        patch.setattr(wiring.rollups(), "swing", swing)
        with suppress(Unavailable):
            Folder(wiring.log(), wiring.rollups(), now=lambda: world.now).fold(world.stream)
        patch.undo()
        redact(Act.PURGE, paths=(2,))
        assert redact.holds("/hidden")
        redact.tidy()
        assert not redact.holds("/hidden")
        agrees(world)


def test_the_titles_that_a_path_had_go_with_it() -> None:
    with stage() as (world, redact):
        send(world, PAGE, PAGE._replace(path="/gone", title="First headline"))
        send(world, *(PAGE._replace(path="/gone", title="Second headline") for _ in range(12)))
        world.fold(0, sweep=False)
        assert redact.holds("Second headline")
        redact(Act.PURGE, paths=(2,))
        redact.tidy()
        assert not redact.holds("headline")
        agrees(world)


def test_a_stream_without_anything_is_redacted_and_sealed_like_any_other() -> None:
    with stage() as (world, redact):
        assert redact(Act.RETAIN, end=world.now).error == ""
        assert redact(Act.PURGE, paths=(1,)).error == "The path is not there any more."
        assert wiring.log().read(world.stream, 0) == []
        assert redact(Act.SEAL).error == ""
        send(world, PAGE)
        redact.tidy()
        assert redact.rows() == {}


def test_an_audit_while_a_redaction_is_under_way_says_so() -> None:
    """Where log and rollups do not agree, for one of them is not changed yet."""
    with stage(1) as (world, redact), pytest.MonkeyPatch.context() as patch:
        send(world, PAGE, PAGE._replace(path="/gone"))
        redact.redactions.begin(world.stream, Act.PURGE, paths=(2,))
        found: set[tuple[str, ...]] = set()

        def remaining() -> float:
            found.add(tuple(audit(wiring.log(), wiring.rollups(), world.stream, now=lambda: world.now).differences))
            return 100.0

        Worker(redact.ports).work(world.stream, remaining)
        assert found == {(), (UNDER_WAY,)}
        real = wiring.log().read

        def read(stream: str, **extent: Any) -> Any:
            patch.undo()
            redact(Act.PURGE, paths=(1,))
            return real(stream, **extent)

        patch.setattr(wiring.log(), "read", read)
        assert audit(wiring.log(), wiring.rollups(), world.stream, now=lambda: world.now).differences == [UNDER_WAY]
        agrees(world)


def test_an_audit_finds_events_of_names_that_are_gone() -> None:
    with stage() as (world, redact):
        send(world, PAGE, PAGE._replace(browser="Firefox\x00139"))
        (item,) = wiring.log().read(world.stream, 0)
        segment = unpack(item.data)
        segment.names[Kind.PATH] = [GONE]
        segment.names[Kind.BROWSER] = []
        wiring.log().overwrite(world.stream, 1, segment.pack(), None)
        found = audit(wiring.log(), wiring.rollups(), world.stream, now=lambda: world.now)
        assert found.differences == [f"1 names of {kind} are used that are not there" for kind in ("PATH", "BROWSER")]
        assert redact


def test_a_seal_waits_for_no_other_redaction() -> None:
    """Neither for those that wait, however many they are, nor for one that does not come to its end."""
    with stage() as (world, redact):
        send(world, PAGE, PAGE._replace(path="/private"))
        for _ in range(WAITING):
            redact.redactions.begin(world.stream, Act.PURGE, paths=(2,))
        turns = iter([100.0] * 3)
        Worker(redact.ports).work(world.stream, lambda: next(turns, 0.0))
        first = book(redact).running
        assert first is not None
        assert redact(Act.SEAL).error == ""
        assert {done.error for done in book(redact).done} == {"", "The site is deleted."}
        redact.tidy()
        assert not redact.holds("private")


def test_a_step_writes_only_so_many_segments() -> None:
    """However small they are: a step has to end long before the function does."""
    with stage(1) as (world, redact), pytest.MonkeyPatch.context() as patch:
        patch.setattr(redaction, "WRITES", 3)
        patch.setattr(sealing, "WRITES", 3)
        send(world, *(PAGE._replace(path="/gone") for _ in range(10)), PAGE)
        redact.redactions.begin(world.stream, Act.PURGE, paths=(1,))
        written: list[str] = []
        replace, remove = wiring.log().replace, wiring.log().remove

        def replacing(stream: str, *what: Any) -> None:
            written.append(stream)
            replace(stream, *what)

        def removing(stream: str, numbers: Sequence[int]) -> None:
            written.extend([stream] * len(numbers))
            remove(stream, numbers)

        patch.setattr(wiring.log(), "replace", replacing)
        patch.setattr(wiring.log(), "remove", removing)
        most: list[int] = []

        def remaining() -> float:
            most.append(len(written))
            written.clear()
            return 100.0

        Worker(redact.ports).work(world.stream, remaining)
        assert [row.path for row in redact.rows().values()] == ["/"]
        agrees(world)
        redact.redactions.begin(world.stream, Act.SEAL)
        Worker(redact.ports).work(world.stream, remaining)
        assert sum(most) > 20
        assert max(most) <= 3


def test_only_so_many_wait_for_a_stream() -> None:
    from chalicelib.core.errors import Invalid  # noqa: PLC0415

    with stage() as (world, redact):
        for _ in range(WAITING):
            redact.redactions.begin(world.stream, Act.TIDY)
        with pytest.raises(Invalid, match="wait for this site already"):
            redact.redactions.begin(world.stream, Act.TIDY)


def test_two_workers_never_work_on_one_book_and_a_lost_message_is_asked_for_again() -> None:
    with stage() as (world, redact):
        send(world, PAGE)
        redact.redactions.begin(world.stream, Act.PURGE, paths=(1,))
        worker = Worker(redact.ports)
        assert worker.work(world.stream, lambda: 0.0) is Outcome.MORE
        turns = iter([100.0])

        def remaining() -> float:
            assert Worker(redact.ports).work(world.stream, lambda: 100.0) is Outcome.BUSY
            asked = len(redact.queue.streams)
            redact.redactions.tend(world.stream)
            assert len(redact.queue.streams) == asked
            return next(turns, 0.0)

        assert worker.work(world.stream, remaining) is Outcome.MORE
        asked = len(redact.queue.streams)
        assert not redact.redactions.tend(world.stream)
        assert redact.queue.streams[asked:] == [(world.stream, 0)]
        world.now += LATE + 1
        assert redact.redactions.tend(world.stream), "somebody has to look"


def test_a_step_that_fails_halfway_is_done_again_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """What came meanwhile is read and counted once more, when the parts could not be written at first."""
    with stage() as (world, redact):
        send(world, PAGE, PAGE._replace(path="/gone"))
        redact.redactions.begin(world.stream, Act.PURGE, paths=(2,))
        real = redact.ports.rollups.put
        failed: list[int] = []

        def put(stream: str, parts: Any, expires: int | None) -> None:
            if book(redact).notes.phase == "swing" and not failed:
                failed.append(1)
                raise Unavailable("slow")
            real(stream, parts, expires)

        def remaining() -> float:
            if book(redact).notes.phase == "swing" and not failed:
                send(world, PAGE, process=1)
                world.fold(1, sweep=False)
                monkeypatch.setattr(redact.ports.rollups, "put", put)
            return 100.0

        with pytest.raises(Unavailable):
            Worker(redact.ports).work(world.stream, remaining)
        redact.work()
        assert seen(world, 2) == {"/": 2}
        agrees(world)


class Stalls:
    """A log at which somebody who reads waits once while others work."""

    def __init__(self, meanwhile: Callable[[], object]) -> None:
        self._meanwhile: Callable[[], object] | None = meanwhile

    def __getattr__(self, name: str) -> Any:
        return getattr(wiring.log(), name)

    def read(self, *where: Any, **extent: Any) -> Any:
        if self._meanwhile is not None:
            meanwhile, self._meanwhile = self._meanwhile, None
            meanwhile()
        return wiring.log().read(*where, **extent)


def test_a_writer_that_read_the_rollups_before_a_redaction_and_the_log_after_it_uses_no_name_that_is_gone() -> None:
    """Nor does it go on with a session that was erased."""
    with stage() as (world, redact):
        key = 4_711
        send(world, PAGE, PAGE._replace(path="/gone"), PAGE._replace(path="/b", session=key))
        world.fold(0, sweep=False)
        world.crash(1)

        def meanwhile() -> None:
            send(world, PAGE)
            redact(Act.PURGE, paths=(2,))
            redact(Act.ERASE, keys=(key,))

        world.processes[1].appender._log = Stalls(meanwhile)
        world.now += 60  # it is accepted after what is asked for meanwhile
        late = Message(
            10**9, world.now, world.stream, False, (PAGE._replace(path="/gone"), PAGE._replace(path="/b", session=key))
        )
        world.now -= 60
        world.accept(late)
        world.deliver(1, [late])
        rows = list(redact.rows().values())
        assert [row.path for row in rows] == ["/", "/", "/gone", "/b"]
        assert rows[-1].session == 2
        world.fold(0, sweep=True)
        agrees(world)


def test_parts_that_are_gone_since_the_rollups_were_read_are_looked_for_anew() -> None:
    """By writers, cold ones and warm ones with an old message, and by folds: no delivery has to come again."""
    with stage() as (world, redact):
        first = send(world, PAGE, PAGE._replace(path="/gone"))
        world.fold(0, sweep=False)
        send(world, PAGE, process=2)
        world.crash(1)

        def meanwhile() -> None:
            wiring.folder().sweep(world.stream)
            redact(Act.PURGE, paths=(purged[-1],))
            redact.tidy()

        purged = [2]
        real = wiring.rollups().manifest
        with pytest.MonkeyPatch.context() as patch:
            stalled: list[int] = []

            def manifest(stream: str) -> Any:
                found = real(stream)
                if not stalled:
                    stalled.append(1)
                    meanwhile()
                return found

            patch.setattr(wiring.rollups(), "manifest", manifest)
            world.deliver(1, [first])
            send(world, PAGE, process=1)
            for folds in range(1, 5):  # one of them merges the runs of a day
                for _ in range(folds):
                    send(world, PAGE._replace(path="/gone"))
                    Folder(wiring.log(), wiring.rollups(), now=lambda: world.now).fold(world.stream)
                send(world, PAGE._replace(path="/gone"), process=1)
                purged.append(redact.path("/gone"))
                stalled.clear()
                Folder(wiring.log(), wiring.rollups(), now=lambda: world.now).fold(world.stream)
        assert len(redact.rows()) == 3
        world.fold(0, sweep=True)
        agrees(world)


def book(redact: Redactor) -> Book:
    return redact.redactions.book(redact.universe.stream)


@pytest.mark.parametrize("step", [6, pytest.param(1, marks=pytest.mark.prove)])
@pytest.mark.parametrize("kind", [CRASH_BEFORE, CRASH_AFTER, BEFORE])
def test_a_redaction_survives_a_crash_at_every_single_call(step: int, kind: int) -> None:
    """Before the call or after it, or that the call fails; others write and fold meanwhile. Every sixth call does for
    a start: the others are much alike.
    """
    calls = kind % 4
    while _struck(calls, kind):
        calls += step
    assert calls > 15


def _struck(calls: int, kind: int) -> bool:
    """Purges a path while something goes wrong after so many calls; whether that came before it was through."""
    with stage(2, read=600) as (world, redact):
        for number in range(4):
            send(world, PAGE._replace(path="/gone", session=3), PAGE._replace(path=f"/{number}"), PAGE)
            if number == 2:
                world.fold(0, sweep=False)
        before = redact.rows()
        path = redact.path("/gone")
        fresh = count()

        def meanwhile() -> None:
            send(world, PAGE._replace(path=f"/meanwhile/{next(fresh)}"), process=2)
            world.fold(2, sweep=False)

        world.faults.meanwhile = meanwhile
        others = min(calls // 20, 2)
        world.faults.plan = [(19, INTERLEAVE, False)] * others + [(calls - 20 * others, kind, True)]
        world.faults.enabled = True
        redact(Act.PURGE, paths=(path,))
        world.faults.enabled = False
        send(world, PAGE, process=1)
        stayed = {i: row for i, row in redact.rows().items() if i in before}
        assert stayed == {i: row for i, row in before.items() if row.path != "/gone"}
        world.fold(1, sweep=False)
        agrees(world)
        redact.tidy()
        assert not redact.holds("/gone")
        return not world.faults.plan
