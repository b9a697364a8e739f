"""Nothing ends before it may: neither in a site that nobody sweeps, nor under a redaction that takes its time."""

import random
from types import SimpleNamespace
from typing import Any

import pytest

from chalicelib import wiring
from chalicelib.core import compaction, folding, lifetimes, names, reading, redactions, salts, sweeping
from chalicelib.core.audit import audit
from chalicelib.core.log import Appender, read_manifest
from chalicelib.core.messages import Message
from chalicelib.core.redaction import overdue
from chalicelib.core.redactions import Outcome
from chalicelib.core.wishes import Act
from chalicelib.functions import redact as redact_module
from tests.core.redacting import Redactor
from tests.core.staging import DAY, PAGE, ends, send, stage
from tests.core.world import Universe

pytestmark = pytest.mark.usefixtures("world")


def night(of: Universe, *, sweep: bool = True) -> None:
    of.now += DAY
    ends(of)
    if sweep:
        of.fold(0, sweep=True)


def agrees(of: Universe) -> None:
    found = audit(wiring.log(), wiring.rollups(), of.stream, now=lambda: of.now)
    assert not found.differences
    of.crash(2)
    snapshot = of.processes[2].reports._reader.snapshot(of.stream)
    hours = [part.hours for part in snapshot.parts(1, -(10**9), 10**9) if part.hours]
    assert sum(sum(each.views) for each in hours) == sum(map(len, of.segments()))


def a_step(redact: Redactor) -> None:
    """Time for one step of a redaction."""
    turns = iter([100.0, 0.0])
    redact._worker.work(redact.universe.stream, lambda: next(turns, 0.0))


def test_lifetimes_keep_the_order_that_nothing_is_lost_by() -> None:
    """Recognised while it may be delivered; there while it is named; ended after whoever may look for it."""
    life = lifetimes
    assert life.QUEUED < life.HORIZON, "what a queue still holds is taken"
    assert life.HORIZON + life.KEY_REACH < life.ID_BLOCK, "whatever is taken is looked for in blocks that are there"
    assert life.HORIZON + life.DAY < life.MERGE_AGE < life.MERGE_PATIENCE, (
        "ids stay in the log until blocks do not need them"
    )
    assert life.HORIZON < life.SEAL, "who is sealed stays so for all that may still come"
    assert redactions.LATE < life.ORIGINAL, "somebody looks after a redaction long before originals go"
    assert life.LOOK < life.REPLACED, "a reader looks anew before the parts that it knows are gone"
    assert life.FUNCTION < life.REPLACED, "and no function holds them for longer"
    assert life.FUNCTION < redactions.STALE < life.ORPHAN, "who wrote a part names it, or is dead"
    assert redactions.LEASE < life.FUNCTION
    assert life.SESSION <= salts.DAY, "two salts recognise whoever may still be in a session"
    assert reading.FRESH == life.LOOK
    assert redact_module.WORKERS


@pytest.mark.parametrize("silent", [45, 75])
def test_a_purge_of_a_site_that_nobody_visits_leaves_no_gap_in_its_log(silent: int) -> None:
    """Its marker is all that there is to merge, and stays under its number."""
    with stage() as (world, redact):
        send(world, PAGE, PAGE._replace(path="/b"))
        for _ in range(silent):
            night(world)
        assert redact(Act.PURGE, paths=(redact.path("/b"),)).removed == 1
        redact.tidy()
        for _ in range(silent + 17):
            night(world)
        send(world, PAGE._replace(at=world.now))
        agrees(world)
        assert redact(Act.PURGE, paths=(redact.path("/"),)).removed == 2


