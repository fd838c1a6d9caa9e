"""What telling the relay of a commit costs its writer, and what it costs the relay to look without being told.

`make bench WHAT=wakeup`. Writers commit one row a transaction as fast as they can, in four ways by turns: telling
nobody (the relay polls); with one statement more, which tells nobody either; with pg_notify as that statement, which
holds a lock on the database until the commit is on disk; and as Atlas does, with a nudge after the commit. Somebody
listens in the last two. Then a relay looks at an empty outbox every so often, and finds rows of which nobody told it.
"""

import argparse
import asyncio
import multiprocessing
import statistics
import sys
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from contextlib import AsyncExitStack
from typing import Any
from uuid import uuid4

import asyncpg
import uvloop
from atlas_local.serverset import ServerSet
from atlas_outbox.relaying.listener import listening
from atlas_outbox.waker import CHANNEL, open_waker
from atlas_outbox.writer import OutboxRecord, append

from tests.bench.machine import Usage, connected, servers
from tests.bench.outbox_pace import Plan, measured
from tests.bench.relays import RelayProcess, new_outbox, new_topic, running
from tests.bench.report import publish

# The statement that a writer adds to its transaction.
WAYS = {
    "polling": None,
    "statement": "SELECT 1",
    "in_transaction": f"SELECT pg_notify('{CHANNEL}', '')",
    "hybrid": None,
}
POLLS_MS = (250, 10)
PROCESSES = 2  # of the writers, which share the connections
VALUE = b"v" * 200
KEYS = 10_000
CONNECTED_WITHIN_S = 5.0
IDLE_S = 20.0
PACE_ROWS_PER_S = 50
NOTES = {
    "polling_commits_per_s": "nobody is told",
    "statement_commits_per_s": "nobody is told, one round trip more",
    "in_transaction_commits_per_s": "pg_notify as that round trip",
    "hybrid_commits_per_s": "a nudge after the commit, as Atlas does",
    **{f"poll_{ms}_idle_cpu_percent": "of one core: relay and PostgreSQL" for ms in POLLS_MS},
    **{f"poll_{ms}_p50_ms": "commit to consumer, no nudges" for ms in POLLS_MS},
    f"nudged_{POLLS_MS[0]}_p50_ms": "the same with nudges",
}


async def _write_all(dsn: str, way: str, connections: int, begin: float, seconds: float) -> list[float]:
    """How long each commit took, in ms. `begin` is a moment of the machine's monotonic clock."""
    async with AsyncExitStack() as stack:
        opened = [await stack.enter_async_context(connected(dsn)) for _ in range(connections)]
        nudge = (await stack.enter_async_context(open_waker(dsn))).nudge if way == "hybrid" else _nobody
        assert time.monotonic() < begin, "the connections took too long"
        await asyncio.sleep(begin - time.monotonic())  # all processes begin at once
        parts = await asyncio.gather(*(_write(each, WAYS[way], nudge, begin + seconds) for each in opened))
    return [ms for part in parts for ms in part]


async def _write(
    connection: "asyncpg.Connection[Any]", more: str | None, nudge: Callable[[], None], end: float
) -> list[float]:
    now, first, took = time.monotonic, uuid4().int % KEYS, list[float]()
    while now() < end:
        number = first + len(took)
        header = ("ce_id", f"{first:024}-{number:011}".encode())
        transaction = connection.transaction()
        await transaction.start()
        await append(connection, OutboxRecord("wakeup", f"key-{number % KEYS:06}".encode(), VALUE, [header]))
        if more is not None:
            await connection.fetchval(more)
        committing = now()
        await transaction.commit()
        took.append(1000 * (now() - committing))
        nudge()
    return took


def _nobody() -> None:
    """Is told, and does nothing."""


def _write_in_process(dsn: str, way: str, connections: int, begin: float, seconds: float) -> list[float]:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_write_all(dsn, way, connections, begin, seconds))


