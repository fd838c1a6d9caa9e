"""What a reader can choose, and where the values come from: each list is narrowed by what is chosen before it."""

from collections.abc import Sequence
from dataclasses import dataclass

from infra.observability.dashboards.panels import Choice
from infra.observability.dashboards.promql import IN_CLUSTER, OF_GROUP, OF_TOPIC

_MATCHERS = {Choice.CLUSTER: IN_CLUSTER, Choice.GROUP: OF_GROUP, Choice.TOPIC: OF_TOPIC}


@dataclass(frozen=True, slots=True)
class Variable:
    """The values of `label` on the series of `metric`."""

    label: str
    description: str
    metric: str
    name: str
    narrowed_by: tuple[Choice, ...] = ()

    def query(self, choices: Sequence[Choice]) -> str:
        """Grafana's query for the values, on a board that has these choices."""
        matchers = ", ".join(_MATCHERS[choice] for choice in self.narrowed_by if choice in choices)
        return (
            f"label_values({self.metric}{{{matchers}}}, {self.name})"
            if matchers
            else (f"label_values({self.metric}, {self.name})")
        )


_LAG = "atlas_consumer_lag_records"
VARIABLES = {
    Choice.CLUSTER: Variable("Cluster", "The label that prometheus.yml puts on what it scrapes.", "up", "cluster"),
    Choice.SERVICE: Variable("Service", "The job that Prometheus scrapes.", "up", "job", (Choice.CLUSTER,)),
    Choice.GROUP: Variable("Group", "Every consumer group of the cluster.", _LAG, "group", (Choice.CLUSTER,)),
    Choice.TOPIC: Variable("Topic", "Topics that a group reads.", _LAG, "topic", (Choice.CLUSTER, Choice.GROUP)),
    Choice.PARTITION: Variable(
        "Partition", "Of the topics.", _LAG, "partition", (Choice.CLUSTER, Choice.GROUP, Choice.TOPIC)
    ),
}
