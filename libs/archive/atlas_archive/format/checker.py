"""Checks that bytes are one whole value of an Avro schema, without building the value.

A typed file is laid out by splicing, so one body that does not fit its schema would derail every outside reader for the
rest of the block. Such a body must be found before it is written. fastavro skips a value in about 0.35 µs a field, more
than the whole splice costs; a function generated for the schema takes a fifth of that, inlined except where the schema
refers to a named type.
"""

from collections.abc import Callable
from typing import Any

from atlas_avro.varints import read_unsigned

Skip = Callable[[bytes, int, int], int]
CHECK_ERRORS = (IndexError, ValueError, RecursionError)
_INLINE_DEPTH = 5  # CPython nests at most 20 blocks


def compile_skip(parsed: Any) -> Skip:
    """A function (data, start, end) → the place after the value of the schema (from `layout.parse`) that begins there.

    Where no such value begins it raises one of CHECK_ERRORS, or gives a place that is not `end`: so
    `skip(data, start, end) == end` says whether data[start:end] is exactly one value. `data` may go on after `end`; how
    long it takes is bounded by end - start.

    It holds lengths, union branches, enum symbols and UTF-8, and is stricter than the specification in two places that
    no writer meets: a union's branch must be in its shortest form, and an array may not claim more items than there
    are bytes left (of items that take no bytes: than `data` has).
    """
    return _Compiler().compile(parsed)


class _Compiler:
    """Writes one Python function (b, i, e) → the place after the value, and one for each named type referred to."""

    def __init__(self) -> None:
        self._named: dict[str, Any] = {}
        self._functions: dict[str, str] = {}
        self._sources: list[str] = []
        self._loops = 0

    def compile(self, parsed: Any) -> Skip:
        self._collect(parsed)
        entry = self._function(parsed)
        scope: dict[str, Any] = {"varint": read_unsigned}
        text = "\n".join(self._sources)  # made of the words of this module and of numbers
        exec(text, scope)  # nosec B102
        skip: Skip = scope[entry]
        return skip

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

    def _function(self, schema: Any) -> str:
        name = f"skip_{len(self._functions)}_{len(self._sources)}"
        place = len(self._sources)
        self._sources.append("")  # keeps the name free while the body asks for functions of its own
        body = self._lines(schema, 0) or ["pass"]
        self._sources[place] = "\n".join([f"def {name}(b, i, e):", *(f" {line}" for line in body), " return i"])
        return name

    def _call(self, name: str) -> list[str]:
        if name not in self._functions:
            self._functions[name] = f"named_{len(self._functions)}"
            function = self._function(self._named[name])
            self._sources.append(f"{self._functions[name]} = {function}")
        return [f"i = {self._functions[name]}(b, i, e)"]

    def _lines(self, schema: Any, depth: int) -> list[str]:
        if depth and isinstance(schema, dict) and schema.get("name") in self._functions:
            return self._call(schema["name"])
        if depth > _INLINE_DEPTH:
            return [f"i = {self._function(schema)}(b, i, e)"]
        if isinstance(schema, list):
            return self._union(schema, depth)
        if isinstance(schema, str):
            return self._call(schema) if schema in self._named else _PRIMITIVES[schema]
        kind = schema["type"]
        if not isinstance(kind, str) or kind not in _COMPLEX:
            return self._lines(kind, depth)
        return self._complex(kind, schema, depth + 1)

    def _complex(self, kind: str, schema: Any, depth: int) -> list[str]:
        if kind == "enum":
            return [*_LENGTH, f"if n >= {2 * len(schema['symbols'])}: raise ValueError"]
        if kind == "fixed":
            return [f"i += {int(schema['size'])}"]
        if kind == "array":
            return self._blocks(self._lines(schema["items"], depth))
        if kind == "map":
            return self._blocks([*_STRING, *self._lines(schema["values"], depth)])
        return [line for field in schema["fields"] for line in self._lines(field["type"], depth)]

    def _union(self, branches: list[Any], depth: int) -> list[str]:
        lines = ["n = b[i]", "i += 1"] if len(branches) <= 64 else _VARINT
        lines = [*lines, "if n & 1: raise ValueError"]
        for index, branch in enumerate(branches):
            body = self._lines(branch, depth + 1) or ["pass"]
            lines += [f"{'el' if index else ''}if n == {2 * index}:", *(f" {line}" for line in body)]
        return [*lines, "else: raise ValueError"]

    def _blocks(self, item: list[str]) -> list[str]:
        self._loops += 1
        count = f"c{self._loops}"
        return [
            "while True:",
            *(f" {line}" for line in _VARINT),
            " if n == 0: break",
            " if i > e: raise ValueError",
            f" {count} = n >> 1",
            " if n & 1:",  # a negative count: the block's size in bytes follows
            f"  {count} += 1",
            *(f"  {line}" for line in _VARINT),
            f" if {count} > {'e - i' if item else 'len(b)'}: raise ValueError",
            *([f" for _ in range({count}):", *(f"  {line}" for line in item)] if item else []),
        ]


_COMPLEX = ("record", "error", "enum", "fixed", "array", "map")
_VARINT = ["n, i = varint(b, i)"]
_LENGTH = [
    "n = b[i]",
    "if n < 128: i += 1",
    "elif b[i + 1] < 128:",  # of two bytes, as the length of most longer texts is: read in place
    " n += (b[i + 1] << 7) - 128",
    " i += 2",
    "else: n, i = varint(b, i)",
    "if n & 1: raise ValueError",
]
_STRING = [*_LENGTH, "j = i + (n >> 1)", "if j > e: raise ValueError", "b[i:j].decode()", "i = j"]


def _integer(longest: int) -> list[str]:
    return [
        "if b[i] > 127:",
        " s = i",
        " i += 1",
        " while b[i] > 127: i += 1",
        f" if i - s >= {longest}: raise ValueError",
        "i += 1",
    ]


_PRIMITIVES: dict[str, list[str]] = {
    "null": [],
    "boolean": ["if b[i] > 1: raise ValueError", "i += 1"],
    "int": _integer(5),
    "long": _integer(10),
    "float": ["i += 4"],
    "double": ["i += 8"],
    "bytes": [*_LENGTH, "i += n >> 1"],
    "string": _STRING,
}
