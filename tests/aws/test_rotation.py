"""Secrets rotate, and nothing that was made with one breaks within its time."""

import contextlib
import itertools
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.client import BaseClient
from botocore.exceptions import ConnectTimeoutError
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st

from chalicelib import wiring
from chalicelib.aws.secrets import Secrets, edge_text
from chalicelib.core import links
from chalicelib.core.errors import Unavailable
from chalicelib.core.rotation import RULES, YEAR, Early
from chalicelib.core.salts import DAY, LEAD, REMEMBERED
from chalicelib.functions.schedules import rotate_secrets
from chalicelib.settings import Settings
from infrastructure.local import schedules
from tests.conftest import World
from tests.operating import run

PATH = "/v1/api/exports/exp_1/download"
LASTING = RULES["signing"].lasting
_deployments = itertools.count()


class Clock:
    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


def deployment(clock: Clock, processes: int = 2) -> list[Secrets]:
    """Processes of a deployment of its own."""
    made = Settings(secrets=f"/rotation-{next(_deployments)}")
    found = [Secrets(made, clock) for _ in range(processes)]
    found[0].ensure()
    return found


def test_versions_that_come_in_several_pages_are_all_there(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """SSM may answer with an empty page first, and say that there is more."""
    assert world
    clock = Clock()
    process, other = deployment(clock)
    original, asked = BaseClient._make_api_call, list[Any]()  # type: ignore[attr-defined]

    def paged(self: BaseClient, operation: str, arguments: dict[str, Any]) -> Any:
        if operation != "GetParametersByPath":
            return original(self, operation, arguments)
        asked.append(arguments.pop("NextToken", None))
        if asked[-1] is None:
            return {"Parameters": [], "NextToken": "more"}
        return original(self, operation, arguments)

    before = process.signing()
    with monkeypatch.context() as patch:
        patch.setattr(BaseClient, "_make_api_call", paged)
        other.ensure()
        assert other.signing() == before
    assert "more" in asked


def link(process: Secrets, clock: Clock, lasting: int = LASTING) -> dict[str, str]:
    """A link that this process signs now."""
    query = links.sign(process.signing()[0], PATH, int(clock.now) + lasting)
    return dict(part.split("=") for part in query.split("&"))


def holds(process: Secrets, clock: Clock, query: dict[str, str]) -> bool:
    return links.holds(process.signing(), PATH, query, clock.now)


Step = tuple[str, int]
STEPS = st.tuples(
    st.sampled_from(["wait", "renew", "rotate"]), st.sampled_from([1, 59, 61, LEAD, DAY, 40 * DAY, 367 * DAY, YEAR])
)


@effort(max_examples=12, deadline=None)
@given(steps=st.lists(STEPS, min_size=4, max_size=12))
def test_a_link_holds_everywhere_for_all_of_its_time_however_secrets_rotate(world: World, steps: list[Step]) -> None:
    """Also in a process that read the secrets a minute ago; and two are valid at a time, besides one to come."""
    assert world
    clock = Clock()
    here, there, job = deployment(clock, 3)
    made: list[tuple[int, dict[str, str]]] = []
    for what, seconds in steps:
        made += [(int(clock.now) + lasting, link(here, clock, lasting)) for lasting in (DAY, LASTING)]
        assert all(holds(there, clock, query) for until, query in made if clock.now < until)
        if what == "renew":
            job.renew("signing")
        elif what == "rotate":
            with contextlib.suppress(Early):
                job.rotate_secret("signing")
        used = [version for version in job.versions("signing").kept if (version.since or 0) <= clock.now]
        assert len(used) <= 2
        clock.now += seconds


def test_a_new_version_is_used_by_all_from_its_announced_moment(world: World) -> None:
    assert world
    clock = Clock()
    job, sleepy = deployment(clock)
    before = sleepy.signing()
    made = job.rotate_secret("signing")
    assert made.since == clock.now + LEAD
    clock.now += LEAD - 1
    assert job.signing()[0] == sleepy.signing()[0] == before[0]
    assert made.secret in sleepy.signing()
    clock.now += 1
    assert job.signing() == sleepy.signing() == (made.secret, before[0])


def test_nobody_rotates_twice_at_once(world: World) -> None:
    """Of many who do it at the same moment one does it; whoever does it again soon is told that it is early."""
    assert world
    clock = Clock()
    processes = deployment(clock, 6)

    def rotate(process: Secrets) -> bool:
        try:
            process.rotate_secret("server")
        except Early:
            return False
        return True

    with ThreadPoolExecutor(6) as pool:
        assert sum(pool.map(rotate, processes)) == 1
    assert [version.number for version in processes[0].versions("server").kept] == [1, 2]
    with pytest.raises(Early) as early:
        processes[1].rotate_secret("server")
    assert early.value.until is None
    clock.now += DAY
    with pytest.raises(Early) as early:
        processes[1].rotate_secret("server")
    assert early.value.until == clock.now - DAY + LEAD + RULES["server"].lasting
    clock.now = float(early.value.until)
    processes[1].rotate_secret("server")
    assert [version.number for version in processes[0].versions("server").kept] == [2, 3]


@pytest.mark.parametrize("fatal", range(1, 12))
def test_a_rotation_that_breaks_off_anywhere_has_lost_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch, fatal: int
) -> None:
    """Before or after a call took effect: doing it again does the rest."""
    assert world
    for after in (False, True):
        clock = Clock()
        job, other = deployment(clock)
        clock.now += YEAR
        job.renew("signing")
        clock.now += LASTING + LEAD
        kept = link(other, clock)
        with monkeypatch.context() as patch:
            patch.setattr(BaseClient, "_make_api_call", breaking(fatal, after=after))
            with contextlib.suppress(Unavailable, Early):
                job.rotate_secret("signing")
        clock.now += REMEMBERED
        assert holds(other, clock, kept)
        for _ in range(3):
            job.renew("signing")
            clock.now += LEAD
            assert holds(other, clock, kept)
        assert len(other.signing()) <= 2


