"""No cell begins what a spreadsheet would run."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core.spreadsheets import defused


@pytest.mark.parametrize(
    "text",
    [
        "=1+1",
        "+1",
        "-1",
        "@SUM(A1)",
        "\t=1",
        "\r=1",
        "\n",
        "\tx",
        " =1",
        "\x00=1",
        "\uff1d1",
        "\uff0b1",
        "\uff0d1",
        "\uff20x",
    ],
)
def test_what_a_spreadsheet_would_run_is_text(text: str) -> None:
    assert defused(text) == f"'{text}"


@pytest.mark.parametrize("text", ["", "/a=b", "a-b", "'=1", " ", " x", "1-2", "émail@example.com", '"=1"'])
def test_what_it_would_not_stays_as_it_is(text: str) -> None:
    assert defused(text) == text


@given(st.text())
def test_what_is_defused_once_stays_so(text: str) -> None:
    assert defused(defused(text)) == defused(text)
    assert not defused(text).lstrip().startswith(("=", "+", "-", "@"))
