"""Two projectors killed again and again, live and while they rebuild, Kafka and PostgreSQL stopped in between.

    make chaos WHAT=projector ROUNDS=50      prints one JSON summary: records, missing, duplicates, mismatches

Every round kills a process (kill -9) at a random moment: an instance, or a worker of a rebuild. Beside it records are
written, and readers look: no read may fail while PostgreSQL is up, and no counter may go back.
"""

import argparse
import asyncio
import contextlib
import json
import os
import random
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import asyncpg
import psutil
from atlas_contracts.codec import Codec
from atlas_contracts.registry import Registry
from atlas_kafka.cluster.admin import TopicSpec, ensure_topics
from atlas_kafka.producing.producer import open_producer
from atlas_local.serverset import ServerSet
from atlas_local.testing import database_url, migrate
from atlas_local.waiting import wait_until
from atlas_readmodel.redis.documents_reader import DocumentsReader
from atlas_readmodel.stores import open_redis
from redis.exceptions import RedisError

from tests.bench.machine import servers
from tests.chaos.projector_traffic import TOPICS, Traffic, compare, read_topics, send
from tests.contexts import SCHEMAS

INSTANCES = 2
OUTAGE_EVERY = 10
OUTAGE_S = 2.0
SETTLED_S = 120.0
BACK_S = 60.0
PROJECTIONS = ("yards", "hauls", "routes", "carriers")  # in tables
BOARDS = "departures"  # in Redis


@dataclass
class Instance:
    """One projector process, started again whenever it ends."""

    env: dict[str, str]
    port: int
    process: asyncio.subprocess.Process | None = None
    kills: int = 0

    async def keep_running(self) -> None:
        while True:
            self.process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "atlas_projector"),
                env={**self.env, "ATLAS_HTTP_PORT": str(self.port)},
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.DEVNULL,
            )
            try:
                await self.process.wait()
            except asyncio.CancelledError:
                with contextlib.suppress(ProcessLookupError):
                    self.process.kill()
                await self.process.wait()
                raise

    def kill(self, *, worker: bool) -> None:
        """kill -9 of the process, or of one of its rebuild workers when it has any."""
        assert self.process is not None
        with contextlib.suppress(ProcessLookupError, psutil.NoSuchProcess):
            children = psutil.Process(self.process.pid).children() if worker else []
            if children:
                children[0].kill()
            else:
                self.process.send_signal(signal.SIGKILL)
            self.kills += 1


@dataclass
class Chaos:
    """Everything that is being broken, and what was seen meanwhile."""

    own: ServerSet
    dsn: str
    pool: "asyncpg.Pool[Any]"
    instances: list[Instance]
    choose: random.Random = field(default_factory=lambda: random.Random(11))
    read_errors: int = 0
    went_back: int = 0
    reads: int = 0
    rebuilds: int = 0
    outage: bool = False

    async def round(self, number: int) -> None:
        """Begin a rebuild now and then, wait a random moment, kill."""
        victim = self.choose.choice(self.instances)
        rebuilding = self.choose.random() < 0.6
        if rebuilding:
            await self._rebuild(victim)
        await asyncio.sleep(self.choose.uniform(0.05, 1.5))  # the random moment is the test's subject
        victim.kill(worker=rebuilding and self.choose.random() < 0.5)
        if number % OUTAGE_EVERY == OUTAGE_EVERY - 1:
            runner = (self.own.kafka, self.own.postgres, self.own.valkey)[number // OUTAGE_EVERY % 3]
            self.outage = True
            await runner.stop()
            await asyncio.sleep(OUTAGE_S)
            await runner.start()
            self.outage = False

    async def _rebuild(self, instance: Instance) -> None:
        name = self.choose.choice((*PROJECTIONS, BOARDS))
        url = f"http://127.0.0.1:{instance.port}/projections/{name}/rebuild"
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as session:

            async def begun() -> bool:
                # The one before may have been killed a moment ago: there is nothing to rebuild until it is back.
                try:
                    async with session.post(url) as response:
                        self.rebuilds += response.status == 202
                        return response.status in (202, 409)
                except (aiohttp.ClientError, TimeoutError):
                    return False

            await wait_until(f"a rebuild of {name} to begin", begun, BACK_S)

    async def read(self) -> None:
        """Read the counters all the time; they only rise, and no read fails but in an outage."""
        seen = 0
        while True:
            calm = not self.outage
            try:
                hauls = await self.pool.fetchval("SELECT coalesce(sum(hauls), 0)::bigint FROM readmodel.routes")
            except (asyncpg.InvalidCachedStatementError, asyncpg.OutdatedSchemaCacheError):
                continue  # what atlas_readmodel.reader does as well: the statement is prepared again
            except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError):
                self.read_errors += calm and not self.outage
                await asyncio.sleep(0.05)
                continue
            self.reads += 1
            self.went_back += hauls < seen
            seen = max(seen, hauls)
            await asyncio.sleep(0.01)


