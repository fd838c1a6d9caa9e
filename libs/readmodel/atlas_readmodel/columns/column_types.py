"""The SQL types that a column may have, and what Python knows of their values without asking PostgreSQL.

PostgreSQL has the last word on every row. Of types whose values have one form (text, integers, boolean, bytea) it also
has the first: what is known here names a column and a value where one of many rows is refused, and may let pass what
PostgreSQL then refuses, never the other way round. Values of the other types are brought to the form that a row holds
as they come from a handler; see atlas_readmodel.columns.column_values.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, time
from functools import partial
from typing import Any

from atlas_avro import durations, times
from atlas_avro.primitives import json_octets, whole

from atlas_readmodel.columns import column_values as values
from atlas_readmodel.columns.column_values import Take

# What is wrong with a value that is not None, in words; or None.
Check = Callable[[Any], str | None]

_ARRAY_DIMENSIONS_MAX = 6
_TIME_DIGITS_MAX = 6
_NUMERIC_PRECISION_MAX = 1000
_COLUMN = re.compile(
    r"(?P<type>[a-z][a-z0-9]*(?: varying| precision)?)\s*(?P<size>\([-0-9, ]+\))?"
    r"(?P<zone> with time zone| without time zone)?\s*(?P<array>(?:\[\])*)(?P<rest>\s.*)?",
    re.IGNORECASE | re.DOTALL,
)
_LITERAL = re.compile(r"'(?:[^']|'')*'")
_WITHIN = re.compile(r"\([^()]*\)")
_CONSTRAINTS = {"not", "null", "default", "check", "collate", "constraint", "unique", "references", "storage",
                "compression"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class ColumnType:
    """A column as it is declared. `sql`: its type without constraints; `bare`: without a size too.

    `take`: from what a handler hands over to what a row holds, or ValueError; `put`: from that to what the driver
    takes; `found`: from what the driver gives to what a row holds; `of_json`: from JSON to what may be handed over.
    Each is None where both are the same.
    """

    sql: str
    bare: str
    array: bool
    required: bool
    in_key: bool
    check: Check
    take: Take | None = None
    put: Take | None = None
    found: Take | None = None
    of_json: Take | None = None

    def parse(self, value: Any) -> Any:
        """What a row holds of a value that is not null, from the form that json_rows gives it. Raises ValueError."""
        given = value if self.of_json is None else self.of_json(value)
        if (reason := "null" if given is None else self.check(given)) is not None:
            raise ValueError(reason)
        return given if self.take is None else self.take(given)


@dataclass(frozen=True, slots=True)
class _Kind:
    """A type with its size. `in_key`: a row can be found by it, as its values are equal in Python if and only if they
    are in PostgreSQL.
    """

    check: Check | None = None
    take: Take | None = None
    put: Take | None = None
    found: Take | None = None
    of_json: Take | None = None
    in_key: bool = False


def column_type(declared: str) -> ColumnType:
    """What is declared by `text NOT NULL`. Raises ValueError for what no column of a read model can be."""
    match = _COLUMN.fullmatch(declared.strip())
    name = "" if match is None else match["type"].lower()
    if match is None or name not in _KINDS:
        raise ValueError(f"{declared!r} is no type that a column can have: expected one of {', '.join(sorted(_KINDS))}")
    zone, array, rest = (match["zone"] or "").lower(), bool(match["array"]), match["rest"] or ""
    size = [int(part) for part in (match["size"] or "").strip("()").split(",") if part.strip("- ").isdigit()]
    try:
        required = _is_required(rest)
        kind = _kind(name, zone, size)
        if array:
            kind = _array_of(kind)
    except ValueError as error:
        raise ValueError(f"{declared!r} can't be a column: {error}") from None
    return ColumnType(
        sql=f"{name}{match['size'] or ''}{zone}{match['array']}",
        bare=f"{name}{zone}{match['array']}",
        array=array,
        required=required,
        in_key=kind.in_key,
        check=kind.check or _check_of(kind.take),
        take=kind.take,
        put=kind.put,
        found=kind.found,
        of_json=kind.of_json,
    )


def _is_required(rest: str) -> bool:
    """Whether the constraints behind a type say NOT NULL. Raises ValueError for what can't stand there."""
    outside = _LITERAL.sub("''", rest)
    while (shorter := _WITHIN.sub("", outside)) != outside:
        outside = shorter
    words = outside.lower().split()
    if words and words[0] not in _CONSTRAINTS:
        raise ValueError(f"{words[0]} is nothing that may follow its type")
    if "generated" in words:
        raise ValueError("a generated column can't be written")
    if "primary" in words:
        raise ValueError("the key is told by `key`")
    return "not null" in " ".join(words)


def _kind(name: str, zone: str, size: list[int]) -> _Kind:
    if zone and name not in ("time", "timestamp"):
        raise ValueError(f"{name} has no zone")
    if zone.strip().startswith("with "):
        if name == "time":
            raise ValueError("a time of a day with a zone is no moment; use time, or timestamptz")
        name = "timestamptz"
    most, make = _KINDS[name]
    if len(size) > most:
        raise ValueError(f"{name} has no such size")
    return make(*size)


def _array_of(kind: _Kind) -> _Kind:
    if kind.put is not None:
        raise ValueError("a jsonb holds lists itself, so there is no array of it")
    element = kind.take or partial(_refused_by, kind.check)
    found = None if kind.found is None else partial(_each, kind.found)
    return _Kind(take=partial(_list, element, 1), found=found)


