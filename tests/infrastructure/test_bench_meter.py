"""The meter charges what AWS's documents say, whoever answers the requests."""

from itertools import count

import pytest
from botocore.exceptions import ClientError

from chalicelib.aws import clients
from chalicelib.core.errors import Conflict
from infrastructure.bench.memory import Tables
from infrastructure.bench.meter import Bill, Meter, metered, schema
from infrastructure.bench.traffic import Traffic
from infrastructure.bench.units import Item, Value, item_size, read_units, value_size, write_units
from infrastructure.bench.world import World
from tests.conftest import World as Simulated

KB = 1024
LOG, ROLLUPS = schema()


def segment(size: int, number: int = 1) -> dict[str, Value]:
    """An item of the log that weighs so many bytes."""
    item: dict[str, Value] = {"stream": {"S": "s"}, "number": {"N": str(number)}, "data": {"B": b"S"}}
    return item | {"data": {"B": b"S" * (size - item_size(item) + 1)}}


@pytest.mark.parametrize(
    ("value", "size"),
    [
        ({"S": "héllo"}, 6),
        ({"B": b"\0" * 10}, 10),
        ({"N": "0"}, 1),
        ({"N": "12"}, 2),
        ({"N": "123"}, 3),
        ({"N": "-1200"}, 2),
        ({"N": "0.0012"}, 2),
        ({"BOOL": True}, 1),
        ({"NULL": True}, 1),
        ({"SS": ["a", "bc"]}, 3),
        ({"NS": ["1", "345"]}, 5),
        ({"L": []}, 3),
        ({"L": [{"S": "ab"}, {"NULL": True}]}, 3 + 3 + 2),
        ({"M": {"key": {"S": "ab"}}}, 3 + 3 + 2 + 1),
    ],
)
def test_a_value_weighs_what_the_documents_say(value: dict[str, object], size: int) -> None:
    """UTF-8 and raw bytes; half a byte a significant digit; three bytes for a list or map and one for each element."""
    assert value_size(value) == size
    assert item_size({"name": value}) == size + 4


@pytest.mark.parametrize(
    ("sizes", "units"),
    [((0,), 1), ((500,), 1), ((KB,), 1), ((KB + 1,), 2), ((3584,), 4), ((300 * KB, 310 * KB), 310), ((5000, 10), 5)],
)
def test_a_write_costs_a_unit_for_each_started_kilobyte(sizes: tuple[int, ...], units: int) -> None:
    """Of the larger of the sizes before and after; in a transaction twice as much."""
    assert write_units(*sizes) == units
    assert write_units(*sizes, transaction=True) == 2 * units


@pytest.mark.parametrize(("size", "units"), [(0, 1), (3584, 1), (4 * KB, 1), (10 * KB, 3), (int(40.8 * KB), 11)])
def test_a_read_costs_a_unit_for_each_started_four_kilobytes(size: int, units: float) -> None:
    """Half of it if it need not be consistent."""
    assert read_units(size, consistent=True) == units
    assert read_units(size, consistent=False) == units / 2


@pytest.fixture
def meter() -> Meter:
    return Meter(schema())


@pytest.fixture
def tables(meter: Meter) -> Tables:
    return Tables(schema(), meter)


def test_a_batch_is_charged_item_by_item(tables: Tables, meter: Meter) -> None:
    """Writing 500 bytes and 3.5 KB costs 1 + 4 units; reading 1.5 KB and 6.5 KB is charged as 12 KB."""
    first, second = segment(500, 1), segment(3584, 2)
    tables.batch_write_item(RequestItems={LOG: [{"PutRequest": {"Item": item}} for item in (first, second)]})
    assert meter.bill.write_units == 5
    for item in (segment(1536, 1), segment(6656, 2)):
        tables.put_item(TableName=LOG, Item=item)
    keys = [{name: item[name] for name in ("stream", "number")} for item in (first, second)]
    tables.batch_get_item(RequestItems={LOG: {"Keys": keys, "ConsistentRead": True}})
    assert meter.bill.read_units == 3


def test_a_query_is_charged_for_whole_items_as_a_sum(tables: Tables, meter: Meter) -> None:
    """Ten items of 4,178 bytes are rounded up together, to 44 KB, though only their numbers are asked for."""
    for number in range(1, 11):
        tables.put_item(TableName=LOG, Item=segment(4178, number))
    tables.query(
        TableName=LOG,
        KeyConditionExpression="stream = :stream",
        ExpressionAttributeValues={":stream": {"S": "s"}},
        ProjectionExpression="number",
        ConsistentRead=True,
    )
    assert meter.bill.read_units == 11


