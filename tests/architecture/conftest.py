"""The packages of the checkout, as the rules see them. A rule collects every breach, so that one run shows them all."""

import ast
import subprocess
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Module:
    """A Python file of a package; `dotted` is the name it is imported by, `parts` what follows the package in it."""

    path: Path
    package: "Package"

    @property
    def where(self) -> str:
        """The path inside the checkout."""
        return str(self.path.relative_to(ROOT))

    @property
    def parts(self) -> tuple[str, ...]:
        """`("commands", "events", "topics")` for atlas_cli/commands/events/topics.py."""
        return self.path.relative_to(self.package.source).with_suffix("").parts

    @property
    def dotted(self) -> str:
        """`atlas_cli.commands.events.topics`; of an `__init__`, the package it makes."""
        return ".".join((self.package.source.name, *(part for part in self.parts if part != "__init__")))

    @cached_property
    def tree(self) -> ast.Module:
        """The parsed source."""
        return ast.parse(self.path.read_text())


@dataclass(frozen=True)
class Package:
    """A directory with a pyproject.toml below libs, contexts, services or infra."""

    directory: Path

    @property
    def kebab(self) -> str:
        """`health-aggregator`: the directory's name."""
        return self.directory.name

    @property
    def source(self) -> Path:
        """Where its modules are, by the rule of names."""
        return self.directory / f"atlas_{self.kebab.replace('-', '_')}"

    @property
    def is_service(self) -> bool:
        """Whether it is a process of the mesh; the CLI is not, it comes and goes."""
        return self.directory.parent.name == "services" and self.kebab != "cli"

    @property
    def is_context(self) -> bool:
        """Whether it is a bounded context: a team's own, or a sample."""
        return self.directory.parent.name == "contexts"

    @property
    def migrates(self) -> bool:
        """Whether it has tables, and so migrations."""
        return (self.source / "migrations").is_dir()

    @cached_property
    def metadata(self) -> dict[str, Any]:
        """Its pyproject.toml."""
        return tomllib.loads((self.directory / "pyproject.toml").read_text())

    @cached_property
    def modules(self) -> list[Module]:
        """Every Python file of it, in order."""
        return [Module(path, self) for path in sorted(self.source.rglob("*.py"))]


@pytest.fixture(scope="session")
def root() -> Path:
    """The top of the checkout."""
    return ROOT


@pytest.fixture(scope="session")
def packages() -> list[Package]:
    """Every package, in order."""
    found = [Package(file.parent) for folder in ("libs", "contexts", "services", "infra") for file in _projects(folder)]
    assert len(found) >= 13, f"only {[package.kebab for package in found]}"
    return found


def _projects(folder: str) -> Iterator[Path]:
    yield from sorted((ROOT / folder).glob("*/pyproject.toml"))


@pytest.fixture(scope="session")
def modules(packages: list[Package]) -> list[Module]:
    """Every module of every package."""
    return [module for package in packages for module in package.modules]


@pytest.fixture(scope="session")
def sources(modules: list[Module]) -> dict[str, ast.Module]:
    """Every Python file that is not a test, parsed, by its path: packages and what else lies below infra."""
    others = [path for path in sorted((ROOT / "infra").rglob("*.py")) if "local" not in path.relative_to(ROOT).parts]
    return {
        **{module.where: module.tree for module in modules},
        **{str(path.relative_to(ROOT)): ast.parse(path.read_text()) for path in others},
    }


@pytest.fixture(scope="session")
def tracked() -> list[Path]:
    """Every file that is in the repository or would be with the next commit."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    files = [ROOT / name for name in listed.split("\0") if name]
    return [file for file in files if file.is_file()]
