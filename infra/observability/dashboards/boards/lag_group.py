"""One consumer group: its topics and partitions."""

from infra.observability.dashboards import runbooks, states, trails
from infra.observability.dashboards.boards.lag import MARGIN, SECONDS
from infra.observability.dashboards.boards.lag_members import MEMBERS, SPEED
from infra.observability.dashboards.panels import (
    ANY,
    NONE_IS_GOOD,
    Board,
    Choice,
    Column,
    Kind,
    Levels,
    Panel,
    Query,
    Row,
)
from infra.observability.dashboards.promql import (
    OF_GROUP,
    OF_TOPIC,
    greatest,
    increase,
    least,
    or_none,
    rate,
    series,
    total,
)

_PLACE = ("group", "topic", "partition")
_NAME = "{{topic}}/{{partition}}"
TO_PARTITION = (
    "/d/atlas-lag-partition?var-group=${__data.fields.group}&var-topic=${__data.fields.topic}"
    "&var-partition=${__data.fields.partition}&${__url_time_range}"
)


def _of(metric: str) -> str:
    return series(metric, OF_GROUP, OF_TOPIC)


_STATUS = f"max by (group, topic, partition) ({states.status('atlas_consumer_partition_status', OF_GROUP, OF_TOPIC)})"

_GROUP = Row(
    "The group",
    runbooks.CONSUMER,
    trails.OF_GROUP,
    (
        Panel(
            "The group is ok",
            "The worst status of its partitions.",
            [Query(f"max by (group) ({states.status('atlas_consumer_group_status', OF_GROUP)})", "{{group}}")],
            "short",
            ANY,
            kind=Kind.TIMELINE,
            states=states.LAG,
            height=6,
        ),
        Panel(
            "Somebody reads",
            "Members of the group. In a stopped group there are none, and nothing will be read.",
            [Query(greatest(series("atlas_consumer_group_members", OF_GROUP), "group"), "{{group}}")],
            "short",
            Levels(alarm=1, below=True),
            height=6,
        ),
        Panel(
            "Partitions stay where they are",
            "Times that the assignment of a member changed: each one stops reading for a moment.",
            [
                Query(
                    or_none(
                        total(increase(series("atlas_kafka_rebalances_total", OF_GROUP)), "group"),
                        "projector",
                        "group",
                    ),
                    "{{group}}",
                )
            ],
            "short",
            Levels(warn=2),
            height=6,
        ),
    ),
)

_TOPICS = Row(
    "Its topics",
    runbooks.CONSUMER,
    trails.OF_TOPIC,
    (
        Panel(
            "Lag in seconds is near 0 on every topic",
            "Age of the first record of the topic that is not consumed; 0 when it is caught up.",
            [Query(greatest(_of("atlas_consumer_lag_seconds"), "group", "topic"), "{{group}} {{topic}}")],
            "s",
            SECONDS,
        ),
        Panel(
            "Lag in records does not grow on any topic",
            "Records not consumed yet, up to the high watermark.",
            [Query(total(_of("atlas_consumer_lag_records"), "group", "topic"), "{{group}} {{topic}}")],
            "short",
            ANY,
        ),
        Panel(
            "Records are taken from every topic",
            "Made durable by the group, per second.",
            [Query(total(rate(_of("atlas_kafka_records_in_total")), "group", "topic"), "{{group}} {{topic}}")],
            "cps",
            ANY,
        ),
        Panel(
            "Retention is far away on every topic",
            "Until retention may delete the first record that is not consumed. What is caught up has none.",
            [Query(least(_of("atlas_consumer_retention_margin_seconds"), "group", "topic"), "{{group}} {{topic}}")],
            "s",
            MARGIN,
            log=True,
        ),
        Panel(
            "No record is lost on any topic",
            "Records that retention deleted before the group read them.",
            [Query(total(_of("atlas_consumer_records_lost"), "group", "topic"), "{{group}} {{topic}}")],
            "short",
            NONE_IS_GOOD,
            runbook=runbooks.REBUILD,
        ),
        Panel(
            "No topic is held back",
            "Age of the open transaction that readers of the topic wait for.",
            [
                Query(
                    or_none(
                        greatest(series("atlas_partition_blocked_seconds", OF_TOPIC), "topic"),
                        "health-aggregator",
                        "topic",
                    ),
                    "{{topic}}",
                )
            ],
            "s",
            Levels(warn=10, alarm=30),
            runbook=runbooks.BLOCKED,
        ),
    ),
)

_PARTITIONS = Row(
    "Its partitions",
    runbooks.CONSUMER,
    trails.OF_TOPIC,
    (
        Panel(
            "Every partition keeps up, the worst first",
            "A click on a partition leads to it alone.",
            [
                Query(_STATUS, "status"),
                Query(greatest(_of("atlas_consumer_lag_seconds"), *_PLACE), "lag"),
                Query(greatest(_of("atlas_consumer_lag_records"), *_PLACE), "records"),
                Query(least(_of("atlas_consumer_retention_margin_seconds"), *_PLACE), "retention margin"),
                Query(greatest(_of("atlas_consumer_records_lost"), *_PLACE), "lost"),
            ],
            "short",
            ANY,
            kind=Kind.TABLE,
            width=24,
            height=9,
            table=[
                Column("group"),
                Column("topic"),
                Column("partition", link=TO_PARTITION),
                Column("status", states=states.LAG),
                Column("lag", "s", SECONDS, first=True),
                Column("records"),
                Column("retention margin", "s", MARGIN),
                Column("lost", levels=NONE_IS_GOOD),
            ],
        ),
        Panel(
            "The heat map stays green in every partition",
            "Lag in seconds, a row for each partition. One warm row: it stands still, or has a hot key.",
            [Query(greatest(_of("atlas_consumer_lag_seconds"), "topic", "partition"), _NAME)],
            "s",
            SECONDS,
            kind=Kind.ROWS,
            width=12,
            height=12,
        ),
        Panel(
            "Every partition is ok",
            "Status from a window of readings: docs/lag.md says what each means.",
            [Query(_STATUS, _NAME)],
            "short",
            ANY,
            kind=Kind.TIMELINE,
            states=states.LAG,
            width=12,
            height=12,
        ),
    ),
)

LAG_GROUP = Board(
    uid="atlas-lag-group",
    title="Consumer lag: group",
    description="One consumer group, its topics and partitions. Rows of the list lead to one partition.",
    choices=(Choice.CLUSTER, Choice.GROUP, Choice.TOPIC),
    rows=(_GROUP, SPEED, _TOPICS, _PARTITIONS, MEMBERS),
    one_of=(Choice.GROUP,),
)
