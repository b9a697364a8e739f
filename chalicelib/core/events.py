"""What a request becomes once it is accepted: hits that are safe to store, in a message that travels whole.

Nothing here identifies a person: no address, no User-Agent string (bots excepted), and sessions only as keyed hashes.
"""

from typing import NamedTuple


class Hit(NamedTuple):
    """One accepted page view or event of a site, normalised and enriched (contract page views, section 7)."""

    path: str
    """Normalised path, or the event's name without leading slashes."""
    title: str
    event: bool
    ref: str
    """Normalised referrer; empty for none."""
    ref_scheme: str
    """`h` URL, `g` group, `c` campaign, `o` other or none."""
    campaign: str
    """Campaign name; empty for none."""
    browser: str | None
    """Name and version, as `names.versioned` joins them; empty if unknown; None if the site does not collect it."""
    system: str | None
    """As `browser`."""
    location: str
    """ISO 3166-1 alpha-2 or 3166-2: `NL`, `US-TX`; empty if unknown."""
    language: str
    """ISO 639-3: `eng`; empty if unknown."""
    width: int
    """Screen width in pixels; 0 if unknown."""
    at: int
    """When it happened, in Unix seconds."""
    session: int
    """Whose it is: 63 bits of an HMAC under the current salt. 0: no session, a visit of its own."""
    previous: int
    """The same under the previous salt, so that a session outlives a change of salt; 0 if there is none."""
    listed: bool = False
    """Whether exports may list it by itself: the site collects individual page views."""


class Bot(NamedTuple):
    """A hit that was recognised as a bot's: never counted, kept 30 days to look into."""

    path: str
    at: int
    code: int
    """Why (contract page views, section 7.6)."""
    user_agent: str
