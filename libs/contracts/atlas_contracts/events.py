"""An event as Python sees it, and where on Kafka it stood."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

_VERSIONS = 2**63  # a version is a bigint


@dataclass(frozen=True, slots=True)
class Event:
    """A decoded value: dates and times are numbers, decimals are Decimal (docs/types.md).

    `schema_id` is the writer's, `value` has the newest shape.
    """

    type: str
    schema_id: int
    value: dict[str, Any]


class Meta(NamedTuple):
    """The record around an event: its position, its time (epoch milliseconds), its key and its headers.

    A tuple, because one is made for every event: a frozen dataclass takes five times as long to make.
    """

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    headers: Sequence[tuple[str, bytes | None]]

    def header(self, name: str) -> str | None:
        """The first header of this name as text; None when absent, null or not UTF-8."""
        for header, value in self.headers:
            if header == name:
                try:
                    return None if value is None else value.decode()
                except UnicodeDecodeError:
                    return None
        return None

    @property
    def sequence(self) -> int | None:
        """The entity's version at this event (`ce_sequence`), from 1; None when absent or no such number."""
        for header, value in self.headers:
            if header == "ce_sequence":
                # The bytes' own isdigit takes ASCII digits only; so many are read in no time.
                number = int(value) if value is not None and value.isdigit() and len(value) < 20 else 0
                return number if 0 < number < _VERSIONS else None
        return None
