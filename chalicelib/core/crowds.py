"""JSON texts that hold too much, told before they are decoded: decoding them takes many times as long."""

import re

VALUES = b",}]"
"""What stands behind each value but the outermost."""
BRACKETS = b"}]"
"""What objects and lists end with."""
_DEEPEST = 50_000
"""Keys that may stand inside each other with nothing behind them: decoders refuse far fewer."""


def crowded(body: bytes, most: int, marks: bytes = VALUES) -> bool:
    """Whether more than `most` of these marks stand outside of the strings of a JSON text: `VALUES` or `BRACKETS`.

    What is no JSON may be said not to be crowded although it is: decoding it ends where it ceases to be JSON.
    """
    if sum(body.count(mark) for mark in marks) <= most:
        return False
    plain = body.replace(b"\\\\", b"").replace(b'\\"', b"")
    texts = found = 0
    for token in re.finditer(rb'"[^"]*"?|[%s]' % re.escape(marks), plain):
        if token[0][0] != ord('"'):
            found += 1
            if found > most:
                return True
        elif marks == VALUES:
            texts += 1
            if texts > 2 * found + _DEEPEST:
                return False
    return False
