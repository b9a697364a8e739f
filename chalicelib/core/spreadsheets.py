"""Cells that a spreadsheet takes for formulas, and how they are kept from running."""

import re

_RUN = re.compile(r"[\s\x00-\x1f]*[=+\-@\uff0b\uff0d\uff1d\uff20]|[\t\r\n]")
"""What begins a formula, in letters of full width too; a tab or an end of line may begin another cell."""


def defused(text: str) -> str:
    """A cell's text, behind an apostrophe if a spreadsheet would run it: it is then shown as text.

    It is no longer the text that was counted, so that this is for people who look at it and never for reading it back.
    """
    return f"'{text}" if _RUN.match(text) else text
