"""Metrics: each follows the usual conventions, is declared one way, and is in docs/metrics.md."""

import importlib
import re

import pytest
from prometheus_client import REGISTRY

from tests.metric_families import PAGE, Family, families, module_of, page

FAMILIES = families()
NAME = re.compile(r"atlas(_[a-z0-9]+)+")
LABEL = re.compile(r"[a-z]+(_[a-z]+)*")
# Units that are not the base ones, by their usual short and long names.
OTHER_UNITS = {"ms", "millis", "milliseconds", "us", "micros", "microseconds", "ns", "nanoseconds", "minutes", "hours"}
OTHER_UNITS |= {"days", "kb", "mb", "gb", "kib", "mib", "gib", "kilobytes", "megabytes", "bits", "percent"}
BASE_UNITS = ("seconds", "bytes")
# What a histogram may be of: a base unit, or things that are counted.
MEASURED = (*BASE_UNITS, "records", "rows", "events")
# What the library makes of a family, and Prometheus of a target.
RESERVED_ENDS = ("_sum", "_count", "_bucket", "_created")
RESERVED_LABELS = {"le", "quantile", "job", "instance"}
# A value of a label that no process knows before it is given one, so that there would be a series for each.
UNBOUNDED_LABELS = {"id", "key", "path", "url", "user", "email", "offset", "trace_id", "request_id", "error", "sql"}


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_a_metric_follows_the_conventions(family: Family) -> None:
    words = family.name.removesuffix("_total").split("_")
    assert NAME.fullmatch(family.name)
    assert not family.name.endswith(RESERVED_ENDS)
    assert family.name.endswith("_total") == (family.kind == "counter"), "counters end in _total, and nothing else does"
    assert not OTHER_UNITS & set(words), "units are the base ones"
    assert not set(BASE_UNITS) & set(words[:-1]), "the unit comes last"
    assert family.kind != "histogram" or words[-1] in MEASURED, "a histogram says what it measures"
    assert family.help == family.help.strip(" .\n"), "one sentence, without its full stop"
    assert len(family.help) >= 10
    assert all(LABEL.fullmatch(label) for label in family.labels)
    assert not (RESERVED_LABELS | UNBOUNDED_LABELS) & set(family.labels)
    assert len(set(family.labels)) == len(family.labels)


def test_a_metric_is_declared_one_way() -> None:
    declared: dict[str, Family] = {}
    for family in FAMILIES:
        other = declared.setdefault(family.name, family)
        same = (other.kind, other.labels, other.help) == (family.kind, family.labels, family.help)
        assert same, f"{family.name} in {other.file} and in {family.file}"


def test_the_conventions_are_looked_at_in_every_service() -> None:
    packages = {family.package for family in FAMILIES}
    assert packages >= {"runtime", "kafka", "errors", "gateway", "relay", "projector", "archiver", "health-aggregator"}
    assert len(FAMILIES) > 90, "too few: they are not found any more"


def test_what_a_process_exposes_was_found_in_the_code() -> None:
    for module in {module_of(family.file) for family in FAMILIES}:
        importlib.import_module(module)
    known = {family.name: family for family in FAMILIES}
    for metric in REGISTRY.collect():
        if metric.name.startswith("atlas_"):
            name = f"{metric.name}_total" if metric.type == "counter" else metric.name
            assert name in known, f"{name} is declared in a way that is not looked at"
            assert (known[name].kind, known[name].help) == (metric.type, metric.documentation)


def test_the_page_has_every_metric() -> None:
    text = PAGE.read_text()
    assert page(text, FAMILIES) == text, "write its tables anew: python -m tests.metric_families"
    for family in FAMILIES:
        assert text.count(f"| `{family.name}` |") == 1, f"{family.name}: its package {family.package} has no table"


def test_the_page_has_those_of_the_python_client() -> None:
    text = PAGE.read_text()
    for metric in REGISTRY.collect():
        if metric.name.startswith(("process_", "python_")):
            name = f"{metric.name}_total" if metric.type == "counter" else metric.name
            assert f"`{name}`" in text, name
