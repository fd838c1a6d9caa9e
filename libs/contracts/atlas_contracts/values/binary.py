"""Avro's binary encoding of a value, checked while it is written.

fastavro takes a bool for an int, cuts a float to an int and guesses the branch of a union, and a check before it costs
as much again as the writing. These closures do both at once, at twice the rate of the two: they write what is plainly
right and refuse the rest, and the caller asks the schema's shape what is wrong, or for the value with its defaults.
Tests hold the bytes equal to fastavro's.
"""

import math
import struct
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from atlas_avro.meaning import Meaning
from atlas_avro.primitives import json_double, same
from atlas_avro.table import base
from atlas_avro.varints import long
from atlas_avro.walk import fold

from atlas_contracts.evolution.resolution import named_types
from atlas_contracts.values.unions import Branches, branches_of

Writer = Callable[[Any], bytes]

_DOUBLE = struct.Struct("<d")
_FLOAT = struct.Struct("<f")


class Refused(Exception):
    """The value is not plainly right: ask the shape."""


def compile_writer(definition: Any, *, json: bool) -> Writer:
    """The writer for a definition that fastavro has parsed, for values from JSON or for Python's own.

    A writer raises Refused, KeyError or UnicodeEncodeError for each value that the shape refuses and for some that it
    would mend; given what the shape returned (and `json=False`), it never does.
    """
    return fold(definition, _Maker(json, named_types(definition)))


# Most delays, counts and lengths are in here, and a look-up is a third of the work.
_SMALL = {number: long(number) for number in range(-1024, 8192)}


def _whole(bits: int) -> Writer:
    least, most = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1

    def whole(value: Any) -> bytes:
        if type(value) is int:
            short = _SMALL.get(value)
            if short is not None:
                return short
            if least <= value <= most:
                return long(value)
        raise Refused

    return whole


_int = _whole(32)
_long = _whole(64)


def _length(size: int) -> bytes:
    return _SMALL.get(size) or long(size)


def _null(value: Any) -> bytes:
    if value is None:
        return b""
    raise Refused


def _boolean(value: Any) -> bytes:
    if value is True:
        return b"\x01"
    if value is False:
        return b"\x00"
    raise Refused


def _string(value: Any) -> bytes:
    if isinstance(value, str):
        text = value.encode()
        return _length(len(text)) + text
    raise Refused


def _bytes(value: Any) -> bytes:
    if type(value) is bytes:
        return _length(len(value)) + value
    raise Refused


def _double(value: Any) -> bytes:
    if type(value) is float:
        return _DOUBLE.pack(value)
    raise Refused


def _json_double(value: Any) -> bytes:
    if type(value) is float and math.isfinite(value):
        return _DOUBLE.pack(value)
    if isinstance(value, Decimal):
        return _exact_double(value)
    raise Refused


def _converted(convert: Callable[[Any], Any], encode: Callable[[Any], bytes]) -> Writer:
    """The writer of values that `convert` makes the base of, or refuses; `encode` writes any of those."""

    def converted(value: Any) -> bytes:
        try:
            made = convert(value)
        except ValueError:
            raise Refused from None
        return encode(made)

    return converted


_exact_double = _converted(json_double, _DOUBLE.pack)
# What checks while it writes. The rest is converted by the table of types.
_PLAIN: dict[str, Writer] = {
    "null": _null,
    "boolean": _boolean,
    "int": _int,
    "long": _long,
    "double": _double,
    "string": _string,
    "bytes": _bytes,
}
_JSON = _PLAIN | {"double": _json_double}
del _JSON["bytes"]
_ENCODE: dict[str, Callable[[Any], bytes]] = {
    "int": long,
    "long": long,
    "float": _FLOAT.pack,
    "string": _string,
    "bytes": _bytes,
    "fixed": same,
}


class _Maker:
    def __init__(self, json: bool, named: Mapping[str, Any]) -> None:
        self._json = json
        self._named = named

    def leaf(self, definition: Any, meaning: Meaning) -> Writer:
        plain = (_JSON if self._json else _PLAIN).get(meaning.name)
        if plain is not None:
            return plain
        return _converted(meaning.parse if self._json else meaning.check, _ENCODE[base(definition).name])

    def enum(self, definition: Mapping[str, Any]) -> Writer:
        known = {symbol: long(index) for index, symbol in enumerate(definition["symbols"])}

        def enum(value: Any) -> bytes:
            if isinstance(value, str):
                return known[value]
            raise Refused

        return enum

    def record(self, definition: Mapping[str, Any]) -> tuple[Writer, Callable[[Sequence[Writer]], None]]:
        fields: list[tuple[str, Writer]] = []
        count = len(definition["fields"])

        def record(value: Any) -> bytes:
            if type(value) is dict and len(value) == count:
                return b"".join([write(value[name]) for name, write in fields])
            raise Refused

        def fill(writers: Sequence[Writer]) -> None:
            fields.extend(zip((field["name"] for field in definition["fields"]), writers, strict=True))

        return record, fill

    def array(self, _definition: Mapping[str, Any], items: Writer) -> Writer:
        def array(value: Any) -> bytes:
            if not isinstance(value, list):
                raise Refused
            # One block and the end, or the end alone.
            return b"".join([_length(len(value)), *map(items, value), b"\x00"]) if value else b"\x00"

        return array

    def map(self, _definition: Mapping[str, Any], values: Writer) -> Writer:
        def mapping(value: Any) -> bytes:
            if type(value) is not dict:
                raise Refused
            parts = [part for key, item in value.items() for part in (_string(key), values(item))]
            return b"".join([_length(len(value)), *parts, b"\x00"]) if value else b"\x00"

        return mapping

    def union(self, branches: Sequence[Any], made: Sequence[Writer]) -> Writer:
        told = branches_of(branches, self._named)
        if told.tagged:
            return _tagged_union(told, made)
        write = self._plain_union(branches, made)
        return _unless_tagged(told, write) if self._json and "map" in told.names else write

    def _plain_union(self, branches: Sequence[Any], made: Sequence[Writer]) -> Writer:
        if len(branches) == 2 and branches[0] == "null":
            inner = made[1]
            return lambda value: b"\x00" if value is None else b"\x02" + inner(value)
        numbered = [(long(index), write) for index, write in enumerate(made)]

        def union(value: Any) -> bytes:
            # No two branches look alike, so the first that takes the value is the one that the shape would choose.
            for index, write in numbered:
                try:
                    return index + write(value)
                except (Refused, KeyError, UnicodeEncodeError):
                    continue
            raise Refused

        return union


def _tagged_union(branches: Branches, made: Sequence[Writer]) -> Writer:
    by_tag = {name: (long(at), made[at]) for at, name in enumerate(branches.names)}
    null = by_tag.get("null")

    def tagged(value: Any) -> bytes:
        if value is None and null is not None:
            return null[0]
        if type(value) is dict and len(value) == 1:
            ((tag, inner),) = value.items()
            index, write = by_tag[tag]
            return index + write(inner)
        raise Refused

    return tagged


def _unless_tagged(branches: Branches, write: Writer) -> Writer:
    """JSON's object that looks like a tag is one, where it could be a map as well."""

    def plain(value: Any) -> bytes:
        if type(value) is dict and branches.tag_in(value) is not None:
            raise Refused
        return write(value)

    return plain
