"""What a process does with its time: its event loop, its garbage, and the loops that do the work."""

from infra.observability.dashboards import runbooks, states, trails
from infra.observability.dashboards.panels import ANY, Column, Kind, Levels, Panel, Query, Row
from infra.observability.dashboards.promql import OF_SERVICE, greatest, quantile, rate, series, total


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
        Panel(
            "Every loop gets on",
            "Each loop of the process. Stuck: it has done the same for 10 s and more.",
            [Query(greatest(_of("atlas_loop_stuck"), "job", "loop"), "{{job}} {{loop}}")],
            "short",
            ANY,
            kind=Kind.TIMELINE,
            states=states.STUCK,
            width=12,
            height=10,
            runbook=runbooks.LOOP,
        ),
        Panel(
            "Something comes of every loop",
            "How long ago something last came of a loop. One that has nothing to do may rest.",
            [Query(greatest(_of("atlas_loop_progress_age_seconds"), "job", "loop"), "{{job}} {{loop}}")],
            "s",
            ANY,
            width=12,
            height=10,
            runbook=runbooks.LOOP,
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
