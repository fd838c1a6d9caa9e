"""Parquet for analysts: every record once, a column a field, typed by the schema and not by what is in it."""

import datetime
import io
import json
from pathlib import Path
from typing import Any

import fastavro
import polars
import pytest
from atlas_archive.chain.manifests import PartitionPath
from atlas_archive.format.codecs import CODECS
from atlas_archive.format.container import ArchiveFile
from atlas_archive.format.layout import framing
from atlas_archive.format.records import Record
from atlas_archive.history import histories
from atlas_archive.store import MemoryStore
from atlas_archive.tables import export as exporting
from atlas_archive.tables.export import Exported, export
from atlas_archive.writing.batches import pack
from atlas_archive.writing.segments import Options, Segment, store_segment
from atlas_avro.varints import long
from atlas_cli.archived.export_readings import readings_of

from tests.avro_records import TIMESTAMP, record

READINGS = readings_of(None)
PATH = PartitionPath("orders", "id-12345678", 1)
ORDER: Any = record(
    "orders.Placed",
    id="string",
    count="int",
    price=["null", "double"],
    at=TIMESTAMP,
    day={"type": "int", "logicalType": "date"},
    state={"type": "enum", "name": "State", "symbols": ["NEW", "DONE"]},
    tags={"type": "array", "items": "string"},
    either=["null", "string", "long"],
    blob="bytes",
)
EVIL = {"type": "fixed", "name": "../../x", "size": 1}
AT = datetime.datetime(2013, 1, 1, 10, tzinfo=datetime.UTC)


def order(i: int) -> dict[str, Any]:
    return {
        "id": f"o{i}",
        "count": i,
        "price": None,
        "at": AT,
        "day": AT.date(),
        "state": "NEW",
        "tags": ["a", "b"],
        "either": i if i % 2 else "x",
        "blob": b"\xff",
    }


def framed(i: int) -> bytes:
    out = io.BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(json.loads(json.dumps(ORDER)), named_schemas={}), order(i))
    return framing(4) + out.getvalue()


@pytest.fixture
async def store() -> MemoryStore:
    """Two segments of orders, with records among them that are none."""
    store, start = MemoryStore(), 0
    values = [framed(i) if i % 5 else (None if i % 2 else b"raw") for i in range(40)]
    records = [Record(i, 1_357_030_800_000 + i, b"k%d" % i, (), value) for i, value in enumerate(values)]

    for part in (records[:25], records[25:]):
        segment = Segment(PATH, start, 0, {4: json.dumps(ORDER)}.get)
        segment.add([pack(part)])
        start = (await store_segment(store, segment, "w")).manifest.next_offset
    return store


def written(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.parquet"))


async def test_a_column_a_field(store: MemoryStore, tmp_path: Path) -> None:
    seen: list[int] = []
    history = (await histories(store, "orders", PATH.incarnation))[1]
    done: Exported = await export(store, history, tmp_path, READINGS, lambda progress: seen.append(progress.records))
    files = written(tmp_path)
    assert (done.files, done.records, done.bytes) == (4, 40, sum(file.stat().st_size for file in files))
    assert seen[-1] == 40
    assert {file.relative_to(tmp_path).parts[:3] for file in files} == {
        ("orders", "type=orders.Placed", "partition=1"),
        ("orders", "type=_raw", "partition=1"),
    }
    table = polars.read_parquet(tmp_path / "orders" / "type=orders.Placed" / "**" / "*.parquet").sort("_offset")
    assert table["_offset"].to_list() == [i for i in range(40) if i % 5]
    row = table.row(0, named=True)
    assert (row["id"], row["count"], row["price"], row["at"], row["day"]) == ("o1", 1, None, AT, AT.date())
    assert (row["state"], row["tags"], row["either"]) == ("NEW", ["a", "b"], {"string": None, "long": 1})
    assert (row["blob"], row["_key"]) == (b"\xff", b"k1")
    assert table.schema["price"] == polars.Float64  # though every price is null
    assert table.schema["at"] == polars.Datetime("ms", "UTC")
    raw = polars.read_parquet(tmp_path / "orders" / "type=_raw" / "**" / "*.parquet").sort("_offset")
    assert raw["_value"].to_list() == [b"raw", None] * 4


async def test_twice_is_the_same(store: MemoryStore, tmp_path: Path) -> None:
    history = (await histories(store, "orders", PATH.incarnation))[1]
    await export(store, history, tmp_path, READINGS)
    files = written(tmp_path)
    await export(store, history, tmp_path, READINGS)
    assert written(tmp_path) == files


ODD: Any = {
    "type": "record",
    "name": "Odd",
    "fields": [
        {"name": "_offset", "type": "long"},
        {"name": "text", "type": "string"},
        {"name": "small", "type": "int"},
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {"name": "uid", "type": {"type": "string", "logicalType": "uuid"}},
        {"name": "price", "type": {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}},
        {"name": "next", "type": ["null", "Odd"]},
    ],
}
UID = "0190a0e8-0000-7000-8000-000000000000"


def odd(text: str = "t", small: int = 1, at: int = 0, uid: str = UID, price: bytes = b"\x64") -> bytes:
    packed = [long(5), *(long(len(part)) + part for part in [text.encode()]), long(small), long(at)]
    packed += [long(len(uid)) + uid.encode(), long(len(price)) + price]
    return b"".join(packed)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (
            odd(at=253_402_300_800_000) + b"\0",
            "253402300800000: out of range, expected timestamp of the years 1 to 9999",
        ),
        (odd(at=2**62) + b"\0", "out of range"),
        (odd(uid="nope") + b"\0", "nope: out of range, expected UUID"),
        (odd(price=b"\x7f" * 9) + b"\0", "more than 9 digits"),
        (odd(price=b"\x7f" * 900) + b"\0", "more than 512 bytes"),
        (odd().replace(b"t", b"\xff", 1) + b"\0", "utf-8"),
        (odd(small=2**33) + b"\0", ""),
        (odd()[:-1] + b"\0", ""),
        ((odd() + b"\2") * 5000 + odd() + b"\0", "nested deeper"),
        (b"", ""),
        (odd() + b"\0\0", ""),
    ],
)
async def test_a_record_without_columns_stops_nothing(tmp_path: Path, body: bytes, reason: str) -> None:
    """Written unchecked, so that any bytes are in a typed file."""
    store, good = MemoryStore(), framing(4) + odd(text="NUL \0") + b"\0"
    values = [good, framing(4) + body, good, good]
    segment = Segment(PATH, 0, 0, {4: json.dumps(ODD)}.get, Options(check_values=False))
    segment.add([pack([Record(i, 2**45 if i == 2 else 5, b"k", (), value) for i, value in enumerate(values)])])

    await store_segment(store, segment, "w")
    done = await export(store, (await histories(store, "orders", PATH.incarnation))[1], tmp_path, READINGS)
    assert (done.records, done.unreadable, done.files) == (4, 1, 2)
    table = polars.read_parquet(tmp_path / "orders" / "type=Odd" / "**" / "*.parquet").sort("_offset")
    assert (table["_offset"].to_list(), table["_offset_"].to_list()) == ([0, 2, 3], [5] * 3)
    assert table["text"].to_list() == ["NUL \0"] * 3
    beside = polars.read_parquet(tmp_path / "orders" / "type=_unreadable" / "**" / "*.parquet")
    assert beside.rows()[0][:5] == (1, 5, b"k", 4, framing(4) + body)
    assert reason in beside["_reason"][0]


