"""Breakdowns are what counting by hand says, however the log was cut, folded and filtered."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import count

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chalicelib.core.breakdowns import Breakdowns, Counted
from chalicelib.core.cells import Dimension
from chalicelib.core.events import Hit
from chalicelib.core.messages import Message
from chalicelib.core.names import ref_name, versioned
from chalicelib.core.periods import DAY, HOUR, Range
from chalicelib.core.reports import EVERY_PATH, PathFilter
from chalicelib.core.wishes import Act
from tests.core.redacting import Redactor
from tests.core.world import START, Faults, Universe, struck
from tests.dynamo import Dynamo

_streams = count(1)
_PATHS = ("/", "/a", "/B", "buy")
_REFS = (("", "o"), ("example.com/x", "h"), ("Google", "g"), ("google", "o"), ("letter", "c"))

hits = st.builds(
    lambda path, ref, campaign, browser, location, width, age: Hit(
        path,
        "",
        not path.startswith("/"),
        ref[0],
        ref[1],
        campaign,
        browser,
        None if browser is None else "Linux",
        location,
        location and "eng",
        width,
        START - age,
        0,
        0,
    ),
    st.sampled_from(_PATHS),
    st.sampled_from(_REFS),
    st.sampled_from(("", "", "Sale", "Spring")),
    st.sampled_from((None, "", versioned("Firefox", "1"), versioned("Firefox", "2"), "Lynx")),
    st.sampled_from(("", "NL", "US-TX", "US-CA")),
    st.sampled_from((0, 360, 1920, 1921)),
    st.sampled_from((0, 60, HOUR, 5 * HOUR, DAY, 3 * DAY, 40 * DAY)),
)
batches = st.lists(st.lists(hits, min_size=1, max_size=12), min_size=1, max_size=6)
moments = st.sampled_from([START - age for age in (41 * DAY, 40 * DAY, 3 * DAY, DAY, 5 * HOUR, HOUR, 0, -1, -DAY)])
ranges = st.builds(Range, moments, moments, st.sampled_from((0, 3600, -18_000, 20_700)))
filters = st.sampled_from(
    (EVERY_PATH, PathFilter(names=("/a", "/b")), PathFilter(names=("buy", "/none")), PathFilter(names=("/none",)))
)


def _by_hour(drawn: Iterable[Hit], when: Range) -> list[Hit]:
    """Hits whose hour begins in the range."""
    return [hit for hit in drawn if when.start <= hit.at // HOUR * HOUR <= when.end]


def _by_day(drawn: Iterable[Hit], when: Range) -> list[Hit]:
    """Hits whose UTC day has the date of one of the caller's days."""
    if when.end < when.start:
        return []
    first, last = (when.start + when.offset) // DAY, (when.end + when.offset) // DAY
    return [hit for hit in drawn if first <= hit.at // DAY <= last]


def _visits(found: Sequence[Counted], *, pixels: bool = False) -> Counter[str]:
    """Visits by name, or by id if that is what is counted. Ids come once each, and in the order that was promised."""
    assert [(-row.visits, row.id) for row in found] == sorted((-row.visits, row.id) for row in found)
    assert len({row.id for row in found}) == len(found)
    sums = Counter[str]()
    for row in found:
        sums[str(row.id) if pixels else row.text] += row.visits
    assert all(sums.values())
    return sums


_BY_NAME: dict[Dimension, Callable[[Hit], str | None]] = {
    Dimension.BROWSER: lambda hit: hit.browser,
    Dimension.SYSTEM: lambda hit: hit.system,
    Dimension.LOCATION: lambda hit: hit.location,
    Dimension.LANGUAGE: lambda hit: hit.language,
    Dimension.WIDTH: lambda hit: str(hit.width),
}


@pytest.mark.usefixtures("world")
class TestBreakdowns:
    """Over a DynamoDB of dictionaries. Every hit is a visit: none has a session."""

    @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
    @given(batches, st.integers(1, 5), st.integers(1, 4), ranges, filters)
    def test_every_breakdown_is_what_counting_by_hand_says(
        self, drawn: list[list[Hit]], segment_hits: int, every: int, when: Range, paths: PathFilter
    ) -> None:
        """Values, campaigns and their sources by day, referrers and their paths by hour; with a filter and without."""
        with struck(Faults(aws=Dynamo())):
            universe = Universe(f"acc/pageviews/breakdowns{next(_streams)}", segment_hits)
            universe.fill(drawn, every)
            breakdowns = Breakdowns(universe.processes[2].reports._reader)
            meant = [
                hit for chosen in drawn for hit in chosen if paths.names is None or hit.path.lower() in paths.names
            ]
            hours, days = _by_hour(meant, when), _by_day(meant, when)

            for dimension, name in _BY_NAME.items():
                expected = Counter(text for hit in days if (text := name(hit)) is not None)
                # An unknown browser has a name, and it is empty; what is not collected is not there at all.
                found = breakdowns.values(universe.stream, dimension, when, paths)
                assert _visits(found, pixels=dimension is Dimension.WIDTH) == expected
            named = [hit for hit in days if hit.campaign]
            campaigns = breakdowns.campaigns(universe.stream, when, paths)
            assert _visits(campaigns) == Counter(hit.campaign for hit in named)
            for campaign in campaigns:
                sources = breakdowns.campaign(universe.stream, campaign.id, when, paths)
                assert _visits(sources) == Counter(
                    ref_name(hit.ref_scheme, hit.ref) for hit in named if hit.campaign == campaign.text
                )
            referrers = breakdowns.referrers(universe.stream, when, paths)
            assert _visits(referrers) == Counter(ref_name(hit.ref_scheme, hit.ref) for hit in hours)
            for ref, _ in _REFS:
                found = breakdowns.paths(universe.stream, ref.upper(), when, paths)
                assert _visits(found) == Counter(hit.path for hit in hours if hit.ref.lower() == ref.lower())

    def test_what_was_purged_is_in_no_breakdown(self) -> None:
        """Names that went with it are found by nobody; paths that were merged count as one."""
        with struck(faults := Faults(aws=Dynamo())):
            universe = Universe(f"acc/pageviews/breakdowns{next(_streams)}", faults=faults)
            faults.enabled = False
            page = Hit("/", "", False, "kept", "o", "", "Lynx", None, "NL", "", 0, START, 0, 0)
            secret = page._replace(path="/secret", ref="only-here", browser="Rare", campaign="Gone", location="DE")
            message = Message(1 << 40, START, universe.stream, False, (page, secret, page._replace(path="/b")))
            universe.accept(message)
            universe.deliver(0, [message])
            universe.fold(1, sweep=True)
            redact = Redactor(universe)
            assert not redact(Act.PURGE, paths=(redact.path("/secret"),)).error
            assert not redact(Act.MERGE, paths=(redact.path("/b"),), target=redact.path("/")).error
            breakdowns = Breakdowns(universe.processes[2].reports._reader)
            when, stream = Range(START - DAY, START + DAY), universe.stream
            for paths in (EVERY_PATH, PathFilter(names=("/",))):
                assert _visits(breakdowns.values(stream, Dimension.BROWSER, when, paths)) == {"Lynx": 2}
                assert _visits(breakdowns.values(stream, Dimension.LOCATION, when, paths)) == {"NL": 2}
                assert _visits(breakdowns.referrers(stream, when, paths)) == {"okept": 2}
                assert _visits(breakdowns.paths(stream, "kept", when, paths)) == {"/": 2}
                assert _visits(breakdowns.paths(stream, "only-here", when, paths)) == {}
                assert _visits(breakdowns.campaigns(stream, when, paths)) == {}
            for name in ("/secret", "/b", ""):
                assert not breakdowns.referrers(stream, when, PathFilter(names=(name,)))
