"""What a benchmark of the relay writes: a backlog in one transaction, or commits at a steady pace."""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from uuid import uuid4

import asyncpg
from aiokafka import AIOKafkaConsumer, TopicPartition
from atlas_local.waiting import wait_until
from atlas_outbox.waker import open_waker
from atlas_outbox.writer import OutboxRecord, append_many

COLUMNS = ("key_hash", "shard", "topic", "key", "value", "headers")
KEYS = 10_000
PARTITIONS = 4  # of the topics that are written to
_COPY_ROWS = 100_000


def rows(topic: str, count: int, size: int) -> Iterator[tuple[object, ...]]:
    """Rows over KEYS keys with values of `size` bytes and the header `ce_id`."""
    value = b"v" * size
    prepared = [
        OutboxRecord(topic, f"key-{number:06}".encode(), value, [("ce_id", str(uuid4()).encode())]).row()
        for number in range(min(KEYS, count))
    ]
    return (prepared[number % len(prepared)] for number in range(count))


async def fill(dsn: str, topic: str, count: int, size: int) -> float:
    """Commit so many rows in one transaction, so that all are there at once; the moment of it (perf_counter)."""
    connection = await asyncpg.connect(dsn)
    try:
        source = rows(topic, count, size)
        transaction = connection.transaction()
        await transaction.start()
        for first in range(0, count, _COPY_ROWS):
            part = [next(source) for _ in range(min(_COPY_ROWS, count - first))]
            await connection.copy_records_to_table("records", schema_name="outbox", columns=COLUMNS, records=part)
        begun = time.perf_counter()
        await transaction.commit()
        return begun
    finally:
        await connection.close()


@dataclass
class Pace:
    """Commits at a steady rate, and when each row's commit returned; then when a consumer got it."""

    dsn: str
    brokers: str
    topic: str
    rows_per_s: int
    rows_per_commit: int
    nudges: bool = True
    committed: dict[bytes, float] = field(default_factory=dict)
    received: dict[bytes, float] = field(default_factory=dict)

    async def run(self, seconds: float) -> list[float]:
        """Write for so long and wait for all of it: milliseconds from commit to consumer, in rising order.

        The consumer reads committed records only. With `nudges` one follows each commit, as in the gateway.
        """
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self.brokers, isolation_level="read_committed", fetch_max_wait_ms=100
        )
        await consumer.start()
        partitions = [TopicPartition(self.topic, number) for number in range(PARTITIONS)]
        consumer.assign(partitions)
        await consumer.seek_to_end(*partitions)
        stop = asyncio.Event()
        reading = asyncio.create_task(self._read(consumer, stop))
        try:
            await self._write(seconds)
            await wait_until("every row at the consumer", lambda: len(self.received) >= len(self.committed), 30)
        finally:
            stop.set()
            await reading
            await consumer.stop()
        return sorted(1000 * (self.received[row] - at) for row, at in self.committed.items())

    async def _read(self, consumer: AIOKafkaConsumer, stop: asyncio.Event) -> None:
        while not stop.is_set():
            for records in (await consumer.getmany(timeout_ms=100)).values():
                now = time.perf_counter()
                for record in records:
                    assert record.value not in self.received, "a row came twice"
                    self.received[record.value] = now

    async def _write(self, seconds: float) -> None:
        async with asyncpg.create_pool(self.dsn, min_size=4, max_size=8) as pool, open_waker(self.dsn) as waker:
            begun, number, tasks = time.perf_counter(), 0, set["asyncio.Task[None]"]()
            interval = self.rows_per_commit / self.rows_per_s

            def committed(done: "asyncio.Task[None]") -> None:
                tasks.discard(done)
                done.result()
                if self.nudges:
                    waker.nudge()

            while (due := begun + number * interval) < begun + seconds:
                await asyncio.sleep(max(0.0, due - time.perf_counter()))
                task = asyncio.create_task(self._commit(pool, number))
                tasks.add(task)
                task.add_done_callback(committed)
                number += 1
            await asyncio.gather(*tasks)

    async def _commit(self, pool: "asyncpg.Pool[asyncpg.Record]", number: int) -> None:
        values = [f"{number}-{place}".encode().ljust(200) for place in range(self.rows_per_commit)]
        records = [OutboxRecord(self.topic, f"k{(number + n) % 997}".encode(), v) for n, v in enumerate(values)]
        async with pool.acquire() as connection, connection.transaction():
            await append_many(connection, records)
        now = time.perf_counter()
        self.committed.update(dict.fromkeys(values, now))
