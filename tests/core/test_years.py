"""Years of a site: silences, nights that nobody sweeps, redactions that stand still, processes that know nothing,
messages that come weeks late, rollups that are lost and counted anew. The audit agrees after every step.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib import wiring
from chalicelib.core.audit import UNDER_WAY, audit
from chalicelib.core.events import Hit
from chalicelib.core.lifetimes import HORIZON
from chalicelib.core.log import read_manifest
from chalicelib.core.messages import Message
from chalicelib.core.redactions import LEASE
from chalicelib.core.wishes import Act, Wish
from tests.core.redacting import Redactor, Row
from tests.core.staging import DAY, PAGE, ends, seen, stage
from tests.core.wishing import hits, placed, spelled, wish_of, wishes
from tests.core.world import Universe
from tests.histories import histories

pytestmark = pytest.mark.usefixtures("world")

some = st.lists(hits, min_size=1, max_size=5)
operations = st.one_of(
    st.tuples(st.just("send"), some, st.integers(0, 2)),
    st.tuples(st.just("park"), some, st.none()),
    st.tuples(st.just("late"), st.integers(0, 5), st.integers(0, 2)),
    st.tuples(st.just("nights"), st.sampled_from((1, 2, 9, 33, 45, 75)), st.sampled_from((0, 1, 3))),
    st.tuples(st.just("redact"), wishes, st.integers(0, 12)),
    st.tuples(st.just("work"), st.none(), st.none()),
    st.tuples(st.just("crash"), st.integers(0, 2), st.none()),
    st.tuples(st.just("rebuild"), st.booleans(), st.none()),
    st.tuples(st.just("drop"), st.none(), st.none()),
)
any_years = given(
    st.lists(operations, max_size=12), st.sampled_from((1, 3, 20_000)), st.sampled_from((1, 900, 4_000_000))
)


@dataclass
class Asked:
    """A redaction that is not through yet."""

    wish: Wish
    becomes: Callable[[Row], Row | None]
    before: dict[int, Row]
    settled: int
    """So many of the rules of what stays out are those of redactions before this one."""
    came: set[str] = field(default_factory=set)
    """The paths of what has been delivered since, whenever it was accepted."""
    stay: int = 0
    """How many events have been delivered since that are to stay."""


@dataclass
class Years:
    """A site's history, and what is expected of it."""

    world: Universe
    redact: Redactor
    parked: list[Message] = field(default_factory=list)
    gone: list[tuple[int, Callable[[Hit], bool]]] = field(default_factory=list)
    """Of messages that were accepted up to a moment, what stays out."""
    asked: Asked | None = None
    going: int = 0
    """Events that the last step has delivered and that only the redaction which is not through yet takes out: they are
    in as long as that has left nothing in the log.
    """

    def go(self, name: str, first: Any, second: Any) -> None:
        """One step; what must hold after it."""
        before, self.going = self.redact.rows(), 0
        fresh = getattr(self, f"_{name}")(first, second) or 0
        self._holds(before, fresh)

    def end(self) -> None:
        """Whatever stands still comes to its end; a rebuild from nothing gives the same."""
        self.go("work", None, None)
        self.redact.tidy()
        self.go("nights", 2, 1)
        self.go("drop", None, None)
        self.go("nights", 1, 1)

    def _holds(self, before: dict[int, Row], fresh: int) -> None:
        world = self.world
        found = audit(wiring.log(), wiring.rollups(), world.stream, now=lambda: world.now)
        assert found.differences in ([], [UNDER_WAY]) if self.asked else not found.differences
        rows = self.redact.rows()
        new = len(rows.keys() - before.keys())
        assert fresh <= new <= fresh + self.going, "each is counted once, unless it was taken out"
        if self.asked is None:
            figures: dict[str, int] = {}
            for row in rows.values():
                if row.flags & 1:
                    figures[row.path] = figures.get(row.path, 0) + 1
            world.crash(2)
            assert seen(world, 2) == figures

    # --- what may happen --------------------------------------------------------------------------------------

    def _accept(self, drawn: list[Hit]) -> Message:
        self.world.now += 1
        chosen = placed(self.world, drawn)
        message = Message(len(self.world.accepted) * 7_919_777 + 1, self.world.now, self.world.stream, False, chosen)
        self.world.accept(message)
        return message

    def _deliver(self, message: Message, process: int) -> int:
        self.world.deliver(process, [message])
        if self.world.now - message.accepted > HORIZON:
            return 0
        stay = self._staying(message, len(self.gone))
        if self.asked is not None:
            self.asked.came |= {hit.path for hit in message.hits}
            self.asked.stay += stay
            self.going = self._staying(message, self.asked.settled) - stay
        return stay

    def _staying(self, message: Message, rules: int) -> int:
        """How many events of a message the first so many rules leave."""
        gone = [goes for at, goes in self.gone[:rules] if message.accepted <= at]
        return sum(not any(goes(hit) for goes in gone) for hit in message.hits)

    def _send(self, drawn: list[Hit], process: int) -> int:
        return self._deliver(self._accept(drawn), process)

    def _park(self, drawn: list[Hit], _: None) -> None:
        self.parked.append(self._accept(drawn))

    def _late(self, index: int, process: int) -> int:
        """A message comes that waited in a queue; one that is too old is not taken."""
        if not self.parked:
            return 0
        return self._deliver(self.parked.pop(index % len(self.parked)), process)

    def _nights(self, days: int, every: int) -> None:
        for day in range(days):
            self.world.now += DAY
            ends(self.world)
            if every and day % every == 0:
                self.world.fold(0, sweep=True)

    def _redact(self, drawn: tuple[Act, Any, Any], steps: int) -> None:
        """Something is to be redacted; after so many steps its worker is gone, and nobody goes on."""
        self._work(None, None)
        wanted = wish_of(self.redact, self.world, drawn)
        if wanted is None:
            return
        what, becomes = wanted
        settled = len(self.gone)
        if drawn[0] is Act.PURGE:
            self.gone.append((self.world.now, _purged(drawn[1], what.get("end", 1 << 60))))
        if drawn[0] is Act.ERASE:
            self.gone.append((self.world.now, lambda hit: drawn[2] in (hit.session, hit.previous)))
        before = self.redact.rows()
        wish = self.redact.redactions.begin(self.world.stream, drawn[0], **what)
        self.asked = Asked(wish, becomes, before, settled)
        self.world.now += 1
        turns = iter([100.0] * steps)
        self.redact._worker.work(self.world.stream, lambda: next(turns, 0.0))
        if self.redact.redactions.done(self.world.stream, wish.id):
            self._work(None, None)

    def _work(self, _: None, __: None) -> None:
        """Whatever was asked for is done."""
        self.world.now += LEASE + 1
        self.redact.work()
        asked, self.asked = self.asked, None
        if asked is None:
            return
        done = self.redact.redactions.done(self.world.stream, asked.wish.id)
        assert done
        rows = self.redact.rows()
        stayed = {i: row for i, row in rows.items() if i in asked.before}
        if done.error:
            assert stayed == asked.before
            return
        assert len(rows) - len(stayed) <= asked.stay, "what came meanwhile and is to stay out is gone"
        became = ((i, asked.becomes(row)) for i, row in asked.before.items())
        expected = {i: row for i, row in became if row is not None}
        assert stayed == spelled(expected, asked.wish.name, asked.came, self.redact)

    def _crash(self, process: int, _: None) -> None:
        self.world.crash(process)

    def _rebuild(self, lost: bool, _: None) -> None:
        """The rollups are counted anew, perhaps since parts of them are gone."""
        if lost:
            parts = sorted(read_manifest(wiring.rollups(), self.world.stream).parts())
            wiring.rollups().remove(self.world.stream, parts[::3])
        with self.world._as(0):
            wiring.rebuilder().rebuild(self.world.stream)

    def _drop(self, _: None, __: None) -> None:
        self.world.drop()


