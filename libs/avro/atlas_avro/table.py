"""The one table of types: for each type of Avro, physical and logical, what it is at every place.

A new logical type is one entry of LOGICAL. Who needs to know of a type asks `meaning`; nobody else reads the words
`logicalType`, `precision` or `scale`.
"""

import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from functools import partial
from typing import Any

from atlas_avro import decimals, durations, times
from atlas_avro.durations import Duration
from atlas_avro.meaning import Meaning, Parquet
from atlas_avro.primitives import OCTETS_JSON, PRIMITIVES, json_octets, octets, octets_text

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
    name = definition.get("logicalType")
    found = LOGICAL.get(name) if isinstance(name, str) else None
    return name if found and definition.get("type") in found.bases and found.fault(definition) is None else None


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
    if kind == "fixed":
        return _fixed(int(definition["size"]))
    return meaning(kind) if isinstance(kind, str | Mapping) else None


def fault(definition: Mapping[str, Any]) -> str | None:
    """What is wrong with the logical type of a definition, in words, where a known one is declared wrong; or None."""
    name = definition.get("logicalType")
    found = LOGICAL.get(name) if isinstance(name, str) else None
    if found is None:
        return None
    if definition.get("type") not in found.bases:
        return f"a {name} is {' or '.join(sorted(found.bases))}, not {definition.get('type')!r}"
    return found.fault(definition)


def _sound(_definition: Mapping[str, Any]) -> None:
    return None


