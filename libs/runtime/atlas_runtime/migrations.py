"""Alembic over the migrations of Atlas and of every context: each context has a branch of its own.

    python -m atlas_runtime.migrations -c infra/postgres/alembic.ini upgrade heads

takes the same arguments as `alembic`. A context's branch has its name, so that `users@head` is its newest.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from alembic.config import CommandLine, Config

from atlas_runtime import contexts


def configured(ini: str, **options: object) -> Config:
    """Alembic's configuration, with the folders of all contexts beside the one of the file."""
    config = Config(ini, **options)  # type: ignore[arg-type]
    own = Path(config.get_main_option("script_location") or "") / "versions"
    config.set_main_option("path_separator", "os")
    config.set_main_option("version_locations", os.pathsep.join([str(own), *map(str, folders())]))
    return config


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
