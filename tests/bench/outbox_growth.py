"""The outbox under millions of rows: what it leaves on disk, and what a backlog costs the relay in memory.

`make bench WHAT=outbox_growth`, `--rows 1000000` for a quick one. Three passes, each over an outbox of its own: rows go
through while nobody holds a snapshot; the same with a reader who keeps one open on another table, so that no
deleted row can be removed; then so many rows are committed before the relay starts.
"""

import argparse
import asyncio
import sys
import time
from collections.abc import Iterable
from typing import Any

from atlas_local.serverset import ServerSet
from atlas_local.waiting import wait_until

from tests.bench.machine import Usage, connected, servers
from tests.bench.outbox_load import COLUMNS, fill, rows
from tests.bench.relays import RelayProcess, new_outbox, new_topic, running
from tests.bench.report import publish

VALUE_BYTES = 200
ROWS_A_COMMIT = 5_000
AHEAD = 100_000  # rows the writer may be ahead of the relay
FILL_AT_ONCE = 500_000
DEADLINE_S = 900.0
_SIZES = "SELECT pg_relation_size('outbox.records'), pg_indexes_size('outbox.records')"
_SENT = "atlas_relay_rows_sent_total"
NOTES = {
    "through_rows_per_s": "written and relayed at once, exactly once",
    "through_table_mb": "heap and index afterwards; nobody held a snapshot",
    "with_reader_rows_per_s": "the same while a reader holds a snapshot",
    "with_reader_first_tenth_rows_per_s": "of these, the first tenth",
    "with_reader_last_tenth_rows_per_s": "and the last",
    "with_reader_table_mb": "nothing could be removed",
    "backlog_rows_per_s": "drain of what was committed before the relay started",
    "backlog_peak_mb": "the relay's resident set",
}


async def through(own: ServerSet, dsn: str, count: int) -> dict[str, float]:
    """Write and relay so many rows at once: rows a second in all, in the first and the last tenth; bytes left."""
    topic = await new_topic(own, "growth")
    marks = [time.perf_counter()]
    async with running(_relay(own, dsn)) as relay, connected(dsn) as connection:
        source = rows(topic, count, VALUE_BYTES)
        for tenth in range(1, 11):
            written, until = (tenth - 1) * count // 10, tenth * count // 10
            while written < until:
                part = [next(source) for _ in range(min(ROWS_A_COMMIT, until - written))]
                await connection.copy_records_to_table("records", schema_name="outbox", columns=COLUMNS, records=part)
                written += len(part)
                await _sent(relay, written - AHEAD)
            marks.append(time.perf_counter())
        await _sent(relay, count)
        seconds = time.perf_counter() - marks[0]
        sizes = await connection.fetchrow(_SIZES)
        assert sizes is not None
        heap, index = sizes
    return {
        "rows_per_s": count / seconds,
        "first_tenth_rows_per_s": count / 10 / (marks[1] - marks[0]),
        "last_tenth_rows_per_s": count / 10 / (marks[10] - marks[9]),
        "heap_mb": heap / 1e6,
        "index_mb": index / 1e6,
        "table_mb": (heap + index) / 1e6,
    }


async def with_reader(own: ServerSet, dsn: str, count: int) -> dict[str, float]:
    """As `through`, beside a transaction that has read another table and stays open."""
    async with connected(dsn) as reader, reader.transaction(isolation="repeatable_read"):
        await reader.fetchval("SELECT count(*) FROM app.yards")
        return await through(own, dsn, count)


async def backlog(own: ServerSet, dsn: str, count: int) -> dict[str, float]:
    """Commit so many rows, then start the relay: rows a second to the last, peak memory."""
    topic = await new_topic(own, "backlog")
    for first in range(0, count, FILL_AT_ONCE):
        await fill(dsn, topic, min(FILL_AT_ONCE, count - first), VALUE_BYTES)
    async with running(_relay(own, dsn)) as relay:
        begun, before = time.perf_counter(), await relay.metric(_SENT)
        async with Usage(relay.pid) as usage:
            await _sent(relay, count)
        seconds = time.perf_counter() - begun
    return {"rows_per_s": (count - before) / seconds, "peak_mb": usage.peak_mb, "cpu_s": usage.cpu_s}


def _relay(own: ServerSet, dsn: str) -> RelayProcess:
    return RelayProcess(own.servers.kafka_brokers, dsn, own.home.log("relay"), progress_topic="progress")


async def _sent(relay: RelayProcess, count: int) -> None:
    """Wait until the relay has sent so many rows."""

    async def enough() -> bool:
        return await relay.metric(_SENT) >= count

    if count > 0:
        await wait_until(f"{count} rows to be sent", enough, DEADLINE_S)


PASSES = {"through": through, "with_reader": with_reader, "backlog": backlog}


async def measure(options: argparse.Namespace) -> dict[str, Any]:
    """The passes asked for, each on a database of its own."""
    figures: dict[str, Any] = {"rows": options.rows}
    async with servers() as own:
        for name in options.passes:
            found = await PASSES[name](own, await new_outbox(own), options.rows)
            figures |= {f"{name}_{figure}": value for figure, value in found.items()}
            print(name, {figure: round(value) for figure, value in found.items()}, file=sys.stderr, flush=True)
    return figures


def main(arguments: Iterable[str] | None = None) -> None:
    """Measure and publish."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--passes", nargs="+", default=list(PASSES), choices=list(PASSES))
    options = parser.parse_args(None if arguments is None else list(arguments))
    publish("outbox_growth", asyncio.run(measure(options)), notes=NOTES)


if __name__ == "__main__":
    main()
