"""The next migration of a context: the table of an entity, or columns that it gets."""

import re
from collections.abc import Sequence
from pathlib import Path

from atlas_runtime.new_migration import FIRST, after

from atlas_cli.scaffold.code import docstring
from atlas_cli.scaffold.contexts import FOLDER, package
from atlas_cli.scaffold.fields import Field
from atlas_cli.scaffold.plan import Plan
from atlas_cli.terminal.output import CommandError

_FILE = '''\
{doc}

from alembic import op

revision = "{revision}"
down_revision = {down}
branch_labels = {labels}
depends_on = {depends}


def upgrade() -> None:
    op.execute(
        """
        {upgrade}
        """
    )


def downgrade() -> None:
    op.execute("{downgrade}")
'''


def new_table(plan: Plan, context: str, table: str, key: str, columns: Sequence[Field]) -> None:
    """Plan the table of an entity. Raises CommandError where a context has one of that name."""
    for path in sorted((plan.root / FOLDER).glob("*/atlas_*/migrations/*.py")):
        if re.search(rf"CREATE TABLE (IF NOT EXISTS )?{re.escape(table)}\b", path.read_text()):
            where = path.relative_to(plan.root)
            raise CommandError(f"{where} makes the table {table} already; choose another --entity")
    declared = [f"{key} uuid PRIMARY KEY", "version bigint NOT NULL CHECK (version >= 1)"]
    declared += [f"{_column(each)}{'' if each.optional else ' NOT NULL'}" for each in columns]
    inner = ",\n            ".join(declared)
    upgrade = f"CREATE TABLE {table} (\n            {inner}\n        )"
    _add(plan, context, f"the table {table}", upgrade, f"DROP TABLE {table}", table.rpartition(".")[2])


def more_columns(plan: Plan, context: str, table: str, columns: Sequence[Field], name: str) -> None:
    """Plan columns that a later command sets: null until it does."""
    added = ",\n            ".join(f"ADD COLUMN {_column(each)}" for each in columns)
    dropped = ", ".join(f"DROP COLUMN {each.name}" for each in columns)
    upgrade = f"ALTER TABLE {table}\n            {added}"
    _add(plan, context, f"what {name} sets of {table}", upgrade, f"ALTER TABLE {table} {dropped}", name)


def _add(plan: Plan, context: str, what: str, upgrade: str, downgrade: str, name: str) -> None:
    folder = f"{package(context)}/migrations"
    names = [path.name for path in (plan.root / folder).glob("*.py")]
    number = after(names)
    first = number == "0001"
    plan.add(
        f"{folder}/{context}_{number}_{name}.py",
        _FILE.format(
            doc=docstring(what),
            revision=f"{context}_{number}",
            down="None" if first else f'"{context}_{int(number) - 1:04d}"',
            labels=f'("{context}",)' if first else "None",
            depends=f'"{FIRST}"' if first else "None",
            upgrade=upgrade,
            downgrade=downgrade,
        ),
    )


def _column(each: Field) -> str:
    return f"{each.name} {each.in_state()}"


def of_command(root: Path, context: str, name: str) -> list[str]:
    """The migrations that were written under this name."""
    folder = root / package(context) / "migrations"
    return [str(path.relative_to(root)) for path in sorted(folder.glob(f"{context}_[0-9][0-9][0-9][0-9]_{name}.py"))]


def last(root: Path, context: str) -> str:
    """The newest migration of a context, the only one that can go."""
    folder = root / package(context) / "migrations"
    return str(max(folder.glob(f"{context}_[0-9][0-9][0-9][0-9]_*.py")).relative_to(root))
