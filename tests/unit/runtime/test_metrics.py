"""Shared metrics: pools are read at each scrape, queries are timed."""

from types import SimpleNamespace

import pytest
from atlas_runtime import metrics
from prometheus_client import REGISTRY, Histogram


class Pool:
    size = 4
    idle = 1

    def get_size(self) -> int:
        return self.size

    def get_idle_size(self) -> int:
        return self.idle

    def get_max_size(self) -> int:
        return 9


def test_a_pool_is_read_when_it_is_scraped() -> None:
    pool = Pool()
    metrics.observe_pool(pool, "unit")
    assert REGISTRY.get_sample_value("atlas_db_pool_size", {"pool": "unit"}) == 4
    assert REGISTRY.get_sample_value("atlas_db_pool_in_use", {"pool": "unit"}) == 3
    assert REGISTRY.get_sample_value("atlas_db_pool_max", {"pool": "unit"}) == 9
    assert REGISTRY.get_sample_value("atlas_db_pool_waiting", {"pool": "unit"}) == 0
    pool.idle = 4
    assert REGISTRY.get_sample_value("atlas_db_pool_in_use", {"pool": "unit"}) == 0


async def test_a_query_is_counted_even_when_it_fails() -> None:
    with metrics.timed_query("unit.query"):
        pass
    with pytest.raises(ValueError, match="no"), metrics.timed_query("unit.query"):
        raise ValueError("no")
    assert REGISTRY.get_sample_value("atlas_db_query_seconds_count", {"query": "unit.query"}) == 2
    assert REGISTRY.get_sample_value("atlas_db_query_errors_total", {"query": "unit.query"}) == 1


def test_connections_to_redis_are_read_when_scraped() -> None:
    pool = SimpleNamespace(max_connections=50, _in_use_connections={1}, _available_connections=[2, 3])
    metrics.observe_redis(pool, "unit.redis")
    shown = [
        REGISTRY.get_sample_value(f"atlas_db_pool_{what}", {"pool": "unit.redis"}) for what in ("max", "in_use", "size")
    ]
    assert shown == [50, 1, 3]


async def test_a_block_is_timed_also_from_before_it_and_when_it_fails() -> None:
    measure = Histogram("unit_timed_seconds", "Of this test", registry=None)
    with pytest.raises(ValueError, match="no"), metrics.timed(measure):
        raise ValueError("no")
    with metrics.timed(measure, begun=-1.0):
        pass
    samples = {sample.name: sample.value for sample in next(iter(measure.collect())).samples}
    assert samples["unit_timed_seconds_count"] == 2
    assert samples["unit_timed_seconds_sum"] > 1


def test_the_names_promised_exist() -> None:
    metrics.HTTP_REQUESTS.labels("GET", "/unit", "200").inc()
    metrics.RETRIES.labels("unit").inc()
    labels = {"method": "GET", "route": "/unit", "status": "200"}
    assert REGISTRY.get_sample_value("atlas_http_requests_total", labels) == 1
    assert REGISTRY.get_sample_value("atlas_retries_total", {"what": "unit"}) == 1
