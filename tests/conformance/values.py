"""Random values of a schema as Avro's bytes, written here in the plainest way, and decoded values made comparable."""

import math
import struct
import uuid
from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

from atlas_contracts.values.unions import branches_of

_NEAR_ENDS = 4
_TEXTS = ("", "x", "0", "\u00e9\u20ac", "\U0001f600", "a" * 70, "123e4567-e89b-12d3-a456-426614174000")
_FLOATS = (0.0, -0.0, 1.5, 1e-40, -3.4028234663852886e38)
_NOT_JSON = (math.inf, -math.inf, math.nan)
_DAY_MS = 86_400_000
_YEARS_MS = (-62_135_596_800_000, 253_402_300_799_999)
# What the base of a logical type may be, where its text is bounded: years 1 to 9999, a day, 64 bits.
_RANGES: Mapping[str, tuple[int, int]] = {
    "date": (-719_162, 2_932_896),
    "time-millis": (0, _DAY_MS - 1),
    "time-micros": (0, _DAY_MS * 1000 - 1),
    **{
        f"{local}timestamp-{unit}": (max(_YEARS_MS[0] * factor, -(2**63)), min((_YEARS_MS[1] + 1) * factor, 2**63) - 1)
        for local in ("", "local-")
        for unit, factor in (("millis", 1), ("micros", 1000), ("nanos", 1_000_000))
    },
}


class Endless(Exception):
    """A type of which every value holds another of its own."""


