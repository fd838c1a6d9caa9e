"""What lies in a folder of exports, before an engine reads it: files of ours, none too large, all of one shape."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from atlas_archive.tables.parquet import MARK

from atlas_cli.terminal.output import CommandError

if TYPE_CHECKING:
    import pyarrow

_FOOTER_MAX = 16 * 1024 * 1024  # bytes: a footer says what the rest is, and is read whole
_CELL_BYTES = 8  # that a value takes at least, once it is read
_END = 8  # bytes: the length of the footer, and the magic


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one file: rows, and bytes when it is unpacked."""

    rows: int
    bytes: int


def shape_of(folder: Path, limits: Limits) -> "pyarrow.Schema":
    """The columns of all files below `folder` together; each name and the widest of its types.

    Raises CommandError with the first file that is not ours, is larger than the limits, or doesn't go with the others.
    """
    import pyarrow

    files = sorted(folder.rglob("*.parquet"))
    if not files:
        raise CommandError(f"{folder}: no such events were exported")
    shapes = [_checked(path, limits) for path in files]
    merged = shapes[0]
    for path, shape in zip(files, shapes, strict=True):
        if shape.equals(merged):
            continue
        try:
            merged = pyarrow.unify_schemas([merged, shape], promote_options="permissive")
        except (pyarrow.ArrowInvalid, pyarrow.ArrowTypeError) as error:
            raise CommandError(f"{path}: not of one shape with the files beside it ({error}); export anew") from None
    return merged.remove_metadata()


def _checked(path: Path, limits: Limits) -> "pyarrow.Schema":
    import pyarrow
    from pyarrow import parquet

    try:
        with path.open("rb") as file:
            size = path.stat().st_size
            file.seek(max(size - _END, 0))
            footer = int.from_bytes(file.read(4), "little")
        if footer > min(size, _FOOTER_MAX):
            raise CommandError(f"{path}: a footer of {footer:,} bytes; {_OURS}")
        found = parquet.read_metadata(path)
        shape = found.schema.to_arrow_schema()
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        raise CommandError(f"{path}: can't be read as Parquet ({error!s:.200}); {_OURS}") from None
    if MARK not in (found.metadata or {}):
        raise CommandError(f"{path}: not written by `atlas archive export`; {_OURS}")
    if found.num_rows > limits.rows:
        raise CommandError(f"{path}: {found.num_rows:,} rows, most are {limits.rows:,} (ATLAS_BATCH_FILE_ROWS_MAX)")
    unpacked = _unpacked(found)
    if unpacked > limits.bytes:
        raise CommandError(
            f"{path}: {unpacked:,} bytes when unpacked, most are {limits.bytes:,} (ATLAS_BATCH_FILE_BYTES_MAX)"
        )
    return shape


_OURS = "only its files may be in the folder: move this one away, or export anew to another folder"


def _unpacked(found: Any) -> int:
    """What the file says that it takes: its pages, or its values at their least, which may be a few bytes of pages."""
    total = 0
    for number in range(found.num_row_groups):
        group = found.row_group(number)
        chunks: Sequence[Any] = [group.column(index) for index in range(group.num_columns)]
        total += sum(max(chunk.total_uncompressed_size, chunk.num_values * _CELL_BYTES) for chunk in chunks)
    return total
