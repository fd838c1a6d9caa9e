"""`make bench WHAT=archive`: the archiver as it is shipped, as one process and as two, beside a consumer that drops.

Each run is the service itself (`python -m atlas_archiver`) with a group and a bucket of its own, over a topic that is
full already. It is timed from the assignment of its partitions to the manifest of its last segment: what is
counted is durable. The values are Avro of twelve fields, typed in the archive; `…_headers` carry nine headers a record.
"""

import argparse
import statistics
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

import uvloop
from atlas_local.serverset import ServerSet

from tests.bench import report
from tests.bench.archive_load import Load, fill, write_schemas
from tests.bench.archive_runs import Rate, archive, consume
from tests.bench.machine import servers

NOTES = {
    "records": "records a run of 200-byte values; half as many of the larger ones and those with headers",
    "archive_200": "records/s, one process, 200-byte values",
    "archive_200_mb": "MB/s of values, the same",
    "archive_1024": "records/s, one process, 1 KiB values",
    "archive_1024_mb": "MB/s of values, the same",
    "archive_200_headers": "records/s, one process, 200-byte values and nine headers each",
    "archive_200_two": "records/s, two processes, 200-byte values",
    "consume_200": "records/s, aiokafka's getmany in one process, records dropped",
    "consume_1024": "the same, 1 KiB values",
    "consume_200_headers": "the same, 200-byte values and nine headers each",
    "stored_200": "bytes stored a record of 200 bytes",
    "stored_1024": "bytes stored a record of 1 KiB",
    "rss_mb": "largest resident set of an archiver process, MB",
    "others_cores": "the most cores that anything else on the machine used in a run: the figures are too low by that",
    "cpu_200_us": "CPU of the archiver a record of 200 bytes, microseconds",
}


async def measure(records: int, rounds: int) -> dict[str, float]:
    """Every figure of NOTES: the median of `rounds` runs, taken in turns."""
    loads = {
        "200": Load("bench.small", 200, records),
        "1024": Load("bench.large", 1024, records // 2),
        "200_headers": Load("bench.headers", 200, records // 2, headers=True),
    }
    rates: dict[str, list[Rate]] = {}
    with tempfile.TemporaryDirectory() as folder:
        async with servers() as own:
            for load in loads.values():
                write_schemas(Path(folder) / load.topic, load.topic)
                await fill(own.servers, load)
            for _ in range(rounds):
                for name, run in _runs(own, loads, Path(folder)).items():
                    rates.setdefault(name, []).append(rate := await run())
                    sys.stderr.write(
                        f"{name}: {rate.records_per_s:,.0f} records/s, {rate.rss_mb:.0f} MB,"
                        f" {rate.others_cores:.2f} cores used by others\n"
                    )
    figures = {name: statistics.median(rate.records_per_s for rate in found) for name, found in rates.items()}
    figures["records"] = records
    for size in (200, 1024):
        figures[f"archive_{size}_mb"] = figures[f"archive_{size}"] * size / 1e6
        figures[f"stored_{size}"] = rates[f"archive_{size}"][0].stored_bytes
    figures["rss_mb"] = max(rate.rss_mb for found in rates.values() for rate in found)
    figures["others_cores"] = max(rate.others_cores for found in rates.values() for rate in found)
    figures["cpu_200_us"] = statistics.median(rate.cpu_us for rate in rates["archive_200"])
    return {name: figures[name] for name in NOTES}


def _runs(own: ServerSet, loads: dict[str, Load], folder: Path) -> dict[str, Callable[[], Awaitable[Rate]]]:
    runs: dict[str, Callable[[], Awaitable[Rate]]] = {}
    for name, load in loads.items():
        runs[f"consume_{name}"] = lambda load=load: consume(own.servers, load)  # type: ignore[misc]
        runs[f"archive_{name}"] = lambda load=load: archive(own.servers, load, folder, processes=1)  # type: ignore[misc]
    runs["archive_200_two"] = lambda: archive(own.servers, loads["200"], folder, processes=2)
    return runs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=2_000_000, help="records a run of the smallest")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each kind; their median counts")
    arguments = parser.parse_args()
    figures = uvloop.run(measure(arguments.records, arguments.rounds))
    report.publish("archive", figures, notes=NOTES)


if __name__ == "__main__":
    main()
