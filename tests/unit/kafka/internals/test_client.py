"""The client of a consumer and of an admin client is where it was."""

import inspect

from aiokafka import AIOKafkaClient, AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient
from atlas_kafka.internals.client import ConnectionGroup, CoordinationType, client_of


async def test_a_consumer_and_an_admin_client_have_a_client() -> None:
    consumer, admin = AIOKafkaConsumer(), AIOKafkaAdminClient()
    assert isinstance(client_of(consumer), AIOKafkaClient)
    assert isinstance(client_of(admin), AIOKafkaClient)
    await consumer.stop()
    await admin.close()


def test_its_methods_take_what_is_given() -> None:
    assert {"node_id", "request", "group"} <= set(inspect.signature(AIOKafkaClient.send).parameters)
    assert list(inspect.signature(AIOKafkaClient.coordinator_lookup).parameters)[1:] == [
        "coordinator_type",
        "coordinator_key",
    ]
    assert {"node_id", "group"} <= set(inspect.signature(AIOKafkaClient.ready).parameters)
    for name in ("coordinator_lookup", "fetch_all_metadata", "force_metadata_update", "ready", "send"):
        assert callable(getattr(AIOKafkaClient, name)), name


def test_the_kinds_of_coordinators_and_connections() -> None:
    assert (CoordinationType.GROUP, CoordinationType.TRANSACTION) == (0, 1)
    assert ConnectionGroup.COORDINATION != ConnectionGroup.DEFAULT
