"""Files that lie in a folder of exports and are not ours, or too large, are named before anything reads them."""

from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest
from atlas_archive.tables import parquet
from atlas_cli.archived.exported_files import Limits, shape_of
from atlas_cli.terminal.output import CommandError

LIMITS = Limits(1000, 100_000)


def ours(path: Path, **columns: pyarrow.Array) -> None:
    parquet.write(path, pyarrow.table(columns))


def test_shapes_are_put_together(tmp_path: Path) -> None:
    ours(tmp_path / "a.parquet", n=pyarrow.array([1], pyarrow.int32()), f=pyarrow.array([0.5], pyarrow.float32()))
    ours(tmp_path / "b.parquet", n=pyarrow.array([1], pyarrow.int64()), s=pyarrow.array([{"x": 1}]))
    ours(tmp_path / "c.parquet", s=pyarrow.array([{"y": "1"}]), f=pyarrow.array([0.5]))
    found = {column.name: str(column.type) for column in shape_of(tmp_path, LIMITS)}
    assert found == {"n": "int64", "f": "double", "s": "struct<x: int64, y: string>"}
    ours(tmp_path / "d.parquet", n=pyarrow.array(["text"]))
    with pytest.raises(CommandError, match=r"d\.parquet: not of one shape .* export anew"):
        shape_of(tmp_path, LIMITS)


def test_what_is_not_ours_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="no such events were exported"):
        shape_of(tmp_path, LIMITS)
    pyarrow.parquet.write_table(pyarrow.table({"n": [1]}), tmp_path / "x.parquet")
    with pytest.raises(CommandError, match=r"x\.parquet: not written by `atlas archive export`"):
        shape_of(tmp_path, LIMITS)


@pytest.mark.parametrize(
    ("data", "words"),
    [(b"", "can't be read"), (b"PAR1" * 9, "a footer of"), (bytes(40), "can't be read"), (b"\xff" * 99, "a footer of")],
)
def test_what_is_no_parquet_is_refused(tmp_path: Path, data: bytes, words: str) -> None:
    (tmp_path / "x.parquet").write_bytes(data)
    with pytest.raises(CommandError, match=rf"x\.parquet: {words}"):
        shape_of(tmp_path, LIMITS)


def test_bombs_are_refused_by_what_their_footer_says(tmp_path: Path) -> None:
    """Small files: a column of one repeated text, a list of a million nulls in one row, too many rows."""
    path = tmp_path / "x.parquet"
    ours(path, n=pyarrow.array([None] * 1001, pyarrow.int64()))
    with pytest.raises(CommandError, match=r"1,001 rows, most are 1,000 \(ATLAS_BATCH_FILE_ROWS_MAX\)"):
        shape_of(tmp_path, LIMITS)
    ours(path, n=pyarrow.array([[None] * 1_000_000], pyarrow.list_(pyarrow.int32())))
    assert path.stat().st_size < 10_000
    with pytest.raises(CommandError, match=r"8,000,000 bytes when unpacked, most are 100,000"):
        shape_of(tmp_path, LIMITS)
    ours(path, s=pyarrow.array(["x" * 200_000]))
    assert path.stat().st_size < 10_000
    with pytest.raises(CommandError, match=r"bytes when unpacked, most are 100,000 \(ATLAS_BATCH_FILE_BYTES_MAX\)"):
        shape_of(tmp_path, LIMITS)
