"""One partition on its way into the archive, and whether an error is that partition's own."""

import asyncio
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError
from atlas_archive.chain.manifests import BadManifest, PartitionPath, offset_of
from atlas_archive.store import MissingObject
from atlas_archive.writing.batches import Batch
from atlas_archive.writing.segments import Options, SchemaText, Segment, Stored
from atlas_errors.policy import Fate, Transient, fate_of

RECORDS_A_TURN = 250

# Of the store and of the way to it: what they refuse for good is no partition's fault, but a setting's.
_STORE_PACKAGES = ("botocore", "aiobotocore", "aiohttp")


@dataclass(slots=True)
class Partition:
    """One assigned partition: where its archive ends, and what is on the way there.

    `sending` is the closed segment that `storing` is about; `storing_bytes` its size then.
    """

    path: PartitionPath
    next_offset: int
    log_start: int
    segment: Segment | None = None
    opened_at: float = 0.0
    storing: asyncio.Task[Stored] | None = None
    sending: Segment | None = None
    storing_bytes: int = 0

    @property
    def open_bytes(self) -> int:
        return self.segment.size if self.segment is not None else 0

    def is_going(self, log_start: int) -> bool:
        """Whether what is held of it can't be read again where the log begins there."""
        return self.segment is not None and log_start > self.segment.start_offset


@dataclass(frozen=True, slots=True)
class Limits:
    """When segments are closed: sizes in bytes as held in memory, age in seconds since the first record."""

    segment_bytes: int
    segment_age_s: float
    held_bytes: int


def due(partitions: Mapping[TopicPartition, Partition], limits: Limits) -> list[TopicPartition]:
    """Those whose open segment is large or old enough."""
    now = time.monotonic()
    return [
        tp
        for tp, p in partitions.items()
        if p.segment is not None and (p.open_bytes >= limits.segment_bytes or now - p.opened_at >= limits.segment_age_s)
    ]


def early(partitions: Mapping[TopicPartition, Partition], limits: Limits) -> TopicPartition | None:
    """The largest open segment whose partition has none on its way, if too much is in open ones."""
    if sum(p.open_bytes for p in partitions.values()) <= limits.held_bytes / 2:
        return None
    free = {tp: p.open_bytes for tp, p in partitions.items() if p.open_bytes and p.storing is None}
    return max(free, key=free.__getitem__, default=None)


def held_bytes(partitions: Mapping[TopicPartition, Partition]) -> int:
    """Of open segments and those on their way."""
    return sum(p.open_bytes + p.storing_bytes for p in partitions.values())


@dataclass(frozen=True, slots=True)
class Writing:
    """How segments are written, and by whom. Of the topics `uncounted` no records, bytes and segments are counted."""

    writer: str
    schema_text: SchemaText
    options: Options | None = None
    uncounted: frozenset[str] = frozenset()

    def segment(self, partition: Partition) -> Segment:
        """A new one, at the end of the partition's archive."""
        return Segment(partition.path, partition.next_offset, partition.log_start, self.schema_text, self.options)


class CanNotBeSpliced(Exception):
    """The batches that begin at `offset` do not fit into a segment: the partition's own fault, or our code's."""

    def __init__(self, offset: int, error: Exception) -> None:
        super().__init__(f"{type(error).__name__}: {error}")
        self.offset = offset


class DiedOver(Exception):
    """Processes died over the batches that begin at `offset`, one after the other: nobody is to look into them."""

    def __init__(self, offset: int, deaths: int) -> None:
        super().__init__(f"the archiver died {deaths} times over the batch at offset {offset}: it is not looked into")
        self.offset = offset


class Overtaken(Transient):
    """Another writer has archived the place of a segment."""


def is_its_own(error: BaseException) -> bool:
    """Whether an error concerns the partition that was worked on, and no other: then it alone is paused.

    Not what passes by itself, nor what the store or the brokers refuse for good, nor a lack of memory.
    """
    if fate_of(error) is Fate.TRANSIENT or not isinstance(error, Exception):
        return False
    if isinstance(error, KafkaError | MemoryError):
        return False
    return type(error).__module__.partition(".")[0] not in _STORE_PACKAGES


def place_in(error: BaseException) -> int | None:
    """The offset that an error speaks of: that of a batch, or of the manifest that does not read; None: of none."""
    if isinstance(error, CanNotBeSpliced | DiedOver):
        return error.offset
    if isinstance(error, BadManifest | MissingObject):
        with suppress(BadManifest):
            return offset_of(error.key)
    return None


def turns(batches: Sequence[Batch]) -> Iterator[Sequence[Batch]]:
    """The batches in portions of RECORDS_A_TURN or a little more."""
    begin = records = 0
    for end, batch in enumerate(batches, start=1):
        records += batch.records
        if records >= RECORDS_A_TURN or end == len(batches):
            yield batches[begin:end]
            begin, records = end, 0
