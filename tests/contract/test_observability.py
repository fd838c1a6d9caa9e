"""Prometheus, its rules and the dashboard: valid by Prometheus' own tools, and about metrics that the code has."""

import json
import re
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import yaml
from atlas_local.servers.prometheus import with_targets
from atlas_local.topology import MESH, Kind

from tests.metric_families import families

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "infra" / "observability"
CONFIG = FOLDER / "prometheus.yml"
ALERTS = FOLDER / "alerts.yml"
SLO = FOLDER / "slo.yml"
DASHBOARDS = sorted((FOLDER / "grafana" / "dashboards").glob("*.json"))
SERVICES = [part.name for part in MESH if part.kind is Kind.SERVICE]

# Labels that Prometheus itself puts on.
OWN_LABELS = {"job", "instance", "cluster", "le", "alertname", "alertstate", "severity", "__name__"}
# Metrics of Prometheus and of its Python client.
OWN_METRICS = {
    "up": set[str](),
    "ALERTS": {"service", "group", "topic", "dependency", "slo"},
    "process_resident_memory_bytes": set[str](),
    "process_cpu_seconds_total": set[str](),
    "process_start_time_seconds": set[str](),
    "process_open_fds": set[str](),
    "process_max_fds": set[str](),
}
SUFFIXES = {"counter": ("",), "gauge": ("",), "histogram": ("_bucket", "_count", "_sum")}
NAME = re.compile(r"\b(atlas_[a-z0-9_]+|process_[a-z_]+|python_[a-z_]+|up|ALERTS|slo:[\w:]+)\b")
SELECTED = re.compile(r"(\w+)\s*(?:=~|!~|!=|=)\s*\"")
GROUPED = re.compile(r"\b(?:by|without|on|ignoring)\s*\(([^)]*)\)")
MADE = re.compile(r"label_replace\(.*?,\s*\"(\w+)\",")


# Every series name that the code exposes, with its labels.
METRICS = {family.name + suffix: set(family.labels) for family in families() for suffix in SUFFIXES[family.kind]}
# What Prometheus itself records, of what counts for a promise.
RECORDED = {rule["record"]: {"slo"} for group in yaml.safe_load(SLO.read_text())["groups"] for rule in group["rules"]}


def expressions() -> Iterator[tuple[str, str]]:
    """Every expression of the rules and the dashboards, with where it is."""
    for group in [*yaml.safe_load(ALERTS.read_text())["groups"], *yaml.safe_load(SLO.read_text())["groups"]]:
        for rule in group["rules"]:
            if rule.get("record") == "slo:target:ratio":
                continue  # a number
            yield rule.get("alert") or f"{rule['record']} {rule.get('labels', '')}", rule["expr"]
    for dashboard in DASHBOARDS:
        for panel in json.loads(dashboard.read_text())["panels"]:
            for target in panel.get("targets", ()):
                yield f"{dashboard.stem}: {panel['title']} {target['refId']}", target["expr"]


EXPRESSIONS = list(expressions())


def test_the_configuration_is_valid(run_program: Any) -> None:
    run_program("promtool", "check", "config", CONFIG)


def test_every_expression_of_a_dashboard_is_valid(run_program: Any, tmp_path: Path) -> None:
    rules = [
        {"record": f"dashboard:{number}", "expr": expression.replace("$__rate_interval", "1m")}
        for number, (_where, expression) in enumerate(EXPRESSIONS)
    ]
    file = tmp_path / "rules.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboards", "rules": rules}]}))
    run_program("promtool", "check", "rules", file)


