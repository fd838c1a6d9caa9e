"""Series of lag, out of one report: a scrape asks nobody."""

from collections import defaultdict
from collections.abc import Callable, Iterable

from prometheus_client.core import GaugeMetricFamily, Metric

from atlas_health_aggregator.judging.lag_rows import LagRow
from atlas_health_aggregator.judging.rows import TopicLag
from atlas_health_aggregator.label_sets import LabelSets, Merge
from atlas_health_aggregator.lag import LagReport

# Where a group has an instance a core, members are by the dozen; whoever may join can be many.
MEMBERS_MAX = 1000

_PARTITION = ["group", "topic", "partition"]
_TOPIC = ["group", "topic"]
_RARE = {
    "atlas_consumer_lag_blocked_records",
    "atlas_consumer_records_lost",
    "atlas_consumer_beyond_end",
    "atlas_consumer_old_topic",
}
_Value = Callable[[LagRow | TopicLag], float | None]


def of_rows(report: LagReport, labels: LabelSets) -> Iterable[Metric]:
    """What each group has in each partition; of groups that are not apart, in each topic, the partition left empty.

    Of those there may be many: what is rare and is not so has no series.
    """
    places: list[tuple[list[str], LagRow | TopicLag]] = []
    places += [([row.group, row.topic, str(row.partition)], row) for row in report.series]
    places += [([each.group, each.topic, ""], each) for each in report.sums_only]
    for family, merge, value in _of_partitions():
        for place, row in places:
            found = value(row)
            if found or (found is not None and (place[2] or family.name not in _RARE)):
                family.add_metric(place, found)
        yield labels.merged(family, merge)


def _of_partitions() -> Iterable[tuple[GaugeMetricFamily, Merge, _Value]]:
    records = GaugeMetricFamily("atlas_consumer_lag_records", "Records not yet consumed", labels=_PARTITION)
    seconds = GaugeMetricFamily(
        "atlas_consumer_lag_seconds", "Age of the first record not yet consumed; 0 when caught up", labels=_PARTITION
    )
    blocked = GaugeMetricFamily(
        "atlas_consumer_lag_blocked_records",
        "Records not yet consumed that lie behind an open transaction",
        labels=_PARTITION,
    )
    lost = GaugeMetricFamily("atlas_consumer_records_lost", "Records deleted before they were read", labels=_PARTITION)
    margin = GaugeMetricFamily(
        "atlas_consumer_retention_margin_seconds", "Until retention may delete an unread record", labels=_PARTITION
    )
    beyond = GaugeMetricFamily(
        "atlas_consumer_beyond_end", "1 when the committed offset is past the end", labels=_PARTITION
    )
    old = GaugeMetricFamily(
        "atlas_consumer_old_topic", "1 when the committed offset is of a topic that was deleted", labels=_PARTITION
    )
    return (
        (records, sum, lambda row: row.lag_records),
        (seconds, max, lambda row: row.lag_seconds),
        (blocked, sum, lambda row: row.blocked_records),
        (lost, sum, lambda row: row.records_lost),
        (margin, min, lambda row: row.retention_margin_s),
        (beyond, max, lambda row: float(row.is_beyond_end)),
        (old, max, lambda row: float(row.is_of_old_topic)),
    )


def of_topics(report: LagReport, labels: LabelSets) -> Iterable[Metric]:
    """How fast records come to each group in a topic, and go; and whose clock a topic's times are of."""
    came = GaugeMetricFamily("atlas_consumer_records_in_per_second", "Offsets a second that come in", labels=_TOPIC)
    went = GaugeMetricFamily(
        "atlas_consumer_records_out_per_second", "Offsets a second that a group consumes", labels=_TOPIC
    )
    left = GaugeMetricFamily(
        "atlas_consumer_catch_up_seconds",
        "Until nothing waits, at the rates of now; absent: never, or not known",
        labels=_TOPIC,
    )
    for each in report.topics:
        for family, value in ((came, each.rate_in), (went, each.rate_out), (left, each.catch_up_s)):
            if value is not None:
                family.add_metric([each.group, each.topic], value)
    clock = GaugeMetricFamily(
        "atlas_topic_clock",
        "1 for whose clock a topic's times are of: CreateTime, the producers', or LogAppendTime, the brokers'",
        labels=["topic", "clock"],
    )
    for topic, name in report.clocks.items():
        clock.add_metric([topic, name], 1)
    yield from (labels.merged(came, sum), labels.merged(went, sum), labels.merged(left, max))
    yield from filter(labels.shows, [clock])


def of_groups(report: LagReport) -> Iterable[Metric]:
    """What the brokers say of each group, and its status."""
    members = GaugeMetricFamily("atlas_consumer_group_members", "Members of a group", labels=["group"])
    for group, count in report.members.items():
        if count is not None:
            members.add_metric([group], count)
    ours = GaugeMetricFamily("atlas_consumer_group_of_mesh", "1 for a group of the mesh's services", labels=["group"])
    for group, is_ours in report.ours.items():
        ours.add_metric([group], float(is_ours))
    status = GaugeMetricFamily(
        "atlas_consumer_group_status",
        "1 for the status that a group has: the worst of its partitions",
        labels=["group", "status"],
    )
    for group, found in report.statuses.items():
        if found is not None:
            status.add_metric([group, found.value], 1)
    info = GaugeMetricFamily(
        "atlas_consumer_group_info",
        "1 for the protocol and the state that a group has, in Kafka's words",
        labels=["group", "protocol", "state"],
    )
    empty = GaugeMetricFamily("atlas_consumer_group_empty_members", "Members that have no partition", labels=["group"])
    for each in report.groups.values():
        info.add_metric([each.name, each.protocol, each.state], 1)
        if each.empty_members is not None:
            empty.add_metric([each.name], each.empty_members)
    return members, ours, status, info, empty, _members(report)


def _members(report: LagReport) -> Metric:
    """By client and host: a member's id is another after each restart. The mesh's own first."""
    partitions = GaugeMetricFamily(
        "atlas_consumer_member_partitions", "Partitions that a member has", labels=["group", "client_id", "host"]
    )
    held: dict[tuple[str, str, str], int] = defaultdict(int)
    for group in sorted(report.groups.values(), key=lambda each: not each.ours):
        for member in group.who:
            key = (group.name, member.client_id, member.host)
            if key in held or len(held) < MEMBERS_MAX:
                held[key] += sum(len(numbers) for numbers in member.assigned.values())
    for key, count in held.items():
        partitions.add_metric(key, count)
    return partitions


def partition_statuses(report: LagReport) -> Metric:
    """1 for the status of each group that is apart, in each partition."""
    status = GaugeMetricFamily(
        "atlas_consumer_partition_status",
        "1 for the status that a group has in a partition",
        labels=["group", "topic", "partition", "status"],
    )
    for row in report.series:
        if row.status is not None:
            status.add_metric([row.group, row.topic, str(row.partition), row.status.value], 1)
    return status
