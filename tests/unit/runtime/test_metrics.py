"""Shared metrics: pools are read at each scrape, queries are timed."""

import pytest
from atlas_runtime import metrics
from prometheus_client import REGISTRY


class Pool:
    size = 4
    idle = 1

    def get_size(self) -> int:
        return self.size

    def get_idle_size(self) -> int:
        return self.idle


def test_a_pool_is_read_when_it_is_scraped() -> None:
    pool = Pool()
    metrics.observe_pool(pool, "unit")
    assert REGISTRY.get_sample_value("atlas_db_pool_size", {"pool": "unit"}) == 4
    assert REGISTRY.get_sample_value("atlas_db_pool_in_use", {"pool": "unit"}) == 3
    pool.idle = 4
    assert REGISTRY.get_sample_value("atlas_db_pool_in_use", {"pool": "unit"}) == 0


async def test_a_query_is_counted_even_when_it_fails() -> None:
    with metrics.timed_query("unit.query"):
        pass
    with pytest.raises(ValueError, match="no"), metrics.timed_query("unit.query"):
        raise ValueError("no")
    assert REGISTRY.get_sample_value("atlas_db_query_seconds_count", {"query": "unit.query"}) == 2


def test_the_names_promised_exist() -> None:
    metrics.HTTP_REQUESTS.labels("GET", "/unit", "200").inc()
    metrics.KAFKA_RECORDS_IN.labels("unit", "unit").inc()
    metrics.KAFKA_RECORDS_OUT.labels("unit").inc()
    metrics.RETRIES.labels("unit").inc()
    labels = {"method": "GET", "route": "/unit", "status": "200"}
    assert REGISTRY.get_sample_value("atlas_http_requests_total", labels) == 1
    assert REGISTRY.get_sample_value("atlas_kafka_records_in_total", {"topic": "unit", "group": "unit"}) == 1
    assert REGISTRY.get_sample_value("atlas_kafka_records_out_total", {"topic": "unit"}) == 1
    assert REGISTRY.get_sample_value("atlas_retries_total", {"what": "unit"}) == 1