class Bench:
    """One run: its servers, its outbox, and the processes that write."""

    def __init__(self, own: ServerSet, dsn: str, options: argparse.Namespace, pool: ProcessPoolExecutor) -> None:
        self.own, self.dsn, self.options, self._pool = own, dsn, options, pool

    async def writes(self) -> dict[str, Any]:
        """Every way as often as asked for, by turns; medians, and each run."""
        runs: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
        await self._run("polling", 2.0)  # processes and server warm up
        for _ in range(self.options.repeats):
            for way, found in runs.items():
                found.append(await self._run(way, self.options.seconds))
                print(way, {name: round(value, 2) for name, value in found[-1].items()}, file=sys.stderr, flush=True)
        medians = {
            f"{way}_{name}": statistics.median(run[name] for run in found)
            for way, found in runs.items()
            for name in found[0]
        }
        return {**medians, "runs": runs}

    async def polls(self) -> dict[str, float]:
        """An exactly-once relay that has nothing to do, and one that nobody tells; at each interval."""
        figures: dict[str, float] = {}
        await self._empty()
        assert self.own.postgres.process is not None
        postgres = self.own.postgres.process.pid
        for ms in POLLS_MS:
            log, brokers = self.own.home.log(f"relay-{ms}"), self.own.servers.kafka_brokers
            relay = RelayProcess(brokers, self.dsn, log, poll_s=ms / 1000, progress_topic="progress")
            async with running(relay):
                figures |= await self._latency(f"poll_{ms}", relay, nudges=False)
                figures |= await self._latency(f"nudged_{ms}", relay, nudges=True)
                async with Usage(relay.pid) as of_relay, Usage(postgres) as of_postgres:
                    await asyncio.sleep(IDLE_S)  # the time that is measured
            figures[f"poll_{ms}_idle_cpu_percent"] = of_relay.cpu_percent + of_postgres.cpu_percent
        return figures

    async def _run(self, way: str, seconds: float) -> dict[str, float]:
        """One way: commits a second, quantiles of a commit's time."""
        await self._empty()
        loop = asyncio.get_running_loop()
        async with AsyncExitStack() as stack:
            if way in ("in_transaction", "hybrid"):
                await stack.enter_async_context(listening(self.dsn, _nobody, _nobody))
            begin = time.monotonic() + CONNECTED_WITHIN_S
            parts = [
                loop.run_in_executor(self._pool, _write_in_process, self.dsn, way, connections, begin, seconds)
                for connections in [self.options.connections // PROCESSES] * PROCESSES
            ]
            took = sorted(ms for part in await asyncio.gather(*parts) for ms in part)
        return {
            "commits_per_s": len(took) / seconds,
            "commit_p50_ms": took[len(took) // 2],
            "commit_p99_ms": took[len(took) * 99 // 100],
        }

    async def _latency(self, name: str, relay: RelayProcess, *, nudges: bool) -> dict[str, float]:
        topic = await new_topic(self.own, f"wakeup.{name}")
        brokers, seconds = self.own.servers.kafka_brokers, (2.0, self.options.seconds)
        (run,) = await measured(Plan(self.dsn, brokers, topic, PACE_ROWS_PER_S, 1, seconds, relay.pid, nudges))
        return {f"{name}_p50_ms": run["p50_ms"], f"{name}_p99_ms": run["p99_ms"]}

    async def _empty(self) -> None:
        async with connected(self.dsn) as connection:
            await connection.execute("TRUNCATE outbox.records")
            await connection.execute("CHECKPOINT")


async def measure(options: argparse.Namespace) -> dict[str, Any]:
    """All of it, on servers of its own."""
    spawn = multiprocessing.get_context("spawn")  # a copy of a process with a running loop is not one to use
    async with servers() as own:
        with ProcessPoolExecutor(PROCESSES, mp_context=spawn) as pool:
            bench = Bench(own, await new_outbox(own), options, pool)
            figures = await bench.writes()
        return {"connections": options.connections, **figures, **await bench.polls()}


def main(arguments: Iterable[str] | None = None) -> None:
    """Measure and publish."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args(None if arguments is None else list(arguments))
    publish("wakeup", asyncio.run(measure(options)), notes=NOTES)


if __name__ == "__main__":
    main()
