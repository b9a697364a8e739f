"""Who is erased, and what is purged or sealed, stays so for everything that was accepted before and comes later."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib import wiring
from chalicelib.core import lifetimes
from chalicelib.core.events import Bot, Hit
from chalicelib.core.messages import Message
from chalicelib.core.segments import unpack
from chalicelib.core.tombstones import Tombstone, agent_key, hashed, kept, kept_bots
from chalicelib.core.wishes import Act
from tests.core.redacting import Redactor
from tests.core.staging import DAY, PAGE, agrees, stage
from tests.core.test_hardships import dies_at
from tests.core.world import START, Universe


def accepted(of: Universe, *hits: Hit, bots: tuple[Bot, ...] = ()) -> Message:
    """A message that is on its way."""
    message = Message(len(of.accepted) * 7_919_777 + 1, of.now, of.stream, False, hits, bots)
    of.accept(message)
    return message


def paths(redact: Redactor) -> list[str]:
    return [row.path for row in redact.rows().values()]


def nothing(_: Universe) -> None:
    pass


def swept(of: Universe) -> None:
    of.fold(0, sweep=True)


def lost(of: Universe) -> None:
    of.drop()


def weeks(of: Universe) -> None:
    """Four of them, each night with a sweep."""
    for _ in range(28):
        of.now += DAY
        of.fold(0, sweep=True)
    for process in range(3):
        of.crash(process)


def weeks_and_lost(of: Universe) -> None:
    weeks(of)
    of.drop()


after = pytest.mark.parametrize("meanwhile", [nothing, swept, lost, weeks, weeks_and_lost])


@pytest.mark.usefixtures("world")
class TestStories:
    @after
    def test_a_visitor_who_was_erased_stays_erased_for_what_was_on_its_way(
        self, meanwhile: Callable[[Universe], None]
    ) -> None:
        """Under either key; the message is done with, others' hits in it count, and so does who comes afterwards."""
        with stage() as (world, redact):
            world.deliver(0, [accepted(world, PAGE._replace(session=88), PAGE)])
            late = accepted(
                world,
                PAGE._replace(path="/mine", title="My diary", session=88),
                PAGE._replace(session=99),
                PAGE._replace(session=89, previous=88),
            )
            redact(Act.ERASE, keys=(88,))
            redact.tidy()
            meanwhile(world)
            world.deliver(1, [late])
            world.deliver(2, [late])
            world.deliver(1, [accepted(world, PAGE._replace(path="/again", session=88))])
            assert paths(redact) == ["/", "/", "/again"]
            assert list(redact.rows()) == [2, 4, 6], "ids are never given twice"
            assert not any(redact.holds(text) for text in ("/mine", "diary"))
            assert late.id in world.acknowledged
            world.fold(0, sweep=True)
            agrees(world)

    @after
    def test_what_was_purged_stays_purged_for_what_was_on_its_way(self, meanwhile: Callable[[Universe], None]) -> None:
        """The path in whichever case; other paths count, and so does the path for who comes to it afterwards."""
        with stage() as (world, redact):
            world.deliver(0, [accepted(world, PAGE, PAGE._replace(path="/gone"))])
            late = accepted(world, PAGE._replace(path="/GONE"), PAGE._replace(path="/gone/not"), PAGE)
            redact(Act.PURGE, paths=(redact.path("/gone"),))
            redact.tidy()
            meanwhile(world)
            world.deliver(1, [late])
            assert paths(redact) == ["/", "/gone/not", "/"]
            world.deliver(2, [accepted(world, PAGE._replace(path="/gone"))])
            assert paths(redact) == ["/", "/gone/not", "/", "/gone"]
            world.fold(0, sweep=True)
            agrees(world)

    def test_a_purge_of_some_days_is_about_those_days(self) -> None:
        with stage() as (world, redact):
            world.deliver(0, [accepted(world, PAGE)])
            late = accepted(world, *(PAGE._replace(path=f"/{days}", at=START - days * DAY) for days in range(5)))
            redact(Act.PURGE, start=START - 3 * DAY, end=START - DAY)
            world.deliver(1, [late])
            assert paths(redact) == ["/", "/0", "/4"]
            agrees(world)

    def test_nothing_comes_back_of_a_visitor_of_whom_nothing_was_counted_yet(self) -> None:
        """All that there was, was on its way."""
        with stage() as (world, redact):
            late = accepted(world, PAGE._replace(session=88))
            assert redact(Act.ERASE, keys=(88,)).removed == 0
            world.deliver(0, [late])
            assert redact.rows() == {}
            agrees(world)

    def test_a_message_of_which_half_was_in_does_not_bring_its_other_half(self) -> None:
        with stage(2) as (world, redact):
            mine = accepted(world, *(PAGE._replace(path=f"/{i}", session=(88, 5)[i % 2]) for i in range(6)))
            dies_at(world, 0, 2)
            world.deliver(0, [mine])
            redact(Act.ERASE, keys=(88,))
            world.deliver(1, [mine])
            world.deliver(2, [mine])
            assert paths(redact) == ["/1", "/3", "/5"]
            world.fold(0, sweep=True)
            agrees(world)

    def test_no_bot_is_kept_that_was_erased_purged_or_came_to_a_site_that_is_deleted(self) -> None:
        """Nor one that is too old to be kept. A message may hold nothing but bots."""
        with stage() as (world, redact):
            world.deliver(0, [accepted(world, PAGE, PAGE._replace(path="/gone"))])
            bots = (Bot("/Gone", START, 1, "crawler"), Bot("/", START, 1, "Mozilla X"), Bot("/", START, 1, "other"))
            late = [accepted(world, bots=bots), accepted(world, PAGE, bots=bots)]
            redact(Act.PURGE, paths=(redact.path("/gone"),))
            redact(Act.ERASE, keys=(1,), agent=agent_key("Mozilla X"))
            world.deliver(1, late[:1])
            world.deliver(2, late[1:])
            assert [bot.user_agent for bot in wiring.rollups().bots(world.stream)] == ["other", "other"]
            old = accepted(world, bots=bots[2:])
            world.now += lifetimes.HORIZON + 1
            world.deliver(1, [old])
            assert len(list(wiring.rollups().bots(world.stream))) == 2
            last = accepted(world, bots=bots)
            redact(Act.SEAL)
            world.crash(1)
            for process in (0, 1):
                world.deliver(process, [last])
            assert list(wiring.rollups().bots(world.stream)) == []

    def test_a_tombstone_holds_no_name_and_no_key_and_goes_when_nothing_so_old_is_taken_any_more(self) -> None:
        with stage() as (world, redact):
            world.deliver(0, [accepted(world, PAGE, PAGE._replace(path="/secret-page", session=4_711_000_000))])
            redact(Act.PURGE, paths=(redact.path("/secret-page"),))
            redact(Act.ERASE, keys=(4_711_000_000,))
            redact.tidy()
            assert not redact.holds("ecret-page")
            assert redact.session_keys() == set()
            assert sum(len(segment.tombstones) for segment in world.segments()) == 2
            world.deliver(0, [accepted(world, PAGE)])
            world.fold(0, sweep=True)
            world.now += lifetimes.MERGE_PATIENCE + DAY
            world.deliver(0, [accepted(world, PAGE)])
            redact(Act.PURGE, start=0, end=1)
            world.fold(0, sweep=True)
            assert sum(len(unpack(item.data).tombstones) for item in wiring.log().read(world.stream, 0)) >= 1
            world.now += lifetimes.ORIGINAL + DAY
            world.fold(0, sweep=True)
            assert [t.end for segment in world.segments() for t in segment.tombstones] == [1]
            agrees(world)


