"""Salts: all processes change over at one moment, and a session outlives one change."""

from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core import salts
from chalicelib.core.salts import DAY, LEAD, REMEMBERED, Rotation

SESSION = 8 * 3600


def test_a_deployment_starts_with_a_salt_that_counts_at_once() -> None:
    rotation = salts.first(1_000_000)
    assert rotation.at(1_000_000).current == rotation.salts[1].secret
    assert rotation.at(1_000_000).previous == rotation.salts[0].secret


def test_a_new_salt_is_announced_longer_than_anybody_remembers_the_old_announcement() -> None:
    assert LEAD > 2 * REMEMBERED


@given(st.lists(st.integers(60, 3 * DAY), min_size=1, max_size=60))
def test_salts_change_only_when_announced_and_at_one_moment_for_all(steps: list[int]) -> None:
    """Whoever holds an announcement up to a minute old agrees with whoever holds the newest."""
    now = 1_000_000
    newest = salts.first(now)
    for step in steps:
        older, looked = newest, now
        now += step
        newest = newest.rotated(now, salts.fresh())
        for moment in (now, now + REMEMBERED, now + LEAD - 1):
            assert older.at(moment) == newest.at(moment) or moment - looked > LEAD
        assert newest.at(now).current == older.at(now).current


@given(st.integers(0, 10 * DAY), st.integers(0, SESSION))
def test_a_session_is_recognised_by_the_salt_or_the_one_before_it(start: int, lasts: int) -> None:
    rotation = salts.first(0)
    held = b""
    for hour in range(0, 11 * DAY, 3600):
        rotation = rotation.rotated(hour, salts.fresh())
        if hour == start // 3600 * 3600:
            held = rotation.at(hour).current
        if hour == (start + lasts) // 3600 * 3600:
            assert held in rotation.at(hour)


@given(st.lists(st.integers(0, 2 * DAY), max_size=60))
def test_what_is_done_with_is_deleted(steps: list[int]) -> None:
    now, rotation = 0, salts.first(0)
    for step in steps:
        now += step
        rotation = rotation.rotated(now, salts.fresh())
        assert 2 <= len(rotation.salts) <= 4
        assert sum(salt.since <= now for salt in rotation.salts) <= 2


def test_looking_again_changes_nothing() -> None:
    rotation = salts.first(0).rotated(2 * DAY, b"x" * 32)
    assert rotation.rotated(2 * DAY + 60, b"y" * 32) == rotation
    assert isinstance(rotation, Rotation)
