"""What the archive takes in and gives back: one record of a topic."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

Headers = Sequence[tuple[str, bytes | None]]


class Incoming(Protocol):
    """What a segment reads of a record; aiokafka's ConsumerRecord and Record both fit."""

    @property
    def offset(self) -> int: ...
    @property
    def timestamp(self) -> int: ...
    @property
    def key(self) -> bytes | None: ...
    @property
    def headers(self) -> Headers: ...
    @property
    def value(self) -> bytes | None: ...


class Record(NamedTuple):
    """A record as it was on the topic: `timestamp` in epoch ms, `value` the original bytes with their framing."""

    offset: int
    timestamp: int
    key: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]
    value: bytes | None
