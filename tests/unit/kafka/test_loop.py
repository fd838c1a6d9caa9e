"""How the loop waits: for records while it reads, for an assignment while there is nothing to read."""

import asyncio
from types import SimpleNamespace
from typing import Any

from atlas_kafka.loop import ConsumerConfig, _poll

NEVER_S = 3600.0


class Consumer:
    """Has nothing; remembers how long it was to wait."""

    def __init__(self) -> None:
        self.waits: list[int] = []

    async def getmany(self, *, timeout_ms: int, max_records: int) -> dict[Any, Any]:
        self.waits.append(timeout_ms)
        return {}


async def _polled(*, reading: bool, assigned: bool) -> Consumer:
    consumer, session = Consumer(), SimpleNamespace(new_assignment=asyncio.Event())
    config = ConsumerConfig("broker:1", "group", ("orders",), "test", idle_s=NEVER_S)
    fetching = SimpleNamespace(ids={"orders": "id"} if reading else {})
    polling = asyncio.ensure_future(_poll(session, consumer, fetching, config))  # type: ignore[arg-type]
    if not reading:
        for _ in range(5):
            await asyncio.sleep(0)
            assert not polling.done()
        if assigned:
            session.new_assignment.set()
    async with asyncio.timeout(5):
        assert await polling == {}
    return consumer


async def test_while_it_reads_the_consumer_waits_for_records() -> None:
    assert (await _polled(reading=True, assigned=False)).waits == [NEVER_S * 1000]


async def test_while_nothing_is_read_an_assignment_ends_the_wait() -> None:
    assert (await _polled(reading=False, assigned=True)).waits == [0]
