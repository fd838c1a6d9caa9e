"""Consumer lag under the names that other exporters gave it, so that dashboards made for them show data unchanged.

The values are Atlas's own: lag is counted up to the high watermark, is 0 when caught up and never negative, and the
seconds are those of the first record that is not consumed, not interpolated. Names, types and labels are those of
kafka_exporter 1.9 (danielqsj/kafka_exporter) and kafka-lag-exporter 0.8 (seglo/kafka-lag-exporter); all are gauges.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from aiokafka import TopicPartition
from atlas_kafka.cluster.members import Member
from prometheus_client.core import GaugeMetricFamily, Metric

from atlas_health_aggregator.judging.lag_rows import LagRow
from atlas_health_aggregator.judging.rows import TopicLag
from atlas_health_aggregator.lag import LagReport

_Row = LagRow | TopicLag
# What kafka_exporter says of a partition to which a group has committed nothing; its dashboards leave it out of sums.
NOTHING_COMMITTED = -1
_PARTITION = ("topic", "partition")
_OF_GROUP = ("consumergroup", "topic", "partition")
# What kafka-lag-exporter says of a partition that no member has.
_NOBODY = Member("unknown", "unknown", "unknown")
_OF_MEMBER = ("cluster_name", "group", "topic", "partition", "member_host", "consumer_id", "client_id")


def kafka_exporter(report: LagReport, _cluster: str) -> Iterable[Metric]:
    """The families of kafka_exporter: brokers, topics and consumer groups."""
    brokers = _family("kafka_brokers", "Brokers of the cluster", ())
    address = _family("kafka_broker_info", "1 for each broker", ("id", "address"))
    if report.cluster.brokers:  # else nothing has been read yet
        brokers.add_metric([], len(report.cluster.brokers))
    for number, where in report.cluster.brokers.items():
        address.add_metric([str(number), where], 1)
    yield from (brokers, address)
    yield from _offsets_of_kafka_exporter(report)
    yield from _replicas_of_kafka_exporter(report)
    yield from _groups_of_kafka_exporter(report)


def _offsets_of_kafka_exporter(report: LagReport) -> Iterable[Metric]:
    partitions = _family("kafka_topic_partitions", "Partitions of a topic", ("topic",))
    newest = _family("kafka_topic_partition_current_offset", "High watermark of a partition", _PARTITION)
    oldest = _family("kafka_topic_partition_oldest_offset", "First offset of a partition", _PARTITION)
    count: dict[str, int] = defaultdict(int)
    for (topic, partition), (start, end) in report.ranges.items():
        count[topic] += 1
        newest.add_metric([topic, str(partition)], end)
        oldest.add_metric([topic, str(partition)], start)
    for topic, number in count.items():
        partitions.add_metric([topic], number)
    return partitions, newest, oldest


def _replicas_of_kafka_exporter(report: LagReport) -> Iterable[Metric]:
    name = "kafka_topic_partition"
    leader = _family(f"{name}_leader", "Broker that leads a partition; absent: none does", _PARTITION)
    preferred = _family(f"{name}_leader_is_preferred", "1 when the preferred broker leads", _PARTITION)
    replicas = _family(f"{name}_replicas", "Replicas of a partition", _PARTITION)
    in_sync = _family(f"{name}_in_sync_replica", "Replicas of a partition that are up to date", _PARTITION)
    short = _family(f"{name}_under_replicated_partition", "1 when a replica is not up to date", _PARTITION)
    for (topic, partition), found in report.cluster.partitions.items():
        place = [topic, str(partition)]
        if found.leader is not None:
            leader.add_metric(place, found.leader)
        preferred.add_metric(place, float(found.preferred))
        replicas.add_metric(place, len(found.assigned))
        in_sync.add_metric(place, len(found.in_sync))
        short.add_metric(place, float(found.short))
    return leader, preferred, replicas, in_sync, short


def _groups_of_kafka_exporter(report: LagReport) -> Iterator[Metric]:
    offset = _family("kafka_consumergroup_current_offset", "Committed offset of a group", _OF_GROUP)
    lag = _family("kafka_consumergroup_lag", "Records not yet consumed; -1 where nothing is committed", _OF_GROUP)
    members = _family("kafka_consumergroup_members", "Members of a group", ("consumergroup",))
    for row in report.series:
        place = [row.group, row.topic, str(row.partition)]
        offset.add_metric(place, NOTHING_COMMITTED if row.committed is None else row.committed)
        lag.add_metric(place, NOTHING_COMMITTED if row.committed is None else row.lag_records)
    for group, number in report.members.items():
        if number is not None:
            members.add_metric([group], number)
    rows: list[_Row] = [*report.series, *report.sums_only]
    committed = [row for row in rows if row.committed is not None]
    yield from (offset, lag, members)
    yield _by(
        committed,
        "kafka_consumergroup_current_offset_sum",
        "Committed offsets of a group in a topic",
        {"consumergroup": _group, "topic": _topic},
        lambda rows: sum(row.committed or 0 for row in rows),
    )
    yield _by(
        committed,
        "kafka_consumergroup_lag_sum",
        "Records of a topic that a group has not yet consumed",
        {"consumergroup": _group, "topic": _topic},
        _records,
    )


def kafka_lag_exporter(report: LagReport, cluster: str) -> Iterable[Metric]:
    """The families of kafka-lag-exporter; `cluster` is what they call the cluster."""
    latest = _family("kafka_partition_latest_offset", "High watermark of a partition", ("cluster_name", *_PARTITION))
    earliest = _family("kafka_partition_earliest_offset", "First offset of a partition", ("cluster_name", *_PARTITION))
    for (topic, partition), (start, end) in report.ranges.items():
        latest.add_metric([cluster, topic, str(partition)], end)
        earliest.add_metric([cluster, topic, str(partition)], start)
    offset = _family("kafka_consumergroup_group_offset", "Committed offset of a group", _OF_MEMBER)
    lag = _family("kafka_consumergroup_group_lag", "Records not yet consumed", _OF_MEMBER)
    seconds = _family("kafka_consumergroup_group_lag_seconds", "Age of the first record not yet consumed", _OF_MEMBER)
    for row in report.series:
        member = report.holders.get(row.group, {}).get(TopicPartition(row.topic, row.partition), _NOBODY)
        place = [cluster, row.group, row.topic, str(row.partition), member.host, member.id, member.client_id]
        if row.committed is not None:
            offset.add_metric(place, row.committed)
        lag.add_metric(place, row.lag_records)
        if row.lag_seconds is not None:
            seconds.add_metric(place, row.lag_seconds)
    poll = _family("kafka_consumergroup_poll_time_ms", "How long reading all of this took", ("cluster_name",))
    if report.taken_at:
        poll.add_metric([cluster], round(report.took_s * 1000))
    yield from (latest, earliest, offset, lag, seconds, poll)
    in_cluster: Callable[[_Row], str] = lambda _row: cluster  # noqa: E731
    of_group, of_topic = {"cluster_name": in_cluster, "group": _group}, {"topic": _topic}
    rows: list[_Row] = [*report.series, *report.sums_only]
    known = [row for row in rows if row.lag_seconds is not None]
    name = "kafka_consumergroup_group"
    yield _by(rows, f"{name}_max_lag", "The most records of a partition not yet consumed", of_group, _most)
    yield _by(known, f"{name}_max_lag_seconds", "Age of the oldest record not yet consumed", of_group, _oldest)
    yield _by(rows, f"{name}_sum_lag", "Records not yet consumed", of_group, _records)
    yield _by(rows, f"{name}_topic_sum_lag", "Records not yet consumed", of_group | of_topic, _records)


# By what the setting calls them.
NAMES: Mapping[str, Callable[[LagReport, str], Iterable[Metric]]] = {
    "kafka_exporter": kafka_exporter,
    "kafka_lag_exporter": kafka_lag_exporter,
}


def _family(name: str, about: str, labels: Sequence[str]) -> GaugeMetricFamily:
    return GaugeMetricFamily(name=name, documentation=about, labels=labels)


def _by(
    rows: Iterable[_Row],
    name: str,
    about: str,
    labels: Mapping[str, Callable[[_Row], str]],
    value: Callable[[Sequence[_Row]], float],
) -> GaugeMetricFamily:
    """One series for the rows that have the same labels."""
    found: dict[tuple[str, ...], list[_Row]] = defaultdict(list)
    for row in rows:
        found[tuple(of(row) for of in labels.values())].append(row)
    family = _family(name, about, tuple(labels))
    for key, same in found.items():
        family.add_metric(key, value(same))
    return family


def _group(row: _Row) -> str:
    return row.group


def _topic(row: _Row) -> str:
    return row.topic


def _records(rows: Sequence[_Row]) -> float:
    return sum(row.lag_records for row in rows)


def _most(rows: Sequence[_Row]) -> float:
    return max(row.lag_records if isinstance(row, LagRow) else row.lag_most for row in rows)


def _oldest(rows: Sequence[_Row]) -> float:
    return max(row.lag_seconds or 0.0 for row in rows)
