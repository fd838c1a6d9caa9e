"""`atlas batch`: a job over the archive, on this machine or on Spark."""

import asyncio
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from atlas_cli.output import JsonFlag, print_rows

if TYPE_CHECKING:
    from atlas_cli.batch import Job


def register(parent: typer.Typer) -> None:
    """Add the command."""
    parent.command("batch")(batch)


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
    from atlas_cli.batch import read_job, run_job

    job = read_job(job_file)
    if exported is not None:
        rows = run_job(job, exported, engine, master)
    else:
        with tempfile.TemporaryDirectory(prefix="atlas-batch-") as folder:
            asyncio.run(_export(job, Path(folder)))
            rows = run_job(job, Path(folder), engine, master)
    shown: list[dict[str, Any]] = rows
    print_rows(shown, as_json=as_json, title=job.name, empty="no rows")


async def _export(job: "Job", folder: Path) -> None:
    from atlas_cli.commands.archive_care import export_topic
    from atlas_cli.settings import load_settings

    await export_topic(load_settings(), job.topic, folder, quiet=True)
