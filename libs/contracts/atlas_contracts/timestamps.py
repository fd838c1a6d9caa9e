"""RFC 3339 text and epoch milliseconds, one to the other."""

import re
from datetime import UTC, datetime

# Years 1 to 9999, in epoch milliseconds: what RFC 3339, PostgreSQL, Python and Parquet's readers all have a date for.
LEAST_MS = -62_135_596_800_000
MOST_MS = 253_402_300_799_999

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


def rfc3339(epoch_ms: int) -> str:
    """Epoch milliseconds as `2013-01-01T10:15:00.000Z`; ValueError beyond the years 1 to 9999."""
    seconds, milliseconds = divmod(epoch_ms, 1000)
    try:
        moment = datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, OSError, ValueError) as error:
        raise ValueError(f"{epoch_ms} ms is outside the years 1 to 9999") from error
    # isoformat pads years before 1000, strftime("%Y") does not.
    return f"{moment.replace(tzinfo=None).isoformat(timespec='seconds')}.{milliseconds:03d}Z"


def parse_rfc3339(text: str) -> int:
    """`2013-01-01T10:15:00Z` as epoch milliseconds, finer digits cut off; ValueError without date, time and offset."""
    # fromisoformat alone takes much that RFC 3339 does not: week dates, no separators, no offset.
    if not _RFC3339.fullmatch(text):
        raise ValueError(f"{text!r} is not RFC 3339")
    delta = datetime.fromisoformat(text.upper()) - _EPOCH
    epoch_ms = delta.days * 86_400_000 + delta.seconds * 1000 + delta.microseconds // 1000
    if not LEAST_MS <= epoch_ms <= MOST_MS:  # an offset can lead out of the years that the text shows
        raise ValueError(f"{text!r} is outside the years 1 to 9999, in UTC")
    return epoch_ms
