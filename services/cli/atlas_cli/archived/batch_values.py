"""Results of a batch job in JSON's terms, the same from either engine, and cut to a length for a terminal."""

import math
from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from atlas_avro import decimals, times
from atlas_avro.primitives import octets_text

from atlas_cli.terminal.output import inline_json

if TYPE_CHECKING:
    import pyarrow

Rows = list[dict[str, Any]]
_DIGITS = {"s": 6, "ms": 6, "us": 6, "ns": 9}
# Of a unit, in the unit of its digits.
_FACTOR = {"s": 1_000_000, "ms": 1000, "us": 1, "ns": 1}


def rows_of(table: "pyarrow.Table") -> Rows:
    """The rows as JSON has them: times and decimals as text, bytes as text of code points, no NaN."""
    columns = [[_plain(cell) for cell in column] for column in table.columns]
    return [dict(zip(table.column_names, row, strict=True)) for row in zip(*columns, strict=True)]


def cut(value: Any, most: int) -> Any:
    """The value, or if its text is longer than `most` the beginning of that, and how long it is."""
    if not isinstance(value, str | Mapping | list):
        return value
    text = value if isinstance(value, str) else inline_json(value)
    return value if len(text) <= most else f"{text[:most]}… ({len(text):,} characters)"


def _plain(cell: Any) -> Any:  # noqa: PLR0911 - one a kind of type
    import pyarrow as pa

    if not cell.is_valid:
        return None
    kind = cell.type
    if pa.types.is_struct(kind):
        return {name: _plain(part) for name, part in cell.items()}
    if pa.types.is_map(kind):
        return {str(_plain(entry["key"])): _plain(entry["value"]) for entry in cell.values}
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return [_plain(item) for item in cell.values]
    if pa.types.is_timestamp(kind):
        text = times.local_text if kind.tz is None else times.instant_text
        return _text(text, cell.value * _FACTOR[kind.unit], _DIGITS[kind.unit])
    if pa.types.is_time64(kind):
        return times.time_text(cell.value // (1000 if kind.unit == "ns" else 1), 6)
    if pa.types.is_date32(kind):
        return _text(lambda days, _: times.date_text(days), cell.value, 0)
    value = cell.as_py()
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, Decimal):
        return decimals.text(value)
    return octets_text(value) if isinstance(value, bytes) else value


def _text(text: Any, count: int, digits: int) -> str | int:
    try:
        return str(text(count, digits))
    except (OverflowError, ValueError):  # beyond the years that have a text
        return count
