"""Batch jobs over the archive: one definition, run by Polars on this machine or by Spark on a cluster.

A job is a file of SQL over the table `events`, with what it reads named in comments at its top:

    -- topic: flights.events
    -- type: flights.FlightDeparted
    SELECT carrier, COUNT(*) AS flights FROM events GROUP BY carrier ORDER BY carrier

`events` is what `atlas archive export` wrote: a column a field, and _offset, _timestamp, _key. Both engines get the
same text, so it must keep to what both of them know.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from atlas_cli.output import CommandError

_HEADING = re.compile(r"^--\s*(topic|type)\s*:\s*(\S+)\s*$", re.MULTILINE)
Rows = list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Job:
    """What to compute: `sql` over `events`, the events of one type of one topic."""

    name: str
    topic: str
    type: str
    sql: str


def read_job(path: Path) -> Job:
    """Raises CommandError for a file that is no job."""
    try:
        text = path.read_text()
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}") from None
    headings = dict(_HEADING.findall(text))
    for name in ("topic", "type"):
        if name not in headings:
            raise CommandError(f"{path}: no line `-- {name}: …` at its top")
    sql = "\n".join(line for line in text.splitlines() if not line.startswith("--")).strip().removesuffix(";")
    if not sql:
        raise CommandError(f"{path}: no SQL")
    return Job(path.stem, headings["topic"], headings["type"], sql)


def run_job(job: Job, folder: Path, engine: str, master: str = "local[*]") -> Rows:
    """The job's result over what was exported to `folder`, in the order that its SQL says. Raises CommandError."""
    source = folder / job.topic / f"type={job.type}"
    if not any(source.rglob("*.parquet")):
        raise CommandError(f"{source}: no such events were exported")
    if engine not in ENGINES:
        raise CommandError(f"--engine {engine}: not one of {', '.join(ENGINES)}")
    try:
        return ENGINES[engine](job, source, master)
    except ModuleNotFoundError as error:
        raise CommandError(f"--engine {engine} needs the package {error.name}: pip install {error.name}") from None


def _polars(job: Job, source: Path, _master: str) -> Rows:
    import polars

    # Files of an older schema lack the newer one's columns.
    events = polars.scan_parquet(source / "**" / "*.parquet", missing_columns="insert", extra_columns="ignore")
    try:
        found = polars.SQLContext(events=events).execute(job.sql, eager=True)
    except polars.exceptions.PolarsError as error:
        raise CommandError(f"{job.name}: {error}") from None
    return found.to_dicts()


def _spark(job: Job, source: Path, master: str) -> Rows:
    from pyspark.errors import PySparkException
    from pyspark.sql import SparkSession

    builder = SparkSession.builder.master(master).appName(f"atlas {job.name}")
    for name, value in _SPARK.items():
        builder = builder.config(name, value)
    session = builder.getOrCreate()
    try:
        events = session.read.option("mergeSchema", "true").option("recursiveFileLookup", "true").parquet(str(source))
        events.createOrReplaceTempView("events")
        return [row.asDict(recursive=True) for row in session.sql(job.sql).collect()]
    except PySparkException as error:
        raise CommandError(f"{job.name}: {error}") from None
    finally:
        session.stop()


_SPARK = {
    "spark.ui.enabled": "false",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.shuffle.partitions": "8",
}
ENGINES: Mapping[str, Callable[[Job, Path, str], Rows]] = {"polars": _polars, "spark": _spark}