def _fixed(size: int) -> Meaning:
    def sized(data: bytes) -> bytes:
        if len(data) != size:
            raise ValueError(f"{len(data)} bytes")
        return data

    return Meaning(
        "fixed", "bytes", "bytea", Parquet("binary"),
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
        # The digits of a huge int are not asked for: that alone would take long.
        if type(given) is int and given.bit_length() > 4 * precision + 4:
            raise ValueError(f"more than {precision} digits")
        number = decimals.unscaled(Decimal(given), precision, scale)
        return decimals.to_bytes(number) if size is None else number.to_bytes(size, "big", signed=True)

    wanted = f"decimal of {precision} digits, {scale} of them behind the point"
    return Meaning(
        "decimal", "decimal.Decimal", f"numeric({precision}, {scale})",
        Parquet("decimal", precision, scale) if precision <= _PARQUET_DIGITS_MAX else Parquet("string"),
        {"type": "string", "format": "decimal", "pattern": _decimal_pattern(precision, scale)},
        f"{wanted} (Decimal or int)", f"{wanted}, as text or a number",
        check, lambda given: check(decimals.parse(given) if isinstance(given, str) else given), decimals.text,
        value=partial(decimals.from_bytes, scale=scale), exact=True,
    )  # fmt: skip


def _decimal_pattern(precision: int, scale: int) -> str:
    front = f"\\d{{1,{max(precision - scale, 1)}}}"
    return f"^-?{front}(\\.\\d{{1,{scale}}})?$" if scale else f"^-?{front}$"


def _count(
    least: int, most: int, parse_text: Callable[[str], int], of_python: Callable[[Any], int | None]
) -> tuple[Callable[[Any], int], Callable[[Any], int]]:
    """The check and the parse of a type that is a whole number with a text; `of_python`: None for no value of it."""

    def check(given: Any) -> int:
        number = given if type(given) is int else of_python(given)
        if number is None or not least <= number <= most:
            raise ValueError
        return number

    def parse(given: Any) -> int:
        if isinstance(given, str):
            return parse_text(given)
        if type(given) is int and least <= given <= most:
            return given
        raise ValueError

    return check, parse


def _render(text: Callable[[int], str]) -> Callable[[int], str | int]:
    def render(count: int) -> str | int:
        try:
            return text(count)
        except ValueError:
            return count

    return render


def _date(_definition: Mapping[str, Any]) -> Meaning:
    def of_python(given: Any) -> int | None:
        return times.parse_date(given.isoformat()) if type(given) is date else None

    check, parse = _count(times.LEAST_DAY, times.MOST_DAY, times.parse_date, of_python)
    return Meaning(
        "date", "int (days since 1970-01-01)", "date", Parquet("date"), {"type": "string", "format": "date"},
        "date of the years 1 to 9999 (days since 1970-01-01, or a date)",
        "date of the years 1 to 9999 (2024-02-29, or days since 1970-01-01)",
        check, parse, _render(times.date_text),
    )  # fmt: skip


def _time(digits: int, unit: str, _definition: Mapping[str, Any]) -> Meaning:
    def of_python(given: Any) -> int | None:
        if type(given) is not time or given.tzinfo is not None:
            return None
        return times.parse_time(given.isoformat(), digits)

    check, parse = _count(0, times.DAY_S * 10**digits - 1, lambda text: times.parse_time(text, digits), of_python)
    return Meaning(
        f"time-{unit}", f"int ({unit} since midnight)", "time", Parquet("time", digits),
        {"type": "string", "format": "time", "description": "Without an offset."},
        f"time of a day ({unit} since midnight, or a time without a zone)",
        f"time of a day (10:15:00.250, at most {digits} digits behind the point, or {unit} since midnight)",
        check, parse, _render(partial(times.time_text, digits=digits)),
    )  # fmt: skip


def _timestamp(digits: int, unit: str, _definition: Mapping[str, Any]) -> Meaning:
    def of_python(given: Any) -> int | None:
        if not isinstance(given, datetime) or given.tzinfo is None:
            return None
        return times.parse_instant(given.astimezone(UTC).isoformat(), digits)

    check, parse = _count(*times.instants(digits), lambda text: times.parse_instant(text, digits), of_python)
    wanted = f"timestamp of the years {_years(digits)}"
    return Meaning(
        f"timestamp-{unit}", f"int (epoch {unit})", "timestamptz" if digits <= 6 else "bigint",
        Parquet("timestamp", digits), {"type": "string", "format": "date-time"},
        f"{wanted} (epoch {_named(unit)}, or a datetime with a zone)",
        f"{wanted} (RFC 3339 with an offset, at most {digits} digits behind the point, or epoch {_named(unit)})",
        check, parse, _render(partial(times.instant_text, digits=digits)),
    )  # fmt: skip


def _local(digits: int, unit: str, _definition: Mapping[str, Any]) -> Meaning:
    def of_python(given: Any) -> int | None:
        if not isinstance(given, datetime) or given.tzinfo is not None:
            return None
        return times.parse_local(given.isoformat(), digits)

    check, parse = _count(*times.instants(digits), lambda text: times.parse_local(text, digits), of_python)
    wanted, counted = f"date and time of the years {_years(digits)}", f"{_named(unit)} since 1970-01-01T00:00"
    return Meaning(
        f"local-timestamp-{unit}", f"int ({unit} since 1970-01-01T00:00)", "timestamp" if digits <= 6 else "bigint",
        Parquet("local-timestamp", digits), {"type": "string", "description": "ISO 8601 date and time, no offset."},
        f"{wanted} ({counted}, or a datetime without a zone)",
        f"{wanted} (2024-02-29T10:15:00 without an offset, at most {digits} digits behind the point, or {counted})",
        check, parse, _render(partial(times.local_text, digits=digits)),
    )  # fmt: skip


def _years(digits: int) -> str:
    return "1677 to 2262" if digits > 6 else "1 to 9999"


def _named(unit: str) -> str:
    return {"millis": "milliseconds", "micros": "microseconds", "nanos": "nanoseconds"}[unit]


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
        "uuid", "str", "uuid", Parquet("string"), {"type": "string", "format": "uuid"}, wanted, wanted, check, check,
        lambda given: given, value=None if definition["type"] == "string" else value,
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
        "duration", "atlas_avro.durations.Duration (months, days, milliseconds)", "interval", Parquet("duration"),
        {"type": "string", "format": "duration"}, "Duration (months, days, milliseconds, each of 32 bits)",
        "duration (ISO 8601, as P1M2DT3.004S)", check, parse, durations.text, value=durations.from_bytes,
    )  # fmt: skip


def _duration_fault(definition: Mapping[str, Any]) -> str | None:
    if definition.get("size") != durations.SIZE:
        return f"a duration is a fixed of {durations.SIZE} bytes, not {definition.get('size')!r}"
    return None


def _on(base: str, make: Callable[[Mapping[str, Any]], Meaning]) -> Logical:
    return Logical(frozenset({base}), _sound, make)


_UNITS = {3: "millis", 6: "micros", 9: "nanos"}
LOGICAL: Mapping[str, Logical] = {
    "decimal": Logical(frozenset({"bytes", "fixed"}), _decimal_fault, _decimal),
    "uuid": Logical(frozenset({"string", "fixed"}), _uuid_fault, _uuid),
    "date": _on("int", _date),
    "time-millis": _on("int", partial(_time, 3, "millis")),
    "time-micros": _on("long", partial(_time, 6, "micros")),
    **{f"timestamp-{unit}": _on("long", partial(_timestamp, digits, unit)) for digits, unit in _UNITS.items()},
    **{f"local-timestamp-{unit}": _on("long", partial(_local, digits, unit)) for digits, unit in _UNITS.items()},
    "duration": Logical(frozenset({"fixed"}), _duration_fault, _duration),
}