def test_retention_of_a_site_that_went_quiet_leaves_no_gap_in_its_log() -> None:
    with stage() as (world, redact):
        keep = 20

        def retain() -> None:
            night(world)
            cutoff = (world.now // DAY - keep) * DAY
            if overdue(wiring.rollups(), world.stream, cutoff):
                redact(Act.RETAIN, end=cutoff - 1)

        for day in range(25):
            send(world, PAGE._replace(at=world.now), PAGE._replace(path=f"/{day}", at=world.now))
            retain()
        for _ in range(70):
            retain()
        send(world, PAGE._replace(at=world.now), PAGE._replace(path="/new", at=world.now))
        agrees(world)
        assert redact(Act.PURGE, paths=(redact.path("/new"),)).removed == 1
        agrees(world)


@pytest.mark.parametrize("views", [1, 10])
def test_a_site_that_no_sweep_reaches_for_more_than_a_year_loses_nothing(views: int) -> None:
    """Whether its appender asks for folds, or nobody ever does; one sweep then puts it in order."""
    with stage() as (world, redact):
        asked: list[int] = []
        folds = SimpleNamespace(ask=lambda _stream, head: asked.append(head))
        world.processes[0].appender = Appender(
            wiring.log(), wiring.rollups(), folds, now=world._clock, sleep=lambda _: None
        )
        for day in range(5):
            for view in range(views):
                world.now += 600
                send(world, PAGE._replace(path=f"/{day % 3}", at=world.now, session=view % 4 + 1))
            if asked:
                asked.clear()
                world.fold(1, sweep=False)
            world.now += 90 * DAY
            ends(world)
        agrees(world)
        assert len(redact.rows()) == 5 * views
        world.fold(1, sweep=True)
        agrees(world)
        assert len(redact.rows()) == 5 * views


def test_sessions_are_there_for_a_message_that_waited_in_a_queue_for_four_weeks() -> None:
    """The stream's own clock stood still meanwhile, so the visitor is the same."""
    with stage() as (world, redact):
        send(world, PAGE._replace(session=7))
        world.fold(0, sweep=True)
        late = Message(
            10**9, world.now + 60, world.stream, False, (PAGE._replace(session=7), PAGE._replace(path="/b", session=7))
        )
        world.accept(late)
        for _ in range(28):
            night(world)
        world.deliver(1, [late])
        assert [row.flags for row in redact.rows().values()] == [1, 0, 1]
        agrees(world)


def test_originals_of_merged_segments_go_once_nobody_can_hold_a_place_among_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """They stay while a redaction is under way, and for a while after the merge; then they are deleted."""
    with stage(1) as (world, redact):
        for number in range(9):
            send(world, PAGE._replace(path=f"/{number % 3}"), PAGE)
        world.now += lifetimes.MERGE_PATIENCE + DAY
        world.fold(0, sweep=True)
        items = len(wiring.log().read(world.stream, 0))
        assert (items, len(world.segments())) == (18, 1)
        monkeypatch.setattr(compaction, "READ", 900)  # a piece at a time
        world.now += lifetimes.ORIGINAL - DAY
        redact.redactions.begin(world.stream, Act.PURGE, paths=(1,))
        assert redact._worker.work(world.stream, lambda: 0.0) is Outcome.MORE
        a_step(redact)
        world.now += 2 * DAY
        world.fold(0, sweep=True)
        assert len(wiring.log().read(world.stream, 0)) == 18, "a redaction reads them"
        redact.work()
        night(world)
        assert [item.number for item in wiring.log().read(world.stream, 0)] == [
            segment.first for segment in world.segments()
        ]
        assert read_manifest(wiring.rollups(), world.stream).cleaned == 18
        agrees(world)


def half_done(world: Universe, redact: Redactor) -> str:
    """A purge that stands still once it has counted some days anew; its id."""
    for day in range(6):
        send(
            world,
            PAGE._replace(at=world.now),
            PAGE._replace(path="/b", at=world.now),
            PAGE._replace(path=f"/{day}", at=world.now),
        )
        world.now += DAY
        world.fold(0, sweep=True)
    wish = redact.redactions.begin(world.stream, Act.PURGE, paths=(redact.path("/b"),))
    for _ in range(200):
        a_step(redact)
        notes = redact.redactions.book(world.stream).notes
        if notes.phase == "rewrite" and len(notes.periods) >= 3:
            return wish.id
        world.now += 1
    raise AssertionError("it never counted anything anew")


def test_the_search_for_parts_that_nobody_names_spares_those_of_a_redaction() -> None:
    """One that stands still for more than a week, while the site is swept each night."""
    with stage(2, read=1) as (world, redact):
        wish = half_done(world, redact)
        for _ in range(9):
            night(world)
        redact.work()
        done = redact.redactions.done(world.stream, wish)
        assert done
        assert done.removed == 6
        world.now += 7200
        ends(world)
        agrees(world)


def test_a_redaction_whose_parts_were_deleted_counts_anew() -> None:
    """Before it swings it looks whether all of them are there."""
    with stage(2, read=1) as (world, redact):
        wish = half_done(world, redact)
        held = redact.redactions.held(world.stream)
        assert held
        wiring.rollups().remove(world.stream, sorted(held.parts)[:1])
        redact.work()
        done = redact.redactions.done(world.stream, wish)
        assert done
        assert done.removed == 6
        agrees(world)


def test_a_cold_writer_goes_on_with_sessions_whose_checkpoint_a_redaction_replaced_meanwhile() -> None:
    """It has read the manifest; before it gets the parts, a redaction of somebody else swings and deletes them."""
    with stage() as (world, redact):
        visitor, other = 4711, 99
        both = [PAGE._replace(path=path, session=who) for path in ("/", "/b") for who in (visitor, other)]
        send(world, *both)
        world.fold(0, sweep=False)
        redact.redactions.begin(world.stream, Act.ERASE, keys=(other,))
        for _ in range(50):
            a_step(redact)
            if redact.redactions.book(world.stream).notes.phase == "swing":
                break
        world.crash(1)
        real, swung = wiring.rollups().manifest, list[int]()

        def manifest(stream: str) -> Any:
            found = real(stream)
            if not swung:
                swung.append(1)
                redact.work()
            return found

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(wiring.rollups(), "manifest", manifest)
            send(world, PAGE._replace(session=visitor), PAGE._replace(path="/b", session=visitor), process=1)
        assert [row.flags for row in redact.rows().values()][-2:] == [0, 0], "this visitor has just seen both paths"
        agrees(world)


def test_titles_that_alternate_leave_only_the_last_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each night the sweep lets go of those that others took the place of, once they may be the most."""
    monkeypatch.setattr(folding, "NAMES_BYTES", 2_000)
    monkeypatch.setattr(sweeping, "NAMES_BYTES", 2_000)
    with stage() as (world, redact):
        words = random.Random(2)
        titles = [[f"{words.getrandbits(200):x}" for _ in range(40)] for _ in range(2)]
        sizes = []
        for day in range(24):
            hits = [PAGE._replace(path=f"/{i}", title=titles[day % 2][i], at=world.now) for i in range(40)]
            send(world, *(hits * 12))
            night(world)
            sizes.append(sum(ref.size for ref in read_manifest(wiring.rollups(), world.stream).names))
        assert max(sizes[12:]) <= max(sizes[:12])
        assert max(sizes) <= 3 * sizes[0] + 4_000
        assert redact.names().path(3)[1] == titles[1][2]
        agrees(world)
        redact(Act.PURGE, paths=(3,))
        redact.tidy()
        assert not redact.holds(titles[0][2])
        assert not redact.holds(titles[1][2])
        agrees(world)


def test_titles_take_no_more_room_than_names_may(monkeypatch: pytest.MonkeyPatch) -> None:
    """A longer title that would not fit stays out, for warm writers and cold ones."""
    monkeypatch.setattr(names, "BYTES", 60)
    with stage() as (world, redact):
        send(world, PAGE, PAGE._replace(path="/b", title="short"))
        for process, title in ((0, "x" * 30), (0, "y" * 30), (1, "z" * 45), (2, "w" * 12)):
            send(world, *[PAGE._replace(path="/b" if title[0] != "y" else "/", title=title)] * 12, process=process)
            world.fold(0, sweep=False)
        assert [redact.names().path(path) for path in (1, 2)] == [("/", ""), ("/b", "w" * 12)]
        agrees(world)


def test_segments_that_an_older_version_gave_an_end_lose_it_when_they_are_merged() -> None:
    """Also a marker that is alone in its run, of which merging changes nothing else."""
    with stage(1) as (world, redact):
        put = wiring.log().put
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(
                wiring.log(), "put", lambda stream, number, data, _: put(stream, number, data, world.now + 60 * DAY)
            )
            for number in range(3):
                send(world, PAGE._replace(path=f"/{number}"))
            world.fold(0, sweep=True)
            world.now += 45 * DAY
            world.fold(0, sweep=True)
            redact(Act.PURGE, paths=(1,))
            redact.tidy()
        for _ in range(70):
            night(world)
        assert [row.path for row in redact.rows().values()] == ["/1", "/2"]
        agrees(world)


def test_the_book_of_a_purge_of_thousands_of_long_paths_fits_into_an_item() -> None:
    with stage() as (world, redact):
        words = random.Random(3)
        invented = [PAGE._replace(path=f"/{words.getrandbits(400):x}") for _ in range(6_000)]
        send(world, PAGE, *invented)
        world.fold(0, sweep=True)
        done = redact(Act.PURGE, paths=tuple(range(2, 6_002)))
        assert (done.removed, done.error) == (6_000, "")
        redact.tidy()
        agrees(world)


# --- rollups that were lost are counted anew ------------------------------------------------------------------------


def lose(of: Universe, *, share: int = 2) -> None:
    """Some parts are gone."""
    parts = sorted(read_manifest(wiring.rollups(), of.stream).parts())
    wiring.rollups().remove(of.stream, parts[:: max(1, len(parts) // share)])


def rebuild(of: Universe) -> int:
    with of._as(0):
        return wiring.rebuilder().rebuild(of.stream)


def test_rollups_that_lost_parts_are_rebuilt_from_the_log() -> None:
    """Also where segments were merged and paths renamed; what is replaced ends."""
    with stage(2) as (world, redact):
        for day in range(36):
            send(world, PAGE._replace(at=world.now, session=5), PAGE._replace(path=f"/{day % 4}", at=world.now))
            night(world)
        redact(Act.RENAME, paths=(redact.path("/1"),), name="/one")
        redact.tidy()
        rows = redact.rows()
        lose(world)
        found = audit(wiring.log(), wiring.rollups(), world.stream, now=lambda: world.now)
        assert found.differences
        assert found.rollups
        before = read_manifest(wiring.rollups(), world.stream)
        assert rebuild(world) == world.segments()[-1].number
        agrees(world)
        after = read_manifest(wiring.rollups(), world.stream)
        assert (after.version, after.compacted, after.cleaned) == (before.version + 1, before.compacted, before.cleaned)
        world.now += 7200
        ends(world)
        assert not set(wiring.rollups().stored(world.stream)) & (before.parts() - after.parts())
        assert redact.rows() == rows
        send(world, PAGE._replace(at=world.now))
        night(world)
        agrees(world)


@pytest.mark.parametrize("phase", ["scan", "mark", "fold", "rewrite", "swing", "clean"])
def test_rollups_are_rebuilt_while_a_redaction_is_under_way(phase: str) -> None:
    """In whichever of its steps; both come to their ends, and nothing comes back."""
    with stage(1, read=1) as (world, redact):
        for _ in range(3):
            send(world, PAGE, PAGE._replace(path="/gone"))
        world.fold(0, sweep=True)
        wish = redact.redactions.begin(world.stream, Act.PURGE, paths=(redact.path("/gone"),))
        for _ in range(60):
            book = redact.redactions.book(world.stream)
            if book.running and book.notes.phase == phase:
                break
            a_step(redact)
        assert redact.redactions.book(world.stream).notes.phase == phase
        lose(world, share=9)
        rebuild(world)
        redact.work()
        redact.tidy()
        done = redact.redactions.done(world.stream, wish.id)
        assert done
        assert (done.error, done.removed) == ("", 3)
        agrees(world)
        assert not redact.holds("/gone")
        assert [row.path for row in redact.rows().values()] == ["/"] * 3


def test_what_is_counted_folded_and_redacted_while_rollups_are_rebuilt_is_in_them() -> None:
    """A redaction that rewrites what was just read has it counted again."""
    with stage(1) as (world, redact):
        for _ in range(4):
            send(world, PAGE, PAGE._replace(path="/gone"))
        world.fold(0, sweep=True)
        gone = redact.path("/gone")
        real, busy = wiring.log().read, list[bool]()

        def counted() -> None:
            send(world, PAGE, process=1)
            world.fold(2, sweep=False)

        def redacted() -> None:
            assert redact(Act.PURGE, paths=(gone,)).removed == 4

        stories = [counted, redacted]

        def read(stream: str, **extent: Any) -> Any:
            found = real(stream, **extent)
            if stories and not busy:
                busy.append(True)
                stories.pop(0)()
                busy.clear()
            return found

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(wiring.log(), "read", read)
            rebuild(world)
        assert not stories
        agrees(world)
        assert [row.path for row in redact.rows().values()] == ["/"] * 5
