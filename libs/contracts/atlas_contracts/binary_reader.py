"""Avro's binary encoding read into Python values by a function generated for the schema.

fastavro walks the schema for every value: 4 µs for an event of eleven fields, and 1 µs more for the stream it reads
from. The function generated here has the walk behind it and takes half. It reads values of the writer's own schema.
What it refuses is broken; fastavro only resolves older schemas, after this has read the value. For fastavro is no
judge of what anybody may send: a type that holds itself, nested some thousand deep, ends its process, and an array of
2^40 nulls takes six bytes. Tests hold what is read equal to fastavro's.
"""

import struct
from collections.abc import Callable, Mapping
from typing import Any

from atlas_contracts.limits import EMPTY_ITEMS_MAX, NESTING_MAX, holds_itself, may_be_empty, needs_limits

Reader = Callable[[bytes, int], Any]
# What a Reader raises on bytes that do not follow its schema.
BROKEN = (LookupError, ValueError, struct.error, RecursionError)

_LONGEST_VARINT = 10
_FLAGS = [sum(128 << 7 * place for place in range(count)) for count in range(6)]
_DOUBLE = struct.Struct("<d").unpack_from
_FLOAT = struct.Struct("<f").unpack_from
# One, two, more bytes; the time of an event (epoch milliseconds) has six.
_LONG = [
    "n = b[i]",
    "if n < 128: i += 1",
    "elif b[i + 1] < 128:",
    " n += (b[i + 1] << 7) - 128",
    " i += 2",
    "else: n, i = varint(b, i)",
]
# Read as it is, an odd length would be negative.
_LENGTH = [*_LONG, "if n & 1: raise ValueError('a negative length')"]
# One or two bytes are within 32 bits.
_INT = [*_LONG[:-1], "else: n, i = int_varint(b, i)"]


