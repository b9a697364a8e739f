"""Numbers as people are shown them: with the mark between thousands that they, or their site, want (page-view contract,
section 2.1).
"""

MARKS = (0x202F, 0xA0, ord(","), ord("."), ord("'"))
"""Code points of marks; the first stands where nobody has chosen any."""
NONE = 1
"""Stands for no mark."""


def mark(code: object) -> str:
    """The mark of this code point; nothing for `NONE`, and the usual one for what is none."""
    if code == NONE:
        return ""
    return chr(code) if isinstance(code, int) and code in MARKS else chr(MARKS[0])


def grouped(number: int, between: str) -> str:
    """A number with a mark between its thousands."""
    return f"{number:,}".replace(",", between)
