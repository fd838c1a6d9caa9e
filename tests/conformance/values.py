"""Random values of a schema as Avro's bytes, written here in the plainest way, and decoded values made comparable."""

import math
import struct
from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

_NEAR_ENDS = 4
_TEXTS = ("", "x", "0", "\u00e9\u20ac", "\U0001f600", "a" * 70, "123e4567-e89b-12d3-a456-426614174000")
_FLOATS = (0.0, -0.0, 1.5, -1e-40, 3.4028234663852886e38, math.inf, -math.inf, math.nan)


class Endless(Exception):
    """A type of which every value holds another of its own."""


def written(random: Random, definition: Any, names: Mapping[str, Any], depth: int = 6) -> bytes:  # noqa: PLR0911 - one a kind of type
    """The bytes of some value of a definition that fastavro has parsed; `names` has its named types."""
    if isinstance(definition, list):
        return _union(random, definition, names, depth)
    if isinstance(definition, str) and definition in names:
        definition = names[definition]
    kind = definition if isinstance(definition, str) else definition["type"]
    if isinstance(kind, dict | list):
        return written(random, kind, names, depth)
    if kind in ("record", "error"):
        if depth < 0 and math.isinf(least_depth(definition, names, frozenset())):
            raise Endless
        return b"".join(written(random, field["type"], names, depth - 1) for field in definition["fields"])
    if kind in ("array", "map"):
        return _blocks(random, definition, names, depth)
    if kind == "enum":
        return zigzag(random.randrange(len(definition["symbols"])))
    if kind == "fixed":
        return _octets(random, definition["size"])
    return scalar(random, kind)


def least_depth(definition: Any, names: Mapping[str, Any], within: frozenset[str]) -> float:
    """How many records a value is nested in at least; infinite where no value ends."""
    if isinstance(definition, list):
        return min(least_depth(branch, names, within) for branch in definition)
    if isinstance(definition, str) and definition in names:
        definition = names[definition]
    if isinstance(definition, str) or definition["type"] not in ("record", "error"):
        return 0
    if definition["name"] in within:
        return math.inf
    inside = within | {definition["name"]}
    return 1 + max((least_depth(field["type"], names, inside) for field in definition["fields"]), default=0)


def zigzag(number: int) -> bytes:
    """A whole number as Avro writes it."""
    left = number << 1 ^ number >> 63
    out = bytearray()
    while left > 0x7F:
        out.append(left & 0x7F | 0x80)
        left >>= 7
    return bytes([*out, left])


def scalar(random: Random, kind: str) -> bytes:
    """A value of a primitive type, an edge more often than not."""
    if kind == "null":
        return b""
    if kind == "boolean":
        return bytes([random.randint(0, 1)])
    if kind in ("int", "long"):
        return zigzag(_whole(random, 31 if kind == "int" else 63))
    if kind in ("float", "double"):
        number = random.choice(_FLOATS) if random.randint(0, 1) else random.uniform(-1e6, 1e6)
        return struct.pack("<f" if kind == "float" else "<d", number)
    data = random.choice(_TEXTS).encode() if kind == "string" else _octets(random, random.choice([0, 1, 2, 9, 16]))
    return zigzag(len(data)) + data


def _whole(random: Random, bits: int) -> int:
    near = random.randint(-_NEAR_ENDS, _NEAR_ENDS)
    # Between two floats, where rounding twice goes wrong.
    between = (1 << 60) + (1 << 36) + 1
    number = random.choice([near, 2**bits - 1 - abs(near), -(2**bits) + abs(near), between, random.getrandbits(bits)])
    return number if -(2**bits) <= number < 2**bits else near


def _octets(random: Random, size: int) -> bytes:
    return bytes(random.choice([0, 1, 127, 128, 255]) for _ in range(size))


def _union(random: Random, branches: Sequence[Any], names: Mapping[str, Any], depth: int) -> bytes:
    indexes = list(range(len(branches)))
    random.shuffle(indexes)
    if depth <= 0:  # what needs the least comes first
        indexes.sort(key=lambda index: least_depth(branches[index], names, frozenset()))
    return zigzag(indexes[0]) + written(random, branches[indexes[0]], names, depth - 1)


def _blocks(random: Random, definition: Mapping[str, Any], names: Mapping[str, Any], depth: int) -> bytes:
    count = random.randint(0, 2) if depth > 0 else 0
    parts = []
    for number in range(count):
        key = b"" if definition["type"] == "array" else b"\x04k" + str(number).encode()
        item = written(random, definition["items" if definition["type"] == "array" else "values"], names, depth - 1)
        parts.append(key + item)
    if not parts:
        return b"\x00"
    body = b"".join(parts)
    # A block may say its size in bytes.
    head = zigzag(-count) + zigzag(len(body)) if random.randint(0, 1) else zigzag(count)
    return head + body + b"\x00"


def comparable(value: Any) -> Any:
    """A decoded value as one that == tells apart to the bit: NaN, minus zero, int and float, order of a map."""
    if isinstance(value, Mapping):
        return ("map", sorted((key, comparable(part)) for key, part in value.items()))
    if type(value) in (list, tuple):
        return (type(value).__name__, [comparable(part) for part in value])
    if isinstance(value, float):
        return ("float", "nan" if math.isnan(value) else value.hex())
    return (type(value).__name__, repr(value))
