"""Dates and times as ISO 8601 text and as Avro's counts, one to the other, exactly.

Text is of the profile of RFC 3339: `2024-02-29`, `10:15:00.250`, `2024-02-29T10:15:00.250Z`. `digits` are those behind
a second's point that the type has: 3, 6 or 9. Finer text is refused, never cut; zeros may follow.
"""

import re
from datetime import UTC, date, datetime, timedelta

DAY_S = 86_400
# Years 1 to 9999: what RFC 3339, PostgreSQL, Python and Parquet's readers all have a date for.
LEAST_DAY = -719_162
MOST_DAY = 2_932_896

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_DAY = date(1970, 1, 1).toordinal()
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_TIME = re.compile(r"(\d\d:\d\d:\d\d)(?:\.(\d+))?", re.ASCII)
_LOCAL = re.compile(r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:\.(\d+))?", re.ASCII)
_INSTANT = re.compile(_LOCAL.pattern + r"([Zz]|[+-]\d\d:\d\d)", re.ASCII)
_FRACTION_MAX = 64


def instants(digits: int) -> tuple[int, int]:
    """The least and the most count of a timestamp: of the years 1 to 9999, and of 64 bits."""
    a_second: int = 10**digits
    least, most = LEAST_DAY * DAY_S * a_second, (MOST_DAY + 1) * DAY_S * a_second - 1
    return max(least, -(2**63)), min(most, 2**63 - 1)


def parse_date(text: str) -> int:
    """`2024-02-29` as days since 1970-01-01. Raises ValueError."""
    if not _DATE.fullmatch(text):
        raise ValueError("not a date as 2024-02-29")
    return date.fromisoformat(text).toordinal() - _EPOCH_DAY


def date_text(days: int) -> str:
    """Days since 1970-01-01 as `2024-02-29`. Raises ValueError beyond the years 1 to 9999."""
    return as_date(days).isoformat()


def as_date(days: int) -> date:
    """Days since 1970-01-01 as Python's date. Raises ValueError beyond the years 1 to 9999."""
    if not LEAST_DAY <= days <= MOST_DAY:
        raise ValueError(f"{days} days are outside the years 1 to 9999")
    return date.fromordinal(days + _EPOCH_DAY)


def parse_time(text: str, digits: int) -> int:
    """`10:15:00.25` as the count since midnight. Raises ValueError."""
    match = _TIME.fullmatch(text)
    if match is None:
        raise ValueError("not a time as 10:15:00.250")
    moment = datetime.fromisoformat("1970-01-01T" + match[1] + "Z")
    return _count(moment, match[2], digits)


def time_text(count: int, digits: int) -> str:
    """The count since midnight as `10:15:00.250`. Raises ValueError beyond a day."""
    seconds, fraction = divmod(count, 10**digits)
    if not 0 <= seconds < DAY_S:
        raise ValueError(f"{count} is outside of a day")
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}.{fraction:0{digits}d}"


def parse_instant(text: str, digits: int) -> int:
    """`2024-01-01T05:30:00+05:30` as the count since the epoch. Raises ValueError, also without an offset."""
    match = _INSTANT.fullmatch(text)
    if match is None:
        raise ValueError("not RFC 3339 with an offset")
    day, time, fraction, zone = match.groups()
    return _count(datetime.fromisoformat(f"{day}T{time}{zone.upper()}"), fraction, digits)


def parse_local(text: str, digits: int) -> int:
    """`2024-01-01T05:30:00` of no zone as the count since 1970-01-01T00:00. Raises ValueError, also with an offset."""
    match = _LOCAL.fullmatch(text)
    if match is None:
        raise ValueError("not a date and a time without an offset")
    day, time, fraction = match.groups()
    return _count(datetime.fromisoformat(f"{day}T{time}Z"), fraction, digits)


def local_text(count: int, digits: int) -> str:
    """A count since 1970-01-01T00:00 as `2024-01-01T05:30:00.000`. Raises ValueError beyond the years 1 to 9999."""
    seconds, fraction = divmod(count, 10**digits)
    try:
        # isoformat pads years before 1000, strftime("%Y") does not.
        text = (_EPOCH + timedelta(0, seconds)).replace(tzinfo=None).isoformat(timespec="seconds")
    except OverflowError as error:
        raise ValueError(f"{count} is outside the years 1 to 9999") from error
    return f"{text}.{fraction:0{digits}d}"


def instant_text(count: int, digits: int) -> str:
    """A count since the epoch as `2024-01-01T00:00:00.000Z`. Raises ValueError beyond the years 1 to 9999."""
    return local_text(count, digits) + "Z"


def as_datetime(count: int, digits: int) -> datetime:
    """A count since the epoch as Python's datetime, in UTC. Raises ValueError beyond the years 1 to 9999, and for a
    count that is finer than a microsecond.
    """
    seconds, fraction = divmod(count, 10**digits)
    micros, finer = divmod(fraction * 10**6, 10**digits)
    if finer:
        raise ValueError(f"{count} is finer than a microsecond")
    try:
        return _EPOCH + timedelta(0, seconds, micros)
    except OverflowError as error:
        raise ValueError(f"{count} is outside the years 1 to 9999") from error


def _count(moment: datetime, fraction: str | None, digits: int) -> int:
    delta = moment - _EPOCH
    count: int = (delta.days * DAY_S + delta.seconds) * 10**digits + _fraction(fraction, digits)
    least, most = instants(digits)
    if not least <= count <= most:  # an offset can lead out of the years that the text shows
        raise ValueError("outside the years of the type, in UTC")
    return count


def _fraction(text: str | None, digits: int) -> int:
    if text is None:
        return 0
    if len(text) > _FRACTION_MAX or text[digits:].strip("0"):
        raise ValueError(f"more than {digits} digits of a second")
    return int(text[:digits].ljust(digits, "0"))