@pytest.mark.parametrize(("where", "expression"), EXPRESSIONS, ids=[where for where, _ in EXPRESSIONS])
def test_every_metric_and_label_exists_in_the_code(where: str, expression: str) -> None:
    known = {**METRICS, **OWN_METRICS, **RECORDED}
    bare = re.sub(r"\"[^\"]*\"", '""', expression)
    names = set(NAME.findall(re.sub(r"\{[^}]*\}", "", bare)))
    assert names, f"{where}: no metric in {expression}"
    assert not names - set(known), f"{where}: no code exposes {sorted(names - set(known))}"
    used = set(SELECTED.findall(expression))
    used |= {label.strip() for labels in GROUPED.findall(expression) for label in labels.split(",")}
    offered = OWN_LABELS | set(MADE.findall(expression)) | {label for name in names for label in known[name]}
    assert not used - offered, f"{where}: no such label on {sorted(names)}: {sorted(used - offered)}"


def test_the_scan_of_the_code_sees_each_way_a_metric_is_declared() -> None:
    assert METRICS["atlas_kafka_records_in_total"] == {"topic", "group"}
    assert METRICS["atlas_http_requests_total"] == {"method", "route", "status"}
    assert METRICS["atlas_http_request_seconds_bucket"] == {"method", "route"}
    assert METRICS["atlas_consumer_lag_seconds"] == {"group", "topic", "partition"}


def test_every_service_is_scraped_where_compose_runs_it() -> None:
    jobs = {job["job_name"]: job["static_configs"] for job in yaml.safe_load(CONFIG.read_text())["scrape_configs"]}
    assert jobs == {name: [{"targets": [f"{name}:8080"]}] for name in SERVICES}


def test_the_embedded_mesh_can_take_the_configuration_as_its_template() -> None:
    own = {name: f"127.0.0.1:{50000 + number}" for number, name in enumerate(SERVICES)}
    made = with_targets(yaml.safe_load(CONFIG.read_text()), own, FOLDER)
    jobs: Any = made["scrape_configs"]
    assert {job["job_name"]: job["static_configs"][0]["targets"] for job in jobs} == {n: [a] for n, a in own.items()}
    assert made["rule_files"] == [str(ALERTS), str(SLO)]


@pytest.mark.parametrize("file", DASHBOARDS, ids=lambda file: file.stem)
def test_a_dashboard_is_whole(file: Path) -> None:
    dashboard = json.loads(file.read_text())
    panels = dashboard["panels"]
    ids = [panel["id"] for panel in panels]
    assert len(set(ids)) == len(ids), "two panels have one id"
    source = yaml.safe_load((FOLDER / "grafana/provisioning/datasources/prometheus.yml").read_text())["datasources"][0]
    for panel in panels:
        used = [panel.get("datasource"), *(target["datasource"] for target in panel.get("targets", ()))]
        assert all(each == {"type": source["type"], "uid": source["uid"]} for each in used if each), panel["title"]
    for one, other in combinations(panels, 2):
        assert not _overlap(one["gridPos"], other["gridPos"]), f"{one['title']} lies on {other['title']}"


def _overlap(one: dict[str, int], other: dict[str, int]) -> bool:
    beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
    above = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
    return not (beside or above)


def test_compose_puts_the_files_where_they_look_for_each_other() -> None:
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    prometheus = {mount.split(":")[0]: mount.split(":")[1] for mount in services["prometheus"]["volumes"]}
    assert prometheus["./infra/observability/prometheus.yml"] == "/etc/prometheus/prometheus.yml"
    for file in yaml.safe_load(CONFIG.read_text())["rule_files"]:
        assert prometheus[f"./infra/observability/{file}"] == f"/etc/prometheus/{file}"
    grafana = {mount.split(":")[0]: mount.split(":")[1] for mount in services["grafana"]["volumes"]}
    provider = yaml.safe_load((FOLDER / "grafana/provisioning/dashboards/atlas.yml").read_text())["providers"][0]
    assert provider["options"]["path"] == grafana["./infra/observability/grafana/dashboards"]
    assert grafana["./infra/observability/grafana/provisioning"] == "/etc/grafana/provisioning"
    home = services["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert home in {f"{provider['options']['path']}/{file.name}" for file in DASHBOARDS}
