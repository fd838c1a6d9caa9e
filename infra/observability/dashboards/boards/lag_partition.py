"""One partition as one group sees it."""

from infra.observability.dashboards import runbooks, states, trails
from infra.observability.dashboards.boards.lag import MARGIN, SECONDS
from infra.observability.dashboards.panels import ANY, NONE_IS_GOOD, Board, Choice, Kind, Levels, Panel, Query, Row
from infra.observability.dashboards.promql import (
    OF_GROUP,
    OF_PARTITION,
    OF_TOPIC,
    greatest,
    least,
    or_none,
    series,
    total,
)

_NAME = "{{group}} {{topic}}/{{partition}}"
_PLACE = ("group", "topic", "partition")
_HERE = (OF_TOPIC, OF_PARTITION)


def _of(metric: str) -> str:
    return series(metric, OF_GROUP, *_HERE)


_GROUP = Row(
    "As the group sees it",
    runbooks.CONSUMER,
    trails.OF_GROUP,
    (
        Panel(
            "The partition is ok",
            "Status from a window of readings: docs/lag.md says what each means.",
            [
                Query(
                    f"max by (group, topic, partition) ("
                    f"{states.status('atlas_consumer_partition_status', OF_GROUP, *_HERE)})",
                    _NAME,
                )
            ],
            "short",
            ANY,
            kind=Kind.TIMELINE,
            states=states.LAG,
            width=24,
            height=6,
        ),
        Panel(
            "Lag in seconds is near 0 here",
            "Age of the first record that the group has not consumed; 0 when it is caught up.",
            [Query(greatest(_of("atlas_consumer_lag_seconds"), *_PLACE), _NAME)],
            "s",
            SECONDS,
        ),
        Panel(
            "Lag in records does not grow here",
            "Records not consumed yet, up to the high watermark.",
            [Query(greatest(_of("atlas_consumer_lag_records"), *_PLACE), _NAME)],
            "short",
            ANY,
        ),
        Panel(
            "Lag shrinks or stays",
            "Records that the lag grows by, per second: below 0 the group catches up.",
            [Query(total(f"deriv({_of('atlas_consumer_lag_records')}[5m])", *_PLACE), _NAME)],
            "cps",
            ANY,
        ),
        Panel(
            "Little waits behind a transaction",
            "Records of the lag that the group can't read yet, because an open transaction is before them.",
            [Query(greatest(_of("atlas_consumer_lag_blocked_records"), *_PLACE), _NAME)],
            "short",
            ANY,
            runbook=runbooks.BLOCKED,
            width=6,
        ),
        Panel(
            "Retention is far away here",
            "Until retention may delete the first record that is not consumed. What is caught up has none.",
            [Query(least(_of("atlas_consumer_retention_margin_seconds"), *_PLACE), _NAME)],
            "s",
            MARGIN,
            log=True,
            width=6,
        ),
        Panel(
            "No record is lost here",
            "Records that retention deleted before the group read them.",
            [Query(greatest(_of("atlas_consumer_records_lost"), *_PLACE), _NAME)],
            "short",
            NONE_IS_GOOD,
            runbook=runbooks.REBUILD,
            width=6,
        ),
        Panel(
            "The offset is one of this topic",
            "1: the committed offset is past the end, or of a topic of that name that was deleted.",
            [
                Query(greatest(_of("atlas_consumer_beyond_end"), *_PLACE), f"{_NAME} past the end"),
                Query(greatest(_of("atlas_consumer_old_topic"), *_PLACE), f"{_NAME} of an old topic"),
            ],
            "short",
            NONE_IS_GOOD,
            runbook=runbooks.TOPIC_DELETED,
            width=6,
        ),
    ),
)

_ALL = Row(
    "For every reader of it",
    runbooks.BLOCKED,
    trails.OF_TOPIC,
    (
        Panel(
            "No transaction holds it back",
            "Age of the open transaction that readers of committed records wait for.",
            [
                Query(
                    or_none(
                        greatest(series("atlas_partition_blocked_seconds", *_HERE), "topic", "partition"),
                        "health-aggregator",
                        "topic",
                        "partition",
                    ),
                    "{{topic}}/{{partition}}",
                )
            ],
            "s",
            Levels(warn=10, alarm=30),
        ),
        Panel(
            "Nothing waits behind a transaction",
            "Offsets that an open transaction holds back.",
            [
                Query(
                    or_none(
                        greatest(series("atlas_partition_blocked_records", *_HERE), "topic", "partition"),
                        "health-aggregator",
                        "topic",
                        "partition",
                    ),
                    "{{topic}}/{{partition}}",
                )
            ],
            "short",
            NONE_IS_GOOD,
        ),
        Panel(
            "The archive moves on",
            "First offset that is not archived yet.",
            [
                Query(
                    greatest(series("atlas_archiver_next_offset", *_HERE), "topic", "partition"),
                    "{{topic}}/{{partition}}",
                )
            ],
            "short",
            ANY,
            runbook=runbooks.NOT_ARCHIVED,
        ),
    ),
)

LAG_PARTITION = Board(
    uid="atlas-lag-partition",
    title="Consumer lag: partition",
    description="One partition as one group sees it, and what holds for every reader of it.",
    choices=(Choice.CLUSTER, Choice.GROUP, Choice.TOPIC, Choice.PARTITION),
    rows=(_GROUP, _ALL),
    one_of=(Choice.GROUP, Choice.TOPIC, Choice.PARTITION),
)
