"""A bare client of the brokers."""

from collections.abc import AsyncIterator

import pytest
from aiokafka.client import AIOKafkaClient
from atlas_local.testing import Servers


@pytest.fixture
async def client(servers: Servers) -> AsyncIterator[AIOKafkaClient]:
    opened = AIOKafkaClient(bootstrap_servers=servers.kafka_brokers)
    await opened.bootstrap()
    yield opened
    await opened.close()
