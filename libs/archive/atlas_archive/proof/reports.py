"""What a verification is told of the live topics, and what it tells."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from atlas_archive.format.records import Incoming


@dataclass(frozen=True, slots=True)
class LiveTopic:
    """The topic as it is now: by partition, where its log begins and ends. `compacted`: records may have gone since."""

    incarnation: str
    bounds: Mapping[int, tuple[int, int]]
    compacted: bool = False


class TopicReader(Protocol):
    """How `verify` sees the live topics."""

    async def describe(self, topic: str) -> LiveTopic | None:
        """The topic now; None when there is none of that name."""

    def read(self, topic: str, partition: int, start: int, stop: int) -> AsyncIterator[Sequence[Incoming]]:
        """The committed records with start ≤ offset < stop that the topic still holds, in order."""


@dataclass(slots=True)
class TopicReport:
    """What was found of one topic. `problems` make the archive untrue; `notes` are worth knowing and no fault.

    `compared_with_topic`: records found equal. `behind`: records that the topic holds past the archive's end.
    `complete_from`: by partition, the offset from which on nothing was gone before it was archived.
    """

    topic: str
    segments: int = 0
    records: int = 0
    bytes: int = 0
    compared_with_topic: int = 0
    behind: int = 0
    complete_from: dict[int, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


Progress = Callable[[TopicReport], None]
