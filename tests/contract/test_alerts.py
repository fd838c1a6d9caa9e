"""Alerts: each fires in one case and is silent in another, has a runbook, and pages for groups of the mesh alone."""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from atlas_runtime import metrics

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "infra" / "observability"
CASES = sorted((Path(__file__).parent / "observability").glob("*_test.yml"))

NAME = re.compile(r"\b(atlas_[a-z0-9_]+|process_[a-z_]+|up|slo:[\w:]+)\b")
SELECTED = re.compile(r'alertname(=~?)"([^"]+)"')
WINDOW = re.compile(r"\d+[mhd]\b")
PAGE, TICKET = "critical", "warning"
# Of the aggregator: they are of every group of the cluster. Those of a service itself are of its own groups.
OF_ANY_GROUP = re.compile(r"\batlas_consumer_(?!lag_age_seconds|group_of_mesh)\w+")


def rules(name: str) -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load((FOLDER / name).read_text())["groups"] for rule in group["rules"]]


ALERTS = {rule["alert"]: rule for rule in rules("alerts.yml")}
RECORDED = rules("slo.yml")
by_alert = pytest.mark.parametrize("alert", ALERTS)


@dataclass(frozen=True, slots=True)
class Look:
    """What a case asks for at a time: of alerts that match `asked`, `firing` fire and no other. `fed`: metrics."""

    asked: re.Pattern[str]
    firing: frozenset[str]
    fed: frozenset[str]


def looks(cases: Mapping[str, Any]) -> Iterator[Look]:
    for case in cases["tests"]:
        fed = frozenset(NAME.match(each["series"])[0] for each in case["input_series"])  # type: ignore[index]
        for asked in case.get("alert_rule_test", ()):
            name = asked["alertname"]
            yield Look(re.compile(name), frozenset({name} if asked["exp_alerts"] else ()), fed)
        for asked in case.get("promql_expr_test", ()):
            if "ALERTS" not in asked["expr"]:
                continue
            sign, name = selected.groups() if (selected := SELECTED.search(asked["expr"])) else ("=~", ".*")
            labels = " ".join(sample["labels"] for sample in asked["exp_samples"])
            firing = {found for _, found in SELECTED.findall(labels)}
            # By one name, and told apart by other labels: whatever there is, is of it.
            firing |= {name} if sign == "=" and asked["exp_samples"] else set()
            yield Look(re.compile(name), frozenset(firing), fed)


def unproved(alerts: Mapping[str, str], seen: Collection[Look]) -> list[str]:
    """Of alerts by their expressions, those that no look sees fire, or silent while all that it is about is there."""
    faults = []
    for alert, expression in alerts.items():
        about = {name for name in NAME.findall(expression) if not name.startswith("slo:")}
        if not any(alert in look.firing for look in seen):
            faults.append(f"{alert} fires in no case")
        if not any(look.asked.fullmatch(alert) and alert not in look.firing and about <= look.fed for look in seen):
            faults.append(f"{alert} is silent in no case that has {', '.join(sorted(about))}")
    return faults


@pytest.mark.parametrize("file", CASES, ids=lambda file: file.stem)
def test_each_alert_fires_when_it_should_and_only_then(run_program: Any, file: Path) -> None:
    run_program("promtool", "test", "rules", file)


def test_each_alert_has_a_case_in_which_it_fires_and_one_in_which_it_does_not() -> None:
    seen = [look for file in CASES for look in looks(yaml.safe_load(file.read_text()))]
    assert not unproved({name: rule["expr"] for name, rule in ALERTS.items()}, seen)


def test_an_alert_without_a_case_is_named() -> None:
    case = """
    tests:
      - input_series: [{series: 'atlas_a{x="y"}', values: 1x9}]
        promql_expr_test:
          - {expr: 'count by (alertname) (ALERTS)', exp_samples: [{labels: '{alertname="A"}', value: 1}]}
    """
    seen = list(looks(yaml.safe_load(case)))
    assert unproved({"A": "atlas_a > 0", "B": "atlas_b > 0", "C": "atlas_a > 1"}, seen) == [
        "A is silent in no case that has atlas_a",
        "B fires in no case",
        "B is silent in no case that has atlas_b",
        "C fires in no case",
    ]


@by_alert
def test_an_alert_says_what_it_is_about_and_leads_to_its_runbook(alert: str) -> None:
    rule = ALERTS[alert]
    assert rule["labels"]["severity"] in {PAGE, TICKET}
    assert {"summary", "description", "runbook"} == set(rule["annotations"])
    runbook = ROOT / rule["annotations"]["runbook"]
    assert runbook.parent == ROOT / "docs" / "runbooks"
    text = runbook.read_text()
    assert f"`{alert}`" in text, f"{runbook.name} does not say that it is for {alert}"
    # That each command exists is what tests/architecture/test_docs.py looks at.
    assert re.search(r"^```(sh|console)", text, re.MULTILINE), f"{runbook.name} has no command"
    assert f"`{alert}`" in (ROOT / "docs/alerts.md").read_text(), f"docs/alerts.md does not list {alert}"


@pytest.mark.parametrize("alert", [name for name, rule in ALERTS.items() if rule["labels"]["severity"] == PAGE])
def test_only_a_group_of_the_mesh_pages(alert: str) -> None:
    expression = ALERTS[alert]["expr"]
    if OF_ANY_GROUP.search(expression):
        assert "and on (group) atlas_consumer_group_of_mesh == 1" in expression


def test_the_windows_are_the_usual_ones() -> None:
    burns = {name: rule for name, rule in ALERTS.items() if "slo:bad" in rule["expr"]}
    found = {
        (rule["labels"]["severity"], *re.findall(r"slo:bad:ratio(\w+) > on \(slo\) ([\d.]* ?\*?)", rule["expr"]))
        for rule in burns.values()
    }
    assert found == {
        (PAGE, ("1h", "14.4 *"), ("5m", "14.4 *")),
        (PAGE, ("6h", "6 *"), ("30m", "6 *")),
        (TICKET, ("3d", ""), ("6h", "")),
    }


def test_each_window_counts_alike() -> None:
    windows = {rule["record"]: rule["expr"] for rule in RECORDED if rule["record"].startswith("slo:bad:ratio")}
    assert len(windows) == 5
    assert len({WINDOW.sub("", expression) for expression in windows.values()}) == 1
    for name, expression in windows.items():
        assert set(WINDOW.findall(expression)) == {name.removeprefix("slo:bad:ratio")}, name


def test_a_target_and_a_bound_stand_once_and_are_ones_that_can_be() -> None:
    targets = {rule["labels"]["slo"]: rule["expr"] for rule in RECORDED if rule["record"] == "slo:target:ratio"}
    assert set(targets) == {"produce", "query", "freshness"}
    said = (ROOT / "docs/slo.md").read_text()
    for slo, expression in targets.items():
        target = float(re.fullmatch(r"vector\((0\.\d+)\)", expression)[1])  # type: ignore[index]
        assert re.search(rf"(?m)^\| `{slo}` .*\| {target * 100:g} % \|$", said), f"docs/slo.md: {slo}"
    bounds = re.findall(r'le="([^"]+)"', (FOLDER / "slo.yml").read_text())
    buckets = {f"{float(bound)}" for bound in metrics.HTTP_REQUEST_SECONDS._upper_bounds}
    assert len(bounds) == 2
    assert set(bounds) <= buckets
