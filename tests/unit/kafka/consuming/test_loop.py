"""How the loop waits: for records while it reads, for an assignment while there is nothing to read, for the dead."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from atlas_kafka.consuming import loop
from atlas_kafka.consuming.loop import ConsumerConfig, _consumer, _poll

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


async def test_the_brokers_are_told_how_long_to_wait_for_a_dead_member(monkeypatch: pytest.MonkeyPatch) -> None:
    told: dict[str, Any] = {}

    class Started:
        def __init__(self, **options: Any) -> None:
            told.update(options)

        async def start(self) -> None:
            """It takes no time."""

        async def stop(self) -> None:
            """Neither does this."""

    monkeypatch.setattr(loop, "AIOKafkaConsumer", Started)
    monkeypatch.setattr(loop, "fetch_by_id", lambda _consumer, _group: None)
    names = ("session_timeout_ms", "heartbeat_interval_ms", "rebalance_timeout_ms")
    for session_s, expected in (
        (3.0, (3_000, 600, 10_000)),
        (10.0, (10_000, 2_000, 10_000)),
        (60.0, (60_000, 12_000, 60_000)),
    ):
        config = ConsumerConfig("broker:1", "group", ("orders",), "test", session_s=session_s)
        async with _consumer(config, asyncio.Event()):
            assert tuple(told[name] for name in names) == expected