def breaking(fatal: int, *, after: bool) -> Callable[..., Any]:
    """Calls to AWS of which one fails: before it took effect, or after."""
    original, calls = BaseClient._make_api_call, itertools.count(1)  # type: ignore[attr-defined]

    def call(self: BaseClient, operation: str, arguments: dict[str, Any]) -> Any:
        number = next(calls)
        if number == fatal and not after:
            raise ConnectTimeoutError(endpoint_url="https://ssm")
        answer = original(self, operation, arguments)
        if number == fatal:
            raise ConnectTimeoutError(endpoint_url="https://ssm")
        return answer

    return call


def test_a_clock_that_jumps_ahead_and_back_breaks_nothing(world: World) -> None:
    assert world
    clock = Clock()
    job, other = deployment(clock)
    start = clock.now
    before = link(other, clock)
    clock.now = start + 10 * YEAR
    assert job.renew("signing")
    during = link(job, clock)
    clock.now = start + 1
    assert not job.renew("signing")
    assert holds(other, clock, before)
    assert holds(other, clock, during)
    clock.now = start - YEAR
    assert holds(job, clock, link(other, clock))


def test_what_has_leaked_is_good_no_more_a_minute_later(world: World) -> None:
    assert world
    clock = Clock()
    job, other = deployment(clock)
    leaked = link(other, clock)
    job.rotate_secret("signing")
    made = job.rotate_secret("signing", leaked=True)
    clock.now += REMEMBERED
    assert other.signing() == (made.secret,)
    assert not holds(other, clock, leaked)
    assert holds(other, clock, link(job, clock))


def test_the_schedule_rotates_what_is_old_and_removes_what_is_done_with(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each secret after its own time; for the CDN's nobody is forgotten who was not told the new one."""
    assert world
    clock = Clock()
    (process,) = deployment(clock, 1)
    monkeypatch.setattr(wiring, "secrets", lambda: process)

    def day(later: int) -> dict[str, list[int]]:
        clock.now = 1_800_000_000.0 + later * DAY
        rotate_secrets(schedules.event("rotate_secrets", datetime.now(UTC)), SimpleNamespace(function_name="x"))
        return {name: [version.number for version in process.versions(name).kept] for name in RULES}

    assert day(89) == {"signing": [1], "server": [1], "edge": [1]}
    assert day(90) == {"signing": [1], "server": [1], "edge": [1, 2]}
    assert day(400) == {"signing": [1, 2], "server": [1, 2], "edge": [1, 2]}
    assert day(413) == {"signing": [1, 2], "server": [2], "edge": [1, 2]}
    assert process.edge(edge_text(process.versions("edge").newest.secret))
    assert day(415)["edge"] == [2]
    assert day(503)["edge"] == [2, 3]
    assert day(767)["signing"] == [2]


def test_the_cdn_may_prove_itself_with_either_version(world: World) -> None:
    assert world
    clock = Clock()
    job, other = deployment(clock)
    old = edge_text(job.versions("edge").newest.secret)
    new = edge_text(job.rotate_secret("edge").secret)
    clock.now += REMEMBERED
    assert other.edge(old)
    assert other.edge(new)
    assert not other.edge("a guess")
    assert not other.edge("")
    with pytest.raises(Early):
        job.rotate_secret("edge")


def test_what_a_deployment_had_before_secrets_rotated_is_its_first_version(world: World) -> None:
    """Also if nobody makes anything: links that it handed out hold."""
    clock, name = Clock(), f"/rotation-{next(_deployments)}"
    own = {"signing": "c2lnbmluZw==", "server": "c2VydmVy"}
    ssm = world.client("ssm")
    ssm.put_parameter(Name=f"{name}/own", Value=json.dumps(own), Type="SecureString")
    process = Secrets(Settings(secrets=name), clock)
    assert (process.signing(), process.server()) == ((b"signing",), (b"server",))
    made = process.rotate_secret("signing")
    assert set(process.signing()) == {b"signing", made.secret}
    clock.now += LEAD
    process.ensure()
    assert process.signing() == (made.secret, b"signing")
    assert process.server() == (b"server",)


def test_an_operator_lists_rotates_and_shows(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """No secret is printed but the one that the CDN has to be told."""
    assert world
    clock = Clock()
    (process,) = deployment(clock, 1)
    monkeypatch.setattr(wiring, "secrets", lambda: process)
    monkeypatch.setattr(wiring, "now", clock)
    assert run("secrets", "rotate", "signing").output == "signing: version 2 is used from 2027-01-15 08:05 UTC on\n"
    refused = run("secrets", "rotate", "signing")
    assert (refused.exit_code, refused.stderr) == (
        1,
        "Error: signing was rotated already: the new version is not in use yet.\n",
    )
    clock.now += DAY
    assert "may be in use until 2028-01-16 08:05 UTC" in run("secrets", "rotate", "signing").stderr
    listed = run("secrets", "list").output
    assert [line.split()[:2] for line in listed.splitlines()[1:]] == [
        ["signing", "1"],
        ["signing", "2"],
        ["server", "1"],
        ["edge", "1"],
    ]
    assert "until 2028-01-16 08:05 UTC" in listed
    assert run("secrets", "rotate", "edge").output == "edge: version 2 waits for the CDN to be told it\n"
    assert run("secrets", "show", "edge").output == f"{edge_text(process.versions('edge').newest.secret)}\n"
    assert run("secrets", "rotate", "signing", "--leaked").output.startswith("signing: version 3 is used from")
