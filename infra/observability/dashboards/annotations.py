"""What happened, on every panel: a reader asks first what changed when a curve bends."""

from dataclasses import dataclass

from infra.observability.dashboards.promql import series


@dataclass(frozen=True, slots=True)
class Annotation:
    """A mark where the expression is above 0; `at_value`: at the time in ms that the value is.

    `title` and `text` take labels as {{label}}; `tags` are labels, by comma.
    """

    name: str
    expression: str
    colour: str
    title: str
    text: str
    tags: str
    at_value: bool = False
    # A scrape less than what is looked back on: two scrapes that differ are together in one of the windows.
    step: str = "5s"


_STARTED, _REBALANCES = series("process_start_time_seconds"), series("atlas_kafka_rebalances_total")

ANNOTATIONS = (
    Annotation(
        "Deploys",
        # Every start is younger than a minute at just one of the steps, which are a minute.
        f"{_STARTED} * 1000 and time() - {_STARTED} < 60",
        "blue",
        "{{job}} starts",
        "A process of {{job}} begins: a deploy, or a restart.",
        "job,instance",
        at_value=True,
        step="60s",
    ),
    Annotation(
        "Swaps",
        f"max by (projection) (changes({series('atlas_projector_generation')}[10s])) > 0",
        "purple",
        "{{projection}} swaps",
        "Another generation of the read model is live.",
        "projection",
    ),
    Annotation(
        "Rebalances",
        # The counter of a new process begins with the first: it is new to the group, so it is one.
        f"sum by (group) (increase({_REBALANCES}[10s])) > 0"
        f" or sum by (group) ({_REBALANCES}) unless sum by (group) ({_REBALANCES} offset 5s)",
        "orange",
        "{{group}} rebalances",
        "Members came or went: their partitions are with others now.",
        "group",
    ),
    Annotation(
        "HealthChanged",
        f"sum by (service) (changes({series('atlas_service_state')}[10s])) > 0",
        "red",
        "{{service}} changes",
        "The health-aggregator announced another state of the service: up, degraded or down.",
        "service",
    ),
)
