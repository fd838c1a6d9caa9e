"""The one table of types: for each type of Avro, physical and logical, what it is at every place.

A new logical type is one entry of LOGICAL. Who needs to know of a type asks `meaning`; nobody else reads the words
`logicalType`, `precision` or `scale`.
"""

import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from typing import Any

from atlas_avro import decimals, durations
from atlas_avro.durations import Duration
from atlas_avro.meaning import TEXT, TEXT_OR_NUMBER, Meaning, Parquet
from atlas_avro.primitives import OCTETS_JSON, PRIMITIVES, json_octets, octets, octets_text, same
from atlas_avro.temporal import UNITS, date_meaning, local_timestamp_meaning, time_meaning, timestamp_meaning

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII | re.IGNORECASE)
# Digits that Parquet's readers, Spark and Polars among them, have a decimal for.
_PARQUET_DIGITS_MAX = 38
_UUID_SIZE = 16


@dataclass(frozen=True, slots=True)
class Logical:
    """A logical type. `bases`: the types that it may stand on.

    `fault`: what is wrong with a definition on one of them, in words, or None. `make`: the meaning of a definition.
    """

    bases: frozenset[str]
    fault: Callable[[Mapping[str, Any]], str | None]
    make: Callable[[Mapping[str, Any]], Meaning]


def logical(definition: Any) -> str | None:
    """The name of a definition's logical type, if that is known here and may stand on its base; None otherwise.

    By the specification what is unknown, or misplaced, is its base type.
    """
    if not isinstance(definition, Mapping):
        return None
    name, base = definition.get("logicalType"), definition.get("type")
    found = LOGICAL.get(name) if isinstance(name, str) else None
    if found is None or not isinstance(base, str) or base not in found.bases or found.fault(definition) is not None:
        return None
    return str(name)


def meaning(definition: Any) -> Meaning | None:
    """What the values of a definition are; None where it is made of others (record, array, map, union) or an enum, and
    where it refers to a named type.
    """
    if isinstance(definition, str):
        return PRIMITIVES.get(definition)
    if not isinstance(definition, Mapping):
        return None
    name = logical(definition)
    if name is not None:
        return LOGICAL[name].make(definition)
    kind = definition.get("type")
    return base(definition) if kind == "fixed" else meaning(kind)


def base(definition: Any) -> Meaning:
    """What the values of a primitive type or a fixed are, whatever logical type stands on it."""
    if isinstance(definition, str):
        return PRIMITIVES[definition]
    return _fixed(int(definition["size"])) if definition["type"] == "fixed" else base(definition["type"])


def value_of(definition: Any) -> Callable[[Any], Any] | None:
    """What makes the Python value of a definition's base, where its own logical type gives it another; or None."""
    name = logical(definition)
    return None if name is None else LOGICAL[name].make(definition).value


def fault(definition: Mapping[str, Any]) -> str | None:
    """What is wrong with a decimal as it is declared, in words; or None.

    It would be its base, as any logical type that means nothing where it stands. But who gives it digits means numbers.
    """
    if definition.get("logicalType") != "decimal":
        return None
    if definition.get("type") not in ("bytes", "fixed"):
        return f"a decimal is bytes or fixed, not {definition.get('type')!r}"
    return _decimal_fault(definition)


def _sound(_definition: Mapping[str, Any]) -> None:
    return None


def _fixed(size: int) -> Meaning:
    def sized(data: bytes) -> bytes:
        if len(data) != size:
            raise ValueError(f"{len(data)} bytes")
        return data

    return Meaning(
        "fixed", "bytes", bytes, TEXT, "bytea", Parquet("binary"),
        {"type": "string", "minLength": size, "maxLength": size, "description": "Bytes, each as a code point."},
        f"exactly {size} bytes", f"exactly {size} {OCTETS_JSON}",
        lambda given: sized(octets(given)), lambda given: sized(json_octets(given)), octets_text,
    )  # fmt: skip


def _decimal_fault(definition: Mapping[str, Any]) -> str | None:
    precision, scale = definition.get("precision"), definition.get("scale", 0)
    if type(precision) is not int or not 1 <= precision <= decimals.PRECISION_MAX:
        return f"the precision of a decimal is {precision!r}, not a whole number from 1 to {decimals.PRECISION_MAX}"
    if type(scale) is not int or not 0 <= scale <= precision:
        return f"the scale of a decimal is {scale!r}, not a whole number from 0 to its precision, {precision}"
    size = definition.get("size")
    if definition["type"] == "fixed" and type(size) is int and (size < 1 or 10**precision > 2 ** (8 * size - 1)):
        return f"{size} bytes can't hold a decimal of {precision} digits"
    return None


