"""A worker that counts each event once: killed in the middle, and beside another one on the same file."""

import asyncio
import importlib.util
import sqlite3
import sys
import uuid
from collections.abc import Awaitable, Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aiokafka import TopicPartition
from atlas_contracts.codec import Codec
from atlas_kafka.cluster.partitions_now import PartitionNow
from atlas_kafka.consuming.sink import Rewind
from atlas_local.home import ROOT
from atlas_local.supervising.processes import Process
from atlas_local.testing import Servers
from atlas_local.waiting import wait_until

pytestmark = pytest.mark.integration

NAME = "projection-in-a-worker"
ITEMS = 400
PLACE = TopicPartition("shop.orders", 0)


def rows(file: Path, orders: list[str]) -> dict[str, tuple[int, int]]:
    """Items and cents of each of the orders, as the file has them now."""
    if not file.exists():
        return {}
    with closing(sqlite3.connect(file)) as connection:
        try:
            found = connection.execute("SELECT order_id, items, cents FROM orders").fetchall()
        except sqlite3.OperationalError:  # the worker has not made its tables yet
            return {}
    return {order_id: (items, cents) for order_id, items, cents in found if order_id in orders}


async def test_each_event_counts_once_also_when_the_worker_is_killed(
    servers: Servers,
    topic: str,
    add_items: Callable[..., Awaitable[None]],
    example: Callable[[str], Any],
    tmp_path: Path,
) -> None:
    worker, file = example(NAME), tmp_path / "orders.sqlite"
    orders = [uuid.uuid4().hex for _ in range(5)]
    prices = list(range(1, ITEMS + 1))
    command = worker.command("worker.py", servers.kafka_brokers, str(file))
    first = Process.spawn(command, worker.log)
    try:
        await asyncio.gather(*(add_items(order, *prices) for order in orders))
        await wait_until(f"a row; the worker's log is {worker.log}", lambda: rows(file, orders), 60)
    finally:
        first.kill()
    await asyncio.gather(*(add_items(order, *prices, first=ITEMS + 1) for order in orders))
    expected = dict.fromkeys(orders, (2 * ITEMS, 2 * sum(prices)))
    async with worker.running("worker.py", servers.kafka_brokers, str(file)):
        # Kafka waits ten seconds for the one that was killed.
        await wait_until("all to be counted", lambda: at_least(rows(file, orders), expected), 90)
    assert rows(file, orders) == expected


def at_least(found: dict[str, tuple[int, int]], expected: dict[str, tuple[int, int]]) -> bool:
    return all(found.get(order, (0, 0)) >= total for order, total in expected.items())


async def test_the_tests_of_the_projection_need_no_server(example: Callable[[str], Any]) -> None:
    assert "1 passed" in await example(NAME).run("-m", "pytest", "-p", "no:cacheprovider", "--rootdir=.", "-q")


@dataclass(frozen=True)
class Record:
    """What the worker looks at of a record."""

    offset: int
    value: bytes
    timestamp: int = 0
    key: bytes = b"1"
    headers: tuple[()] = ()


async def test_a_worker_whose_partition_another_one_had_meanwhile_begins_where_that_ended(
    monkeypatch: pytest.MonkeyPatch, codec: Codec, tmp_path: Path
) -> None:
    monkeypatch.syspath_prepend(ROOT / "examples" / NAME)
    spec = importlib.util.spec_from_file_location("worker", ROOT / "examples" / NAME / "worker.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.delitem(sys.modules, "orders")
    value = {"order_id": "1", "item": "tea", "cents": 300, "added_at": 0}
    framed = codec.encode("shop.ItemAdded", value)
    there = {PLACE: PartitionNow("an id", 0, 3, 1)}
    file = tmp_path / "orders.sqlite"
    paused, other = module.Orders(file, codec), module.Orders(file, codec)
    for sink in (paused, other):
        assert await sink.start_offsets(there) == {PLACE: 0}
    # The relay's transactions end in markers that have offsets of their own: there are gaps.
    assert await other.handle({PLACE: [Record(0, framed), Record(1, b"no event"), Record(3, framed)]}) == {PLACE: 4}
    with pytest.raises(Rewind):
        await paused.handle({PLACE: [Record(0, framed)]})
    assert rows(file, ["1"]) == {"1": (2, 600)}
    assert await paused.start_offsets(there) == {PLACE: 4}
    assert await paused.handle({PLACE: [Record(4, framed)]}) == {PLACE: 5}
    assert rows(file, ["1"]) == {"1": (3, 900)}
    assert await paused.start_offsets({PLACE: PartitionNow("another id", 0, 3, 1)}) == {PLACE: 0}
