"""Every module has tests, and a unit test file has a module."""

import ast
from pathlib import Path
from typing import Any

# What these hold is tested by what uses them.
BY_NAME = {
    "__init__": "a docstring, or a table of what is beside it",
    "__main__": "tests/architecture/test_services.py",
    "settings": "tests/contract/test_compose.py makes each from its environment, .env.sample documents each field",
    "metrics": "declarations; tests/contract/test_observability.py reads them, the tests of the loops their values",
}
# By path: the test file that covers the module instead, which must exist.
ELSEWHERE = {
    "infra/local/atlas_local/testing.py": "tests/conftest.py",
    "infra/docker/healthcheck.py": "tests/unit/docker/test_healthcheck.py",
}
# A folder of tests whose modules are not a package's.
NOT_OF_A_PACKAGE = {"docker", "postgres", "types", "e2e"}
# A sleep of so long is never waited for: it stands for something that hangs.
SLEEP_IS_A_HANG_S = 10
KINDS = ("unit", "integration", "contract", "e2e", "chaos")


def candidates(root: Path, module: Any) -> list[Path]:
    """Where the tests of a module may be."""
    folder = module.package.source.name.removeprefix("atlas_")
    *parents, name = module.parts
    if module.package.is_context:
        return [module.package.directory.joinpath("tests", *parents, f"test_{name}.py")]
    return [root.joinpath("tests", kind, folder, *parents, f"test_{name}.py") for kind in KINDS]


def test_every_module_has_a_test_file_of_its_name_or_is_reached_by_one(root: Path, modules: list[Any]) -> None:
    """A module that has no test file of its name must be imported by tests, or by modules that tests import."""
    paths = {f"{m.package.source.name}.{'.'.join(m.parts)}".removesuffix(".__init__"): root / m.where for m in modules}
    reached: set[str] = set()
    waiting = {name for path in _test_files(root) for name in _imports(path)}
    # What a context offers is found by its entry points; the tests of the gateway and the projector load it.
    waiting |= {value.partition(":")[0] for module in modules for value in _offered(module.package)}
    # Tests start services and the command as programs: their entries are reached without an import.
    waiting |= {name for name in paths if name.endswith((".__main__", "atlas_cli.main", "atlas_local.prefetch"))}
    while waiting:
        name = waiting.pop()
        if name in paths and name not in reached:
            reached.add(name)
            waiting |= _imports(paths[name]) - reached
    missing = [
        str(path.relative_to(root))
        for name, path in paths.items()
        if name not in reached
        and ".migrations." not in name
        and path.stem not in BY_NAME
        and str(path.relative_to(root)) not in ELSEWHERE
    ]
    assert not missing, f"{len(missing)} modules that no test reaches:\n" + "\n".join(missing)


def _test_files(root: Path) -> list[Path]:
    return [path for folder in (root / "tests", *root.glob("contexts/*/tests")) for path in folder.rglob("*.py")]


def _offered(package: Any) -> list[str]:
    groups = package.metadata["project"].get("entry-points", {})
    return [value for name, entries in groups.items() if name.startswith("atlas.") for value in entries.values()]


def _imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return {name for name in found if name.startswith("atlas_")}


def test_every_unit_test_file_has_a_module(root: Path, modules: list[Any]) -> None:
    known = {path for module in modules for path in candidates(root, module)}
    found = sorted([*(root / "tests" / "unit").rglob("test_*.py"), *root.glob("contexts/*/tests/**/test_*.py")])
    stray = [path for path in found if path not in known and path.parent.name not in NOT_OF_A_PACKAGE]
    assert not stray, "named for no module:\n" + "\n".join(str(path.relative_to(root)) for path in stray)


def test_the_exceptions_are_still_needed(root: Path, modules: list[Any]) -> None:
    paths = {module.where for module in modules} | {str(p.relative_to(root)) for p in root.glob("infra/docker/*.py")}
    for path, test in ELSEWHERE.items():
        assert path in paths, f"{path} is gone: so should its exception be"
        assert (root / test).exists(), test


def test_no_test_file_is_empty(root: Path) -> None:
    empty = [
        str(path.relative_to(root))
        for path in sorted(_test_files(root))
        if path.name.startswith("test_") and "def test_" not in path.read_text() and "TestCase" not in path.read_text()
    ]
    assert not empty, "\n".join(empty)


def test_no_test_sleeps_to_wait(root: Path) -> None:
    """`wait_until` asks and says what was missing. A sleep in a loop is a pace; one of a minute stands for a hang."""
    slept = []
    for path in sorted(_test_files(root)):
        tree = ast.parse(path.read_text())
        loops = [node for node in ast.walk(tree) if isinstance(node, ast.While | ast.For | ast.AsyncFor)]
        paced = {id(inner) for loop in loops for inner in ast.walk(loop)}
        slept += [
            f"{path.relative_to(root)}:{node.lineno}: {ast.unparse(node)}"
            for node in ast.walk(tree)
            if id(node) not in paced and isinstance(node, ast.Call) and _is_short_sleep(node)
        ]
    assert not slept, "\n".join(slept)


def _is_short_sleep(call: ast.Call) -> bool:
    seconds = call.args[0] if call.args else None
    return (
        ast.unparse(call.func) in {"time.sleep", "asyncio.sleep"}
        and isinstance(seconds, ast.Constant)
        and isinstance(seconds.value, int | float)
        and 0 < seconds.value < SLEEP_IS_A_HANG_S
    )
