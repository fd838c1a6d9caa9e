"""The entries of dates and times: whole numbers in Avro, ISO 8601 in JSON.

Python may hand over either the number or its own object; a decoded event holds the number.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time
from functools import partial
from typing import Any

from atlas_avro import times
from atlas_avro.meaning import TEXT_OR_NUMBER, Meaning, Parquet

# By the digits behind a second's point.
UNITS = {3: "millis", 6: "micros", 9: "nanos"}
_NAMED = {3: "milliseconds", 6: "microseconds", 9: "nanoseconds"}


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


def _whole(least: int, most: int) -> dict[str, Any]:
    return {"type": "integer", "minimum": least, "maximum": most}


def date_meaning(_definition: Mapping[str, Any]) -> Meaning:
    def of_python(given: Any) -> int | None:
        return times.parse_date(given.isoformat()) if type(given) is date else None

    check, parse = _count(times.LEAST_DAY, times.MOST_DAY, times.parse_date, of_python)
    return Meaning(
        "date", "int (days since 1970-01-01)", int, TEXT_OR_NUMBER, "date", Parquet("date"),
        {"type": "string", "format": "date"},
        "date of the years 1 to 9999 (days since 1970-01-01, or a date)",
        "date of the years 1 to 9999 (2024-02-29, or days since 1970-01-01)",
        check, parse, _render(times.date_text), openapi_number=_whole(times.LEAST_DAY, times.MOST_DAY),
    )  # fmt: skip


def time_meaning(digits: int, _definition: Mapping[str, Any]) -> Meaning:
    def of_python(given: Any) -> int | None:
        if type(given) is not time or given.tzinfo is not None:
            return None
        return times.parse_time(given.isoformat(), digits)

    unit = _NAMED[digits]
    most = times.DAY_S * 10**digits - 1
    check, parse = _count(0, most, partial(times.parse_time, digits=digits), of_python)
    return Meaning(
        f"time-{UNITS[digits]}", f"int ({unit} since midnight)", int, TEXT_OR_NUMBER, "time", Parquet("time", digits),
        {"type": "string", "format": "time", "description": "Without an offset."},
        f"time of a day ({unit} since midnight, or a time without a zone)",
        f"time of a day (10:15:00.250, at most {digits} digits behind the point, or {unit} since midnight)",
        check, parse, _render(partial(times.time_text, digits=digits)), openapi_number=_whole(0, most),
    )  # fmt: skip


def timestamp_meaning(digits: int, _definition: Mapping[str, Any]) -> Meaning:
    text = times.instant_parser(digits)

    def of_python(given: Any) -> int | None:
        if not isinstance(given, datetime) or given.utcoffset() is None:
            return None
        try:
            return text(given.astimezone(UTC).isoformat())
        except OverflowError:  # its offset leads out of Python's years
            return None

    check, parse = _count(*times.instants(digits), text, of_python)
    wanted, unit = f"timestamp of the years {_years(digits)}", _NAMED[digits]
    return Meaning(
        f"timestamp-{UNITS[digits]}", f"int (epoch {unit})", int, TEXT_OR_NUMBER,
        "timestamptz" if digits <= 6 else "bigint", Parquet("timestamp", digits),
        {"type": "string", "format": "date-time"},
        f"{wanted} (epoch {unit}, or a datetime with a zone)",
        f"{wanted} (RFC 3339 with an offset, at most {digits} digits behind the point, or epoch {unit})",
        check, parse, _render(partial(times.instant_text, digits=digits)),
        openapi_number=_whole(*times.instants(digits)),
    )  # fmt: skip


def local_timestamp_meaning(digits: int, _definition: Mapping[str, Any]) -> Meaning:
    text = times.local_parser(digits)

    def of_python(given: Any) -> int | None:
        if not isinstance(given, datetime) or given.utcoffset() is not None:
            return None
        return text(given.replace(tzinfo=None).isoformat())

    check, parse = _count(*times.instants(digits), text, of_python)
    wanted, counted = f"date and time of the years {_years(digits)}", f"{_NAMED[digits]} since 1970-01-01T00:00"
    return Meaning(
        f"local-timestamp-{UNITS[digits]}", f"int ({counted})", int, TEXT_OR_NUMBER,
        "timestamp" if digits <= 6 else "bigint", Parquet("local-timestamp", digits),
        {"type": "string", "description": "ISO 8601 date and time, no offset."},
        f"{wanted} ({counted}, or a datetime without a zone)",
        f"{wanted} (2024-02-29T10:15:00 without an offset, at most {digits} digits behind the point, or {counted})",
        check, parse, _render(partial(times.local_text, digits=digits)), openapi_number=_whole(*times.instants(digits)),
    )  # fmt: skip


def _years(digits: int) -> str:
    return "1677 to 2262" if digits > 6 else "1 to 9999"
