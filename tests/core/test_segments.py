"""What is packed reads back the same, and what is damaged is refused."""

import base64
import zlib
from dataclasses import asdict

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core import cells, messages, segments
from chalicelib.core.cells import Cells
from chalicelib.core.columns import Reader, Writer
from chalicelib.core.errors import BrokenLog, Poison
from chalicelib.core.events import Bot, Hit
from chalicelib.core.messages import Message
from chalicelib.core.segments import Columns, Kind, Retitle, Segment, Taken, Touched

texts = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), max_size=20)
naturals = st.integers(0, 2**63 - 1)
moments = st.integers(-62_135_596_800, 4_000_000_000)


@given(st.lists(st.integers(-(2**62), 2**62)), st.lists(naturals), st.lists(texts), st.binary(), naturals)
def test_columns_read_back_as_written(
    signed: list[int], unsigned: list[int], words: list[str], raw: bytes, number: int
) -> None:
    """Whatever the range, the order and the length."""
    out = Writer()
    out.column(signed)
    out.deltas(sorted(unsigned))
    out.texts(words)
    out.raw(raw)
    out.uint(number)
    out.sint(-number)
    reader = Reader(out.frame(b"T", 1), b"T", 1)
    assert reader.column() == signed
    assert reader.deltas() == sorted(unsigned)
    assert reader.texts() == words
    assert reader.raw() == raw
    assert reader.uint() == number
    assert reader.sint() == -number


@st.composite
def _segments(draw: st.DrawFn) -> Segment:
    size = draw(st.integers(0, 8))

    def column(values: st.SearchStrategy[int]) -> list[int]:
        return draw(st.lists(values, min_size=size, max_size=size))

    columns = Columns(
        sorted(column(naturals)), column(moments), *(column(st.integers(0, 2**32)) for _ in Columns.__slots__[2:])
    )
    rows = st.lists(st.builds(Taken, naturals, naturals, st.booleans(), naturals, naturals, naturals), max_size=4)
    taken = [row._replace(total=row.held + row.total) for row in draw(rows)]
    return Segment(
        draw(naturals),
        draw(naturals),
        taken=[row for row in taken if row.total < 2**63],
        names=[draw(st.lists(texts, max_size=4)) for _ in Kind],
        sessions=draw(st.lists(st.builds(Touched, naturals, naturals, naturals), max_size=4)),
        retitles=draw(st.lists(st.builds(Retitle, naturals, naturals, texts), max_size=3)),
        events=columns,
        refused=[draw(st.lists(st.integers(0, 2**32 - 1), max_size=2)) for _ in Kind],
    )


@given(_segments())
def test_a_segment_reads_back_as_packed(segment: Segment) -> None:
    """Every property of every event."""
    assert asdict(segments.unpack(segment.pack())) == asdict(segment)


@given(_segments(), st.data())
def test_a_damaged_segment_is_refused(segment: Segment, data: st.DataObject) -> None:
    """A single bit is enough."""
    packed = bytearray(segment.pack())
    at = data.draw(st.integers(0, len(packed) - 1))
    packed[at] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(BrokenLog):
        segments.unpack(bytes(packed))


@given(_segments(), _segments())
def test_parts_hold_what_was_counted(one: Segment, two: Segment) -> None:
    """Packed apart by day and loaded again, cells are the same as counted in one go."""
    counted = Cells()
    counted.add(one)
    counted.add(two)
    loaded = Cells()
    for of_day in counted.by_day().values() if counted else ():
        for packed in of_day.pack():
            loaded.load(cells.unpack(packed.data))
    assert asdict(loaded) == asdict(counted)


@pytest.mark.parametrize("whole", [0, 400])
def test_many_cells_are_split_and_lose_nothing(monkeypatch: pytest.MonkeyPatch, whole: int) -> None:
    """First by kind, then by ranges of paths; each part says which."""
    monkeypatch.setattr(cells, "WHOLE", whole)
    monkeypatch.setattr(cells, "SPLIT", 300)
    size = 2000
    columns = Columns(
        id=list(range(size)),
        at=[i * 37 % 86400 for i in range(size)],
        path=[i * i % 397 + 1 for i in range(size)],
        ref=[i % 7 + 1 for i in range(size)],
        campaign=[i % 3 for i in range(size)],
        browser=[i % 5 for i in range(size)],
        system=[1] * size,
        location=[i % 11 for i in range(size)],
        language=[0] * size,
        width=[i % 4 * 480 for i in range(size)],
        flags=[1] * size,
        session=[0] * size,
        title=[0] * size,
    )
    counted = Cells()
    counted.add(Segment(1, 1, events=columns))
    packed = counted.pack()
    assert len(packed) > 10
    loaded = Cells()
    for part in packed:
        held = cells.unpack(part.data)
        assert held.kinds == part.kinds
        if held.visits is not None:
            assert set(held.visits.path) <= set(range(part.low, part.high + 1))
        loaded.load(held)
    assert asdict(loaded) == asdict(counted)


hits = st.builds(
    Hit, texts, texts, st.booleans(), texts, st.sampled_from("hgco"), texts, st.none() | texts, st.none() | texts,
    texts, texts, st.integers(0, 2**31), moments, naturals, naturals,
)  # fmt: skip


@given(st.lists(hits, max_size=5), st.lists(st.builds(Bot, texts, moments, naturals, texts), max_size=3), naturals)
def test_a_message_reads_back_as_sent(drawn: list[Hit], bots: list[Bot], number: int) -> None:
    """Bots and all."""
    for keyed in (False, True):
        message = Message(number, 1_763_700_000, "a/pageviews/1", False, tuple(drawn), tuple(bots), keyed)
        assert messages.decode(message.encode()) == message


def test_a_message_that_waits_since_the_last_version_is_read() -> None:
    """It does not say whether it was sent with a key: then it was not."""
    hit = Hit("/", "", False, "", "o", "", "", "", "", "", 0, 1_763_700_000, 1, 0, True)
    message = Message(1, 1_763_700_000, "a/pageviews/1", False, (hit,), (Bot("/", 1, 2, "bot"),))
    body = orjson.loads(zlib.decompress(base64.b64decode(message.encode())))
    del body["keyed"]
    old = base64.b64encode(zlib.compress(orjson.dumps(body | {"v": 2}))).decode()
    assert messages.decode(old) == message
    for version in (1, 4):
        with pytest.raises(Poison):
            messages.decode(base64.b64encode(zlib.compress(orjson.dumps(body | {"v": version}))).decode())


@given(st.text() | st.binary().map(lambda raw: raw.hex()))
def test_what_is_no_message_is_poison(text: str) -> None:
    """It is told apart at once, whatever it is."""
    with pytest.raises(Poison):
        messages.decode(text)


def test_a_path_that_meets_a_hundred_thousand_values_still_fits_into_items() -> None:
    """Somebody will send as many referrers and widths to one path: no part is larger than DynamoDB takes."""
    size = 100_000
    one = [1] * size
    random = [i * 2_654_435_761 % 2**31 for i in range(size)]
    columns = Columns(list(range(size)), one, one, random, one, one, one, one, one, random, one, [0] * size, [0] * size)
    counted = Cells()
    counted.add(Segment(1, 1, events=columns))
    assert max(len(part.data) for part in counted.pack()) < 400_000
