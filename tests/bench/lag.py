"""What it costs to know the lag of many groups, and how far the figures are off: `make bench WHAT=lag`.

200 groups have committed to each of 1,000 partitions: 200,000 rows. The health-aggregator runs as it is shipped and is
scraped as often as Prometheus does it, first while records come and groups read, then while nothing moves. What the
truth is, is known from what was produced. KMinion does the same work beside it where Go can build it.
"""

import asyncio
import os
import shutil
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import aiohttp
from aiokafka import TopicPartition
from atlas_contracts.values.timestamps import parse_rfc3339
from atlas_kafka.cluster.admin import TopicSpec, ensure_topics
from atlas_kafka.producing.producer import open_producer
from atlas_local.home import ROOT
from atlas_local.ports import free_port
from atlas_local.supervising.processes import Command, Process
from atlas_local.waiting import wait_until

from tests.bench.lag_load import GROUPS, PARTITIONS, TOPICS, Load
from tests.bench.machine import Others, Usage, servers
from tests.bench.report import publish
from tests.contexts import CHOSEN, SCHEMAS

SCRAPES, SCRAPE_EVERY_S = 2, 15.0
LOOKS, LOOK_EVERY_S = 8, 1.1
# Of the groups whose every row is compared: each so many-th.
EACH = 100
KMINION = "github.com/cloudhut/kminion/v2@latest"
PAGE = 500
NOTES = {
    "scrape_cpu_percent": f"of a core: reading lag, and a scrape every {SCRAPE_EVERY_S:.0f} s, while records come",
    "rss_mb": "most of the whole service",
    "seconds_error_p99": "of lag in seconds, against the times of the records, while records come",
    "records_error_max": f"of lag in records, of all rows of each {EACH}th group, while nothing moves",
    "age_p99_s": "how old the figures of /metrics are",
    "scrape_s": "median time of a scrape",
    "first_known_s": "from the start of the service until every row has its seconds",
    "kminion_cpu_percent": "of a core: the same scrapes, offsets only",
    "kminion_rss_mb": "the same",
    "kminion_scrape_s": "the same",
    "others_cores": "cores that were busy with something else",
}


def main() -> None:
    publish("lag", asyncio.run(measure()), notes=NOTES)


async def measure() -> dict[str, Any]:
    """All figures of one run."""
    async with servers() as own:
        brokers = own.servers.kafka_brokers
        await ensure_topics(brokers, [TopicSpec(name, 1) for name in ("health.heartbeats", "health.events")])
        async with open_producer(brokers, "bench-lag") as producer:
            load = Load(brokers, producer)
            await load.make()
            async with _aggregator(brokers) as (process, url):
                figures = await _measure_atlas(load, process, url)
            return figures | await _beside(brokers, load)


async def _measure_atlas(load: Load, process: Process, url: str) -> dict[str, Any]:
    began = time.monotonic()
    async with aiohttp.ClientSession() as http:

        async def known() -> bool:
            try:
                rows = await _rows(http, url, load.groups[-1])
            except (aiohttp.ClientError, AssertionError):
                return False  # it has only just started
            return len(rows) == TOPICS * PARTITIONS and all(row["lag_seconds"] is not None for _, row in rows)

        await wait_until("every row to have its seconds", known, 120)
        first_known_s = time.monotonic() - began
        moving = asyncio.create_task(load.run())
        try:
            await asyncio.sleep(SCRAPE_EVERY_S / 3)
            with Others() as others:
                cost = await _scraped(http, f"{url}/metrics", process.pid)
            errors = [
                _seconds_error(load, row, at_ms)
                for group in (load.groups[0], load.groups[-1])
                for at_ms, row in await _rows(http, url, group)
            ]
            ages = await _ages(http, url)
        finally:
            moving.cancel()
            await asyncio.gather(moving, return_exceptions=True)
        off = [
            abs(row["lag_records"] - load.truth.lag(_place(row), row["committed"], at_ms)[0])
            for group in load.groups[::EACH]
            for at_ms, row in await _rows(http, url, group)
        ]
    assert len(off) == GROUPS // EACH * TOPICS * PARTITIONS
    return {
        "scrape_cpu_percent": cost["cpu_percent"],
        "rss_mb": cost["rss_mb"],
        "seconds_error_p99": quantiles(errors, n=100)[98],
        "records_error_max": max(off),
        "age_p99_s": quantiles(ages, n=100)[98],
        "scrape_s": cost["scrape_s"],
        "first_known_s": first_known_s,
        "others_cores": round(others.cores, 2),
        "rows": GROUPS * TOPICS * PARTITIONS,
    }


async def _scraped(http: aiohttp.ClientSession, url: str, pid: int) -> dict[str, float]:
    """CPU and memory of a process that is scraped for a while, and how long a scrape takes."""
    took = []
    async with Usage(pid) as usage:
        for _ in range(SCRAPES):
            begun = time.monotonic()
            async with http.get(url) as response:
                assert response.status == 200
                await response.read()
            took.append(time.monotonic() - begun)
            await asyncio.sleep(SCRAPE_EVERY_S - took[-1])
    return {"cpu_percent": usage.cpu_percent, "rss_mb": usage.peak_mb, "scrape_s": median(took)}


