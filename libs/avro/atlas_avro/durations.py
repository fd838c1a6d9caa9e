"""Avro's duration: months, days and milliseconds, three numbers of 32 bits without a sign, least byte first.

None of the three can be told in another: a month has no fixed number of days, nor a day of milliseconds.
"""

import re
import struct
from typing import NamedTuple

SIZE = 12

_MOST = 2**32 - 1
_LAYOUT = struct.Struct("<III")
_ISO = re.compile(
    r"P(?!$)(?:(?P<years>\d{1,10})Y)?(?:(?P<months>\d{1,10})M)?(?:(?P<weeks>\d{1,10})W)?(?:(?P<days>\d{1,10})D)?"
    r"(?:T(?!$)(?:(?P<hours>\d{1,10})H)?(?:(?P<minutes>\d{1,10})M)?"
    r"(?:(?P<seconds>\d{1,10})(?:\.(?P<fraction>\d{1,3}))?S)?)?",
    re.ASCII,
)


class Duration(NamedTuple):
    """A length of time in three parts, each of 0 to 4,294,967,295."""

    months: int
    days: int
    milliseconds: int


def parse(text: str) -> Duration:
    """ISO 8601: `P1M2DT3.004S`; years and weeks, hours and minutes are told in the three parts. Raises ValueError."""
    match = _ISO.fullmatch(text)
    if match is None:
        raise ValueError("not a duration as P1M2DT3.004S")
    part = {name: int(found or 0) for name, found in match.groupdict().items() if name != "fraction"}
    seconds = (part["hours"] * 60 + part["minutes"]) * 60 + part["seconds"]
    milliseconds = seconds * 1000 + int((match["fraction"] or "").ljust(3, "0"))
    return checked(Duration(part["years"] * 12 + part["months"], part["weeks"] * 7 + part["days"], milliseconds))


def checked(duration: Duration) -> Duration:
    """The same. Raises ValueError for a part that is not of 32 bits without a sign."""
    for name, part in duration._asdict().items():
        if type(part) is not int or not 0 <= part <= _MOST:
            raise ValueError(f"{name} are not of 0 to {_MOST}")
    return duration


def text(duration: Duration) -> str:
    """`P1M2DT3.004S`, the three parts as they are."""
    months, days, milliseconds = duration
    return f"P{months}M{days}DT{milliseconds // 1000}.{milliseconds % 1000:03d}S"


def to_bytes(duration: Duration) -> bytes:
    """The twelve bytes of a checked duration."""
    return _LAYOUT.pack(*duration)


def from_bytes(data: bytes) -> Duration:
    """The duration in twelve bytes."""
    return Duration(*_LAYOUT.unpack(data))