class Values:
    """Makes values of definitions with full names; `names` has the named types.

    `sound`: only values that JSON and each logical type have a form for. Others come from other producers.
    """

    def __init__(self, random: Random, names: Mapping[str, Any], *, sound: bool) -> None:
        self._random = random
        self._names = names
        self._sound = sound

    def written(self, definition: Any, depth: int = 6) -> bytes:  # noqa: PLR0911 - one a kind of type
        """The bytes of some value."""
        if isinstance(definition, list):
            return self._union(definition, depth)
        if isinstance(definition, str) and definition in self._names:
            definition = self._names[definition]
        kind = definition if isinstance(definition, str) else definition["type"]
        if isinstance(kind, dict | list):
            return self.written(kind, depth)
        if kind in ("record", "error"):
            if depth < 0 and math.isinf(least_depth(definition, self._names, frozenset())):
                raise Endless
            return b"".join(self.written(field["type"], depth - 1) for field in definition["fields"])
        if kind in ("array", "map"):
            return self._blocks(definition, depth)
        if kind == "enum":
            return zigzag(self._random.randrange(len(definition["symbols"])))
        if self._sound and isinstance(definition, dict) and (made := self._logical(definition, kind)) is not None:
            return made
        return self._octets(definition["size"]) if kind == "fixed" else self.scalar(kind)

    def scalar(self, kind: str) -> bytes:
        """A value of a primitive type, an edge more often than not."""
        random = self._random
        if kind == "null":
            return b""
        if kind == "boolean":
            return bytes([random.randint(0, 1)])
        if kind in ("int", "long"):
            return zigzag(self._whole(31 if kind == "int" else 63))
        if kind in ("float", "double"):
            edges = _FLOATS if self._sound else (*_FLOATS, *_NOT_JSON)
            number = random.choice(edges) if random.randint(0, 1) else random.uniform(-1e6, 1e6)
            return struct.pack("<f" if kind == "float" else "<d", number)
        return _sized(
            random.choice(_TEXTS).encode() if kind == "string" else self._octets(random.choice([0, 1, 2, 9, 16]))
        )

    def _logical(self, definition: Mapping[str, Any], kind: str) -> bytes | None:
        name = str(definition.get("logicalType"))
        if kind in ("int", "long") and name in _RANGES:
            least, most = _RANGES[name]
            return zigzag(self._random.choice([least, most, 0, -1 if least else 1, self._random.randint(least, most)]))
        if name == "uuid" and kind == "string":
            return _sized(str(uuid.UUID(int=self._random.getrandbits(128))).encode())
        if name == "decimal":
            most = 10 ** int(definition["precision"]) - 1
            number: int = self._random.choice([0, 1, -1, most, -most, self._random.randint(-most, most)])
            if kind == "fixed":
                return number.to_bytes(int(definition["size"]), "big", signed=True)
            return _sized(number.to_bytes((8 + (number + (number < 0)).bit_length()) // 8, "big", signed=True))
        return None

    def _whole(self, bits: int) -> int:
        random = self._random
        near = random.randint(-_NEAR_ENDS, _NEAR_ENDS)
        # Between two floats, where rounding twice goes wrong.
        between = (1 << 60) + (1 << 36) + 1
        ends = [2**bits - 1 - abs(near), -(2**bits) + abs(near)]
        number = random.choice([near, *ends, between, random.getrandbits(bits)])
        return number if -(2**bits) <= number < 2**bits else near

    def _octets(self, size: int) -> bytes:
        return bytes(self._random.choice([0, 1, 127, 128, 255]) for _ in range(size))

    def _union(self, branches: Sequence[Any], depth: int) -> bytes:
        indexes = list(range(len(branches)))
        self._random.shuffle(indexes)
        if depth <= 0:  # what needs the least comes first
            indexes.sort(key=lambda index: least_depth(branches[index], self._names, frozenset()))
        return zigzag(indexes[0]) + self.written(branches[indexes[0]], depth - 1)

    def _blocks(self, definition: Mapping[str, Any], depth: int) -> bytes:
        parts = []
        for number in range(self._random.randint(0, 2) if depth > 0 else 0):
            key = b"" if definition["type"] == "array" else _sized(f"k{number}".encode())
            held = definition["items" if definition["type"] == "array" else "values"]
            parts.append(key + self.written(held, depth - 1))
        if not parts:
            return b"\x00"
        body = b"".join(parts)
        # A block may say its size in bytes.
        with_size = self._random.randint(0, 1)
        return (zigzag(-len(parts)) + zigzag(len(body)) if with_size else zigzag(len(parts))) + body + b"\x00"


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


def _sized(data: bytes) -> bytes:
    return zigzag(len(data)) + data


def untagged(value: Any, definition: Any, named: Mapping[str, Any]) -> Any:  # noqa: PLR0911 - one a kind of type
    """A decoded value without the names of its branches, as others read it."""
    if isinstance(definition, list):
        told = branches_of(definition, named)
        if value is None or not told.tagged:
            return value if value is None else _of_some_branch(value, definition, named)
        ((tag, inner),) = value.items()
        return untagged(inner, definition[told.by_tag[tag]], named)
    if isinstance(definition, str):
        return untagged(value, named[definition], named) if definition in named else value
    kind = definition["type"]
    if kind in ("record", "error"):
        return {field["name"]: untagged(value[field["name"]], field["type"], named) for field in definition["fields"]}
    if kind == "array":
        return [untagged(item, definition["items"], named) for item in value]
    if kind == "map":
        return {key: untagged(item, definition["values"], named) for key, item in value.items()}
    return value if isinstance(kind, str) and kind not in named else untagged(value, kind, named)


def _of_some_branch(value: Any, branches: Sequence[Any], named: Mapping[str, Any]) -> Any:
    """Where no two branches look alike, at most one is an array and one an object."""
    kinds = {"array"} if isinstance(value, list) else {"map", "record", "error"} if isinstance(value, dict) else set()
    for branch in branches:
        known = named.get(branch, branch) if isinstance(branch, str) else branch
        while isinstance(known, dict) and isinstance(known["type"], dict):
            known = known["type"]
        if isinstance(known, dict) and known["type"] in kinds:
            return untagged(value, known, named)
    return value


def comparable(value: Any) -> Any:
    """A decoded value as one that == tells apart to the bit: NaN, minus zero, int and float, order of a map."""
    if isinstance(value, Mapping):
        return ("map", sorted((key, comparable(part)) for key, part in value.items()))
    if type(value) in (list, tuple):
        return (type(value).__name__, [comparable(part) for part in value])
    if isinstance(value, float):
        return ("float", "nan" if math.isnan(value) else value.hex())
    return (type(value).__name__, repr(value))
