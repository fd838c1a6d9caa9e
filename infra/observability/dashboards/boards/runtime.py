"""A service as a process: what it uses, what it leans on."""

from infra.observability.dashboards import runbooks, states, trails
from infra.observability.dashboards.boards.loops import LOOP, VERSIONS
from infra.observability.dashboards.panels import ANY, NONE_IS_GOOD, Board, Choice, Kind, Levels, Panel, Query, Row
from infra.observability.dashboards.promql import (
    OF_SERVICE,
    greatest,
    grown,
    increase,
    least,
    or_none,
    quantile,
    rate,
    ratio,
    series,
    total,
)

_BY = ("job", "instance")
_NAME = "{{job}} {{instance}}"


def _of(metric: str) -> str:
    return series(metric, OF_SERVICE)


_PROCESS = Row(
    "The process",
    runbooks.SERVICE,
    trails.OF_JOB,
    (
        Panel(
            "Prometheus reads every service",
            "1 while /metrics answers.",
            [Query(least(_of("up"), *_BY), _NAME)],
            "short",
            ANY,
            kind=Kind.TIMELINE,
            states=states.UP,
            width=12,
        ),
        Panel(
            "Processes stay up",
            "Since the process began. A saw's teeth are a crash loop.",
            [Query(f"time() - {greatest(_of('process_start_time_seconds'), *_BY)}", _NAME)],
            "s",
            Levels(warn=60, below=True),
            width=12,
        ),
        Panel(
            "A core is enough",
            "Cores used. A service has one loop: above 0.8 it is about to be the bottleneck.",
            [Query(total(rate(_of("process_cpu_seconds_total")), *_BY), _NAME)],
            "none",
            Levels(warn=0.8, alarm=1),
        ),
        Panel(
            "Memory does not grow",
            "Resident.",
            [Query(greatest(_of("process_resident_memory_bytes"), *_BY), _NAME)],
            "bytes",
            Levels(warn=5e8, alarm=1e9),
        ),
        Panel(
            "File descriptors are left",
            "Share of those that the process may open.",
            [Query(ratio(greatest(_of("process_open_fds"), *_BY), greatest(_of("process_max_fds"), *_BY)), _NAME)],
            "percentunit",
            Levels(warn=0.5, alarm=0.8),
        ),
        VERSIONS,
        Panel(
            "Requests are answered by every service",
            "HTTP requests of each service, probes and scrapes left out, per second.",
            [Query(total(rate(_of("atlas_http_requests_total")), "job"), "{{job}}")],
            "reqps",
            ANY,
        ),
        Panel(
            "Heartbeats are taken",
            "Instances that the health-aggregator hears.",
            [Query(greatest(series("atlas_service_instances"), "service"), "{{service}}")],
            "short",
            Levels(alarm=1, below=True),
            trail=trails.OF_SERVICE,
        ),
    ),
)

_LEANS = Row(
    "What it leans on",
    runbooks.SERVER,
    trails.OF_JOB,
    (
        Panel(
            "Every dependency of it answers",
            "As the service's own probe finds it.",
            [Query(least(_of("atlas_dependency_up"), "job", "dependency"), "{{job}} {{dependency}}")],
            "short",
            ANY,
            kind=Kind.TIMELINE,
            states=states.UP,
            width=12,
            height=10,
        ),
        Panel(
            "Its dependencies answer within 100 ms",
            "Time of nine of ten probes, by dependency.",
            [
                Query(
                    quantile(0.9, _of("atlas_dependency_seconds_bucket"), "job", "dependency"), "{{job}} {{dependency}}"
                )
            ],
            "s",
            Levels(warn=0.1, alarm=1),
            width=12,
            height=10,
        ),
        Panel(
            "Every breaker of it is closed",
            "An open breaker skips calls to what does not answer.",
            [Query(greatest(_of("atlas_breaker_state"), "job", "name"), "{{job}} {{name}}")],
            "short",
            ANY,
            kind=Kind.TIMELINE,
            states=states.BREAKER,
        ),
        Panel(
            "It tries nothing twice",
            "Attempts that failed for a passing reason and were made again.",
            [
                Query(
                    or_none(total(grown(_of("atlas_retries_total")), "job", "what"), "gateway", "job", "what"),
                    "{{job}} {{what}}",
                )
            ],
            "short",
            Levels(warn=1),
        ),
        Panel(
            "Its statements take milliseconds",
            "99 of 100 of each statement.",
            [
                Query(
                    quantile(0.99, _of("atlas_db_query_seconds_bucket"), "job", "query"),
                    "{{job}} {{query}}",
                )
            ],
            "s",
            Levels(warn=0.1, alarm=1),
            trail=trails.OF_QUERY,
        ),
        Panel(
            "Its connections are left",
            "Connections in use, by pool.",
            [Query(total(_of("atlas_db_pool_in_use"), "job", "pool"), "{{job}} {{pool}}")],
            "short",
            ANY,
        ),
        Panel(
            "It takes records from its topics",
            "Made durable, by group, per second.",
            [Query(total(rate(_of("atlas_kafka_records_in_total")), "job", "group"), "{{job}} {{group}}")],
            "cps",
            ANY,
        ),
        Panel(
            "It is seldom rebalanced",
            "Times that an assignment changed, by group.",
            [
                Query(
                    or_none(
                        total(increase(_of("atlas_kafka_rebalances_total")), "job", "group"),
                        "projector",
                        "job",
                        "group",
                    ),
                    "{{job}} {{group}}",
                )
            ],
            "short",
            Levels(warn=2),
        ),
        Panel(
            "No heartbeat is set aside",
            "Heartbeats that the health-aggregator did not take, by reason.",
            [
                Query(
                    or_none(
                        total(grown(series("atlas_health_heartbeats_set_aside_total")), "reason"),
                        "health-aggregator",
                        "reason",
                    ),
                    "{{reason}}",
                )
            ],
            "short",
            Levels(warn=1),
            trail=trails.of_services("health-aggregator"),
        ),
        Panel(
            "No batch is stepped over",
            "Damaged batches that were stepped over unread, and batches too large to be taken apart.",
            [
                Query(
                    or_none(
                        total(grown(_of("atlas_kafka_batches_skipped_total")), "job", "topic"),
                        "projector",
                        "job",
                        "topic",
                    ),
                    "{{job}} {{topic}} skipped",
                ),
                Query(
                    or_none(
                        total(grown(_of("atlas_kafka_batches_too_large_total")), "job", "topic"),
                        "projector",
                        "job",
                        "topic",
                    ),
                    "{{job}} {{topic}} too large",
                ),
            ],
            "short",
            Levels(warn=1),
            runbook=runbooks.DEAD_LETTER,
        ),
        Panel(
            "Topics stay as they are",
            "Times that a topic was deleted or made anew while it was read.",
            [
                Query(
                    or_none(
                        total(_of("atlas_kafka_topics_changed_total"), "job", "topic"), "projector", "job", "topic"
                    ),
                    "{{job}} {{topic}}",
                )
            ],
            "short",
            NONE_IS_GOOD,
            runbook=runbooks.TOPIC_DELETED,
        ),
    ),
)

RUNTIME = Board(
    uid="atlas-runtime",
    title="Service and runtime",
    description="A service as a process: what it uses, and what it leans on.",
    choices=(Choice.CLUSTER, Choice.SERVICE),
    rows=(_PROCESS, LOOP, _LEANS),
)