async def test_memory_is_bounded_by_bytes_and_names_make_no_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "CHUNK_BYTES", 3000)
    store = MemoryStore()
    segment = Segment(PATH, 0, 0, lambda _: None)
    segment.add([pack([Record(i, -5, None, (), bytes(1000)) for i in range(10)])])

    await store_segment(store, segment, "w")
    done = await export(store, (await histories(store, "orders", PATH.incarnation))[1], tmp_path / "out", READINGS)
    assert (done.records, done.files) == (10, 4)
    source = exporting._source(
        ArchiveFile("x", 7, {"fields": [{"name": "value", "type": EVIL}]}, {}, CODECS["null"], b"", b"", 0), READINGS
    )
    assert source.kind == "schema-7"


@pytest.mark.parametrize("schema", [None, ["null", "nothing"], {"type": "enum"}, {"type": "record", "name": "X"}])
def test_a_schema_that_is_none_makes_its_records_unreadable(schema: Any) -> None:
    fields = {"fields": [{"name": "value", "type": schema}]}
    source = exporting._source(ArchiveFile("x", 7, fields, {}, CODECS["null"], b"", b"", 0), READINGS)
    assert source.kind == "_unreadable"


async def test_what_was_cut_otherwise_goes_and_what_is_no_more_archived_stays(
    store: MemoryStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    history = (await histories(store, "orders", PATH.incarnation))[1]
    monkeypatch.setattr(exporting, "ROWS", 5)
    await export(store, history, tmp_path, READINGS)
    assert len(written(tmp_path)) > 4
    folder = tmp_path / "orders" / "type=orders.Placed" / "partition=1"
    others = [
        folder / f"id-12345-{first:020d}-{first:020d}-4.parquet"
        for first in (40, 99)  # of later records
    ] + [folder / f"id-other-{1:020d}-{2:020d}-4.parquet", folder / "by-hand.parquet"]
    for path in others:
        path.write_bytes(b"")
    monkeypatch.setattr(exporting, "ROWS", 50_000)
    await export(store, history, tmp_path, READINGS)
    assert len(written(tmp_path)) == 4 + len(others)
    assert all(path.exists() for path in others)


async def test_small_bytes_that_are_much_in_memory_are_cut_by_what_they_hold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "CELLS", 1000)
    schema = {"type": "array", "items": "null"}
    store, segment = MemoryStore(), Segment(PATH, 0, 0, {4: json.dumps(schema)}.get, Options(check_values=False))
    segment.add([pack([Record(i, 5, None, (), framing(4) + long(400) + b"\0") for i in range(9)])])
    await store_segment(store, segment, "w")
    done = await export(store, (await histories(store, "orders", PATH.incarnation))[1], tmp_path, READINGS)
    assert (done.records, done.files) == (9, 3)
