"""A column over HTTP: the JSON schema of its values, as json_rows gives them; a value from the text of a parameter."""

import re
from collections.abc import Mapping
from typing import Any

from atlas_readmodel.columns.column_types import ColumnType

Schema = dict[str, Any]

_NUMBER: Schema = {"anyOf": [{"type": "number"}, {"enum": ["NaN", "Infinity", "-Infinity"]}]}
_INTEGERS = {"smallint": 16, "int2": 16, "integer": 32, "int": 32, "int4": 32, "bigint": 64, "int8": 64}
_REALS = ("real", "float4", "double precision", "float8")
_BOOLEANS = {"true": True, "false": False}
_WHOLE = re.compile(r"-?[0-9]{1,20}")
_SCHEMAS: Mapping[str, Schema] = {
    **{
        name: {"type": "integer", "minimum": -(2 ** (bits - 1)), "maximum": 2 ** (bits - 1) - 1}
        for name, bits in _INTEGERS.items()
    },
    **dict.fromkeys(_REALS, _NUMBER),
    **{name: {"type": "boolean"} for name in ("boolean", "bool")},
    **{name: {"type": "string", "examples": ["12.50"]} for name in ("numeric", "decimal")},
    "uuid": {"type": "string", "format": "uuid"},
    "date": {"type": "string", "format": "date"},
    "timestamptz": {"type": "string", "format": "date-time"},
    "timestamp with time zone": {"type": "string", "format": "date-time"},
    "jsonb": {},
}


def json_schema(column: ColumnType, *, moment: bool = False) -> Schema:
    """What a value of the column may be in an answer; `moment`: epoch milliseconds that are shown as RFC 3339."""
    bare = column.bare.removesuffix("[]") if column.array else column.bare
    while bare.endswith("[]"):
        bare = bare.removesuffix("[]")
    schema: Schema = (
        {"type": "string", "format": "date-time"} if moment else dict(_SCHEMAS.get(bare, {"type": "string"}))
    )
    if moment:
        # A time that no calendar has stays the number it is.
        schema = {"anyOf": [schema, {"type": "integer"}]}
    if column.array:
        return _or_null({"type": "array"}, column)
    return _or_null(schema, column)


def of_text(column: ColumnType, text: str) -> Any:
    """What a row of the column holds for the text of a parameter or a path. Raises ValueError for what is no value."""
    if column.bare in _INTEGERS:
        if not _WHOLE.fullmatch(text):
            raise ValueError("no whole number")
        return column.parse(int(text))
    if column.bare in ("boolean", "bool"):
        if text not in _BOOLEANS:
            raise ValueError("neither true nor false")
        return _BOOLEANS[text]
    try:
        return column.parse(text)
    except (TypeError, OverflowError, ArithmeticError) as error:
        raise ValueError(str(error) or type(error).__name__) from None


def _or_null(schema: Schema, column: ColumnType) -> Schema:
    if column.required or not schema:
        return schema
    return {"anyOf": [*schema.get("anyOf", [schema]), {"type": "null"}]}
