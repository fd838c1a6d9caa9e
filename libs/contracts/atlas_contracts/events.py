"""An event as Python sees it, and where on Kafka it stood."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Event:
    """A decoded value. Timestamps are epoch milliseconds; `schema_id` is the writer's, `value` has the newest shape."""

    type: str
    schema_id: int
    value: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Meta:
    """The record around an event: its position, its time (epoch milliseconds), its key and its headers."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    headers: Sequence[tuple[str, bytes]]

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
        text = self.header("ce_sequence")
        return int(text) if text is not None and text.isascii() and text.isdigit() else None
