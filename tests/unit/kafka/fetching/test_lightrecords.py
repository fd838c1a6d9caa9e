"""Light records are aiokafka's own, with less about them."""

from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.consumer.fetcher import READ_COMMITTED, FetchError, FetchResult, PartitionRecords
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from atlas_kafka.fetching.lightrecords import LightRecord, give_light_records

TP = TopicPartition("t", 0)
RECORDS: list[tuple[int, bytes | None, bytes | None, list[tuple[str, bytes | None]]]] = [
    (1_700_000_000_000, b"key", b"value", [("h", b"x"), ("h", None)]),
    (1_700_000_000_001, None, None, []),
    (1_700_000_000_000, b"", b"", [("ü", b"")]),
]


class Consumer:
    """What is touched of a consumer."""

    def __init__(self) -> None:
        self._fetcher = self
        self._records: dict[TopicPartition, Any] = {}


def fetched() -> PartitionRecords:
    builder = DefaultRecordBatchBuilder(2, 0, 0, -1, 0, 0, 2**20)
    for offset, (timestamp, key, value, headers) in enumerate(RECORDS):
        builder.append(offset, timestamp, key, value, headers)
    return PartitionRecords(TP, MemoryRecords(bytes(builder.build())), [], 1, None, None, True, READ_COMMITTED)


def test_they_say_what_aiokafkas_say() -> None:
    consumer = Consumer()
    give_light_records(consumer)
    records = fetched()
    consumer._records[TP] = FetchResult(TP, assignment=None, partition_records=records, backoff=0)
    light = list(records)
    assert [type(each) for each in light] == [LightRecord, LightRecord]
    assert [(each.offset, each.timestamp, each.key, each.value, tuple(each.headers)) for each in light] == [
        (each.offset, each.timestamp, each.key, each.value, each.headers) for each in fetched()
    ]
    assert records.next_fetch_offset == len(RECORDS)


def test_an_error_stays_an_error() -> None:
    consumer = Consumer()
    give_light_records(consumer)
    consumer._records[TP] = FetchError(error=ValueError("no"), backoff=0)
    with pytest.raises(ValueError, match="no"):
        consumer._records[TP].check_raise()
