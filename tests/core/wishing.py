"""What may be drawn to be redacted, and what becomes of each event by it, in plain words."""

from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

from chalicelib.core.events import Hit
from chalicelib.core.segments import Kind
from chalicelib.core.wishes import Act
from tests.core.redacting import Redactor, Row
from tests.core.staging import DAY, PAGE
from tests.core.world import Universe

PATHS = ("/", "/a", "/A", "/b", "/c", "signup")
hits = st.builds(
    lambda path, title, ref, browser, session, age: PAGE._replace(
        path=path, title=title, ref=ref, ref_scheme="h" if ref else "o", browser=browser, session=session, at=-age
    ),
    st.sampled_from(PATHS),
    st.sampled_from(("", "One", "Two")),
    st.sampled_from(("", "one.example", "two.example")),
    st.sampled_from((None, "Firefox\x00139", "Opera\x001")),
    st.integers(0, 3),
    st.sampled_from((0, 60, 4000, DAY, 30 * DAY, 400 * DAY, 5000 * DAY)),
)
wishes = st.one_of(
    st.tuples(st.just(Act.PURGE), st.sampled_from(PATHS[:5]), st.sampled_from((None, 0, 2 * DAY, 100 * DAY))),
    st.tuples(st.just(Act.RETAIN), st.none(), st.sampled_from((0, DAY, 31 * DAY))),
    st.tuples(st.just(Act.MERGE), st.sampled_from(PATHS[:5]), st.sampled_from(PATHS[:5])),
    st.tuples(st.just(Act.RENAME), st.sampled_from(PATHS[:5]), st.sampled_from(("/new", "/B", "/A"))),
    st.tuples(st.just(Act.ERASE), st.none(), st.integers(1, 3)),
)


def placed(universe: Universe, drawn: list[Hit]) -> tuple[Hit, ...]:
    return tuple(hit._replace(at=universe.now + hit.at) for hit in drawn)


def wish_of(
    redact: Redactor, universe: Universe, drawn: tuple[Act, Any, Any]
) -> tuple[dict[str, Any], Callable[[Row], Row | None]] | None:
    """What a drawn wish asks for, and what becomes of an event by it, in plain words."""
    act, name, extent = drawn
    if act in (Act.RETAIN, Act.ERASE):
        return _general(universe, act, extent)
    paths = {
        text.partition("\0")[0].lower(): (i, text.partition("\0")[0]) for i, text in redact.names().live(Kind.PATH)
    }
    if name.lower() not in paths:
        return None
    path, text = paths[name.lower()]
    if act is Act.PURGE:
        what = {"paths": (path,)} | ({} if extent is None else {"end": universe.now - extent})
        last = what.get("end", 1 << 60)
        return what, lambda row: None if row.path == text and row.at <= last else row
    if act is Act.MERGE:
        if extent.lower() not in paths or paths[extent.lower()][0] == path:
            return None
        target, into = paths[extent.lower()]
        return {"paths": (path,), "target": target}, lambda row: row._replace(path=into) if row.path == text else row
    known = paths.get(extent.lower())
    into = known[1] if known and known[0] != path else extent
    return {"paths": (path,), "name": extent}, lambda row: row._replace(path=into) if row.path == text else row


def _general(universe: Universe, act: Act, extent: int) -> tuple[dict[str, Any], Callable[[Row], Row | None]]:
    """The same for wishes that name no path."""
    if act is Act.RETAIN:
        end = universe.now - extent
        return {"end": end}, lambda row: None if row.at <= end else row
    segments = universe.segments()
    mine = {touched.number for s in segments for touched in s.sessions if extent in (touched.key, touched.previous)}
    return {"keys": (extent,)}, lambda row: None if row.session in mine else row


def spelled(rows: dict[int, Row], name: str, came: set[str], redact: Redactor) -> dict[int, Row]:
    """The rows, where a path that got a name is spelt as one of that name that came before the renaming was through:
    the two are one, and that one had the name.
    """
    live = (text.partition("\0")[0] for _, text in redact.names().live(Kind.PATH))
    first = next((path for path in live if path.lower() == name.lower() and path in came), name)
    return {i: row._replace(path=first) if row.path == name else row for i, row in rows.items()}
