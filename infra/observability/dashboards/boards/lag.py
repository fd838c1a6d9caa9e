"""Consumer lag of every group: an overview whose rows lead to one group, and from there to one partition."""

from infra.observability.dashboards import runbooks, states, trails
from infra.observability.dashboards.boards.lag_members import CATCH_UP, MEMBERS, SPEED, TO_GROUP
from infra.observability.dashboards.panels import (
    ANY,
    NONE_IS_GOOD,
    Board,
    Choice,
    Column,
    Kind,
    Levels,
    Number,
    Panel,
    Query,
    Row,
)
from infra.observability.dashboards.promql import OF_GROUP, OF_TOPIC, greatest, least, or_none, series, total

SECONDS = Levels(warn=30, alarm=60)
# Heartbeats are kept for an hour.
MARGIN = Levels(warn=1800, alarm=900, below=True)


def _of(metric: str) -> str:
    return series(metric, OF_GROUP, OF_TOPIC)


_LAG_SECONDS, _LAG_RECORDS = _of("atlas_consumer_lag_seconds"), _of("atlas_consumer_lag_records")
_READERS = trails.of_services("projector", "archiver")
_STATUS = f"max by (group) ({states.status('atlas_consumer_group_status', OF_GROUP)})"

_NOW = Row(
    "Now",
    runbooks.CONSUMER,
    trails.OF_GROUP,
    (
        Number(
            "No group needs a look",
            "Groups that fall behind, are blocked, stand still or have stopped: docs/lag.md says what that means.",
            [Query(f"count({_STATUS} > 1) or 0 * count({_STATUS})", "groups")],
            "short",
            Levels(warn=1),
            width=4,
        ),
        Number(
            "All lag is under a minute",
            "Age of the oldest record that any group has not consumed; 0 when all are caught up.",
            [Query(greatest(_LAG_SECONDS), "oldest")],
            "s",
            SECONDS,
            width=4,
            trail=_READERS,
        ),
        Number(
            "Few records wait",
            "Records that groups have not consumed, up to the high watermark; the same record counts for every group.",
            [Query(total(_LAG_RECORDS), "records")],
            "short",
            ANY,
            width=4,
            trail=_READERS,
        ),
        Number(
            "No record is lost",
            "Records that retention deleted before a group read them.",
            [Query(total(_of("atlas_consumer_records_lost")), "records")],
            "short",
            NONE_IS_GOOD,
            width=4,
            runbook=runbooks.REBUILD,
            trail=_READERS,
        ),
        Number(
            "No partition is blocked",
            "Partitions whose readers an open transaction holds back.",
            [
                Query(
                    or_none(f"count({series('atlas_partition_blocked_seconds', OF_TOPIC)})", "health-aggregator"),
                    "partitions",
                )
            ],
            "short",
            NONE_IS_GOOD,
            width=4,
            runbook=runbooks.BLOCKED,
            trail=trails.of_services("relay", "gateway"),
        ),
        Number(
            "Figures are fresh",
            "Age of the last round that the brokers were asked in. Old figures are old, never wrong.",
            [Query(greatest(series("atlas_consumer_lag_age_seconds")), "age")],
            "s",
            Levels(warn=15, alarm=30),
            width=4,
            trail=trails.of_services("health-aggregator"),
        ),
        Panel(
            "Every group keeps up, the worst first",
            "Each group with its status, lag and members. A click on a group leads to it alone.",
            [
                Query(_STATUS, "status"),
                Query(greatest(_LAG_SECONDS, "group"), "lag"),
                Query(total(_LAG_RECORDS, "group"), "records"),
                Query(greatest(series("atlas_consumer_group_members", OF_GROUP), "group"), "members"),
                Query(least(_of("atlas_consumer_retention_margin_seconds"), "group"), "retention margin"),
                Query(greatest(_of("atlas_consumer_catch_up_seconds"), "group"), "catches up in"),
                Query(total(_of("atlas_consumer_records_lost"), "group"), "lost"),
            ],
            "short",
            ANY,
            kind=Kind.TABLE,
            width=24,
            height=9,
            table=[
                Column("group", link=TO_GROUP),
                Column("status", states=states.LAG),
                Column("lag", "s", SECONDS, first=True),
                Column("records"),
                Column("catches up in", "s", CATCH_UP),
                Column("members", levels=Levels(alarm=1, below=True)),
                Column("retention margin", "s", MARGIN),
                Column("lost", levels=NONE_IS_GOOD),
            ],
        ),
    ),
)

_TIME = Row(
    "Over time",
    runbooks.CONSUMER,
    trails.OF_GROUP,
    (
        Panel(
            "Every group is ok",
            "The worst status of a group's partitions, from a window of readings and without thresholds.",
            [Query(_STATUS, "{{group}}")],
            "short",
            ANY,
            kind=Kind.TIMELINE,
            states=states.LAG,
            width=12,
            height=9,
        ),
        Panel(
            "The heat map stays green",
            "Lag in seconds, a row for each group.",
            [Query(greatest(_LAG_SECONDS, "group"), "{{group}}")],
            "s",
            SECONDS,
            kind=Kind.ROWS,
            width=12,
            height=9,
        ),
        Panel(
            "Lag in seconds is near 0",
            "Age of the first record that the group has not consumed; 0 when it is caught up.",
            [Query(greatest(_LAG_SECONDS, "group"), "{{group}}")],
            "s",
            SECONDS,
        ),
        Panel(
            "Lag in records does not grow",
            "Records not consumed yet, up to the high watermark: markers of transactions take offsets too.",
            [Query(total(_LAG_RECORDS, "group"), "{{group}}")],
            "short",
            ANY,
        ),
        Panel(
            "Retention is far away",
            "Until retention may delete the first record that the group has not consumed. What is caught up has none.",
            [Query(least(_of("atlas_consumer_retention_margin_seconds"), "group", "topic"), "{{group}} {{topic}}")],
            "s",
            MARGIN,
            log=True,
        ),
        Panel(
            "No transaction holds readers back",
            "Age of the open transaction that a topic's readers wait for.",
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
            trail=trails.OF_TOPIC,
            width=6,
        ),
        Panel(
            "No group is left out",
            "Groups that are not looked at, because there are too many.",
            [Query(greatest(series("atlas_consumer_groups_hidden")), "hidden")],
            "short",
            NONE_IS_GOOD,
            trail=trails.of_services("health-aggregator"),
            width=6,
        ),
        Panel(
            "No offset is past the end",
            "Partitions where the committed offset is greater than the end, or of a topic that was deleted.",
            [
                Query(total(_of("atlas_consumer_beyond_end"), "group"), "{{group}} past the end"),
                Query(total(_of("atlas_consumer_old_topic"), "group"), "{{group}} of an old topic"),
            ],
            "short",
            NONE_IS_GOOD,
            runbook=runbooks.TOPIC_DELETED,
            width=6,
        ),
        Panel(
            "No record is lost over time",
            "Records that retention deleted before the group read them.",
            [Query(total(_of("atlas_consumer_records_lost"), "group"), "{{group}}")],
            "short",
            NONE_IS_GOOD,
            runbook=runbooks.REBUILD,
            width=6,
        ),
    ),
)

LAG = Board(
    uid="atlas-lag",
    title="Consumer lag",
    description="Every group of the cluster. Its rows lead to one group, and from there to one partition.",
    choices=(Choice.CLUSTER, Choice.GROUP, Choice.TOPIC),
    rows=(_NOW, SPEED, _TIME, MEMBERS),
)
