"""Batches as the broker stores them, for a consumer that copies records and looks into none of them.

aiokafka makes an object of every record and of each of its headers. For records with the usual eight headers that
costs more than everything an archiver does with them. `give_batches` has a consumer hand over each fetched batch as it
came; assignment, positions, commits and `read_committed` stay what they are.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import CorruptRecordException, UnsupportedCodecError
from atlas_avro.varints import long
from atlas_kafka_format.batches import (
    APPEND_TIME,
    CODEC_MASK,
    CONTROL,
    CRC_FROM,
    HEADER,
    LENGTH_AT,
    MAGIC,
    TRANSACTIONAL,
)

from atlas_kafka.fetching.damage import Buffer
from atlas_kafka.fetching.foreignrecords import stand_in
from atlas_kafka.fetching.inflate import CODECS, TooLarge, at_most
from atlas_kafka.internals.fetching import (
    Fetcher,
    FetchRequest,
    FetchResult,
    aborted_of,
    put_records,
    records_of,
    release,
)
from atlas_kafka.internals.records import calc_crc32c

_CONTROL_KEY = slice(5, 9)  # of the one record of a control batch: every number before its key takes one byte
_ABORT_MARKER = b"\x00\x00\x00\x00"  # the key of a control record: version 0, type 0 (1 is a commit's)


@dataclass(frozen=True, slots=True)
class RawBatch:
    """A record batch of format 2. Only its records from `start_offset` on are meant; `offset` is its last.

    `append_time_ms`: the timestamp of all its records, where the broker set it. `head` and `packed` together are all
    of it.
    """

    partition: TopicPartition
    head: bytes
    base_offset: int
    start_offset: int
    offset: int
    base_timestamp: int
    append_time_ms: int | None
    records: int
    codec: int
    packed: bytes

    @property
    def timestamp(self) -> int:
        """That of its first record, epoch ms; -1: it has none."""
        return self.base_timestamp if self.append_time_ms is None else self.append_time_ms

    @property
    def at_most(self) -> int:
        """How many bytes the records take at most, when they are decompressed, as far as that shows."""
        return at_most(self.codec, self.packed)

    def data(self) -> bytes:
        """The records as they lie in the batch, decompressed. Raises UnsupportedCodecError, TooLarge."""
        if self.codec not in CODECS:
            raise UnsupportedCodecError(f"compression {self.codec} of the batch at offset {self.base_offset}")
        return CODECS[self.codec](self.packed)

    def opened(self) -> "RawBatch":
        """The batch decompressed; one that is too large for that as the one record that stands for it."""
        try:
            return replace(self, codec=0, packed=self.data()) if self.codec else self
        except TooLarge:
            return replace(self, codec=0, packed=_one_record(self), records=1)


def _one_record(batch: RawBatch) -> bytes:
    """The batch's stand-in, as a broker would store it."""
    value = stand_in(batch.partition, batch.head + batch.packed).value or b""
    no_key, no_headers = long(-1), b"\0"
    start = b"\0\0" + long(batch.start_offset - batch.base_offset)  # no attributes, no timestamp delta
    body = b"".join((start, no_key, long(len(value)), value, no_headers))
    return long(len(body)) + body


def give_batches(consumer: AIOKafkaConsumer) -> None:
    """From now on `consumer.getmany` gives RawBatch, and `max_records` counts them. Call it right after `start()`."""
    fetcher = Fetcher(consumer)
    fetched = _Fetched(fetcher.buffer)
    fetched.damages = getattr(fetcher.buffer, "damages", None)
    fetcher.buffer = fetched
    fetcher.client = _Tap(fetcher.client, fetched)


class _Fetched(Buffer):
    """Stands in for the fetcher's buffer: what is put in gives batches, made from the bytes of the last answer."""

    def __init__(self, before: Mapping[TopicPartition, Any]) -> None:
        self.answers: dict[TopicPartition, bytes] = {}
        super().__init__(before)

    def __setitem__(self, partition: TopicPartition, result: Any) -> None:
        if isinstance(result, FetchResult):
            records = records_of(result)
            data = self.answers.pop(partition)
            put_records(result, RawRecords(partition, data, records.next_fetch_offset, aborted_of(records)))
            release(records)
        super().__setitem__(partition, result)


class _Tap:
    """Stands in for the fetcher's client: keeps the bytes of each answer until the fetcher has made sense of it."""

    def __init__(self, client: Any, fetched: _Fetched) -> None:
        self._client = client
        self._fetched = fetched

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    async def send(self, node_id: int, request: Any, **options: Any) -> Any:
        response = await self._client.send(node_id, request, **options)
        if isinstance(request, FetchRequest):
            self._fetched.answers = {
                TopicPartition(topic, part[0]): part[-1] for topic, parts in response.topics for part in parts
            }
        return response


class RawRecords:
    """The batches of one answer for one partition; what aiokafka's PartitionRecords is for records.

    Leaves out control batches and, with `aborted` (producer and first offset of each aborted transaction), the batches
    of aborted transactions; `next_fetch_offset` moves past them all the same. Raises CorruptRecordException.
    """

    def __init__(
        self, partition: TopicPartition, data: bytes, fetch_offset: int, aborted: list[tuple[int, int]]
    ) -> None:
        self._partition = partition
        self._data = data
        self._aborted = sorted(aborted, key=lambda transaction: transaction[1])
        self._aborting: set[int] = set()
        self.next_fetch_offset = fetch_offset
        self._batches = self._unpack()

    def __iter__(self) -> "RawRecords":
        return self

    def __next__(self) -> RawBatch:
        return next(self._batches)

    def _unpack(self) -> Iterator[RawBatch]:
        data, at = self._data, 0
        while at + HEADER.size <= len(data):
            fields = HEADER.unpack_from(data, at)
            base, end, attributes, last, producer = (
                fields[0],
                at + LENGTH_AT + fields[1],
                fields[5],
                fields[0] + fields[6],
                fields[9],
            )
            if end > len(data):
                return  # cut off by the size of the answer: it comes again, whole
            if fields[3] != MAGIC or calc_crc32c(memoryview(data)[at + CRC_FROM : end]) != fields[4]:
                raise CorruptRecordException(f"{self._partition} has a damaged batch at offset {base}")
            head, body = data[at : at + HEADER.size], data[at + HEADER.size : end]
            start, at = self.next_fetch_offset, end
            if self._is_meant(attributes, base, producer, body) and last >= start and fields[12]:
                stamp = fields[8] if attributes & APPEND_TIME else None
                codec = attributes & CODEC_MASK
                first = max(base, start)
                batch = RawBatch(self._partition, head, base, first, last, fields[7], stamp, fields[12], codec, body)
                self.next_fetch_offset = last + 1
                yield batch
            self.next_fetch_offset = max(self.next_fetch_offset, last + 1)

    def _is_meant(self, attributes: int, base: int, producer: int, body: bytes) -> bool:
        """Whether the batch holds records that count; keeps track of the transactions that were aborted."""
        while self._aborted and self._aborted[0][1] <= base:
            self._aborting.add(self._aborted.pop(0)[0])
        if attributes & CONTROL:
            if body[_CONTROL_KEY] == _ABORT_MARKER:
                self._aborting.discard(producer)
            return False
        return not (attributes & TRANSACTIONAL and producer in self._aborting)