async def run(rounds: int) -> dict[str, int]:
    """So many rounds; the summary."""
    codec = Codec(Registry.load(SCHEMAS))
    async with servers() as own, _chaos(own) as chaos, AsyncExitStack() as stack:
        producer = await stack.enter_async_context(open_producer(own.servers.kafka_brokers, "chaos"))
        traffic, stop = Traffic(codec), asyncio.Event()

        async def write() -> None:
            while not stop.is_set():
                await send(producer, traffic.batch())
                await asyncio.sleep(0.05)
            await send(producer, traffic.held)

        writing, reading = asyncio.create_task(write()), asyncio.create_task(chaos.read())
        for number in range(rounds):
            await chaos.round(number)
        stop.set()
        await writing
        expected, ends = await read_topics(own.servers.kafka_brokers, codec)
        redis = await stack.enter_async_context(open_redis(own.servers.redis_url))
        boards = DocumentsReader(redis)

        async def settled() -> bool:
            return await _settled(chaos.pool, ends) and await _boards_settled(boards, ends)

        await wait_until("every projection to be at the end", settled, SETTLED_S)
        reading.cancel()
        return {
            "rounds": rounds,
            "kills": sum(instance.kills for instance in chaos.instances),
            "rebuilds": chaos.rebuilds,
            "generations": await chaos.pool.fetchval("SELECT count(*) FROM readmodel.generations"),
            "records": expected.records,
            **await compare(chaos.pool, await boards.rows(BOARDS) or [], expected),
            "waiting": await chaos.pool.fetchval(
                "SELECT count(*) FROM readmodel.parked p JOIN readmodel.projections r"
                " ON r.name = p.projection AND r.live_generation = p.generation"
            ),
            "reads": chaos.reads,
            "read_errors": chaos.read_errors,
            "went_back": chaos.went_back,
        }


async def _settled(pool: asyncpg.Pool, ends: dict[tuple[str, int], int]) -> bool:
    try:
        rows = await pool.fetch(
            "SELECT projection, topic, partition, next_offset FROM readmodel.positions"
            " JOIN readmodel.projections ON name = projection AND live_generation = generation"
        )
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
        return False
    reached: int = sum(row["next_offset"] >= ends[row["topic"], row["partition"]] for row in rows)
    partitions = {topic: sum(1 for of, _ in ends if of == topic) for topic in TOPICS}
    return reached == partitions["yards.events"] + 3 * partitions["hauls.events"]


async def _boards_settled(boards: DocumentsReader, ends: dict[tuple[str, int], int]) -> bool:
    try:
        positions = await boards.positions(BOARDS)
    except (RedisError, OSError):
        return False
    return positions == {place: end for place, end in ends.items() if place[0] == "hauls.events"}


@asynccontextmanager
async def _chaos(own: ServerSet) -> AsyncIterator[Chaos]:
    admin = await asyncpg.connect(own.servers.postgres_dsn)
    await admin.execute("CREATE DATABASE chaos")
    await admin.close()
    dsn = database_url(own.servers.postgres_dsn, "chaos")
    await asyncio.to_thread(migrate, dsn)
    registry = Registry.load(SCHEMAS)
    await ensure_topics(own.servers.kafka_brokers, [TopicSpec(*topic) for topic in registry.kafka_topics()])
    env = {
        **os.environ,
        "ATLAS_KAFKA_BROKERS": own.servers.kafka_brokers,
        "ATLAS_READMODEL_DSN": dsn,
        "ATLAS_REDIS_URL": own.servers.redis_url,
        "ATLAS_SCHEMAS_DIR": str(SCHEMAS),
        "ATLAS_PROJECTOR_REBUILD_FROM_ARCHIVE": "false",
        # Short, so that a dead one's partitions are taken over soon and there are many rounds a minute.
        "ATLAS_KAFKA_SESSION_S": "3",
    }
    instances = [Instance(env, _free_port()) for _ in range(INSTANCES)]
    async with asyncpg.create_pool(dsn, min_size=0, max_size=4, command_timeout=30) as pool:
        running = [asyncio.create_task(instance.keep_running()) for instance in instances]
        try:
            chaos = Chaos(own, dsn, pool, instances)
            await wait_until("the read models to be there", lambda: _built(pool), 60)
            yield chaos
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)


async def _built(pool: asyncpg.Pool) -> bool:
    return bool(await pool.fetchval("SELECT count(*) FROM readmodel.projections") == len(PROJECTIONS))


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


def failed(summary: dict[str, int]) -> list[str]:
    """What must be nothing and is not."""
    return [
        name for name in ("missing", "duplicates", "mismatches", "waiting", "read_errors", "went_back") if summary[name]
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=50)
    summary = asyncio.run(run(parser.parse_args().rounds))
    sys.stdout.write(json.dumps(summary) + "\n")
    raise SystemExit(1 if failed(summary) else 0)


if __name__ == "__main__":
    main()
