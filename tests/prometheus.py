"""Asks a Prometheus what Grafana would ask it, with the variables of a dashboard in their place; starts one."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest
import yaml
from atlas_local.ports import free_port

_VARIABLE = re.compile(r"\$(\w+)")


@dataclass(frozen=True, slots=True)
class Series:
    """One answer: labels, and points of time in s and value, at least one."""

    labels: Mapping[str, str]
    points: Sequence[tuple[float, float]]

    @property
    def last(self) -> float:
        """The newest value."""
        return self.points[-1][1]

    @property
    def is_finite(self) -> bool:
        """Whether every value can be drawn."""
        return all(isfinite(value) for _time, value in self.points)


@contextmanager
def started(folder: Path, configuration: Mapping[str, Any]) -> Iterator[str]:
    """Within the block a Prometheus of its own runs in `folder`, maybe not ready yet; its URL."""
    program = shutil.which("prometheus")
    if program is None:
        pytest.skip("prometheus is not installed")
    (folder / "prometheus.yml").write_text(yaml.safe_dump(dict(configuration), sort_keys=False))
    address = f"127.0.0.1:{free_port()}"
    arguments = [f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'tsdb'}"]
    with ExitStack() as stack:
        log = stack.enter_context((folder / "log").open("w"))
        process = subprocess.Popen(
            [program, *arguments, f"--web.listen-address={address}"], cwd=folder, stdout=log, stderr=log
        )
        stack.callback(process.wait, 30)
        stack.callback(process.terminate)
        yield f"http://{address}"


class Prometheus:
    """`variables`: what `$name` stands for in an expression; a name that is missing fails."""

    def __init__(self, url: str, variables: Mapping[str, str] | None = None) -> None:
        self._url, self._variables = url, variables or {}

    def over(self, expression: str, start: float, end: float, step_s: float) -> list[Series]:
        """The answer for every step of a time; raises AssertionError with what Prometheus says of a bad expression."""
        asked = {"query": self.filled(expression), "start": start, "end": end, "step": step_s}
        return [_series(each["metric"], each["values"]) for each in self._get("query_range", asked)["result"]]

    def now(self, expression: str, at: float | None = None) -> list[Series]:
        """The answer for one moment."""
        asked: dict[str, object] = {"query": self.filled(expression)} | ({} if at is None else {"time": at})
        return [_series(each["metric"], [each["value"]]) for each in self._get("query", asked)["result"]]

    def values(self, label: str, selector: str) -> list[str]:
        """The values of a label on the series that a selector chooses."""
        found: list[str] = self._get(f"label/{label}/values", {"match[]": self.filled(selector)})
        return found

    def exemplars(self, expression: str, start: float, end: float) -> list[dict[str, str]]:
        """The labels of every exemplar of the series that an expression is of."""
        found = self._get("query_exemplars", {"query": self.filled(expression), "start": start, "end": end})
        return [each["labels"] for series in found for each in series["exemplars"]]

    def rules(self) -> list[dict[str, Any]]:
        """Every rule as it was evaluated last: `name`, `health`, `lastError`."""
        return [rule for group in self._get("rules", {})["groups"] for rule in group["rules"]]

    def filled(self, expression: str) -> str:
        """The expression with every variable in its place."""
        return _VARIABLE.sub(lambda found: self._variables[found[1]], expression)

    def _get(self, what: str, asked: Mapping[str, object]) -> Any:
        try:
            with urlopen(f"{self._url}/api/v1/{what}?{urlencode(asked)}", timeout=30) as response:
                return json.load(response)["data"]
        except HTTPError as error:
            raise AssertionError(f"{asked}: {error.read().decode()}") from error


def _series(labels: Mapping[str, str], points: Sequence[tuple[float, str]]) -> Series:
    return Series(labels, [(float(time), float(value)) for time, value in points])
