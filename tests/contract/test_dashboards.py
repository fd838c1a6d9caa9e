"""The dashboards: written from the code as it is, and each panel with all that a reader of it needs."""

import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
import yaml

from infra.observability.dashboards.annotations import ANNOTATIONS
from infra.observability.dashboards.boards import BOARDS
from infra.observability.dashboards.panels import Board
from infra.observability.dashboards.runbooks import SERVED_AT
from infra.observability.dashboards.written import written
from tests.contract.test_observability import METRICS, OWN_METRICS

ROOT = Path(__file__).resolve().parents[2]
GRAFANA = ROOT / "infra" / "observability" / "grafana"
WRITTEN = {board.file: json.loads(written(board)) for board in BOARDS}
PANELS = [
    pytest.param(panel, id=f"{file}: {panel['title']}")
    for file, dashboard in WRITTEN.items()
    for panel in dashboard["panels"]
    if panel["type"] != "row"
]
GROUPED = re.compile(r"\bby \(([^)]*)\)")
LINKED = re.compile(r"\$\{__(?:field\.labels|data\.fields)\.(\w+)\}")
LABEL_VALUES = re.compile(r"label_values\((?P<metric>\w+)(?:\{(?P<matchers>[^}]*)\})?, (?P<label>\w+)\)")

every_board = pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.uid)
every_panel = pytest.mark.parametrize("panel", PANELS)


COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
SOURCES = [
    source
    for file in sorted((GRAFANA / "provisioning" / "datasources").glob("*.yml"))
    for source in yaml.safe_load(file.read_text())["datasources"]
]


def sources() -> dict[str, str]:
    """Each provisioned datasource's type by its uid."""
    return {source["uid"]: source["type"] for source in SOURCES}


@every_board
def test_a_file_is_what_the_code_says(board: Board) -> None:
    assert (GRAFANA / "dashboards" / board.file).read_text() == written(board), "run: make dashboards"


def test_there_is_no_file_without_a_board_and_no_board_twice() -> None:
    assert {file.name for file in (GRAFANA / "dashboards").iterdir()} == {board.file for board in BOARDS}
    assert len({board.uid for board in BOARDS}) == len({board.title for board in BOARDS}) == len(BOARDS)


@every_board
def test_titles_of_a_board_are_told_apart(board: Board) -> None:
    titles = [panel.title for row in board.rows for panel in row.panels]
    assert len(set(titles)) == len(titles)


@every_panel
def test_a_panel_has_title_description_unit_levels_and_queries(panel: dict[str, Any]) -> None:
    shown = panel["fieldConfig"]["defaults"]
    assert len(panel["title"].split()) > 1, "a title says what is good"
    assert panel["description"].endswith("."), panel["description"]
    assert shown["unit"]
    assert shown["thresholds"]["steps"][0]["value"] is None
    assert len(panel["targets"]) > 0
    assert all(target.get("legendFormat") or target["format"] == "table" for target in panel["targets"])


@every_panel
def test_a_panel_links_to_a_runbook_that_is_there(panel: dict[str, Any]) -> None:
    (link,) = panel["links"]
    assert link["url"].startswith(f"{SERVED_AT}/")
    assert (ROOT / "docs" / "runbooks" / link["url"].removeprefix(f"{SERVED_AT}/")).is_file()
    assert f"./docs/runbooks:/usr/share/grafana{SERVED_AT}:ro" in COMPOSE["grafana"]["volumes"]


@every_panel
def test_a_point_leads_to_its_traces_and_logs(panel: dict[str, Any]) -> None:
    known = sources()
    types = []
    for link in panel["fieldConfig"]["defaults"]["links"]:
        (panes,) = parse_qs(urlsplit(link["url"]).query)["panes"]
        (pane,) = json.loads(panes).values()
        types.append(known[pane["datasource"]])
        assert pane["queries"][0]["datasource"]["uid"] == pane["datasource"]
        of = {
            label
            for target in panel["targets"]
            for labels in GROUPED.findall(target["expr"])
            for label in labels.split(", ")
        }
        assert set(LINKED.findall(unquote(link["url"]))) <= of, f"the point has {of}"
    assert types == ["tempo", "loki"]


