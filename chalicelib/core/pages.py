"""Pages of lists, the same for everything that is listed."""

from dataclasses import dataclass
from typing import Generic, TypeVar

LARGEST_PAGE = 1000
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some entries of a list, in the order of their ids, and the id to go on after; None at the end."""

    entries: tuple[T, ...]
    after: str | None
