"""What a row of a read model holds in a column of each type that has more than one form.

A handler may hand over any form that can be told for sure; a row holds one, and it is the one that comes back from
PostgreSQL, so that what a handler is given of the row before does not depend on where that comes from. What can't be
kept as it is (a third digit in numeric(12, 2), a time finer than its column) is refused, never rounded.
"""

import ipaddress
import json
import re
import struct
import uuid
from collections.abc import Callable
from datetime import UTC, date, datetime, time
from decimal import Context, Decimal, Inexact, InvalidOperation
from typing import Any

import orjson
from atlas_avro import decimals, durations, times
from atlas_avro.durations import Duration
from atlas_avro.primitives import string

from atlas_readmodel.columns.json_rows import dumps, plain

# From what a handler hands over to what the row holds. Raises ValueError with what was expected.
Take = Callable[[Any], Any]

# What PostgreSQL's numeric can hold without a precision.
NUMERIC_DIGITS_MAX = 131_072
NUMERIC_SCALE_MAX = 16_383
# A whole number of more bits is none of numeric; nothing is done with its digits before that is known.
_NUMERIC_BITS_MAX = 440_000
_EXACT = Context(
    prec=NUMERIC_DIGITS_MAX + NUMERIC_SCALE_MAX + 1, Emax=999_999, Emin=-999_999, traps=[Inexact, InvalidOperation]
)
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII | re.IGNORECASE)
_INT_LEAST, _INT_MOST = -(2**63), 2**64 - 1
_INTERVAL_PART_MAX = 2**31 - 1
_SECOND_DIGITS = 6


def take_double(value: Any) -> float:
    """A float, or a whole number that is one."""
    if isinstance(value, float):
        return float(value)
    if type(value) is not int:
        raise ValueError(f"expected float, got {type(value).__name__}")
    try:
        number = float(value)
    except OverflowError:
        raise ValueError("out of range of double precision") from None
    if number != value:
        raise ValueError("a whole number that double precision would round; numeric holds it")
    return number


def take_real(value: Any) -> float:
    """The number of 32 bits that is nearest, as Avro's float is."""
    number = take_double(value)
    try:
        single: float = struct.unpack("<f", struct.pack("<f", number))[0]
    except OverflowError:
        raise ValueError("out of range of real") from None
    return single


def numeric(precision: int | None, scale: int) -> Take:
    """Decimals: of so many digits with `scale` behind the point; without a precision as they are."""
    unit = Decimal((0, (1,), -scale))
    wanted = "expected Decimal, int or a decimal as text"

    def take(value: Any) -> Decimal:
        number = _number(value, wanted)
        if number.is_snan():
            raise ValueError(wanted)
        if number.is_nan():
            return Decimal("NaN")
        if number.is_infinite():
            if precision is not None:
                raise ValueError(f"numeric({precision}, {scale}) has no infinity")
            return number
        if not number:
            number = number.copy_abs()
        if precision is None:
            return _unbounded(number)
        if number and number.adjusted() >= precision - scale:
            raise ValueError(f"more than {precision} digits, {scale} of them behind the point")
        try:
            return _whole(_EXACT.quantize(number, unit))
        except (Inexact, InvalidOperation):
            raise ValueError(f"more than {scale} digits behind the point, which would be rounded") from None

    return take


def _number(value: Any, wanted: str) -> Decimal:
    if isinstance(value, Decimal):
        return value
    if type(value) is int and value.bit_length() <= _NUMERIC_BITS_MAX:
        return Decimal(value)
    if isinstance(value, str):
        try:
            return decimals.parse(value)
        except ValueError:
            raise ValueError(wanted) from None
    raise ValueError(f"{wanted}, got {type(value).__name__}")


def _unbounded(number: Decimal) -> Decimal:
    if number.adjusted() >= NUMERIC_DIGITS_MAX or -int(number.as_tuple().exponent) > NUMERIC_SCALE_MAX:
        raise ValueError(f"more than {NUMERIC_DIGITS_MAX} digits before the point or {NUMERIC_SCALE_MAX} behind it")
    return _whole(number)


def _whole(number: Decimal) -> Decimal:
    """Without a power of ten: 1E+3 is 1000."""
    return number if int(number.as_tuple().exponent) <= 0 else _EXACT.quantize(number, Decimal(1))


def numeric_of_json(value: Any) -> Any:
    """What numeric takes, of text: NaN and the infinities too."""
    return Decimal(value) if value in ("NaN", "Infinity", "-Infinity") else value


def found_numeric(value: Decimal) -> Decimal:
    """As the row holds it: the driver makes 1E+4 of 10000."""
    return value if not value.is_finite() else _whole(value)


def take_date(value: Any) -> date:
    """A date, or the days since 1970-01-01 as Avro writes one."""
    if type(value) is date:
        return value
    if type(value) is int:
        return times.as_date(value)
    raise ValueError(f"expected a date or days since 1970-01-01, got {type(value).__name__}")


