"""A schema as one regular expression, by which `findall` takes a run of values apart in a single step.

A value of a schema is regular as long as nothing in it is repeated: a text is a choice among its lengths, each of
which says how many bytes follow. What the expression does not know (arrays, maps, recursion, records in a union, texts
longer than some) is no match, which says nothing about the value.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from atlas_avro.table import value_of

from atlas_contracts.reading import columns
from atlas_contracts.reading.columns import Convert
from atlas_contracts.values.unions import branches_of

# Bytes of the longest text: the first with which a schema stays below _CHOICES_MAX.
_LONGEST = (255, 63)
_CHOICES_MAX = 4_000  # of lengths in one expression: compiling takes some 20 µs for each, while the event loop waits
_NESTING_MAX = 16
_PARTS_MAX = 4_000  # written out: a type that is named in many places is written in each, and in those that hold it
_BRANCHES_MAX = 64  # whose index is one byte
# At most 32 and 64 bits: the last byte of the longest holds the few that are left.
_INT = r"(?:[\x80-\xff]{0,3}+[\x00-\x7f]|[\x80-\xff]{4}[\x00-\x0f])"
_LONG = r"(?:[\x80-\xff]{0,8}+[\x00-\x7f]|[\x80-\xff]{9}[\x00\x01])"
_SCALARS: dict[str, tuple[str, Convert]] = {
    "boolean": (r"[\x00\x01]", columns.booleans),
    "int": (_INT, columns.numbers),
    "long": (_LONG, columns.numbers),
    "float": (".{4}", columns.floats),
    "double": (".{8}", columns.doubles),
}


class _Irregular(Exception):
    """The schema is not one for a regular expression."""


@dataclass(frozen=True, slots=True)
class RunPattern:
    """`regex.findall` gives rows: the bytes of a value with its prefix, its columns, and an empty text; values from
    the start on, then at most one row of which only the last text is not empty.

    `converts` are those of the columns; `built` is the value as a Python expression of `c0`, `c1`, … .
    """

    regex: re.Pattern[str]
    converts: Sequence[Convert]
    built: str


def run_pattern(prefix: bytes, parsed: Any) -> RunPattern | None:
    """The expression of values, as one character a byte, of a parsed schema with `prefix` before each.

    None when the schema is not regular.
    """
    for longest in _LONGEST:
        writer = _Writer(longest)
        try:
            source, built = writer.of(parsed, ())
        except _Irregular:
            continue
        regex = re.compile(f"({_literal(prefix)}{source})|(.).*", re.DOTALL)
        return RunPattern(regex, writer.converts, built)
    return None


class _Writer:
    """Writes the expression of one schema; each scalar is a group, and so a column."""

    def __init__(self, longest: int) -> None:
        self._longest = longest
        self._choices = 0
        self._parts = 0
        self._named: dict[str, Any] = {}
        self.converts: list[Convert] = []

    def of(self, schema: Any, within: tuple[str, ...]) -> tuple[str, str]:
        """The source and what builds the value; `within`: the named types around it. Raises _Irregular."""
        self._parts += 1
        if len(within) > _NESTING_MAX or self._parts > _PARTS_MAX:
            raise _Irregular
        if isinstance(schema, list):
            return self._union(schema)
        if isinstance(schema, str) and schema in self._named:
            if schema in within:
                raise _Irregular
            return self.of(self._named[schema], within)
        if schema == "null":
            return "", "None"
        if isinstance(schema, dict) and schema["type"] in ("record", "error"):
            self._named[schema["name"]] = schema
            inside = (*within, schema["name"])
            parts = [(field["name"], *self.of(field["type"], inside)) for field in schema["fields"]]
            pairs = ", ".join(f"{name!r}: {built}" for name, _, built in parts)
            return "".join(source for _, source, _ in parts), f"{{{pairs}}}"
        if isinstance(schema, dict) and isinstance(schema["type"], dict | list):
            return self.of(schema["type"], within)
        source, convert = self._scalar(schema)
        return f"({source})", self._column(convert)

    def _union(self, branches: list[Any]) -> tuple[str, str]:
        """Of the columns of its branches at most one has a value in a row."""
        if len(branches) > _BRANCHES_MAX or branches_of(branches, self._named).tagged:
            raise _Irregular
        sources, built = [], []
        for index, branch in enumerate(branches):
            sources.append(_literal(_length(index)))
            if branch != "null":
                source, convert = self._scalar(branch)
                sources[-1] += f"({source})"
                built.append(self._column(columns.optional(convert)))
        value = built.pop() if built else "None"
        for column in reversed(built):
            value = f"({column} if {column} is not None else {value})"
        return f"(?:{'|'.join(sources)})", value

    def _column(self, convert: Convert) -> str:
        self.converts.append(convert)
        return f"c{len(self.converts) - 1}"

    def _scalar(self, schema: Any) -> tuple[str, Convert]:
        """The source of what is never empty and makes one column, and what converts it."""
        source, convert = self._base(schema)
        value = value_of(schema)
        return source, convert if value is None else columns.made(convert, value)

    def _base(self, schema: Any) -> tuple[str, Convert]:
        if isinstance(schema, str):
            if schema in self._named:
                return self._scalar(self._named[schema])
            if schema in _SCALARS:
                return _SCALARS[schema]
            if schema in ("string", "bytes"):
                return self._sized(), columns.texts if schema == "string" else columns.byte_strings
            raise _Irregular
        if isinstance(schema, list):
            raise _Irregular
        kind = schema["type"]
        if kind == "enum" and 0 < len(schema["symbols"]) <= _BRANCHES_MAX:
            self._named[schema["name"]] = schema
            names = {_length(index).decode("latin-1"): name for index, name in enumerate(schema["symbols"])}
            return f"[{_literal(''.join(names).encode())}]", columns.symbols(names)
        if kind == "fixed" and schema["size"] > 0:
            self._named[schema["name"]] = schema
            return _any(schema["size"]), columns.fixed
        if kind in ("enum", "fixed", "record", "error", "array", "map"):
            raise _Irregular
        return self._scalar(kind)

    def _sized(self) -> str:
        """Bytes with their length before them: a choice for each length of one byte, then for those of two, by the
        first of these and then the second.
        """
        self._choices += self._longest + 1
        if self._choices > _CHOICES_MAX:
            raise _Irregular
        short = [_literal(_length(length)) + _any(length) for length in range(64)]
        seconds = range(1, (self._longest >> 6) + 1)
        long = [
            _literal(bytes([low + 128]))
            + "(?:"
            + "|".join(_literal(bytes([high])) + _any(low + (high << 7) >> 1) for high in seconds)
            + ")"
            for low in range(0, 128, 2)
            if seconds
        ]
        return "|".join(short + long)


def _length(length: int) -> bytes:
    """The encoding of a number below 64."""
    return bytes([length << 1])


def _any(size: int) -> str:
    """So many bytes, whatever they are; the engine need not come back to them."""
    return f".{{{size}}}+"


def _literal(data: bytes) -> str:
    return "".join(f"\\x{byte:02x}" for byte in data)