def _list(element: Take, depth: int, value: Any) -> list[Any]:
    """A list, or lists of the same length in each other: what PostgreSQL's arrays are."""
    if not isinstance(value, list) and type(value) is not tuple:
        raise ValueError(f"expected a list, got {type(value).__name__}")
    if not any(isinstance(item, list) or type(item) is tuple for item in value):
        return [None if item is None else element(item) for item in value]
    if depth == _ARRAY_DIMENSIONS_MAX:
        raise ValueError(f"more than {_ARRAY_DIMENSIONS_MAX} lists in each other")
    lists = [_list(element, depth + 1, item) for item in value]
    if [] in lists:
        raise ValueError("an empty list in a list, which PostgreSQL does not keep")
    if len({_shape(inner) for inner in lists}) > 1:
        raise ValueError("lists of different lengths in a list")
    return lists


def _shape(value: list[Any]) -> tuple[int, ...]:
    return (len(value), *(_shape(value[0]) if isinstance(value[0], list) else ()))


def _each(form: Take, value: list[Any]) -> list[Any]:
    return [None if v is None else _each(form, v) if isinstance(v, list) else form(v) for v in value]


def _check_of(take: Take | None) -> Check:
    assert take is not None, "a type has a check or a form of its own"

    def check(value: Any) -> str | None:
        try:
            take(value)
        except (ValueError, OverflowError, RecursionError) as error:
            return str(error)
        return None

    return check


def _refused_by(check: Check | None, value: Any) -> Any:
    reason = None if check is None else check(value)
    if reason is not None:
        raise ValueError(reason)
    return value


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


def _varchar(size: int | None = None) -> _Kind:
    if size is None:
        return _Kind(_text, in_key=True)
    if size < 1:
        raise ValueError("a size of at least 1 was expected")

    def take(value: Any) -> Any:
        _refused_by(_text, value)
        if len(value) > size:  # PostgreSQL would cut spaces off
            raise ValueError(f"longer than {size} characters")
        return value

    return _Kind(take=take, in_key=True)


def _integer(bits: int) -> Check:
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1

    def check(value: Any) -> str | None:
        if isinstance(value, str | bytes | list | tuple | dict | set):
            return f"expected int, got {type(value).__name__}"
        if isinstance(value, int) and not low <= value <= high:
            return f"out of range of an integer of {bits} bits"
        return None

    return check


def _boolean(value: Any) -> str | None:
    return None if isinstance(value, bool) else f"expected bool, got {type(value).__name__}"


def _bytes(value: Any) -> str | None:
    return None if isinstance(value, bytes | bytearray | memoryview) else f"expected bytes, got {type(value).__name__}"


def _numeric(precision: int | None = None, scale: int = 0) -> _Kind:
    if precision is not None and not (
        1 <= precision <= _NUMERIC_PRECISION_MAX and abs(scale) <= _NUMERIC_PRECISION_MAX
    ):
        raise ValueError(f"a precision of 1 to {_NUMERIC_PRECISION_MAX}, and a scale of as many, were expected")
    return _Kind(take=values.numeric(precision, scale), found=values.found_numeric, of_json=values.numeric_of_json)


def _timed(take: Callable[[int], Take], of_json: Take, in_key: bool, digits: int = _TIME_DIGITS_MAX) -> _Kind:
    if not 0 <= digits <= _TIME_DIGITS_MAX:
        raise ValueError(f"0 to {_TIME_DIGITS_MAX} digits of a second were expected")
    return _Kind(take=take(digits), of_json=of_json, in_key=in_key)


def _plain(kind: _Kind) -> tuple[int, Callable[..., _Kind]]:
    return 0, lambda: kind


_SMALL, _INT, _BIG = (_plain(_Kind(_integer(bits), of_json=whole(bits), in_key=True)) for bits in (16, 32, 64))
_REAL, _DOUBLE = (_plain(_Kind(take=take, of_json=float)) for take in (values.take_real, values.take_double))
_BOOLEAN = _plain(_Kind(_boolean, in_key=True))
# How many numbers a size may have, and what it makes.
_KINDS: Mapping[str, tuple[int, Callable[..., _Kind]]] = {
    "text": _plain(_Kind(_text, in_key=True)),
    "varchar": (1, _varchar),
    "character varying": (1, _varchar),
    "jsonb": _plain(_Kind(take=values.take_json, put=values.put_json, found=values.found_json)),
    "smallint": _SMALL,
    "int2": _SMALL,
    "integer": _INT,
    "int": _INT,
    "int4": _INT,
    "bigint": _BIG,
    "int8": _BIG,
    "real": _REAL,
    "float4": _REAL,
    "double precision": _DOUBLE,
    "float8": _DOUBLE,
    "numeric": (2, _numeric),
    "decimal": (2, _numeric),
    "boolean": _BOOLEAN,
    "bool": _BOOLEAN,
    "bytea": _plain(_Kind(_bytes, of_json=json_octets, in_key=True)),
    "uuid": _plain(_Kind(take=values.take_uuid, found=str, in_key=True)),
    "date": _plain(_Kind(take=values.take_date, of_json=times.parse_date, in_key=True)),
    "time": (1, partial(_timed, values.take_time, time.fromisoformat, True)),
    "timestamp": (1, partial(_timed, values.take_local, datetime.fromisoformat, True)),
    "timestamptz": (1, partial(_timed, values.take_instant, datetime.fromisoformat, True)),
    "interval": (1, partial(_timed, values.take_interval, durations.parse, False)),
    "inet": _plain(_Kind(take=values.take_inet, found=str, in_key=True)),
}
