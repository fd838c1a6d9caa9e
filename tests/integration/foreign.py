"""Puts on a topic what no client library would: batches made byte by byte, as any producer can."""

import struct
import zlib
from collections.abc import Callable, Sequence
from typing import NamedTuple

from aiokafka import TopicPartition
from aiokafka.client import AIOKafkaClient
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.record.util import calc_crc32c
from atlas_avro.varints import long

Bytes = bytes | None


class Foreign(NamedTuple):
    """A record before it is on a topic; `step` is its offset within its batch, by its place when left out."""

    key: Bytes = b"k"
    value: Bytes = b"v"
    headers: Sequence[tuple[bytes, Bytes]] = ()
    stamp: int = 0
    step: int | None = None


def sized(data: Bytes, null: bytes = b"\1") -> bytes:
    return null if data is None else long(len(data)) + data


def packed(record: Foreign, place: int) -> bytes:
    headers = [sized(name) + sized(value) for name, value in record.headers]
    step = place if record.step is None else record.step
    body = b"\0" + long(record.stamp) + long(step) + sized(record.key) + sized(record.value)
    body += long(len(headers)) + b"".join(headers)
    return long(len(body)) + body


def batch(records: bytes, count: int, *, codec: int = 0, first_ms: int = 1_700_000_000_000, max_ms: int = 0) -> bytes:
    """A batch of records that are packed (and compressed by `codec`) already."""
    after = struct.pack(">hiqqqhii", codec, count - 1, first_ms, max_ms or first_ms, -1, -1, -1, count)
    crc = calc_crc32c(after + records)
    rest = struct.pack(">ibI", 0, 2, crc) + after + records
    return struct.pack(">qi", 0, len(rest)) + rest


def batch_of(records: Sequence[Foreign], codec: int = 0, compress: Callable[[bytes], bytes] = bytes) -> bytes:
    data = b"".join(packed(record, place) for place, record in enumerate(records))
    return batch(compress(data), len(records), codec=codec)


def gzip(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=31)
    return packer.compress(data) + packer.flush()


async def put(
    brokers: str, topic: str, data: bytes, partition: int = 0, *, transactional_id: str | None = None
) -> tuple[int, int]:
    """Produce one batch; the broker's error code (0: none) and the offset it was given."""
    client = AIOKafkaClient(bootstrap_servers=brokers)
    await client.bootstrap()
    try:
        metadata = await client.fetch_all_metadata()
        node = metadata.leader_for_partition(TopicPartition(topic, partition))
        answer = await client.send(node, ProduceRequest(transactional_id, -1, 20_000, [(topic, [(partition, data)])]))
        ((_, ((_, error, offset, *_),)),) = answer.topics
        return error, offset
    finally:
        await client.close()
