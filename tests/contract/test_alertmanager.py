"""Alertmanager's configuration: valid by its own tools, about alerts that there are, and one call for one cause."""

import asyncio
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import Request, urlopen

import pytest
import yaml
from atlas_local.ports import free_port
from atlas_local.waiting import wait_until

from tests.contract.test_alerts import ALERTS, PAGE, TICKET

CONFIG = Path(__file__).resolve().parents[2] / "infra" / "observability" / "alertmanager.yml"
INHIBIT: list[dict[str, Any]] = yaml.safe_load(CONFIG.read_text())["inhibit_rules"]
NAMED = re.compile(r'alertname(=~?)"(.+)"')
NEVER_HELD_BACK = {
    "RecordsLost",
    "RecordsUnaccounted",
    "RetentionNear",
    "ArchiveGap",
    "ArchiveLostWithTopic",
    "EntityVersionsMissing",
}

Labels = dict[str, str]


class Alertmanager:
    def __init__(self, url: str) -> None:
        self._url = url

    def ask(self, path: str, body: object = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        asked = Request(f"{self._url}{path}", data, {"Content-Type": "application/json"})
        with urlopen(asked, timeout=10) as response:
            text = response.read()
            return json.loads(text) if text.startswith((b"[", b"{")) else text

    def ready(self) -> bool:
        try:
            return bool(self.ask("/-/ready"))
        except URLError:
            return False

    def called_for(self, alerts: list[Labels]) -> dict[str, set[str]]:
        """Of alerts that fire together, those that each receiver hears of."""
        incident = {"incident": str(free_port())}  # apart from those of other tests
        self.ask("/api/v2/alerts", [{"labels": {**alert, **incident}} for alert in alerts])
        found: list[dict[str, Any]] = []

        def all_there() -> bool:
            found[:] = [each for each in self.ask("/api/v2/alerts") if incident.items() <= each["labels"].items()]
            return len(found) == len(alerts) and all(each["status"]["state"] != "unprocessed" for each in found)

        asyncio.run(wait_until("the alerts to be there", all_there, 30))
        heard: dict[str, set[str]] = {"page": set(), "ticket": set()}
        for each in found:
            if not each["status"]["inhibitedBy"]:
                heard[each["receivers"][0]["name"]].add(each["labels"]["alertname"])
        return heard


@pytest.fixture(scope="module")
def alertmanager(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Alertmanager]:
    """A real one, with this configuration, of which incidents do not touch each other."""
    program = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
    if program is None:
        pytest.skip("prometheus-alertmanager is not installed")
    folder: Path = tmp_path_factory.mktemp("alertmanager")
    configuration = yaml.safe_load(CONFIG.read_text())
    for rule in configuration["inhibit_rules"]:
        rule["equal"] = [*rule.get("equal", ()), "incident"]
    (folder / "alertmanager.yml").write_text(yaml.safe_dump(configuration))
    address = f"127.0.0.1:{free_port()}"
    arguments = [f"--config.file={folder / 'alertmanager.yml'}", f"--storage.path={folder / 'data'}"]
    arguments += [f"--web.listen-address={address}", "--cluster.listen-address="]
    with ExitStack() as stack:
        log = stack.enter_context((folder / "log").open("w"))
        process = subprocess.Popen([program, *arguments], cwd=folder, stdout=log, stderr=log)
        stack.callback(process.wait, 30)
        stack.callback(process.terminate)
        asked = Alertmanager(f"http://{address}")
        asyncio.run(wait_until("Alertmanager to answer", asked.ready, 60, 0.2))
        yield asked


def fired(name: str, **labels: str) -> Labels:
    return {"alertname": name, "severity": ALERTS[name]["labels"]["severity"], **labels}


def test_it_is_valid(run_program: Any) -> None:
    run_program("amtool", "check-config", CONFIG)


@pytest.mark.parametrize(("severity", "receiver"), [(PAGE, "page"), (TICKET, "ticket"), ("unheard-of", "ticket")])
def test_the_severity_says_who_hears_of_it(run_program: Any, severity: str, receiver: str) -> None:
    said = run_program("amtool", "config", "routes", "test", f"--config.file={CONFIG}", f"severity={severity}")
    assert receiver in said.splitlines()


def test_what_it_holds_back_are_alerts_that_there_are() -> None:
    for rule in INHIBIT:
        for matcher in (*rule["source_matchers"], *rule["target_matchers"]):
            if named := NAMED.fullmatch(matcher):
                sign, pattern = named.groups()
                # Each alternative of its own: one that is misspelt holds back nothing.
                parts = alternatives(pattern) if sign == "=~" else [pattern]
                gone = [part for part in parts if not any(re.fullmatch(part, name) for name in ALERTS)]
                assert not gone, f"{matcher}: there is no {gone}"


def alternatives(pattern: str) -> list[str]:
    """`A|B(C|D)|E.+`, taken apart to A, BC, BD, E.+"""
    for part in (parts := re.split(r"\|(?![^(]*\))", pattern)):
        if inner := re.search(r"\(([^)]*)\)(\??)", part):
            choices = [*inner[1].split("|"), *([""] if inner[2] else [])]
            spread = [part[: inner.start()] + choice + part[inner.end() :] for choice in choices]
            return [each for one in parts for each in (spread if one is part else alternatives(one))]
    return parts


def test_a_pattern_is_taken_apart() -> None:
    assert alternatives("A(B|C)|D(E)?|F.+") == ["AB", "AC", "DE", "D", "F.+"]


def test_lost_data_are_never_held_back() -> None:
    for rule in INHIBIT:
        for matcher in rule["target_matchers"]:
            if named := NAMED.fullmatch(matcher):
                assert not [name for name in NEVER_HELD_BACK if re.fullmatch(named[2], name)]


def test_kafka_away_is_one_call(alertmanager: Alertmanager) -> None:
    heard = alertmanager.called_for(
        [
            fired("DependencyDown", dependency="kafka"),
            fired("OutboxStalled"),
            fired("ServiceDegraded", service="relay"),
            fired("ConsumerStalled", group="projector.yards"),
            fired("LagUnknown"),
            fired("CanaryLost", way="command"),
            fired("ErrorBudgetBurnsFast", slo="produce"),
            fired("RecordsLost", group="archiver", topic="yards.events"),
            fired("OutboxParked"),
        ]
    )
    assert heard == {"page": {"DependencyDown", "RecordsLost"}, "ticket": {"OutboxParked"}}


def test_a_projector_that_is_down_is_one_call(alertmanager: Alertmanager) -> None:
    heard = alertmanager.called_for(
        [
            fired("ServiceDown", service="projector"),
            fired("TargetUnreachable", service="projector", job="projector"),
            fired("ConsumerAbandoned", group="projector.yards"),
            fired("ConsumerLagging", group="projector.yards", topic="yards.events"),
            # It is up, and this is its own.
            fired("ConsumerStalled", group="archiver"),
        ]
    )
    assert heard == {"page": {"ServiceDown", "ConsumerStalled"}, "ticket": set()}


def test_without_a_cause_each_is_heard(alertmanager: Alertmanager) -> None:
    heard = alertmanager.called_for(
        [
            fired("OutboxStalled"),
            fired("DependencyDown", dependency="object_store"),
            fired("ConsumerLagging", group="projector.yards", topic="yards.events"),
            fired("TransactionBlocksReaders", topic="hauls.events"),
        ]
    )
    assert heard == {
        "page": {"OutboxStalled", "DependencyDown", "TransactionBlocksReaders"},
        "ticket": {"ConsumerLagging"},
    }


def test_one_burn_is_one_call(alertmanager: Alertmanager) -> None:
    names = ("ErrorBudgetBurnsFast", "ErrorBudgetBurns", "ErrorBudgetBurnsSlowly")
    alerts = [fired(name, slo="query") for name in names] + [fired("ErrorBudgetBurns", slo="freshness")]
    heard = alertmanager.called_for(alerts)
    assert heard == {"page": {"ErrorBudgetBurnsFast", "ErrorBudgetBurns"}, "ticket": set()}
