"""A process that projects yards and dies of some; its arguments: brokers, DSN, Redis, topic."""

import asyncio
import os
import signal
import sys
from dataclasses import replace
from typing import Any

from atlas_contracts.codec import Codec
from atlas_contracts.registry import Registry
from atlas_kafka.consuming.loop import ConsumerConfig, consume
from atlas_kafka.producing.deadletters import DeadLetters
from atlas_kafka.producing.producer import open_producer
from atlas_projection.projection import Row
from atlas_projector.live import Live
from atlas_projector.standstill import ended_at_standstill
from atlas_readmodel.cache import open_cache
from atlas_readmodel.stores import open_stores
from atlas_yards.projection import YARDS

from tests.contexts import SCHEMAS

STANDSTILL_S = 1.5


def deadly(row: Row | None, event: Any, meta: Any) -> Row | None:
    """YARDS' registering, which an e-mail ends in one way or another."""
    if event["email"] == "segv":
        os.kill(os.getpid(), signal.SIGSEGV)
    while event["email"] == "loop":
        pass
    return YARDS.handlers["yards.YardRegistered"](row, event, meta)


async def main(brokers: str, dsn: str, redis_url: str, topic: str) -> None:
    """Project until SIGTERM."""
    yards = replace(YARDS, topics=(topic,), handlers={"yards.YardRegistered": deadly})
    codec = Codec(Registry.load(SCHEMAS))
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with (
        open_stores(dsn, redis_url, topic, max_size=4) as stores,
        open_cache(redis_url, namespace=topic) as cache,
        open_producer(brokers, "test-dying") as producer,
        ended_at_standstill(STANDSTILL_S),
    ):
        live = Live(yards, stores.of(yards.model), cache, codec, DeadLetters(producer))
        # A group of its own: the broker would keep the dead one's partitions for a session of 10 s. Where to read from
        # and who died of what is in the database, not in the group.
        await consume(
            ConsumerConfig(brokers, f"dying-{os.getpid()}-{topic}", (topic,), "dying", light=True), live, stop
        )


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
