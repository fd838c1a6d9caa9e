"""The checks of Avro's scalar types, and what a refusal says.

A check takes a value and whether it came from JSON, and gives back the value to be encoded or raises Faults. In JSON,
bytes are text of code points 0 to 255 (as in Avro's JSON encoding) and a timestamp may be RFC 3339 text.
"""

import math
import struct
from collections.abc import Callable, Mapping
from typing import Any

import orjson

from atlas_contracts.errors import FieldError
from atlas_contracts.timestamps import LEAST_MS, MOST_MS, parse_rfc3339

Shape = Callable[[Any, bool], Any]

_INT_RANGE = range(-(2**31), 2**31)
_LONG_RANGE = range(-(2**63), 2**63)
_KINDS: tuple[tuple[Any, str], ...] = (
    (bool, "boolean"),
    (int, "integer"),
    (float, "number"),
    (str, "string"),
    (bytes, "bytes"),
    (Mapping, "object"),
    (list | tuple, "array"),
)


class Faults(Exception):
    """What is wrong with a value, paths relative to it."""

    def __init__(self, errors: list[FieldError]) -> None:
        super().__init__(errors)
        self.errors = errors


def refuse(value: object, expected: str) -> Faults:
    """The one fault of a value that is wrong as a whole."""
    return Faults([FieldError("", describe(value), expected)])


def describe(value: object) -> str:
    """A value for an error message: its JSON text, cut to 40 characters, and what kind of thing it is."""
    if value is None:
        return "null"
    kind = next((name for types, name in _KINDS if isinstance(value, types)), type(value).__name__)
    if isinstance(value, Mapping | list | tuple):
        return f"an {kind} of {len(value)}"
    try:
        # Cut first: the value may be a megabyte of text.
        text = orjson.dumps(value[:41] if isinstance(value, str) else value).decode()
    except (TypeError, ValueError):
        text = repr(value[:41] if isinstance(value, str | bytes) else value)
    return f"{text if len(text) <= 42 else text[:41] + '…'} ({kind})"


def null(value: Any, json: bool) -> None:
    """Null alone."""
    if value is not None:
        raise refuse(value, "null")


def boolean(value: Any, json: bool) -> bool:
    """True or false, no number in their place."""
    if value is True or value is False:
        return value
    raise refuse(value, "true or false")


# `type(value) is int` on purpose: to isinstance a bool is an int, and fastavro would write it as 0 or 1.
def int32(value: Any, json: bool) -> int:
    """A whole number of 32 bits."""
    if type(value) is int and value in _INT_RANGE:
        return value
    raise refuse(value, "int (32-bit whole number)")


def int64(value: Any, json: bool) -> int:
    """A whole number of 64 bits."""
    if type(value) is int and value in _LONG_RANGE:
        return value
    raise refuse(value, "long (64-bit whole number)")


def double(value: Any, json: bool) -> float:
    """A number; a whole one becomes a float. JSON has no NaN and no infinity."""
    try:
        if type(value) is int or (isinstance(value, float) and not (json and not math.isfinite(value))):
            return float(value)
    except OverflowError:
        pass
    raise refuse(value, "double")


def float32(value: Any, json: bool) -> float:
    """A number that a 32-bit float can hold, digits lost or not."""
    try:
        number = double(value, json)
        struct.pack("<f", number)
    except (Faults, OverflowError):
        raise refuse(value, "float (at most 3.4028235e38)") from None
    return number


def string(value: Any, json: bool) -> str:
    """Text that UTF-8 can hold: no lone surrogate."""
    if isinstance(value, str):
        # isascii() reads one flag of the string; only other text needs the search.
        if value.isascii():
            return value
        try:
            value.encode()
        except UnicodeEncodeError:
            raise refuse(value, "string (UTF-8)") from None
        return value
    raise refuse(value, "string")


def octets(value: Any, json: bool) -> bytes:
    """Bytes; from JSON, text of code points 0 to 255."""
    if json:
        try:
            return value.encode("latin-1")  # type: ignore[no-any-return]
        except (AttributeError, UnicodeEncodeError):
            raise refuse(value, "bytes, as text of code points 0 to 255") from None
    if type(value) is bytes:
        return value
    raise refuse(value, "bytes")


def timestamp_millis(value: Any, json: bool) -> int:
    """Epoch milliseconds of the years 1 to 9999; from JSON, RFC 3339 text as well."""
    if type(value) is int and LEAST_MS <= value <= MOST_MS:
        return value
    if json and isinstance(value, str):
        try:
            return parse_rfc3339(value)
        except ValueError:
            pass
    forms = "RFC 3339 with an offset, or epoch milliseconds" if json else "epoch milliseconds"
    raise refuse(value, f"timestamp of the years 1 to 9999 ({forms})")


SCALARS: dict[str, Shape] = {
    "null": null,
    "boolean": boolean,
    "int": int32,
    "long": int64,
    "float": float32,
    "double": double,
    "string": string,
    "bytes": octets,
}
