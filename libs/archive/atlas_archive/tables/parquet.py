"""Tables of records, and files of them. The one place that writes Parquet."""

import struct
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from atlas_avro.times import instants

from atlas_archive.format.records import Record

if TYPE_CHECKING:
    import pyarrow

# What a decoder raises of bytes that anybody has written, and Arrow of values that have no place in their column.
ODD = (
    ArithmeticError, AttributeError, EOFError, LookupError, MemoryError, RuntimeError, SyntaxError, TypeError,
    ValueError, struct.error,
)  # fmt: skip
# In the metadata of every file: how to tell one of ours, and the form it has.
MARK, FORM = b"atlas.export", b"2"

_REASON_MAX = 500
_MOST_MS = instants(3)[1]

Row = tuple[Record, tuple[Any, ...]]


class Unreadable(NamedTuple):
    """A record that has no place in columns, and why."""

    record: Record
    schema_id: int | None
    reason: str

    @classmethod
    def of(cls, record: Record, schema_id: int | None, error: BaseException) -> "Unreadable":
        """With the error's words."""
        text = f"{type(error).__name__}: {error}"
        return cls(record, schema_id, text[:_REASON_MAX].encode(errors="backslashreplace").decode())


def raw_types() -> "dict[str, pyarrow.DataType]":
    """The columns of a record that is no typed Avro, beside those of every record."""
    import pyarrow

    return {"_value": pyarrow.binary()}


def table_of(
    rows: Sequence[Row], types: "Mapping[str, pyarrow.DataType]", schema_id: int | None, unreadable: list[Unreadable]
) -> "pyarrow.Table | None":
    """The rows in columns of these types; None for no row. One that Arrow refuses is added to `unreadable`."""
    if not rows:
        return None
    try:
        return _table(rows, types)
    except ODD:
        pass
    # Cells are made to fit, so this is rare; a value by itself says whether it is the one, whatever the others are.
    fitting = []
    for row in rows:
        try:
            _table([row], types)
            fitting.append(row)
        except ODD as error:
            unreadable.append(Unreadable.of(row[0], schema_id, error))
    return _table(fitting, types) if fitting else None


def unreadable_table(unreadable: Sequence[Unreadable]) -> "pyarrow.Table | None":
    """Records as they are, with the reason; None for none."""
    import pyarrow as pa

    if not unreadable:
        return None
    types = {
        "_offset": pa.int64(), "_timestamp": pa.int64(), "_key": pa.binary(), "_schema_id": pa.int64(),
        "_value": pa.binary(), "_reason": pa.string(),
    }  # fmt: skip
    ordered = sorted(unreadable, key=lambda each: each.record.offset)
    rows = [(r.offset, r.timestamp, r.key, schema_id, r.value, reason) for r, schema_id, reason in ordered]
    return _of_columns(list(zip(*rows, strict=True)), types)


def write(path: Path, table: "pyarrow.Table") -> int:
    """Write the file, which is there whole or not at all; its size in bytes."""
    from pyarrow import parquet

    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".unfinished")
    # Types as Parquet has them, and not Arrow's own notes on them: every reader then sees the same.
    with parquet.ParquetWriter(unfinished, table.schema, compression="zstd", store_schema=False) as writer:
        writer.write_table(table)
        writer.add_key_value_metadata({MARK: FORM})
    size = unfinished.stat().st_size
    unfinished.replace(path)
    return size


def _table(rows: Sequence[Row], types: "Mapping[str, pyarrow.DataType]") -> "pyarrow.Table":
    import pyarrow as pa

    cells = [(record.offset, _instant(record.timestamp), record.key, *values) for record, values in rows]
    columns: dict[str, Any] = {"_offset": pa.int64(), "_timestamp": pa.timestamp("ms", "UTC"), "_key": pa.binary()}
    for name, kind in types.items():
        columns[_free(name, columns)] = kind
    return _of_columns(list(zip(*cells, strict=True)), columns)


def _of_columns(columns: Sequence[Sequence[Any]], types: "Mapping[str, pyarrow.DataType]") -> "pyarrow.Table":
    import pyarrow as pa

    arrays = [pa.array(column, type=kind) for column, kind in zip(columns, types.values(), strict=True)]
    return pa.table(arrays, schema=pa.schema(list(types.items())))


def _instant(milliseconds: int) -> int | None:
    """A record's time; None where it has none, or one beyond the years that readers take."""
    return milliseconds if 0 <= milliseconds <= _MOST_MS else None


def _free(name: str, taken: Collection[str]) -> str:
    while name in taken:
        name += "_"
    return name
