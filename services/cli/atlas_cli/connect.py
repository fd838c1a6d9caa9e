"""The schemas and the Kafka that a command works on, with errors a user can act on."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from atlas_cli.settings import CliSettings
from atlas_cli.terminal.faults import START_IT, hush_structlog
from atlas_cli.terminal.output import CommandError

if TYPE_CHECKING:
    from aiokafka import AIOKafkaConsumer
    from atlas_contracts.registry import Registry


def load_registry(settings: CliSettings) -> "Registry":
    """The registry of `schemas_dir`; CommandError with what is wrong with the folder."""
    from atlas_contracts.errors import BrokenSchemas
    from atlas_contracts.registry import Registry

    try:
        return Registry.load(settings.schemas_dir)
    except BrokenSchemas as error:
        raise CommandError(f"schemas in {settings.schemas_dir}: {error}") from None


@asynccontextmanager
async def kafka_reader(settings: CliSettings) -> "AsyncIterator[AIOKafkaConsumer]":
    """A read-committed consumer without a group; CommandError when no broker answers."""
    from aiokafka.errors import KafkaConnectionError
    from atlas_kafka.cluster.groups import open_reader

    # Its warnings say again, for each broker, what the one line of our error says.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    hush_structlog()
    try:
        async with open_reader(settings.kafka_brokers, "atlas-cli") as reader:
            yield reader
    except KafkaConnectionError:
        raise CommandError(f"Kafka at {settings.kafka_brokers} does not answer; {START_IT}") from None
