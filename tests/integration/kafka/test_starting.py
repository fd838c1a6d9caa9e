"""A client whose start is cancelled loses no connection, whenever that happens."""

import asyncio
import gc
import warnings
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
from atlas_kafka.admin import open_admin
from atlas_kafka.groups import open_reader
from atlas_kafka.producer import open_producer
from atlas_local.testing import Servers

pytestmark = pytest.mark.integration
_STEPS = 400  # a start takes the event loop some 20 to 40


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

    with warnings.catch_warnings(record=True) as lost:
        warnings.simplefilter("always")
        for steps in range(_STEPS):
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
        else:
            pytest.fail(f"the client was not started after {_STEPS} steps of the event loop")
        gc.collect()
    assert not lost, [str(warning.message) for warning in lost]
