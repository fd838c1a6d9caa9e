"""What a type of Avro is at every place that has to know: the shape of an entry of the table (table.py)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

# A value of JSON by its look; also what branches of a union are told apart by.
Look = Literal["null", "boolean", "number", "string"]
TEXT: tuple[Look, ...] = ("string",)
NUMBER: tuple[Look, ...] = ("number",)
TEXT_OR_NUMBER: tuple[Look, ...] = ("string", "number")


@dataclass(frozen=True, slots=True)
class Parquet:
    """A column of Parquet. `digits`: of a second's fraction (3, 6, 9), or of a decimal; `scale`: of a decimal."""

    kind: Literal[
        "null", "boolean", "int32", "int64", "float", "double", "string", "binary", "date", "time", "timestamp",
        "local-timestamp", "decimal", "duration",
    ]  # fmt: skip
    digits: int = 0
    scale: int = 0


@dataclass(frozen=True, slots=True)
class Meaning:
    """One definition's values.

    Three forms: *base*, what Avro writes (int, str, bytes, …); *Python*, what a decoded event holds, which is the base
    but for decimals, durations and UUIDs in a fixed; *JSON*.

    `check`: what code may hand over → base. `parse`: JSON → base. Both raise ValueError, with words or without.
    `value`: base → Python; None where they are the same. It raises ValueError for bytes that mean nothing.
    `render`: Python → JSON; it never fails: what has no text (a foreign producer's year 10,000) stays as it is.
    `held`: the type of the Python value. `looks`: what a JSON value that `parse` takes can look like.
    `expected`, `expected_json`: what a refusal says was expected. `column`: the PostgreSQL type to declare.
    `openapi_number`: the JSON schema of its number, where JSON has it as text or a number.
    `exact`: a JSON number must come to `parse` as int or Decimal, for a float has lost digits.
    """

    name: str
    python: str
    held: type
    looks: tuple[Look, ...]
    column: str
    parquet: Parquet
    openapi: Mapping[str, Any]
    expected: str
    expected_json: str
    check: Callable[[Any], Any]
    parse: Callable[[Any], Any]
    render: Callable[[Any], Any]
    value: Callable[[Any], Any] | None = None
    openapi_number: Mapping[str, Any] | None = None
    exact: bool = False
