"""A reader of what an older schema wrote, in the shape of the newest: generated as binary_reader's are, in one pass.

It follows resolution.py throughout, and keeps the limits of limits.py.
"""

import copy
import struct
from collections.abc import Mapping
from typing import Any

from atlas_avro.names import NAMED
from atlas_avro.walk import without_logical_types

from atlas_contracts.evolution.resolution import (
    PROMOTIONS,
    branch_for,
    defined,
    fields,
    kind_of,
    named_types,
    same_name,
)
from atlas_contracts.reading.binary_reader import NESTS, Read, Reader, ReaderCompiler
from atlas_contracts.values.shapes import compile_shape

_FLOAT = struct.Struct("<f")
# What makes of a value that was read the one that it is promoted to.
_PROMOTED = {"long": "{}", "float": "single({})", "double": "float({})", "bytes": "{}.encode()"}


def compile_resolving_reader(writer: Any, reader: Any) -> Reader:
    """A function as compile_reader's, for bytes written with `writer`; what it reads is a value of `reader`.

    Both are definitions that fastavro has parsed; the logical types that count are the reader's. Where the two don't go
    together, the function raises ValueError for the values that show it.
    """
    return ResolvingCompiler(without_logical_types(writer), reader).compiled()


def _single(number: float) -> float:
    """The nearest number of 32 bits: what a float read by Avro holds."""
    if isinstance(number, int) and (lost := number.bit_length() - 53) > 0:
        # Not by way of the nearest double, which may lie halfway between two floats: what is lost leaves an odd bit.
        kept = number >> lost
        number = (kept | (kept << lost != number)) << lost
    (rounded,) = _FLOAT.unpack(_FLOAT.pack(number))
    return float(rounded)


def _unwrapped(definition: Any, names: Mapping[str, Any]) -> Any:
    """As `defined`, but a primitive type with a logical one stays with it."""
    if isinstance(definition, str):
        return names.get(definition, definition)
    kind = definition["type"]
    return definition if isinstance(kind, str) and kind not in names else _unwrapped(kind, names)


class ResolvingCompiler(ReaderCompiler):
    """Writes the functions for a pair of schemas."""

    def __init__(self, writer: Any, reader: Any) -> None:
        super().__init__(writer)
        self._reader = reader
        self._reader_named = named_types(reader)
        self._shapes: dict[str, Any] = {}
        compile_shape(reader, self._shapes)
        self._pairs: dict[tuple[str, str], str] = {}
        self.scope |= {"single": _single, "copy": copy.deepcopy}

    def _whole(self) -> Read:
        return self._pair(self._schema, self._reader)

    def _pair(self, writer: Any, reader: Any) -> Read:
        """Lines that read what `writer` wrote, and the expression of the reader's value."""
        written = defined(writer, self._named)
        if isinstance(written, list):
            return self._union(len(written), lambda index: self._pair_nested(written[index], reader))
        wanted = defined(reader, self._reader_named)
        if isinstance(wanted, list):
            branch = branch_for(wanted, written, self._reader_named)
            if branch is None:
                return self._never("no branch reads it")
            return self._branch(wanted, wanted.index(branch), self._pair(writer, branch))
        if kind_of(written) != kind_of(wanted):
            read = self._promoted(written, kind_of(wanted))
        else:
            read = self._pair_alike(writer, written, wanted)
        return self._made(_unwrapped(reader, self._reader_named), read)

    def _union_names(self) -> Mapping[str, Any]:
        # Those of the writer are of fields that are passed over.
        return {**self._named, **self._reader_named}

    def _pair_alike(self, writer: Any, written: Any, wanted: Any) -> Read:
        """Two of one kind; `writer` is how the writer's schema refers to its own."""
        kind = kind_of(written)
        if kind in NAMED and not same_name(wanted, written):
            return self._never(f"{written['name']} is not {wanted['name']}")
        if kind in ("record", "error"):
            again = isinstance(writer, str) or (written["name"], wanted["name"]) in self._pairs
            return self._pair_named(written, wanted) if again else self._pair_record(written, wanted)
        if kind in ("array", "map"):
            part = "items" if kind == "array" else "values"
            return self._blocks(kind, written[part], lambda: self._pair_nested(written[part], wanted[part]))
        if kind == "enum":
            return self._pair_enum(written, wanted)
        if kind == "fixed" and written["size"] != wanted["size"]:
            return self._never("the size is another")
        return self._read(written)

    def _never(self, reason: str) -> Read:
        return [f"raise ValueError({reason!r})"], "None"

    def _promoted(self, written: Any, wanted: str) -> Read:
        if wanted not in PROMOTIONS.get(kind_of(written), ()):
            return self._never(f"{wanted} can't read it")
        lines, value = self._read(written)
        return lines, _PROMOTED[wanted].format(value)

    def _pair_nested(self, writer: Any, reader: Any) -> Read:
        """As ReaderCompiler._nested."""
        if isinstance(writer, list) or (isinstance(writer, dict) and writer["type"] in NESTS):
            return self._apart(lambda: self._pair(writer, reader))
        return self._pair(writer, reader)

    def _pair_named(self, written: Mapping[str, Any], wanted: Mapping[str, Any]) -> Read:
        """A record referred to by its name has a function of its own, which it may call itself."""
        names = (written["name"], wanted["name"])
        if names not in self._pairs:
            self._pairs[names] = f"pair_{len(self._pairs)}"
            function = self.function(lambda: self._pair_record(written, wanted))
            self.sources.append(f"{self._pairs[names]} = {function}")
        value = self._variable()
        return [f"{value}, i = {self._called(self._pairs[names])}"], value

    def _pair_record(self, written: Mapping[str, Any], wanted: Mapping[str, Any]) -> Read:
        found = fields(wanted, written)
        lines: list[str] = []
        values: dict[str, str] = {}
        self._around += 1
        for field in written["fields"]:
            of_reader = found.of_written.get(field["name"])
            if of_reader is None:
                lines += self._read(field["type"])[0]
                continue
            read, value = self._pair(field["type"], of_reader["type"])
            lines += read
            values[of_reader["name"]] = value
        self._around -= 1
        for field in found.new:
            if "default" not in field:
                return self._never(f"nothing for {field['name']}")
            values[field["name"]] = self._default(field)
        pairs = ", ".join(f"{field['name']!r}: {values[field['name']]}" for field in wanted["fields"])
        return lines, f"{{{pairs}}}"

    def _default(self, field: Mapping[str, Any]) -> str:
        name = f"default_{len(self.scope)}"
        self.scope[name] = self._default_value(field["type"], field["default"])
        return f"copy({name})" if isinstance(self.scope[name], dict | list) else name

    def _default_value(self, definition: Any, default: Any) -> Any:
        return compile_shape(definition, self._shapes, self._reader_named)(default, "default")

    def _pair_enum(self, written: Mapping[str, Any], wanted: Mapping[str, Any]) -> Read:
        known, default = wanted["symbols"], wanted.get("default")
        symbols = [symbol if symbol in known else default for symbol in written["symbols"]]
        lines, value = self._read(dict(written) | {"symbols": symbols})
        if None in symbols:
            lines = [*lines, f"if {value} is None: raise ValueError('a symbol that is gone')"]
        return lines, value
