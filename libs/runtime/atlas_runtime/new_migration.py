"""Begins a migration: python -m atlas_runtime.new_migration BRANCH NAME; a branch is a context, or a lib with tables.

It gets the number after the last of its branch, so that the files of a folder are in the order in which they run.
"""

import re
import sys
from collections.abc import Iterable
from pathlib import Path

from atlas_runtime import contexts, migrations

INI = "infra/postgres/alembic.ini"
# What the first migration of a context depends on: it makes the schema `app`.
FIRST = "http_0001"
_NUMBER = re.compile(r"[a-z][a-z0-9_]*_([0-9]{4})_.*\.py")


def after(names: Iterable[str]) -> str:
    """The number that follows the highest of these file names, in four digits."""
    numbers = [int(match[1]) for name in names if (match := _NUMBER.fullmatch(name))]
    return f"{max(numbers, default=0) + 1:04d}"


def arguments(branch: str, name: str, folder: Path) -> list[str]:
    """What Alembic is told for the first or next migration of a branch in its folder."""
    number = after(path.name for path in folder.glob("*.py"))
    told = ["-c", INI, "revision", "-m", name, "--version-path", str(folder), "--rev-id", f"{branch}_{number}"]
    if number != "0001":
        return [*told, "--head", f"{branch}@head"]
    of_a_context = branch in contexts.contexts()
    return [*told, "--head", "base", "--branch-label", branch, *(("--depends-on", FIRST) if of_a_context else ())]


def main(branch: str, name: str) -> None:
    """Make the file; Alembic prints where."""
    packages = migrations.branches()
    if branch not in packages:
        known = ", ".join(sorted(packages))
        sys.stderr.write(f"no context or lib {branch!r} has migrations; those that have: {known}\n")
        raise SystemExit(2)
    migrations.main(arguments(branch, name, Path(packages[branch].__file__ or "").parent))


if __name__ == "__main__":
    main(*sys.argv[1:3])
