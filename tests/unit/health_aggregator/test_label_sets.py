"""Labels of lag that are off: their series are merged, or not there."""

from collections.abc import Callable, Iterable

import pytest
from atlas_health_aggregator.label_sets import LabelSets
from prometheus_client.core import GaugeMetricFamily, Metric


def family(*labels: str) -> GaugeMetricFamily:
    made = GaugeMetricFamily("lag", "About", labels=labels)
    values = {"group": "ab", "consumergroup": "ab", "topic": "tu", "partition": "012"}
    rows = [()]
    for label in labels:
        rows = [(*row, each) for row in rows for each in values.get(label, "x")]  # type: ignore[misc]
    for number, row in enumerate(rows):
        made.add_metric(list(row), number)
    return made


def series(found: Metric) -> dict[tuple[str, ...], float]:
    return {tuple(each.labels.values()): each.value for each in found.samples}


OWN = ("group", "topic", "partition")


@pytest.mark.parametrize(
    ("sets", "merge", "expected"),
    [
        (LabelSets(), sum, series(family(*OWN))),
        (LabelSets(partition=False), sum, {("a", "t"): 3, ("a", "u"): 12, ("b", "t"): 21, ("b", "u"): 30}),
        (LabelSets(partition=False), max, {("a", "t"): 2, ("a", "u"): 5, ("b", "t"): 8, ("b", "u"): 11}),
        (LabelSets(topic=False), sum, {("a",): 15, ("b",): 51}),
        (LabelSets(topic=False), min, {("a",): 0, ("b",): 6}),
        (LabelSets(group=False), sum, {}),
    ],
)
def test_series_that_only_an_absent_label_tells_apart_are_merged(
    sets: LabelSets, merge: Callable[[Iterable[float]], float], expected: dict[tuple[str, ...], float]
) -> None:
    found = sets.merged(family(*OWN), merge)
    assert (found.name, found.type) == ("lag", "gauge")
    assert series(found) == expected


def test_what_is_of_no_group_stays_without_series_by_group() -> None:
    sets = LabelSets(group=False, topic=False)
    assert series(sets.merged(family("topic", "partition"), max)) == {(): 5}
    assert series(sets.merged(GaugeMetricFamily("lag", "About", labels=["topic"]), max)) == {}


@pytest.mark.parametrize(
    ("sets", "shown"),
    [
        (LabelSets(), {"consumergroup", "topic", "partition", "member_host", "id"}),
        (LabelSets(partition=False), {"consumergroup", "topic", "id"}),
        (LabelSets(topic=False), {"consumergroup", "id"}),
        (LabelSets(group=False), {"topic", "partition", "member_host", "id"}),
    ],
)
def test_a_family_of_another_exporter_is_whole_or_not_there(sets: LabelSets, shown: set[str]) -> None:
    labels = ("consumergroup", "topic", "partition", "member_host", "id")
    assert {label for label in labels if sets.shows(family(label))} == shown
    assert sets.shows(family("id", *shown)) is True
    assert sets.shows(GaugeMetricFamily("lag", "About", labels=["partition"])) is True
