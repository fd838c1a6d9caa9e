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

from atlas_avro.table import value_of

from atlas_contracts.evolution.resolution import named_types
from atlas_contracts.reading.varints import int_varint, refuse_depth, refuse_end, varint
from atlas_contracts.values.limits import (
    EMPTY_ITEMS_MAX,
    NESTING_MAX,
    empty_parts,
    empty_types,
    holds_itself,
    needs_limits,
)
from atlas_contracts.values.unions import branches_of

Reader = Callable[[bytes, int], Any]
# Lines that read a value, and the expression that is it afterwards.
Read = tuple[list[str], str]
# What a value of may have others in it.
NESTS = ("record", "error", "array", "map")
# What a Reader raises on bytes that do not follow its schema.
BROKEN = (LookupError, ValueError, struct.error, RecursionError)

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

    `parsed` is a definition that fastavro has parsed. Of its logical types those count whose Python value is another
    than their base's. The function raises one of BROKEN for other bytes.
    """
    return ReaderCompiler(parsed).compiled()


class ReaderCompiler:
    """Writes the functions; a named type referred to again has one of its own."""

    def __init__(self, schema: Any) -> None:
        self.sources: list[str] = []
        self.scope: dict[str, Any] = {
            "varint": varint, "int_varint": int_varint, "double": _DOUBLE, "float_": _FLOAT, "end": refuse_end,
            "deep": refuse_depth,
        }  # fmt: skip
        self._schema = schema
        self._named = named_types(schema)
        self._functions: dict[str, str] = {}
        self._variables = 0
        # Functions of a schema that needs limits are also given `d`, how many arrays, maps and records are around the
        # value, and `z`, how many items without a byte of their own may come yet. Others pay for neither.
        self._limited = needs_limits(schema)
        self._empty = empty_types(self._named)
        self._recursive = holds_itself(schema)
        self._around = 0

    def compiled(self) -> Reader:
        """The function that reads a whole value."""
        entry = self.function(self._whole, whole=True)
        text = "\n".join(self.sources)  # made of the words of this module and of quoted names
        exec(text, self.scope)  # nosec B102
        reader: Reader = self.scope[entry]
        return reader

    def _whole(self) -> Read:
        return self._read(self._schema)

    def function(self, read: Callable[[], Read], *, whole: bool = False) -> str:
        """The name of a function whose body is what `read` gives."""
        name = f"read_{len(self.sources)}"
        place = len(self.sources)
        self.sources.append("")  # keeps the name free while the body asks for functions of its own
        around, self._around = self._around, 0
        lines, value = read()
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

    def _read(self, schema: Any) -> Read:
        return self._made(schema, self._base(schema))

    def _made(self, schema: Any, read: Read) -> Read:
        """What was read of a base as the value of its logical type, where that is another."""
        made = value_of(schema)
        if made is None:
            return read
        lines, value = read
        name, result = f"value_{len(self.scope)}", self._variable()
        self.scope[name] = made
        return [*lines, f"{result} = {name}({value})"], result

    def _base(self, schema: Any) -> Read:  # noqa: PLR0911 - one a kind of schema
        if isinstance(schema, list):
            return self._union(len(schema), lambda index: self._branch(schema, index, self._nested(schema[index])))
        if isinstance(schema, str):
            if schema in self._named:
                return self._call(schema)
            return self._primitive(schema)
        kind = schema["type"]
        if kind in ("record", "error"):
            return self._call(schema["name"]) if schema["name"] in self._functions else self._record(schema)
        if kind in ("array", "map"):
            held = schema["items" if kind == "array" else "values"]
            return self._blocks(kind, held, lambda: self._nested(held))
        if kind == "enum":
            symbols = repr(tuple(schema["symbols"]))
            value = self._variable()
            return [*_LENGTH, f"{value} = {symbols}[n >> 1]"], value
        if kind == "fixed":
            value = self._variable()
            size = int(schema["size"])
            return [f"{value} = b[i:i + {size}]", f"i += {size}"], value
        return self._read(kind)

    def _primitive(self, name: str) -> Read:
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

    def _call(self, name: str) -> Read:
        if name not in self._functions:
            self._functions[name] = f"named_{len(self._functions)}"
            function = self.function(lambda: self._defined(self._named[name]))
            self.sources.append(f"{self._functions[name]} = {function}")
        value = self._variable()
        return [f"{value}, i = {self._called(self._functions[name])}"], value

    def _defined(self, schema: Any) -> Read:
        return self._record(schema) if schema["type"] in ("record", "error") else self._read(schema)

    def _record(self, schema: Mapping[str, Any]) -> Read:
        lines: list[str] = []
        pairs: list[str] = []
        self._around += 1
        for field in schema["fields"]:
            read, value = self._read(field["type"])
            lines += read
            pairs.append(f"{field['name']!r}: {value}")
        self._around -= 1
        return lines, "{" + ", ".join(pairs) + "}"

    def _union(self, branches: int, read_branch: Callable[[int], Read]) -> Read:
        value = self._variable()
        # The index of up to 64 branches is one byte.
        lines = ["n = b[i]", "i += 1"] if branches <= 64 else [*_LENGTH]
        for index in range(branches):
            read, result = read_branch(index)
            lines += [f"{'el' if index else ''}if n == {2 * index}:", *(f" {line}" for line in read)]
            lines.append(f" {value} = {result}")
        return [*lines, "else: raise ValueError('a branch that the union does not have')"], value

    def _branch(self, union: list[Any], index: int, read: Read) -> Read:
        """What was read of one branch of a union, as the value: with its tag where branches look alike."""
        told = branches_of(union, self._union_names())
        if not told.tagged or told.names[index] == "null":
            return read
        lines, value = read
        return lines, f"{{{told.names[index]!r}: {value}}}"

    def _union_names(self) -> Mapping[str, Any]:
        """The definitions that a union which values are read of may refer to."""
        return self._named

    def _nested(self, schema: Any) -> Read:
        """A value inside a union or a loop: CPython nests few blocks, so what could nest again gets a function."""
        if isinstance(schema, list) or (isinstance(schema, dict) and schema["type"] in NESTS):
            return self._apart(lambda: self._read(schema))
        return self._read(schema)

    def _apart(self, read: Callable[[], Read]) -> Read:
        function, value = self.function(read), self._variable()
        return [f"{value}, i = {self._called(function)}"], value

    def _blocks(self, kind: str, held: Any, read_item: Callable[[], Read]) -> Read:
        """An array or a map; `held` is the schema of what it was written with."""
        value, count = self._variable(), self._variable()
        self._around += 1
        item, result = read_item()
        self._around -= 1
        # A count is checked before anything is made of it; where items take no byte, against what is left for those.
        most = f" if {count} > len(b): raise ValueError('more items than bytes')"
        if kind == "array" and (each := empty_parts(held, self._empty)):
            most = (
                f" z[0] -= {count} * {each}\n if z[0] < 0: raise ValueError('more than {EMPTY_ITEMS_MAX} empty items')"
            )
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
