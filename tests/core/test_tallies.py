"""A tally is what counting by hand says, however the log was cut and folded."""

from itertools import count

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chalicelib.core.events import Hit
from chalicelib.core.messages import Message
from chalicelib.core.periods import DAY, HOUR
from chalicelib.core.tallies import Tallies, since
from chalicelib.core.wishes import Act
from tests.core.redacting import Redactor
from tests.core.world import START, Faults, Universe, struck
from tests.dynamo import Dynamo

_streams = count(1)
_AGES = (0, 60, HOUR, 5 * HOUR, DAY, 3 * DAY, 40 * DAY, 60_000 * DAY)

hits = st.builds(
    lambda path, age: Hit(path, "", not path.startswith("/"), "", "o", "", None, None, "", "", 0, START - age, 0, 0),
    st.sampled_from(("/", "/a", "/B", "b")),
    st.sampled_from(_AGES),
)
batches = st.lists(st.lists(hits, min_size=1, max_size=12), min_size=1, max_size=5)
moments = st.sampled_from([START - age for age in (*_AGES, -1, -DAY)])
spellings = st.lists(st.sampled_from(("/", "/A", "/b", "B", "/none")), min_size=1, max_size=3)


@pytest.mark.usefixtures("world")
class TestTallies:
    """Over a DynamoDB of dictionaries. Every hit is a visit: none has a session."""

    @settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
    @given(batches, st.integers(1, 5), st.integers(1, 4), st.none() | moments, moments, spellings)
    def test_a_tally_is_what_counting_by_hand_says(  # noqa: PLR0917 - drawn arguments
        self,
        drawn: list[list[Hit]],
        segment_hits: int,
        every: int,
        start: int | None,
        end: int,
        asked: list[str],
    ) -> None:
        """Of a site, and of the first path that is known, whose case does not matter; of hours within the range."""
        with struck(Faults(aws=Dynamo())):
            universe = Universe(f"acc/pageviews/tallies{next(_streams)}", segment_hits)
            universe.fill(drawn, every)
            tallies = Tallies(universe.processes[2].reports._reader)
            every_hit = [hit for chosen in drawn for hit in chosen]
            within = [hit for hit in every_hit if (start is None or start <= _hour(hit)) and _hour(hit) <= end]
            assert tallies.site(universe.stream, since(start, end)) == len(within)
            known = {hit.path.lower() for hit in every_hit}
            path = next((text.lower() for text in asked if text.lower() in known), None)
            expected = None if path is None else sum(hit.path.lower() == path for hit in within)
            assert tallies.path(universe.stream, since(start, end), asked) == expected

    def test_what_was_purged_is_no_path_any_more(self) -> None:
        """By no spelling, the empty one included; the site has lost its visits."""
        with struck(faults := Faults(aws=Dynamo())):
            universe = Universe(f"acc/pageviews/tallies{next(_streams)}", faults=faults)
            faults.enabled = False
            page = Hit("/", "", False, "", "o", "", None, None, "", "", 0, START, 0, 0)
            message = Message(1 << 40, START, universe.stream, False, (page, page._replace(path="/secret")))
            universe.accept(message)
            universe.deliver(0, [message])
            universe.fold(1, sweep=True)
            redact = Redactor(universe)
            assert not redact(Act.PURGE, paths=(redact.path("/secret"),)).error
            tallies = Tallies(universe.processes[2].reports._reader)
            when = since(None, START)
            assert tallies.path(universe.stream, when, ["/secret", ""]) is None
            assert tallies.path(universe.stream, when, ["/secret", "/"]) == 1
            assert tallies.site(universe.stream, when) == 1


def _hour(hit: Hit) -> int:
    return hit.at // HOUR * HOUR
