"""The metrics that the code declares, found in its text; and the tables of docs/metrics.md, made of them.

`python -m tests.metric_families` writes the tables into the page.
"""

import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "metrics.md"

KINDS = {
    "Counter": "counter",
    "CounterMetricFamily": "counter",
    "Gauge": "gauge",
    "GaugeMetricFamily": "gauge",
    "Histogram": "histogram",
}
_MARKS = re.compile(r"(?s)<!-- ([a-z, -]+) -->\n.*?<!-- end -->")


@dataclass(frozen=True, slots=True, order=True)
class Family:
    """A metric: its name as it is exposed, and where it is declared."""

    name: str
    kind: str
    labels: tuple[str, ...]
    help: str
    package: str
    file: str

    @property
    def row(self) -> str:
        """The metric's row in the page."""
        labels = ", ".join(f"`{label}`" for label in self.labels) or "-"
        return f"| `{self.name}` | {self.kind} | {labels} | {self.help} |"


def families() -> list[Family]:
    """Every metric that libs, contexts and services declare, by name."""
    files = [file for folder in ("libs", "contexts", "services") for file in ROOT.glob(f"{folder}/*/atlas_*/**/*.py")]
    return sorted(family for file in files for family in _declared(file))


def module_of(file: str) -> str:
    """The name that a file's module is imported by."""
    _folder, _package, *parts = Path(file).with_suffix("").parts
    return ".".join(parts)


def _declared(file: Path) -> Iterator[Family]:
    tree = ast.parse(file.read_text())
    constants = {
        target.id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    where = file.relative_to(ROOT)
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        # A name and a help text: a Counter of collections has neither.
        if isinstance(call.func, ast.Name) and call.func.id in KINDS and len(call.args) > 1:
            kind = KINDS[call.func.id]
            name = str(ast.literal_eval(call.args[0]))
            exposed = f"{name.removesuffix('_total')}_total" if kind == "counter" else name
            about = str(ast.literal_eval(call.args[1]))
            yield Family(exposed, kind, _labels(call, constants), about, where.parts[1], str(where))


def _labels(call: ast.Call, constants: dict[str, ast.expr]) -> tuple[str, ...]:
    given = [*call.args[2:3], *(word.value for word in call.keywords if word.arg in {"labels", "labelnames"})]
    if not given:
        return ()
    value = constants[given[0].id] if isinstance(given[0], ast.Name) else given[0]
    return tuple(ast.literal_eval(value))


def page(text: str, found: Iterable[Family]) -> str:
    """The page with its tables as they should be: each between marks that name the packages it is of."""
    known = list(found)

    def table(mark: re.Match[str]) -> str:
        packages = mark[1].split(", ")
        rows = [family.row for family in known if family.package in packages]
        head = ["| metric | type | labels | what it is |", "|---|---|---|---|"]
        return "\n".join([f"<!-- {mark[1]} -->", *head, *rows, "<!-- end -->"])

    return _MARKS.sub(table, text)


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(), families()))
