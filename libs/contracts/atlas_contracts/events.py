"""An event as Python sees it, and where on Kafka it stood."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple


@dataclass(frozen=True, slots=True)
class Event:
    """A decoded value. Timestamps are epoch milliseconds; `schema_id` is the writer's, `value` has the newest shape."""

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
        """The entity's version at this event (`ce_sequence`); None when absent or not a number."""
        for header, value in self.headers:
            if header == "ce_sequence":
                # The bytes' own isdigit takes ASCII digits only. No version has more digits than a bigint.
                return int(value) if value is not None and value.isdigit() and len(value) < 20 else None
        return None
