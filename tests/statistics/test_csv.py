"""Values as CSV: any name comes through, and the pieces are the whole."""

import csv
from io import StringIO

from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core.statistics import Rows
from chalicelib.statistics.exports import HEADER, Csv

texts = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=8) | st.sampled_from(
    ['"', ",", "a,b"]
)
tables = st.lists(st.lists(st.tuples(*(texts,) * 6), max_size=4), max_size=5)


@given(tables)
def test_whatever_stands_in_a_row_is_read_back(tables: list[list[tuple[str, str, str, str, str, str]]]) -> None:
    batches = [Rows(str(number), rows) for number, rows in enumerate(tables, 1)]
    source = Csv(lambda after: iter(batches[int(after or 0) :]))
    chunks = list(source.chunks(""))
    text = b"".join(chunk.data for chunk in chunks).decode()
    assert [tuple(row) for row in csv.reader(StringIO(text, newline=""))] == [
        HEADER,
        *(r for b in batches for r in b.rows),
    ]
    assert text.count("\r\n") == 1 + sum(chunk.rows for chunk in chunks)
    for number in range(len(chunks)):
        if chunks[number].after:
            rest = b"".join(chunk.data for chunk in source.chunks(chunks[number].after))
            assert rest == b"".join(chunk.data for chunk in chunks[number + 1 :])


def test_a_row_is_as_rfc_4180_has_it() -> None:
    row = ("grp_1", 'a "b"', "sta_1", "c, d", "2026-11-20", "-0.5")
    text = b"".join(chunk.data for chunk in Csv(lambda _: iter([Rows("x", [row])])).chunks("")).decode()
    assert text == (
        'group_id,group,statistic_id,statistic,reference_date,value\r\ngrp_1,"a ""b""",sta_1,"c, d",2026-11-20,-0.5\r\n'
    )


def test_in_a_safe_file_no_spreadsheet_runs_a_name() -> None:
    """Values are numbers, below nought too."""
    row = ("grp_1", "=1+1", "sta_1", "@SUM(A1)", "2026-11-20", "-0.5")
    chunks = Csv(lambda _: iter([Rows("x", [row])]), safe=True).chunks("")
    assert (
        b"".join(chunk.data for chunk in chunks).decode().splitlines()[1]
        == "grp_1,'=1+1,sta_1,'@SUM(A1),2026-11-20,-0.5"
    )
