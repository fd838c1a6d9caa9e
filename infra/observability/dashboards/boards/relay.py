"""The relay and the outbox: rows that commands write, on their way onto topics."""

from infra.observability.dashboards import runbooks, trails
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
    of_job,
    or_none,
    quantile,
    rate,
    ratio,
    series,
    total,
)

_SENT, _BATCHES = rate(series("atlas_relay_rows_sent_total")), rate(series("atlas_relay_batches_total"))

_OUTBOX = Row(
    "The outbox",
    runbooks.OUTBOX,
    trails.of_services("relay"),
    (
        Number(
            "The oldest row is younger than 10 s",
            "Age of the oldest row that is not sent: milliseconds, when all is well.",
            [Query(greatest(series("atlas_outbox_oldest_row_seconds")), "oldest")],
            "s",
            Levels(warn=1, alarm=10),
        ),
        Number(
            "Few rows wait now",
            "Committed rows that are not sent; an estimate above 1,000 a group of shards.",
            [Query(greatest(series("atlas_outbox_backlog_rows")), "rows")],
            "short",
            Levels(warn=10_000, alarm=100_000),
        ),
        Number(
            "No row is parked now",
            "A row that could not be sent; later rows of its key wait behind it.",
            [Query(greatest(series("atlas_outbox_parked_rows")), "rows")],
            "short",
            NONE_IS_GOOD,
        ),
        Number(
            "The table is small",
            "On disk, with indexes. It must not stay large after a burst: every claim reads past dead rows.",
            [Query(greatest(series("atlas_outbox_table_bytes")), "table")],
            "bytes",
            Levels(warn=2.5e8, alarm=1e9),
        ),
        Panel(
            "Rows leave at once",
            "Age of the oldest row that is not sent.",
            [Query(greatest(series("atlas_outbox_oldest_row_seconds")), "oldest")],
            "s",
            Levels(warn=1, alarm=10),
        ),
        Panel(
            "The backlog drains",
            "Committed rows that are not sent, and rows that are parked.",
            [
                Query(greatest(series("atlas_outbox_backlog_rows")), "waiting"),
                Query(greatest(series("atlas_outbox_parked_rows")), "parked"),
            ],
            "short",
            Levels(warn=10_000),
        ),
        Panel(
            "The table does not grow",
            "On disk, with indexes.",
            [Query(greatest(series("atlas_outbox_table_bytes")), "table")],
            "bytes",
            Levels(warn=1e9),
        ),
    ),
)

_RELAY = Row(
    "The relay",
    runbooks.OUTBOX,
    trails.of_services("relay"),
    (
        Panel(
            "Rows are sent, none is parked",
            "Rows that are on their topic and deleted, and rows that were set aside, per second.",
            [
                Query(total(_SENT), "sent"),
                Query(total(rate(series("atlas_relay_rows_parked_total"))), "parked"),
            ],
            "cps",
            ANY,
        ),
        Panel(
            "Batches grow under load",
            "Rows in a batch that is claimed, sent and finished at once. One row: there is little to do.",
            [Query(ratio(total(_SENT), total(_BATCHES)), "rows a batch")],
            "short",
            ANY,
        ),
        Panel(
            "A batch is sent within 100 ms",
            "From sending a batch to its acknowledgement.",
            [
                Query(quantile(share, series("atlas_relay_send_seconds_bucket")), f"p{share * 100:g}")
                for share in (0.5, 0.99)
            ],
            "s",
            Levels(warn=0.1, alarm=1),
        ),
        Panel(
            "Sends stay in the low buckets",
            "How long sends took: a cell counts the batches of that time.",
            [Query(total(rate(series("atlas_relay_send_seconds_bucket")), "le"), "{{le}}")],
            "s",
            ANY,
            kind=Kind.BUCKETS,
            width=12,
            height=9,
        ),
        Panel(
            "All groups of shards are held, evenly",
            "Groups of shards by instance: together all of them, each by one.",
            [Query(greatest(series("atlas_relay_groups"), "instance"), "{{instance}}")],
            "short",
            ANY,
            width=6,
            height=9,
        ),
        Panel(
            "Leases stay where they are",
            "Epoch of each group's lease: it grows by one each time that another instance takes the group over.",
            [Query(greatest(series("atlas_relay_lease_epoch"), "group"), "group {{group}}")],
            "short",
            ANY,
            width=6,
            height=9,
        ),
        Panel(
            "No batch is found sent and not deleted",
            "Batches of an owner that died between sending and deleting. They are not sent again.",
            [Query(total(grown(series("atlas_relay_batches_recovered_total"))), "recovered")],
            "short",
            Levels(warn=1),
        ),
        Panel(
            "Brokers take every record",
            "Records that were refused for what they are, and ids of producers that were renewed after a broker lost a "
            "sequence.",
            [
                Query(
                    or_none(
                        total(grown(series("atlas_kafka_records_refused_total", OF_TOPIC)), "topic"), "relay", "topic"
                    ),
                    "refused {{topic}}",
                ),
                Query(
                    total(grown(series("atlas_kafka_producers_renewed_total", of_job("relay")))), "producers renewed"
                ),
            ],
            "short",
            Levels(warn=1),
        ),
        Panel(
            "Connections are left",
            "Of the relay's pool: all in use means that loops wait for each other.",
            [
                Query(total(series("atlas_db_pool_in_use", of_job("relay")), "pool"), "{{pool}} in use"),
                Query(total(series("atlas_db_pool_size", of_job("relay")), "pool"), "{{pool}} open"),
            ],
            "short",
            ANY,
        ),
        Panel(
            "Queries take milliseconds",
            "99 of 100 of each statement of the relay.",
            [
                Query(
                    quantile(0.99, series("atlas_db_query_seconds_bucket", of_job("relay")), "job", "query"),
                    "{{query}}",
                )
            ],
            "s",
            Levels(warn=0.1, alarm=1),
            trail=trails.OF_QUERY,
            width=12,
        ),
        Panel(
            "Every topic gets its records",
            "Acknowledged by the brokers, from the relay.",
            [
                Query(
                    total(rate(series("atlas_kafka_records_out_total", of_job("relay"), OF_TOPIC)), "topic"),
                    "{{topic}}",
                )
            ],
            "cps",
            ANY,
            trail=trails.OF_TOPIC,
            width=12,
        ),
    ),
)

RELAY = Board(
    uid="atlas-relay",
    title="Relay and outbox",
    description="Rows that commands write, on their way onto topics.",
    choices=(Choice.CLUSTER, Choice.TOPIC),
    rows=(_OUTBOX, _RELAY),
)
