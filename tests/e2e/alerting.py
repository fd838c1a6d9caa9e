"""A Prometheus that watches a mesh by the project's own rules, with shorter times."""

import asyncio
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import yaml
from atlas_local.home import ROOT
from atlas_local.servers.prometheus import TEMPLATE, with_targets
from atlas_local.testing import TestMesh
from atlas_local.topology import MESH, Kind
from atlas_local.waiting import wait_until

from tests.prometheus import started

SERVICES = [part.name for part in MESH if part.kind is Kind.SERVICE]
RANGE = re.compile(r"\[(\d+[mhd])\]|offset (\d+[mhd])\b")
# A scrape is every second. The order of the windows stays.
SHORTER = {
    "1m": "10s",
    "2m": "10s",
    "5m": "10s",
    "10m": "15s",
    "15m": "15s",
    "30m": "15s",
    "1h": "20s",
    "6h": "25s",
    "3d": "30s",
}
FOR = "1s"
# The aggregator looks at lag every five seconds, a window goes by, and machines are busy.
WITHIN_S = 120.0


def shorter(rules: Mapping[str, Any]) -> dict[str, Any]:
    """The same rules, evaluated each second, that wait for a second and look back for less than a minute."""
    groups = []
    for group in rules["groups"]:
        changed = [
            {**rule, "expr": RANGE.sub(_shorter, rule["expr"]), **({"for": FOR} if "for" in rule else {})}
            for rule in group["rules"]
        ]
        groups.append({**group, "interval": "1s", "rules": changed})
    return {"groups": groups}


def _shorter(found: "re.Match[str]") -> str:
    return f"[{SHORTER[found[1]]}]" if found[1] else f"offset {SHORTER[found[2]]}"


class Alerts:
    """What fires, by what a Prometheus answers."""

    def __init__(self, url: str) -> None:
        self._url = url

    def firing(self) -> list[dict[str, str]]:
        """The labels of each alert that fires now."""
        alerts = self._get("alerts")["alerts"]
        return [alert["labels"] for alert in alerts if alert["state"] == "firing"]

    def scraped(self) -> bool:
        """Whether it runs and has an answer of every service."""
        try:
            targets = self._get("targets")["activeTargets"]
        except (URLError, ConnectionError):
            return False
        return [target["health"] for target in targets] == ["up"] * len(SERVICES)

    def broken(self) -> dict[str, str]:
        """Rules that can't be evaluated, with the error."""
        rules = [rule for group in self._get("rules")["groups"] for rule in group["rules"]]
        return {rule["name"]: rule["lastError"] for rule in rules if rule["health"] == "err"}

    def has(self, wanted: Mapping[str, str]) -> bool:
        """Whether an alert with these labels fires."""
        return any(wanted.items() <= labels.items() for labels in self.firing())

    async def fire(self, *wanted: Mapping[str, str]) -> None:
        """Wait until an alert fires with each of these labels."""
        for each in wanted:
            await self._until(each, True)

    async def fall_silent(self, *wanted: Mapping[str, str]) -> None:
        """Wait until none fires with any of these labels."""
        for each in wanted:
            await self._until(each, False)

    async def _until(self, wanted: Mapping[str, str], fires: bool) -> None:
        async def so() -> bool:
            return await asyncio.to_thread(self.has, wanted) is fires

        try:
            await wait_until(f"{wanted} to {'fire' if fires else 'fall silent'}", so, WITHIN_S, 0.5)
        except TimeoutError as error:
            raise AssertionError(f"{error}; there fire {self.firing()}, broken: {self.broken()}") from error

    def _get(self, what: str) -> Any:
        with urlopen(f"{self._url}/api/v1/{what}", timeout=30) as response:
            return json.load(response)["data"]


@contextmanager
def watching(mesh: TestMesh, folder: Path) -> Iterator[Alerts]:
    """Within the block a Prometheus evaluates the rules of this checkout, made shorter, on that mesh."""
    targets = {name: mesh.url(name).removeprefix("http://") for name in SERVICES}
    configuration: dict[str, Any] = with_targets(yaml.safe_load(TEMPLATE.read_text()), targets, folder)
    configuration["global"] = {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
    for name in map(Path, configuration["rule_files"]):
        rules = yaml.safe_load((ROOT / "infra/observability" / name.name).read_text())
        name.write_text(yaml.safe_dump(shorter(rules), sort_keys=False))
    with started(folder, configuration) as url:
        alerts = Alerts(url)
        asyncio.run(wait_until("Prometheus to have scraped every service", alerts.scraped, 60, 0.2))
        yield alerts
