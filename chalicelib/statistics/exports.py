"""Values as CSV: RFC 4180, with a header, in UTF-8; a row for each value, in the order of storage.

Names are written as they are, also those that begin with `=`, `+`, `-` or `@` and that a spreadsheet takes for a
formula: whoever reads the file back must find the names that the API knows, and a domain's names come from those who
hold its keys alone.
"""

import csv
from collections.abc import Callable, Iterator
from io import StringIO

from chalicelib.core.exporting import Chunk
from chalicelib.core.statistics import Rows

SURFACE = "statistics"
"""What exports call this surface."""
HEADER = ("group_id", "group", "statistic_id", "statistic", "reference_date", "value")


class Csv:
    """A `Source` that makes a chunk of each batch of rows; `read` gives those behind a cursor."""

    def __init__(self, read: Callable[[str], Iterator[Rows]]) -> None:
        self._read = read

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
            writer.writerows(batch.rows)
            yield Chunk(batch.after, len(batch.rows), text.getvalue().encode())
