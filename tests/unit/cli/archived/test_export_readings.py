"""Events of all versions in the newest one's shape, on their way to Parquet; the values of each logical type."""

import json
import time
from pathlib import Path
from typing import Any

import polars
from atlas_archive.chain.manifests import PartitionPath
from atlas_archive.format.layout import framing
from atlas_archive.format.records import Record
from atlas_archive.history import histories
from atlas_archive.store import MemoryStore
from atlas_archive.tables.export import Exported, export
from atlas_archive.writing.batches import pack
from atlas_archive.writing.segments import Options, Segment, store_segment
from atlas_avro.varints import long
from atlas_cli.archived.export_readings import readings_of
from atlas_contracts.checks import add
from atlas_contracts.codec import Codec
from atlas_contracts.registry import Registry

PATH = PartitionPath("a.events", "id-12345678", 0)
TYPED = {
    "type": "record", "namespace": "a", "name": "Event", "fields": [
        {"name": "id", "type": "string"},
        {"name": "price", "type": {"type": "bytes", "logicalType": "decimal", "precision": 12, "scale": 2}},
        {"name": "day", "type": {"type": "int", "logicalType": "date"}},
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-micros"}},
        {"name": "uid", "type": ["null", {"type": "string", "logicalType": "uuid"}], "default": None},
    ],
}  # fmt: skip


def registry(folder: Path, *versions: dict[str, Any]) -> Registry:
    (folder / "a").mkdir(parents=True)
    (folder / "topics.yaml").write_text(
        "topics:\n  a.events:\n    key: id\n    events: [a.Event]\n    partitions: 1\n    retention: 30d\n"
    )
    for number, version in enumerate(versions, start=1):
        (folder / "a" / f"event.v{number}.avsc").write_text(json.dumps(version))
        add(folder, f"a/event.v{number}.avsc")
    return Registry.load(folder)


async def exported(
    known: Registry, values: list[bytes], folder: Path, schemas: dict[int, str] | None = None
) -> Exported:
    texts = schemas or {schema.id: schema.text for schema in known.schemas.values()}
    store, segment = MemoryStore(), Segment(PATH, 0, 0, texts.get, Options(check_values=False))
    segment.add([pack([Record(i, 5, b"k", (), value) for i, value in enumerate(values)])])
    await store_segment(store, segment, "w")
    return await export(store, (await histories(store, PATH.topic, PATH.incarnation))[0], folder, readings_of(known))


def table_of(folder: Path, kind: str = "a.Event") -> polars.DataFrame:
    return polars.read_parquet(folder / "a.events" / f"type={kind}" / "**" / "*.parquet").sort("_offset")


async def test_logical_types_mean_what_was_posted(tmp_path: Path) -> None:
    known = registry(tmp_path / "schemas", TYPED)
    codec = Codec(known)
    posted: list[dict[str, Any]] = [
        {"id": "1", "price": "12.34", "day": "2024-02-29", "at": "2024-01-01T00:00:00.123456Z"},
        {"id": "2", "price": 12, "day": 19782, "at": 1704067200123456},
        {"id": "3", "price": "-0.01", "day": "1969-12-31", "at": "2024-01-01T05:30:00+05:30"},
    ]
    done = await exported(known, [codec.encode_json("a.Event", event) for event in posted], tmp_path / "out")
    assert (done.records, done.unreadable) == (3, 0)
    table = table_of(tmp_path / "out")
    assert [str(value) for value in table["price"]] == ["12.34", "12.00", "-0.01"]
    assert table["day"].cast(polars.Int32).to_list() == [19782, 19782, -1]
    assert table["at"].cast(polars.Int64).to_list() == [1704067200123456, 1704067200123456, 1704067200000000]


async def test_every_version_has_the_newest_ones_columns(tmp_path: Path) -> None:
    def version(*fields: dict[str, Any]) -> dict[str, Any]:
        return {
            "type": "record",
            "namespace": "a",
            "name": "Event",
            "fields": [{"name": "id", "type": "string"}, *fields],
        }

    known = registry(
        tmp_path / "schemas",
        version({"name": "n", "type": "int"}),
        version(
            {"name": "amount", "type": ["null", "long", "string"], "aliases": ["n"]},
            {"name": "tags", "type": {"type": "array", "items": "string"}, "default": ["new"]},
        ),
    )
    old, new = (framing(schema.id) for schema in known.versions("a.Event"))
    values = [old + b"\x02x" + long(5), new + b"\x02y" + long(2) + b"\x02z" + b"\0"]
    done = await exported(known, values, tmp_path / "out")
    assert (done.files, done.unreadable) == (2, 0)
    assert table_of(tmp_path / "out")["amount", "tags"].rows(named=True) == [
        {"amount": {"long": 5, "string": None}, "tags": ["new"]},
        {"amount": {"long": None, "string": "z"}, "tags": []},
    ]
    # The same id for another schema, as an archive of another mesh may have it: read as it was written.
    foreign = json.dumps(version({"name": "else", "type": "boolean"}))
    await exported(known, [old + b"\x02x\x01"], tmp_path / "foreign", {int.from_bytes(old[1:], "big"): foreign})
    assert table_of(tmp_path / "foreign").columns == ["_offset", "_timestamp", "_key", "id", "else"]


async def test_many_odd_records_cost_no_more_than_good_ones(tmp_path: Path) -> None:
    known = registry(tmp_path / "schemas", TYPED)
    prefix = framing(known.latest("a.Event").id)
    good = prefix + b"\x02x" + b"\x02\x01" + long(0) + long(0) + b"\0"
    odd = prefix + b"\x02x" + b"\x02\x01" + long(2**31 - 1) + long(0) + b"\0"  # a day in the year 5881580

    async def took(values: list[bytes], folder: str) -> float:
        begun = time.process_time()
        done = await exported(known, values, tmp_path / folder)
        assert done.records == len(values)
        return time.process_time() - begun

    await took([good], "warm")
    assert await took([good, odd] * 2500, "mixed") < 4 * await took([good] * 5000, "good") + 0.5
    assert table_of(tmp_path / "mixed").height == table_of(tmp_path / "mixed", "_unreadable").height == 2500
    assert "expected date" in table_of(tmp_path / "mixed", "_unreadable")["_reason"][0]
