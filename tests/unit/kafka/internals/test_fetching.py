"""The fetcher of the installed aiokafka, its buffer and its answers have the parts that stand-ins take the place of."""

from collections import OrderedDict
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.consumer import fetcher as aiokafkas
from aiokafka.record.memory_records import MemoryRecords
from atlas_kafka.internals import fetching
from atlas_kafka.internals.fetching import READ_UNCOMMITTED, Fetcher, FetchRequest, FetchResult
from atlas_kafka.internals.records import DefaultRecordBatchBuilder

TP = TopicPartition("t", 0)


@pytest.fixture
async def consumer() -> AsyncIterator[AIOKafkaConsumer]:
    """As `start()` leaves it, with a partition, but without a broker."""
    consumer = AIOKafkaConsumer()
    assert consumer._fetcher is None
    consumer._subscription.assign_from_user([TP])
    consumer._fetcher = aiokafkas.Fetcher(consumer._client, consumer._subscription)
    yield consumer
    await consumer._fetcher.close()
    consumer._fetcher = None
    await consumer.stop()


def records(isolation_level: int = aiokafkas.READ_COMMITTED) -> Any:
    builder = DefaultRecordBatchBuilder(2, 0, 0, -1, 0, 0, 2**20)
    builder.append(0, 1, b"k", b"v", [])
    answer = MemoryRecords(bytes(builder.build()))
    # Its own class, whatever another test of this process has put in its place.
    kinds = aiokafkas.PartitionRecords.__mro__
    own: Any = next(kind for kind in kinds if kind.__module__ == aiokafkas.__name__)
    return own(TP, answer, [(7, 3)], 0, None, None, True, isolation_level)


async def test_a_fetcher_works_with_another_client_and_another_buffer(consumer: AIOKafkaConsumer) -> None:
    fetcher = Fetcher(consumer)
    assert fetcher.client is consumer._client
    assert isinstance(fetcher.buffer, OrderedDict)
    fetcher.client = client = object()
    fetcher.buffer = buffer = OrderedDict[TopicPartition, Any]()
    assert (consumer._fetcher._client, consumer._fetcher._records) == (client, buffer)


async def test_how_far_a_partition_is_read(consumer: AIOKafkaConsumer) -> None:
    fetcher = Fetcher(consumer)
    assert fetcher.reach(TP) == (0, 0)
    state = consumer._subscription.subscription.assignment.state_value(TP)
    state.seek(5)
    state.highwater = 9
    assert fetcher.reach(TP) == (5, 9)


async def test_an_answer_gives_what_is_put_there_and_moves_the_position(consumer: AIOKafkaConsumer) -> None:
    assignment = consumer._subscription.subscription.assignment
    assignment.state_value(TP).seek(0)
    found = records()
    result = FetchResult(TP, assignment=assignment, partition_records=found, backoff=0)
    assert (fetching.partition_of(result), fetching.records_of(result)) == (TP, found)
    assert result.check_assignment(TP)
    assert result.has_more()
    fetching.make_records_by(result, lambda partition, record: (partition, record.value))
    assert list(found) == [(TP, b"v")]
    fetching.move_position(result)
    assert fetching.Fetcher(consumer).reach(TP) == (1, 0)
    fetching.put_records(result, None)
    assert not result.has_more()


def test_aborted_transactions_are_left_out_by_who_reads_committed() -> None:
    assert fetching.aborted_of(records()) == [(7, 3)]
    assert fetching.aborted_of(records(READ_UNCOMMITTED)) == []


def test_records_that_nobody_iterates_over_let_go_of_the_answer() -> None:
    found = records()
    assert found._records_iterator is not None
    fetching.release(found)
    assert found._records_iterator is None


def test_a_fetch_says_its_limits() -> None:
    request = FetchRequest(500, 1, 2**20, READ_UNCOMMITTED, [("t", [(0, 5, 100)])], "rack")
    assert request.topics == [("t", [(0, 5, 100)])]
    assert fetching.limits_of(request) == (500, 1, 2**20, READ_UNCOMMITTED)
    assert fetching.rack_of(request) == "rack"
