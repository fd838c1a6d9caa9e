"""What a group has committed is asked of its coordinator at once, with metadata."""

import inspect
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.structs import OffsetAndMetadata
from atlas_kafka.internals.coordinator import committed_with_metadata, is_rebalancing

TP = TopicPartition("t", 0)


async def test_a_consumer_has_a_coordinator_that_can_be_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    consumer = AIOKafkaConsumer(group_id="g")
    assert consumer._coordinator is None
    asked: list[Any] = []

    async def fetch(self: Any, partitions: list[TopicPartition]) -> dict[TopicPartition, OffsetAndMetadata]:
        asked.append(partitions)
        return {TP: OffsetAndMetadata(7, "id")}

    parameters = list(inspect.signature(GroupCoordinator.fetch_committed_offsets).parameters)
    monkeypatch.setattr(GroupCoordinator, "fetch_committed_offsets", fetch)
    consumer._coordinator = GroupCoordinator.__new__(GroupCoordinator)
    assert await committed_with_metadata(consumer, {TP}) == {TP: (7, "id")}
    assert (parameters, asked) == (["self", "partitions"], [[TP]])
    consumer._coordinator = None  # it was never started: nothing is to be left
    await consumer.stop()


async def test_while_partitions_are_given_out_nothing_is_known_of_them() -> None:
    consumer = AIOKafkaConsumer(group_id="g")
    assert is_rebalancing(consumer)  # it wants no topic yet
    consumer._subscription.subscribe({"t"})
    assert is_rebalancing(consumer)
    consumer._subscription.assign_from_subscribed([TP])
    assert not is_rebalancing(consumer)
    consumer._subscription.begin_reassignment()
    assert is_rebalancing(consumer)
    await consumer.stop()
