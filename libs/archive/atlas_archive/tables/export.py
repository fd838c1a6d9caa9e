"""Archived records as Parquet for analysts: a folder an event type, a column a field. Needs the package pyarrow.

    <folder>/<topic>/type=<full name>/partition=0/<incarnation>-<first>-<last>-<schema id>.parquet
    <folder>/<topic>/type=_raw/partition=0/<incarnation>-<first>-<last>-raw.parquet      what is no typed Avro
    <folder>/<topic>/type=_unreadable/partition=0/<the same name>                       what has no place in columns

Besides the fields of the event: _offset, _timestamp, _key; of a raw record _value. What each type is in Parquet is said
in columns.py. All events of a type are read in the shape that `readings` gives for it, so that files agree.

A record that doesn't fit, such as a time in the year 10000, stops nothing: it has its bytes and the reason in a file
beside the others. However much is archived, a bounded part of it is in memory.
"""

import asyncio
import re
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from atlas_archive.format.container import ArchiveFile, read_file
from atlas_archive.format.records import Record
from atlas_archive.history import History
from atlas_archive.store import ObjectStore
from atlas_archive.tables.columns import Tally, columns_of
from atlas_archive.tables.parquet import ODD, Row, Unreadable, raw_types, table_of, unreadable_table, write

ROWS = 50_000  # of a file, and held in memory at once
CHUNK_BYTES = 32 * 1024 * 1024  # of the values of a file, but for its last one
CELLS = 1_000_000  # of a file: fields, and items of arrays and maps; but for its last record
RAW, UNREADABLE = "_raw", "_unreadable"
_NAME = re.compile(r"\w+(\.\w+)*", re.ASCII)
_FILE = re.compile(r"(?P<incarnation>.{1,8})-(?P<first>\d{20})-(?P<last>\d{20})-(raw|\d+)\.parquet")
_FRAMING_BYTES = 5


class Reading(NamedTuple):
    """How values of one schema are read: in the shape of `definition`, with names in full.

    `read`: (framed bytes, where the body begins) → the value, branches of unions told as columns.py says. `row_bytes`:
    what a value may take in memory beyond its own bytes, because of defaults.
    """

    definition: Any
    read: Callable[[bytes, int], Any]
    row_bytes: int = 0


# (schema id, the definition that it was written with) → how to read it. Raises ValueError where that can't be.
Readings = Callable[[int, Any], Reading]


@dataclass(slots=True)
class Exported:
    """What was written so far; `bytes` of Parquet. `unreadable`: of the records, those without columns of their own."""

    files: int = 0
    records: int = 0
    unreadable: int = 0
    bytes: int = 0


@dataclass(slots=True)
class _Chunk:
    """Records of a file to be: rows with columns, and records without. `first`, `last`: their offsets."""

    rows: list[Row] = field(default_factory=list)
    unreadable: list[Unreadable] = field(default_factory=list)
    refused: int = 0
    first: int = -1
    last: int = -1


class _Source(NamedTuple):
    """What an archived file becomes: chunks with columns of these types, in the folder of this kind."""

    kind: str
    types: dict[str, Any]
    chunks: Iterator[_Chunk]


