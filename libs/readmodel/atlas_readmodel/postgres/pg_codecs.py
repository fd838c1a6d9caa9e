"""How values of four types go to and come from PostgreSQL, where asyncpg's own way loses something.

It takes the first and the last moment of Python's calendar for infinities, so that 9999-12-31 would be later than every
date; and it makes days of an interval's months. Set these on each connection that reads or writes read models.
"""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import orjson
from atlas_avro.durations import Duration

from atlas_readmodel.columns.json_rows import dumps, plain

_DAY_0 = date(2000, 1, 1).toordinal()
_UNIX_DAY_0 = date(1970, 1, 1).toordinal()
_LOCAL_0 = datetime(2000, 1, 1)  # noqa: DTZ001 - of the type that has no zone
_INSTANT_0 = datetime(2000, 1, 1, tzinfo=UTC)
_UNIX_0_US = -946_684_800_000_000  # from 2000 to 1970
_MICROSECOND = timedelta(microseconds=1)
_INFINITE_DAYS = {2**31 - 1: "infinity", -(2**31): "-infinity"}
_INFINITE_US = {2**63 - 1: "infinity", -(2**63): "-infinity"}


async def set_codecs(connection: Any) -> None:
    """For the `init` of a pool."""
    # In a transaction, so that a pooler keeps one session for the statements that look the types up.
    async with connection.transaction():
        for name, encode, decode in _CODECS:
            await connection.set_type_codec(name, schema="pg_catalog", encoder=encode, decoder=decode, format="tuple")


async def set_reading_codecs(connection: Any) -> None:
    """The same, and JSON as Python has it: for connections that no rows are copied on."""
    await set_codecs(connection)
    async with connection.transaction():
        for name in ("json", "jsonb"):
            await connection.set_type_codec(name, schema="pg_catalog", encoder=_encode_json, decoder=orjson.loads)


def _encode_json(value: Any) -> str:
    """Text is JSON text."""
    return value if isinstance(value, str) else dumps(plain(value)).decode()


def _encode_date(value: Any) -> tuple[int]:
    if not isinstance(value, date):
        raise TypeError(f"expected a date, got {type(value).__name__}")
    return (value.toordinal() - _DAY_0,)


def _decode_date(found: tuple[int]) -> date | int | str:
    """Beyond the years 1 to 9999, where a view alone can lead: the days since 1970, or `infinity`."""
    (days,) = found
    try:
        return _INFINITE_DAYS.get(days) or date.fromordinal(days + _DAY_0)
    except (ValueError, OverflowError):
        return days + _DAY_0 - _UNIX_DAY_0


def _encode_local(value: Any) -> tuple[int]:
    if not isinstance(value, datetime) or value.tzinfo is not None:
        raise TypeError(f"expected a datetime without a zone, got {type(value).__name__}")
    return ((value - _LOCAL_0) // _MICROSECOND,)


def _encode_instant(value: Any) -> tuple[int]:
    if not isinstance(value, datetime):
        raise TypeError(f"expected a datetime, got {type(value).__name__}")
    return ((value.astimezone(UTC) - _INSTANT_0) // _MICROSECOND,)


def _decode_moment(start: datetime) -> Any:
    def decode(found: tuple[int]) -> datetime | int | str:
        """As of a date; microseconds since 1970."""
        (micros,) = found
        try:
            return _INFINITE_US.get(micros) or start + timedelta(microseconds=micros)
        except OverflowError:
            return micros - _UNIX_0_US

    return decode


def _encode_interval(value: Any) -> tuple[int, int, int]:
    if isinstance(value, Duration):
        return value.months, value.days, value.milliseconds * 1000
    if isinstance(value, timedelta):
        return 0, value.days, (value - timedelta(days=value.days)) // _MICROSECOND
    raise TypeError(f"expected a Duration, got {type(value).__name__}")


def _decode_interval(found: tuple[int, int, int]) -> Duration | str:
    """What a Duration can't hold, a part below zero or of microseconds, is ISO 8601 text."""
    months, days, micros = found
    if micros in _INFINITE_US:
        return _INFINITE_US[micros]
    if min(found) >= 0 and micros % 1000 == 0 and micros < 1000 * 2**32:
        return Duration(months, days, micros // 1000)
    seconds, fraction = divmod(abs(micros), 1_000_000)
    sign = "-" if micros < 0 else ""
    return f"P{months}M{days}DT{sign}{seconds}.{fraction:06d}S"


_CODECS = (
    ("date", _encode_date, _decode_date),
    ("timestamp", _encode_local, _decode_moment(_LOCAL_0)),
    ("timestamptz", _encode_instant, _decode_moment(_INSTANT_0)),
    ("interval", _encode_interval, _decode_interval),
)
