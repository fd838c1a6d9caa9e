"""What is read to count it: short stretches first, within the budget, each once."""

from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from atlas_ledger import counting
from atlas_ledger.counting import Counter, Place

PLACE: Place = ("t", "id", 0)
OTHER: Place = ("u", "id", 3)


class Consumer:
    """A topic whose every third offset is a marker, and of which the first `gone` offsets are deleted."""

    def __init__(self) -> None:
        self.read: list[tuple[TopicPartition, int]] = []
        self.gone = 0
        self.silent = False
        self.batch = 7
        self._at = 0

    def assign(self, partitions: list[TopicPartition]) -> None:
        self._partitions = partitions

    def seek(self, partition: TopicPartition, offset: int) -> None:
        assert partition in self._partitions
        self.read.append((partition, offset))
        self._at = max(offset, self.gone)

    async def position(self, _partition: TopicPartition) -> int:
        return self._at

    async def getmany(self, partition: TopicPartition, *, timeout_ms: int) -> dict[TopicPartition, list[Any]]:
        assert timeout_ms > 0
        if self.silent:
            return {}
        begin, self._at = self._at, self._at + self.batch
        return {partition: [SimpleNamespace(offset=n) for n in range(begin, self._at) if n % 3]}

    async def beginning_offsets(self, partitions: list[TopicPartition]) -> dict[TopicPartition, int]:
        return dict.fromkeys(partitions, self.gone)

    def unsubscribe(self) -> None:
        self._partitions = []


@pytest.fixture
def consumer() -> Consumer:
    return Consumer()


def counter(consumer: Any, budget: int = 1000) -> Counter:
    return Counter(consumer, budget)


async def test_records_are_counted_and_markers_are_not(consumer: Consumer) -> None:
    found = await counter(consumer).count({PLACE: [(0, 30), (30, 40)], OTHER: []})
    assert found == {PLACE: {(0, 30): 20, (30, 40): 6}, OTHER: {}}


async def test_what_was_counted_is_not_read_again(consumer: Consumer) -> None:
    counts = counter(consumer)
    first = await counts.count({PLACE: [(0, 30)]})
    assert await counts.count({PLACE: [(0, 30)]}) == first
    assert len(consumer.read) == 1
    # A topic made again is another one.
    await counts.count({("t", "id-2", 0): [(0, 30)]})
    assert len(consumer.read) == 2


async def test_what_is_short_comes_first_and_the_budget_ends_it(consumer: Consumer) -> None:
    counts = counter(consumer, budget=50)
    found = await counts.count({PLACE: [(0, 40)], OTHER: [(0, 20), (20, 25)]})
    assert found == {PLACE: {}, OTHER: {(0, 20): 13, (20, 25): 3}}
    assert (await counts.count({PLACE: [(0, 40)], OTHER: [(0, 20)]}))[PLACE] == {(0, 40): 26}  # the next round


async def test_what_the_topic_has_lost_or_does_not_give_is_not_counted(
    consumer: Consumer, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = counter(consumer)
    consumer.gone = 10
    assert await counts.count({PLACE: [(0, 30)]}) == {PLACE: {}}
    consumer.gone, consumer.silent = 0, True
    monkeypatch.setattr(counting, "TIMEOUT_S", 0.0)
    assert await counts.count({PLACE: [(0, 30)]}) == {PLACE: {}}
    consumer.silent = False
    monkeypatch.setattr(counting, "TIMEOUT_S", 30.0)
    assert await counts.count({PLACE: [(0, 30)]}) == {PLACE: {(0, 30): 20}}
