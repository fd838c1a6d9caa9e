"""The examples: each has a README that names what it needs, and a test that runs it; none names a sample."""

import ast
import re
from pathlib import Path
from typing import Any

import pytest
from atlas_contracts.checks import check

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = sorted(readme.parent for readme in (ROOT / "examples").glob("*/README.md"))
WHEELS = re.compile(r"dist/atlas_\{([a-z_,]+)\}-\*\.whl")

each = pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)


def imported(folder: Path) -> set[str]:
    """The packages of ours that its modules import."""
    found: set[str] = set()
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module:
                found.add(node.module.partition(".")[0])
            elif isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
    return {name.removeprefix("atlas_") for name in found if name.startswith("atlas_")}


@each
def test_a_readme_names_the_wheels_that_are_needed_and_no_others(folder: Path, packages: list[Any]) -> None:
    needs = {
        package.kebab.replace("-", "_"): {
            name.removeprefix("atlas-").replace("-", "_")
            for name in package.metadata["project"]["dependencies"]
            if name.startswith("atlas-")
        }
        for package in packages
    }
    needed, waiting = set(), list(imported(folder))
    while waiting:
        name = waiting.pop()
        if name not in needed:
            needed.add(name)
            waiting += needs[name]
    (named,) = WHEELS.findall((folder / "README.md").read_text())
    assert named.split(",") == sorted(needed)


@each
def test_a_test_runs_it(folder: Path) -> None:
    name = folder.name.replace("-", "_")
    assert (ROOT / "tests" / "integration" / "examples" / f"test_{name}.py").exists()


def test_every_folder_with_code_is_an_example() -> None:
    code = {path.relative_to(ROOT / "examples").parts[0] for path in (ROOT / "examples").rglob("*.py")}
    assert code == {folder.name for folder in FOLDERS}


def test_their_code_names_no_sample(packages: list[Any]) -> None:
    names = "|".join(package.kebab for package in packages if package.is_context)
    naming = [
        str(path.relative_to(ROOT))
        for folder in (*FOLDERS, ROOT / "examples" / "schemas")
        for path in folder.rglob("*")
        if path.is_file() and path.suffix != ".pyc" and re.search(rf"\b(atlas_)?({names})\b", path.read_text())
    ]
    assert not naming


def test_their_schemas_hold_to_the_rules_of_schemas() -> None:
    assert check(ROOT / "examples" / "schemas") == []
