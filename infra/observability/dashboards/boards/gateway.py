"""The gateway by rate, errors and duration."""

from infra.observability.dashboards import runbooks, trails
from infra.observability.dashboards.boards.mesh import BUDGETS
from infra.observability.dashboards.panels import ANY, Board, Choice, Kind, Levels, Number, Panel, Query, Row
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

_OURS = of_job("gateway")
_ALL = rate(series("atlas_http_requests_total", _OURS))
_FAILED = rate(series("atlas_http_requests_total", _OURS, 'status=~"5.."'))
_SECONDS = series("atlas_http_request_seconds_bucket", _OURS)
_BY_CLASS = f'label_replace({_ALL}, "class", "${{1}}xx", "status", "(.).*")'

_RED = Row(
    "Rate, errors, duration",
    runbooks.BUDGET,
    trails.of_services("gateway"),
    (
        Number(
            "Requests come",
            "Answered per second, over all routes.",
            [Query(total(_ALL), "requests")],
            "reqps",
            ANY,
        ),
        Number(
            "Fewer than 1 % fail",
            "Share of answers that are 5xx. 5 % over two minutes is an alert.",
            [Query(ratio(or_none(total(_FAILED), "gateway"), total(_ALL)), "failed")],
            "percentunit",
            Levels(warn=0.01, alarm=0.05),
        ),
        Number(
            "99 of 100 are answered within 250 ms",
            "Over all routes. Queries that wait for their own write are among them.",
            [Query(quantile(0.99, _SECONDS), "p99")],
            "s",
            Levels(warn=0.25, alarm=1),
        ),
        Number(
            "Few requests wait",
            "Requests being answered at this moment.",
            [Query(total(series("atlas_gateway_requests_in_flight")), "in flight")],
            "short",
            Levels(warn=100, alarm=500),
        ),
        Panel(
            "Requests are answered with 2xx",
            "By status class. 4xx are the callers' faults, 5xx are ours.",
            [Query(total(_BY_CLASS, "class"), "{{class}}")],
            "reqps",
            ANY,
        ),
        Panel(
            "Errors stay under 1 %",
            "Share of answers that are 5xx, by route.",
            [
                Query(
                    ratio(
                        f"{total(_FAILED, 'route')} or 0 * {total(_ALL, 'route')}",
                        total(_ALL, "route"),
                    ),
                    "{{route}}",
                )
            ],
            "percentunit",
            Levels(warn=0.01, alarm=0.05),
            trail=trails.OF_ROUTE,
        ),
        Panel(
            "Answers take milliseconds",
            "Over all routes. Points on the lines are requests whose trace is kept.",
            [Query(quantile(share, _SECONDS), f"p{share * 100:g}") for share in (0.5, 0.95, 0.99)],
            "s",
            Levels(warn=0.25, alarm=1),
        ),
        Panel(
            "Answers stay in the low buckets",
            "How long answers took: a cell counts the requests of that time.",
            [Query(total(rate(_SECONDS), "le"), "{{le}}")],
            "s",
            ANY,
            kind=Kind.BUCKETS,
            width=12,
            height=9,
        ),
        Panel(
            "Every route answers within 250 ms",
            "99 of 100 requests of each route.",
            [Query(quantile(0.99, _SECONDS, "method", "route"), "{{method}} {{route}}")],
            "s",
            Levels(warn=0.25, alarm=1),
            width=12,
            height=9,
            trail=trails.OF_ROUTE,
        ),
        Panel(
            "Load is spread as expected",
            "Requests by route, per second.",
            [Query(total(_ALL, "method", "route"), "{{method}} {{route}}")],
            "reqps",
            ANY,
            trail=trails.OF_ROUTE,
        ),
        BUDGETS,
        Panel(
            "Few requests wait over time",
            "Requests being answered, by instance.",
            [Query(total(series("atlas_gateway_requests_in_flight"), "instance"), "{{instance}}")],
            "short",
            Levels(warn=100, alarm=500),
        ),
    ),
)

_BEHIND = Row(
    "Behind it",
    runbooks.SERVER,
    trails.of_services("gateway"),
    (
        Panel(
            "Every posted record gets to Kafka",
            "Posted records that did not, by topic and reason.",
            [
                Query(
                    or_none(
                        total(grown(series("atlas_gateway_records_refused_total", OF_TOPIC)), "topic", "reason"),
                        "gateway",
                        "topic",
                        "reason",
                    ),
                    "{{topic}} {{reason}}",
                )
            ],
            "short",
            Levels(warn=1),
            trail=trails.OF_TOPIC,
        ),
        Panel(
            "Posted records are acknowledged",
            "By the brokers, per second.",
            [Query(total(rate(series("atlas_kafka_records_out_total", _OURS, OF_TOPIC)), "topic"), "{{topic}}")],
            "cps",
            ANY,
            trail=trails.OF_TOPIC,
        ),
        Panel(
            "Statements take milliseconds",
            "99 of 100 of each statement of the gateway.",
            [
                Query(
                    quantile(0.99, series("atlas_db_query_seconds_bucket", _OURS), "job", "query"),
                    "{{query}}",
                )
            ],
            "s",
            Levels(warn=0.1, alarm=1),
            trail=trails.OF_QUERY,
        ),
        Panel(
            "Connections of the gateway are left",
            "Of each pool: all in use means that requests wait for each other.",
            [
                Query(total(series("atlas_db_pool_in_use", _OURS), "pool"), "{{pool}} in use"),
                Query(total(series("atlas_db_pool_max", _OURS), "pool"), "{{pool}} at most"),
                Query(total(series("atlas_db_pool_waiting", _OURS), "pool"), "{{pool}} waited for"),
            ],
            "short",
            ANY,
        ),
        Panel(
            "Queries hit the cache",
            "Uses of the read-model cache by outcome, per second.",
            [Query(total(rate(series("atlas_readmodel_cache_total", _OURS)), "outcome"), "{{outcome}}")],
            "cps",
            ANY,
            runbook=runbooks.READ_MODEL,
        ),
        Panel(
            "What the gateway leans on answers",
            "1 while the dependency answers the gateway's probe.",
            [Query(greatest(series("atlas_dependency_up", _OURS), "job", "dependency"), "{{dependency}}")],
            "short",
            Levels(alarm=1, below=True),
            trail=trails.OF_JOB,
        ),
    ),
)

GATEWAY = Board(
    uid="atlas-gateway",
    title="Gateway",
    description="The gateway by rate, errors and duration, and what is behind it.",
    choices=(Choice.CLUSTER, Choice.TOPIC),
    rows=(_RED, _BEHIND),
)
