"""Archived records as Parquet for analysts: a folder an event type, a column a field. Needs the package polars.

    <folder>/<topic>/type=<full name>/partition=0/<incarnation>-<first>-<last>-<schema id>.parquet
    <folder>/<topic>/type=_raw/partition=0/<incarnation>-<first>-<last>-raw.parquet      what is no typed Avro
    <folder>/<topic>/type=_unreadable/partition=0/<the same name>                       what has no place in columns

Besides the fields of the event: _offset, _timestamp, _key; of a raw record _value. Text, numbers, booleans, bytes,
dates and timestamps have columns of their own type; a field of any other type is a column of JSON text.

A record that doesn't fit, such as a time in the year 10000, stops nothing: it has its bytes and the reason in a file
beside the others.
"""

import asyncio
import io
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import fastavro
import orjson
from fastavro import parse_schema

from atlas_archive.checker import compile_skip
from atlas_archive.container import ArchiveFile, read_file
from atlas_archive.history import History
from atlas_archive.records import Record
from atlas_archive.store import ObjectStore

if TYPE_CHECKING:
    import polars

ROWS = 50_000  # of a file, and held in memory at once
CHUNK_BYTES = 32 * 1024 * 1024  # of the values of a file, but for its last one
RAW, UNREADABLE = "_raw", "_unreadable"
_ENVELOPE = {"_offset": "long", "_timestamp": "timestamp-millis", "_key": "bytes"}
_NAME = re.compile(r"\w+(\.\w+)*")
_FRAMING_BYTES = 5
_REASON_MAX = 500
# What a decoder raises of bytes that anybody has written, and polars of values that have no place in their column.
_ERRORS = (ArithmeticError, AttributeError, EOFError, LookupError, MemoryError, RuntimeError, TypeError, ValueError)
_LOGICAL = {"timestamp-millis": "timestamp-millis", "timestamp-micros": "timestamp-micros", "date": "date"}


@dataclass(slots=True)
class Exported:
    """What was written so far; `bytes` of Parquet. `unreadable`: of the records, those without columns of their own."""

    files: int = 0
    records: int = 0
    unreadable: int = 0
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
                unreadable: list[_Unreadable] = []
                fitting = _frames(file, records, unreadable)
                for folder_of, tables in ((kind, fitting), (UNREADABLE, _described(unreadable))):
                    path = folder / segment.topic / f"type={folder_of}" / f"partition={segment.partition}" / name
                    if tables:
                        done.bytes += _write(path, tables)
                        done.files += 1
                done.records += len(records)
                done.unreadable += len(unreadable)
                show(done)
                await asyncio.sleep(0)
    return done


def _chunks(records: Iterable[Record]) -> Iterator[list[Record]]:
    chunk: list[Record] = []
    size = 0
    for record in records:
        chunk.append(record)
        size += len(record.value or b"") + len(record.key or b"")
        if len(chunk) == ROWS or size >= CHUNK_BYTES:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def _type_name(file: ArchiveFile) -> str:
    value = _value_schema(file)
    if not isinstance(value, dict) or "name" not in value:
        return f"schema-{file.schema_id}"
    name = value["name"] if "." in value["name"] else ".".join(filter(None, (value.get("namespace"), value["name"])))
    return name if _NAME.fullmatch(name) else f"schema-{file.schema_id}"  # it becomes a folder's


def _value_schema(file: ArchiveFile) -> Any:
    return next(field["type"] for field in file.schema["fields"] if field["name"] == "value")


class _Unreadable(NamedTuple):
    record: Record
    schema_id: int | None
    reason: str


def _write(path: Path, tables: "Sequence[polars.DataFrame]") -> int:
    import polars

    path.parent.mkdir(parents=True, exist_ok=True)
    polars.concat(tables).write_parquet(path, compression="zstd")
    return path.stat().st_size


