"""Values as CSV: RFC 4180, with a header, in UTF-8; a row for each value, in the order of storage.

Names are written as they are, also those that begin with `=`, `+`, `-` or `@` and that a spreadsheet takes for a
formula: whoever reads the file back must find the names that the API knows, and a domain's names come from those who
hold its keys alone. Who asks for a safe file gets such names defused.
"""

import csv
from collections.abc import Callable, Iterator, Sequence
from io import StringIO

from chalicelib.core.exporting import Chunk
from chalicelib.core.spreadsheets import defused
from chalicelib.core.statistics import Rows

SURFACE = "statistics"
"""What exports call this surface."""
HEADER = ("group_id", "group", "statistic_id", "statistic", "reference_date", "value")


class Csv:
    """A `Source` that makes a chunk of each batch of rows; `read` gives those behind a cursor."""

    def __init__(self, read: Callable[[str], Iterator[Rows]], *, safe: bool = False) -> None:
        """`safe` is for those who open the file in a spreadsheet."""
        self._read = read
        self._safe = safe

    def chunks(self, after: str) -> Iterator[Chunk]:
        """As `Source.chunks`. The first chunk of the whole is the header alone."""
        text = StringIO(newline="")
        writer = csv.writer(text, lineterminator="\r\n")
        if not after:
            writer.writerow(HEADER)
            yield Chunk("", 0, text.getvalue().encode())
        for batch in self._read(after):
            text.seek(0)
            text.truncate()
            writer.writerows(map(_defused, batch.rows) if self._safe else batch.rows)
            yield Chunk(batch.after, len(batch.rows), text.getvalue().encode())


def _defused(row: Sequence[str]) -> tuple[str, ...]:
    """A row whose names no spreadsheet runs; a value is a number, and may begin with a minus."""
    *names, value = row
    return (*map(defused, names), value)
