"""Archived records as Parquet for analysts: a folder an event type, a column a field. Needs the package polars.

    <folder>/<topic>/type=<full name>/partition=0/<incarnation>-<first>-<last>-<schema id>.parquet
    <folder>/<topic>/type=_raw/partition=0/<incarnation>-<first>-<last>-raw.parquet      what is no typed Avro

Besides the fields of the event: _offset, _timestamp, _key; of a raw record _value. Text, numbers, booleans, bytes,
dates and timestamps have columns of their own type; a field of any other type is a column of JSON text.
"""

import datetime
import io
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import fastavro
import orjson

from atlas_archive.container import ArchiveFile, read_file
from atlas_archive.history import History
from atlas_archive.records import Record
from atlas_archive.store import ObjectStore

ROWS = 50_000  # of a file, and held in memory at once
RAW = "_raw"
_FRAMING_BYTES = 5
_LOGICAL = {"timestamp-millis": "timestamp-millis", "timestamp-micros": "timestamp-micros", "date": "date"}


@dataclass(slots=True)
class Exported:
    """What was written so far; `bytes` of Parquet."""

    files: int = 0
    records: int = 0
    bytes: int = 0


async def export(
    store: ObjectStore, history: History, folder: Path, show: Callable[[Exported], None] = lambda _: None
) -> Exported:
    """Write one partition's records below `folder`; a file that is there already is written anew.

    Raises CorruptFile, MissingObject, and ModuleNotFoundError without polars.
    """
    done = Exported()
    for segment in history.segments:
        for item in segment.objects:
            file = read_file(await store.get(item.key), item.key)
            for records in _chunks(record for block in file.blocks() for record in block):
                kind = RAW if file.schema_id is None else _type_name(file)
                place = f"{segment.incarnation[:8]}-{records[0].offset:020d}-{records[-1].offset:020d}"
                name = f"{place}-{'raw' if file.schema_id is None else file.schema_id}.parquet"
                path = folder / segment.topic / f"type={kind}" / f"partition={segment.partition}" / name
                done.bytes += _write(path, file, records)
                done.files += 1
                done.records += len(records)
                show(done)
    return done


def _chunks(records: Iterable[Record]) -> Iterator[list[Record]]:
    chunk: list[Record] = []
    for record in records:
        chunk.append(record)
        if len(chunk) == ROWS:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _type_name(file: ArchiveFile) -> str:
    value = _value_schema(file)
    if not isinstance(value, dict) or "name" not in value:
        return f"schema-{file.schema_id}"
    return value["name"] if "." in value["name"] else ".".join(filter(None, (value.get("namespace"), value["name"])))


def _value_schema(file: ArchiveFile) -> Any:
    return next(field["type"] for field in file.schema["fields"] if field["name"] == "value")


def _write(path: Path, file: ArchiveFile, records: list[Record]) -> int:
    import polars

    fields = _fields(file)
    types = _polars_types()
    envelope = {"_offset": "long", "_timestamp": "timestamp-millis", "_key": "bytes"}
    schema = {name: types[kind] for name, kind in {**envelope, **fields}.items()}
    table = polars.DataFrame(_rows(file, fields, records), schema=schema, orient="row")
    path.parent.mkdir(parents=True, exist_ok=True)
    table.write_parquet(path, compression="zstd")
    return path.stat().st_size


def _fields(file: ArchiveFile) -> dict[str, str]:
    """The columns of the values and their kinds; they follow from the schema alone, so that files agree."""
    value = _value_schema(file)
    if file.schema_id is None:
        return {"_value": "bytes"}
    if not isinstance(value, dict) or value.get("type") != "record":
        return {"_value": _kind(value)}
    return {field["name"]: _kind(field["type"]) for field in value["fields"]}


def _kind(schema: Any) -> str:
    if isinstance(schema, list):
        rest = [branch for branch in schema if branch != "null"]
        return _kind(rest[0]) if len(rest) == 1 else "json"
    if isinstance(schema, dict):
        if schema.get("logicalType") in _LOGICAL:
            return _LOGICAL[schema["logicalType"]]
        if schema["type"] == "enum":
            return "string"
        return _kind(schema["type"]) if "logicalType" not in schema and isinstance(schema["type"], str) else "json"
    return schema if schema in _polars_types() else "json"


@lru_cache(maxsize=1)
def _polars_types() -> Mapping[str, Any]:
    import polars

    return {
        "boolean": polars.Boolean(),
        "int": polars.Int32(),
        "long": polars.Int64(),
        "float": polars.Float32(),
        "double": polars.Float64(),
        "bytes": polars.Binary(),
        "string": polars.String(),
        "json": polars.String(),
        "timestamp-millis": polars.Datetime("ms", "UTC"),
        "timestamp-micros": polars.Datetime("us", "UTC"),
        "date": polars.Date(),
    }


def _rows(file: ArchiveFile, fields: Mapping[str, str], records: Iterable[Record]) -> Iterator[tuple[Any, ...]]:
    raw, plain = file.schema_id is None, list(fields) == ["_value"]
    parsed = None if raw else fastavro.parse_schema(_value_schema(file), named_schemas={})
    as_json = {name for name, kind in fields.items() if kind == "json"}
    for record in records:
        time = datetime.datetime.fromtimestamp(record.timestamp / 1000, datetime.UTC) if record.timestamp >= 0 else None
        value: Any = record.value
        if parsed is not None and record.value is not None:
            value = fastavro.schemaless_reader(io.BytesIO(record.value[_FRAMING_BYTES:]), parsed, None)
        row = {"_value": value} if plain else value
        cells = (_json(row[name]) if name in as_json else row[name] for name in fields)
        yield (record.offset, time, record.key, *cells)


def _json(value: Any) -> str | None:
    return None if value is None else orjson.dumps(value, default=_text, option=orjson.OPT_NON_STR_KEYS).decode()


def _text(value: Any) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)
