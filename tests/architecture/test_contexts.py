"""Contexts are the team's, the rest is Atlas's: neither reaches into the other, and no engine names a sample."""

import ast
import re
from pathlib import Path
from typing import Any

import pytest
from atlas_cli.scaffold.naming import context_name
from atlas_cli.terminal.output import CommandError
from atlas_runtime.migrations import OF_LIBS

# This one, and one that looks for what is left of samples.
NAME_SAMPLES = {"tests/architecture/test_contexts.py", "tests/e2e/test_mine.py"}
# What a context may be built on.
OFFERED = {
    "atlas_avro",
    "atlas_contracts",
    "atlas_flags",
    "atlas_http",
    "atlas_projection",
    "atlas_readmodel",
    "atlas_runtime",
}
# What a projection must not ask for: its handlers are pure functions of a row and an event.
IMPURE = {
    "aiohttp",
    "aiokafka",
    "asyncio",
    "asyncpg",
    "atlas_flags",
    "atlas_http",
    "redis",
    "socket",
    "subprocess",
    "time",
}


def imported(tree: ast.Module) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found.add(node.module.partition(".")[0])
    return found


def ours(tree: ast.Module) -> set[str]:
    return {name for name in imported(tree) if name.startswith("atlas_")}


def test_a_context_is_built_on_what_is_offered_and_knows_no_other(packages: list[Any]) -> None:
    contexts = [package for package in packages if package.is_context]
    wrong = [
        f"{module.where} imports {name}"
        for package in contexts
        for module in package.modules
        for name in sorted(ours(module.tree) - OFFERED - {package.source.name})
    ]
    assert not wrong, "\n".join(wrong)


def test_projections_are_pure(packages: list[Any]) -> None:
    wrong = [
        f"{module.where} imports {name}"
        for package in packages
        if package.is_context
        for module in package.modules
        if {"projection", "projections"} & set(module.parts)
        for name in sorted(imported(module.tree) & IMPURE)
    ]
    assert not wrong, "\n".join(wrong)


def test_no_engine_imports_a_context(packages: list[Any]) -> None:
    contexts = {package.source.name for package in packages if package.is_context}
    wrong = [
        f"{module.where} imports {name}"
        for package in packages
        if not package.is_context
        for module in package.modules
        for name in sorted(imported(module.tree) & contexts)
    ]
    assert not wrong, "\n".join(wrong)


def test_no_engine_names_an_event_of_a_context(packages: list[Any]) -> None:
    """An event's type (`users.UserRegistered`), or a topic of one, in code or in prose."""
    names = "|".join(sorted(package.kebab for package in packages if package.is_context))
    event = re.compile(rf"\b({names})\.([A-Z]\w+|events)\b")
    wrong = []
    for package in packages:
        for module in package.modules if not package.is_context else ():
            lines = module.path.read_text(encoding="utf-8").splitlines()
            wrong += [f"{module.where}:{number}: {line}" for number, line in enumerate(lines, 1) if event.search(line)]
    assert not wrong, "\n".join(wrong)


def test_what_a_context_offers_is_under_its_name(packages: list[Any]) -> None:
    """So that one setting chooses all of it."""
    wrong = []
    for package in packages:
        groups = package.metadata["project"].get("entry-points", {})
        offered = {name: entries for name, entries in groups.items() if name.startswith("atlas.")}
        if not package.is_context:
            wrong += [f"{package.kebab} offers {name}, and is no context" for name in offered if name != OF_LIBS]
        for group, entries in offered.items():
            wrong += [f"{package.kebab}: {group} has {name}" for name in entries if name != package.kebab]
    assert not wrong, "\n".join(wrong)


def test_what_has_migrations_offers_them(packages: list[Any]) -> None:
    for package in packages:
        group = "atlas.migrations" if package.is_context else OF_LIBS
        offered = package.metadata["project"].get("entry-points", {}).get(group, {})
        wanted = {package.kebab: f"{package.source.name}.migrations"} if package.migrates else {}
        assert offered == wanted, f"{package.kebab}: {group}"


def test_no_context_can_be_called_as_a_lib_with_migrations(packages: list[Any]) -> None:
    """Both are branches."""
    for package in packages:
        if package.migrates and not package.is_context:
            with pytest.raises(CommandError):
                context_name(package.kebab)


def test_no_test_of_an_engine_names_a_sample(packages: list[Any]) -> None:
    """So that these tests stay when a team takes the samples out. A team's own context may be called as it likes."""
    names = "|".join(
        package.kebab for package in packages if package.metadata.get("tool", {}).get("atlas", {}).get("sample")
    )
    if not names:
        return
    sample = re.compile(rf"\b(atlas_)?({names})\b")
    root = Path(__file__).parents[2]
    files = {path.relative_to(root).as_posix(): path for path in (root / "tests").rglob("*.py")}
    naming = {where for where, path in files.items() if sample.search(path.read_text(encoding="utf-8"))}
    assert naming <= NAME_SAMPLES, "these name a sample: " + ", ".join(sorted(naming - NAME_SAMPLES))
