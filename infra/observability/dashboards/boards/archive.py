"""The archive: topics into object storage."""

from infra.observability.dashboards import runbooks, states, trails
from infra.observability.dashboards.panels import (
    ANY,
    NONE_IS_GOOD,
    Board,
    Choice,
    Kind,
    Levels,
    Number,
    Panel,
    Query,
    Row,
)
from infra.observability.dashboards.promql import (
    OF_TOPIC,
    greatest,
    grown,
    least,
    of_job,
    or_none,
    quantile,
    rate,
    ratio,
    series,
    total,
)


def _of(metric: str) -> str:
    return series(metric, OF_TOPIC)


_GROUP = 'group=~"archiver.*"'
_SEGMENTS = total(rate(_of("atlas_archiver_segments_total")))

_WHOLE = Row(
    "It is whole",
    runbooks.ARCHIVE_HOLE,
    trails.of_services("archiver"),
    (
        Number(
            "No offset is missing",
            "Offsets that were gone before they were archived.",
            [Query(or_none(total(_of("atlas_archiver_gone_offsets")), "archiver"), "offsets")],
            "short",
            NONE_IS_GOOD,
        ),
        Number(
            "No topic took its records with it",
            "Offsets that were on a topic when it was deleted and are not archived.",
            [Query(or_none(total(_of("atlas_archiver_lost_with_topic_offsets_total")), "archiver"), "offsets")],
            "short",
            NONE_IS_GOOD,
            runbook=runbooks.TOPIC_DELETED,
        ),
        Number(
            "Records are archived within minutes",
            "How long the oldest record has been held that is not archived yet.",
            [Query(greatest(series("atlas_archiver_oldest_unflushed_seconds")), "oldest")],
            "s",
            Levels(warn=300, alarm=900),
        ),
        Number(
            "Every partition is archived",
            "Partitions that are not read for a fault of their own.",
            [
                Query(
                    or_none(
                        f"count({series('atlas_kafka_paused_partitions', of_job('archiver'), OF_TOPIC)} > 0)",
                        "archiver",
                    ),
                    "paused",
                )
            ],
            "short",
            NONE_IS_GOOD,
            runbook=runbooks.NOT_ARCHIVED,
        ),
    ),
)

_FLOW = Row(
    "It keeps up",
    runbooks.ARCHIVE_BEHIND,
    trails.OF_TOPIC,
    (
        Panel(
            "The archive is near the end of each topic",
            "Age of the first record that is not archived. It may hold records for its segment's age.",
            [
                Query(
                    greatest(series("atlas_consumer_lag_seconds", _GROUP, OF_TOPIC), "group", "topic"),
                    "{{group}} {{topic}}",
                )
            ],
            "s",
            Levels(warn=300, alarm=900),
        ),
        Panel(
            "A record is in the archive within minutes",
            "From the timestamp of a segment's oldest record until its manifest stood, 99 of 100.",
            [Query(quantile(0.99, _of("atlas_archiver_record_age_seconds_bucket"), "topic"), "{{topic}}")],
            "s",
            Levels(warn=300, alarm=900),
        ),
        Panel(
            "Records are archived as they come",
            "By topic, per second. In steps: a segment is written when it is large or old enough.",
            [Query(total(rate(_of("atlas_archiver_records_total")), "topic"), "{{topic}}")],
            "cps",
            ANY,
        ),
        Panel(
            "Bytes are archived as they come",
            "Of data objects, as stored, per second.",
            [Query(total(rate(_of("atlas_archiver_bytes_total")), "topic"), "{{topic}}")],
            "Bps",
            ANY,
        ),
        Panel(
            "Segments are large",
            "Records of a segment: many small ones cost requests, and time when they are read.",
            [Query(ratio(total(rate(_of("atlas_archiver_records_total"))), _SEGMENTS), "records a segment")],
            "short",
            ANY,
            trail=trails.of_services("archiver"),
        ),
        Panel(
            "Segments are large in bytes",
            "Bytes of a segment's data object.",
            [Query(ratio(total(rate(_of("atlas_archiver_bytes_total"))), _SEGMENTS), "bytes a segment")],
            "bytes",
            ANY,
            trail=trails.of_services("archiver"),
        ),
        Panel(
            "What is held fits into memory",
            "Bytes held of records that are not archived yet.",
            [Query(greatest(series("atlas_archiver_held_bytes"), "instance"), "{{instance}}")],
            "bytes",
            Levels(warn=2.5e8, alarm=1e9),
            trail=trails.of_services("archiver"),
        ),
        Panel(
            "The archive moves on in each partition",
            "First offset that is not archived yet.",
            [Query(greatest(_of("atlas_archiver_next_offset"), "topic", "partition"), "{{topic}}/{{partition}}")],
            "short",
            ANY,
        ),
        Panel(
            "Retention is far from what is not archived",
            "Until retention may delete the first record that is not archived. What is archived to its end has none.",
            [
                Query(
                    least(series("atlas_consumer_retention_margin_seconds", _GROUP, OF_TOPIC), "group", "topic"),
                    "{{group}} {{topic}}",
                )
            ],
            "s",
            Levels(warn=1800, alarm=900, below=True),
            log=True,
        ),
        Panel(
            "Every partition is read",
            "Paused: it is not read, or only read again on trial, for a fault of its own.",
            [
                Query(
                    or_none(
                        greatest(
                            series("atlas_kafka_paused_partitions", of_job("archiver"), OF_TOPIC), "topic", "partition"
                        ),
                        "archiver",
                        "topic",
                        "partition",
                    ),
                    "{{topic}}/{{partition}}",
                )
            ],
            "short",
            NONE_IS_GOOD,
            kind=Kind.TIMELINE,
            states=states.PAUSED,
            runbook=runbooks.NOT_ARCHIVED,
        ),
    ),
)

_STORE = Row(
    "The object store",
    runbooks.SERVER,
    trails.of_services("archiver"),
    (
        Panel(
            "A segment is stored within a second",
            "From closing a segment to its manifest.",
            [
                Query(quantile(share, series("atlas_archiver_store_seconds_bucket")), f"p{share * 100:g}")
                for share in (0.5, 0.99)
            ],
            "s",
            Levels(warn=1, alarm=5),
        ),
        Panel(
            "Stores stay in the low buckets",
            "How long stores took: a cell counts the segments of that time.",
            [Query(total(rate(series("atlas_archiver_store_seconds_bucket")), "le"), "{{le}}")],
            "s",
            ANY,
            kind=Kind.BUCKETS,
        ),
        Panel(
            "No segment is written twice",
            "Segments that another writer had archived first: it wins, and nothing is there twice.",
            [
                Query(
                    or_none(
                        total(grown(_of("atlas_archiver_conflicts_lost_total")), "topic"),
                        "archiver",
                        "topic",
                    ),
                    "{{topic}}",
                )
            ],
            "short",
            Levels(warn=1),
            trail=trails.OF_TOPIC,
        ),
    ),
)

ARCHIVE = Board(
    uid="atlas-archive",
    title="Archive",
    description="Topics into object storage: whether all of it is there, and whether it keeps up.",
    choices=(Choice.CLUSTER, Choice.TOPIC),
    rows=(_WHOLE, _FLOW, _STORE),
)
