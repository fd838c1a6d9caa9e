"""The mesh at a glance: whether all is well, and the way of an event from the request to read model and archive."""

from infra.observability.dashboards import runbooks, states, trails
from infra.observability.dashboards.boards.ledger import LEDGER
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
from infra.observability.dashboards.promql import greatest, grown, least, of_job, or_none, quantile, rate, series, total

BUDGETS = Panel(
    "No error budget burns",
    "How fast the budget of each promise was used up in the last hour: at 1 it lasts. docs/slo.md has the promises.",
    [Query("slo:bad:ratio1h / on (slo) (1 - slo:target:ratio) >= 0", "{{slo}}")],
    "none",
    Levels(warn=1, alarm=14.4),
    runbook=runbooks.BUDGET,
    trail=trails.of_services("gateway"),
)
_FIRING = 'ALERTS{alertstate="firing"}'
_NOTHING_FIRES = f'label_replace(0 * absent({_FIRING}), "alertname", "none", "", "")'
_ALERT = ("alertname", "severity", "service", "group", "topic", "dependency", "slo")
_SET_ASIDE = total(grown(series("atlas_kafka_dead_letters_total"), "1h"))

_WELL = Row(
    "Is all well?",
    runbooks.SERVICE,
    trails.OF_SERVICE,
    (
        Panel(
            "Every service is up",
            "As the health-aggregator judges their heartbeats. Grey: it has not been heard yet.",
            [Query(states.service(), "{{service}}")],
            "short",
            ANY,
            kind=Kind.TIMELINE,
            states=states.SERVICE,
            width=12,
        ),
        Number(
            "No alert fires",
            "How many rules of infra/observability/alerts.yml fire now.",
            [Query(f"count({_FIRING}) or vector(0)", "alerts")],
            "short",
            NONE_IS_GOOD,
            width=4,
            trail=trails.of_services(".+"),
            height=8,
        ),
        Number(
            "All lag is under a minute",
            "Age of the oldest record that any group has not consumed. 60 s for a minute is an alert.",
            [Query(greatest(series("atlas_consumer_lag_seconds")), "oldest")],
            "s",
            Levels(warn=30, alarm=60),
            width=4,
            trail=trails.of_services("projector", "archiver"),
            height=8,
        ),
        Number(
            "No record is set aside",
            "Records that went to a dead-letter topic in the last hour.",
            [Query(or_none(_SET_ASIDE, "projector"), "dead letters")],
            "short",
            NONE_IS_GOOD,
            width=4,
            runbook=runbooks.DEAD_LETTER,
            trail=trails.of_services("projector"),
            height=8,
        ),
        Panel(
            "Nothing to do: no alert is in the list",
            "What fires now, and about what. One row says `none` when nothing does.",
            [
                Query(
                    f"max by ({', '.join(_ALERT)}) ({_FIRING} or {_NOTHING_FIRES})",
                    "fires",
                )
            ],
            "short",
            ANY,
            kind=Kind.TABLE,
            width=16,
            table=[
                Column("alertname"),
                Column("severity"),
                Column("service"),
                Column("group", link="/d/atlas-lag-group?var-group=${__data.fields.group}&${__url_time_range}"),
                Column("topic"),
                Column("dependency"),
                Column("slo"),
                Column("fires", states={0: ("no", "green"), 1: ("yes", "red")}),
            ],
            trail=trails.OF_SERVICE,
        ),
        BUDGETS,
    ),
)

_WAY = Row(
    "The way of an event: each rate follows the one before",
    runbooks.CONSUMER,
    trails.OF_TOPIC,
    (
        Panel(
            "Requests are answered",
            "Commands, posted events and queries that the gateway answers, by status class.",
            [
                Query(
                    "sum by (class) (label_replace("
                    f"{rate(series('atlas_http_requests_total', of_job('gateway')))}"
                    ', "class", "${1}xx", "status", "(.).*"))',
                    "{{class}}",
                )
            ],
            "reqps",
            ANY,
            trail=trails.of_services("gateway"),
        ),
        Panel(
            "The relay sends what commands write",
            "Outbox rows that are on their topic, per second.",
            [Query(total(rate(series("atlas_relay_rows_sent_total"))), "sent")],
            "cps",
            ANY,
            runbook=runbooks.OUTBOX,
            trail=trails.of_services("relay"),
        ),
        Panel(
            "Records reach their topics",
            "Acknowledged by the brokers, from the gateway and the relay.",
            [Query(total(rate(series("atlas_kafka_records_out_total")), "topic"), "{{topic}}")],
            "cps",
            ANY,
        ),
        Panel(
            "Every group takes what is written",
            "Records taken from topics and made durable, by consumer group.",
            [Query(total(rate(series("atlas_kafka_records_in_total")), "group"), "{{group}}")],
            "cps",
            ANY,
            trail=trails.OF_GROUP,
        ),
        Panel(
            "Read models follow",
            "Events applied, and rows written after folding: fewer rows than events means that folding saves writes.",
            [
                Query(
                    total(rate(series("atlas_projector_events_total", 'outcome="applied"')), "projection"),
                    "{{projection}} events",
                ),
                Query(total(rate(series("atlas_projector_rows_written_total")), "projection"), "{{projection}} rows"),
            ],
            "cps",
            ANY,
            runbook=runbooks.READ_MODEL,
            trail=trails.OF_PROJECTION,
        ),
        Panel(
            "The archive follows",
            "Records archived, by topic. In steps: a segment is written when it is large or old enough.",
            [Query(total(rate(series("atlas_archiver_records_total")), "topic"), "{{topic}}")],
            "cps",
            ANY,
            runbook=runbooks.NOT_ARCHIVED,
        ),
    ),
)

_DEPENDENCIES = Row(
    "What services lean on",
    runbooks.SERVER,
    trails.OF_JOB,
    (
        Panel(
            "Every dependency answers",
            "As each service's own probe finds it. A service that can do without it stays ready.",
            [Query(least(series("atlas_dependency_up"), "job", "dependency"), "{{job}} {{dependency}}")],
            "short",
            ANY,
            kind=Kind.TIMELINE,
            states=states.UP,
            width=12,
            height=10,
        ),
        Panel(
            "Dependencies answer within 100 ms",
            "Time of nine of ten probes, by dependency.",
            [
                Query(
                    quantile(0.9, series("atlas_dependency_seconds_bucket"), "job", "dependency"),
                    "{{job}} {{dependency}}",
                )
            ],
            "s",
            Levels(warn=0.1, alarm=1),
            width=12,
            height=10,
        ),
        Panel(
            "Every breaker is closed",
            "An open breaker skips calls to what does not answer, until it is tried again.",
            [Query(greatest(series("atlas_breaker_state"), "job", "name"), "{{job}} {{name}}")],
            "short",
            ANY,
            kind=Kind.TIMELINE,
            states=states.BREAKER,
            width=12,
        ),
        Panel(
            "Nothing is tried twice",
            "Attempts that failed for a passing reason and were made again.",
            [
                Query(
                    or_none(total(grown(series("atlas_retries_total")), "job", "what"), "gateway", "job", "what"),
                    "{{job}} {{what}}",
                )
            ],
            "short",
            Levels(warn=1),
            width=12,
        ),
    ),
)

MESH = Board(
    uid="atlas-mesh",
    title="Mesh",
    description="Whether all is well, and the way of an event from the request to read model and archive.",
    choices=(Choice.CLUSTER,),
    rows=(_WELL, LEDGER, _WAY, _DEPENDENCIES),
)
