"""The entries of Avro's primitive types.

`type(value) is int` on purpose: to isinstance a bool is an int, and would be written as 0 or 1.
"""

import math
import struct
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from atlas_avro.meaning import NUMBER, TEXT, Meaning, Parquet

_SINGLE = struct.Struct("<f")


def same(value: Any) -> Any:
    """The value itself."""
    return value


def null(value: Any) -> None:
    """Null alone."""
    if value is not None:
        raise ValueError


def boolean(value: Any) -> bool:
    """True or false, no number in their place."""
    if value is True or value is False:
        return bool(value)
    raise ValueError


def whole(bits: int) -> Callable[[Any], int]:
    """A check for a whole number of so many bits."""
    least, most = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1

    def check(value: Any) -> int:
        if type(value) is int and least <= value <= most:
            return value
        raise ValueError

    return check


def double(value: Any) -> float:
    """A number; a whole one becomes a float."""
    if type(value) is int or isinstance(value, float):
        try:
            return float(value)
        except OverflowError:
            pass
    raise ValueError


def json_double(value: Any) -> float:
    """A number of JSON, which has no NaN and no infinity; one that was read exactly among them."""
    number = double(float(value) if isinstance(value, Decimal) else value)
    if math.isfinite(number):
        return number
    raise ValueError


def number_text(value: float) -> float | str:
    """A number of JSON; for one that JSON has not, its name: null would say that there is none."""
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _single(check: Callable[[Any], float]) -> Callable[[Any], float]:
    def single(value: Any) -> float:
        try:
            (number,) = _SINGLE.unpack(_SINGLE.pack(check(value)))
        except OverflowError:
            raise ValueError from None
        return float(number)  # the nearest of 32 bits: what is read again

    return single


def string(value: Any) -> str:
    """Text that UTF-8 can hold: no lone surrogate."""
    if isinstance(value, str):
        # isascii() reads one flag of the string; only other text needs the search.
        if not value.isascii():
            try:
                value.encode()
            except UnicodeEncodeError:
                raise ValueError("half of a surrogate pair, which UTF-8 can't hold") from None
        return value
    raise ValueError


def octets(value: Any) -> bytes:
    """Bytes, and nothing like them."""
    if type(value) is bytes:
        return value
    raise ValueError


def json_octets(value: Any) -> bytes:
    """Bytes from text of code points 0 to 255, as in Avro's JSON encoding."""
    if isinstance(value, str):
        try:
            return value.encode("latin-1")
        except UnicodeEncodeError:
            raise ValueError("a character beyond code point 255") from None
    raise ValueError


def octets_text(value: bytes) -> str:
    """Bytes as text of code points 0 to 255."""
    return value.decode("latin-1")


def _integer(bits: int) -> Mapping[str, Any]:
    return {"type": "integer", "format": f"int{bits}", "minimum": -(2 ** (bits - 1)), "maximum": 2 ** (bits - 1) - 1}


_int32, _int64 = whole(32), whole(64)
_INT, _LONG = "int (32-bit whole number)", "long (64-bit whole number)"
_FLOAT = "float (at most 3.4028235e38)"
OCTETS_JSON = "bytes, as text of code points 0 to 255"
PRIMITIVES: Mapping[str, Meaning] = {
    meaning.name: meaning
    for meaning in (
        Meaning("null", "None", type(None), ("null",), "text", Parquet("null"), {"type": "null"}, "null", "null",
                null, null, same),
        Meaning("boolean", "bool", bool, ("boolean",), "boolean", Parquet("boolean"), {"type": "boolean"},
                "true or false", "true or false", boolean, boolean, same),
        Meaning("int", "int", int, NUMBER, "integer", Parquet("int32"), _integer(32),
                _INT, _INT, _int32, _int32, same),
        Meaning("long", "int", int, NUMBER, "bigint", Parquet("int64"), _integer(64),
                _LONG, _LONG, _int64, _int64, same),
        Meaning("float", "float", float, NUMBER, "real", Parquet("float"), {"type": "number", "format": "float"},
                _FLOAT, _FLOAT, _single(double), _single(json_double), number_text),
        Meaning("double", "float", float, NUMBER, "double precision", Parquet("double"),
                {"type": "number", "format": "double"}, "double", "double", double, json_double, number_text),
        Meaning("string", "str", str, TEXT, "text", Parquet("string"), {"type": "string"}, "string", "string",
                string, string, same),
        Meaning("bytes", "bytes", bytes, TEXT, "bytea", Parquet("binary"),
                {"type": "string", "description": "Bytes, each as the code point of its number."}, "bytes",
                OCTETS_JSON, octets, json_octets, octets_text),
    )
}  # fmt: skip
