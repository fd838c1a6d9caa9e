"""Alembic over the migrations of Atlas and of every context: each lib and each context has a branch of its own.

    python -m atlas_runtime.migrations -c infra/postgres/alembic.ini upgrade heads

takes the same arguments as `alembic`. A branch has the name of its lib or context: `outbox@head` is the newest of the
outbox, `orders@head` that of the context orders. A lib that has tables names the package of its migrations by the entry
point `atlas.lib_migrations`, a context by `atlas.migrations`.
"""

import os
import re
import sys
from collections.abc import Collection, Sequence
from pathlib import Path
from types import ModuleType

from alembic.config import CommandLine, Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from atlas_runtime import contexts

OF_LIBS = "atlas.lib_migrations"
_OF_A_BRANCH = re.compile(r"(?P<branch>[a-z][a-z0-9]*)_[0-9]{4}")
_OF_THE_CHAIN = re.compile(r"[0-9]{4}(@.*)?")


def branches() -> dict[str, ModuleType]:
    """The packages of migrations, by the names of their branches. Raises contexts.BrokenContext."""
    return {**contexts.offered(contexts.MIGRATIONS), **contexts.offered(OF_LIBS)}


def configured(ini: str, **options: object) -> Config:
    """Alembic's configuration, with the folders of all branches."""
    config = Config(ini, **options)  # type: ignore[arg-type]
    folders = [str(Path(package.__file__ or "").parent) for package in branches().values()]
    config.set_main_option("path_separator", "os")
    config.set_main_option("version_locations", os.pathsep.join(folders))
    return config


def take_over_chain(connection: Connection, scripts: ScriptDirectory) -> None:
    """Before Alembic looks: say in versions of the branches how far a database is that has a number of the one chain.

    Atlas had its migrations in one chain before each lib had its own. A migration that was in it has its number as
    `formerly`. Those up to the number in the database are done.
    """
    if not _is_versioned(connection):
        return
    every = {script.revision: script for script in scripts.walk_revisions()}
    chain = {script.module.formerly: name for name, script in every.items() if hasattr(script.module, "formerly")}
    versions = _versions(connection, "alembic_version")
    below = {name: list(scripts.iterate_revisions(name, "base")) for name in every}
    numbers = versions & chain.keys()
    if not numbers and not versions & set(chain.values()) and _has_read_models(connection):
        # A context that depends on a number may stand for it: Alembic then has no row of it.
        needed = [script.dependencies or () for name in versions & every.keys() for script in below[name]]
        numbers = {each for some in needed for each in ((some,) if isinstance(some, str) else some)} & chain.keys()
    if not numbers:
        return
    done = {name for number, name in chain.items() if number <= max(numbers)}
    # Nor does it take two rows of which one stands for the other.
    for version in (versions | done) & every.keys():
        done -= {script.revision for script in below[version]} - {version}
    connection.execute(text("DELETE FROM alembic_version WHERE version_num = :number"), {"number": max(numbers)})
    for version in sorted(done):
        _add(connection, version, "alembic_version")


def set_aside(connection: Connection, known: Collection[str]) -> None:
    """Before Alembic looks: take versions of contexts that are not here out of its table, and put back those that are.

    Alembic does not go on from a version that it does not know. The tables of such a context stay as they are; when the
    context comes back, it goes on from where it was. `known`: all versions that there are files for.
    """
    if not _is_versioned(connection):
        return
    connection.execute(text("CREATE TABLE IF NOT EXISTS alembic_version_absent (version_num text PRIMARY KEY)"))
    installed = branches()
    for version in sorted(_versions(connection, "alembic_version") - set(known)):
        match = _OF_A_BRANCH.fullmatch(version)
        if match and match["branch"] not in installed:
            _move(connection, version, "alembic_version", "alembic_version_absent")
            sys.stderr.write(f"the context {match['branch']} is not here any more; its tables stay as they are\n")
    for version in sorted(_versions(connection, "alembic_version_absent") & set(known)):
        _move(connection, version, "alembic_version_absent", "alembic_version")


def _is_versioned(connection: Connection) -> bool:
    return connection.scalar(text("SELECT to_regclass('alembic_version')")) is not None


def _has_read_models(connection: Connection) -> bool:
    """Since then nothing depends on these: where they are, their branch has a row."""
    return connection.scalar(text("SELECT to_regnamespace('readmodel')")) is not None


def _versions(connection: Connection, table: str) -> set[str]:
    return set(connection.scalars(text(f"SELECT version_num FROM {table}")))


def _move(connection: Connection, version: str, source: str, target: str) -> None:
    connection.execute(text(f"DELETE FROM {source} WHERE version_num = :version"), {"version": version})
    _add(connection, version, target)


def _add(connection: Connection, version: str, table: str) -> None:
    connection.execute(text(f"INSERT INTO {table} VALUES (:version) ON CONFLICT DO NOTHING"), {"version": version})


def main(arguments: Sequence[str]) -> None:
    """Do what Alembic's own command would. A number of the one chain is refused: it would name one branch alone."""
    command = CommandLine(prog="python -m atlas_runtime.migrations")
    options = command.parser.parse_args(arguments)
    if not hasattr(options, "cmd"):
        command.parser.error("too few arguments")
    if not contexts.offered(OF_LIBS):
        command.parser.error("no lib with migrations found: what is installed is older than the checkout; run make up")
    for target in (getattr(options, "revision", None), *(getattr(options, "revisions", None) or ())):
        if target is not None and _OF_THE_CHAIN.fullmatch(target):
            names = ", ".join(branches())
            command.parser.error(f"{target} is of no branch; name one, as outbox@head; branches: {names}")
    ini = options.config[0] if isinstance(options.config, list) else options.config
    command.run_cmd(configured(ini, cmd_opts=options), options)


if __name__ == "__main__":
    main(sys.argv[1:])