@every_panel
def test_a_panel_of_times_that_have_exemplars_shows_them(panel: dict[str, Any]) -> None:
    for target in panel["targets"]:
        if re.search(r"atlas_(http_request|db_query)_seconds_bucket", target["expr"]):
            assert target["exemplar"] is True, target["expr"]


@every_board
def test_a_board_has_its_variables_and_every_one_narrows_a_query(board: Board) -> None:
    dashboard = WRITTEN[board.file]
    names = [variable["name"] for variable in dashboard["templating"]["list"]]
    assert names[0] == "cluster"
    asked = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ())]
    for name in names:
        assert any(f"${name}" in expression for expression in asked), f"no query is narrowed by ${name}"
    used = {name for expression in asked for name in re.findall(r"\$([a-z]\w*)", expression)}
    assert used <= set(names), f"not chosen on this board: {used - set(names)}"


def test_there_is_a_variable_for_cluster_service_group_and_topic() -> None:
    names = {v["name"] for dashboard in WRITTEN.values() for v in dashboard["templating"]["list"]}
    assert names == {"cluster", "service", "group", "topic", "partition"}


@every_board
def test_a_variable_takes_its_values_from_a_label_that_the_code_has(board: Board) -> None:
    known = {**METRICS, **OWN_METRICS}
    for variable in WRITTEN[board.file]["templating"]["list"]:
        found = LABEL_VALUES.fullmatch(variable["query"]["query"])
        assert found is not None, variable["query"]["query"]
        assert found["label"] in known[found["metric"]] | {"job", "cluster"}


@every_board
def test_a_board_shows_deploys_swaps_rebalances_and_changes_of_health(board: Board) -> None:
    shown = WRITTEN[board.file]["annotations"]["list"]
    assert [each["name"] for each in shown] == ["Deploys", "Swaps", "Rebalances", "HealthChanged"]
    assert [each["expr"] for each in shown] == [annotation.expression for annotation in ANNOTATIONS]
    assert all(each["enable"] for each in shown)


@every_board
def test_a_link_to_another_board_names_one(board: Board) -> None:
    uids = {each.uid for each in BOARDS}
    for target in re.findall(r'"/d/([\w-]+)\?', written(board)):
        assert target in uids


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source["name"])
def test_a_source_is_where_compose_runs_it(source: dict[str, Any]) -> None:
    default = re.fullmatch(r"\$\{\w+:-http://([\w-]+):(\d+)\}", COMPOSE["grafana"]["environment"][source["url"][1:]])
    assert default is not None
    host, port = default.groups()
    assert any(published.endswith(f":{port}") for published in COMPOSE[host]["ports"])


def test_a_source_names_others_that_there_are() -> None:
    named = set(re.findall(r"'datasourceUid': '([\w-]+)'", str(SOURCES)))
    assert named == {"atlas-tempo", "atlas-loki", "atlas-prometheus"}
    assert named <= set(sources())


@pytest.mark.parametrize("name", ["tempo", "loki"])
def test_a_store_listens_where_compose_publishes_it_and_keeps_a_week_on_its_volume(name: str) -> None:
    configuration = (ROOT / "infra" / "observability" / f"{name}.yml").read_text()
    port = yaml.safe_load(configuration)["server"]["http_listen_port"]
    assert COMPOSE[name]["ports"][0].endswith(f":{port}")
    assert f"http://127.0.0.1:{port}/ready" in COMPOSE[name]["healthcheck"]["test"]
    (volume,) = [mount.split(":")[1] for mount in COMPOSE[name]["volumes"] if mount.startswith(f"{name}-data:")]
    paths = re.findall(r"(?:path|directory|path_prefix): (/\S+)", configuration)
    assert paths
    assert all(path.startswith(volume) for path in paths)
    assert "168h" in configuration
