"""The whole mesh: what contexts show, from the first request to the last row and object; and what HTTP alone takes.

Figures of a peer, read in the project's notes on peers: a REST proxy with JSON to Avro and acks=all took 850 to 1,120
records/s (p99 85 to 95 ms) at one record a request on 32 connections, and 4,400 to 5,000 records/s at 100 a request.
"""

import asyncio
import json
import time
import uuid
from statistics import median, quantiles
from typing import Any

import aiohttp
from atlas_cli.demo.chosen import chosen
from atlas_cli.demo.story import tell
from atlas_cli.settings import CliSettings
from atlas_local.testing import TestMesh, running_mesh
from atlas_runtime import contexts

from tests.bench.report import publish
from tests.contexts import CHOSEN, NAMES, SCHEMAS

CONNECTIONS = 32
SINGLE_REQUESTS = 8_000
HUNDRED_REQUESTS = 600
ROUNDS = 3
NOTES = {
    "seconds_produce_to_projected": "what all contexts show (atlas demo): first request to last row",
    "seconds_produce_to_archived": "the same, to the last object",
    "visible_ms_median": "idle mesh: a command until a query answers with what it did",
    "peak_rss_mb": "the largest Python service",
    "http_1_records_s": f"one record a request, {CONNECTIONS} connections, acks=all",
    "http_1_p99_ms": "the same",
    "http_100_records_s": f"100 records a request, {CONNECTIONS} connections",
    "http_100_p99_ms": "the same",
    "rebuild_events_s": "the largest read model into a new generation, verified",
}


def main() -> None:
    figures: dict[str, Any] = {}
    if shown := sorted(contexts.offered(contexts.DEMO).keys() - set(NAMES)):
        with running_mesh({"ATLAS_CONTEXTS": json.dumps(contexts_besides())}) as mesh:
            figures |= asyncio.run(measure_demos(mesh, shown))
    with running_mesh(CHOSEN, SCHEMAS) as mesh:
        figures |= asyncio.run(measure_http(mesh))
    publish("mesh", figures, notes=NOTES)


def contexts_besides() -> list[str]:
    """The contexts that are not the tests' own."""
    return [name for name in contexts.contexts() if name not in NAMES]


async def measure_demos(mesh: TestMesh, shown: list[str]) -> dict[str, Any]:
    """What these contexts show, once."""
    env = {name.removeprefix("ATLAS_").lower(): value for name, value in mesh.env.items() if name.startswith("ATLAS_")}
    settings = CliSettings.model_validate({**env, "contexts": contexts_besides()})
    demos = {name: demo for name, demo in chosen(settings, (), lambda demo: demo.demo_size).items() if name in shown}
    report = (await tell(settings, demos, lambda _progress, _snapshot: None, _say)).as_json()
    assert not report["mismatches"], report["checks"]
    rebuilt = max(report["rebuilds"].values(), key=lambda each: each["events"])
    return {
        "seconds_produce_to_projected": report["seconds_produce_to_projected"],
        "seconds_produce_to_archived": report["seconds_produce_to_archived"],
        "visible_ms_median": report["visible_ms_median"],
        "peak_rss_mb": max(report["peak_rss_mb"].values()),
        "rebuild_events_s": round(rebuilt["events"] / rebuilt["seconds"]),
        "events": report["events"],
        "peak_rss_mb_by_service": report["peak_rss_mb"],
    }


async def measure_http(mesh: TestMesh) -> dict[str, Any]:
    """HTTP alone: medians of some rounds."""
    single = [await post(mesh.url("gateway"), SINGLE_REQUESTS, 1) for _ in range(ROUNDS)]
    hundred = [await post(mesh.url("gateway"), HUNDRED_REQUESTS, 100) for _ in range(ROUNDS)]
    return {
        "http_1_records_s": round(median(rate for rate, _ in single)),
        "http_1_p99_ms": round(median(p99 for _, p99 in single), 1),
        "http_100_records_s": round(median(rate for rate, _ in hundred)),
        "http_100_p99_ms": round(median(p99 for _, p99 in hundred), 1),
    }


async def post(gateway: str, requests: int, records: int) -> tuple[float, float]:
    """Records a second, and milliseconds below which 99 of 100 requests are answered."""
    took: list[float] = []
    numbers = iter(range(requests))
    url = f"{gateway}/topics/hauls.roads"

    async def worker(session: aiohttp.ClientSession) -> None:
        for _ in numbers:
            body = [_observation() for _ in range(records)]
            begun = time.perf_counter()
            async with session.post(url, json=body) as response:
                answer = await response.json()
            took.append((time.perf_counter() - begun) * 1000)
            assert response.status == 200, answer

    started = time.perf_counter()
    connector = aiohttp.TCPConnector(limit=CONNECTIONS)
    async with aiohttp.ClientSession(connector=connector) as session, asyncio.TaskGroup() as group:
        for _ in range(CONNECTIONS):
            group.create_task(worker(session))
    return requests * records / (time.perf_counter() - started), quantiles(took, n=100)[98]


def _observation() -> dict[str, Any]:
    value = {
        "observation_id": f"JFK-{uuid.uuid4().hex}",
        "depot": "JFK",
        "observed_at": "2013-01-01T10:00:00Z",
        "temperature_f": 39.0,
        "wind_speed_mph": 10.4,
    }
    return {"type": "hauls.RoadObserved", "value": value}


def _say(text: str) -> None:
    print(f"{text} ...")


if __name__ == "__main__":
    main()
