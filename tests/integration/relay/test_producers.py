"""A producer that is thrown away takes nothing with it."""

from contextlib import AsyncExitStack, suppress

import pytest
from atlas_relay.producers import open_producer

pytestmark = pytest.mark.integration


async def test_what_a_discarded_producer_ends_with_is_not_raised(servers, monkeypatch):
    """Its sender may have died of anything, and stop() tells; what went wrong before is the error that counts."""

    async def ends_badly() -> None:
        raise KeyError("a batch that is not there any more")

    async with AsyncExitStack() as stack:
        stack.enter_context(suppress(ConnectionError))
        producer = await stack.enter_async_context(open_producer(servers.kafka_brokers, "test", 10))
        monkeypatch.setattr(producer._sender, "close", ends_badly)
        raise ConnectionError
    assert producer._sender.sender_task.cancelling()
    assert producer.client._conns
    assert not any(connection.connected() for connection in producer.client._conns.values())
