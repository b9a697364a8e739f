"""The pages that visits are broken down on: rows, names, order and paging (page-view contract, sections 2.7 to 2.9)."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from chalicelib.core.cells import Dimension
from chalicelib.core.errors import Invalid

from . import display, scalars, screens

if TYPE_CHECKING:
    from chalicelib.core.accounts import Site
    from chalicelib.core.breakdowns import Breakdowns, Counted

    from .requests_query import BreakdownQuery, RefsQuery

PAGES = ("browsers", "systems", "locations", "languages", "sizes", "campaigns", "toprefs")
DETAILED = tuple(page for page in PAGES if page != "languages")
"""The pages whose rows have details."""
SIZES = ("phone", "tablet", "desktop", "desktophd", "unknown")
"""In the order of their rows."""
_DIMENSIONS = {
    "browsers": Dimension.BROWSER,
    "systems": Dimension.SYSTEM,
    "locations": Dimension.LOCATION,
    "languages": Dimension.LANGUAGE,
    "sizes": Dimension.WIDTH,
}
T = TypeVar("T")


class Row(NamedTuple):
    """A value that visits had, and how many had it. What is None is not shown."""

    name: str
    visits: int
    id: str | None = None
    scheme: str | None = None


class Rows(NamedTuple):
    """Some of the rows, and whether more follow."""

    rows: Sequence[Row]
    more: bool


def page_name(text: str, pages: Sequence[str] = PAGES) -> str:
    """The page that a path names, whatever its case.

    Raises:
        Invalid: it names none of these.
    """
    page = text.lower()
    if page not in pages:
        raise _unknown("page", pages)
    return page


def whole_number(name: str, text: str) -> int:
    """A number that stands in a path.

    Raises:
        Invalid: it is none.
    """
    number = scalars.integer(text)
    if number is None:
        raise Invalid(fields={name: ["must be a whole number"]})
    return number


def _unknown(name: str, known: Sequence[str]) -> Invalid:
    return Invalid(fields={name: [f"must be one of ‘{', '.join(known)}’"]})  # noqa: RUF001 - the contract's quotes


@dataclass(frozen=True, slots=True)
class Pages:
    """The pages of a site."""

    breakdowns: "Breakdowns"
    site: "Site"

    def referrers_of(self, path: int, asked: "RefsQuery") -> Rows:
        """Where the visitors of one path came from."""
        from chalicelib.core.reports import PathFilter  # noqa: PLC0415 - with the first question

        found = self.breakdowns.referrers(self.site.stream, asked.when, PathFilter(frozenset({path})))
        rows = [Row(ref.text[1:], ref.visits, scheme=ref.text[:1]) for ref in _piece(found, asked)]
        return Rows(rows, _more(found, asked))

    def listed(self, page: str, asked: "BreakdownQuery") -> Rows:
        """The rows of one of `PAGES`."""
        if page == "campaigns":
            campaigns = self.breakdowns.campaigns(self.site.stream, asked.when, asked.include)
            return _paged([Row(found.text, found.visits, str(found.id)) for found in campaigns], asked)
        if page == "toprefs":
            return self._top_referrers(asked)
        counts = self.breakdowns.values(self.site.stream, _DIMENSIONS[page], asked.when, asked.include)
        if page == "sizes":
            sums = _sums((screens.bucket(found.id).id, found.visits) for found in counts)
            return Rows([Row("", sums[size], size) for size in SIZES], more=False)
        if page == "locations":
            return _paged(
                _named(_sums((_country(found.text), found.visits) for found in counts), display.country), asked
            )
        if page == "languages":
            return _paged(_named(_sums((found.text, found.visits) for found in counts), display.language), asked)
        sums = _sums((_agent(found.text), found.visits) for found in counts)
        return _paged([Row(name, count, name or None) for name, count in _ranked(sums)], asked)

    def _top_referrers(self, asked: "BreakdownQuery") -> Rows:
        """Referrers, but for the site's own pages."""
        own = re.sub(r"^https?://", "", self.site.link_domain.strip().lower()).rstrip("/")
        found = self.breakdowns.referrers(self.site.stream, asked.when, asked.include)
        if own:
            found = [ref for ref in found if not ref.text[1:].lower().startswith(own)]
        rows = [Row(ref.text[1:], ref.visits, ref.text[1:] or None, ref.text[:1]) for ref in _piece(found, asked)]
        return Rows(rows, _more(found, asked))

    def detailed(self, page: str, value: str, asked: "BreakdownQuery") -> Rows:
        """What a row of one of `DETAILED` is made of. A value that nobody had has no rows.

        Raises:
            Invalid: there cannot be such a value.
        """
        sums = _sums(self._details(page, value, asked))
        return _paged([Row(name, count) for name, count in _ranked(sums)], asked)

    def _details(self, page: str, value: str, asked: "BreakdownQuery") -> Iterable[tuple[str, int]]:
        stream, when, include = self.site.stream, asked.when, asked.include
        if page == "toprefs":
            return _texts(self.breakdowns.paths(stream, value, when, include))
        if page == "campaigns":
            found = self.breakdowns.campaign(stream, whole_number("id", value), when, include)
            return ((ref.text[1:], ref.visits) for ref in found)
        if page == "sizes" and value not in SIZES:
            raise _unknown("id", SIZES)
        counts = self.breakdowns.values(stream, _DIMENSIONS[page], when, include)
        if page == "sizes":
            # An arrow, and the character that asks for it to be drawn as text.
            return (
                (f"\u2194\ufe0e {found.id}px", found.visits) for found in counts if screens.bucket(found.id).id == value
            )
        if page == "locations":
            code = "" if value == display.UNKNOWN else value
            return ((_region(text), count) for text, count in _texts(counts) if _country(text) == code)
        name = value.lower()
        return (
            (text.replace("\0", " ").strip(), count) for text, count in _texts(counts) if _agent(text).lower() == name
        )


def _agent(text: str) -> str:
    """The name of a browser or system, without its version."""
    return text.partition("\0")[0]


def _country(code: str) -> str:
    return code.partition("-")[0]


def _region(code: str) -> str:
    """How a country's details name a place: nothing for the country as such."""
    if not code:
        return display.UNKNOWN
    return display.region(code) if "-" in code else ""


def _texts(counts: "Iterable[Counted]") -> Iterable[tuple[str, int]]:
    return ((found.text, found.visits) for found in counts)


def _sums(counts: Iterable[tuple[str, int]]) -> Counter[str]:
    sums = Counter[str]()
    for text, count in counts:
        sums[text] += count
    return sums


def _ranked(sums: Counter[str]) -> list[tuple[str, int]]:
    """Most first; of equals by text."""
    return sorted(sums.items(), key=lambda item: (-item[1], item[0]))


def _named(sums: Counter[str], name: Callable[[str], str]) -> list[Row]:
    return [Row(name(code), count, code or display.UNKNOWN) for code, count in _ranked(sums)]


def _piece(rows: Sequence[T], asked: "RefsQuery | BreakdownQuery") -> Sequence[T]:
    return rows[asked.offset : asked.offset + asked.limit]


def _more(rows: Sequence[object], asked: "RefsQuery | BreakdownQuery") -> bool:
    return len(rows) > asked.offset + asked.limit


def _paged(rows: Sequence[Row], asked: "RefsQuery | BreakdownQuery") -> Rows:
    return Rows(_piece(rows, asked), _more(rows, asked))
