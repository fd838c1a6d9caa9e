"""What a process does with its time: its event loop, its garbage, and the loops that do the work."""

from infra.observability.dashboards import runbooks, trails
from infra.observability.dashboards.panels import ANY, Column, Kind, Levels, Panel, Query, Row
from infra.observability.dashboards.promql import OF_SERVICE, quantile, rate, series, total


def _of(metric: str) -> str:
    return series(metric, OF_SERVICE)


LOOP = Row(
    "Its event loop",
    runbooks.SERVICE,
    trails.OF_JOB,
    (
        Panel(
            "The event loop is late by milliseconds",
            "How late a timer of the loop was, 99 of 100: for so long nothing else was done.",
            [Query(quantile(0.99, _of("atlas_event_loop_lag_seconds_bucket"), "job"), "{{job}}")],
            "s",
            Levels(warn=0.1, alarm=1),
        ),
        Panel(
            "Loop lag stays in the low buckets",
            "A cell counts the timers that were late by that much, of all chosen services.",
            [Query(total(rate(_of("atlas_event_loop_lag_seconds_bucket")), "le"), "{{le}}")],
            "s",
            ANY,
            kind=Kind.BUCKETS,
            trail=trails.of_services(".+"),
        ),
        Panel(
            "Garbage takes less than 2 % of the time",
            "Share of time that collecting garbage held up the process.",
            [
                Query(
                    total(rate(_of("atlas_gc_seconds_total")), "job", "generation"), "{{job}} generation {{generation}}"
                )
            ],
            "percentunit",
            Levels(warn=0.02, alarm=0.1),
        ),
    ),
)
VERSIONS = Panel(
    "All run one version",
    "Service, version and environment of each process.",
    [Query(total(_of("atlas_build_info"), "job", "service", "version", "environment"), "processes")],
    "short",
    ANY,
    kind=Kind.TABLE,
    table=[Column("service"), Column("version"), Column("environment"), Column("processes")],
)
