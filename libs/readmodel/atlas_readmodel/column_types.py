"""The SQL types that a column may have, and what Python knows of their values without asking PostgreSQL.

PostgreSQL has the last word on every row. What is known here names a column and a value where one of many rows is
refused, and refuses such a row without a round trip. So it may let pass what PostgreSQL then refuses, never the other
way round.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

# What is wrong with a value that is not None, in words; or None.
Check = Callable[[Any], str | None]

SHOWN_MAX = 80
_NUMBERS = (int, float, complex)
_COLUMN = re.compile(
    r"(?P<type>[a-z][a-z0-9]*(?: varying| precision)?)\s*(?P<size>\([0-9, ]+\))?"
    r"(?P<zone> with time zone| without time zone)?\s*(?P<array>(?:\[\])*)(?P<rest>\s.*)?",
    re.IGNORECASE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class ColumnType:
    """A column as it is declared. `sql`: its type without constraints; `bare`: without a size too."""

    sql: str
    bare: str
    array: bool
    required: bool
    in_key: bool
    check: Check


def column_type(declared: str) -> ColumnType:
    """What is declared by `text NOT NULL`. Raises ValueError for a type whose values can't be told right from wrong."""
    match = _COLUMN.fullmatch(declared.strip())
    name = "" if match is None else match["type"].lower()
    if match is None or name not in _CHECKS:
        raise ValueError(
            f"{declared!r} is no type that a column can have: expected one of {', '.join(sorted(_CHECKS))}"
        )
    zone = (match["zone"] or "").lower()
    sql = f"{name}{match['size'] or ''}{zone}{match['array']}"
    array, rest = bool(match["array"]), match["rest"] or ""
    check = _CHECKS[name]
    if match["size"] and check is _text:
        check = _text_of(int(match["size"].strip("() ").partition(",")[0]))
    check = _each(check) if array else check
    required = bool(re.search(r"\bNOT\s+NULL\b", rest, re.IGNORECASE))
    return ColumnType(sql, f"{name}{zone}{match['array']}", array, required, not array and name in _IN_KEY, check)


def shown(value: Any) -> str:
    """A value as an error shows it: bounded, and nothing in it speaks to a terminal."""
    try:
        text = ascii(value)
    except Exception as error:  # noqa: BLE001 - its own code
        text = f"<{type(error).__name__}>"
    return text if len(text) <= SHOWN_MAX else f"{text[:SHOWN_MAX]}…"


class RowCheck:
    """Tells what is wrong with a row, by its columns' types."""

    def __init__(self, columns: Mapping[str, ColumnType]) -> None:
        self._columns = columns

    def wrong(self, row: Any) -> str | None:
        """The column, its value and what was expected; None if nothing is known to be wrong."""
        if type(row) is not dict and not isinstance(row, dict):
            return f"expected a row as a dict, found {type(row).__name__} {shown(row)}"
        for name, column in self._columns.items():
            if name not in row:
                return f"column {name}: missing, expected {column.sql}"
            if (reason := self._wrong_in(column, row[name])) is not None:
                return f"column {name}: {reason}, found {shown(row[name])}"
        return None

    def wrong_in(self, name: str, value: Any) -> str | None:
        """As `wrong`, of one column."""
        reason = self._wrong_in(self._columns[name], value)
        return None if reason is None else f"column {name}: {reason}, found {shown(value)}"

    def _wrong_in(self, column: ColumnType, value: Any) -> str | None:
        if value is None:
            return "it must not be null" if column.required else None
        return column.check(value)


def _text(value: Any) -> str | None:
    if not isinstance(value, str):
        return f"expected str, got {type(value).__name__}"
    if "\0" in value:
        return 'invalid byte sequence for encoding "UTF8": 0x00'
    try:
        value.encode()
    except UnicodeEncodeError as error:
        return f"no UTF-8: {error.reason}"
    return None


def _text_of(size: int) -> Check:
    def check(value: Any) -> str | None:
        reason = _text(value)
        # What is longer by spaces alone is cut.
        return f"longer than {size} characters" if reason is None and len(value.rstrip(" ")) > size else reason

    return check


def _integer(bits: int) -> Check:
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1

    def check(value: Any) -> str | None:
        if isinstance(value, str | bytes | list | tuple | dict | set):
            return f"expected int, got {type(value).__name__}"
        if isinstance(value, int) and not low <= value <= high:
            return f"out of range of an integer of {bits} bits"
        return None

    return check


def _number(value: Any) -> str | None:
    if isinstance(value, bytes | list | tuple | dict | set) or (
        isinstance(value, int) and value.bit_length() > 400_000
    ):
        return f"expected a number, got {type(value).__name__}"
    return None


def _float(value: Any) -> str | None:
    if isinstance(value, str | bytes | list | tuple | dict | set):
        return f"expected float, got {type(value).__name__}"
    return None


def _boolean(value: Any) -> str | None:
    return None if isinstance(value, bool) else f"expected bool, got {type(value).__name__}"


def _bytes(value: Any) -> str | None:
    return None if isinstance(value, bytes | bytearray | memoryview) else f"expected bytes, got {type(value).__name__}"


def _scalar(value: Any) -> str | None:
    """Of a type whose values only PostgreSQL knows."""
    return f"got {type(value).__name__}" if isinstance(value, list | tuple | dict | set) else None


def _each(check: Check) -> Check:
    def items(value: Any) -> str | None:
        if not isinstance(value, list | tuple):
            return f"expected a list, got {type(value).__name__}"
        for item in value:
            nested = isinstance(item, list | tuple)
            if item is not None and (reason := items(item) if nested else check(item)) is not None:
                return reason
        return None

    return items


_CHECKS: Mapping[str, Check] = {
    "text": _text,
    "varchar": _text,
    "character varying": _text,
    # As JSON text.
    "jsonb": _text,
    "smallint": _integer(16),
    "int2": _integer(16),
    "integer": _integer(32),
    "int": _integer(32),
    "int4": _integer(32),
    "bigint": _integer(64),
    "int8": _integer(64),
    "real": _float,
    "float4": _float,
    "double precision": _float,
    "float8": _float,
    "numeric": _number,
    "decimal": _number,
    "boolean": _boolean,
    "bool": _boolean,
    "bytea": _bytes,
    "uuid": _scalar,
    "date": _scalar,
    "time": _scalar,
    "timestamp": _scalar,
    "timestamptz": _scalar,
    "interval": _scalar,
    "inet": _scalar,
}
# Those whose values are equal in Python if and only if they are in PostgreSQL, and come back as they were given: a row
# is looked up by its key on both sides.
_IN_KEY = {"text", "varchar", "character varying", "smallint", "int2", "integer", "int", "int4", "bigint", "int8",
           "boolean", "bool", "bytea"}  # fmt: skip