async def export(
    store: ObjectStore,
    history: History,
    folder: Path,
    readings: Readings,
    show: Callable[[Exported], None] = lambda _: None,
) -> Exported:
    """Write one partition's records below `folder`.

    A file that is there already is written anew; one of the same records that another export cut otherwise goes.
    Raises CorruptFile, MissingObject, and ModuleNotFoundError without pyarrow.
    """
    done = Exported()
    written: set[Path] = set()
    for segment in history.segments:
        for item in segment.objects:
            file = read_file(await store.get(item.key), item.key)
            source = _source(file, readings)
            for chunk in source.chunks:
                place = f"{segment.incarnation[:8]}-{chunk.first:020d}-{chunk.last:020d}"
                name = f"{place}-{'raw' if file.schema_id is None else file.schema_id}.parquet"
                columns = table_of(chunk.rows, source.types, file.schema_id, chunk.unreadable)
                beside = unreadable_table(chunk.unreadable)
                for folder_of, table in ((source.kind, columns), (UNREADABLE, beside)):
                    path = folder / segment.topic / f"type={folder_of}" / f"partition={segment.partition}" / name
                    if table is not None:
                        done.bytes += write(path, table)
                        done.files += 1
                        written.add(path)
                done.records += len(chunk.rows) + chunk.refused
                done.unreadable += len(chunk.unreadable)
                show(done)
                await asyncio.sleep(0)
    for path in _cut_otherwise(written):
        path.unlink()
    return done


def _source(file: ArchiveFile, readings: Readings) -> _Source:
    records = (record for block in file.blocks() for record in block)
    if file.schema_id is None:
        return _Source(RAW, raw_types(), _chunks(records, lambda record: (record.value,)))
    try:
        reading = readings(file.schema_id, _value_schema(file))
        columns = columns_of(reading.definition)
    except ODD as error:
        wrong = ValueError(f"its schema: {error}")

        def refuse(_record: Record) -> tuple[Any, ...]:
            raise wrong

        return _Source(UNREADABLE, {}, _chunks(records, refuse, schema_id=file.schema_id))
    name = reading.definition.get("name", "") if isinstance(reading.definition, dict) else ""
    kind = name if _NAME.fullmatch(name) else f"schema-{file.schema_id}"  # it becomes a folder's
    read, cells, tally = reading.read, columns.cells, columns.tally

    def cells_of(record: Record) -> tuple[Any, ...]:
        tally.items += columns.leaves
        tally.bytes += reading.row_bytes
        return cells(read(record.value or b"", _FRAMING_BYTES))

    return _Source(kind, columns.types, _chunks(records, cells_of, tally, schema_id=file.schema_id))


def _chunks(
    records: Iterable[Record],
    cells_of: Callable[[Record], tuple[Any, ...]],
    tally: Tally | None = None,
    schema_id: int | None = None,
) -> Iterator[_Chunk]:
    chunk, tally = _Chunk(), tally or Tally()
    for record in records:
        tally.bytes += len(record.value or b"") + len(record.key or b"")
        try:
            chunk.rows.append((record, cells_of(record)))
        except ODD as error:
            chunk.unreadable.append(Unreadable.of(record, schema_id, error))
            chunk.refused += 1
        chunk.first = record.offset if chunk.first < 0 else chunk.first
        chunk.last = record.offset
        count = len(chunk.rows) + chunk.refused
        if count == ROWS or tally.bytes >= CHUNK_BYTES or tally.items >= CELLS:
            tally.bytes = tally.items = 0
            yield chunk
            chunk = _Chunk()
    if chunk.first >= 0:
        yield chunk


def _value_schema(file: ArchiveFile) -> Any:
    return next((field["type"] for field in file.schema["fields"] if field["name"] == "value"), None)


def _cut_otherwise(written: Collection[Path]) -> list[Path]:
    """Files of earlier exports whose records, or some of them, are in those that were written now."""
    ranges: dict[tuple[Path, str, str], tuple[str, str]] = {}
    for path in written:
        found = _FILE.fullmatch(path.name)
        if found is not None:
            place = (path.parents[2], path.parent.name, found["incarnation"])
            first, last = ranges.get(place, (found["first"], found["last"]))
            ranges[place] = (min(first, found["first"]), max(last, found["last"]))
    return [
        path
        for (topic, partition, incarnation), (first, last) in ranges.items()
        for path in topic.glob(f"type=*/{partition}/*.parquet")
        if path not in written
        and (found := _FILE.fullmatch(path.name)) is not None
        and found["incarnation"] == incarnation
        and found["first"] <= last
        and found["last"] >= first
    ]