def take_time(digits: int) -> Take:
    """A time of a day, without a zone; a number could be of milliseconds or of microseconds."""
    return _without_zone(time, digits)


def take_local(digits: int) -> Take:
    """A datetime without a zone."""
    return _without_zone(datetime, digits)


def _without_zone(kind: type[time] | type[datetime], digits: int) -> Take:
    def take(value: Any) -> time | datetime:
        if not isinstance(value, kind) or value.tzinfo is not None:
            raise ValueError(f"expected a {kind.__name__} without a zone, got {_kind(value)}")
        _fine_enough(value.microsecond, digits)
        return value.replace(fold=0)

    return take


def take_instant(digits: int) -> Take:
    """A datetime with a zone; held in UTC. A number could be of milliseconds, microseconds or nanoseconds."""

    def take(value: Any) -> datetime:
        if not isinstance(value, datetime) or value.tzinfo is None:
            hint = ", as atlas_avro.times.as_datetime makes one of a count" if type(value) is int else ""
            raise ValueError(f"expected a datetime with a zone{hint}, got {_kind(value)}")
        _fine_enough(value.microsecond, digits)
        try:
            return value.astimezone(UTC)
        except OverflowError:
            raise ValueError("outside the years 1 to 9999, in UTC") from None

    return take


def _kind(value: Any) -> str:
    kind = type(value).__name__
    if not isinstance(value, time | datetime):
        return kind
    return f"{kind} with a zone" if value.tzinfo is not None else f"{kind} without a zone"


def _fine_enough(micros: int, digits: int) -> None:
    if micros % 10 ** (_SECOND_DIGITS - digits):
        raise ValueError(f"more than {digits} digits of a second, which would be rounded")


def take_interval(digits: int) -> Take:
    """A Duration; its months and days within 31 bits, as PostgreSQL's are."""

    def take(value: Any) -> Duration:
        if not isinstance(value, Duration):
            raise ValueError(f"expected a Duration, got {type(value).__name__}")
        duration = durations.checked(value)
        if max(duration.months, duration.days) > _INTERVAL_PART_MAX:
            raise ValueError(f"months or days above {_INTERVAL_PART_MAX}, which no interval holds")
        _fine_enough(duration.milliseconds * 1000, digits)
        return duration

    return take


def take_uuid(value: Any) -> str:
    """8-4-4-4-12 hexadecimal digits, or a UUID; held as text in lower case."""
    text = str(value) if isinstance(value, uuid.UUID) else value
    if not isinstance(text, str) or not _UUID.fullmatch(text):
        raise ValueError("expected a UUID, or 8-4-4-4-12 hexadecimal digits")
    return text.lower()


def take_inet(value: Any) -> str:
    """An address, with or without its network's length; held as text."""
    wanted = "expected an IP address, as 192.0.2.1, 192.0.2.1/24 or 2001:db8::1"
    if not isinstance(value, str | ipaddress.IPv4Address | ipaddress.IPv6Address):
        raise ValueError(f"{wanted}, got {type(value).__name__}")
    try:
        found = ipaddress.ip_interface(value)
    except ValueError:
        raise ValueError(wanted) from None
    if getattr(found, "scope_id", None) is not None:
        raise ValueError("an address with a scope, which would be lost")
    return str(found.ip if found.network.prefixlen == found.max_prefixlen else found)


def take_json(value: Any) -> Any:
    """An object or a list (or a number, true, false), as Python has it or as JSON text; held as Python has it."""
    try:
        found = _parsed(value) if isinstance(value, str) else plain(value)
        if found is None or isinstance(found, str):
            raise ValueError("a text, or null, by itself is for a text column; expected an object or a list")
        return _checked(found)
    except (TypeError, RecursionError) as error:
        raise ValueError(f"no JSON: {error}") from None


def _parsed(text: str) -> Any:
    try:
        orjson.loads(text)  # which is no JSON to it is none to PostgreSQL, and it minds depth
        return json.loads(text, parse_float=_exact_float)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"no JSON text: {error}") from None


def _exact_float(digits: str) -> float:
    number = float(digits)
    if Decimal(repr(number)) != Decimal(digits):
        raise ValueError(f"the number {digits[:40]} has more digits than a double; give it as text")
    return number


def _checked(value: Any) -> Any:
    """The same, if PostgreSQL can hold it and give it back."""
    kind = type(value)
    if kind is str:
        _json_text(value)
    elif kind is int:
        if not _INT_LEAST <= value <= _INT_MOST:
            raise ValueError("a whole number in JSON of more than 64 bits; give it as text")
    elif kind is dict:
        for name, part in value.items():
            _json_text(name)
            _checked(part)
    elif kind is list:
        for part in value:
            _checked(part)
    return value


def _json_text(value: str) -> None:
    string(value)
    if "\0" in value:
        raise ValueError("a NUL in a text, which jsonb can't hold")


def put_json(value: Any) -> str:
    """JSON text of what the row holds."""
    return dumps(value).decode()


def found_json(value: str) -> Any:
    """What the row holds, of PostgreSQL's text."""
    return orjson.loads(value)
