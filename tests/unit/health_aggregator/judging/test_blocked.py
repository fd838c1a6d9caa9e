"""Which partitions stand still before an open transaction, and what is said of it."""

from dataclasses import replace
from typing import Any

import pytest
from aiokafka import TopicPartition
from atlas_health_aggregator.judging.blocked import Blockade, StandStill
from atlas_kafka.cluster.transactions import OpenTransaction

ONE, TWO = TopicPartition("t", 0), TopicPartition("t", 1)
NOW_MS = 1_700_000_100_000
TRANSACTION = OpenTransaction(17, 3, 0, 20, NOW_MS - 50_000, "etl-1", NOW_MS - 60_000, 900_000)
BLOCKADE = Blockade("t", 0, NOW_MS - 60_000, 10, TRANSACTION)


def test_a_partition_stands_still_after_a_while_and_not_before() -> None:
    standing = StandStill(5)
    assert standing.look({ONE: (20, 21)}, 100) == {}
    assert standing.look({ONE: (20, 25)}, 104.9) == {}
    assert standing.look({ONE: (20, 30)}, 105) == {ONE: 100}
    assert standing.look({ONE: (20, 30)}, 900) == {ONE: 100}


def test_ordinary_transactions_are_not_told_however_many_there_are() -> None:
    standing = StandStill(5)
    for second in range(100):
        ends = {ONE: (second, second + 5), TWO: (second, second)}
        assert standing.look(ends, 100 + second) == {}


def test_one_that_has_ended_begins_anew() -> None:
    standing = StandStill(5)
    standing.look({ONE: (20, 21)}, 100)
    assert standing.look({ONE: (30, 30)}, 106) == {}
    assert standing.look({ONE: (20, 21)}, 107) == {}
    assert standing.look({}, 108) == {}
    assert standing.look({ONE: (20, 21)}, 120) == {}


@pytest.mark.parametrize(
    ("transaction", "whose"),
    [
        (TRANSACTION, "transactional id etl-1"),
        (replace(TRANSACTION, hanging=True), "transactional id etl-1, hanging: its coordinator has ended it"),
        (replace(TRANSACTION, transactional_id=None, hanging=True), "producer id 17, which no coordinator knows"),
        (None, "an unknown producer"),
    ],
)
def test_it_says_since_when_and_whose(transaction: OpenTransaction | None, whose: str) -> None:
    shown: dict[str, Any] = replace(BLOCKADE, transaction=transaction).as_json(NOW_MS)
    assert shown["text"] == f"blocked by a transaction since 2023-11-14T22:14:00.000Z, of {whose}"
    assert (shown["seconds"], shown["records"]) == (60.0, 10)


def test_times_that_are_none_are_not_shown() -> None:
    assert replace(BLOCKADE, since=2**62).as_json(NOW_MS)["since"] is None
    assert replace(BLOCKADE, since=2**62).as_json(NOW_MS)["seconds"] == 0.0