async def _rows(http: aiohttp.ClientSession, url: str, group: str) -> list[tuple[int, dict[str, Any]]]:
    """The rows of a group, each with the time it is of."""
    rows: list[tuple[int, dict[str, Any]]] = []
    query = {"group": group, "limit": str(PAGE)}
    while True:
        async with http.get(f"{url}/lag", params=query) as response:
            answer = await response.json()
            assert response.status == 200, answer
        rows += [(parse_rfc3339(answer["taken_at"]), row) for row in answer["items"]]
        if answer["next_cursor"] is None:
            return rows
        query["cursor"] = answer["next_cursor"]


def _place(row: dict[str, Any]) -> TopicPartition:
    return TopicPartition(row["topic"], row["partition"])


def _seconds_error(load: Load, row: dict[str, Any], at_ms: int) -> float:
    """What is caught up when it was looked at has no age; a record that came since is not of that moment."""
    if row["lag_records"] == 0:
        return float(row["lag_seconds"])
    return abs(float(row["lag_seconds"]) - load.truth.lag(_place(row), row["committed"], at_ms)[1])


async def _ages(http: aiohttp.ClientSession, url: str) -> list[float]:
    ages = []
    for _ in range(LOOKS):
        async with http.get(f"{url}/metrics") as response:
            lines = (await response.text()).splitlines()
        (age,) = [line for line in lines if line.startswith("atlas_consumer_lag_age_seconds ")]
        ages.append(float(age.rpartition(" ")[2]))
        await asyncio.sleep(LOOK_EVERY_S)
    return ages


@asynccontextmanager
async def _aggregator(brokers: str) -> AsyncIterator[tuple[Process, str]]:
    url = f"http://127.0.0.1:{free_port()}"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ATLAS_")} | {
        **CHOSEN,
        "ATLAS_HTTP_PORT": url.rpartition(":")[2],
        "ATLAS_KAFKA_BROKERS": brokers,
        "ATLAS_SCHEMAS_DIR": str(SCHEMAS),
    }
    log = ROOT / ".atlas" / "bench" / "lag-aggregator.log"
    command = Command([sys.executable, "-m", "atlas_health_aggregator"], env=environment)
    async with _running(command, log) as process:
        yield process, url


@asynccontextmanager
async def _running(command: Command, log: Path) -> AsyncIterator[Process]:
    log.parent.mkdir(parents=True, exist_ok=True)
    process = Process.spawn(command, log)
    try:
        yield process
        await process.stop()
    finally:
        process.kill()


async def _beside(brokers: str, load: Load) -> dict[str, Any]:
    """KMinion at the same work, or why not."""
    try:
        program = await _built()
    except (OSError, TimeoutError, RuntimeError) as error:
        return {"kminion": f"not measured: {error}"}
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "kminion.yaml"
        config.write_text(
            f"kafka: {{brokers: ['{brokers}']}}\n"
            "minion: {consumerGroups: {enabled: true, scrapeMode: adminApi, granularity: partition}}\n"
            f"exporter: {{host: 127.0.0.1, port: {port}}}\n"
        )
        environment = {**os.environ, "CONFIG_FILEPATH": str(config)}
        log = ROOT / ".atlas" / "bench" / "lag-kminion.log"
        async with _running(Command([str(program)], env=environment), log) as process, aiohttp.ClientSession() as http:
            url = f"http://127.0.0.1:{port}/metrics"

            async def ready() -> bool:
                try:
                    async with http.get(url) as response:
                        return response.status == 200 and b"consumer_group" in await response.read()
                except aiohttp.ClientError:
                    return False

            await wait_until(f"KMinion to answer; its log is {log}", ready, 60)
            moving = asyncio.create_task(load.run())
            try:
                cost = await _scraped(http, url, process.pid)
            finally:
                moving.cancel()
                await asyncio.gather(moving, return_exceptions=True)
    return {
        "kminion_cpu_percent": cost["cpu_percent"],
        "kminion_rss_mb": cost["rss_mb"],
        "kminion_scrape_s": cost["scrape_s"],
    }


async def _built() -> Path:
    """KMinion, built once; raises OSError or RuntimeError where that is not possible, TimeoutError after minutes."""
    folder = ROOT / ".atlas" / "bench" / "bin"
    program = folder / "kminion"
    if program.exists():
        return program
    if shutil.which("go") is None:
        raise RuntimeError("there is no Go")
    process = await asyncio.create_subprocess_exec(
        *("go", "install", KMINION),
        env={**os.environ, "GOBIN": str(folder)},
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(300):
        _, said = await process.communicate()
    if process.returncode != 0:
        raise RuntimeError(f"go install {KMINION}: {said.decode(errors='replace').strip().splitlines()[-1]}")
    return program


if __name__ == "__main__":
    main()