def _decimal(definition: Mapping[str, Any]) -> Meaning:
    precision, scale = int(definition["precision"]), int(definition.get("scale", 0))
    size = int(definition["size"]) if definition["type"] == "fixed" else None

    def check(given: Any) -> bytes:
        if type(given) is not int and not isinstance(given, Decimal):
            raise ValueError
        number = decimals.unscaled(Decimal(given), precision, scale)
        return decimals.to_bytes(number) if size is None else number.to_bytes(size, "big", signed=True)

    wanted = f"decimal of {precision} digits, {scale} of them behind the point"
    return Meaning(
        "decimal", "decimal.Decimal", Decimal, TEXT_OR_NUMBER, f"numeric({precision}, {scale})",
        Parquet("decimal", precision, scale) if precision <= _PARQUET_DIGITS_MAX else Parquet("string"),
        {"type": "string", "format": "decimal", "pattern": _decimal_pattern(precision, scale)},
        f"{wanted} (Decimal or int)", f"{wanted}, as text or a number",
        check, lambda given: check(decimals.parse(given) if isinstance(given, str) else given), decimals.text,
        value=partial(decimals.from_bytes, scale=scale), openapi_number={"type": "number"}, exact=True,
    )  # fmt: skip


def _decimal_pattern(precision: int, scale: int) -> str:
    front = f"\\d{{1,{max(precision - scale, 1)}}}"
    return f"^-?{front}(\\.\\d{{1,{scale}}})?$" if scale else f"^-?{front}$"


def _uuid(definition: Mapping[str, Any]) -> Meaning:
    def check(given: Any) -> Any:
        text = str(given) if isinstance(given, uuid.UUID) else given
        if not isinstance(text, str) or not _UUID.fullmatch(text):
            raise ValueError
        return text.lower() if definition["type"] == "string" else uuid.UUID(text).bytes

    def value(data: bytes) -> str:
        return str(uuid.UUID(bytes=data))

    wanted = "UUID, as 8-4-4-4-12 hexadecimal digits"
    return Meaning(
        "uuid", "str", str, TEXT, "uuid", Parquet("string"), {"type": "string", "format": "uuid"}, wanted, wanted,
        check, check, same, value=None if definition["type"] == "string" else value,
    )  # fmt: skip


def _uuid_fault(definition: Mapping[str, Any]) -> str | None:
    if definition["type"] == "fixed" and definition.get("size") != _UUID_SIZE:
        return f"a uuid is a fixed of {_UUID_SIZE} bytes, not {definition.get('size')!r}"
    return None


def _duration(_definition: Mapping[str, Any]) -> Meaning:
    def check(given: Any) -> bytes:
        if not isinstance(given, Duration):
            raise ValueError
        return durations.to_bytes(durations.checked(given))

    def parse(given: Any) -> bytes:
        return check(durations.parse(given) if isinstance(given, str) else given)

    return Meaning(
        "duration", "atlas_avro.durations.Duration (months, days, milliseconds)", Duration, TEXT, "interval",
        Parquet("duration"),
        {"type": "string", "format": "duration"}, "Duration (months, days, milliseconds, each of 32 bits)",
        "duration (ISO 8601, as P1M2DT3.004S)", check, parse, durations.text, value=durations.from_bytes,
    )  # fmt: skip


def _duration_fault(definition: Mapping[str, Any]) -> str | None:
    if definition.get("size") != durations.SIZE:
        return f"a duration is a fixed of {durations.SIZE} bytes, not {definition.get('size')!r}"
    return None


def _on(base: str, make: Callable[[Mapping[str, Any]], Meaning]) -> Logical:
    return Logical(frozenset({base}), _sound, make)


LOGICAL: Mapping[str, Logical] = {
    "decimal": Logical(frozenset({"bytes", "fixed"}), _decimal_fault, _decimal),
    "uuid": Logical(frozenset({"string", "fixed"}), _uuid_fault, _uuid),
    "date": _on("int", date_meaning),
    "time-millis": _on("int", partial(time_meaning, 3)),
    "time-micros": _on("long", partial(time_meaning, 6)),
    **{f"timestamp-{unit}": _on("long", partial(timestamp_meaning, n)) for n, unit in UNITS.items()},
    **{f"local-timestamp-{unit}": _on("long", partial(local_timestamp_meaning, n)) for n, unit in UNITS.items()},
    "duration": Logical(frozenset({"fixed"}), _duration_fault, _duration),
}
