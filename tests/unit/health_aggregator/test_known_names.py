"""Lag under the names of other exporters: what dashboards made for them ask for is there, with the same labels."""

import math

import pytest
from aiokafka import TopicPartition
from atlas_health_aggregator.judging.lag_rows import Position, Scan, lag_row
from atlas_health_aggregator.known_names import NAMES
from atlas_health_aggregator.lag import LagReport
from atlas_health_aggregator.settings import METRIC_NAMES, HealthAggregatorSettings
from atlas_kafka.cluster.members import Member
from atlas_kafka.cluster.replicas import Cluster, Replicas
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families
from pydantic import ValidationError

NOW_MS = 1_900_000_000_000
MEMBER = ("cluster_name", "group", "topic", "partition", "member_host", "consumer_id", "client_id")
# Name, labels: from the documentation of kafka_exporter and of kafka-lag-exporter; all are gauges.
FAMILIES = {
    "kafka_exporter": {
        "kafka_brokers": (),
        "kafka_broker_info": ("id", "address"),
        "kafka_topic_partition_leader": ("topic", "partition"),
        "kafka_topic_partition_leader_is_preferred": ("topic", "partition"),
        "kafka_topic_partition_replicas": ("topic", "partition"),
        "kafka_topic_partition_in_sync_replica": ("topic", "partition"),
        "kafka_topic_partition_under_replicated_partition": ("topic", "partition"),
        "kafka_topic_partitions": ("topic",),
        "kafka_topic_partition_current_offset": ("topic", "partition"),
        "kafka_topic_partition_oldest_offset": ("topic", "partition"),
        "kafka_consumergroup_current_offset": ("consumergroup", "topic", "partition"),
        "kafka_consumergroup_current_offset_sum": ("consumergroup", "topic"),
        "kafka_consumergroup_lag": ("consumergroup", "topic", "partition"),
        "kafka_consumergroup_lag_sum": ("consumergroup", "topic"),
        "kafka_consumergroup_members": ("consumergroup",),
    },
    "kafka_lag_exporter": {
        "kafka_consumergroup_poll_time_ms": ("cluster_name",),
        "kafka_partition_latest_offset": ("cluster_name", "topic", "partition"),
        "kafka_partition_earliest_offset": ("cluster_name", "topic", "partition"),
        "kafka_consumergroup_group_offset": MEMBER,
        "kafka_consumergroup_group_lag": MEMBER,
        "kafka_consumergroup_group_lag_seconds": MEMBER,
        "kafka_consumergroup_group_max_lag": ("cluster_name", "group"),
        "kafka_consumergroup_group_max_lag_seconds": ("cluster_name", "group"),
        "kafka_consumergroup_group_sum_lag": ("cluster_name", "group"),
        "kafka_consumergroup_group_topic_sum_lag": ("cluster_name", "group", "topic"),
    },
}


def position(partition: int, committed: int | None, end: int = 30, topic: str = "t") -> Position:
    return Position("g", topic, partition, committed, 5, end, 2, -1, end)


REPORT = LagReport(
    NOW_MS,
    (
        lag_row(position(0, 10), Scan(10, 10, NOW_MS - 5_000), NOW_MS),
        lag_row(position(1, 20), Scan(20, 20, NOW_MS - 60_000), NOW_MS),
        lag_row(position(2, 30), None, NOW_MS),
        lag_row(position(3, None), None, NOW_MS),
        lag_row(position(0, 7, 9, "other"), Scan(7, 7, NOW_MS - 1_000), NOW_MS),
    ),
    {"g": 2, "share": None},
    ranges={TopicPartition("t", 0): (5, 30), TopicPartition("t", 1): (0, 30), TopicPartition("nobodys", 0): (0, 4)},
    cluster=Cluster(
        {1: "a:9092", 2: "b:9092"},
        {
            TopicPartition("t", 0): Replicas(2, (1, 2), (2,)),
            TopicPartition("t", 1): Replicas(1, (1, 2), (2, 1)),
            TopicPartition("t", 2): Replicas(None, (1,), ()),
        },
    ),
    holders={"g": {TopicPartition("t", 0): Member("app-1-x", "app-1", "/10.0.0.7")}},
    took_s=0.25,
)


def scraped(names: str, report: LagReport = REPORT) -> dict[str, Metric]:
    """As Prometheus reads them."""
    registry = CollectorRegistry()

    class Collected:
        def collect(self) -> list[Metric]:
            return list(NAMES[names](report, "main"))

    registry.register(Collected())  # type: ignore[arg-type]
    return {each.name: each for each in text_string_to_metric_families(generate_latest(registry).decode())}


