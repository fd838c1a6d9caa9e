"""`atlas batch`: a job over the archive, on this machine or on Spark."""

import asyncio
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from atlas_cli.terminal.help_groups import ARCHIVE, add
from atlas_cli.terminal.output import JsonFlag, print_rows, say

if TYPE_CHECKING:
    from atlas_cli.archived.batch import Job
    from atlas_cli.settings import CliSettings

# Of a table for people; --json has all.
_CELL_MAX, _ROWS_MAX = 200, 1000


def register(parent: typer.Typer) -> None:
    """Add the command."""
    add(parent, batch, "atlas batch bookings-by-day.sql", group=ARCHIVE)


def batch(
    job_file: Annotated[Path, typer.Argument(metavar="JOB.sql", help="SQL over the table `events`.")],
    engine: Annotated[str, typer.Option(help="polars (this machine) or spark.")] = "polars",
    master: Annotated[str, typer.Option(help="Where Spark runs.")] = "local[*]",
    exported: Annotated[
        Path | None, typer.Option(help="What `atlas archive export` wrote; exported anew when left out.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Run one job over everything that is archived of a topic, and print its rows."""
    from atlas_cli.archived.batch import read_job, run_job
    from atlas_cli.archived.batch_values import cut
    from atlas_cli.archived.exported_files import Limits
    from atlas_cli.settings import load_settings

    job, settings = read_job(job_file), load_settings()
    limits = Limits(settings.batch_file_rows_max, settings.batch_file_bytes_max)
    if exported is not None:
        rows = run_job(job, exported, engine, limits, master)
    else:
        with tempfile.TemporaryDirectory(prefix="atlas-batch-") as folder:
            asyncio.run(_export(job, Path(folder), settings))
            rows = run_job(job, Path(folder), engine, limits, master)
    shown: list[dict[str, Any]] = rows
    if not as_json:
        shown = [{name: cut(value, _CELL_MAX) for name, value in row.items()} for row in rows[:_ROWS_MAX]]
    print_rows(shown, as_json=as_json, title=job.name, empty="no rows")
    if len(shown) < len(rows):
        say(f"{len(rows) - len(shown):,} more rows; --json prints all", err=True)


async def _export(job: "Job", folder: Path, settings: "CliSettings") -> None:
    from atlas_cli.commands.archive.care import export_topic

    await export_topic(settings, job.topic, folder, quiet=True)
