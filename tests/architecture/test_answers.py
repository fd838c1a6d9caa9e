"""No answer grows with what callers have put in: every GET of every service has pages, or says here what bounds it."""

import ast
from pathlib import Path
from typing import Any

from aiohttp import web
from atlas_contracts.registry import Registry
from atlas_gateway.app import documented

from tests import neutral
from tests.architecture.conftest import ROOT
from tests.contexts import SCHEMAS

# Path to what bounds its answer, of those that are no list with pages.
ONE = "one entity, one document, one state"
BOUNDED = {
    "/schemas/types": ONE,
    "/schemas/ids/{id}": ONE,
    "/schemas/ids/{id}/schema": ONE,
    "/schemas/ids/{id}/versions": "an id is one version of one subject",
    "/subjects/{subject}/versions/{version}": ONE,
    "/subjects/{subject}/versions/{version}/schema": ONE,
    "/config": ONE,
    "/config/{subject}": ONE,
    "/mode": ONE,
    "/": ONE,
    "/docs": ONE,
    "/redoc": ONE,
    "/docs/assets/{name}": ONE,
    "/health": ONE,
    "/health/live": ONE,
    "/health/ready": ONE,
    "/metrics": "labels are of topics, groups and templates of routes, never of callers",
    "/health/mesh": "the known services, and ATLAS_HEALTH_OTHER_SERVICES_MAX more with ATLAS_HEALTH_INSTANCES_MAX each",
    "/outbox": "the 8 groups of shards",
    "/outbox/parked": "`limit`, at most 1,000, and `after`",
    "/projections": "the projections that the code has, each with the generations that are kept",
    "/projections/{name}/rebuild": ONE,
    "/projections/{name}/owner": ONE,
    "/dead-letters": "the first 1,000, with their number",
    "/dead-letters/{id:.+}": ONE,
}
PAGED_ELSEWHERE = {"/groups", "/lag", "/lag/history", "/ledger"}


def test_every_get_of_the_gateway_has_pages_or_a_bound() -> None:
    everything = Registry.load(SCHEMAS)
    found = [route for route in documented(everything, neutral.ROUTES) if route.method == "GET"]
    wrong = []
    for route in found:
        names = {parameter["name"] for parameter in route.parameters}
        of_one = route in neutral.ROUTES and route.path.endswith("}")
        if route.path not in BOUNDED and not of_one and not {"limit", "cursor"} <= names:
            wrong.append(f"GET {route.path} has no `limit` and `cursor`, and nothing here bounds it")
    assert len(found) > 15
    assert not wrong, "\n".join(wrong)


def test_every_other_get_has_a_bound(packages: list[Any]) -> None:
    found = {
        path: module.where
        for package in packages
        if package.is_service or package.kebab == "runtime"
        for module in package.modules
        for path in _gets(module.tree)
    }
    wrong = [
        f"{where}: GET {path} has no pages, and nothing here bounds it"
        for path, where in found.items()
        if path not in BOUNDED and path not in PAGED_ELSEWHERE
    ]
    assert {"/lag", "/lag/history", "/dead-letters", "/outbox/parked", "/metrics"} <= set(found)
    assert not wrong, "\n".join(wrong)


def _gets(tree: ast.Module) -> list[str]:
    """The paths of `web.get("…", …)`."""
    return [
        node.args[0].value
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == web.get.__name__
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id == "web"
        and isinstance(node.args[0], ast.Constant)
        and isinstance(node.args[0].value, str)
    ]


def test_the_table_has_no_path_that_is_gone() -> None:
    text = "".join(path.read_text() for path in _sources())
    assert [path for path in BOUNDED if f'"{path}"' not in text] == []


def _sources() -> list[Path]:
    return [path for folder in ("libs", "contexts", "services") for path in sorted((ROOT / folder).rglob("*.py"))]
