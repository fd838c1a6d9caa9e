"""Batch jobs over the archive: one definition, run by Polars on this machine or by Spark on a cluster.

A job is a file of SQL over the table `events`, with what it reads named in comments at its top:

    -- topic: bookings.events
    -- type: bookings.SeatBooked
    SELECT flight_id, COUNT(*) AS seats FROM events GROUP BY flight_id ORDER BY flight_id

`events` is what `atlas archive export` wrote: a column a field, and _offset, _timestamp, _key. Both engines get the
same text, so it must keep to what both of them know: docs/analysts.md says what that is.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from atlas_cli.archived.batch_values import Rows, rows_of
from atlas_cli.archived.exported_files import Limits, shape_of
from atlas_cli.terminal.output import CommandError

if TYPE_CHECKING:
    import pyarrow

_HEADING = re.compile(r"^--\s*(topic|type)\s*:\s*(\S+)\s*$", re.MULTILINE)


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


def run_job(job: Job, folder: Path, engine: str, limits: Limits, master: str = "local[*]") -> Rows:
    """The job's result over what was exported to `folder`, in the order that its SQL says. Raises CommandError."""
    if engine not in ENGINES:
        raise CommandError(f"--engine {engine}: not one of {', '.join(ENGINES)}")
    source = folder / job.topic / f"type={job.type}"
    try:
        return rows_of(ENGINES[engine](job, source, shape_of(source, limits), master))
    except ModuleNotFoundError as error:
        raise CommandError(f"--engine {engine} needs the package {error.name}: {_MISSING[engine]}") from None


def _polars(job: Job, source: Path, shape: "pyarrow.Schema", _master: str) -> "pyarrow.Table":
    import polars

    wanted = polars.DataFrame(shape.empty_table()).schema
    events = polars.scan_parquet(
        source / "**" / "*.parquet",
        schema=wanted,
        hive_partitioning=False,
        missing_columns="insert",
        cast_options=polars.ScanCastOptions(
            integer_cast="upcast", float_cast=["upcast"], missing_struct_fields="insert", extra_struct_fields="ignore"
        ),
    )
    # Spark has no time of nanoseconds, and reads numbers.
    nanos: Any = {name: plain for name, kind in wanted.items() if (plain := _without_nanos(kind)) != kind}
    try:
        found = polars.SQLContext(events=events.cast(nanos)).execute(job.sql).collect(engine="streaming")
        return found.to_arrow()
    except (polars.exceptions.PolarsError, polars.exceptions.PanicException) as error:
        raise CommandError(f"{job.name}: {str(error).splitlines()[0]}") from None


def _without_nanos(kind: Any) -> Any:
    import polars

    if isinstance(kind, polars.Struct):
        return polars.Struct({field.name: _without_nanos(field.dtype) for field in kind.fields})
    if isinstance(kind, polars.List):
        return polars.List(_without_nanos(kind.inner))
    if isinstance(kind, polars.Map):
        return polars.Map(kind.key, _without_nanos(kind.value))
    return polars.Int64() if isinstance(kind, polars.Datetime) and kind.time_unit == "ns" else kind


def _spark(job: Job, source: Path, shape: "pyarrow.Schema", master: str) -> "pyarrow.Table":
    from pyspark.errors import PySparkException
    from pyspark.sql import SparkSession

    builder = SparkSession.builder.master(master).appName(f"atlas {job.name}")
    for name, value in _SPARK.items():
        builder = builder.config(name, value)
    session = builder.getOrCreate()
    try:
        columns = ", ".join(f"{_quoted(column.name)} {_spark_type(column.type)}" for column in shape)
        events = session.read.schema(columns).option("recursiveFileLookup", "true").parquet(str(source))
        events.createOrReplaceTempView("events")
        return session.sql(job.sql).toArrow()
    except PySparkException as error:
        raise CommandError(f"{job.name}: {str(error).splitlines()[0]}") from None
    finally:
        session.stop()


def _spark_type(kind: Any) -> str:
    """Arrow's type in Spark's SQL."""
    from pyarrow import types

    if types.is_struct(kind):
        return f"STRUCT<{', '.join(f'{_quoted(part.name)}: {_spark_type(part.type)}' for part in kind)}>"
    if types.is_map(kind):
        return f"MAP<{_spark_type(kind.key_type)}, {_spark_type(kind.item_type)}>"
    if types.is_list(kind):
        return f"ARRAY<{_spark_type(kind.value_type)}>"
    if types.is_decimal(kind):
        return f"DECIMAL({kind.precision}, {kind.scale})"
    if types.is_timestamp(kind):
        return "BIGINT" if kind.unit == "ns" else "TIMESTAMP" if kind.tz else "TIMESTAMP_NTZ"
    return _SPARK_TYPES[str(kind)]


def _quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


_SPARK_TYPES = {
    "null": "INT", "bool": "BOOLEAN", "int32": "INT", "int64": "BIGINT", "float": "FLOAT", "double": "DOUBLE",
    "string": "STRING", "binary": "BINARY", "date32[day]": "DATE", "time64[us]": "TIME(6)",
}  # fmt: skip
_SPARK = {
    "spark.ui.enabled": "false",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.shuffle.partitions": "8",
    "spark.sql.caseSensitive": "true",
    "spark.sql.timeType.enabled": "true",
    "spark.sql.legacy.parquet.nanosAsLong": "true",
    "spark.sql.parquet.datetimeRebaseModeInRead": "CORRECTED",
}
_Engine = Callable[[Job, Path, "pyarrow.Schema", str], "pyarrow.Table"]
ENGINES: Mapping[str, _Engine] = {"polars": _polars, "spark": _spark}
_MISSING = {
    "polars": "run `make up` in the project, which installs it",
    "spark": "run `make batch` in the project, which installs it (480 MB)",
}