def test_a_write_over_a_larger_item_costs_the_larger(tables: Tables, meter: Meter) -> None:
    """Put, update and delete alike look at the item as it was."""
    tables.put_item(TableName=LOG, Item=segment(5000))
    tables.put_item(TableName=LOG, Item=segment(100))
    assert meter.bill.write_units == 5 + 5
    key = {name: segment(100)[name] for name in ("stream", "number")}
    tables.update_item(
        TableName=LOG, Key=key, UpdateExpression="SET expires = :at", ExpressionAttributeValues={":at": {"N": "1"}}
    )
    tables.put_item(TableName=LOG, Item=segment(3000))
    tables.delete_item(TableName=LOG, Key=key)
    assert meter.bill.write_units == 10 + 1 + 3 + 3
    assert tables.expire(10.0) == 0


def test_a_write_whose_condition_fails_costs_as_much(tables: Tables, meter: Meter) -> None:
    """And is counted as wasted; nothing has changed."""
    tables.put_item(TableName=LOG, Item=segment(2000))
    with pytest.raises(ClientError):
        tables.put_item(TableName=LOG, Item=segment(9000), ConditionExpression="attribute_not_exists(stream)")
    assert (meter.bill.write_units, meter.bill.wasted) == (2 + 9, 9)
    assert tables.get_item(TableName=LOG, Key={k: segment(1)[k] for k in ("stream", "number")})["Item"] == segment(2000)


def test_expiry_is_free(tables: Tables, meter: Meter) -> None:
    """What has lived its time is gone, and nobody pays."""
    tables.put_item(TableName=LOG, Item=segment(2000) | {"expires": {"N": "99"}})
    before = meter.bill.copy()
    assert tables.expire(100.0) == 1
    assert meter.bill == before


def test_unknown_expressions_are_refused(tables: Tables) -> None:
    """Rather than answered wrongly, or priced by guess."""
    asked = {"TableName": LOG, "Item": segment(100), "ConditionExpression": "size(stream) > :n"}
    with pytest.raises(NotImplementedError):
        tables.put_item(**asked)
    with pytest.raises(NotImplementedError):
        Meter(schema()).charge("Scan", {"TableName": LOG}, {})


def test_other_tables_are_free(meter: Meter) -> None:
    """The meter is about log and rollups."""
    item: Item = {"pk": {"S": "x"}}
    meter.charge("PutItem", {"TableName": "documents", "Item": item}, {})
    assert meter.bill == Bill()


def _work(world: World, stream: str) -> None:
    """A bit of everything: appends, a lost race, folds, sweeps with merges, questions cold and warm."""
    traffic, reader = Traffic(20), world.reader()
    for number in range(7):
        moments = [int(world.now)] * (1 + 150 * number)
        world.append(stream, [traffic.batch(stream, moments), *traffic.lone(stream, moments[:3])])
        if number % 2:
            world.folder.fold(stream)
        reader.snapshot(stream).parts(-1, 0, 10**6)
        world.now += 1000
    with pytest.raises(Conflict):
        world.log.put(stream, 3, b"S" * 2000, None)
    world.sweep(stream)
    reader.snapshot(stream).parts(-1, 0, 10**6)
    world.reader().snapshot(stream).parts(1, 0, 10**6)
    world.rollups.drop(stream, world.manifest(stream).version)


def test_memory_and_moto_are_charged_the_same(moto_tables: Simulated, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same work costs the same calls and units, whether moto answers a real client or tables in memory do."""
    assert moto_tables
    bills = []
    for real in (True, False):
        numbers = count()
        monkeypatch.setattr("secrets.token_hex", lambda size, n=numbers: f"{next(n):0{2 * size}x}")
        meter = Meter(schema())
        client = clients.dynamodb()
        deployment = World(1_794_830_400 + 3600, client if real else None, meter)
        with metered(client, meter):
            _work(deployment, "meter/pageviews/1")
        bills.append(meter.bill)
    assert bills[0] == bills[1]
    assert bills[0].wasted > 0
    assert {"segments", "manifest", "counts", "names", "sessions", "ids"} <= set(bills[0].writes)
