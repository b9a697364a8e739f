"""How long things live, in seconds, each with its reason. A test holds the order that they must keep.

Whatever may still be delivered is recognised; whatever is still named is there; whatever was not folded and merged does
not end; what a redaction's book names, no cleaning touches. So nothing that has a number in the log, and no part that a
manifest names, ends by itself: only blocks of accepted ids do, once no message that they know would be taken any more.
"""

HOUR = 3600
DAY = 86400

FUNCTION = 900
"""A Lambda function runs no longer (AWS limit)."""
QUEUED = 14 * DAY
"""A queue keeps a message no longer (AWS limit). A dead-letter queue counts from the first queue on."""

SESSION = 8 * HOUR
"""After its last hit a session ends (page-view contract, section 6), by the stream's own clock."""

HORIZON = 30 * DAY
"""Messages that were accepted longer ago are parked, never counted: they could be second deliveries. Until then their
ids are kept, and so are the tombstones of what was taken out."""
KEY_REACH = DAY
"""An idempotency key stands for its request this long, before and after."""
ID_BLOCK = HORIZON + 4 * DAY
"""A block of accepted ids ends by itself this long after its newest: nobody looks for older ones than `HORIZON` and
`KEY_REACH` before now, and clocks may differ."""

MERGE_AGE = HORIZON + 2 * DAY
"""A segment is merged with its neighbours once it is so old: its messages would be refused, so their ids may go."""
MERGE_PATIENCE = MERGE_AGE + 8 * DAY
"""Segments so old are merged though they do not fill a large one yet."""
ORIGINAL = 8 * DAY
"""The originals of a merged segment stay this long for those who hold a place among them: exports and audits, which may
stand still for some days. A redaction that is under way keeps them for as long as it takes."""

REPLACED = HOUR
"""A part that no manifest names any more stays this long for readers who hold the manifest before."""
LOOK = 60
"""A reader looks for a newer manifest after so long, and a writer forgets an idle stream."""
ORPHAN = DAY
"""A part that nobody names is left alone for so long: whoever wrote it may be about to name it."""

SEAL = HORIZON + 2 * DAY
"""A stream stays sealed for so long: a message that is older would be refused anyway."""
