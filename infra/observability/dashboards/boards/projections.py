"""Projections: events into read models, their generations and rebuilds."""

from infra.observability.dashboards import runbooks, trails
from infra.observability.dashboards.panels import ANY, NONE_IS_GOOD, Board, Choice, Kind, Levels, Panel, Query, Row
from infra.observability.dashboards.promql import (
    OF_TOPIC,
    greatest,
    grown,
    or_none,
    quantile,
    rate,
    ratio,
    series,
    total,
)

_GROUP = 'group=~"projector.+"'
_LAG = series("atlas_consumer_lag_seconds", _GROUP, OF_TOPIC)
_APPLIED = rate(series("atlas_projector_events_total", 'outcome="applied"'))

_EVENTS = Row(
    "Events into read models",
    runbooks.CONSUMER,
    trails.OF_PROJECTION,
    (
        Panel(
            "Read models are current",
            "Age of the first record that a projection has not applied; 0 when it has applied all.",
            [Query(greatest(_LAG, "group", "topic"), "{{group}} {{topic}}")],
            "s",
            Levels(warn=30, alarm=60),
            trail=trails.OF_GROUP,
        ),
        Panel(
            "Events are applied",
            "What became of events, per second: repeated and passed over are harmless, rejected ones went to the "
            "dead-letter topic, early ones wait for one before them.",
            [
                Query(
                    total(rate(series("atlas_projector_events_total")), "projection", "outcome"),
                    "{{projection}} {{outcome}}",
                )
            ],
            "cps",
            ANY,
        ),
        Panel(
            "Folding saves writes",
            "Rows written for each event applied: 1 without folding, less when events of one entity come together.",
            [
                Query(
                    ratio(
                        total(rate(series("atlas_projector_rows_written_total")), "projection"),
                        total(_APPLIED, "projection"),
                    ),
                    "{{projection}}",
                )
            ],
            "none",
            ANY,
        ),
        Panel(
            "A transaction takes less than 100 ms",
            "One transaction of rows and positions.",
            [
                Query(
                    quantile(share, series("atlas_projector_write_seconds_bucket"), "projection"),
                    f"{{{{projection}}}} p{share * 100:g}",
                )
                for share in (0.5, 0.99)
            ],
            "s",
            Levels(warn=0.1, alarm=1),
        ),
        Panel(
            "Writes stay in the low buckets",
            "How long transactions took: a cell counts those of that time.",
            [Query(total(rate(series("atlas_projector_write_seconds_bucket")), "le"), "{{le}}")],
            "s",
            ANY,
            kind=Kind.BUCKETS,
            trail=trails.of_services("projector"),
        ),
        Panel(
            "An event is in its read model within a second",
            "From the timestamp of the oldest event of a transaction until readers could see its rows, 99 of 100.",
            [Query(quantile(0.99, series("atlas_projector_event_age_seconds_bucket"), "projection"), "{{projection}}")],
            "s",
            Levels(warn=1, alarm=60),
        ),
        Panel(
            "Rows are written",
            "After folding, per second.",
            [Query(total(rate(series("atlas_projector_rows_written_total")), "projection"), "{{projection}}")],
            "cps",
            ANY,
        ),
    ),
)

