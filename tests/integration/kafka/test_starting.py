"""A client whose start is cancelled loses no connection, whenever that happens."""

import asyncio
import gc
import warnings
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
from atlas_kafka.cluster.admin import open_admin
from atlas_kafka.cluster.groups import open_reader
from atlas_kafka.producing.producer import open_producer
from atlas_local.testing import Servers

pytestmark = pytest.mark.integration
# A start takes the event loop some 20 to 40 steps; of a broker that is slow to answer, idle ones besides.
_STEPS = 50_000


def _producer(brokers: str) -> AbstractAsyncContextManager[Any]:
    return open_producer(brokers, "test")


def _reader(brokers: str) -> AbstractAsyncContextManager[Any]:
    return open_reader(brokers, "test")


@pytest.mark.parametrize("open_client", [_producer, _reader, open_admin])
async def test_cancelled_at_any_step(
    servers: Servers, open_client: Callable[[str], AbstractAsyncContextManager[Any]]
) -> None:
    started = asyncio.Event()

    async def use() -> None:
        async with open_client(servers.kafka_brokers):
            started.set()
            await asyncio.Event().wait()

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        gc.collect()  # what earlier tests left behind is not lost here
    steps = 0
    with warnings.catch_warnings(record=True) as lost:
        warnings.simplefilter("always")
        while steps < _STEPS:
            started.clear()
            task = asyncio.create_task(use())
            for _ in range(steps):
                await asyncio.sleep(0)
            came_up = started.is_set()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            assert task.cancelled()
            if came_up:
                break
            steps += 1 if steps < 100 else steps // 10
        else:
            pytest.fail(f"the client was not started after {_STEPS} steps of the event loop")
        gc.collect()
    assert not lost, [str(warning.message) for warning in lost]
