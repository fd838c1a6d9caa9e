"""Canaries: what a record needs to each stage of its way, measured each second from outside."""

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
from infra.observability.dashboards.promql import increase, quantile, rate, series, total

_STAGES = series("atlas_canary_stage_seconds_bucket")
_ALL = trails.of_services("gateway", "relay", "projector", "archiver", "health-aggregator")


def _way(name: str) -> str:
    return series("atlas_canary_stage_seconds_bucket", f'way="{name}"')


def _stages_of(way: str, title: str, what: str, levels: Levels) -> Panel:
    return Panel(title, what, [Query(quantile(0.99, _way(way), "stage"), "{{stage}}")], "s", levels)


_NOW = Row(
    "Now",
    runbooks.CANARY,
    _ALL,
    (
        Number(
            "No canary is lost",
            "Canaries of the last 10 minutes that were not at a stage in their time.",
            [Query(f"sum(increase({series('atlas_canary_lost_total')}[10m]))", "lost")],
            "short",
            NONE_IS_GOOD,
            width=8,
        ),
        Number(
            "Every canary is taken",
            "Canaries of the last 10 minutes that nobody took, or could tell of.",
            [Query(f"sum(increase({series('atlas_canary_failed_total')}[10m]))", "failed")],
            "short",
            NONE_IS_GOOD,
            width=8,
        ),
        Number(
            "A write is seen within a second",
            "99 of 100 canaries, from the command until a query answers with it.",
            [
                Query(
                    quantile(0.99, series("atlas_canary_stage_seconds_bucket", 'way="command"', 'stage="visible"')),
                    "p99",
                )
            ],
            "s",
            Levels(warn=1, alarm=5),
            width=8,
        ),
    ),
)

_WAYS = Row(
    "By way and stage",
    runbooks.CANARY,
    _ALL,
    (
        _stages_of(
            "command",
            "A command is answered, sent, projected and seen at once",
            "99 of 100 canaries, since they were sent: accepted, on their topic, projected, visible to a query.",
            Levels(warn=1, alarm=5),
        ),
        _stages_of(
            "event",
            "A posted event is on its topic and seen at once",
            "99 of 100 canaries that are posted to a topic, since they were sent.",
            Levels(warn=1, alarm=5),
        ),
        _stages_of(
            "archive",
            "A record is archived within minutes",
            "99 of 100 canaries, since they were sent. A segment is written when it is old enough.",
            Levels(warn=300, alarm=900),
        ),
        Panel(
            "Canaries stay in the low buckets",
            "How long canaries took to where a query answers with them: a cell counts those of that time.",
            [
                Query(
                    total(rate(series("atlas_canary_stage_seconds_bucket", 'stage="visible"')), "le"),
                    "{{le}}",
                )
            ],
            "s",
            ANY,
            kind=Kind.BUCKETS,
            width=12,
            height=9,
        ),
        Panel(
            "Half of the canaries are faster than this",
            "The median to each stage of each way.",
            [Query(quantile(0.5, _STAGES, "way", "stage"), "{{way}} {{stage}}")],
            "s",
            ANY,
            width=12,
            height=9,
        ),
        Panel(
            "A canary comes each second",
            "Canaries that have come to each stage, per second. A line that falls is where they stay.",
            [Query(total(rate(series("atlas_canary_stage_seconds_count")), "way", "stage"), "{{way}} {{stage}}")],
            "cps",
            Levels(warn=0.5, below=True),
        ),
        Panel(
            "No canary is lost at any stage",
            "Canaries that were not at a stage in their time.",
            [Query(total(increase(series("atlas_canary_lost_total")), "way", "stage"), "{{way}} {{stage}}")],
            "short",
            NONE_IS_GOOD,
        ),
        Panel(
            "Every canary is taken at every stage",
            "Canaries that nobody took, or could tell of.",
            [Query(total(increase(series("atlas_canary_failed_total")), "way", "stage"), "{{way}} {{stage}}")],
            "short",
            NONE_IS_GOOD,
        ),
    ),
)

CANARY = Board(
    uid="atlas-canary",
    title="Canary",
    description="What a record needs to each stage of its way, measured each second; where ATLAS_CANARY is on.",
    choices=(Choice.CLUSTER,),
    rows=(_NOW, _WAYS),
)
