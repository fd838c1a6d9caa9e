"""Dates and times as ISO 8601 text and as Avro's counts, one to the other, exactly.

Text is of the profile of RFC 3339: `2024-02-29`, `10:15:00.250`, `2024-02-29T10:15:00.250Z`. `digits` are those behind
a second's point that the type has: 3, 6 or 9. Finer text is refused, never cut; zeros may follow.
"""

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta

DAY_S = 86_400
# Years 1 to 9999: what RFC 3339, PostgreSQL, Python and Parquet's readers all have a date for.
LEAST_DAY = -719_162
MOST_DAY = 2_932_896

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LOCAL_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - of no zone on purpose
_EPOCH_DAY = date(1970, 1, 1).toordinal()
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_TIME = re.compile(r"(\d\d:\d\d:\d\d)(?:\.(\d+))?", re.ASCII)
_LOCAL = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(?:\.(\d+))?", re.ASCII)
_INSTANT = re.compile(_LOCAL.pattern + r"(?:[Zz]|[+-](?:[01]\d|2[0-3]):[0-5]\d)", re.ASCII)
_FRACTION_MAX = 64
_A_SECOND = {digits: 10**digits for digits in (3, 6, 9)}
_INSTANTS = {
    digits: (max(LEAST_DAY * DAY_S * count, -(2**63)), min((MOST_DAY + 1) * DAY_S * count - 1, 2**63 - 1))
    for digits, count in _A_SECOND.items()
}


def instants(digits: int) -> tuple[int, int]:
    """The least and the most count of a timestamp: of the years 1 to 9999, and of 64 bits."""
    return _INSTANTS[digits]


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
    moment = time.fromisoformat(match[1])
    seconds = (moment.hour * 60 + moment.minute) * 60 + moment.second
    return seconds * _A_SECOND[digits] + _fraction(match[2] or "", digits)


def time_text(count: int, digits: int) -> str:
    """The count since midnight as `10:15:00.250`. Raises ValueError beyond a day."""
    seconds, fraction = divmod(count, _A_SECOND[digits])
    if not 0 <= seconds < DAY_S:
        raise ValueError(f"{count} is outside of a day")
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}.{fraction:0{digits}d}"


def instant_parser(digits: int) -> Callable[[str], int]:
    """Makes of `2024-01-01T05:30:00+05:30` the count since the epoch. Raises ValueError, also without an offset."""
    exact = _parser(_INSTANT, _EPOCH, digits, "not RFC 3339 with an offset")
    a_second, (least, most) = _A_SECOND[digits], _INSTANTS[digits]

    def parse(text: str) -> int:
        # The forms that nearly all write, in half the time: what fromisoformat takes beside them has another shape.
        length = len(text)
        if (length == 24 and f"{text[4]}{text[7]}{text[10]}{text[13]}{text[16]}{text[19]}{text[23]}" == "--T::.Z") or (
            length == 20 and f"{text[4]}{text[7]}{text[10]}{text[13]}{text[16]}{text[19]}" == "--T::Z"
        ):
            try:
                since = datetime.fromisoformat(text) - _EPOCH
            except ValueError:
                return exact(text)  # which says what is wrong
            count = (since.days * DAY_S + since.seconds) * a_second + since.microseconds * a_second // 10**6
            if least <= count <= most:
                return count
        return exact(text)

    return parse


def local_parser(digits: int) -> Callable[[str], int]:
    """Makes of `2024-01-01T05:30:00`, of no zone, the count since 1970-01-01T00:00. ValueError, also with an offset."""
    return _parser(_LOCAL, _LOCAL_EPOCH, digits, "not a date and a time without an offset")


def local_text(count: int, digits: int) -> str:
    """A count since 1970-01-01T00:00 as `2024-01-01T05:30:00.000`. Raises ValueError beyond the years 1 to 9999."""
    seconds, fraction = divmod(count, _A_SECOND[digits])
    try:
        # isoformat pads years before 1000, strftime("%Y") does not.
        return f"{(_LOCAL_EPOCH + timedelta(0, seconds)).isoformat()}.{str(fraction).zfill(digits)}"
    except OverflowError as error:
        raise ValueError(f"{count} is outside the years 1 to 9999") from error


def instant_text(count: int, digits: int) -> str:
    """A count since the epoch as `2024-01-01T00:00:00.000Z`. Raises ValueError beyond the years 1 to 9999."""
    return local_text(count, digits) + "Z"


def as_time(count: int, digits: int) -> time:
    """The count since midnight as Python's time. Raises ValueError beyond a day."""
    if not 0 <= count < DAY_S * _A_SECOND[digits]:
        raise ValueError(f"{count} is outside of a day")
    return as_local(count, digits).time()


def as_datetime(count: int, digits: int) -> datetime:
    """A count since the epoch as Python's datetime, in UTC. Raises ValueError beyond the years 1 to 9999, and for a
    count that is finer than a microsecond.
    """
    return as_local(count, digits).replace(tzinfo=UTC)


def as_local(count: int, digits: int) -> datetime:
    """A count since 1970-01-01T00:00 as Python's datetime without a zone; ValueError as for as_datetime."""
    seconds, fraction = divmod(count, _A_SECOND[digits])
    micros, finer = divmod(fraction * 10**6, _A_SECOND[digits])
    if finer:
        raise ValueError(f"{count} is finer than a microsecond")
    try:
        return _LOCAL_EPOCH + timedelta(0, seconds, micros)
    except OverflowError as error:
        raise ValueError(f"{count} is outside the years 1 to 9999") from error


def _parser(pattern: re.Pattern[str], epoch: datetime, digits: int, otherwise: str) -> Callable[[str], int]:
    a_second = _A_SECOND[digits]
    least, most = _INSTANTS[digits]

    def parse(text: str) -> int:
        match = pattern.fullmatch(text)
        if match is None:
            raise ValueError(otherwise)
        since = datetime.fromisoformat(text.upper()) - epoch
        seconds = since.days * DAY_S + since.seconds
        start, end = match.span(1)
        if end - start <= digits <= 6:
            count = seconds * a_second + since.microseconds * a_second // 10**6
        else:  # Python cuts what it has no digits for
            count = seconds * a_second + _fraction(text[start:end], digits)
        if least <= count <= most:
            return count
        raise ValueError("outside the years of the type, in UTC")  # where an offset can lead

    return parse


def _fraction(text: str, digits: int) -> int:
    if len(text) > _FRACTION_MAX or text[digits:].strip("0"):
        raise ValueError(f"more than {digits} digits of a second")
    return int(text[:digits].ljust(digits, "0"))