def _purged(path: str, end: int) -> Callable[[Hit], bool]:
    return lambda hit: hit.path.lower() == path.lower() and hit.at <= end


def _live(script: list[tuple[str, Any, Any]], segment_hits: int, read: int) -> None:
    with stage(segment_hits, read=read) as (world, redact):
        years = Years(world, redact)
        for operation in script:
            years.go(*operation)
        years.end()


class TestYears:
    @histories(6)
    @any_years
    def test_nothing_is_lost_and_nothing_comes_back_in_years(
        self, script: list[tuple[str, Any, Any]], segment_hits: int, read: int
    ) -> None:
        _live(script, segment_hits, read)

    def test_a_message_of_before_a_renaming_that_comes_during_it_had_its_name_first(self) -> None:
        """It waited in a queue; its path and the renamed one are one, in its spelling."""
        here, there = [PAGE._replace(path="/a", at=0)], [PAGE._replace(path="/b", at=0)]
        _live(
            [
                ("send", here, 2),
                ("park", there, None),
                ("redact", (Act.RENAME, "/a", "/B"), 0),
                ("late", 0, 2),
            ],
            1,
            4_000_000,
        )

    def test_a_message_that_comes_between_a_purge_and_its_worker_is_gone_once_that_is_through(self) -> None:
        """It was accepted before; at whichever step the worker stands still."""
        late = [PAGE._replace(path="/b", at=-DAY), PAGE._replace(path="/a", at=0)]
        for steps in range(6):
            _live(
                [
                    ("send", [PAGE._replace(path="/b", at=0)], 0),
                    ("park", late, None),
                    ("redact", (Act.PURGE, "/b", None), steps),
                    ("late", 0, steps % 3),
                ],
                20_000,
                4_000_000,
            )

    @pytest.mark.prove
    @pytest.mark.usefixtures("share")
    @histories(750)
    @any_years
    def test_so_it_is_for_as_long_as_one_cares_to_try(
        self, script: list[tuple[str, Any, Any]], segment_hits: int, read: int
    ) -> None:
        """As above, for a quarter of an hour."""
        _live(script, segment_hits, read)
