"""RFC 3339 text and epoch milliseconds, one to the other."""

import re

from atlas_avro import times

_FINER = re.compile(r"(\.\d{3})\d+", re.ASCII)

_parse = times.instant_parser(3)

LEAST_MS, MOST_MS = times.instants(3)


def rfc3339(epoch_ms: int) -> str:
    """Epoch milliseconds as `2013-01-01T10:15:00.000Z`; ValueError beyond the years 1 to 9999."""
    return times.instant_text(epoch_ms, 3)


def parse_rfc3339(text: str) -> int:
    """`2013-01-01T10:15:00Z` as epoch milliseconds, finer digits cut off; ValueError without date, time and offset.

    For times that need no more, such as an envelope's. A field of an event is never cut: see the table of types.
    """
    return _parse(_FINER.sub(r"\1", text, count=1))
