"""The public dashboards of kafka_exporter and kafka-lag-exporter have data from Atlas, by a Prometheus that scrapes it.

The expressions are those of the dashboards, with Grafana's variables in them.
"""

import asyncio
import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from math import isnan
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest
import yaml
from aiokafka import TopicPartition
from atlas_health_aggregator.exposition import Shown, exposed
from atlas_health_aggregator.judging.admission import Limits
from atlas_health_aggregator.judging.lag_rows import Position, Scan, lag_row
from atlas_health_aggregator.judging.liveness import Mesh
from atlas_health_aggregator.lag import LagReport
from atlas_health_aggregator.settings import METRIC_NAMES
from atlas_kafka.cluster.members import Member
from atlas_kafka.cluster.replicas import Cluster, Replicas
from atlas_local.ports import free_port
from atlas_local.waiting import wait_until
from prometheus_client import start_http_server

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
    "$namespace": "streaming",
    "$cluster_name": "main",
    "$consumer_group": ".+",
    "$topic": ".+",
    "$job": ".+",
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


class Prometheus:
    def __init__(self, url: str, instance: str) -> None:
        self._url, self._variables = url, {**VARIABLES, "$instance": instance}

    def values(self, expression: str) -> list[float]:
        for name, value in self._variables.items():
            expression = expression.replace(name, value)
        assert "$" not in expression, expression
        with urlopen(f"{self._url}/api/v1/query?{urlencode({'query': expression})}", timeout=10) as response:
            answer: dict[str, Any] = json.load(response)
        assert answer["status"] == "success", (expression, answer)
        return [float(each["value"][1]) for each in answer["data"]["result"]]

    def ready(self) -> bool:
        try:
            return len(self.values("count_over_time(kafka_brokers[1m]) > 2")) == 1
        except URLError:
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
    program = shutil.which("prometheus")
    if program is None:
        pytest.skip("prometheus is not installed")
    folder: Path = tmp_path_factory.mktemp("prometheus")
    # The namespace is put on by whatever finds the targets in Kubernetes.
    target = {"targets": [metrics], "labels": {"namespace": "streaming"}}
    scrape = {"job_name": "kafka", "scrape_interval": "500ms", "scrape_timeout": "500ms", "static_configs": [target]}
    (folder / "prometheus.yml").write_text(yaml.safe_dump({"scrape_configs": [scrape]}))
    address = f"127.0.0.1:{free_port()}"
    with ExitStack() as stack:
        log = stack.enter_context((folder / "log").open("w"))
        process = subprocess.Popen(
            [
                program,
                f"--config.file={folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={folder / 'tsdb'}",
                f"--web.listen-address={address}",
            ],
            cwd=folder,
            stdout=log,
            stderr=log,
        )
        stack.callback(process.wait, 30)
        stack.callback(process.terminate)
        asked = Prometheus(f"http://{address}", metrics)
        asyncio.run(wait_until("three scrapes", asked.ready, 60, 0.2))
        yield asked


@pytest.mark.parametrize("expression", [*KAFKA_EXPORTER, *KAFKA_LAG_EXPORTER])
async def test_every_query_of_the_dashboards_has_data(prometheus: Prometheus, expression: str) -> None:
    values: list[float] = []

    def answered() -> bool:
        values[:] = prometheus.values(expression)
        return bool(values)

    # A scrape that a busy machine has no time for leaves a gap.
    await wait_until(f"data for {expression}", answered, 30, 0.2)
    assert not [value for value in values if isnan(value)]


def test_the_figures_are_those_of_the_groups(prometheus: Prometheus) -> None:
    assert prometheus.values(KAFKA_EXPORTER[1]) == [20.0]
    assert prometheus.values(KAFKA_EXPORTER[4]) == [2.0]
    assert prometheus.values(KAFKA_LAG_EXPORTER[0]) == [1.0]
    assert prometheus.values(KAFKA_LAG_EXPORTER[3]) == [10.0, 10.0]
