import pytest
from aiokafka import TopicPartition
from aiokafka.record.memory_records import MemoryRecords
from atlas_kafka_format.headers import pack_headers
from atlas_relay.sending.splice import SplicedBatch, ids_of, lone_batch, pack

HEADERS = pack_headers([("ce_id", b"1"), ("none", None)])


def row(number: int, value: bytes | None = b"value", key: bytes = b"k", topic: str = "t"):
    return (0, number, number, topic, key, value, HEADERS)


def packed(rows, *, wire_bytes: int = 900_000, wire_rows: int = 5000, transactional: bool = False):
    return pack(
        rows,
        lambda topic: 3,
        wire_bytes=lambda topic: wire_bytes,
        wire_rows=wire_rows,
        new_batch=lambda: SplicedBatch(1234, transactional=transactional),
    )


def read(batch: SplicedBatch):
    """The batch's records as the client library reads them, with its checksum checked."""
    parsed = MemoryRecords(batch.build()).next_batch()
    assert parsed.validate_crc()
    return parsed


@pytest.mark.parametrize("size", [0, 1, 63, 64, 8191, 8192, 16_383, 16_384, 500_000])
def test_the_client_library_reads_what_was_spliced(size):
    batches = packed([row(0, b"x" * size, b"y" * (size // 2)), row(3, None)])
    ((target, (batch,)),) = batches.items()
    assert target == TopicPartition("t", 0)
    first, second = read(batch)
    assert (first.key, first.value, first.headers) == (
        b"y" * (size // 2),
        b"x" * size,
        [("ce_id", b"1"), ("none", None)],
    )
    assert (second.value, second.timestamp, second.offset - first.offset) == (None, 1234, 1)
    assert len(batch.build()) == batch.size()


def test_more_records_than_have_a_varint_at_hand():
    batches = packed([row(3 * n) for n in range(17_000)], wire_rows=20_000)
    (batch,) = batches[TopicPartition("t", 0)]
    assert [record.offset for record in read(batch)] == list(range(17_000))


def test_each_partition_keeps_the_order_and_no_batch_passes_a_limit():
    rows = [row(n, b"x" * (n % 70)) for n in range(1000)]
    for limits in ({"wire_rows": 7}, {"wire_bytes": 1000}):
        batches = packed(rows, **limits)
        assert {target.partition for target in batches} == {0, 1, 2}
        for target, parts in batches.items():
            assert ids_of(parts) == [n for n in range(1000) if n % 3 == target.partition]
            assert all(part.record_count() <= limits.get("wire_rows", 1000) for part in parts)
            assert all(part.size() <= limits.get("wire_bytes", 1 << 20) for part in parts)


def test_a_row_above_the_limit_has_a_batch_of_its_own():
    batches = packed([row(0), row(3, b"x" * 2000), row(6)], wire_bytes=1000)
    assert [part.ids for part in batches[TopicPartition("t", 0)]] == [[0], [3], [6]]


@pytest.mark.parametrize("value", [b"v" * 16, None])
def test_a_batch_of_one_record(value):
    parsed = read(lone_batch(b"key", value, transactional=True))
    assert parsed.is_transactional
    (record,) = parsed
    assert (record.key, record.value, list(record.headers)) == (b"key", value, [])
    assert not read(lone_batch(b"key", value, transactional=False)).is_transactional
