"""Parquet for analysts: every record once, a column a field, typed by the schema and not by what is in it."""

import datetime
import io
import json
from pathlib import Path
from typing import Any

import fastavro
import polars
import pytest
from atlas_archive.batches import pack
from atlas_archive.export import Exported, export
from atlas_archive.history import histories
from atlas_archive.layout import framing
from atlas_archive.manifests import PartitionPath
from atlas_archive.records import Record
from atlas_archive.segments import Segment, store_segment
from atlas_archive.store import MemoryStore

PATH = PartitionPath("orders", "id-12345678", 1)
ORDER: Any = {
    "type": "record",
    "name": "Placed",
    "namespace": "orders",
    "fields": [
        {"name": "id", "type": "string"},
        {"name": "count", "type": "int"},
        {"name": "price", "type": ["null", "double"]},
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {"name": "day", "type": {"type": "int", "logicalType": "date"}},
        {"name": "state", "type": {"type": "enum", "name": "State", "symbols": ["NEW", "DONE"]}},
        {"name": "tags", "type": {"type": "array", "items": "string"}},
        {"name": "either", "type": ["null", "string", "long"]},
        {"name": "blob", "type": "bytes"},
    ],
}
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

    async def nothing() -> None:
        return

    for part in (records[:25], records[25:]):
        segment = Segment(PATH, start, 0, {4: json.dumps(ORDER)}.get)
        segment.add([pack(part)])
        start = (await store_segment(store, segment, "w", nothing)).manifest.next_offset
    return store


def written(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.parquet"))


async def test_a_column_a_field(store: MemoryStore, tmp_path: Path) -> None:
    seen: list[int] = []
    history = (await histories(store, "orders", PATH.incarnation))[1]
    done: Exported = await export(store, history, tmp_path, lambda progress: seen.append(progress.records))
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
    assert (row["state"], row["tags"], row["either"]) == ("NEW", '["a","b"]', "1")
    assert (row["blob"], row["_key"]) == (b"\xff", b"k1")
    assert table.schema["price"] == polars.Float64  # though every price is null
    assert table.schema["at"] == polars.Datetime("ms", "UTC")
    raw = polars.read_parquet(tmp_path / "orders" / "type=_raw" / "**" / "*.parquet").sort("_offset")
    assert raw["_value"].to_list() == [b"raw", None] * 4


async def test_twice_is_the_same(store: MemoryStore, tmp_path: Path) -> None:
    history = (await histories(store, "orders", PATH.incarnation))[1]
    await export(store, history, tmp_path)
    files = written(tmp_path)
    await export(store, history, tmp_path)
    assert written(tmp_path) == files