def compile_reader(parsed: Any) -> Reader:
    """A function (data, start) → the value in data[start:], which must be exactly one of the schema.

    `parsed` is a definition that fastavro has parsed, logical types taken off. The function raises one of BROKEN for
    other bytes.
    """
    compiler = _Compiler(parsed)
    entry = compiler.function(parsed, whole=True)
    scope: dict[str, Any] = {
        "varint": _varint, "int_varint": _int_varint, "double": _DOUBLE, "float_": _FLOAT, "end": _refuse_end,
        "deep": _refuse_depth,
    }  # fmt: skip
    text = "\n".join(compiler.sources)  # made of the words of this module and of quoted names
    exec(text, scope)  # nosec B102
    reader: Reader = scope[entry]
    return reader


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A number of three bytes or more as it stands, its sign still in its last bit, and the place after it.

    A byte is taken with its flag, worth 128, and the flags of those before the last are taken off together.
    """
    number, byte = data[at] + (data[at + 1] << 7), data[at + 2]
    if byte < 128:
        return number + (byte << 14) - _FLAGS[2], at + 3
    number += byte << 14
    byte = data[at + 3]
    if byte < 128:
        return number + (byte << 21) - _FLAGS[3], at + 4
    number += byte << 21
    byte = data[at + 4]
    if byte < 128:
        return number + (byte << 28) - _FLAGS[4], at + 5
    number += byte << 28
    byte = data[at + 5]
    if byte < 128:
        return number + (byte << 35) - _FLAGS[5], at + 6
    return _long_varint(data, at)


def _long_varint(data: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    for place in range(at, at + _LONGEST_VARINT):
        byte = data[place]
        number |= (byte & 127) << shift
        if byte < 128:
            if number >> 64:
                break
            return number, place + 1
        shift += 7
    raise ValueError("a number of more than 64 bits")


def _int_varint(data: bytes, at: int) -> tuple[int, int]:
    number, after = _varint(data, at)
    if number >> 32:
        raise ValueError("an int of more than 32 bits")
    return number, after


def _refuse_end(data: bytes, at: int) -> ValueError:
    """The error of a value that is not exactly what the data hold."""
    surplus = len(data) - at
    return ValueError(f"{surplus} bytes follow" if surplus > 0 else "it ends too early")


def _refuse_depth() -> ValueError:
    return ValueError(f"nested deeper than {NESTING_MAX}")


class _Compiler:
    """Writes the functions; a named type referred to again has one of its own."""

    def __init__(self, schema: Any) -> None:
        self.sources: list[str] = []
        self._named: dict[str, Any] = {}
        self._functions: dict[str, str] = {}
        self._variables = 0
        # Functions of a schema that needs limits are also given `d`, how many arrays, maps and records are around the
        # value, and `z`, how many items without a byte of their own may come yet. Others pay for neither.
        self._limited = needs_limits(schema)
        self._recursive = holds_itself(schema)
        self._around = 0

    def function(self, schema: Any, *, whole: bool = False) -> str:
        self._collect(schema)
        name = f"read_{len(self.sources)}"
        place = len(self.sources)
        self.sources.append("")  # keeps the name free while the body asks for functions of its own
        around, self._around = self._around, 0
        lines, value = self._read(schema)
        self._around = around
        last = ["if i != len(b): raise end(b, i)", f"return {value}"] if whole else [f"return {value}, i"]
        if self._limited and whole:
            lines = ["d = 0", f"z = [{EMPTY_ITEMS_MAX}]", *lines]
        elif self._recursive:
            lines = [f"if d >= {NESTING_MAX}: raise deep()", *lines]
        parameters = "b, i, d, z" if self._limited and not whole else "b, i"
        self.sources[place] = "\n".join([f"def {name}({parameters}):", *(f" {line}" for line in [*lines, *last])])
        return name

    def _called(self, function: str) -> str:
        return f"{function}(b, i, d + {self._around}, z)" if self._limited else f"{function}(b, i)"

    def _collect(self, schema: Any) -> None:
        if isinstance(schema, list):
            for branch in schema:
                self._collect(branch)
        elif isinstance(schema, dict):
            if "name" in schema and schema.get("type") in ("record", "error", "enum", "fixed"):
                self._named[schema["name"]] = schema
            for part in (schema.get("type"), schema.get("items"), schema.get("values")):
                self._collect(part)
            for field in schema.get("fields", ()):
                self._collect(field["type"])

    def _read(self, schema: Any) -> tuple[list[str], str]:  # noqa: PLR0911 - one a kind of schema
        """Lines that read a value, and the expression that is it afterwards."""
        if isinstance(schema, list):
            return self._union(schema)
        if isinstance(schema, str):
            if schema in self._named:
                return self._call(schema)
            return self._primitive(schema)
        kind = schema["type"]
        if kind in ("record", "error"):
            return self._record(schema)
        if kind in ("array", "map"):
            return self._blocks(schema, kind)
        if kind == "enum":
            symbols = repr(tuple(schema["symbols"]))
            value = self._variable()
            return [*_LENGTH, f"{value} = {symbols}[n >> 1]"], value
        if kind == "fixed":
            value = self._variable()
            size = int(schema["size"])
            return [f"{value} = b[i:i + {size}]", f"i += {size}"], value
        return self._read(kind)

    def _primitive(self, name: str) -> tuple[list[str], str]:
        value = self._variable()
        lines = {
            "null": [f"{value} = None"],
            "boolean": ["if b[i] > 1: raise ValueError", f"{value} = b[i] == 1", "i += 1"],
            "int": [*_INT, f"{value} = n >> 1 ^ -(n & 1)"],
            "long": [*_LONG, f"{value} = n >> 1 ^ -(n & 1)"],
            "float": [f"{value}, = float_(b, i)", "i += 4"],
            "double": [f"{value}, = double(b, i)", "i += 8"],
            "bytes": [*_LENGTH, "j = i + (n >> 1)", f"{value} = b[i:j]", "i = j"],
            "string": [*_LENGTH, "j = i + (n >> 1)", f"{value} = b[i:j].decode()", "i = j"],
        }[name]
        return lines, value

    def _call(self, name: str) -> tuple[list[str], str]:
        if name not in self._functions:
            self._functions[name] = f"named_{len(self._functions)}"
            function = self.function(self._named[name])
            self.sources.append(f"{self._functions[name]} = {function}")
        value = self._variable()
        return [f"{value}, i = {self._called(self._functions[name])}"], value

    def _record(self, schema: Mapping[str, Any]) -> tuple[list[str], str]:
        lines: list[str] = []
        pairs: list[str] = []
        self._around += 1
        for field in schema["fields"]:
            read, value = self._read(field["type"])
            lines += read
            pairs.append(f"{field['name']!r}: {value}")
        self._around -= 1
        return lines, "{" + ", ".join(pairs) + "}"

    def _union(self, branches: list[Any]) -> tuple[list[str], str]:
        value = self._variable()
        # The index of up to 64 branches is one byte.
        lines = ["n = b[i]", "i += 1"] if len(branches) <= 64 else [*_LENGTH]
        for index, branch in enumerate(branches):
            read, result = self._nested(branch)
            lines += [f"{'el' if index else ''}if n == {2 * index}:", *(f" {line}" for line in read)]
            lines.append(f" {value} = {result}")
        return [*lines, "else: raise ValueError('a branch that the union does not have')"], value

    def _nested(self, schema: Any) -> tuple[list[str], str]:
        """A value inside a union or a loop: CPython nests few blocks, so what could nest again gets a function."""
        if isinstance(schema, list) or (isinstance(schema, dict) and schema["type"] in ("record", "array", "map")):
            function = self.function(schema)
            value = self._variable()
            return [f"{value}, i = {self._called(function)}"], value
        return self._read(schema)

    def _blocks(self, schema: Mapping[str, Any], kind: str) -> tuple[list[str], str]:
        value, count = self._variable(), self._variable()
        held = schema["items" if kind == "array" else "values"]
        self._around += 1
        item, result = self._nested(held)
        self._around -= 1
        # A count is checked before anything is made of it; where items take no byte, against what is left for those.
        most = f" if {count} > len(b): raise ValueError('more items than bytes')"
        if kind == "array" and may_be_empty(held, self._named):
            most = f" z[0] -= {count}\n if z[0] < 0: raise ValueError('more than {EMPTY_ITEMS_MAX} empty items')"
        if kind == "array":
            empty, lines = "[]", [*item, f"{value}.append({result})"]
        else:
            name = self._variable()
            read = [*_LENGTH, "j = i + (n >> 1)", f"{name} = b[i:j].decode()", "i = j"]
            empty, lines = "{}", [*read, *item, f"{value}[{name}] = {result}"]
        return [
            f"{value} = {empty}",
            "while True:",
            *(f" {line}" for line in _LONG),
            " if n == 0: break",
            f" {count} = n >> 1 ^ -(n & 1)",
            f" if {count} < 0:",  # the block's size in bytes follows
            f"  {count} = -{count}",
            *(f"  {line}" for line in _LONG),
            *most.split("\n"),
            f" for _ in range({count}):",
            *(f"  {line}" for line in lines),
        ], value

    def _variable(self) -> str:
        self._variables += 1
        return f"v{self._variables}"
