"""The public dashboards of kafka_exporter and kafka-lag-exporter have data from Atlas, by a Prometheus that scrapes it.

The expressions are those of the dashboards, with Grafana's variables in them.
"""

import asyncio
import time
from collections.abc import Iterator
from math import isnan
from urllib.error import URLError

import pytest
from aiokafka import TopicPartition
from atlas_health_aggregator.exposition import Shown, exposed
from atlas_health_aggregator.judging.admission import Limits
from atlas_health_aggregator.judging.lag_rows import Position, Scan, lag_row
from atlas_health_aggregator.judging.liveness import Mesh
from atlas_health_aggregator.lag import LagReport
from atlas_health_aggregator.settings import METRIC_NAMES
from atlas_kafka.cluster.members import Member
from atlas_kafka.cluster.replicas import Cluster, Replicas
from atlas_local.waiting import wait_until
from prometheus_client import start_http_server

from tests.prometheus import Prometheus, started

_SELECTED = 'namespace="$namespace",cluster_name="$cluster_name"'
_GROUPS = f'{_SELECTED},group=~"$consumer_group",group!=""'
KAFKA_EXPORTER = [
    'sum(rate(kafka_topic_partition_current_offset{instance="$instance", topic=~"$topic"}[1m])) by (topic)',
    'sum(kafka_consumergroup_lag{instance="$instance",topic=~"$topic"}) by (consumergroup, topic)',
    "sum(delta(kafka_topic_partition_current_offset{instance=~'$instance', topic=~\"$topic\"}[5m])/5) by (topic)",
    "sum(delta(kafka_consumergroup_current_offset{instance=~'$instance',topic=~\"$topic\"}[5m])/5)"
    " by (consumergroup, topic)",
    'sum by(topic) (kafka_topic_partitions{instance="$instance",topic=~"$topic"})',
    # Variables.
    'count by (job) (kafka_consumergroup_current_offset{job!=""})',
    'count by (instance) (kafka_consumergroup_current_offset{job=~"$job"})',
    "count by (topic) (kafka_topic_partition_current_offset{instance='$instance',topic!='__consumer_offsets',"
    "topic!='--kafka'})",
]
# Those of the exporter's own JVM are left out: there is none.
KAFKA_LAG_EXPORTER = [
    f"topk(50, kafka_consumergroup_group_max_lag_seconds{{{_GROUPS}}})",
    f"topk(25, kafka_consumergroup_group_lag_seconds{{{_GROUPS}}})",
    f"topk(50, kafka_consumergroup_group_max_lag{{{_GROUPS}}})",
    f"topk(25, kafka_consumergroup_group_lag{{{_GROUPS}}})",
    f"kafka_consumergroup_group_max_lag_seconds{{{_GROUPS}}}",
    f"kafka_consumergroup_group_max_lag{{{_GROUPS}}}",
    f"max(kafka_consumergroup_group_lag_seconds{{{_GROUPS}}}) by (group)",
    f"sum(kafka_consumergroup_group_offset{{{_GROUPS}}})",
    f"sum((kafka_consumergroup_group_offset{{{_GROUPS}}} * 0) + on(namespace,cluster_name,topic,partition) group_left()"
    f" kafka_partition_latest_offset{{{_SELECTED}}})",
    # Variables.
    "kafka_consumergroup_group_lag",
    'kafka_consumergroup_group_lag{namespace="$namespace"}',
    f"kafka_consumergroup_group_lag{{{_SELECTED}}}",
]
VARIABLES = {
    "namespace": "streaming",
    "cluster_name": "main",
    "consumer_group": ".+",
    "topic": ".+",
    "job": ".+",
}
PLACES = [TopicPartition("orders", 0), TopicPartition("orders", 1)]


class Lag:
    """Two partitions that are written to and read, one record a second behind each other."""

    @property
    def report(self) -> LagReport:
        now_ms = time.time_ns() // 1_000_000
        end = now_ms // 100
        rows = [
            lag_row(
                Position("app", place.topic, place.partition, end - 10, 0, end, 1, -1, end),
                Scan(end - 10, end - 10, now_ms - 1000),
                now_ms,
            )
            for place in PLACES
        ]
        return LagReport(
            now_ms,
            rows,
            {"app": 1},
            ranges=dict.fromkeys(PLACES, (0, end)),
            cluster=Cluster({1: "a:9092"}, dict.fromkeys(PLACES, Replicas(1, (1,), (1,)))),
            holders={"app": {PLACES[0]: Member("app-1", "app", "/10.0.0.7")}},
        )


def values(prometheus: Prometheus, expression: str) -> list[float]:
    return [series.last for series in prometheus.now(expression)]


def ready(prometheus: Prometheus) -> bool:
    try:
        return len(prometheus.now("count_over_time(kafka_brokers[1m]) > 2")) == 1
    except (URLError, AssertionError):  # not listening yet; listening, and not ready
        return False


@pytest.fixture(scope="module")
def metrics() -> Iterator[str]:
    """Where the aggregator's metrics are, with every exporter's names."""
    mesh = Mesh(interval_s=2, down_after_intervals=3, now=0, epoch_ms=0, limits=Limits(frozenset()))
    with exposed(mesh, Lag(), Shown(sorted(METRIC_NAMES), "main")):  # type: ignore[arg-type]
        server, thread = start_http_server(0, "127.0.0.1")
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture(scope="module")
def prometheus(metrics: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """A Prometheus that has scraped it some times."""
    # The namespace is put on by whatever finds the targets in Kubernetes.
    target = {"targets": [metrics], "labels": {"namespace": "streaming"}}
    scrape = {"job_name": "kafka", "scrape_interval": "500ms", "scrape_timeout": "500ms", "static_configs": [target]}
    with started(tmp_path_factory.mktemp("prometheus"), {"scrape_configs": [scrape]}) as url:
        asked = Prometheus(url, VARIABLES | {"instance": metrics})
        asyncio.run(wait_until("three scrapes", lambda: ready(asked), 60, 0.2))
        yield asked


@pytest.mark.parametrize("expression", [*KAFKA_EXPORTER, *KAFKA_LAG_EXPORTER])
async def test_every_query_of_the_dashboards_has_data(prometheus: Prometheus, expression: str) -> None:
    found: list[float] = []

    def answered() -> bool:
        found[:] = values(prometheus, expression)
        return bool(found)

    # A scrape that a busy machine has no time for leaves a gap.
    await wait_until(f"data for {expression}", answered, 30, 0.2)
    assert not [value for value in found if isnan(value)]


def test_the_figures_are_those_of_the_groups(prometheus: Prometheus) -> None:
    assert values(prometheus, KAFKA_EXPORTER[1]) == [20.0]
    assert values(prometheus, KAFKA_EXPORTER[4]) == [2.0]
    assert values(prometheus, KAFKA_LAG_EXPORTER[0]) == [1.0]
    assert values(prometheus, KAFKA_LAG_EXPORTER[3]) == [10.0, 10.0]
