"""Primitive and logical types in Arrow, as the table of types says: the type, and what makes a cell of a value."""

import math
from collections.abc import Callable, Mapping
from typing import Any

from atlas_avro.durations import Duration
from atlas_avro.meaning import Meaning, Parquet

Make = Callable[[Any], Any]
_UNITS = {3: "ms", 6: "us", 9: "ns"}


def leaf(meaning: Meaning) -> tuple[Any, Make | None]:
    """Arrow's type, and what makes a cell of a value; None where that is the value itself.

    What makes a cell raises ValueError for a value that the type does not hold.
    """
    parquet = meaning.parquet
    kind = _TYPES[parquet.kind](parquet)
    if parquet.kind == "duration":
        return kind, lambda value: value._asdict()
    if parquet.kind == "time":
        finer = 10 ** (6 - parquet.digits)
        return kind, _checked(meaning, lambda value: meaning.check(value) * finer)
    if parquet.kind == "string" and meaning.name != "string":
        return kind, _checked(meaning, lambda value: meaning.render(_same_if(meaning, value)))
    if parquet.kind == "decimal":
        return kind, _checked(meaning, lambda value: _same_if(meaning, value))
    if parquet.kind in ("date", "timestamp", "local-timestamp"):
        return kind, _checked(meaning, meaning.check)
    return kind, None


def plain_leaf(meaning: Meaning) -> Make:
    """What makes of a value what JSON has for it, which has no word for NaN and infinities."""
    if meaning.held is float:
        return lambda value: value if math.isfinite(value) else str(value)
    return meaning.render


def arrow() -> Any:
    """The module pyarrow, which takes long to load and is not everywhere. Raises ModuleNotFoundError."""
    import pyarrow

    return pyarrow


_TYPES: Mapping[str, Callable[[Parquet], Any]] = {
    "null": lambda _: arrow().null(),
    "boolean": lambda _: arrow().bool_(),
    "int32": lambda _: arrow().int32(),
    "int64": lambda _: arrow().int64(),
    "float": lambda _: arrow().float32(),
    "double": lambda _: arrow().float64(),
    "string": lambda _: arrow().string(),
    "binary": lambda _: arrow().binary(),
    "date": lambda _: arrow().date32(),
    "time": lambda _: arrow().time64("us"),  # of milliseconds too: Spark reads no others
    "timestamp": lambda parquet: arrow().timestamp(_UNITS[parquet.digits], "UTC"),
    "local-timestamp": lambda parquet: arrow().timestamp(_UNITS[parquet.digits]),
    "decimal": lambda parquet: arrow().decimal128(parquet.digits, parquet.scale),
    # No reader has a type for three parts that can't be told in one another.
    "duration": lambda _: arrow().struct([(part, arrow().int64()) for part in Duration._fields]),
}


def _same_if(meaning: Meaning, value: Any) -> Any:
    meaning.check(value)
    return value


def _checked(meaning: Meaning, make: Make) -> Make:
    def cell(value: Any) -> Any:
        try:
            return make(value)
        except ValueError as error:
            why = str(error) or "out of range"
            raise ValueError(f"{value!s:.100}: {why}, expected {meaning.expected}") from None

    return cell