_WRONG = Row(
    "What must not be",
    runbooks.DEAD_LETTER,
    trails.OF_PROJECTION,
    (
        Panel(
            "No record is rejected",
            "Records sent to a dead-letter topic.",
            [
                Query(
                    or_none(
                        total(grown(series("atlas_kafka_dead_letters_total", OF_TOPIC)), "group", "topic"),
                        "projector",
                        "group",
                        "topic",
                    ),
                    "{{group}} {{topic}}",
                )
            ],
            "short",
            NONE_IS_GOOD,
            trail=trails.OF_GROUP,
        ),
        Panel(
            "No record waits behind another",
            "Records that wait for one of their entity that is rejected or has not come.",
            [Query(greatest(series("atlas_projector_parked"), "projection"), "{{projection}}")],
            "short",
            NONE_IS_GOOD,
        ),
        Panel(
            "No version is missing",
            "Versions of entities that never came before a later one.",
            [Query(total(series("atlas_projector_missing_versions_total"), "projection"), "{{projection}}")],
            "short",
            NONE_IS_GOOD,
            runbook=runbooks.READ_MODEL,
        ),
        Panel(
            "No process dies at a record",
            "Processes that died one after the other at the position where this one began.",
            [Query(greatest(series("atlas_projector_deaths"), "projection"), "{{projection}}")],
            "short",
            Levels(warn=1, alarm=3),
        ),
        Panel(
            "No writer is fenced off",
            "Times that another writer had moved on, or that a swap was noticed. One for each swap is as it should be.",
            [
                Query(
                    or_none(
                        total(grown(series("atlas_projector_fenced_total")), "projection"),
                        "projector",
                        "projection",
                    ),
                    "{{projection}}",
                )
            ],
            "short",
            Levels(warn=2),
            runbook=runbooks.REBUILD,
        ),
        Panel(
            "No partition is paused",
            "Partitions that are not read for a fault of their own.",
            [
                Query(
                    or_none(
                        greatest(series("atlas_kafka_paused_partitions", _GROUP, OF_TOPIC), "group", "topic"),
                        "projector",
                        "group",
                        "topic",
                    ),
                    "{{group}} {{topic}}",
                )
            ],
            "short",
            NONE_IS_GOOD,
            runbook=runbooks.NOT_ARCHIVED,
            trail=trails.OF_GROUP,
        ),
    ),
)

_REBUILDS = Row(
    "Generations and rebuilds",
    runbooks.REBUILD,
    trails.OF_PROJECTION,
    (
        Panel(
            "All processes write one generation",
            "The live generation that each process writes: two lines of one projection meet within a second of a swap.",
            [
                Query(
                    greatest(series("atlas_projector_generation"), "projection", "instance"),
                    "{{projection}} {{instance}}",
                )
            ],
            "none",
            ANY,
        ),
        Panel(
            "A rebuild gets on",
            "Events that the running rebuild has handled. It stays at its last value when the rebuild is done.",
            [Query(greatest(series("atlas_projector_rebuild_events"), "projection"), "{{projection}}")],
            "short",
            ANY,
        ),
        Panel(
            "A rebuild comes to its end",
            "Records that are still before the running rebuild.",
            [Query(greatest(series("atlas_projector_rebuild_remaining"), "projection"), "{{projection}}")],
            "short",
            ANY,
        ),
    ),
)

_CACHE = Row(
    "Reading them",
    runbooks.READ_MODEL,
    trails.OF_PROJECTION,
    (
        Panel(
            "Most reads hit the cache",
            "Share of reads that the cache answered; a change of a row takes it out of the cache.",
            [
                Query(
                    ratio(
                        total(rate(series("atlas_readmodel_cache_total", 'outcome="hit"')), "projection"),
                        total(rate(series("atlas_readmodel_cache_total", 'outcome=~"hit|miss"')), "projection"),
                    ),
                    "{{projection}}",
                )
            ],
            "percentunit",
            Levels(warn=0.2, below=True),
        ),
        Panel(
            "The cache does not fail",
            "Uses by outcome, per second: an error costs a query, and so does what an open breaker skips.",
            [Query(total(rate(series("atlas_readmodel_cache_total")), "outcome"), "{{outcome}}")],
            "cps",
            ANY,
            trail=trails.of_services("gateway"),
        ),
    ),
)

PROJECTIONS = Board(
    uid="atlas-projections",
    title="Projections and rebuilds",
    description="Events into read models, their generations and rebuilds, and the cache before them.",
    choices=(Choice.CLUSTER, Choice.TOPIC),
    rows=(_EVENTS, _WRONG, _REBUILDS, _CACHE),
)
