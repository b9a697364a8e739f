"""An operator's lists: what a failure leaves as it was, and how often a process asks."""

from dataclasses import dataclass, field
from typing import NoReturn

import pytest

from chalicelib.core.errors import Damaged, Unavailable
from chalicelib.core.lists import AFTER_FAILURE, HOUR, Lists, lines, refresh


@dataclass
class Shelf:
    """A shelf in memory, which can be out of reach."""

    stored: dict[str, bytes] = field(default_factory=dict)
    broken: bool = False
    asked: int = 0

    def put(self, name: str, body: bytes) -> None:
        self._reach()
        self.stored[name] = body

    def get(self, name: str) -> bytes | None:
        self.asked += 1
        self._reach()
        return self.stored.get(name)

    def _reach(self) -> None:
        if self.broken:
            raise Unavailable("away")


class Clock:
    now = 1e9

    def __call__(self) -> float:
        return self.now


def words(text: str) -> list[str]:
    """A list whose lines have one word each."""
    found = lines(text)
    for number, line in found:
        if " " in line:
            raise Damaged("two words", number)
    return [line for _, line in found]


def never(error: Exception) -> NoReturn:
    """Nothing fails."""
    raise error


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_a_list_takes_the_place_of_an_older_one(shelf: Shelf) -> None:
    """A job that comes twice changes nothing; one that cannot store says so."""
    for body in (b"a\nb", b"a\nb", b"a"):
        refresh(shelf, "w", body, words)
    shelf.broken = True
    with pytest.raises(Unavailable):
        refresh(shelf, "w", b"b", words)
    assert shelf.stored == {"w": b"a"}


@pytest.mark.parametrize(("body", "line"), [(b"a\nb c", 2), (b"a\nb\n\xff", 3)])
def test_a_damaged_list_changes_nothing(shelf: Shelf, body: bytes, line: int) -> None:
    """Whatever is wrong with it; the error says in which line."""
    refresh(shelf, "w", b"a", words)
    with pytest.raises(Damaged) as refusal:
        refresh(shelf, "w", body, words)
    assert refusal.value.line == line
    assert shelf.stored == {"w": b"a"}


def test_a_process_asks_once_an_hour(shelf: Shelf, clock: Clock) -> None:
    """Also while there is no such list; then it sees what was stored since."""
    known = Lists(shelf, clock)
    assert [known.known("w", words, never) for _ in range(3)] == [None] * 3
    shelf.stored["w"] = b"a"
    clock.now += HOUR - 1
    assert known.known("w", words, never) is None
    assert shelf.asked == 1
    clock.now += 1
    assert known.known("w", words, never) == ["a"]
    assert shelf.asked == 2


def test_what_cannot_be_read_is_known_as_before(shelf: Shelf, clock: Clock) -> None:
    """The failure is told once, and five minutes later the shelf is asked again."""
    known, told = Lists(shelf, clock), list[Exception]()
    shelf.stored["w"] = b"a"
    known.known("w", words, told.append)
    shelf.broken = True
    clock.now += HOUR
    assert [known.known("w", words, told.append) for _ in range(3)] == [["a"]] * 3
    assert (shelf.asked, len(told)) == (2, 1)
    shelf.broken = False
    shelf.stored["w"] = b"b"
    clock.now += AFTER_FAILURE
    assert known.known("w", words, told.append) == ["b"]
    assert len(told) == 1


def test_what_was_damaged_on_the_shelf_is_known_as_before(shelf: Shelf, clock: Clock) -> None:
    """Nobody but the job should write there; if somebody does, no view is lost for it."""
    known, told = Lists(shelf, clock), list[Exception]()
    shelf.stored["w"] = b"a"
    known.known("w", words, told.append)
    shelf.stored["w"] = b"b c"
    clock.now += HOUR
    assert known.known("w", words, told.append) == ["a"]
    assert [type(error) for error in told] == [Damaged]


def test_a_list_that_was_taken_away_is_no_longer_known(shelf: Shelf, clock: Clock) -> None:
    """Whoever deletes what is stored gets what is shipped."""
    known = Lists(shelf, clock)
    shelf.stored["w"] = b"a"
    known.known("w", words, never)
    del shelf.stored["w"]
    clock.now += HOUR
    assert known.known("w", words, never) is None


def test_while_one_reads_the_others_take_what_there_is(clock: Clock) -> None:
    """Views do not queue up behind a list."""
    known: Lists

    class Slow(Shelf):
        def get(self, name: str) -> bytes | None:
            found.append(known.known("w", words, never))
            return super().get(name)

    found: list[list[str] | None] = []
    shelf = Slow({"w": b"a"})
    known = Lists(shelf, clock)
    assert known.known("w", words, never) == ["a"]
    assert found == [None]
    clock.now += HOUR
    assert known.known("w", words, never) == ["a"]
    assert found == [None, ["a"]]
