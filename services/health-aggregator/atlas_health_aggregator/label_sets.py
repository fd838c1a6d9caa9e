"""Which labels the series of lag have: a large cluster's partitions are more series than many a Prometheus takes.

A series of Atlas's own loses the labels that are off, and says the sum, or the worst, of what it stands for: a query
that asks for it by group and topic finds the same name. Series of other exporters have just the labels that their
dashboards know, so those are there, or not.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from prometheus_client.core import GaugeMetricFamily, Metric

Merge = Callable[[Iterable[float]], float]

# What each label says, by the names that Atlas and the other exporters have for it.
_GROUP = frozenset({"group", "consumergroup"})
_PARTITION = frozenset({"partition", "member_host", "consumer_id", "client_id"})


@dataclass(frozen=True, slots=True)
class LabelSets:
    """Whether there are series by group, by topic and by partition; by partition only where there are by topic."""

    group: bool = True
    topic: bool = True
    partition: bool = True

    def has(self, label: str) -> bool:
        """Whether series have this label."""
        if label in _GROUP:
            return self.group
        if label == "topic":
            return self.topic
        return label not in _PARTITION or (self.topic and self.partition)

    def shows(self, family: Metric) -> bool:
        """Whether every label of this family is on."""
        return all(map(self.has, family.samples[0].labels)) if family.samples else True

    def merged(self, family: GaugeMetricFamily, merge: Merge) -> Metric:
        """The family with the labels that are on: series that are told apart by the others only are merged to one.

        Without series by group there is none of a family that is about groups.
        """
        if not family.samples or self.shows(family):
            return family
        names = family.samples[0].labels
        kept = [label for label in names if self.has(label)]
        # By keywords: the name is that of the family, declared where it is made.
        smaller = GaugeMetricFamily(name=family.name, documentation=family.documentation, labels=kept)
        if not _GROUP.isdisjoint(names) and not self.group:
            return smaller
        values: dict[tuple[str, ...], list[float]] = {}
        for sample in family.samples:
            values.setdefault(tuple(sample.labels[label] for label in kept), []).append(sample.value)
        for labels, found in values.items():
            smaller.add_metric(labels, merge(found))
        return smaller