def _frames(file: ArchiveFile, records: Sequence[Record], unreadable: list[_Unreadable]) -> "list[polars.DataFrame]":
    """The records in columns; those that have no place there are added to `unreadable`."""
    fields = _fields(file)
    read = _reader(file)
    rows = []
    for record in records:
        try:
            rows.append((record, _cells(fields, read(record))))
        except _ERRORS as error:
            unreadable.append(_Unreadable(record, file.schema_id, _reason(error)))
    types = _polars_types()
    schema = {**{name: types[kind] for name, kind in _ENVELOPE.items()}}
    for name, kind in fields.items():
        schema[_free(name, schema)] = types[kind]
    return _fitting(file, rows, schema, unreadable)


_Rows = list[tuple[Record, tuple[Any, ...]]]


def _fitting(
    file: ArchiveFile, rows: _Rows, schema: Mapping[str, Any], unreadable: list[_Unreadable]
) -> "list[polars.DataFrame]":
    """Tables of the rows. Where polars refuses some, halves of them, down to the row that it refuses."""
    import polars

    if not rows:
        return []
    try:
        cells = [
            (record.offset, record.timestamp if record.timestamp >= 0 else None, record.key, *values)
            for record, values in rows
        ]
        plain = {name: polars.Int64() if name == "_timestamp" else kind for name, kind in schema.items()}
        table = polars.DataFrame(cells, schema=plain, orient="row")
        return [table.with_columns(polars.col("_timestamp").cast(schema["_timestamp"]))]
    except (*_ERRORS, polars.exceptions.PolarsError, polars.exceptions.PanicException) as error:
        if len(rows) == 1:
            unreadable.append(_Unreadable(rows[0][0], file.schema_id, _reason(error)))
            return []
    half = len(rows) // 2
    first = _fitting(file, rows[:half], schema, unreadable)
    return first + _fitting(file, rows[half:], schema, unreadable)


def _described(unreadable: Sequence[_Unreadable]) -> "list[polars.DataFrame]":
    import polars

    if not unreadable:
        return []
    kinds = {"_offset": "long", "_timestamp": "long", "_key": "bytes", "_schema_id": "long", "_value": "bytes"}
    schema = {**{name: _polars_types()[kind] for name, kind in kinds.items()}, "_reason": polars.String()}
    rows = [(r.offset, r.timestamp, r.key, schema_id, r.value, reason) for r, schema_id, reason in unreadable]
    return [polars.DataFrame(sorted(rows), schema=schema, orient="row")]


def _reason(error: BaseException) -> str:
    text = f"{type(error).__name__}: {error}"
    return text[:_REASON_MAX].encode(errors="backslashreplace").decode()


def _free(name: str, taken: Collection[str]) -> str:
    while name in taken:
        name += "_"
    return name


def _fields(file: ArchiveFile) -> dict[str, str]:
    """The columns of the values and their kinds; they follow from the schema alone, so that files agree."""
    value = _value_schema(file)
    if file.schema_id is None:
        return {"_value": "bytes"}
    if not _is_record(value):
        return {"_value": _kind(value)}
    return {field["name"]: _kind(field["type"]) for field in value["fields"]}


def _is_record(schema: Any) -> bool:
    return isinstance(schema, dict) and schema.get("type") == "record"


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


def _reader(file: ArchiveFile) -> Callable[[Record], Mapping[str, Any]]:
    """What a record's value is, by column. Raises _ERRORS."""
    if file.schema_id is None:
        return lambda record: {"_value": record.value}
    plain = not _is_record(_value_schema(file))
    parsed = parse_schema(_value_schema(file), named_schemas={})
    skip = compile_skip(parsed)  # by Python's own stack: fastavro's, in C, ends the process where a value nests deeply

    def read(record: Record) -> Mapping[str, Any]:
        value = record.value or b""
        if skip(value, _FRAMING_BYTES, len(value)) != len(value):
            raise ValueError("not one value of its schema")
        found: Any = fastavro.schemaless_reader(io.BytesIO(value[_FRAMING_BYTES:]), parsed, None)
        return {"_value": found} if plain else found

    return read


def _cells(fields: Mapping[str, str], row: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(_json(row[name]) if kind == "json" else row[name] for name, kind in fields.items())


def _json(value: Any) -> str | None:
    return None if value is None else orjson.dumps(value, default=_text, option=orjson.OPT_NON_STR_KEYS).decode()


def _text(value: Any) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)
