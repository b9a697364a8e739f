"""Counts what is frequent in memory of a fixed size."""

_SIZE = 100


class Tally:
    """How often texts were added, as well as `_SIZE` counters can tell (Misra and Gries, 1982).

    No count is too high, and none is too low by more than a hundredth of all.
    """

    def __init__(self) -> None:
        self.total = 0
        self._counts: dict[str, int] = {}

    def add(self, text: str) -> None:
        """Counts a text once more."""
        self.total += 1
        if text in self._counts or len(self._counts) < _SIZE:
            self._counts[text] = self._counts.get(text, 0) + 1
            return
        self._counts = {known: count - 1 for known, count in self._counts.items() if count > 1}

    def most(self) -> list[tuple[str, int]]:
        """The texts that are left, the most frequent first."""
        return sorted(self._counts.items(), key=lambda item: (-item[1], item[0]))
