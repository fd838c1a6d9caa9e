"""Alembic over the migrations of Atlas and of every context: each context has a branch of its own.

    python -m atlas_runtime.migrations -c infra/postgres/alembic.ini upgrade heads

takes the same arguments as `alembic`. A context's branch has its name, so that `orders@head` is its newest.
"""

import os
import re
import sys
from collections.abc import Collection, Sequence
from pathlib import Path

from alembic.config import CommandLine, Config
from sqlalchemy import Connection, text

from atlas_runtime import contexts

_OF_A_CONTEXT = re.compile(r"(?P<context>[a-z][a-z0-9]*)_[0-9]{4}")


def configured(ini: str, **options: object) -> Config:
    """Alembic's configuration, with the folders of all contexts beside the one of the file."""
    config = Config(ini, **options)  # type: ignore[arg-type]
    own = Path(config.get_main_option("script_location") or "") / "versions"
    config.set_main_option("path_separator", "os")
    config.set_main_option("version_locations", os.pathsep.join([str(own), *map(str, folders())]))
    return config


def set_aside(connection: Connection, known: Collection[str]) -> None:
    """Before Alembic looks: take versions of contexts that are not here out of its table, and put back those that are.

    Alembic does not go on from a version that it does not know. The tables of such a context stay as they are; when the
    context comes back, it goes on from where it was. `known`: all versions that there are files for.
    """
    if connection.scalar(text("SELECT to_regclass('alembic_version')")) is None:
        return
    connection.execute(text("CREATE TABLE IF NOT EXISTS alembic_version_absent (version_num text PRIMARY KEY)"))
    installed = contexts.offered(contexts.MIGRATIONS)
    versions = set(connection.scalars(text("SELECT version_num FROM alembic_version")))
    for version in sorted(versions - set(known)):
        branch = _OF_A_CONTEXT.fullmatch(version)
        if branch and branch["context"] not in installed:
            _move(connection, version, "alembic_version", "alembic_version_absent")
            sys.stderr.write(f"the context {branch['context']} is not here any more; its tables stay as they are\n")
    for version in sorted(set(connection.scalars(text("SELECT version_num FROM alembic_version_absent"))) & set(known)):
        _move(connection, version, "alembic_version_absent", "alembic_version")


def _move(connection: Connection, version: str, source: str, target: str) -> None:
    connection.execute(text(f"DELETE FROM {source} WHERE version_num = :version"), {"version": version})
    connection.execute(text(f"INSERT INTO {target} VALUES (:version) ON CONFLICT DO NOTHING"), {"version": version})


def folders() -> list[Path]:
    """Where the contexts' migrations are."""
    return [Path(package.__file__).parent for package in contexts.offered(contexts.MIGRATIONS).values()]


def main(arguments: Sequence[str]) -> None:
    """Do what Alembic's own command would."""
    command = CommandLine(prog="python -m atlas_runtime.migrations")
    options = command.parser.parse_args(arguments)
    if not hasattr(options, "cmd"):
        command.parser.error("too few arguments")
    ini = options.config[0] if isinstance(options.config, list) else options.config
    command.run_cmd(configured(ini, cmd_opts=options), options)


if __name__ == "__main__":
    main(sys.argv[1:])
