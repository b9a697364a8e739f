"""Secrets: made once, the same for all, and the salts rotate by the clock."""

import pytest
from botocore.client import BaseClient
from botocore.exceptions import ConnectTimeoutError

from chalicelib.aws.secrets import Secrets
from chalicelib.core.errors import Unavailable
from chalicelib.core.salts import DAY, LEAD, REMEMBERED
from chalicelib.settings import Settings
from tests.conftest import World


class Clock:
    now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


def test_whoever_makes_them_first_wins(world: World) -> None:
    assert world
    one, other = (Secrets(Settings(secrets="/made-once")) for _ in range(2))
    one.ensure()
    before = (one.signing(), one.server(), one.versions("edge"), one.salts())
    other.ensure()
    one.ensure()
    assert (other.signing(), other.server(), other.versions("edge"), other.salts()) == before
    assert len({*before[0], *before[1], before[2].newest.secret}) == 3


def test_they_are_stored_encrypted(world: World) -> None:
    Secrets(Settings(secrets="/encrypted")).ensure()
    ssm = world.client("ssm")
    found = ssm.get_parameters_by_path(Path="/encrypted", Recursive=True)["Parameters"]
    assert [parameter["Type"] for parameter in found] == ["SecureString"] * 4


def test_without_them_there_is_no_service(world: World) -> None:
    assert world
    with pytest.raises(Unavailable):
        Secrets(Settings(secrets="/never-made")).salts()


def test_a_new_salt_counts_for_all_from_its_announced_moment(world: World) -> None:
    assert world
    clock = Clock()
    rotating, sleepy = (Secrets(Settings(secrets="/rotating"), clock) for _ in range(2))
    rotating.ensure()
    before = sleepy.salts()
    assert not rotating.rotate(clock.now)
    clock.now += DAY
    sleepy.salts()
    assert rotating.rotate(clock.now)
    assert not rotating.rotate(clock.now)
    clock.now += REMEMBERED - 1
    assert rotating.salts() == sleepy.salts() == before
    clock.now += LEAD - REMEMBERED + 1
    assert rotating.salts() == sleepy.salts()
    assert rotating.salts().previous == before.current
    assert rotating.salts().current not in before


def test_what_does_not_rotate_outlives_an_outage_of_the_parameters(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert world
    clock = Clock()
    secrets = Secrets(Settings(secrets="/outage"), clock)
    secrets.ensure()
    before = secrets.signing()
    clock.now += 2 * REMEMBERED

    def dead(*_: object) -> None:
        raise ConnectTimeoutError(endpoint_url="https://ssm")

    monkeypatch.setattr(BaseClient, "_make_api_call", dead)
    assert secrets.signing() == before
    with pytest.raises(Unavailable):
        secrets.salts()
