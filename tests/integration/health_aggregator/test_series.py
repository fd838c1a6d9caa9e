"""Whatever callers and services make up, the aggregator's metrics have no series for it."""

import time
import uuid
from collections.abc import Callable

import aiohttp
import pytest
from atlas_contracts.codec import Codec
from atlas_contracts.registry import Registry
from atlas_health_aggregator.settings import HealthAggregatorSettings
from atlas_kafka.producing.producer import Outgoing, open_producer, send_all
from atlas_local.waiting import wait_until
from atlas_runtime.observing.heartbeat import EVENT_TYPE
from prometheus_client import REGISTRY

from tests.integration.health_aggregator.running import running_aggregator

pytestmark = pytest.mark.integration

MakeSettings = Callable[..., HealthAggregatorSettings]
# Of the cluster's own groups, which other tests have too.
OF_GROUPS = ("atlas_consumer", "atlas_partition", "atlas_lag")
OTHERS_MAX = 3
# Its own topic, to which a round of history may come for the first time at any moment.
HISTORY = "health.lag-history"


def series() -> set[tuple[str, tuple[tuple[str, str], ...]]]:
    return {
        (each.name, tuple(sorted(each.labels.items())))
        for family in REGISTRY.collect()
        for each in family.samples
        if family.name.startswith("atlas_") and not family.name.startswith(OF_GROUPS)
        if not each.labels.get("topic", "").endswith(HISTORY)
    }


async def test_made_up_paths_and_services_make_no_series(make_settings: MakeSettings) -> None:
    settings = make_settings(health_other_services_max=OTHERS_MAX)
    registry = Registry.load(settings.schemas_dir)
    codec, topic = Codec(registry), registry.topic_of(EVENT_TYPE).name

    def beat(service: str) -> Outgoing:
        now = time.time_ns() // 1_000_000
        value = {"service": service, "instance": f"{service}-1", "state": "READY", "reasons": {}, "version": "1"}
        value |= {"started_at": now, "sent_at": now, "interval_ms": 100}
        return Outgoing(topic, service.encode(), codec.encode(EVENT_TYPE, value))

    def crowded() -> float:
        return REGISTRY.get_sample_value("atlas_health_heartbeats_set_aside_total", {"reason": "crowded"}) or 0.0

    async def flood(times: int, taken: int) -> None:
        names = [f"made-up-{number}-{uuid.uuid4().hex[:8]}" for number in range(times)]
        refused = crowded() + times - taken

        async def all_were_heard() -> bool:  # a service is taken for one once it was heard twice
            await send_all(producer, [*map(beat, names), Outgoing(topic, b"x", b"junk")])
            return crowded() >= refused

        await wait_until("those that there is no room for are set aside", all_were_heard, 30)
        for number in range(times):
            word = "".join(chr(ord("A") + int(digit)) for digit in str(number))
            for method, path in (
                ("GET", f"/lag?group=made-up-{uuid.uuid4()}&topic={uuid.uuid4()}"),
                ("GET", f"/lag/history?group=made-up-{uuid.uuid4()}"),
                ("GET", f"/{uuid.uuid4()}"),
                (f"MADE{word}", "/lag"),
                (f"MADE{word}", f"/{uuid.uuid4()}"),
                (f"MADE{number}", "/lag"),
            ):
                async with client.request(method, url + path) as response:
                    await response.read()

    url = f"http://127.0.0.1:{settings.http_port}"
    async with (
        running_aggregator(settings),
        open_producer(settings.kafka_brokers, "test") as producer,
        aiohttp.ClientSession() as client,
    ):
        await flood(OTHERS_MAX + 2, taken=OTHERS_MAX)
        before = series()
        await flood(50, taken=0)
        assert series() - before == set()
        services = {dict(labels)["service"] for name, labels in before if name == "atlas_service_instances"}
        assert len([name for name in services if name.startswith("made-up")]) == OTHERS_MAX
