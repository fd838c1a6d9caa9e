"""Writers whose every commit is on record, and the comparison of that record with what is on the topic."""

import asyncio
import random
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from itertools import pairwise

import asyncpg
from aiokafka import AIOKafkaConsumer, TopicPartition
from atlas_errors.policy import Fate, fate_of
from atlas_outbox.writer import OutboxRecord, append

PARTITIONS = 4
_RETRY_S = 0.1
_READ_S = 120

# The ledger is written in the transaction of the event: it knows of a commit whose answer was lost with a connection.
_TABLES = """
CREATE TABLE entity (key text PRIMARY KEY, version integer NOT NULL);
CREATE TABLE ledger (key text NOT NULL, version integer NOT NULL, PRIMARY KEY (key, version));
"""
_ENTITIES = "INSERT INTO entity SELECT 'key-' || number, 0 FROM generate_series(0, $1::integer - 1) AS number"
_NEXT = "UPDATE entity SET version = version + 1 WHERE key = $1 RETURNING version"


@dataclass(frozen=True, slots=True)
class Outcome:
    """Events committed and delivered; and how they differ. A version is out of order when a later one came before."""

    committed: int
    delivered: int
    duplicates: int
    missing: int
    uncommitted: int
    out_of_order: int


@dataclass
class OutboxTraffic:
    """Writers on connections of their own: lock an entity, append its event, dawdle, commit or roll back.

    `committed` has the moment and the outbox id of each event, as the commits were answered.
    """

    dsn: str
    brokers: str
    topic: str
    seed: int
    writers: int = 8
    keys: int = 60
    commits: int = 0
    roll_backs: int = 0
    committed: dict[tuple[str, int], tuple[float, int]] = field(default_factory=dict)
    lost_connections: Counter[str] = field(default_factory=Counter)

    async def prepare(self) -> None:
        """Make the entities and the ledger."""
        connection = await asyncpg.connect(self.dsn)
        try:
            await connection.execute(_TABLES)
            await connection.execute(_ENTITIES, self.keys)
        finally:
            await connection.close()

    async def run(self, stop: asyncio.Event) -> None:
        """Write until `stop`, through the database's outages."""
        async with asyncio.TaskGroup() as writers:
            for number in range(self.writers):
                writers.create_task(self._write(random.Random(self.seed + number), stop))

    async def _write(self, choose: random.Random, stop: asyncio.Event) -> None:
        while not stop.is_set():
            try:
                connection = await asyncpg.connect(self.dsn, timeout=5, command_timeout=10)
                try:
                    while not stop.is_set():
                        await self._commit(connection, choose)
                finally:
                    connection.terminate()
            except Exception as error:
                if fate_of(error) is not Fate.TRANSIENT and not isinstance(error, asyncpg.InternalClientError):
                    raise
                self.lost_connections[type(error).__name__] += 1
                await asyncio.sleep(_RETRY_S)

    async def _commit(self, connection: "asyncpg.Connection[asyncpg.Record]", choose: random.Random) -> None:
        key, appended = f"key-{choose.randrange(self.keys)}", {}
        transaction = connection.transaction()
        await transaction.start()
        for _ in range(choose.choice((1, 1, 1, 5))):
            version = await connection.fetchval(_NEXT, key)
            await connection.execute("INSERT INTO ledger VALUES ($1, $2)", key, version)
            record = OutboxRecord(self.topic, key.encode(), str(version).encode())
            appended[key, version] = (await append(connection, record)).row_id
        # So that ids become visible out of their order; a few hold their place for long.
        await asyncio.sleep(choose.random() * choose.choice((0.002, 0.01, 0.01, 0.5)))
        if choose.random() < 0.2:
            await transaction.rollback()
            self.roll_backs += 1
        else:
            await transaction.commit()
            self.commits += 1
            self.committed |= {event: (time.monotonic(), row_id) for event, row_id in appended.items()}

    async def compare(self) -> Outcome:
        """The ledger against what a read-committed consumer sees of the whole topic."""
        connection = await asyncpg.connect(self.dsn)
        committed = {(row[0], row[1]) for row in await connection.fetch("SELECT key, version FROM ledger")}
        await connection.close()
        seen = await self._read()
        times = Counter(seen)
        versions: dict[str, list[int]] = defaultdict(list)
        for key, version in seen:
            versions[key].append(version)
        return Outcome(
            committed=len(committed),
            delivered=len(seen),
            duplicates=len(seen) - len(times),
            missing=len(committed - set(times)),
            uncommitted=len(set(times) - committed),
            out_of_order=sum(before > after for each in versions.values() for before, after in pairwise(each)),
        )

    async def _read(self) -> list[tuple[str, int]]:
        consumer = AIOKafkaConsumer(bootstrap_servers=self.brokers, isolation_level="read_committed")
        await consumer.start()
        try:
            partitions = [TopicPartition(self.topic, number) for number in range(PARTITIONS)]
            consumer.assign(partitions)
            await consumer.seek_to_beginning(*partitions)
            ends = await consumer.end_offsets(partitions)
            seen: list[tuple[str, int]] = []
            async with asyncio.timeout(_READ_S):
                while any([await consumer.position(p) < ends[p] for p in partitions]):
                    for records in (await consumer.getmany(timeout_ms=200)).values():
                        seen += [(record.key.decode(), int(record.value)) for record in records]
            return seen
        finally:
            await consumer.stop()
