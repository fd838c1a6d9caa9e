"""Every panel, variable and annotation of the dashboards has something to say on a mesh under load and under faults, by
a real Prometheus; and is drawn from what it says to .atlas/dashboards, so that a person can look at it.
"""

import asyncio
import json
import re
import time
from dataclasses import dataclass
from typing import Any

import pytest
from atlas_local.home import ROOT
from atlas_local.servers.prometheus import Prometheus as Program
from atlas_local.testing import TestMesh

from infra.observability.dashboards.boards import BOARDS
from infra.observability.dashboards.panels import EXEMPLARS
from tests.collector import Collector
from tests.e2e.watched import Watched
from tests.pictures import picture
from tests.prometheus import Prometheus, Series

pytestmark = pytest.mark.e2e

PICTURES = ROOT / ".atlas" / "dashboards"
STEP_S = 5.0
# What a reader has chosen: one cluster, and all else.
VARIABLES = {
    "cluster": "atlas",
    "__rate_interval": "20s",
    **dict.fromkeys(("service", "group", "topic", "partition"), ".*"),
}
# On a board where one is chosen.
ONE = {"group": "projector.hauls", "topic": "hauls.events", "partition": "0"}
FOLDER = ROOT / "infra" / "observability" / "grafana" / "dashboards"
DASHBOARDS = {board.uid: json.loads((FOLDER / board.file).read_text()) for board in BOARDS}
LABEL_VALUES = re.compile(r"label_values\((.+), (\w+)\)")

Answers = dict[str, list[Series]]

every_board = pytest.mark.parametrize("uid", DASHBOARDS)


@dataclass(frozen=True, slots=True)
class Seen:
    """A mesh that has been through all: what Prometheus knows of it, and of which time."""

    url: str
    began: float
    ended: float
    spans: Collector

    def prometheus(self, uid: str = "") -> Prometheus:
        """As somebody asks it on a board."""
        one_of = next((board.one_of for board in BOARDS if board.uid == uid), ())
        return Prometheus(self.url, VARIABLES | {choice.value: ONE[choice.value] for choice in one_of})

    def answers(self, uid: str, panel: dict[str, Any]) -> Answers:
        """By the letter of the question. A table asks for one moment: here for each, as a fault is over at the end."""
        prometheus = self.prometheus(uid)
        return {
            target["refId"]: prometheus.over(target["expr"], self.began, self.ended, STEP_S)
            for target in panel["targets"]
        }


@pytest.fixture(scope="module")
def seen(traced: tuple[TestMesh, Collector]) -> Seen:
    if not Program.available():
        pytest.skip("needs prometheus, which is not on the PATH (Debian: apt-get install prometheus)")
    mesh, spans = traced
    url = mesh.env["ATLAS_PROMETHEUS_URL"]
    watched = Watched(mesh, Prometheus(url, VARIABLES))
    asyncio.run(watched.go_through_all())
    # One step more, or what happened last would be between two.
    return Seen(url, watched.began, time.time() + STEP_S, spans)


def panels(uid: str) -> list[dict[str, Any]]:
    return [panel for panel in DASHBOARDS[uid]["panels"] if panel["type"] != "row"]


@every_board
def test_every_panel_has_an_answer(seen: Seen, uid: str) -> None:
    faults = []
    for panel in panels(uid):
        for letter, answer in seen.answers(uid, panel).items():
            if not answer:
                faults.append(f"{panel['title']} {letter}: empty")
            faults += [f"{panel['title']} {letter}: {s.labels} is no number" for s in answer if not s.is_finite]
    assert not faults, "\n".join(faults)


@every_board
def test_every_variable_has_values(seen: Seen, uid: str) -> None:
    for variable in DASHBOARDS[uid]["templating"]["list"]:
        found = LABEL_VALUES.fullmatch(variable["query"]["query"])
        assert found is not None
        assert seen.prometheus(uid).values(found[2], found[1]), f"no {variable['name']}"


def test_every_annotation_marks_what_happened(seen: Seen) -> None:
    for annotation in DASHBOARDS["atlas-mesh"]["annotations"]["list"]:
        step = float(annotation["step"].removesuffix("s"))
        marks = seen.prometheus().over(annotation["expr"], seen.began, seen.ended, step)
        assert marks, f"nothing is marked: {annotation['name']}"
        assert all(mark.is_finite for mark in marks), annotation["name"]


@pytest.mark.parametrize("histogram", EXEMPLARS)
def test_a_point_of_a_time_leads_to_its_trace(seen: Seen, histogram: str) -> None:
    found = seen.prometheus().exemplars(f"{histogram}_bucket", seen.began, seen.ended)
    assert found, "no exemplar"
    assert any(seen.spans.of(labels["trace_id"]) for labels in found), "nobody has these traces"


def test_every_rule_is_evaluated_without_an_error(seen: Seen) -> None:
    rules = seen.prometheus().rules()
    assert len(rules) > 10
    assert [rule["name"] for rule in rules if rule["health"] != "ok"] == []


@every_board
def test_a_board_is_drawn(seen: Seen, uid: str) -> None:
    file = PICTURES / f"{uid.removeprefix('atlas-')}.png"
    file.parent.mkdir(parents=True, exist_ok=True)
    picture(DASHBOARDS[uid], {panel["id"]: seen.answers(uid, panel) for panel in panels(uid)}, file)
    assert file.read_bytes().startswith(b"\x89PNG")
