"""The relay: how fast it drains a backlog, how soon a commit is on its topic, and what that costs.

`make bench WHAT=relay`, with Kafka's own producer in the same run as the limit.
"""

import argparse
import asyncio
import statistics
import sys
import time
from collections.abc import Iterable
from typing import Any

import asyncpg
from atlas_local.serverset import ServerSet
from atlas_local.waiting import wait_until
from atlas_outbox.relaying.stats import read_stats

from tests.bench.limits import producer_limit
from tests.bench.machine import Usage, servers
from tests.bench.outbox_load import fill
from tests.bench.outbox_pace import Plan, measured
from tests.bench.relays import RelayProcess, new_outbox, new_topic, running
from tests.bench.report import publish

MODES = {"alo": "at_least_once", "eos": "exactly_once"}
SIZES = (200, 1024)
IDLE_S = 20.0
COUNT_EVERY_S = 3.0


class Bench:
    """One run: its servers, its database, and the figures so far."""

    def __init__(self, own: ServerSet, dsn: str, options: argparse.Namespace) -> None:
        self.own, self.dsn, self.options = own, dsn, options
        self.figures: dict[str, Any] = {}
        self.rss_mb = 0.0
        self._next_count = 0.0

    def relay(self, mode: str, **settings: object) -> RelayProcess:
        """A relay of this mode, not started."""
        log = self.own.home.log(f"relay-{mode}")
        return RelayProcess(
            self.own.servers.kafka_brokers, self.dsn, log, delivery=MODES[mode], progress_topic="progress", **settings
        )

    async def drain(self, relay: RelayProcess, topic: str, rows: int, size: int) -> dict[str, float]:
        """Rows a second from the commit of a backlog to its last row being on the topic and deleted; CPU seconds."""
        sent = await relay.metric("atlas_relay_rows_sent_total")
        begun = await fill(self.dsn, topic, rows, size)
        async with (
            Usage(relay.pid) as of_relay,
            Usage(self._pid("postgres")) as of_postgres,
            Usage(self._pid("kafka")) as of_kafka,
        ):
            self._next_count = time.monotonic() + COUNT_EVERY_S
            await wait_until(f"{rows} rows to be sent", lambda: self._is_sent(relay, sent + rows), 300)
            seconds = time.perf_counter() - begun
        self.rss_mb = max(self.rss_mb, of_relay.peak_mb)
        print(f"{topic}: {rows / seconds:,.0f} rows/s", file=sys.stderr, flush=True)
        return {
            "rows_per_s": rows / seconds,
            "relay_cpu_s": of_relay.cpu_s,
            "postgres_cpu_s": of_postgres.cpu_s,
            "kafka_cpu_s": of_kafka.cpu_s,
            "relay_peak_mb": of_relay.peak_mb,
        }

    async def drains(self, mode: str) -> None:
        """Each size as often as asked for; the median goes into the figures."""
        async with running(self.relay(mode)) as relay:
            for size in SIZES:
                topic = await new_topic(self.own, f"drain.{mode}.{size}")
                await self.drain(relay, topic, self.options.rows // 5, size)  # broker and relay warm up
                runs = [await self.drain(relay, topic, self.options.rows, size) for _ in range(self.options.repeats)]
                runs.sort(key=lambda run: run["rows_per_s"])
                self.figures[f"drain_{mode}_{size}"] = runs[len(runs) // 2]["rows_per_s"]
                self.figures.setdefault("drains", {})[f"{mode}_{size}"] = runs

    async def limits(self) -> None:
        """Kafka's own producer on a topic like those of the drains."""
        for size in SIZES:
            topic = await new_topic(self.own, f"limit.{size}")
            payloads = [b"v" * size] * 1000
            await producer_limit(self.own, topic, payloads, self.options.rows // 5)
            runs = [
                await producer_limit(self.own, topic, payloads, self.options.rows) for _ in range(self.options.repeats)
            ]
            self.figures[f"limit_{size}"] = statistics.median(runs)
            self.figures.setdefault("limits", {})[str(size)] = runs

    async def latency(self, mode: str) -> None:
        """Commit to consumer at two paces; medians of the runs. Before them commits flow for a while at that pace: in
        its first minute a broker takes several times as long over a transaction as later.
        """
        async with running(self.relay(mode)) as relay:
            for rate, at_once, repeats in ((500, 1, self.options.repeats), (5000, 10, 1)):
                topic = await new_topic(self.own, f"latency.{mode}.{rate}")
                seconds = (self.options.warm, *[self.options.seconds] * repeats)
                plan = Plan(self.dsn, self.own.servers.kafka_brokers, topic, rate, at_once, seconds, relay.pid)
                runs = await measured(plan)
                name = f"latency_{mode}" if rate == 500 else f"latency_{mode}_{rate}"
                for figure in runs[0]:
                    self.figures[f"{name}_{figure}"] = statistics.median(run[figure] for run in runs)
                self.figures.setdefault("latencies", {})[f"{mode}_{rate}"] = runs
                print(f"{topic}: {runs}", file=sys.stderr, flush=True)

    async def idle(self) -> None:
        """An exactly-once relay with nothing to do."""
        async with running(self.relay("eos")) as relay, Usage(relay.pid) as usage:
            await asyncio.sleep(IDLE_S)  # the time that is measured
        self.figures["idle_cpu_percent"] = usage.cpu_percent

    async def _is_sent(self, relay: RelayProcess, rows: float) -> bool:
        """Asked of the relay, which costs it little. A batch whose answer it lost is deleted and not counted, so the
        table is asked too, but seldom: to count a backlog costs PostgreSQL what a drain is measured by.
        """
        if await relay.metric("atlas_relay_rows_sent_total") >= rows:
            return True
        if time.monotonic() < self._next_count:
            return False
        self._next_count = time.monotonic() + COUNT_EVERY_S
        return await self._is_empty()

    async def _is_empty(self) -> bool:
        connection = await asyncpg.connect(self.dsn)
        try:
            return (await read_stats(connection)).backlog == 0
        finally:
            await connection.close()

    def _pid(self, server: str) -> int:
        process = getattr(self.own, server).process
        assert process is not None
        return int(process.pid)


async def measure(options: argparse.Namespace) -> dict[str, Any]:
    """All of it, on servers of its own."""
    async with servers() as own:
        bench = Bench(own, await new_outbox(own), options)
        await bench.limits()
        for mode in options.modes:
            await bench.latency(mode)
        await bench.idle()
        for mode in options.modes:
            await bench.drains(mode)
        bench.figures["rss_mb"] = bench.rss_mb
        return bench.figures


def main(arguments: Iterable[str] | None = None) -> None:
    """Measure and publish."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=500_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--warm", type=float, default=60, help="seconds of load before the latency is measured")
    parser.add_argument("--modes", nargs="+", default=list(MODES), choices=list(MODES))
    options = parser.parse_args(None if arguments is None else list(arguments))
    publish("relay", asyncio.run(measure(options)))


if __name__ == "__main__":
    main()
