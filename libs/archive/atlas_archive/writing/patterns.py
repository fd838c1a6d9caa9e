"""Records of known schemas as one regular expression: `findall` takes a run of them apart in a single step.

Looking at a record's parts and its body one by one costs CPython 4 µs; the same done by the engine of `re`, in C, a
quarter of that. A body of a schema is regular as long as nothing in it is repeated: a text is a choice among its
lengths, each of which says how many bytes follow. What the expression does not know (arrays, maps, recursion, texts
that are longer than `longest`, headers of other names) is no match, which says nothing about the record.

A match means: the bytes are a record in Kafka's layout whose value is framed and exactly one value of the schema; only
that its texts are UTF-8, and its lengths those of what they stand for, is left to check (see runs.py).
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

from atlas_avro.varints import long

from atlas_archive.format.layout import framing, parse

# Columns of a row, as `findall` gives it; those of the bodies follow, then HEADERS and REST.
SIZE, WHOLE, STAMP, STEP, KEY, VALUE_SIZE, BODIES = range(7)
HEADERS, REST = -2, -1

LONGEST = (255, 2047)  # bytes of a text, tried in this order
_LONGEST_KEY = 255
_LONGEST_HEADER = 127
_CHOICES_MAX = 15_000  # of lengths in one expression: compiling takes some 12 µs for each
_PARTS_MAX = 4_000  # written out: a type that is named in many places is written in each, and in those that hold it
_NESTING_MAX = 16
_KEPT_MAX = 64  # expressions, of one process
_NO_BYTES = b".{0}"
_VARINT = rb"[\x80-\xff]{0,4}[\x00-\x7f]"
_LONG_VARINT = rb"[\x80-\xff]{0,9}[\x00-\x7f]"
_SIZED = {
    "null": b"",
    "boolean": rb"[\x00\x01]",
    "int": _VARINT,
    "long": _LONG_VARINT,
    "float": b".{4}",
    "double": b".{8}",
}


Schemas = tuple[tuple[int, str], ...]
Names = tuple[tuple[str, ...], ...]


class _Irregular(Exception):
    """The schema is not one for a regular expression."""


@dataclass(frozen=True, slots=True)
class Body:
    """Where a schema's columns are in a row: its bodies, its texts with a length of one byte, those of two (which
    begin with that length).
    """

    schema_id: int
    body: int
    texts: tuple[int, ...]
    long_texts: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class RecordPattern:
    """`regex.findall` gives rows: records from the start of the data on, then at most one row of which only REST is
    not empty, its first byte that of what did not match.
    """

    regex: re.Pattern[bytes]
    bodies: tuple[Body, ...]


@dataclass(frozen=True, slots=True)
class _Written:
    """The sources of the bodies, where their columns are, and how many choices of a length the whole expression has."""

    sources: tuple[bytes, ...]
    bodies: tuple[Body, ...]
    choices: int


_made: dict[tuple[Schemas, Names, int], tuple[RecordPattern | None]] = {}


def known_pattern(schemas: Schemas, header_names: Names, longest: int) -> tuple[RecordPattern | None] | None:
    """What `record_pattern` gave when it was last asked for this; None when it was not."""
    return _made.get((schemas, header_names, longest))


def choices(schemas: Schemas, header_names: Names, longest: int) -> int:
    """How many choices of a length the expression has; to make it takes some 12 µs for each."""
    return _written(schemas, header_names, longest).choices


def record_pattern(schemas: Schemas, header_names: Names, longest: int) -> RecordPattern | None:
    """The expression of records whose value is one of these schemas (id and text) and that have no headers, or
    headers of exactly one of these lists of names. None when none of the schemas is regular. The last few are kept.
    """
    if (known := known_pattern(schemas, header_names, longest)) is not None:
        return known[0]
    pattern = _compiled(_written(schemas, header_names, longest), header_names)
    for oldest in list(_made)[: max(0, len(_made) + 1 - _KEPT_MAX)]:
        _made.pop(oldest, None)  # another thread may have been as quick
    _made[schemas, header_names, longest] = (pattern,)
    return pattern


def _compiled(written: _Written, header_names: Names) -> RecordPattern | None:
    if not written.sources:
        return None
    parts = (
        b"(" + _VARINT + b")(.",  # the size; then, as WHOLE: the attributes, which mean nothing yet
        b"(" + _LONG_VARINT + b")(" + _VARINT + b")",
        rb"(\x01|" + _choice(_LONGEST_KEY) + b")",
        b"(" + _VARINT + b")(?:" + b"|".join(written.sources) + b")",
        b"(" + b"|".join([rb"\x00", *map(_headers, header_names)]) + b"))",
        b"|(.).*",
    )
    return RecordPattern(re.compile(b"".join(parts), re.DOTALL), written.bodies)


@lru_cache(maxsize=16)
def _written(schemas: Schemas, header_names: Names, longest: int) -> _Written:
    sources, bodies = [], []
    at, left = BODIES, _CHOICES_MAX - _LONGEST_HEADER * sum(map(len, header_names))
    for schema_id, text in schemas:
        writer = _Writer(at, longest)
        try:
            source = writer.of(parse(text), ())
        except _Irregular:
            continue
        if writer.choices > left or not source.replace(_NO_BYTES, b""):  # an empty body: its row is as that of none
            continue
        left -= writer.choices
        sources.append(_literal(framing(schema_id)) + b"(" + source + b")")
        bodies.append(Body(schema_id, at, tuple(writer.texts), tuple(writer.long_texts)))
        at = writer.column
    return _Written(tuple(sources), tuple(bodies), _CHOICES_MAX - left)


class _Writer:
    """Writes the expression of one schema; counts the columns of its groups, which begin with that of the body."""

    def __init__(self, body: int, longest: int) -> None:
        self._longest = longest
        self._named: dict[str, Any] = {}
        self.column = body + 1
        self.choices = 0
        self._parts = 0
        self.texts: list[int] = []
        self.long_texts: list[int] = []

    def of(self, schema: Any, within: tuple[str, ...]) -> bytes:
        """The source for a parsed schema; `within`: the named types around it. Raises _Irregular."""
        self._parts += 1
        if len(within) > _NESTING_MAX or self._parts > _PARTS_MAX:
            raise _Irregular
        if isinstance(schema, list):
            return b"(?:" + b"|".join(self._branches(schema, within)) + b")"
        if isinstance(schema, str):
            return self._named_or_primitive(schema, within)
        kind = schema["type"]
        if kind in ("record", "error"):
            self._named[schema["name"]] = schema
            inside = (*within, schema["name"])
            return b"".join(self.of(field["type"], inside) for field in schema["fields"])
        if kind == "enum":
            self._named[schema["name"]] = schema
            if not 0 < len(schema["symbols"]) <= 64:
                raise _Irregular
            return b"[" + b"".join(_literal(long(index)) for index in range(len(schema["symbols"]))) + b"]"
        if kind == "fixed":
            self._named[schema["name"]] = schema
            return b".{%d}" % schema["size"]
        if kind in ("array", "map"):
            raise _Irregular
        return self.of(kind, within)

    def _branches(self, schemas: list[Any], within: tuple[str, ...]) -> Iterator[bytes]:
        if len(schemas) > 64:
            raise _Irregular
        for index, branch in enumerate(schemas):
            yield _literal(long(index)) + self.of(branch, within)

    def _named_or_primitive(self, name: str, within: tuple[str, ...]) -> bytes:
        if name in self._named:
            if name in within:
                raise _Irregular
            return self.of(self._named[name], within)
        if name in _SIZED:
            return _SIZED[name]
        self.choices += 64 + (self._longest >> 6 << 6)
        if self.choices > _CHOICES_MAX:
            raise _Irregular
        if name == "bytes":
            return _choice(self._longest)
        self.texts.append(self.column)
        self.long_texts.append(self.column + 1)
        self.column += 2
        return b"(?:(" + b"|".join(_short()) + b")|(" + b"|".join(_long(self._longest)) + b"))"


def _choice(longest: int) -> bytes:
    """Bytes with their length before them, at least up to `longest`."""
    return b"(?:" + b"|".join((*_short(), *_long(longest))) + b")"


@cache
def _short() -> tuple[bytes, ...]:
    """A choice for each length that takes one byte."""
    return tuple(_literal(long(length)) + b".{%d}" % length for length in range(64))


@cache
def _long(longest: int) -> tuple[bytes, ...]:
    """One for each length of two bytes, by the first of these and then the second."""
    seconds = range(1, (longest >> 6) + 1)
    return tuple(
        _literal(bytes([low + 128]))
        + b"(?:"
        + b"|".join(_literal(bytes([high])) + b".{%d}" % (low + (high << 7) >> 1) for high in seconds)
        + b")"
        for low in range(0, 128, 2)
    )


def _headers(names: Sequence[str]) -> bytes:
    """Headers of exactly these names, none without a value."""
    value = _choice(_LONGEST_HEADER)
    texts = [name.encode() for name in names]
    return _literal(long(len(texts))) + b"".join(_literal(long(len(text)) + text) + value for text in texts)


def _literal(data: bytes) -> bytes:
    return b"".join(b"\\x%02x" % byte for byte in data)