def value(family: Metric, **labels: str) -> float:
    (found,) = [each.value for each in family.samples if labels.items() <= each.labels.items()]
    return float(found)


@pytest.mark.parametrize("names", FAMILIES)
def test_every_family_has_its_name_its_type_and_its_labels(names: str) -> None:
    families = scraped(names)
    expected = {name: set(labels) for name, labels in FAMILIES[names].items()}
    assert {name: set(each.samples[0].labels) for name, each in families.items()} == expected
    assert {each.type for each in families.values()} == {"gauge"}
    assert not [each for family in families.values() for each in family.samples if math.isnan(each.value)]


def test_of_kafka_exporter() -> None:
    found = scraped("kafka_exporter")
    assert value(found["kafka_topic_partitions"], topic="t") == 2
    assert value(found["kafka_topic_partition_current_offset"], topic="nobodys", partition="0") == 4
    assert value(found["kafka_topic_partition_oldest_offset"], topic="t", partition="0") == 5
    lag = found["kafka_consumergroup_lag"]
    assert [value(lag, topic="t", partition=str(number)) for number in range(4)] == [20, 10, 0, -1]
    assert value(found["kafka_consumergroup_current_offset"], topic="t", partition="3") == -1
    assert value(found["kafka_consumergroup_lag_sum"], topic="t") == 30
    assert value(found["kafka_consumergroup_current_offset_sum"], topic="t") == 60
    assert [each.labels for each in found["kafka_consumergroup_members"].samples] == [{"consumergroup": "g"}]


def test_of_brokers_and_replicas() -> None:
    found = scraped("kafka_exporter")
    assert value(found["kafka_brokers"]) == 2
    assert value(found["kafka_broker_info"], id="2", address="b:9092") == 1

    def of(name: str) -> dict[str, float]:
        return {each.labels["partition"]: each.value for each in found[f"kafka_topic_partition_{name}"].samples}

    assert of("leader") == {"0": 2, "1": 1}, "one without a leader has none"
    assert of("leader_is_preferred") == {"0": 0, "1": 1, "2": 0}
    assert of("replicas") == {"0": 2, "1": 2, "2": 1}
    assert of("in_sync_replica") == {"0": 1, "1": 2, "2": 0}
    assert of("under_replicated_partition") == {"0": 1, "1": 0, "2": 1}


@pytest.mark.parametrize("names", FAMILIES)
def test_before_the_first_reading_nothing_is_said(names: str) -> None:
    assert not [each for family in scraped(names, LagReport(0, (), {})).values() for each in family.samples]


def test_of_members() -> None:
    """A partition that nobody has says so as the exporter does."""
    lag = scraped("kafka_lag_exporter")["kafka_consumergroup_group_lag"]
    member = {"member_host": "/10.0.0.7", "consumer_id": "app-1-x", "client_id": "app-1"}
    assert value(lag, topic="t", partition="0", **member) == 20
    assert value(lag, topic="t", partition="1", **dict.fromkeys(member, "unknown")) == 10


def test_of_kafka_lag_exporter() -> None:
    found = scraped("kafka_lag_exporter")
    assert {each.labels["cluster_name"] for family in found.values() for each in family.samples} == {"main"}
    seconds = found["kafka_consumergroup_group_lag_seconds"]
    assert [value(seconds, topic="t", partition=str(number)) for number in range(3)] == [5, 60, 0]
    assert "3" not in {each.labels["partition"] for each in seconds.samples}, "what could not be read is absent"
    assert value(found["kafka_consumergroup_group_lag"], topic="t", partition="3") == 25
    assert value(found["kafka_consumergroup_group_max_lag"], group="g") == 25
    assert value(found["kafka_consumergroup_group_max_lag_seconds"], group="g") == 60
    assert value(found["kafka_consumergroup_group_sum_lag"], group="g") == 57
    assert value(found["kafka_consumergroup_group_topic_sum_lag"], group="g", topic="other") == 2
    assert value(found["kafka_partition_latest_offset"], topic="t", partition="1") == 30
    assert value(found["kafka_consumergroup_poll_time_ms"]) == 250


def test_the_setting_takes_what_there_is() -> None:
    assert set(NAMES) == METRIC_NAMES
    settings = HealthAggregatorSettings(health_metric_names="kafka_lag_exporter, kafka_exporter,")
    assert settings.metric_names == ("kafka_exporter", "kafka_lag_exporter")
    with pytest.raises(ValidationError, match="burrow: expected any of kafka_exporter, kafka_lag_exporter"):
        HealthAggregatorSettings(health_metric_names="kafka_exporter,burrow")
