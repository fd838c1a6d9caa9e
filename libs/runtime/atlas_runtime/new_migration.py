"""Begins a migration: python -m atlas_runtime.new_migration CONTEXT NAME; an empty CONTEXT is Atlas itself.

It gets the number after the last of its branch, so that the files of a folder are in the order in which they run.
"""

import re
import sys
from collections.abc import Iterable
from pathlib import Path

from atlas_runtime import contexts, migrations

INI = "infra/postgres/alembic.ini"
_NUMBER = re.compile(r"(?:[a-z][a-z0-9_]*_)?([0-9]{4})_.*\.py")


def after(names: Iterable[str]) -> str:
    """The number that follows the highest of these file names, in four digits."""
    numbers = [int(match[1]) for name in names if (match := _NUMBER.fullmatch(name))]
    return f"{max(numbers, default=0) + 1:04d}"


def arguments(context: str, name: str, folder: Path) -> list[str]:
    """What Alembic is told for the first or next migration of a context in its folder."""
    number = after(path.name for path in folder.glob("*.py"))
    told = ["-c", INI, "revision", "-m", name, "--version-path", str(folder), "--rev-id", f"{context}_{number}"]
    if number == "0001":
        # The tables of Atlas itself come first, the schema `app` among them.
        return [*told, "--head", "base", "--branch-label", context, "--depends-on", "0002"]
    return [*told, "--head", f"{context}@head"]


def main(context: str, name: str) -> None:
    """Make the file; Alembic prints where."""
    if not context:
        number = after(path.name for path in Path("infra/postgres/migrations/versions").glob("*.py"))
        migrations.main(["-c", INI, "revision", "-m", name, "--rev-id", number, "--head", f"{int(number) - 1:04d}"])
        return
    packages = contexts.offered(contexts.MIGRATIONS)
    if context not in packages:
        known = ", ".join(sorted(packages)) or "none"
        sys.stderr.write(f"no context {context} has migrations; those that have: {known}\n")
        raise SystemExit(2)
    migrations.main(arguments(context, name, Path(packages[context].__file__).parent))


if __name__ == "__main__":
    main(*sys.argv[1:3])
