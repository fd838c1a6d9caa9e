"""Commits at a steady pace, and how long each row takes to a consumer: a process of its own.

`python -m tests.bench.outbox_pace '{"dsn": …}'` prints a line of JSON for each run. Nothing else of a benchmark runs in
it, so that what is measured is not the benchmark's own work.
"""

import asyncio
import gc
import json
import sys
import time
from dataclasses import asdict, dataclass, field

import asyncpg
import uvloop
from aiokafka import AIOKafkaConsumer, TopicPartition
from atlas_local.waiting import wait_until
from atlas_outbox.waker import open_waker
from atlas_outbox.writer import OutboxRecord, append_many

from tests.bench.machine import Usage

PARTITIONS = 4  # of the topic


@dataclass(frozen=True, slots=True)
class Plan:
    """Where to, how fast, and for how long each run; the first run is not counted. `relay` is a process."""

    dsn: str
    brokers: str
    topic: str
    rows_per_s: int
    rows_per_commit: int
    seconds: tuple[float, ...]
    relay: int
    nudges: bool = True


@dataclass
class Pace:
    """One run: when each row's commit returned, and when a consumer got it."""

    plan: Plan
    committed: dict[bytes, float] = field(default_factory=dict)
    received: dict[bytes, float] = field(default_factory=dict)

    async def run(self, seconds: float) -> list[float]:
        """Write for so long and wait for all of it: milliseconds from commit to consumer, in rising order.

        The consumer reads committed records only. With `nudges` one follows each commit, as in the gateway.
        """
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self.plan.brokers, isolation_level="read_committed", fetch_max_wait_ms=100
        )
        await consumer.start()
        partitions = [TopicPartition(self.plan.topic, number) for number in range(PARTITIONS)]
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
        async with (
            asyncpg.create_pool(self.plan.dsn, min_size=4, max_size=8) as pool,
            open_waker(self.plan.dsn) as waker,
        ):
            begun, number, tasks = time.perf_counter(), 0, set["asyncio.Task[None]"]()
            interval = self.plan.rows_per_commit / self.plan.rows_per_s

            def committed(done: "asyncio.Task[None]") -> None:
                tasks.discard(done)
                done.result()
                if self.plan.nudges:
                    waker.nudge()

            while (due := begun + number * interval) < begun + seconds:
                await asyncio.sleep(max(0.0, due - time.perf_counter()))
                task = asyncio.create_task(self._commit(pool, number))
                tasks.add(task)
                task.add_done_callback(committed)
                number += 1
            await asyncio.gather(*tasks)

    async def _commit(self, pool: "asyncpg.Pool[asyncpg.Record]", number: int) -> None:
        values = [f"{number}-{place}".encode().ljust(200) for place in range(self.plan.rows_per_commit)]
        records = [OutboxRecord(self.plan.topic, f"k{(number + n) % 997}".encode(), v) for n, v in enumerate(values)]
        async with pool.acquire() as connection, connection.transaction():
            await append_many(connection, records)
        now = time.perf_counter()
        self.committed.update(dict.fromkeys(values, now))


async def measured(plan: Plan) -> list[dict[str, float]]:
    """Run the plan in a process of its own: p50 and p99 of each run that counts, and what the relay took of a core."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.bench.outbox_pace", json.dumps(asdict(plan))),
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        out, _ = await process.communicate()
        assert process.returncode == 0, f"the load ended with {process.returncode}"
        return [json.loads(line) for line in out.splitlines()[1:]]
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def _run(plan: Plan) -> None:
    gc.disable()  # a run is short, and a collection here would count as the relay's time
    for seconds in plan.seconds:
        gc.collect()
        async with Usage(plan.relay, sample_s=seconds) as usage:
            took = await Pace(plan).run(seconds)
        figures = {"p50_ms": _quantile(took, 0.50), "p99_ms": _quantile(took, 0.99), "cpu_percent": usage.cpu_percent}
        print(json.dumps(figures), flush=True)


def _quantile(ordered: list[float], part: float) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))]


if __name__ == "__main__":
    uvloop.run(_run(Plan(**json.loads(sys.argv[1]))))
