"""Columns of encoded values into Python values: each column of a run of events is converted as a whole, in C.

An encoded value comes as text of one character a byte (Latin-1), because the engine of `re` then cuts out what is a
`str` already. A column is a tuple of such texts, in the order of the events; what is given back has that order too.
"""

import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import itemgetter
from typing import Any

Column = Sequence[str]
Convert = Callable[[Column], Iterable[object]]

# The most values of a column: what is known of so many 64-bit numbers side by side, see `numbers`.
VALUES_MAX = 256

_BYTES_A_NUMBER = 8
_ONES = sum(1 << 64 * lane for lane in range(VALUES_MAX))
_FIRST_BYTES = _ONES * 0x7F
_FLAGS = _ONES * 0x80808080_80808080
_ODD_7 = _ONES * 0x7F007F00_7F007F00
_ODD_14 = _ONES * 0x3FFF0000_3FFF0000
_HIGH_28 = _ONES * 0x0FFFFFFF_00000000
_LOW_63 = _ONES * 0x7FFFFFFF_FFFFFFFF

_but_first = itemgetter(slice(1, None))


class _Short(dict[str, int]):
    """The numbers of one and two bytes, as they are met; KeyError for a longer one."""

    def __missing__(self, encoded: str) -> int:
        if len(encoded) > 2:
            raise KeyError(encoded)
        number = self[encoded] = _number(encoded)
        return number


_SHORT = _Short()


def numbers(column: Column) -> Iterable[int]:
    """Zigzag numbers of variable length (int, long).

    Longer ones are decoded side by side: the bytes of all of them, each filled up to eight, are one large integer, and
    a step of arithmetic on it is a step for every number in it.
    """
    try:
        return list(map(_SHORT.__getitem__, column))
    except KeyError:
        pass
    count = len(column)
    filled = ("%-8s" * count % (*column,)).encode("latin-1")
    if len(filled) != _BYTES_A_NUMBER * count:
        return list(map(_number, column))
    lanes = int.from_bytes(filled, "little")
    follows = (lanes & _FLAGS) << 1  # the lowest bit of each byte after one that has its flag
    lanes &= _FIRST_BYTES | ((follows << 7) - follows)  # seven bits of each byte that counts; the filling is gone
    # Seven bits in each byte become 14 in two, these 28 in four, these 56 in eight: what is high moves down.
    lanes -= (lanes & _ODD_7) >> 1
    lanes -= ((lanes & _ODD_14) >> 2) * 3
    lanes -= ((lanes & _HIGH_28) >> 4) * 15
    signs = lanes & _ONES
    lanes = lanes >> 1 & _LOW_63 ^ (signs << 64) - signs
    return struct.unpack(f"<{count}q", lanes.to_bytes(_BYTES_A_NUMBER * count, "little"))


def _number(encoded: str) -> int:
    number = 0
    for place, char in enumerate(encoded):
        number |= (ord(char) & 127) << 7 * place
    return number >> 1 ^ -(number & 1)


def texts(column: Column) -> Iterable[str]:
    """Strings, a length of one or two bytes before each. Raises UnicodeDecodeError."""
    if "".join(column).isascii():  # so no length takes two bytes, the first of which would be 128 or more
        return map(_but_first, column)
    found = [text[1:] if text[0] < "\x80" else text[2:] for text in column]
    if "".join(found).isascii():
        return found
    return [text if text.isascii() else text.encode("latin-1").decode() for text in found]


def byte_strings(column: Column) -> Iterable[bytes]:
    """Bytes, a length of one or two bytes before each."""
    return [(text[1:] if text[0] < "\x80" else text[2:]).encode("latin-1") for text in column]


def fixed(column: Column) -> Iterable[bytes]:
    """Bytes without a length."""
    return [text.encode("latin-1") for text in column]


def doubles(column: Column) -> Iterable[float]:
    return struct.unpack(f"<{len(column)}d", "".join(column).encode("latin-1"))


def floats(column: Column) -> Iterable[float]:
    return struct.unpack(f"<{len(column)}f", "".join(column).encode("latin-1"))


def booleans(column: Column) -> Iterable[bool]:
    return map("\x01".__eq__, column)


def symbols(names: Mapping[str, str]) -> Convert:
    """For an enum; `names` by their encoding."""
    return lambda column: map(names.__getitem__, column)


def made(convert: Convert, value: Callable[[Any], object]) -> Convert:
    """For a logical type whose value is made of its base's. Raises ValueError."""
    return lambda column: list(map(value, convert(column)))


def optional(convert: Convert) -> Convert:
    """For a branch of a union: None where the column is empty, which no encoded value is."""

    def converted(column: Column) -> Iterable[object]:
        some = tuple(filter(None, column))
        if len(some) == len(column):
            return convert(column)
        if not some:
            return [None] * len(column)
        each = iter(convert(some))
        return [next(each) if text else None for text in column]

    return converted
