"""The table of what was measured, against the budgets that hold it."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

README = Path(__file__).parents[2] / "README.md"
BEGIN, END = "<!-- bench -->", "<!-- /bench -->"


@dataclass(frozen=True, slots=True)
class Row:
    """One line: what, how much, and the budget if there is one."""

    what: str
    measured: float
    unit: str = ""
    budget: float | None = None
    note: str = ""

    @property
    def kept(self) -> bool:
        """Whether the budget is kept; what has none keeps it."""
        return self.budget is None or self.measured <= self.budget

    def cells(self) -> tuple[str, str, str, str]:
        """The four cells of the table."""
        measured = f"{shown(self.measured)} {self.unit}".strip() + (f" ({self.note})" if self.note else "")
        if self.budget is None:
            return self.what, measured, "", ""
        return self.what, measured, f"≤ {shown(self.budget)}", "yes" if self.kept else "**no**"


def shown(number: float) -> str:
    """A number with as many digits as say something."""
    if number >= 100 or number == int(number):
        return f"{number:,.0f}"
    return f"{number:.1f}" if number >= 10 else f"{number:.3g}"


def markdown(rows: Iterable[Row]) -> str:
    """The rows as a table in Markdown."""
    lines = [("what", "measured", "budget", "kept"), ("---", "---", "---", "---"), *(row.cells() for row in rows)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def written(readme: str, text: str) -> str:
    """The README with this text between its marks.

    Raises:
        ValueError: the opening mark is missing.
    """
    before, mark, rest = readme.partition(BEGIN)
    if not mark:
        raise ValueError(f"{README.name} has no {BEGIN}")
    after = rest.partition(END)[2] if END in rest else rest
    return f"{before}{BEGIN}\n{text}\n{END}{after}"