moments = st.integers(0, 6)
hits = st.builds(
    lambda path, at, session, previous: PAGE._replace(path=path, at=at, session=session, previous=previous),
    st.sampled_from(("/", "/a", "/A", "signup")),
    moments,
    st.integers(0, 2),
    st.integers(0, 2),
)
bots = st.builds(Bot, st.sampled_from(("/", "/a", "/A")), moments, st.just(1), st.sampled_from(("x", "y")))
rules = st.one_of(
    st.tuples(st.just("erase"), moments, st.sets(st.integers(1, 2), min_size=1), st.sampled_from(("", "x"))),
    st.tuples(st.just("purge"), moments, st.sets(st.sampled_from(("/", "/a"))), st.tuples(moments, moments)),
)


def _tombstone(rule: tuple[str, int, Any, Any]) -> Tombstone:
    kind, at, what, more = rule
    if kind == "erase":
        agents = (hashed(agent_key(more)),) if more else ()
        return Tombstone(at, keys=tuple(hashed(str(key)) for key in what), agents=agents)
    return Tombstone(at, more[0], more[1], tuple(map(hashed, what)))


def _goes(rule: tuple[str, int, Any, Any], hit: Hit | Bot, moment: int) -> bool:
    kind, at, what, more = rule
    if moment > at:
        return False
    if kind == "purge":
        return more[0] <= hit.at <= more[1] and (not what or hit.path.lower() in what)
    return hit.user_agent == more if isinstance(hit, Bot) else bool(what & {hit.session, hit.previous})


@given(st.lists(rules, max_size=3), st.lists(st.tuples(hits, moments), max_size=5), st.lists(bots, max_size=3), moments)
def test_what_tombstones_are_about_is_what_the_words_say(
    drawn: list[tuple[str, int, Any, Any]], sent: list[tuple[Hit, int]], seen: list[Bot], moment: int
) -> None:
    tombstones = [_tombstone(rule) for rule in drawn]
    expected = [not any(_goes(rule, hit, at) for rule in drawn) for hit, at in sent]
    found = kept(tombstones, [hit for hit, _ in sent], [at for _, at in sent])
    assert (found or [True] * len(sent)) == expected
    assert found is None or not all(found)
    stay = tuple(bot for bot in seen if not any(_goes(rule, bot, moment) for rule in drawn))
    assert kept_bots(tombstones, seen, moment) == stay
