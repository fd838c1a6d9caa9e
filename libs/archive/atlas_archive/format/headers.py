"""Headers in a typed file: an array of {name: string, value: bytes}, which is how Kafka itself lays headers out.

    count, then for each: length of the name, name, length of the value, value; and in the file one 0 more, unless
    there are none

Walking through the nine headers of an event costs as much as all the rest of its record. But those of one record look
like those of the last: the same names, values of the same lengths. Such a shape is compiled to a regular expression,
which recognises the next record's headers, or takes their values out, in one step. Compiling takes time and memory with
the number of headers, so only small shapes are: any producer can put 100,000 headers into one record.

Kafka's brokers take any bytes as a name. Names that are not UTF-8 go into a file of their own (layout.py), since an
Avro string must be; as text they are read with `\\x..` in place of what does not decode.
"""

import re
from dataclasses import dataclass

from atlas_avro.varints import long, read_long

Headers = tuple[tuple[str, bytes | None], ...]
# What stands in a name for bytes that are not UTF-8: text that any database, log and JSON takes; or, to compare names
# byte for byte, what Python turns back into the same bytes.
READABLE, EXACT = "backslashreplace", "surrogateescape"
_SHAPES_MAX = 8  # tried in turn, so more of them would cost more than walking
_COMPILED_MAX = 64  # of one instance: where lengths vary without end, compiling would never pay
_NAMES_MAX = 4
_SHAPE_HEADERS_MAX = 32
_SHAPE_NAMES_BYTES_MAX = 2048


@dataclass(frozen=True, slots=True)
class _Shape:
    names: tuple[str, ...]
    pattern: re.Pattern[bytes]


class HeaderShapes:
    """Recognises and reads headers in Kafka's layout; remembers the shapes it met last.

    `names`: the first few different lists of names that it met. `may_compile`: how many more expressions it may make
    before that is set again.
    """

    def __init__(self) -> None:
        self.names: tuple[tuple[str, ...], ...] = ()
        self._shapes: list[_Shape] = []
        self._compiled = 0
        self.may_compile = _COMPILED_MAX

    def are_whole(self, data: bytes, start: int, end: int) -> bool:
        """Whether data[start:end] is headers, at least one, that all have a value and a name in UTF-8.

        Raises ValueError, IndexError for no headers.
        """
        for shape in self._shapes:
            if shape.pattern.fullmatch(data, start, end):
                return True
        names, values, after = walk(data, start)
        if after != end:
            raise ValueError(f"headers end at {after}, their record at {end}")
        # None at all, in a longer form than that of one byte, would be read as the end of an array and one thing more.
        whole = bool(names) and None not in values and are_text(names)
        if whole:
            self._remember(names, values)
        return whole

    def read(self, data: bytes, start: int) -> tuple[Headers, int]:
        """The headers at `start` and the place after them. Raises ValueError, IndexError for other bytes."""
        for shape in self._shapes:
            match = shape.pattern.match(data, start)
            if match:
                return tuple(zip(shape.names, match.groups(), strict=True)), match.end()
        names, values, after = walk(data, start)
        if None in values:
            raise ValueError("a header without a value")
        self._remember(names, values)
        return tuple((name.decode(), value) for name, value in zip(names, values, strict=True)), after

    def _remember(self, names: list[bytes], values: list[bytes | None]) -> None:
        if len(names) > _SHAPE_HEADERS_MAX or sum(map(len, names)) > _SHAPE_NAMES_BYTES_MAX:
            return
        texts = tuple(name.decode() for name in names)
        if len(self.names) < _NAMES_MAX and texts not in self.names:
            self.names += (texts,)
        if self._compiled >= _COMPILED_MAX or self.may_compile <= 0:
            return
        self._compiled += 1
        self.may_compile -= 1
        source = [re.escape(long(len(names)))]
        for name, value in zip(names, values, strict=True):
            size = len(value or b"")
            source.append(re.escape(long(len(name)) + name + long(size)) + b"(.{%d})" % size)
        # The latest first: it is the likeliest to come again.
        self._shapes.insert(0, _Shape(texts, re.compile(b"".join(source), re.DOTALL)))
        del self._shapes[_SHAPES_MAX:]


def nullable_headers(data: bytes, start: int, end: int) -> tuple[bytes, bool]:
    """Headers in Kafka's layout as those of a raw file, whose values are a union of null and bytes.

    Also whether all names are UTF-8. Raises ValueError, IndexError.
    """
    names, values, after = walk(data, start)
    if after != end:
        raise ValueError(f"headers end at {after}, their record at {end}")
    if not names:
        return b"\0", True
    parts = [long(len(names))]
    for name, value in zip(names, values, strict=True):
        parts += (long(len(name)), name, b"\0" if value is None else b"\2" + long(len(value)) + value)
    parts.append(b"\0")
    return b"".join(parts), are_text(names)


def are_text(names: list[bytes]) -> bool:
    """Whether all of the names are UTF-8."""
    try:
        for name in names:
            name.decode()
    except UnicodeDecodeError:
        return False
    return True


def walk(data: bytes, at: int) -> tuple[list[bytes], list[bytes | None], int]:
    """Names and values of the headers at `at`, and the place after them. Raises ValueError, IndexError."""
    count, at = read_long(data, at)
    if count < 0:
        raise ValueError("a negative number of headers")
    names: list[bytes] = []
    values: list[bytes | None] = []
    for _ in range(count):
        name, at = sized(data, at)
        value, at = sized(data, at)
        if name is None:
            raise ValueError("a header without a name")
        names.append(name)
        values.append(value)
    return names, values, at


def sized(data: bytes, at: int) -> tuple[bytes | None, int]:
    """What follows its length, None for a negative one, and the place after it. Raises ValueError, IndexError."""
    size, at = read_long(data, at)
    if size < 0:
        return None, at
    if at + size > len(data):
        raise ValueError("a length past the end")
    return data[at : at + size], at + size
