"""`make bench WHAT=projector`: the projector as it is shipped, live and rebuilding, beside COPY of the same rows.

Live: processes of the service with their partitions assigned, over a topic that becomes readable at one moment (its
records are one Kafka transaction); timed from then until the last event's position is durable in PostgreSQL. Rebuild:
`atlas_projector.rebuilding.rebuild` with two worker processes, timed from its call to its return, swap included.
"""

import argparse
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Awaitable
from pathlib import Path

import asyncpg
import uvloop
from atlas_contracts.codec import Codec
from atlas_local.serverset import Servers
from atlas_readmodel.table import Table

from tests.bench import report
from tests.bench.machine import Others, servers
from tests.bench.projector_lag import lag_while_rebuilding
from tests.bench.projector_load import ACCOUNTS, KEYS, TOPIC, Load, fill, make_topic, write_schemas
from tests.bench.projector_rebuilds import archive, rebuilt
from tests.bench.projector_runs import Rate, database, live

NOTES = {
    "live": "events/s, one process, 200-byte values, last state of each account",
    "live_two": "events/s, two processes",
    "live_headers": "events/s, one process, with the gateway's eight headers a record",
    "rebuild_topic": "events/s, rebuild from the topic, two workers",
    "rebuild_archive": "events/s, rebuild from the archive, two workers",
    "rebuild_live_lag_s": "largest lag of the live projector in a rebuild by two workers, 500 events/s coming in, s",
    "rebuild_live_lag_median_s": "the median lag of these events, s",
    "rebuild_live": "events/s of that rebuild",
    "rollback_s": "rollback, from the request to its answer, s",
    "copy_limit": "rows/s, COPY of as many such rows into a table with the same key, one connection",
    "rss_mb": "largest resident set of a projector or worker process, MB",
    "others_cores": "the most cores that anything else on the machine used in a run: the figures are too low by that",
    "cpu_us": "CPU of the one live process an event, microseconds",
}


async def copy_limit(own: Servers, codec: Codec, events: int) -> Rate:
    """Rows a second of COPY alone, as many rows as events, each key once."""
    assert isinstance(ACCOUNTS.table, Table)
    columns = tuple(ACCOUNTS.table.columns)
    some = [codec.decode(record.value).value for record in Load("any", 5000).records(codec)]
    rows = [
        (f"account-{number:08d}", *(some[number % len(some)][column] for column in columns[1:]))
        for number in range(events)
    ]
    async with database(own) as dsn:
        connection = await asyncpg.connect(dsn)
        await connection.execute("SET synchronous_commit = off")
        types = ", ".join(f"{name} {sql}" for name, sql in ACCOUNTS.table.columns.items())
        await connection.execute(f"CREATE TABLE alone ({types}, PRIMARY KEY (account_id))")
        began = time.perf_counter()
        for start in range(0, events, KEYS):
            await connection.copy_records_to_table("alone", records=rows[start : start + KEYS], columns=columns)
        seconds = time.perf_counter() - began
        await connection.close()
    return Rate(events / seconds)


async def measure(events: int, history: int, rounds: int) -> dict[str, float]:
    """Every figure of NOTES: the median of `rounds` runs, taken in turns."""
    rates: dict[str, list[Rate]] = {}
    others_cores = 0.0

    async def note(name: str, run: Awaitable[Rate]) -> None:
        nonlocal others_cores
        with Others() as others:
            rate = await run
        others_cores = max(others_cores, others.cores)
        rates.setdefault(name, []).append(rate)
        sys.stderr.write(
            f"{name}: {rate.events_per_s:,.0f}/s, {rate.rss_mb:.0f} MB, {rate.cpu_us:.1f} µs,"
            f" {others.cores:.2f} cores used by others\n"
        )

    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory) / "schemas"
        codec = write_schemas(folder)
        async with servers() as cluster:
            own = cluster.servers
            for _ in range(rounds if events else 0):
                for name, processes, headers in (
                    ("live", 1, False), ("live_two", 2, False), ("live_headers", 1, True)
                ):  # fmt: skip
                    load = Load(f"bench.{uuid.uuid4().hex[:8]}", events, headers)
                    await note(name, live(own, codec, folder, load, processes))
                await note("copy_limit", copy_limit(own, codec, events))
            past = Load(TOPIC, history)
            await make_topic(own.kafka_brokers, past.topic)
            await fill(own.kafka_brokers, past, codec)
            async with archive(own, folder, past) as address:
                for _ in range(rounds):
                    await note("rebuild_archive", rebuilt(own, codec, folder, past, address))
                    await note("rebuild_topic", rebuilt(own, codec, folder, past, None))
                beside = await lag_while_rebuilding(own, codec, folder, past, address)
    figures = {name: statistics.median(rate.events_per_s for rate in found) for name, found in rates.items()}
    figures["rss_mb"] = max(rate.rss_mb for found in rates.values() for rate in found)
    if "live" in rates:
        figures["cpu_us"] = statistics.median(rate.cpu_us for rate in rates["live"])
    figures |= {
        "others_cores": others_cores,
        "rebuild_live_lag_s": beside.largest_lag,
        "rebuild_live_lag_median_s": beside.median_lag,
        "rebuild_live": beside.events_per_s,
        "rollback_s": beside.rollback,
    }
    return {name: figures[name] for name in NOTES if name in figures}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=500_000, help="events of a live run, over 50,000 keys; 0: none")
    parser.add_argument("--history", type=int, default=2_000_000, help="events of a rebuild")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each kind; their median counts")
    arguments = parser.parse_args()
    figures = uvloop.run(measure(arguments.events, arguments.history, arguments.rounds))
    counts = {"events": arguments.events, "history": arguments.history, "keys": KEYS}
    report.publish("projector", {**counts, **figures}, notes=NOTES)


if __name__ == "__main__":
    main()
